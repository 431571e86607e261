/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PEM_H
#define TLS_PEM_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>

#include "complaints.h"

/* PEM files, read whole. What is wrong with one becomes a complaint that names it. */

#define PEM_CERTIFICATES_MAX 1000

/* The first four are the caller's. */
struct pem_file {
    const char *path;
    enum tls_setting setting;
    struct complaints *complaints;
    bool may_be_missing; /* then reading succeeds, and `bytes` is NULL */
    bool others_may_read;
    uint32_t size;
    char *bytes;
};

/* Returns 0, WEIR_ENOMEM or WEIR_EINVAL. */
int pem_read(struct pem_file *file);
/* Leaves nothing of the bytes in memory. */
void pem_free(struct pem_file *file);

/* Each returns 0, WEIR_ENOMEM or WEIR_EINVAL; at least one is found. */
int pem_certificates(const struct pem_file *file, STACK_OF(X509) * *ret_certificates);
int pem_crls(const struct pem_file *file, STACK_OF(X509_CRL) * *ret_crls);
int pem_key(const struct pem_file *file, EVP_PKEY **ret_key);

#endif
