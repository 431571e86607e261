/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CERTS_H
#define TESTS_UNIT_CERTS_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>

/* Certificates made for a test, any way it wants them. */

#define CERT_DAY INT64_C(86400)

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* Everything may be left out. */
struct cert_options {
    const char *cn;    /* of the subject; NULL: an empty subject */
    const char *san;   /* "DNS:a.example.com,URI:spiffe://example.com/a" */
    const char *usage; /* extended: "clientAuth" */
    bool ca;
    const char *constraints; /* basicConstraints in full, in place of those that `ca` gives */
    const char *name_constraints;
    int64_t from_s, until_s; /* 0: a day ago; in thirty days */
    int rsa_bits;            /* 0: a P-256 key */
    const char *digest;      /* NULL: SHA256 */
    EVP_PKEY *key;           /* NULL: a new one */
};

/* Issued by `issuer`, or by itself (NULL). Whatever goes wrong ends the test. */
struct cert cert_new(const struct cert *issuer, const struct cert_options *options);
/* Changes the extensions or names of a certificate after the fact: signs it anew. */
void cert_sign(struct cert *cert, const struct cert *issuer, const char *digest);
void cert_free(struct cert *cert);

/* A P-256 key whose private half belongs to another public half. */
EVP_PKEY *cert_mismatched_key(EVP_PKEY *shown);

/* A CRL that ends at `until_s`; it begins a day ago, or at `from_s`. `revoked` may be NULL. */
X509_CRL *cert_crl(const struct cert *issuer, int64_t until_s, const struct cert *revoked);
X509_CRL *cert_crl_between(const struct cert *issuer, int64_t from_s, int64_t until_s, const struct cert *revoked);

/* A folder for a test's files, removed with all that is in it. */
const char *certs_folder(void);
void certs_folder_remove(void);

/* Files of the folder; returned paths live until it is removed. */
char *certs_write_text(const char *name, const char *text);
char *certs_write_key(const char *name, EVP_PKEY *key);
#define certs_write(name, ...) certs_write_list((name), (X509 *[]){ __VA_ARGS__, NULL })
#define certs_write_crls(name, ...) certs_write_crl_list((name), (X509_CRL *[]){ __VA_ARGS__, NULL })
char *certs_write_list(const char *name, X509 *const *list);
char *certs_write_crl_list(const char *name, X509_CRL *const *list);

#endif
