/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "describe.h"
#include "parts.h"
#include "verify.h"

/* What a handshake asks about the peer's certificate. That the peer has its key, OpenSSL checks afterwards, always. */

/* Returns 0, WEIR_ENOMEM or WEIR_EINVAL with the reason in `text`. */
static int verify_or_remember(struct tls_context *context, X509_STORE_CTX *verification, char *text, size_t size)
{
    int64_t now_s = (int64_t)(weir_loop_wall(context->loop) / 1000000000);
    struct chain_key key;
    int err = verify_key(X509_STORE_CTX_get0_untrusted(verification), &key);
    if (err != 0)
        return err;
    if (chain_cache_find(context->cache, &key, now_s)) {
        context->counts.remembered++;
        X509_STORE_CTX_set_error(verification, X509_V_OK);
        return 0;
    }
    context->counts.verified++;
    err = verify_chain(verification, context->material->role, now_s, text, size);
    if (err == 0)
        chain_cache_add(context->cache, &key, now_s, verify_holds_until(verification, context->material, now_s));
    return err;
}

static int check_upstream(const struct tls_session *session, X509 *certificate, char *text, size_t size)
{
    const struct tls_material *material = session->context->material;
    char host[WEIR_ADDRESS_TEXT_MAX] = "";
    struct tls_name own = { .kind = TLS_NAME_IP, .text = host };
    const struct tls_name *names = material->verify_count > 0 ? material->verify : &own;
    uint32_t count = material->verify_count > 0 ? material->verify_count : 1;
    weir_address_format_host(&session->address, host, sizeof host);
    own.size = (uint32_t)strlen(host);
    if (verify_is_for(certificate, names, count))
        return 0;
    describe_mismatch(certificate, names, count, text, size);
    return WEIR_EINVAL;
}

static int take_names(struct tls_session *session, const X509 *certificate, char *text, size_t size)
{
    char name[DESCRIBE_NAME_BYTES];
    certificate_names_free(&session->names);
    int err = certificate_names_of(certificate, &session->names);
    if (err == WEIR_EINVAL)
        snprintf(text, size, "client certificate %s: its names are too many, too long or malformed",
                 describe_certificate(certificate, name));
    return err;
}

static int look_at(struct tls_session *session, X509_STORE_CTX *verification, char *text, size_t size)
{
    X509 *certificate = X509_STORE_CTX_get0_cert(verification);
    int err = verify_or_remember(session->context, verification, text, size);
    if (err != 0)
        return err;
    if (session->context->material->role == TLS_SERVER) {
        err = take_names(session, certificate, text, size);
        if (err == WEIR_EINVAL)
            X509_STORE_CTX_set_error(verification, X509_V_ERR_CERT_REJECTED);
    } else {
        err = check_upstream(session, certificate, text, size);
        if (err == WEIR_EINVAL)
            X509_STORE_CTX_set_error(verification, X509_V_ERR_HOSTNAME_MISMATCH);
    }
    return err;
}

int peer_verify(X509_STORE_CTX *verification, void *unused)
{
    struct tls_failure failure = { TLS_FAILURE_BAD_CERTIFICATE, "" };
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    (void)unused;
    int err = look_at(session, verification, failure.text, sizeof failure.text);
    if (err == 0) {
        session->verified = true;
        ERR_clear_error(); /* what is left here of a success would make the end of the step a failure */
        return 1;
    }
    if (err == WEIR_ENOMEM) {
        failure = (struct tls_failure){ TLS_FAILURE_NO_MEMORY, "out of memory" };
        X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
    }
    session_fail(session, &failure);
    return 0;
}
