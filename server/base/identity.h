/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IDENTITY_H
#define BASE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/address.h>

/* Who is calling, as far as a listener can know it: the address of the peer and, where a certificate was verified, what
 * it says. Names are typed and compared by whole value and length: a byte is a byte, NUL included. */

enum identity_kind {
    IDENTITY_DNS, /* subject alternative names */
    IDENTITY_URI,
    IDENTITY_EMAIL,
    IDENTITY_CN,     /* the subject's common name; only of certificates without any SAN */
    IDENTITY_SHA256, /* of the certificate; 64 lower-case hex digits */
};

/* "dns", "uri", "email", "cn", "sha256" */
const char *identity_kind_name(enum identity_kind kind);

struct identity_name {
    enum identity_kind kind;
    uint32_t size;
    const char *bytes; /* any bytes, not ended by NUL; dns: lower case */
};

#define IDENTITY_NAMES_MAX 64
#define IDENTITY_NAME_BYTES_MAX 1024

struct identity {
    struct weir_address address;       /* of the peer */
    bool has_certificate;              /* a verified one */
    const struct identity_name *names; /* in the certificate's order, sha256 last */
    uint32_t name_count;
};

/* Whether a configured identity matches a name of a certificate: same kind; dns and the domain of an email without
 * regard to case; `*` in the pattern as whole left-most dns label or whole last uri path segment stands for exactly
 * one. A `*` in the name is refused: it matches nothing. Pure. */
bool identity_matches(const struct identity_name *pattern, const struct identity_name *name);

/* The name that an unknown certificate goes by: its first uri, else dns, else email, else CN, else sha256. NULL: no
 * names. */
const struct identity_name *identity_own_name(const struct identity *identity);

#endif
