/* SPDX-License-Identifier: Apache-2.0 */
#include "pki_x509.h"

#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <weir/errors.h>

#include "pki_names.h"

#define SERIAL_BYTES 16
#define DAY_S INT64_C(86400)
#define CLOCK_SKEW_S 300 /* clocks of other machines may be behind */
#define ORGANIZATION "Weir development CA"

void pki_pair_free(struct pki_pair *pair)
{
    EVP_PKEY_free(pair->key);
    X509_free(pair->certificate);
    *pair = (struct pki_pair){ 0 };
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    if (context == NULL || EVP_PKEY_keygen_init(context) <= 0 ||
        EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) <= 0 ||
        EVP_PKEY_keygen(context, &key) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

/* Times, serials, names */

int64_t pki_time(const ASN1_TIME *time)
{
    struct tm parts;
    return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static bool set_validity(X509 *certificate, int64_t now_s, uint32_t days)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), now_s - CLOCK_SKEW_S) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), now_s + days * DAY_S) != NULL;
}

static bool set_serial(X509 *certificate, const unsigned char bytes[SERIAL_BYTES])
{
    BIGNUM *number = BN_bin2bn(bytes, SERIAL_BYTES, NULL);
    bool done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return done;
}

int pki_serial_format(const X509 *certificate, char text[PKI_SERIAL_MAX + 1])
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;
    bool fits = hex != NULL && strlen(hex) <= PKI_SERIAL_MAX;
    if (fits)
        snprintf(text, PKI_SERIAL_MAX + 1, "%s", hex);
    OPENSSL_free(hex);
    BN_free(number);
    return fits ? 0 : WEIR_ENOMEM;
}

static bool name_add(X509_NAME *name, int nid, const char *text)
{
    return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool set_subject(X509 *certificate, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return name_add(name, NID_organizationName, ORGANIZATION) && name_add(name, NID_commonName, common_name);
}

/* Extensions */

static bool add_extension(X509 *certificate, const X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, (X509 *)issuer, certificate, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    bool done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

/* The value is made here and not by OpenSSL's configuration language, in which a comma would begin another name. */
static bool add_name(GENERAL_NAMES *names, int type, const void *bytes, int size)
{
    ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (value != NULL && name != NULL && ASN1_STRING_set(value, bytes, size) == 1) {
        GENERAL_NAME_set0_value(name, type, value);
        value = NULL;
        if (sk_GENERAL_NAME_push(names, name) > 0)
            return true;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    return false;
}

static bool add_names(GENERAL_NAMES *names, int type, const struct pki_texts *texts)
{
    bool done = true;
    for (uint32_t n = 0; done && n < texts->count; n++) {
        unsigned char address[16];
        const char *text = texts->at[n];
        done = type == GEN_IPADD ? add_name(names, type, address, pki_address_parse(text, address))
                                 : add_name(names, type, text, (int)strlen(text));
    }
    return done;
}

static bool add_alternative_names(X509 *certificate, const struct pki_request *request)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool done = names != NULL && add_names(names, GEN_DNS, &request->names) &&
                add_names(names, GEN_IPADD, &request->addresses) && add_names(names, GEN_URI, &request->uris) &&
                X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return done;
}

/* Certificates */

static bool fill_in_ca(X509 *certificate, EVP_PKEY *key, const unsigned char serial[SERIAL_BYTES])
{
    /* A part of its own, so that messages about one CA are not taken for another's. */
    char name[64];
    snprintf(name, sizeof name, ORGANIZATION " %02x%02x%02x%02x", serial[0], serial[1], serial[2], serial[3]);
    return X509_set_pubkey(certificate, key) == 1 && set_subject(certificate, name) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
           add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const struct pki_pair *ca, const struct pki_request *request)
{
    const char *purpose = request->server ? "serverAuth" : "clientAuth";
    return X509_set_pubkey(certificate, key) == 1 && set_subject(certificate, request->names.at[0]) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) == 1 &&
           add_extension(certificate, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, ca->certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, ca->certificate, NID_ext_key_usage, purpose) &&
           add_extension(certificate, ca->certificate, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, ca->certificate, NID_authority_key_identifier, "keyid:always") &&
           add_alternative_names(certificate, request) && X509_sign(certificate, ca->key, EVP_sha256()) > 0;
}

/* `ca` NULL: a CA. */
static int new_pair(const struct pki_pair *ca, const struct pki_request *request, int64_t now_s, uint32_t days,
                    struct pki_pair *ret_pair)
{
    unsigned char serial[SERIAL_BYTES];
    struct pki_pair pair = { new_key(), X509_new() };
    bool done = pair.key != NULL && pair.certificate != NULL && X509_set_version(pair.certificate, 2) == 1 &&
                RAND_bytes(serial, sizeof serial) == 1 && set_serial(pair.certificate, serial) &&
                set_validity(pair.certificate, now_s, days) &&
                (ca == NULL ? fill_in_ca(pair.certificate, pair.key, serial)
                            : fill_in(pair.certificate, pair.key, ca, request));
    if (done)
        *ret_pair = pair;
    else
        pki_pair_free(&pair);
    return done ? 0 : WEIR_ENOMEM;
}

int pki_pair_new_ca(int64_t now_s, uint32_t days, struct pki_pair *ret_pair)
{
    return new_pair(NULL, NULL, now_s, days, ret_pair);
}

int pki_pair_new(const struct pki_pair *ca, const struct pki_request *request, int64_t now_s, uint32_t days,
                 struct pki_pair *ret_pair)
{
    return new_pair(ca, request, now_s, days, ret_pair);
}

/* CRL */

static bool add_revoked(X509_CRL *crl, const struct pki_entry *entry)
{
    BIGNUM *number = NULL;
    ASN1_INTEGER *serial = BN_hex2bn(&number, entry->serial) > 0 ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    ASN1_TIME *time = ASN1_TIME_set(NULL, entry->revoked_s);
    X509_REVOKED *revoked = X509_REVOKED_new();
    bool done = serial != NULL && time != NULL && revoked != NULL &&
                X509_REVOKED_set_serialNumber(revoked, serial) == 1 &&
                X509_REVOKED_set_revocationDate(revoked, time) == 1 && X509_CRL_add0_revoked(crl, revoked) == 1;
    if (!done)
        X509_REVOKED_free(revoked);
    ASN1_TIME_free(time);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return done;
}

static bool add_all_revoked(X509_CRL *crl, const struct pki_index *index)
{
    bool done = true;
    for (uint32_t n = 0; done && n < index->count; n++)
        done = index->entries[n].revoked_s == 0 || add_revoked(crl, &index->entries[n]);
    return done;
}

static bool set_crl_times(X509_CRL *crl, int64_t now_s, uint32_t days)
{
    ASN1_TIME *last = ASN1_TIME_set(NULL, now_s - CLOCK_SKEW_S), *next = ASN1_TIME_set(NULL, now_s + days * DAY_S);
    bool done = last != NULL && next != NULL && X509_CRL_set1_lastUpdate(crl, last) == 1 &&
                X509_CRL_set1_nextUpdate(crl, next) == 1;
    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
    return done;
}

/* Numbers must rise; nanoseconds do, without anybody keeping count. */
static bool set_crl_number(X509_CRL *crl)
{
    struct timespec now;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof text, "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    ASN1_INTEGER *number = s2i_ASN1_INTEGER(NULL, text);
    bool done = number != NULL && X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_INTEGER_free(number);
    return done;
}

static bool set_crl_issuer(X509_CRL *crl, const X509 *ca)
{
    AUTHORITY_KEYID *keyid = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *own = X509_get0_subject_key_id((X509 *)ca);
    bool done = keyid != NULL && own != NULL && (keyid->keyid = ASN1_OCTET_STRING_dup(own)) != NULL &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, keyid, 0, X509V3_ADD_DEFAULT) == 1;
    AUTHORITY_KEYID_free(keyid);
    return done;
}

X509_CRL *pki_crl_new(const struct pki_pair *ca, const struct pki_index *index, int64_t now_s, uint32_t days)
{
    X509_CRL *crl = X509_CRL_new();
    if (crl != NULL && X509_CRL_set_version(crl, 1) == 1 && set_crl_issuer(crl, ca->certificate) &&
        set_crl_times(crl, now_s, days) && set_crl_number(crl) && add_all_revoked(crl, index) &&
        X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0)
        return crl;
    X509_CRL_free(crl);
    return NULL;
}
