/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <weir/relay.h>

#include "../base/identity.h"
#include "context.h"

/* One TLS connection over bytes: no socket inside. After the handshake it is a filter for a relay. The loop's thread.
 */
struct tls_session;

/* `address`: for TLS_CLIENT, of the upstream, for the default of `verify`; else NULL. A client sends the first dns: of
 * `verify` as SNI. Returns 0 or WEIR_ENOMEM. */
WEIR_MUST_CHECK int tls_session_new(struct tls_context *context, const struct weir_address *address,
                                    struct tls_session **ret_session);
/* Accepts NULL. */
void tls_session_free(struct tls_session **psession);

enum tls_progress {
    TLS_WANTS_BYTES, /* go on when more have come */
    TLS_ESTABLISHED, /* verified on our side; what follows may be inside already: decode() with size 0 first */
    TLS_FAILED,      /* tls_session_failure() says why; what is in `out` (an alert) should still be sent */
};

/* Takes a step of the handshake: `data` (size 0 for the first step of a client) goes in, all of it; bytes for the peer
 * go to `out`. One call does what one flight of the peer asks for, about 0.5 ms at most. Not after TLS_ESTABLISHED or
 * TLS_FAILED. */
enum tls_progress tls_handshake(struct tls_session *session, const uint8_t *data, uint32_t size, struct weir_sink *out);

enum tls_failure_kind {
    TLS_FAILURE_NONE,
    TLS_FAILURE_NO_CERTIFICATE,
    TLS_FAILURE_BAD_CERTIFICATE, /* the verifier said no */
    TLS_FAILURE_PROTOCOL,        /* anything else, an alert of the peer included */
    TLS_FAILURE_NO_MEMORY,
};
struct tls_failure {
    enum tls_failure_kind kind;
    char text[256]; /* the verifier's own words with the certificate's subject; or the alert; escaped, cut */
};
/* Of the handshake, or of a decode that was corrupt. Valid as long as the session. */
const struct tls_failure *tls_session_failure(const struct tls_session *session);

/* What the peer's verified certificate says; names live as long as the session (or until
 * tls_session_forget_identity()). Fills in has_certificate, names, name_count; leaves address alone. */
void tls_session_identity(const struct tls_session *session, struct identity *identity);
/* Gives back the memory of the names. */
void tls_session_forget_identity(struct tls_session *session);

/* Whether a CRL of the context revokes the peer's certificate, or one that it sent along. */
bool tls_session_is_revoked(const struct tls_session *session, const struct tls_context *context);

/* Verified on our side, and nothing has failed since. */
bool tls_session_is_established(const struct tls_session *session);
/* When the peer's verified certificate ends, in seconds since 1970; 0: it has none. After TLS_ESTABLISHED. */
int64_t tls_session_peer_expires_s(const struct tls_session *session);

/* The SNI that a client sent, "" if none; escaped and cut by whoever shows it. */
const char *tls_session_server_name(const struct tls_session *session);
/* "TLSv1.3", "TLS_AES_128_GCM_SHA256": static. */
const char *tls_session_version(const struct tls_session *session);
const char *tls_session_cipher(const struct tls_session *session);

/* For the relay. decode() reports WEIR_FILTER_ENDED on close_notify. */
struct weir_filter *tls_session_filter(struct tls_session *session);

/* A clean end without a relay: close_notify into `out` (for refusals after the handshake). Returns 0 or WEIR_ENOMEM. */
WEIR_MUST_CHECK int tls_session_end(struct tls_session *session, struct weir_sink *out);

#endif
