/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

/* Certificates */

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    if (value == NULL)
        return;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL);
    assert(X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_times(X509 *x509, const struct cert_options *options)
{
    int64_t now_s = time(NULL);
    ASN1_TIME_set(X509_getm_notBefore(x509), options->from_s != 0 ? options->from_s : now_s - CERT_DAY);
    ASN1_TIME_set(X509_getm_notAfter(x509), options->until_s != 0 ? options->until_s : now_s + 30 * CERT_DAY);
}

static void set_subject(X509 *x509, const char *cn)
{
    X509_NAME *name = X509_get_subject_name(x509);
    if (cn != NULL)
        assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1);
}

static EVP_PKEY *new_key(const struct cert_options *options)
{
    EVP_PKEY *key = options->key;
    if (key != NULL)
        EVP_PKEY_up_ref(key);
    else
        key = options->rsa_bits > 0 ? EVP_RSA_gen((unsigned)options->rsa_bits) : EVP_EC_gen("P-256");
    assert(key != NULL);
    return key;
}

void cert_sign(struct cert *cert, const struct cert *issuer, const char *digest)
{
    EVP_PKEY *key = issuer == NULL ? cert->key : issuer->key;
    assert(X509_sign(cert->x509, key, EVP_get_digestbyname(digest == NULL ? "SHA256" : digest)) > 0);
}

struct cert cert_new(const struct cert *issuer, const struct cert_options *options)
{
    static long serial = 1000;
    struct cert cert = { .x509 = X509_new(), .key = new_key(options) };
    X509 *by = issuer == NULL ? cert.x509 : issuer->x509;
    const char *constraints = options->ca ? "critical,CA:TRUE" : NULL;
    X509_set_version(cert.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), serial++);
    set_times(cert.x509, options);
    set_subject(cert.x509, options->cn);
    X509_set_issuer_name(cert.x509, X509_get_subject_name(by));
    X509_set_pubkey(cert.x509, cert.key);
    add_extension(cert.x509, by, NID_basic_constraints,
                  options->constraints != NULL ? options->constraints : constraints);
    add_extension(cert.x509, by, NID_subject_key_identifier, "hash");
    add_extension(cert.x509, by, NID_key_usage, options->ca ? "critical,keyCertSign,cRLSign" : NULL);
    add_extension(cert.x509, by, NID_ext_key_usage, options->usage);
    add_extension(cert.x509, by, NID_subject_alt_name, options->san);
    add_extension(cert.x509, by, NID_name_constraints, options->name_constraints);
    cert_sign(&cert, issuer, options->digest);
    return cert;
}

void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (struct cert){ 0 };
}

EVP_PKEY *cert_mismatched_key(EVP_PKEY *shown)
{
    EVP_PKEY *other = EVP_EC_gen("P-256"), *mixed = NULL;
    BIGNUM *secret = NULL;
    unsigned char point[128];
    size_t size = 0;
    assert(EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &secret) == 1);
    assert(EVP_PKEY_get_octet_string_param(shown, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &size) == 1);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, secret);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, size);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert(EVP_PKEY_fromdata_init(context) == 1);
    assert(EVP_PKEY_fromdata(context, &mixed, EVP_PKEY_KEYPAIR, parameters) == 1);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(secret);
    EVP_PKEY_free(other);
    return mixed;
}

X509_CRL *cert_crl(const struct cert *issuer, int64_t until_s, const struct cert *revoked)
{
    return cert_crl_between(issuer, time(NULL) - CERT_DAY, until_s, revoked);
}

X509_CRL *cert_crl_between(const struct cert *issuer, int64_t from_s, int64_t until_s, const struct cert *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, from_s), *until = ASN1_TIME_set(NULL, until_s);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509));
    X509_CRL_set1_lastUpdate(crl, from);
    X509_CRL_set1_nextUpdate(crl, until);
    if (revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509));
        X509_REVOKED_set_revocationDate(entry, from);
        X509_CRL_add0_revoked(crl, entry);
    }
    assert(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return crl;
}

/* Files */

static char folder[32];
static char *paths[256];
static unsigned path_count;

const char *certs_folder(void)
{
    if (path_count == 0) {
        snprintf(folder, sizeof folder, "/tmp/weir-certs-XXXXXX");
        assert(mkdtemp(folder) != NULL);
    }
    return folder;
}

void certs_folder_remove(void)
{
    for (unsigned i = 0; i < path_count; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    if (path_count > 0)
        rmdir(folder);
    path_count = 0;
}

static FILE *create(const char *name, char **ret_path)
{
    const char *in = certs_folder();
    assert(path_count < sizeof paths / sizeof paths[0]);
    assert(asprintf(ret_path, "%s/%s", in, name) > 0);
    paths[path_count++] = *ret_path;
    FILE *file = fopen(*ret_path, "w");
    assert(file != NULL);
    return file;
}

char *certs_write_text(const char *name, const char *text)
{
    char *path;
    FILE *file = create(name, &path);
    fputs(text, file);
    fclose(file);
    return path;
}

char *certs_write_list(const char *name, X509 *const *list)
{
    char *path;
    FILE *file = create(name, &path);
    for (; *list != NULL; list++)
        assert(PEM_write_X509(file, *list) == 1);
    fclose(file);
    return path;
}

char *certs_write_key(const char *name, EVP_PKEY *key)
{
    char *path;
    FILE *file = create(name, &path);
    fchmod(fileno(file), 0600);
    assert(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    return path;
}

char *certs_write_crl_list(const char *name, X509_CRL *const *list)
{
    char *path;
    FILE *file = create(name, &path);
    for (; *list != NULL; list++)
        assert(PEM_write_X509_CRL(file, *list) == 1);
    fclose(file);
    return path;
}
