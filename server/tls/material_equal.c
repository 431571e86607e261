/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "parts.h"

/* What a reload asks: has anything changed? */

static bool same_certificate(const X509 *a, const X509 *b)
{
    return a == NULL || b == NULL ? a == b : X509_cmp(a, b) == 0;
}

static bool same_certificates(const STACK_OF(X509) * a, const STACK_OF(X509) * b)
{
    bool same = (a == NULL) == (b == NULL) && sk_X509_num(a) == sk_X509_num(b);
    for (int i = 0; same && i < sk_X509_num(a); i++)
        same = same_certificate(sk_X509_value(a, i), sk_X509_value(b, i));
    return same;
}

static bool same_crls(const struct tls_material *a, const struct tls_material *b)
{
    bool same = a->check_crl == b->check_crl && sk_X509_CRL_num(a->crls) == sk_X509_CRL_num(b->crls);
    for (int i = 0; same && i < sk_X509_CRL_num(a->crls); i++)
        same = X509_CRL_match(sk_X509_CRL_value(a->crls, i), sk_X509_CRL_value(b->crls, i)) == 0;
    return same;
}

static bool same_key(const struct tls_material *a, const struct tls_material *b)
{
    return a->key == NULL || b->key == NULL ? a->key == b->key : EVP_PKEY_eq(a->key, b->key) == 1;
}

static bool same_verify(const struct tls_material *a, const struct tls_material *b)
{
    bool same = a->verify_count == b->verify_count;
    for (uint32_t i = 0; same && i < a->verify_count; i++)
        same = a->verify[i].kind == b->verify[i].kind && a->verify[i].size == b->verify[i].size &&
               memcmp(a->verify[i].text, b->verify[i].text, a->verify[i].size) == 0;
    return same;
}

bool tls_material_equal(const struct tls_material *a, const struct tls_material *b)
{
    return a->role == b->role && a->tls_1_2 == b->tls_1_2 && a->alpn_size == b->alpn_size &&
           memcmp(a->alpn, b->alpn, a->alpn_size) == 0 && same_verify(a, b) &&
           same_certificate(a->certificate, b->certificate) && same_certificates(a->intermediates, b->intermediates) &&
           same_key(a, b) && same_certificates(a->ca, b->ca) && same_crls(a, b);
}
