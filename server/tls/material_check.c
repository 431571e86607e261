/* SPDX-License-Identifier: Apache-2.0 */
#include "material_check.h"

#include <time.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "describe.h"
#include "failure.h"
#include "parts.h"

/* Certificate and key */

static void check_dates(const X509 *certificate, const char *path, enum tls_setting setting,
                        struct complaints *complaints)
{
    char name[DESCRIBE_NAME_BYTES], date[DESCRIBE_DATE_BYTES];
    const ASN1_TIME *begin = X509_get0_notBefore(certificate), *end = X509_get0_notAfter(certificate);
    if (X509_cmp_current_time(end) < 0)
        warn(complaints, setting, "%s: certificate %s expired %s", path, describe_certificate(certificate, name),
             describe_date(end, date));
    else if (X509_cmp_current_time(begin) > 0)
        warn(complaints, setting, "%s: certificate %s is not valid before %s", path,
             describe_certificate(certificate, name), describe_date(begin, date));
}

static void check_purpose(const struct tls_material *material, const char *path, struct complaints *complaints)
{
    bool server = material->role == TLS_SERVER;
    char name[DESCRIBE_NAME_BYTES];
    int purpose = server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
    if (X509_check_purpose(material->certificate, purpose, 0) != 1)
        warn(complaints, TLS_SETTING_CERTIFICATE, "%s: certificate %s is not for %s; peers will refuse it", path,
             describe_certificate(material->certificate, name), server ? "servers" : "clients");
}

static int check_order(const struct tls_material *material, const char *path, struct complaints *complaints)
{
    X509 *issued = material->certificate;
    int count = sk_X509_num(material->intermediates);
    if (count + 1 > CHAIN_CERTIFICATES_MAX)
        return complain(complaints, TLS_SETTING_CERTIFICATE, "%s: holds %d certificates; a chain has at most %d", path,
                        count + 1, CHAIN_CERTIFICATES_MAX);
    for (int i = 0; i < count; i++) {
        X509 *issuer = sk_X509_value(material->intermediates, i);
        if (X509_check_issued(issuer, issued) != X509_V_OK)
            warn(complaints, TLS_SETTING_CERTIFICATE,
                 "%s: certificate %d did not issue the one before it; the order is leaf first, then its issuers", path,
                 i + 2);
        issued = issuer;
    }
    return 0;
}

static int check_certificate(const struct tls_material *material, const struct tls_settings *settings,
                             struct complaints *complaints)
{
    if (material->certificate == NULL || material->key == NULL) {
        bool pool_without = material->role == TLS_CLIENT && material->certificate == NULL && material->key == NULL;
        return pool_without ? 0 : complain(complaints, TLS_SETTING_CERTIFICATE, "tls needs both certificate and key");
    }
    if (X509_check_private_key(material->certificate, material->key) != 1)
        return complain(complaints, TLS_SETTING_KEY, "%s: is not the key of the certificate in %s", settings->key,
                        settings->certificate);
    check_dates(material->certificate, settings->certificate, TLS_SETTING_CERTIFICATE, complaints);
    check_purpose(material, settings->certificate, complaints);
    return check_order(material, settings->certificate, complaints);
}

/* CA and CRL */

static int check_ca(const struct tls_material *material, const struct tls_settings *settings,
                    struct complaints *complaints)
{
    char name[DESCRIBE_NAME_BYTES];
    int err = 0;
    if (material->ca == NULL && material->role == TLS_CLIENT)
        return complain(complaints, TLS_SETTING_CA, "tls of a pool needs ca: the file that upstreams are verified by");
    if (material->ca == NULL && material->check_crl)
        return complain(complaints, TLS_SETTING_CRL, "crl without client_ca revokes nothing");
    for (int i = 0; i < sk_X509_num(material->ca); i++) {
        X509 *ca = sk_X509_value(material->ca, i);
        if (X509_check_ca(ca) == 0)
            err = complain(complaints, TLS_SETTING_CA, "%s: certificate %s is not a CA's", settings->ca,
                           describe_certificate(ca, name));
        else
            check_dates(ca, settings->ca, TLS_SETTING_CA, complaints);
    }
    return err;
}

static const X509_CRL *find_crl(const struct tls_material *material, const X509 *ca)
{
    const X509_CRL *found = NULL;
    for (int i = 0; i < sk_X509_CRL_num(material->crls); i++) {
        const X509_CRL *crl = sk_X509_CRL_value(material->crls, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0)
            found = crl;
    }
    return found;
}

#define REFUSES "; until there is a fresh one, every certificate that it issued is refused"

static void check_crl_of(const struct tls_material *material, const X509 *ca, const char *path,
                         struct complaints *complaints)
{
    char name[DESCRIBE_NAME_BYTES], date[DESCRIBE_DATE_BYTES];
    const X509_CRL *crl = find_crl(material, ca);
    const ASN1_TIME *end = crl == NULL ? NULL : X509_CRL_get0_nextUpdate(crl);
    describe_name(X509_get_subject_name(ca), name);
    if (crl == NULL)
        warn(complaints, TLS_SETTING_CRL, "%s: no CRL of %s" REFUSES, path, name);
    else if (end != NULL && X509_cmp_current_time(end) < 0)
        warn(complaints, TLS_SETTING_CRL, "%s: the CRL of %s expired %s" REFUSES, path, name, describe_date(end, date));
}

/* What OpenSSL itself objects to: keys and signatures that are too weak. */
static int check_by_trial(const struct tls_material *material, const struct tls_settings *settings,
                          struct complaints *complaints)
{
    ERR_clear_error();
    SSL_CTX *trial = SSL_CTX_new(TLS_method());
    int err = 0;
    if (trial == NULL)
        err = WEIR_ENOMEM;
    else if (context_configure(trial, material) != 0)
        err = tls_ran_out_of_memory() || settings->certificate == NULL
                  ? WEIR_ENOMEM
                  : complain(complaints, TLS_SETTING_CERTIFICATE, "%s: cannot be used: %s", settings->certificate,
                             tls_queued_reason());
    SSL_CTX_free(trial);
    ERR_clear_error();
    return err;
}

int material_check(const struct tls_material *material, const struct tls_settings *settings,
                   struct complaints *complaints)
{
    int err = check_certificate(material, settings, complaints);
    int ca_err = check_ca(material, settings, complaints);
    for (int i = 0; material->check_crl && i < sk_X509_num(material->ca); i++)
        check_crl_of(material, sk_X509_value(material->ca, i), settings->crl, complaints);
    err = err != 0 ? err : ca_err;
    return err != 0 ? err : check_by_trial(material, settings, complaints);
}
