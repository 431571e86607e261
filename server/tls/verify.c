/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <string.h>
#include <time.h>
#include <openssl/x509v3.h>

#include <weir/errors.h>

#include "describe.h"
#include "parts.h"

#define SECURITY_LEVEL 2 /* 112 bits: no RSA below 2048, no SHA-1 */
#define REMEMBERED_S 300

int64_t asn1_time_seconds(const ASN1_TIME *time)
{
    struct tm broken_down;
    return ASN1_TIME_to_tm(time, &broken_down) == 1 ? timegm(&broken_down) : INT64_MIN;
}

/* Not X509_V_FLAG_X509_STRICT: beyond the rest it asks for key identifiers and the like, which CAs made by hand often
 * leave out and which say nothing about who the owner is. Intermediates are held to it by OpenSSL anyway. */
int verify_set_policy(X509_VERIFY_PARAM *parameters, const struct tls_material *material)
{
    int purpose = material->role == TLS_SERVER ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
    unsigned long flags = material->check_crl ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL : 0;
    /* OpenSSL's depth counts neither the leaf nor the root. */
    X509_VERIFY_PARAM_set_depth(parameters, CHAIN_CERTIFICATES_MAX - 2);
    X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
    return X509_VERIFY_PARAM_set_purpose(parameters, purpose) == 1 &&
                   X509_VERIFY_PARAM_set_flags(parameters, flags) == 1
               ? 0
               : -1;
}

X509_STORE *verify_store_new(const struct tls_material *material)
{
    X509_STORE *store = X509_STORE_new();
    bool ok = store != NULL;
    for (int i = 0; ok && i < sk_X509_num(material->ca); i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(material->ca, i)) == 1;
    for (int i = 0; ok && i < sk_X509_CRL_num(material->crls); i++)
        ok = X509_STORE_add_crl(store, sk_X509_CRL_value(material->crls, i)) == 1;
    if (!ok) {
        X509_STORE_free(store);
        store = NULL;
    }
    return store;
}

int verify_chain(X509_STORE_CTX *verification, enum tls_role role, int64_t now_s, char *text, size_t size)
{
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(verification), now_s);
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(verification)) > CHAIN_CERTIFICATES_MAX)
        X509_STORE_CTX_set_error(verification, X509_V_ERR_CERT_CHAIN_TOO_LONG);
    else if (X509_verify_cert(verification) == 1)
        return 0;
    int error = X509_STORE_CTX_get_error(verification);
    if (error == X509_V_ERR_OUT_OF_MEM)
        return WEIR_ENOMEM;
    /* It failed for a reason that it does not tell: never let that pass for success. */
    if (error == X509_V_OK)
        X509_STORE_CTX_set_error(verification, X509_V_ERR_UNSPECIFIED);
    describe_refusal(verification, role, text, size);
    return WEIR_EINVAL;
}

int64_t verify_holds_until(X509_STORE_CTX *verification, const struct tls_material *material, int64_t now_s)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(verification);
    int64_t until = now_s + REMEMBERED_S;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = asn1_time_seconds(X509_get0_notAfter(sk_X509_value(chain, i)));
        until = end < until ? end : until;
    }
    return material->crl_until_s < until ? material->crl_until_s : until;
}

static bool digest_certificate(EVP_MD_CTX *digest, const X509 *certificate)
{
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    uint32_t length = (uint32_t)size;
    bool ok = size >= 0 && EVP_DigestUpdate(digest, &length, sizeof length) == 1 &&
              EVP_DigestUpdate(digest, der, length) == 1;
    OPENSSL_free(der);
    return ok;
}

int verify_key(const STACK_OF(X509) * sent, struct chain_key *ret_key)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = digest_certificate(digest, sk_X509_value(sent, i));
    ok = ok && EVP_DigestFinal_ex(digest, ret_key->bytes, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return ok ? 0 : WEIR_ENOMEM;
}

static bool has_uri(X509 *certificate, const struct tls_name *wanted)
{
    GENERAL_NAMES *names = NULL;
    bool found = false;
    if (certificate_general_names(certificate, &names) != 0)
        return false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        enum identity_kind kind;
        const ASN1_STRING *name = certificate_general_name(sk_GENERAL_NAME_value(names, i), &kind);
        found = name != NULL && kind == IDENTITY_URI && (uint32_t)ASN1_STRING_length(name) == wanted->size &&
                memcmp(ASN1_STRING_get0_data(name), wanted->text, wanted->size) == 0;
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool is_for(X509 *certificate, const struct tls_name *name)
{
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    switch (name->kind) {
    case IDENTITY_DNS:
        /* OpenSSL takes a leading dot for "any name below". */
        return name->size > 0 && name->text[0] != '.' &&
               X509_check_host(certificate, name->text, name->size, flags, NULL) == 1;
    case IDENTITY_URI:
        return has_uri(certificate, name);
    case TLS_NAME_IP:
        return X509_check_ip_asc(certificate, name->text, 0) == 1;
    default:
        return false;
    }
}

bool verify_is_for(X509 *certificate, const struct tls_name *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_for(certificate, &names[i]))
            return true;
    }
    return false;
}
