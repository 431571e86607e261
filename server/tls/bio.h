/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_BIO_H
#define TLS_BIO_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/bio.h>

#include <weir/relay.h>

/* What OpenSSL reads from and writes to during one call: bytes that came, and the sink for what goes. No copy beside
 * the one that OpenSSL makes. */
struct tls_bytes {
    const uint8_t *input;
    uint32_t input_size; /* what is left of it */
    struct weir_sink *output;
    bool no_memory; /* the output has failed */
};

/* NULL: out of memory. Free with BIO_meth_free() after all its BIOs. */
BIO_METHOD *tls_bio_method_new(void);
/* `bytes` outlives the BIO. NULL: out of memory. */
BIO *tls_bio_new(const BIO_METHOD *method, struct tls_bytes *bytes);

#endif
