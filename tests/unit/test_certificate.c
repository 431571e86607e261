/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <weir/errors.h>

#include "../../server/tls/certificate.h"
#include "certs.h"

/* What a certificate says of its owner. */

static struct cert ca;

static int make_ca(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    return 0;
}

static int drop_ca(void **state)
{
    (void)state;
    cert_free(&ca);
    certs_folder_remove();
    return 0;
}

static struct certificate_names *read_names(const struct cert *cert)
{
    struct certificate_names *names = NULL;
    unsigned char *der = NULL;
    int size = i2d_X509(cert->x509, &der);
    assert_true(size > 0);
    assert_int_equal(certificate_names_read(der, (uint32_t)size, &names), 0);
    OPENSSL_free(der);
    return names;
}

/* Reads them as one text: "dns:a uri:b", the digest left out but counted on. */
static char *names_text(struct cert cert)
{
    struct certificate_names *names = read_names(&cert);
    struct identity identity = { 0 };
    char *text = calloc(1, 4096), *at = text;
    certificate_names_identity(names, &identity);
    assert_true(identity.has_certificate);
    for (uint32_t i = 0; i + 1 < identity.name_count; i++) {
        const struct identity_name *name = &identity.names[i];
        at += sprintf(at, "%s%s:", i == 0 ? "" : " ", identity_kind_name(name->kind));
        for (uint32_t n = 0; n < name->size; n++)
            at += sprintf(at, name->bytes[n] == '\0' ? "<NUL>" : "%c", name->bytes[n]);
    }
    assert_int_equal(identity.names[identity.name_count - 1].kind, IDENTITY_SHA256);
    certificate_names_free(&names);
    cert_free(&cert);
    return text;
}

static void expect_names(struct cert cert, const char *expected)
{
    char *text = names_text(cert);
    assert_string_equal(text, expected);
    free(text);
}

static struct cert with_san(const char *san)
{
    return cert_new(&ca, &(struct cert_options){ .cn = "bob", .san = san });
}

/* Raw bytes as the extension's content. */
static struct cert with_raw_san(const char *bytes, int size)
{
    struct cert cert = cert_new(&ca, &(struct cert_options){ .cn = "bob" });
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, (const unsigned char *)bytes, size);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    X509_add_ext(cert.x509, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    cert_sign(&cert, &ca, NULL);
    return cert;
}

static struct cert with_subject(int nid, int type, const char *bytes, int size)
{
    struct cert cert = cert_new(&ca, &(struct cert_options){ 0 });
    X509_NAME *subject = X509_get_subject_name(cert.x509);
    assert_int_equal(X509_NAME_add_entry_by_NID(subject, nid, type, (const unsigned char *)bytes, size, -1, 0), 1);
    cert_sign(&cert, &ca, NULL);
    return cert;
}

static void names_come_in_order_dns_in_lower_case(void **state)
{
    (void)state;
    expect_names(with_san("URI:spiffe://Example.com/A,DNS:Alice.EXAMPLE.com,email:Alice@Example.com,DNS:b"),
                 "uri:spiffe://Example.com/A dns:alice.example.com email:Alice@Example.com dns:b");
}

static void the_digest_is_the_certificate_s(void **state)
{
    struct cert cert = with_san("DNS:a");
    struct certificate_names *names = read_names(&cert);
    struct identity identity = { 0 };
    unsigned char digest[32];
    char hex[65];
    (void)state;
    certificate_names_identity(names, &identity);
    X509_digest(cert.x509, EVP_sha256(), digest, NULL);
    for (size_t i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", digest[i]);
    assert_int_equal(identity.name_count, 2);
    assert_int_equal(identity.names[1].size, 64);
    assert_memory_equal(identity.names[1].bytes, hex, 64);
    certificate_names_free(&names);
    cert_free(&cert);
}

static void the_common_name_counts_only_without_alternatives(void **state)
{
    (void)state;
    expect_names(cert_new(&ca, &(struct cert_options){ .cn = "Bob" }), "cn:Bob");
    expect_names(with_san("DNS:a"), "dns:a");
    expect_names(with_san("IP:192.0.2.1"), "");
    expect_names(with_san("otherName:1.2.3.4;UTF8:bob"), "");
    expect_names(with_raw_san("\x30\x00", 2), "");
    expect_names(cert_new(&ca, &(struct cert_options){ 0 }), "");
}

static void a_common_name_is_one_readable_string(void **state)
{
    struct cert two = with_subject(NID_commonName, V_ASN1_UTF8STRING, "alice", 5);
    (void)state;
    X509_NAME_add_entry_by_txt(X509_get_subject_name(two.x509), "CN", MBSTRING_UTF8, (const unsigned char *)"bob", -1,
                               -1, 0);
    cert_sign(&two, &ca, NULL);
    expect_names(two, "");
    expect_names(with_subject(NID_commonName, V_ASN1_UTF8STRING, "al\0ice", 6), "cn:al<NUL>ice");
    expect_names(with_subject(NID_commonName, V_ASN1_PRINTABLESTRING, "alice", 5), "cn:alice");
    expect_names(with_subject(NID_commonName, V_ASN1_BMPSTRING, "alicia", 6), "");
    expect_names(with_subject(NID_organizationName, V_ASN1_UTF8STRING, "alice", 5), "");
}

static void a_nul_stays_in_a_name(void **state)
{
    (void)state;
    expect_names(with_raw_san("\x30\x0a\x82\x08"
                              "a.b\0.evi",
                              12),
                 "dns:a.b<NUL>.evi");
}

static void names_of_other_types_are_none(void **state)
{
    (void)state;
    /* An iPAddress, a registeredID, an x400Address, each with the bytes of a name. */
    expect_names(with_raw_san("\x30\x06\x87\x04"
                              "bobx",
                              8),
                 "");
    expect_names(with_raw_san("\x30\x05\x88\x03"
                              "bob",
                              7),
                 "");
    expect_names(with_raw_san("\x30\x05\x82\x00\x82\x01"
                              "a",
                              7),
                 "dns:a");
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const char *const texts[] = { "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                         "-----BEGIN", "junk", "\x30\x82\x01" };
    struct certificate_names *names = NULL;
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(certificate_names_read(texts[i], (uint32_t)strlen(texts[i]), &names), WEIR_EINVAL);
    assert_null(names);
}

static void malformed_alternatives_are_refused(void **state)
{
    struct cert bad[] = { with_raw_san("\x30\x05\x82\x7f"
                                       "abc",
                                       7),
                          with_raw_san("\x31\x00", 2), with_raw_san("", 0) };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct certificate_names *names = NULL;
        unsigned char *der = NULL;
        int size = i2d_X509(bad[i].x509, &der);
        assert_int_equal(certificate_names_read(der, (uint32_t)size, &names), WEIR_EINVAL);
        OPENSSL_free(der);
        cert_free(&bad[i]);
    }
}

static void pem_is_read_too(void **state)
{
    struct cert cert = with_san("DNS:a");
    struct certificate_names *names = NULL;
    struct identity identity = { 0 };
    char *text = NULL;
    BIO *memory = BIO_new(BIO_s_mem());
    (void)state;
    BIO_puts(memory, "words before it\n");
    PEM_write_bio_X509(memory, cert.x509);
    long size = BIO_get_mem_data(memory, &text);
    assert_int_equal(certificate_names_read(text, (uint32_t)size, &names), 0);
    certificate_names_identity(names, &identity);
    assert_int_equal(identity.name_count, 2);
    certificate_names_free(&names);
    BIO_free(memory);
    cert_free(&cert);
}

/* Files, verified as a listener would. */

static struct tls_material *listener(const struct cert *server)
{
    struct tls_settings settings = { .certificate = certs_write("server.crt", server->x509),
                                     .key = certs_write_key("server.key", server->key),
                                     .ca = certs_write("ca.crt", ca.x509) };
    struct tls_complaint complaints[4];
    struct tls_material *material = NULL;
    uint32_t count = 4, errors = 0;
    assert_int_equal(tls_material_load(&settings, TLS_SERVER, complaints, &count, &errors, &material), 0);
    return material;
}

static void a_file_is_verified_as_a_client_would_be(void **state)
{
    struct cert server = cert_new(&ca, &(struct cert_options){ .cn = "web", .usage = "serverAuth" });
    struct cert issuer = cert_new(&ca, &(struct cert_options){ .cn = "Issuer", .ca = true });
    struct cert client = cert_new(&issuer, &(struct cert_options){ .cn = "bob" });
    struct tls_material *material = listener(&server);
    uint64_t now_ns = (uint64_t)time(NULL) * 1000000000;
    uint64_t later_ns = now_ns + UINT64_C(31) * CERT_DAY * 1000000000;
    char text[256] = "";
    (void)state;
    char *path = certs_write("client.pem", client.x509, issuer.x509);
    assert_int_equal(certificate_verify_file(path, material, now_ns, text, sizeof text), 0);
    assert_int_equal(certificate_verify_file(path, material, later_ns, text, sizeof text), WEIR_EINVAL);
    assert_non_null(strstr(text, "expired"));
    path = certs_write("alone.pem", client.x509);
    assert_int_equal(certificate_verify_file(path, material, now_ns, text, sizeof text), WEIR_EINVAL);
    assert_string_equal(text, "unable to find the issuer CN=Issuer of client certificate CN=bob");
    path = certs_write("other.pem", server.x509);
    assert_int_equal(certificate_verify_file(path, material, now_ns, text, sizeof text), WEIR_EINVAL);
    assert_string_equal(text, "client certificate CN=web: unsuitable certificate purpose");
    assert_int_equal(certificate_verify_file("/nonexistent/x.pem", material, now_ns, text, sizeof text), WEIR_EINVAL);
    assert_string_equal(text, "/nonexistent/x.pem: No such file or directory");
    tls_material_unref(&material);
    cert_free(&server);
    cert_free(&issuer);
    cert_free(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_order_dns_in_lower_case),
        cmocka_unit_test(the_digest_is_the_certificate_s),
        cmocka_unit_test(the_common_name_counts_only_without_alternatives),
        cmocka_unit_test(a_common_name_is_one_readable_string),
        cmocka_unit_test(a_nul_stays_in_a_name),
        cmocka_unit_test(names_of_other_types_are_none),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(malformed_alternatives_are_refused),
        cmocka_unit_test(pem_is_read_too),
        cmocka_unit_test(a_file_is_verified_as_a_client_would_be),
    };
    return cmocka_run_group_tests(tests, make_ca, drop_ca);
}
