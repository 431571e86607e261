/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "parts.h"
#include "verify.h"

#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_1_2                                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256"

/* Of the peer's certificate message: five large certificates. */
#define CERTIFICATE_BYTES_MAX (32 << 10)

/* A list of CAs helps a client to choose among its certificates; past this many it costs more than it helps. */
#define CA_NAMES_MAX 64

static bool set_protocol(SSL_CTX *ssl, const struct tls_material *material)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Buffers that go at once are the same few for all connections: those that are quiet hold none. */
    SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_security_level(ssl, 2);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_max_cert_list(ssl, CERTIFICATE_BYTES_MAX);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
           SSL_CTX_set_recv_max_early_data(ssl, 0) == 1 &&
           SSL_CTX_set_min_proto_version(ssl, material->tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_ciphersuites(ssl, CIPHERS_1_3) == 1 &&
           SSL_CTX_set_cipher_list(ssl, CIPHERS_1_2) == 1 && SSL_CTX_set1_groups_list(ssl, GROUPS) == 1;
}

static bool set_certificate(SSL_CTX *ssl, const struct tls_material *material)
{
    if (material->certificate == NULL)
        return true;
    bool ok =
        SSL_CTX_use_certificate(ssl, material->certificate) == 1 && SSL_CTX_use_PrivateKey(ssl, material->key) == 1;
    for (int i = 0; ok && i < sk_X509_num(material->intermediates); i++)
        ok = SSL_CTX_add1_chain_cert(ssl, sk_X509_value(material->intermediates, i)) == 1;
    return ok;
}

static bool set_ca_names(SSL_CTX *ssl, const struct tls_material *material)
{
    bool ok = true;
    if (material->role != TLS_SERVER || sk_X509_num(material->ca) > CA_NAMES_MAX)
        return true;
    for (int i = 0; ok && i < sk_X509_num(material->ca); i++)
        ok = SSL_CTX_add_client_CA(ssl, sk_X509_value(material->ca, i)) == 1;
    return ok;
}

static bool set_verification(SSL_CTX *ssl, const struct tls_material *material)
{
    if (material->ca == NULL)
        return true;
    X509_STORE *store = verify_store_new(material);
    if (store == NULL)
        return false;
    SSL_CTX_set_cert_store(ssl, store);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, peer_verify, NULL);
    return verify_set_policy(SSL_CTX_get0_param(ssl), material) == 0 && set_ca_names(ssl, material);
}

static int select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size, const unsigned char *offered,
                       unsigned offered_size, void *argument)
{
    const struct tls_material *material = argument;
    unsigned char *name = NULL;
    (void)ssl;
    int found = SSL_select_next_proto(&name, ret_size, material->alpn, material->alpn_size, offered, offered_size);
    if (found != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

int context_configure(SSL_CTX *ssl, const struct tls_material *material)
{
    if (material->alpn_size > 0)
        SSL_CTX_set_alpn_select_cb(ssl, select_alpn, (void *)material);
    return set_protocol(ssl, material) && set_certificate(ssl, material) && set_verification(ssl, material) ? 0 : -1;
}

static int open_context(struct tls_context *context)
{
    ERR_clear_error();
    context->cache = chain_cache_new();
    context->bio_method = tls_bio_method_new();
    context->ssl = SSL_CTX_new(context->material->role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
    bool ok = context->cache != NULL && context->bio_method != NULL && context->ssl != NULL &&
              context_configure(context->ssl, context->material) == 0;
    ERR_clear_error();
    return ok ? 0 : WEIR_ENOMEM;
}

int tls_context_new(struct tls_material *material, enum tls_role role, struct weir_loop *loop,
                    struct tls_context **ret_context)
{
    assert(role == material->role);
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return WEIR_ENOMEM;
    atomic_init(&context->references, 1);
    context->material = tls_material_ref(material);
    context->loop = loop;
    int err = open_context(context);
    if (err != 0)
        tls_context_free(&context);
    else
        *ret_context = context;
    return err;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tls_context_free(struct tls_context **pcontext)
{
    struct tls_context *context = *pcontext;
    *pcontext = NULL;
    if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio_method);
    chain_cache_free(&context->cache);
    tls_material_unref(&context->material);
    free(context);
}

int tls_contexts_get(struct tls_contexts *contexts, struct tls_material *material, struct weir_loop *loop,
                     struct tls_context **ret_context)
{
    struct tls_context *context = contexts->first;
    while (context != NULL && context->material != material)
        context = context->next;
    if (context == NULL) {
        int err = tls_context_new(material, material->role, loop, &context);
        if (err != 0)
            return err;
        context->next = contexts->first;
        contexts->first = context;
    }
    *ret_context = tls_context_ref(context);
    return 0;
}

void tls_contexts_sweep(struct tls_contexts *contexts)
{
    for (struct tls_context **at = &contexts->first; *at != NULL;) {
        struct tls_context *context = *at;
        if (atomic_load_explicit(&context->references, memory_order_acquire) > 1) {
            at = &context->next;
            continue;
        }
        *at = context->next;
        tls_context_free(&context);
    }
}

struct tls_context_counts tls_context_counts(const struct tls_context *context)
{
    return context->counts;
}
