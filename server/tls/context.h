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
/* Another reference; each session holds one too. */
struct tls_context *tls_context_ref(struct tls_context *context);
/* Drops a reference and clears the pointer; the last one frees. Accepts NULL. */
void tls_context_free(struct tls_context **pcontext);

/* The contexts of one worker: the same material has the same one as long as somebody holds it, so that what it
 * remembers outlives a reload that changes other things. Zero at birth; control thread. */
struct tls_contexts {
    struct tls_context *first;
};
/* Finds or makes the context; the caller gets a reference. Returns 0 or WEIR_ENOMEM. */
int tls_contexts_get(struct tls_contexts *contexts, struct tls_material *material, struct weir_loop *loop,
                     struct tls_context **ret_context);
/* Frees those that nobody else holds. */
void tls_contexts_sweep(struct tls_contexts *contexts);

/* For measurements and tests. */
struct tls_context_counts {
    uint64_t verified, remembered; /* chains verified anew; found in the cache */
};
struct tls_context_counts tls_context_counts(const struct tls_context *context);

#endif
