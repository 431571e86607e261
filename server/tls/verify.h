/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_VERIFY_H
#define TLS_VERIFY_H

#include <stdint.h>
#include <openssl/x509.h>

#include "chain_cache.h"
#include "material.h"

/* How chains are verified, in one place for handshakes and for files. */

/* Seconds since 1970; INT64_MIN when the time cannot be read. */
int64_t asn1_time_seconds(const ASN1_TIME *time);

/* Purpose, depth, security level, CRL checks. Returns 0 or -1 (out of memory). */
int verify_set_policy(X509_VERIFY_PARAM *parameters, const struct tls_material *material);

/* CA and CRLs. NULL: out of memory. */
X509_STORE *verify_store_new(const struct tls_material *material);

/* Verifies, at `now_s`. Returns 0, WEIR_ENOMEM, or WEIR_EINVAL with the reason in `text`; the verification's error is
 * set accordingly. */
int verify_chain(X509_STORE_CTX *verification, enum tls_role role, int64_t now_s, char *text, size_t size);

/* How long a chain that has just been verified may be taken for good without looking again. */
int64_t verify_holds_until(X509_STORE_CTX *verification, const struct tls_material *material, int64_t now_s);

/* Over all certificates that were sent, in order. Returns 0 or WEIR_ENOMEM. */
int verify_key(const STACK_OF(X509) * sent, struct chain_key *ret_key);

/* Whether an upstream's certificate is for one of the names, never by its common name. */
bool verify_is_for(X509 *certificate, const struct tls_name *names, uint32_t count);

#endif
