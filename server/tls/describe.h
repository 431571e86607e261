/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_DESCRIBE_H
#define TLS_DESCRIBE_H

#include <stddef.h>
#include <openssl/x509.h>

#include "material.h"

/* Words about certificates: printable ASCII, whatever they hold; cut. */

#define DESCRIBE_NAME_BYTES 96
#define DESCRIBE_DATE_BYTES 16

/* "CN=bob,O=Example", or "(no name)". Returns `text`. */
char *describe_name(const X509_NAME *name, char text[DESCRIBE_NAME_BYTES]);

/* By subject, else by its first alternative name: "uri:spiffe://example.com/bob". Returns `text`. */
char *describe_certificate(const X509 *certificate, char text[DESCRIBE_NAME_BYTES]);

/* "2026-01-02". Returns `text`. */
char *describe_date(const ASN1_TIME *time, char text[DESCRIBE_DATE_BYTES]);

/* Why a verification failed: the verifier's words with the certificate's name. */
void describe_refusal(X509_STORE_CTX *verification, enum tls_role role, char *text, size_t size);

/* No name of the upstream's certificate is one that `verify` asks for. */
void describe_mismatch(const X509 *certificate, const struct tls_name *names, uint32_t count, char *text, size_t size);

#endif
