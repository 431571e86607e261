/* SPDX-License-Identifier: Apache-2.0 */
#include "bio.h"

#include <assert.h>
#include <string.h>

static int bytes_read(BIO *bio, char *to, int size)
{
    struct tls_bytes *bytes = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes->input_size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    uint32_t part = (uint32_t)size < bytes->input_size ? (uint32_t)size : bytes->input_size;
    memcpy(to, bytes->input, part);
    bytes->input += part;
    bytes->input_size -= part;
    return (int)part;
}

static int bytes_write(BIO *bio, const char *from, int size)
{
    struct tls_bytes *bytes = BIO_get_data(bio);
    assert(bytes->output != NULL);
    BIO_clear_retry_flags(bio);
    if (weir_sink_put(bytes->output, from, (uint32_t)size) == 0)
        return size;
    bytes->no_memory = true;
    return -1;
}

/* Whoever answers 1 to what it does not know tells OpenSSL that the kernel encrypts, and plaintext leaves. */
static long bytes_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "bytes");
    if (method == NULL)
        return NULL;
    BIO_meth_set_read(method, bytes_read);
    BIO_meth_set_write(method, bytes_write);
    BIO_meth_set_ctrl(method, bytes_ctrl);
    return method;
}

BIO *tls_bio_new(const BIO_METHOD *method, struct tls_bytes *bytes)
{
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, bytes);
    BIO_set_init(bio, 1);
    return bio;
}
