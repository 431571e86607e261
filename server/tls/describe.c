/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <stdio.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "names.h"

/* Writes text, cut to its end. */
struct writer {
    char *at, *end; /* at < end: room for the NUL */
};

static void put(struct writer *writer, const char *bytes, size_t size)
{
    size_t room = (size_t)(writer->end - writer->at) - 1;
    size_t part = size < room ? size : room;
    memcpy(writer->at, bytes, part);
    writer->at += part;
    *writer->at = '\0';
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static struct writer writer_into(char *text, size_t size)
{
    struct writer writer;
    writer.at = text;
    writer.end = text + size;
    text[0] = '\0';
    return writer;
}

static void put_escaped(struct writer *writer, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char escape[4];
        snprintf(escape, sizeof escape, "\\%02X", bytes[i]);
        if (bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != '\\')
            put(writer, (const char *)&bytes[i], 1);
        else
            put(writer, escape, 3);
    }
}

char *describe_name(const X509_NAME *name, char text[DESCRIBE_NAME_BYTES])
{
    struct writer writer = writer_into(text, DESCRIBE_NAME_BYTES);
    BIO *memory = BIO_new(BIO_s_mem());
    /* Reversed, as RFC 4514 writes it, so that the common name comes first; all but ASCII escaped. */
    if (memory != NULL && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) > 0) {
        char *printed = NULL;
        long size = BIO_get_mem_data(memory, &printed);
        put(&writer, printed, (size_t)size);
    }
    BIO_free(memory);
    if (text[0] == '\0')
        put_text(&writer, "(no name)");
    return text;
}

static bool describe_alternative(const X509 *certificate, char text[DESCRIBE_NAME_BYTES])
{
    GENERAL_NAMES *names = NULL;
    struct writer writer = writer_into(text, DESCRIBE_NAME_BYTES);
    bool found = false;
    if (certificate_general_names(certificate, &names) != 0)
        return false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        enum identity_kind kind;
        const ASN1_STRING *string = certificate_general_name(sk_GENERAL_NAME_value(names, i), &kind);
        found = string != NULL;
        if (found) {
            put_text(&writer, identity_kind_name(kind));
            put_text(&writer, ":");
            put_escaped(&writer, ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

char *describe_certificate(const X509 *certificate, char text[DESCRIBE_NAME_BYTES])
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    if (X509_NAME_entry_count(subject) > 0 || !describe_alternative(certificate, text))
        describe_name(subject, text);
    return text;
}

char *describe_date(const ASN1_TIME *time, char text[DESCRIBE_DATE_BYTES])
{
    struct tm broken_down;
    if (time == NULL || ASN1_TIME_to_tm(time, &broken_down) != 1 ||
        strftime(text, DESCRIBE_DATE_BYTES, "%Y-%m-%d", &broken_down) == 0)
        snprintf(text, DESCRIBE_DATE_BYTES, "(no date)");
    return text;
}

/* The CRL that a verification objected to is not kept by it. */
static char *describe_crl_end(X509_STORE_CTX *verification, const X509_NAME *issuer, char text[DESCRIBE_DATE_BYTES])
{
    STACK_OF(X509_CRL) *crls = X509_STORE_CTX_get1_crls(verification, issuer);
    describe_date(crls == NULL ? NULL : X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, 0)), text);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return text;
}

void describe_refusal(X509_STORE_CTX *verification, enum tls_role role, char *text, size_t size)
{
    char name[DESCRIBE_NAME_BYTES], issuer[DESCRIBE_NAME_BYTES], date[DESCRIBE_DATE_BYTES];
    const X509 *certificate = X509_STORE_CTX_get_current_cert(verification);
    int error = X509_STORE_CTX_get_error(verification);
    const char *leaf = role == TLS_SERVER ? "client certificate" : "upstream certificate";
    const char *what = X509_STORE_CTX_get_error_depth(verification) == 0 ? leaf : "CA certificate";

    if (certificate == NULL)
        certificate = X509_STORE_CTX_get0_cert(verification);
    describe_certificate(certificate, name);
    describe_name(X509_get_issuer_name(certificate), issuer);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        describe_date(X509_get0_notAfter(certificate), date);
        snprintf(text, size, "%s %s expired %s", what, name, date);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        describe_date(X509_get0_notBefore(certificate), date);
        snprintf(text, size, "%s %s is not valid before %s", what, name, date);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        snprintf(text, size, "unable to find the issuer %s of %s %s", issuer, what, name);
        break;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        snprintf(text, size, "no CRL of %s for %s %s", issuer, what, name);
        break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        snprintf(text, size, "the CRL of %s for %s %s expired %s", issuer, what, name,
                 describe_crl_end(verification, X509_get_issuer_name(certificate), date));
        break;
    default:
        snprintf(text, size, "%s %s: %s", what, name, X509_verify_cert_error_string(error));
    }
}

void describe_mismatch(const X509 *certificate, const struct tls_name *names, uint32_t count, char *text, size_t size)
{
    char name[DESCRIBE_NAME_BYTES];
    struct writer writer = writer_into(text, size);
    put_text(&writer, "certificate of ");
    put_text(&writer, describe_certificate(certificate, name));
    put_text(&writer, " is not for ");
    for (uint32_t i = 0; i < count; i++) {
        const char *kind = names[i].kind == TLS_NAME_IP ? "ip" : identity_kind_name((enum identity_kind)names[i].kind);
        put_text(&writer, i == 0 ? "" : " or ");
        put_text(&writer, kind);
        put_text(&writer, ":");
        put_escaped(&writer, (const unsigned char *)names[i].text, names[i].size);
    }
}
