/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include "../base/identity.h"
#include "material.h"

/* What a certificate says of its owner, copied out: dns:, uri: and email: of its subject alternative names, in order;
 * without such an extension its common name, if it has exactly one, of a type whose bytes are its text; sha256: last.
 * Empty names are left out. */
struct certificate_names;

/* From DER or PEM bytes (`weir explain CERT.pem`, fuzzing). Returns 0, WEIR_EINVAL (not a certificate, or names out of
 * bounds) or WEIR_ENOMEM. */
int certificate_names_read(const void *bytes, uint32_t size, struct certificate_names **ret_names);
void certificate_names_free(struct certificate_names **pnames);
void certificate_names_identity(const struct certificate_names *names, struct identity *identity);

/* Verifies a PEM file (leaf first, then intermediates) as a listener with this material would verify a client that
 * sends it. `wall_ns`: the time. Returns 0, or WEIR_EINVAL and the verifier's words in `text`. */
int certificate_verify_file(const char *path, struct tls_material *material, uint64_t wall_ns, char *text,
                            uint32_t size);

#endif
