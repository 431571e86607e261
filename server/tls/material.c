/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "library.h"
#include "material_check.h"
#include "parts.h"
#include "pem.h"
#include "verify.h"

/* Files */

static int load_certificates(const char *path, enum tls_setting setting, struct complaints *complaints,
                             STACK_OF(X509) * *ret_certificates)
{
    struct pem_file file = { .path = path, .setting = setting, .complaints = complaints };
    int err = pem_read(&file);
    if (err == 0)
        err = pem_certificates(&file, ret_certificates);
    pem_free(&file);
    return err;
}

static int load_chain(struct tls_material *material, const char *path, struct complaints *complaints)
{
    int err = load_certificates(path, TLS_SETTING_CERTIFICATE, complaints, &material->intermediates);
    if (err == 0)
        material->certificate = sk_X509_shift(material->intermediates);
    return err;
}

static int load_key(struct tls_material *material, const char *path, struct complaints *complaints)
{
    struct pem_file file = { .path = path, .setting = TLS_SETTING_KEY, .complaints = complaints };
    int err = pem_read(&file);
    if (err == 0 && file.others_may_read)
        err = complain(complaints, TLS_SETTING_KEY, "%s: others can read this private key; chmod o-r it", path);
    if (err == 0)
        err = pem_key(&file, &material->key);
    pem_free(&file);
    return err;
}

static int load_crls(struct tls_material *material, const char *path, struct complaints *complaints)
{
    struct pem_file file = {
        .path = path, .setting = TLS_SETTING_CRL, .complaints = complaints, .may_be_missing = true
    };
    material->check_crl = true;
    int err = pem_read(&file);
    if (err == 0 && file.bytes != NULL)
        err = pem_crls(&file, &material->crls);
    pem_free(&file);
    return err;
}

/* The earlier error stays, but for a lack of memory. */
static int worse(int err, int other)
{
    return err == WEIR_ENOMEM || other == 0 ? err : other;
}

/* All files, so that all complaints come together. */
static int load_files(struct tls_material *material, const struct tls_settings *settings, struct complaints *complaints)
{
    int err = 0;
    if (settings->certificate != NULL)
        err = load_chain(material, settings->certificate, complaints);
    if (settings->key != NULL)
        err = worse(err, load_key(material, settings->key, complaints));
    if (settings->ca != NULL)
        err = worse(err, load_certificates(settings->ca, TLS_SETTING_CA, complaints, &material->ca));
    if (settings->crl != NULL)
        err = worse(err, load_crls(material, settings->crl, complaints));
    return err;
}

/* Plain settings */

static int copy_alpn(struct tls_material *material, const struct tls_settings *settings, struct complaints *complaints)
{
    size_t total = 0;
    for (uint32_t i = 0; i < settings->alpn_count; i++) {
        size_t size = strlen(settings->alpn[i]);
        if (size == 0 || size > 255)
            return complain(complaints, TLS_SETTING_ALPN, "alpn: a protocol's name has 1 to 255 bytes");
        total += 1 + size;
    }
    if (total > UINT16_MAX)
        return complain(complaints, TLS_SETTING_ALPN, "alpn: all names together have at most 65535 bytes");
    unsigned char *at = material->alpn = malloc(total + 1);
    if (at == NULL)
        return WEIR_ENOMEM;
    material->alpn_size = (uint32_t)total;
    for (uint32_t i = 0; i < settings->alpn_count; i++) {
        size_t size = strlen(settings->alpn[i]);
        *at++ = (unsigned char)size;
        at = (unsigned char *)memcpy(at, settings->alpn[i], size) + size;
    }
    return 0;
}

static int copy_verify(struct tls_material *material, const struct tls_settings *settings)
{
    material->verify = calloc(settings->verify_count + 1, sizeof *material->verify);
    if (material->verify == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = 0; i < settings->verify_count; i++) {
        const struct tls_name *from = &settings->verify[i];
        struct tls_name *to = &material->verify[i];
        *to = (struct tls_name){ .kind = from->kind, .size = from->size, .text = malloc(from->size + 1) };
        if (to->text == NULL)
            return WEIR_ENOMEM;
        memcpy(to->text, from->text, from->size);
        to->text[from->size] = '\0';
        material->verify_count = i + 1;
    }
    return 0;
}

/* The first look into a CRL sorts it, which takes long: better here than in a handshake. */
static void sort_crl(X509_CRL *crl)
{
    ASN1_INTEGER *none = ASN1_INTEGER_new();
    X509_REVOKED *revoked = NULL;
    if (none != NULL)
        X509_CRL_get0_by_serial(crl, &revoked, none);
    ASN1_INTEGER_free(none);
}

static void note_crls(struct tls_material *material)
{
    material->crl_until_s = INT64_MAX;
    for (int i = 0; i < sk_X509_CRL_num(material->crls); i++) {
        sort_crl(sk_X509_CRL_value(material->crls, i));
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(material->crls, i));
        int64_t end = next == NULL ? INT64_MAX : asn1_time_seconds(next);
        material->crl_until_s = end < material->crl_until_s ? end : material->crl_until_s;
    }
}

/* Birth and death */

static int load(struct tls_material *material, const struct tls_settings *settings, struct complaints *complaints)
{
    material->tls_1_2 = settings->tls_1_2;
    int err = copy_verify(material, settings);
    err = worse(err, copy_alpn(material, settings, complaints));
    err = worse(err, load_files(material, settings, complaints));
    if (err != 0)
        return err;
    note_crls(material);
    return material_check(material, settings, complaints);
}

int tls_material_load(const struct tls_settings *settings, enum tls_role role, struct tls_complaint *complaints,
                      uint32_t *count, uint32_t *ret_errors, struct tls_material **ret_material)
{
    struct complaints list = { .list = complaints, .room = *count };
    struct tls_material *material = tls_library_start() != 0 ? NULL : calloc(1, sizeof *material);
    if (material == NULL)
        return WEIR_ENOMEM;
    atomic_init(&material->references, 1);
    material->role = role;
    int err = load(material, settings, &list);
    ERR_clear_error();
    *count = list.count;
    *ret_errors = list.errors;
    if (err != 0)
        tls_material_unref(&material);
    else
        *ret_material = material;
    return err;
}

static void free_material(struct tls_material *material)
{
    X509_free(material->certificate);
    sk_X509_pop_free(material->intermediates, X509_free);
    EVP_PKEY_free(material->key);
    sk_X509_pop_free(material->ca, X509_free);
    sk_X509_CRL_pop_free(material->crls, X509_CRL_free);
    for (uint32_t i = 0; i < material->verify_count; i++)
        free(material->verify[i].text);
    free(material->verify);
    free(material->alpn);
    free(material);
}

struct tls_material *tls_material_ref(struct tls_material *material)
{
    atomic_fetch_add_explicit(&material->references, 1, memory_order_relaxed);
    return material;
}

void tls_material_unref(struct tls_material **pmaterial)
{
    struct tls_material *material = *pmaterial;
    *pmaterial = NULL;
    if (material != NULL && atomic_fetch_sub_explicit(&material->references, 1, memory_order_acq_rel) == 1)
        free_material(material);
}
