/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_NAMES_H
#define TLS_NAMES_H

#include <openssl/x509v3.h>

#include "certificate.h"

struct certificate_names {
    uint32_t count;
    const struct identity_name *names; /* names and bytes stand behind, in the same memory */
};

/* Copies the names out of a certificate. Returns 0, WEIR_EINVAL (names out of bounds, or that cannot be read) or
 * WEIR_ENOMEM. */
int certificate_names_of(const X509 *certificate, struct certificate_names **ret_names);

/* The names in a subject alternative name of any type. Returns 0 with NULL when there is no such extension, WEIR_EINVAL
 * or WEIR_ENOMEM. */
int certificate_general_names(const X509 *certificate, GENERAL_NAMES **ret_names);

/* The bytes of a general name that is a dns, uri or email, else NULL. */
const ASN1_STRING *certificate_general_name(const GENERAL_NAME *name, enum identity_kind *ret_kind);

#endif
