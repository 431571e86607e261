/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PKI_X509_H
#define TLS_PKI_X509_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pki_index.h"

/* Keys, certificates and CRLs of a development CA: ECDSA on P-256 with SHA-256, random serials of 128 bits. Functions
 * that return a pointer return NULL when OpenSSL has no memory (or no random bytes) left. */

struct pki_pair {
    EVP_PKEY *key;
    X509 *certificate;
};
void pki_pair_free(struct pki_pair *pair);

/* Return 0 or WEIR_ENOMEM; *ret_pair is then untouched. */
int pki_pair_new_ca(int64_t now_s, uint32_t days, struct pki_pair *ret_pair);
int pki_pair_new(const struct pki_pair *ca, const struct pki_request *request, int64_t now_s, uint32_t days,
                 struct pki_pair *ret_pair);

X509_CRL *pki_crl_new(const struct pki_pair *ca, const struct pki_index *index, int64_t now_s, uint32_t days);

int64_t pki_time(const ASN1_TIME *time);
/* Upper-case hex, at most PKI_SERIAL_MAX digits. Returns 0 or WEIR_ENOMEM. */
int pki_serial_format(const X509 *certificate, char text[PKI_SERIAL_MAX + 1]);

#endif
