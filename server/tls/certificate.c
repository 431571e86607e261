/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <weir/errors.h>

#include "failure.h"
#include "library.h"
#include "parts.h"
#include "pem.h"
#include "verify.h"

#define CERTIFICATE_BYTES_MAX (1u << 20)

static X509 *parse(const unsigned char *bytes, uint32_t size)
{
    static const char begin[] = "-----BEGIN";
    if (size > 0 && memmem(bytes, size, begin, sizeof begin - 1) == NULL)
        return d2i_X509(NULL, &bytes, size);
    BIO *bio = BIO_new_mem_buf(bytes, (int)size);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    return certificate;
}

int certificate_names_read(const void *bytes, uint32_t size, struct certificate_names **ret_names)
{
    if (size > CERTIFICATE_BYTES_MAX)
        return WEIR_EINVAL;
    if (tls_library_start() != 0)
        return WEIR_ENOMEM;
    ERR_clear_error();
    X509 *certificate = parse(bytes, size);
    int err = 0;
    if (certificate == NULL)
        err = tls_ran_out_of_memory() ? WEIR_ENOMEM : WEIR_EINVAL;
    else
        err = certificate_names_of(certificate, ret_names);
    X509_free(certificate);
    ERR_clear_error();
    return err;
}

/* As OpenSSL does it in a handshake. */
static int verify_sent(STACK_OF(X509) * sent, const struct tls_material *material, int64_t now_s, char *text,
                       uint32_t size)
{
    X509_STORE *store = verify_store_new(material);
    X509_STORE_CTX *verification = store == NULL ? NULL : X509_STORE_CTX_new();
    int err = WEIR_ENOMEM;
    if (verification != NULL && X509_STORE_CTX_init(verification, store, sk_X509_value(sent, 0), sent) == 1 &&
        X509_STORE_CTX_set_default(verification, material->role == TLS_SERVER ? "ssl_client" : "ssl_server") == 1 &&
        verify_set_policy(X509_STORE_CTX_get0_param(verification), material) == 0)
        err = verify_chain(verification, material->role, now_s, text, size);
    X509_STORE_CTX_free(verification);
    X509_STORE_free(store);
    return err;
}

int certificate_verify_file(const char *path, struct tls_material *material, uint64_t wall_ns, char *text,
                            uint32_t size)
{
    struct tls_complaint complaint = { .text = "" };
    struct complaints complaints = { .list = &complaint, .room = 1 };
    struct pem_file file = { .path = path, .setting = TLS_SETTING_CERTIFICATE, .complaints = &complaints };
    STACK_OF(X509) *sent = NULL;
    int err = pem_read(&file);
    if (err == 0)
        err = pem_certificates(&file, &sent);
    if (err == 0)
        err = verify_sent(sent, material, (int64_t)(wall_ns / 1000000000), text, size);
    else if (err == WEIR_EINVAL)
        snprintf(text, size, "%s", complaint.text);
    pem_free(&file);
    sk_X509_pop_free(sent, X509_free);
    ERR_clear_error();
    return err;
}
