/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PARTS_H
#define TLS_PARTS_H

#include <openssl/ssl.h>

#include "bio.h"
#include "chain_cache.h"
#include "context.h"
#include "material.h"
#include "names.h"
#include "session.h"

/* What the files of this folder share of each other. */

#define CHAIN_CERTIFICATES_MAX 5 /* root included */

struct tls_material {
    _Atomic uint32_t references;
    enum tls_role role;
    bool tls_1_2;
    X509 *certificate; /* NULL: a pool without */
    STACK_OF(X509) * intermediates;
    EVP_PKEY *key;
    STACK_OF(X509) * ca; /* NULL: the peer is anonymous */
    bool check_crl;
    STACK_OF(X509_CRL) * crls;
    int64_t crl_until_s; /* earliest nextUpdate of any CRL */
    unsigned char *alpn; /* as in the protocol: each name behind a byte with its length */
    uint32_t alpn_size;
    struct tls_name *verify;
    uint32_t verify_count;
};

struct tls_context {
    _Atomic uint32_t references;
    struct tls_context *next; /* in the list of a worker */
    SSL_CTX *ssl;
    BIO_METHOD *bio_method;
    struct tls_material *material;
    struct weir_loop *loop;
    struct chain_cache *cache;
    struct tls_context_counts counts;
};

struct tls_session {
    struct weir_filter filter;
    struct tls_context *context;
    SSL *ssl;
    struct tls_bytes bytes;          /* of the call that is going on */
    struct certificate_names *names; /* of the peer, once its certificate was verified */
    const struct tls_failure *failure;
    struct revocables *revocables; /* of the peer's certificates, once it is in; NULL: it showed none */
    uint8_t *kept;                 /* came with the end of the handshake, and OpenSSL had no room for it */
    uint32_t kept_size;
    bool verified, established, peer_ended, ended;
    struct weir_address address; /* of an upstream */
};

/* Applies policy and material. Returns 0 or -1 with OpenSSL's errors queued. */
int context_configure(SSL_CTX *ssl, const struct tls_material *material);

/* Notes why a session has failed; only the first failure counts. */
void session_fail(struct tls_session *session, const struct tls_failure *failure);

/* Notes what a CRL of later has to say to revoke the peer's certificates. Returns 0 or WEIR_ENOMEM. */
int session_note_certificates(struct tls_session *session);

/* The verify callback of every context. */
int peer_verify(X509_STORE_CTX *verification, void *unused);

#endif
