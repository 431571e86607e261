/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PKI_NAMES_H
#define TLS_PKI_NAMES_H

#include "pki.h"

/* What a development CA writes into certificates, and what it calls their files. */

/* Whether a name may be that of a certificate and its files: a letter or digit, then letters, digits, '.', '-', '_',
 * at most 64; and not the CA's own. */
bool pki_name_is_good(const char *name);

/* An address of 4 or 16 bytes from its text; returns the number of bytes, 0 when it is none. */
int pki_address_parse(const char *text, unsigned char bytes[16]);

/* Returns 0, or WEIR_EINVAL and which name is wrong. */
int pki_names_check(const struct pki_request *request, struct pki_error *error);

#endif
