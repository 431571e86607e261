/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <weir/loop.h>

#include "material.h"

/* One worker's SSL_CTX for one TLS block, with its cache of verified chains. Policy is set in code: TLS 1.3 only unless
 * the settings opt in to 1.2 (ECDHE with AEAD only); AES-128-GCM first; X25519, then P-256; security level 2; depth;
 * purpose; no tickets, no session cache, no early data, no renegotiation, no compression; maximal size of the
 * certificate message. Made by the control thread, used by the loop's. */
struct tls_context;

/* `loop` gives the wall clock. Returns 0 or WEIR_ENOMEM. */
int tls_context_new(struct tls_material *material, enum tls_role role, struct weir_loop *loop,
                    struct tls_context **ret_context);
/* Its sessions have been freed. Accepts NULL. */
void tls_context_free(struct tls_context **pcontext);

/* For measurements and tests. */
struct tls_context_counts {
    uint64_t verified, remembered; /* chains verified anew; found in the cache */
};
struct tls_context_counts tls_context_counts(const struct tls_context *context);

#endif
