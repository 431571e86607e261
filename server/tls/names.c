/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "failure.h"

/* What is found, before it is copied: `list` points into the certificate. */
struct found {
    uint32_t count, bytes;
    struct identity_name list[IDENTITY_NAMES_MAX];
};

int certificate_general_names(const X509 *certificate, GENERAL_NAMES **ret_names)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (names == NULL && critical != -1)
        return tls_ran_out_of_memory() ? WEIR_ENOMEM : WEIR_EINVAL;
    *ret_names = names;
    return 0;
}

const ASN1_STRING *certificate_general_name(const GENERAL_NAME *name, enum identity_kind *ret_kind)
{
    int type = 0;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);
    switch (type) {
    case GEN_DNS:
        *ret_kind = IDENTITY_DNS;
        return text;
    case GEN_URI:
        *ret_kind = IDENTITY_URI;
        return text;
    case GEN_EMAIL:
        *ret_kind = IDENTITY_EMAIL;
        return text;
    default:
        return NULL;
    }
}

static int add(struct found *found, enum identity_kind kind, const char *bytes, uint32_t size)
{
    if (size == 0)
        return 0;
    if (found->count == IDENTITY_NAMES_MAX || size > IDENTITY_NAME_BYTES_MAX)
        return WEIR_EINVAL;
    found->list[found->count++] = (struct identity_name){ .kind = kind, .size = size, .bytes = bytes };
    found->bytes += size;
    return 0;
}

static int add_string(struct found *found, enum identity_kind kind, const ASN1_STRING *string)
{
    return add(found, kind, (const char *)ASN1_STRING_get0_data(string), (uint32_t)ASN1_STRING_length(string));
}

static int add_general_names(struct found *found, const GENERAL_NAMES *names)
{
    int err = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && err == 0; i++) {
        enum identity_kind kind;
        const ASN1_STRING *text = certificate_general_name(sk_GENERAL_NAME_value(names, i), &kind);
        if (text != NULL)
            err = add_string(found, kind, text);
    }
    return err;
}

/* Only of types whose bytes are what a reader sees: two letters of a BMPString may look like four of ASCII. Of several
 * common names none can be told to be the one meant. */
static int add_common_name(struct found *found, const X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return 0;
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    switch (ASN1_STRING_type(text)) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_IA5STRING:
        return add_string(found, IDENTITY_CN, text);
    default:
        return 0;
    }
}

static int add_fingerprint(struct found *found, const X509 *certificate, char hex[64])
{
    unsigned char digest[32];
    if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
        return WEIR_ENOMEM;
    for (unsigned i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    return add(found, IDENTITY_SHA256, hex, 64);
}

static void copy(char *to, const struct identity_name *name)
{
    for (uint32_t i = 0; i < name->size; i++) {
        char c = name->bytes[i];
        to[i] = name->kind == IDENTITY_DNS && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
}

static int copy_out(const struct found *found, struct certificate_names **ret_names)
{
    struct certificate_names *names = malloc(sizeof *names + found->count * sizeof *names->names + found->bytes);
    if (names == NULL)
        return WEIR_ENOMEM;
    struct identity_name *list = (struct identity_name *)(names + 1);
    char *bytes = (char *)(list + found->count);
    for (uint32_t i = 0; i < found->count; i++) {
        list[i] = found->list[i];
        list[i].bytes = bytes;
        copy(bytes, &found->list[i]);
        bytes += list[i].size;
    }
    *names = (struct certificate_names){ .count = found->count, .names = list };
    *ret_names = names;
    return 0;
}

int certificate_names_of(const X509 *certificate, struct certificate_names **ret_names)
{
    struct found found = { 0 };
    char fingerprint[64];
    GENERAL_NAMES *alternatives = NULL;
    int err = certificate_general_names(certificate, &alternatives);
    if (err == 0 && alternatives != NULL)
        err = add_general_names(&found, alternatives);
    else if (err == 0)
        err = add_common_name(&found, certificate);
    if (err == 0)
        err = add_fingerprint(&found, certificate, fingerprint);
    if (err == 0)
        err = copy_out(&found, ret_names);
    GENERAL_NAMES_free(alternatives);
    return err;
}

void certificate_names_free(struct certificate_names **pnames)
{
    free(*pnames);
    *pnames = NULL;
}

void certificate_names_identity(const struct certificate_names *names, struct identity *identity)
{
    identity->has_certificate = true;
    identity->names = names->names;
    identity->name_count = names->count;
}
