/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <openssl/pem.h>

#include <weir/errors.h>

#include "../../server/tls/material.h"
#include "certs.h"

/* Files of a tls block: what is refused, what is warned of, and that the words say what would be right. */

static struct cert ca, leaf;
static struct tls_settings good;

static int make_certificates(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    leaf = cert_new(&ca, &(struct cert_options){ .cn = "web", .usage = "serverAuth,clientAuth" });
    good = (struct tls_settings){ .certificate = certs_write("good.crt", leaf.x509),
                                  .key = certs_write_key("good.key", leaf.key),
                                  .ca = certs_write("ca.crt", ca.x509) };
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&leaf);
    certs_folder_remove();
    return 0;
}

struct outcome {
    struct tls_complaint complaints[8];
    uint32_t count, errors;
    int err;
};

static struct outcome load(const struct tls_settings *settings, enum tls_role role)
{
    struct outcome outcome = { .count = 8 };
    struct tls_material *material = NULL;
    outcome.err = tls_material_load(settings, role, outcome.complaints, &outcome.count, &outcome.errors, &material);
    assert_int_equal(outcome.err == 0, material != NULL);
    assert_int_equal(outcome.err == WEIR_EINVAL, outcome.errors > 0);
    tls_material_unref(&material);
    assert_null(material);
    return outcome;
}

static void assert_says(const struct outcome *outcome, uint32_t n, enum tls_setting setting, const char *words)
{
    assert_true(n < outcome->count);
    if (strstr(outcome->complaints[n].text, words) == NULL)
        print_error("\"%s\" does not say \"%s\"\n", outcome->complaints[n].text, words);
    assert_non_null(strstr(outcome->complaints[n].text, words));
    assert_int_equal(outcome->complaints[n].setting, setting);
}

static void expect_error(const struct tls_settings *settings, enum tls_setting setting, const char *words)
{
    struct outcome outcome = load(settings, TLS_SERVER);
    assert_int_equal(outcome.errors, 1);
    assert_says(&outcome, 0, setting, words);
}

static void expect_warning(const struct tls_settings *settings, enum tls_setting setting, const char *words)
{
    struct outcome outcome = load(settings, TLS_SERVER);
    assert_int_equal(outcome.errors, 0);
    assert_int_equal(outcome.count, 1);
    assert_says(&outcome, 0, setting, words);
}

static void good_files_are_taken_without_a_word(void **state)
{
    struct tls_settings bare = { .ca = good.ca }, anonymous = good;
    (void)state;
    anonymous.ca = NULL;
    assert_int_equal(load(&good, TLS_SERVER).count, 0);
    assert_int_equal(load(&good, TLS_CLIENT).count, 0);
    assert_int_equal(load(&bare, TLS_CLIENT).count, 0);
    assert_int_equal(load(&anonymous, TLS_SERVER).count, 0);
}

static void files_that_cannot_be_read_are_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.certificate = (char *)"/nonexistent/a.crt";
    expect_error(&settings, TLS_SETTING_CERTIFICATE, "/nonexistent/a.crt: No such file or directory");
    settings = good;
    settings.key = (char *)certs_folder();
    expect_error(&settings, TLS_SETTING_KEY, "is not a regular file");
    settings = good;
    settings.ca = (char *)"/dev/null";
    expect_error(&settings, TLS_SETTING_CA, "/dev/null: is not a regular file");
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
    struct tls_settings settings = { .certificate = (char *)"/nonexistent/a",
                                     .key = (char *)"/nonexistent/b",
                                     .ca = (char *)"/nonexistent/c",
                                     .crl = good.ca };
    struct outcome outcome = load(&settings, TLS_SERVER);
    (void)state;
    assert_int_equal(outcome.errors, 4);
    assert_says(&outcome, 0, TLS_SETTING_CERTIFICATE, "/nonexistent/a");
    assert_says(&outcome, 1, TLS_SETTING_KEY, "/nonexistent/b");
    assert_says(&outcome, 2, TLS_SETTING_CA, "/nonexistent/c");
    assert_says(&outcome, 3, TLS_SETTING_CRL, "holds no CRL in PEM form");
}

static void files_of_other_content_are_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.certificate = good.key;
    expect_error(&settings, TLS_SETTING_CERTIFICATE, "holds no certificate in PEM form");
    settings = good;
    settings.ca = certs_write_text("empty.crt", "");
    expect_error(&settings, TLS_SETTING_CA, "holds no certificate in PEM form");
    settings = good;
    settings.key = certs_write_text("no.key", "no key");
    chmod(settings.key, 0600);
    expect_error(&settings, TLS_SETTING_KEY, "holds no private key in PEM form");
    settings = good;
    settings.ca = certs_write_text("bad.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    expect_error(&settings, TLS_SETTING_CA, "certificate 1 in it cannot be read");
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.key = certs_write_key("open.key", leaf.key);
    chmod(settings.key, 0644);
    expect_error(&settings, TLS_SETTING_KEY, "others can read this private key; chmod o-r it");
    chmod(settings.key, 0640);
    assert_int_equal(load(&settings, TLS_SERVER).count, 0);
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.key = certs_write_key("ca.key", ca.key);
    expect_error(&settings, TLS_SETTING_KEY, "ca.key: is not the key of the certificate in");
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct tls_settings settings = good;
    char *path = certs_write_key("locked.key", leaf.key);
    FILE *file = fopen(path, "w");
    (void)state;
    PEM_write_PrivateKey(file, leaf.key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
    fclose(file);
    settings.key = path;
    expect_error(&settings, TLS_SETTING_KEY, "has a passphrase");
}

static void a_certificate_without_key_is_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.key = NULL;
    expect_error(&settings, TLS_SETTING_CERTIFICATE, "needs both certificate and key");
    assert_int_equal(load(&settings, TLS_CLIENT).errors, 1);
}

static void a_weak_certificate_of_our_own_is_refused(void **state)
{
    struct cert weak = cert_new(&ca, &(struct cert_options){ .cn = "web", .rsa_bits = 1024 });
    struct tls_settings settings = good;
    (void)state;
    settings.certificate = certs_write("weak.crt", weak.x509);
    settings.key = certs_write_key("weak.key", weak.key);
    expect_error(&settings, TLS_SETTING_CERTIFICATE, "cannot be used: ee key too small");
    cert_free(&weak);
}

static void an_own_chain_has_five_certificates_at_most(void **state)
{
    struct tls_settings settings = good;
    struct cert chain[5];
    (void)state;
    const char *names[] = { "I1", "I2", "I3", "I4", "I5" };
    for (int i = 0; i < 5; i++)
        chain[i] = cert_new(i == 0 ? &ca : &chain[i - 1], &(struct cert_options){ .cn = names[i], .ca = true });
    struct cert own = cert_new(&chain[4], &(struct cert_options){ .cn = "web" });
    settings.certificate =
        certs_write("deep.crt", own.x509, chain[4].x509, chain[3].x509, chain[2].x509, chain[1].x509, chain[0].x509);
    settings.key = certs_write_key("deep.key", own.key);
    expect_error(&settings, TLS_SETTING_CERTIFICATE, "holds 6 certificates; a chain has at most 5");
    settings.certificate = certs_write("order.crt", own.x509, chain[3].x509);
    expect_warning(&settings, TLS_SETTING_CERTIFICATE, "certificate 2 did not issue the one before it");
    for (int i = 0; i < 5; i++)
        cert_free(&chain[i]);
    cert_free(&own);
}

static void a_pool_without_ca_is_refused(void **state)
{
    struct tls_settings settings = { 0 };
    struct outcome outcome = load(&settings, TLS_CLIENT);
    (void)state;
    assert_says(&outcome, 0, TLS_SETTING_CA, "tls of a pool needs ca");
}

static void a_ca_that_is_none_is_refused(void **state)
{
    struct tls_settings settings = good;
    (void)state;
    settings.ca = good.certificate;
    expect_error(&settings, TLS_SETTING_CA, "certificate CN=web is not a CA's");
}

static void our_own_certificate_s_dates_and_purpose_are_warned_of(void **state)
{
    struct cert_options options[] = { { .cn = "web", .from_s = 1500000000, .until_s = 1577923200 },
                                      { .cn = "web", .from_s = 4102444800, .until_s = 4202444800 },
                                      { .cn = "web", .usage = "clientAuth" } };
    const char *words[] = { "certificate CN=web expired 2020-01-02",
                            "certificate CN=web is not valid before 2100-01-01",
                            "certificate CN=web is not for servers" };
    struct tls_settings settings = good;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct cert own = cert_new(&ca, &options[i]);
        settings.certificate = certs_write("own.crt", own.x509);
        settings.key = certs_write_key("own.key", own.key);
        expect_warning(&settings, TLS_SETTING_CERTIFICATE, words[i]);
        cert_free(&own);
    }
}

static void an_expired_ca_is_warned_of(void **state)
{
    struct cert old =
        cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true, .from_s = 1500000000, .until_s = 1577923200 });
    struct tls_settings settings = good;
    (void)state;
    settings.ca = certs_write("old.crt", old.x509);
    expect_warning(&settings, TLS_SETTING_CA, "certificate CN=CA expired 2020-01-02");
    cert_free(&old);
}

static void a_missing_or_expired_crl_is_warned_of(void **state)
{
    struct tls_settings settings = good;
    X509_CRL *fresh = cert_crl(&ca, time(NULL) + CERT_DAY, NULL), *old = cert_crl(&ca, 1577923200, NULL);
    X509_CRL *other = cert_crl(&leaf, time(NULL) + CERT_DAY, NULL);
    (void)state;
    settings.crl = certs_write_crls("fresh.crl", fresh);
    assert_int_equal(load(&settings, TLS_SERVER).count, 0);
    settings.crl = certs_write_crls("old.crl", old);
    expect_warning(&settings, TLS_SETTING_CRL, "the CRL of CN=CA expired 2020-01-02; until there is a fresh one");
    settings.crl = certs_write_crls("other.crl", other);
    expect_warning(&settings, TLS_SETTING_CRL, "no CRL of CN=CA");
    settings.crl = (char *)"/nonexistent/a.crl";
    expect_warning(&settings, TLS_SETTING_CRL, "/nonexistent/a.crl: no CRL of CN=CA");
    settings.ca = NULL;
    expect_error(&settings, TLS_SETTING_CRL, "crl without client_ca revokes nothing");
    X509_CRL_free(fresh);
    X509_CRL_free(old);
    X509_CRL_free(other);
}

static void protocol_names_have_bounds(void **state)
{
    char long_name[257];
    char *names[] = { (char *)"h2", long_name };
    struct tls_settings settings = good;
    (void)state;
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    settings.alpn = names;
    settings.alpn_count = 2;
    expect_error(&settings, TLS_SETTING_ALPN, "1 to 255 bytes");
    long_name[255] = '\0';
    assert_int_equal(load(&settings, TLS_SERVER).count, 0);
    long_name[0] = '\0';
    expect_error(&settings, TLS_SETTING_ALPN, "1 to 255 bytes");
}

static void errors_come_before_warnings_in_whatever_room_there_is(void **state)
{
    struct cert old = cert_new(&ca, &(struct cert_options){ .cn = "web", .from_s = 1500000000, .until_s = 1577923200 });
    struct tls_settings settings = good;
    struct tls_complaint complaints[2];
    struct tls_material *material = NULL;
    (void)state;
    settings.certificate = certs_write("old.crt", old.x509);
    settings.key = certs_write_key("old.key", old.key);
    settings.ca = good.certificate;
    for (uint32_t room = 0; room <= 2; room++) {
        uint32_t count = room, errors = 99;
        assert_int_equal(tls_material_load(&settings, TLS_SERVER, complaints, &count, &errors, &material), WEIR_EINVAL);
        assert_int_equal(count, room);
        assert_int_equal(errors, room == 0 ? 0 : 1);
        assert_true(room == 0 || complaints[0].setting == TLS_SETTING_CA);
    }
    assert_int_equal(complaints[1].setting, TLS_SETTING_CERTIFICATE);
    cert_free(&old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_taken_without_a_word),
        cmocka_unit_test(files_that_cannot_be_read_are_refused),
        cmocka_unit_test(all_that_is_wrong_is_told_at_once),
        cmocka_unit_test(files_of_other_content_are_refused),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(a_key_of_another_certificate_is_refused),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(a_certificate_without_key_is_refused),
        cmocka_unit_test(a_weak_certificate_of_our_own_is_refused),
        cmocka_unit_test(an_own_chain_has_five_certificates_at_most),
        cmocka_unit_test(a_pool_without_ca_is_refused),
        cmocka_unit_test(a_ca_that_is_none_is_refused),
        cmocka_unit_test(our_own_certificate_s_dates_and_purpose_are_warned_of),
        cmocka_unit_test(an_expired_ca_is_warned_of),
        cmocka_unit_test(a_missing_or_expired_crl_is_warned_of),
        cmocka_unit_test(protocol_names_have_bounds),
        cmocka_unit_test(errors_come_before_warnings_in_whatever_room_there_is),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
