/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/x509v3.h>

#include "../../server/tls/parts.h"
#include "tls_pair.h"

/* Who is refused, why, and what the peer is told. */

#define CHAIN_MAX 6

static struct cert ca, server_cert;
static struct tls_settings server_settings;
static struct tls_name server_names[] = { { IDENTITY_DNS, (char *)"web.internal", 12 } };

/* What a client shows, by force: no check of ours stands between it and the wire. */
struct shown {
    struct cert chain[CHAIN_MAX]; /* leaf first */
    unsigned count;
    EVP_PKEY *key; /* NULL: the leaf's */
};

static int make_certificates(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    server_cert = cert_new(
        &ca, &(struct cert_options){ .cn = "web", .san = "DNS:web.internal,IP:192.0.2.7", .usage = "serverAuth" });
    server_settings = (struct tls_settings){ .certificate = certs_write("server.crt", server_cert.x509),
                                             .key = certs_write_key("server.key", server_cert.key),
                                             .ca = certs_write("ca.crt", ca.x509) };
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&server_cert);
    certs_folder_remove();
    return 0;
}

static struct tls_context *client_context(void)
{
    struct tls_settings settings = { .ca = server_settings.ca, .verify = server_names, .verify_count = 1 };
    return pair_context(&settings, TLS_CLIENT);
}

static void show(struct tls_context *client, const struct shown *shown)
{
    if (shown->count == 0)
        return;
    SSL_CTX_set_security_level(client->ssl, 0);
    assert_int_equal(SSL_CTX_use_certificate(client->ssl, shown->chain[0].x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(client->ssl, shown->key != NULL ? shown->key : shown->chain[0].key), 1);
    for (unsigned i = 1; i < shown->count; i++)
        assert_int_equal(SSL_CTX_add1_chain_cert(client->ssl, shown->chain[i].x509), 1);
}

static void forget(struct shown *shown)
{
    for (unsigned i = 0; i < shown->count; i++)
        cert_free(&shown->chain[i]);
    EVP_PKEY_free(shown->key);
    *shown = (struct shown){ 0 };
}

static struct shown show_one(const struct cert *issuer, const struct cert_options *options)
{
    return (struct shown){ .chain = { cert_new(issuer, options) }, .count = 1 };
}

/* The client shows it, the server accepts it. */
static void expect_accepted(struct shown shown, const struct tls_settings *settings)
{
    struct tls_context *client = client_context(), *server = pair_context(settings, TLS_SERVER);
    struct pair pair = { .random = 1 };
    show(client, &shown);
    pair_open(&pair, client, server);
    pair_connect(&pair);
    pair_close(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
    forget(&shown);
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        print_error("\"%s\" does not say \"%s\"\n", text, part);
    assert_non_null(strstr(text, part));
}

/* The client shows it, the server refuses it with this text and tells the client by this alert. */
static void expect_refused_by(struct shown shown, const struct tls_settings *settings, enum tls_failure_kind kind,
                              const char *text, const char *alert)
{
    struct tls_context *client = client_context(), *server = pair_context(settings, TLS_SERVER);
    struct pair pair = { .random = 1 };
    struct identity identity = { 0 };
    show(client, &shown);
    pair_open(&pair, client, server);
    pair_run(&pair);
    const struct tls_failure *failure = tls_session_failure(pair.server.session);
    assert_int_equal(pair.server.progress, TLS_FAILED);
    assert_contains(failure->text, text);
    assert_int_equal(failure->kind, kind);
    assert_contains(tls_session_failure(pair.client.session)->text, alert);
    tls_session_identity(pair.server.session, &identity);
    assert_false(identity.has_certificate);
    assert_int_equal(identity.name_count, 0);
    pair_close(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
    forget(&shown);
}

static void expect_refused(struct shown shown, const char *text, const char *alert)
{
    expect_refused_by(shown, &server_settings, TLS_FAILURE_BAD_CERTIFICATE, text, alert);
}

/* Clients */

static void a_client_of_the_ca_is_accepted(void **state)
{
    (void)state;
    expect_accepted(show_one(&ca, &(struct cert_options){ .cn = "bob", .usage = "clientAuth" }), &server_settings);
    expect_accepted(show_one(&ca, &(struct cert_options){ .cn = "bob", .rsa_bits = 2048 }), &server_settings);
}

static void no_certificate_is_refused(void **state)
{
    (void)state;
    expect_refused_by((struct shown){ 0 }, &server_settings, TLS_FAILURE_NO_CERTIFICATE,
                      "no client certificate was sent", "certificate required");
}

static void a_client_is_asked_for_nothing_where_clients_are_anonymous(void **state)
{
    struct tls_settings settings = server_settings;
    (void)state;
    settings.ca = NULL;
    expect_accepted((struct shown){ 0 }, &settings);
}

static void an_expired_certificate_is_refused_with_its_date(void **state)
{
    (void)state;
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .from_s = 1500000000, .until_s = 1577923200 }),
                   "client certificate CN=bob expired 2020-01-02", "certificate expired");
}

static void a_certificate_of_the_future_is_refused_with_its_date(void **state)
{
    (void)state;
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .from_s = 4102444800, .until_s = 4202444800 }),
                   "client certificate CN=bob is not valid before 2100-01-01", "bad certificate");
}

static void the_time_is_the_loop_s(void **state)
{
    int64_t now_s = time(NULL);
    (void)state;
    pair_set_time(now_s + 1000);
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .until_s = now_s + 500 }),
                   "client certificate CN=bob expired", "certificate expired");
    expect_accepted(show_one(&ca, &(struct cert_options){ .cn = "bob", .from_s = now_s + 500 }), &server_settings);
}

static int reset_time(void **state)
{
    (void)state;
    pair_set_time(0);
    return 0;
}

static void another_ca_is_refused_by_name(void **state)
{
    struct cert other = cert_new(NULL, &(struct cert_options){ .cn = "Other CA", .ca = true });
    (void)state;
    expect_refused(show_one(&other, &(struct cert_options){ .cn = "bob" }),
                   "unable to find the issuer CN=Other CA of client certificate CN=bob", "unknown CA");
    cert_free(&other);
}

static void a_self_signed_certificate_is_refused(void **state)
{
    (void)state;
    expect_refused(show_one(NULL, &(struct cert_options){ .cn = "bob" }),
                   "client certificate CN=bob: self-signed certificate", "unknown CA");
}

static void a_forged_ca_of_the_same_name_is_refused(void **state)
{
    struct cert forged = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    struct shown shown = show_one(&forged, &(struct cert_options){ .cn = "bob" });
    (void)state;
    expect_refused(shown, "client certificate CN=bob: certificate signature failure", "decrypt error");
    shown = show_one(&forged, &(struct cert_options){ .cn = "bob" });
    shown.chain[shown.count++] = forged;
    expect_refused(shown, "certificate", "");
}

static void a_certificate_for_servers_only_is_refused(void **state)
{
    (void)state;
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .usage = "serverAuth" }),
                   "client certificate CN=bob: unsuitable certificate purpose", "unsupported certificate");
}

static void whoever_lacks_the_key_is_refused(void **state)
{
    struct shown shown = show_one(&ca, &(struct cert_options){ .cn = "bob" });
    (void)state;
    shown.key = cert_mismatched_key(shown.chain[0].key);
    expect_refused(shown, "does not have the key", "decrypt error");
}

static void whoever_lacks_the_key_is_refused_when_the_chain_is_remembered_too(void **state)
{
    struct tls_context *server = pair_context(&server_settings, TLS_SERVER);
    struct shown shown = show_one(&ca, &(struct cert_options){ .cn = "bob" });
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct tls_context *client = client_context();
        struct pair pair = { .random = 1 };
        if (turn == 1)
            shown.key = cert_mismatched_key(shown.chain[0].key);
        show(client, &shown);
        pair_open(&pair, client, server);
        pair_run(&pair);
        assert_int_equal(pair.server.progress, turn == 0 ? TLS_ESTABLISHED : TLS_FAILED);
        pair_close(&pair);
        tls_context_free(&client);
    }
    assert_int_equal(tls_context_counts(server).remembered, 1);
    tls_context_free(&server);
    forget(&shown);
}

static void weak_keys_and_signatures_are_refused(void **state)
{
    (void)state;
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .rsa_bits = 1024 }),
                   "client certificate CN=bob: EE certificate key too weak", "bad certificate");
    expect_refused(show_one(&ca, &(struct cert_options){ .cn = "bob", .digest = "SHA1" }),
                   "client certificate CN=bob: CA signature digest algorithm too weak", "bad certificate");
}

/* A leaf below `depth` intermediates, leaf first, with the issuers' constraints. */
static struct shown chain_of(unsigned depth, const char *constraints)
{
    struct shown shown = { .count = depth + 1 };
    const struct cert *issuer = &ca;
    for (unsigned i = depth; i > 0; i--) {
        char cn[32];
        snprintf(cn, sizeof cn, "Issuer %u", i);
        shown.chain[i] = cert_new(issuer, &(struct cert_options){ .cn = cn, .ca = true, .constraints = constraints });
        issuer = &shown.chain[i];
    }
    shown.chain[0] = cert_new(issuer, &(struct cert_options){ .cn = "bob" });
    return shown;
}

static void chains_have_five_certificates_at_most(void **state)
{
    (void)state;
    expect_accepted(chain_of(3, NULL), &server_settings);
    expect_refused(chain_of(4, NULL), "certificate chain too long", "unknown CA");
    expect_refused(chain_of(5, NULL), "certificate chain too long", "unknown CA");
}

static void a_path_length_is_kept(void **state)
{
    (void)state;
    expect_accepted(chain_of(1, "critical,CA:TRUE,pathlen:0"), &server_settings);
    expect_refused(chain_of(2, "critical,CA:TRUE,pathlen:0"), "path length constraint exceeded", "unknown CA");
}

static void a_leaf_issues_nothing(void **state)
{
    struct cert leaf = cert_new(&ca, &(struct cert_options){ .cn = "alice" });
    struct shown shown = show_one(&leaf, &(struct cert_options){ .cn = "bob" });
    (void)state;
    shown.chain[shown.count++] = leaf;
    expect_refused(shown, "CA certificate CN=alice: invalid CA certificate", "unknown CA");
}

static void name_constraints_are_kept(void **state)
{
    struct cert issuer =
        cert_new(&ca, &(struct cert_options){
                          .cn = "Team CA", .ca = true, .name_constraints = "critical,permitted;DNS:team.example.com" });
    struct shown shown = show_one(&issuer, &(struct cert_options){ .cn = "bob", .san = "DNS:bob.team.example.com" });
    (void)state;
    X509_up_ref(issuer.x509);
    EVP_PKEY_up_ref(issuer.key);
    shown.chain[shown.count++] = issuer;
    expect_accepted(shown, &server_settings);
    shown = show_one(&issuer, &(struct cert_options){ .cn = "bob", .san = "DNS:alice.example.com" });
    shown.chain[shown.count++] = issuer;
    expect_refused(shown, "permitted subtree violation", "certificate");
}

static struct shown with_names(int count, int size)
{
    char san[8192] = "";
    for (int i = 0; i < count; i++)
        snprintf(san + strlen(san), sizeof san - strlen(san), "%sDNS:%0*d.example.com", i == 0 ? "" : ",", size - 12,
                 i);
    return show_one(&ca, &(struct cert_options){ .cn = "bob", .san = san });
}

static void names_out_of_bounds_are_refused(void **state)
{
    (void)state;
    expect_accepted(with_names(63, 32), &server_settings);
    expect_accepted(with_names(1, 1024), &server_settings);
    expect_refused(with_names(64, 32), "names are too many, too long or malformed", "bad certificate");
    expect_refused(with_names(1, 1025), "names are too many, too long or malformed", "bad certificate");
}

static void add_raw_names(struct cert *cert, const char *bytes, int size)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, (const unsigned char *)bytes, size);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    X509_add_ext(cert->x509, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    cert_sign(cert, &ca, NULL);
}

static void names_that_cannot_be_read_are_refused(void **state)
{
    struct shown shown = show_one(&ca, &(struct cert_options){ .cn = "bob" });
    (void)state;
    add_raw_names(&shown.chain[0],
                  "\x30\x05\x82\x7f"
                  "abc",
                  7);
    expect_refused(shown, "client certificate CN=bob", "");
    shown = show_one(&ca, &(struct cert_options){ .cn = "bob", .san = "DNS:bob.example.com" });
    add_raw_names(&shown.chain[0],
                  "\x30\x05\x82\x03"
                  "abc",
                  7);
    expect_refused(shown, "client certificate CN=bob", "");
}

static void a_subject_is_escaped_and_cut(void **state)
{
    char long_name[65];
    (void)state;
    memset(long_name, 'x', 64);
    long_name[64] = '\0';
    expect_refused(show_one(NULL, &(struct cert_options){ .cn = "a\x1b[2J\n\xc3\xa9,b" }),
                   "CN=a\\1B[2J\\0A\\C3\\A9\\,b: self-signed", "unknown CA");
    expect_refused(show_one(NULL, &(struct cert_options){ .cn = long_name }), "xxxxxxxx: self-signed", "unknown CA");
    expect_refused(show_one(NULL, &(struct cert_options){ .san = "URI:spiffe://example.com/a\nb" }),
                   "client certificate uri:spiffe://example.com/a\\0Ab: self-signed", "unknown CA");
}

/* Revocation */

static struct tls_settings with_crls(X509_CRL *first, X509_CRL *second)
{
    struct tls_settings settings = server_settings;
    settings.crl = certs_write_crls("clients.crl", first, second);
    X509_CRL_free(first);
    X509_CRL_free(second);
    return settings;
}

static void a_revoked_leaf_is_refused(void **state)
{
    struct shown shown = show_one(&ca, &(struct cert_options){ .cn = "bob" });
    struct tls_settings settings = with_crls(cert_crl(&ca, time(NULL) + CERT_DAY, &shown.chain[0]), NULL);
    (void)state;
    expect_refused_by(shown, &settings, TLS_FAILURE_BAD_CERTIFICATE, "client certificate CN=bob: certificate revoked",
                      "certificate revoked");
    expect_accepted(show_one(&ca, &(struct cert_options){ .cn = "alice" }), &settings);
}

static void a_revoked_intermediate_is_refused(void **state)
{
    struct shown shown = chain_of(1, NULL);
    struct tls_settings settings = with_crls(cert_crl(&ca, time(NULL) + CERT_DAY, &shown.chain[1]),
                                             cert_crl(&shown.chain[1], time(NULL) + CERT_DAY, NULL));
    (void)state;
    expect_refused_by(shown, &settings, TLS_FAILURE_BAD_CERTIFICATE, "CA certificate CN=Issuer 1: certificate revoked",
                      "certificate revoked");
}

static void an_intermediate_without_a_crl_is_refused(void **state)
{
    struct tls_settings settings = with_crls(cert_crl(&ca, time(NULL) + CERT_DAY, NULL), NULL);
    (void)state;
    expect_refused_by(chain_of(1, NULL), &settings, TLS_FAILURE_BAD_CERTIFICATE, "no CRL of", "unknown CA");
}

static void an_expired_crl_refuses_everyone(void **state)
{
    struct tls_settings settings = with_crls(cert_crl(&ca, 1577923200, NULL), NULL);
    (void)state;
    expect_refused_by(show_one(&ca, &(struct cert_options){ .cn = "bob" }), &settings, TLS_FAILURE_BAD_CERTIFICATE,
                      "the CRL of CN=CA for client certificate CN=bob expired 2020-01-02", "certificate expired");
}

static void a_missing_crl_refuses_everyone(void **state)
{
    struct tls_settings settings = server_settings;
    struct cert other = cert_new(NULL, &(struct cert_options){ .cn = "Other CA", .ca = true });
    (void)state;
    settings.crl = (char *)"/nonexistent/clients.crl";
    expect_refused_by(show_one(&ca, &(struct cert_options){ .cn = "bob" }), &settings, TLS_FAILURE_BAD_CERTIFICATE,
                      "no CRL of CN=CA for client certificate CN=bob", "unknown CA");
    settings = with_crls(cert_crl(&other, time(NULL) + CERT_DAY, NULL), NULL);
    expect_refused_by(show_one(&ca, &(struct cert_options){ .cn = "bob" }), &settings, TLS_FAILURE_BAD_CERTIFICATE,
                      "no CRL of CN=CA for client certificate CN=bob", "unknown CA");
    cert_free(&other);
}

static void a_forged_crl_refuses_everyone(void **state)
{
    struct cert forged = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    struct tls_settings settings = with_crls(cert_crl(&forged, time(NULL) + CERT_DAY, NULL), NULL);
    (void)state;
    expect_refused_by(show_one(&ca, &(struct cert_options){ .cn = "bob" }), &settings, TLS_FAILURE_BAD_CERTIFICATE,
                      "CRL signature failure", "decrypt error");
    cert_free(&forged);
}

/* Upstreams */

static void expect_upstream(struct shown shown, struct tls_name *names, unsigned count, const char *text,
                            const char *alert)
{
    struct tls_settings settings = { .ca = server_settings.ca, .verify = names, .verify_count = count };
    struct tls_settings anonymous = server_settings;
    anonymous.ca = NULL;
    struct tls_context *client = pair_context(&settings, TLS_CLIENT), *server = pair_context(&anonymous, TLS_SERVER);
    struct pair pair = { .random = 1 };
    if (shown.count > 0)
        show(server, &shown);
    pair_open(&pair, client, server);
    pair_run(&pair);
    assert_contains(tls_session_failure(pair.client.session)->text, text);
    assert_contains(tls_session_failure(pair.server.session)->text, alert);
    assert_int_equal(pair.client.progress, *text == '\0' ? TLS_ESTABLISHED : TLS_FAILED);
    if (*text != '\0')
        assert_int_equal(tls_session_failure(pair.client.session)->kind, TLS_FAILURE_BAD_CERTIFICATE);
    pair_close(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
    forget(&shown);
}

#define NAME(kind, text)                                                                                               \
    {                                                                                                                  \
        (kind), (char *)(text), sizeof(text) - 1                                                                       \
    }

static void an_upstream_is_known_by_any_one_of_its_names(void **state)
{
    struct tls_name dns[] = { NAME(IDENTITY_DNS, "db.internal"), NAME(IDENTITY_DNS, "WEB.internal") };
    struct tls_name ip[] = { NAME(TLS_NAME_IP, "192.0.2.7") };
    struct tls_name uri[] = { NAME(IDENTITY_URI, "spiffe://example.com/web") };
    struct cert_options options = { .cn = "web", .san = "URI:spiffe://example.com/web", .usage = "serverAuth" };
    (void)state;
    expect_upstream((struct shown){ 0 }, dns, 2, "", "");
    expect_upstream((struct shown){ 0 }, ip, 1, "", "");
    expect_upstream((struct shown){ 0 }, NULL, 0, "", "");
    expect_upstream(show_one(&ca, &options), uri, 1, "", "");
}

static void an_upstream_s_wildcard_stands_for_one_whole_label(void **state)
{
    struct tls_name one[] = { NAME(IDENTITY_DNS, "web.internal.example") };
    struct tls_name two[] = { NAME(IDENTITY_DNS, "a.web.internal.example") };
    struct cert_options whole = { .cn = "web", .san = "DNS:*.internal.example" };
    struct cert_options partial = { .cn = "web", .san = "DNS:w*.internal.example" };
    struct tls_name low[] = { NAME(IDENTITY_DNS, "web.internal") };
    struct cert_options all_of_a_top = { .cn = "web", .san = "DNS:*.internal" };
    (void)state;
    expect_upstream(show_one(&ca, &whole), one, 1, "", "");
    expect_upstream(show_one(&ca, &whole), two, 1, "is not for dns:a.web.internal.example", "bad certificate");
    expect_upstream(show_one(&ca, &partial), one, 1, "is not for dns:web.internal.example", "bad certificate");
    expect_upstream(show_one(&ca, &all_of_a_top), low, 1, "is not for dns:web.internal", "bad certificate");
}

static void an_upstream_of_another_name_is_refused(void **state)
{
    struct tls_name names[] = { NAME(IDENTITY_DNS, "db.internal"), NAME(IDENTITY_URI, "spiffe://example.com/db"),
                                NAME(TLS_NAME_IP, "192.0.2.8") };
    struct tls_name below[] = { NAME(IDENTITY_DNS, ".internal") };
    struct tls_name longer[] = { NAME(IDENTITY_URI, "spiffe://example.com/web2") };
    struct tls_name in_dns[] = { NAME(IDENTITY_URI, "web.internal") };
    struct cert_options cn_only = { .cn = "web.internal" };
    struct cert_options uri = { .cn = "web", .san = "URI:spiffe://example.com/web" };
    (void)state;
    expect_upstream((struct shown){ 0 }, names, 3,
                    "certificate of CN=web is not for dns:db.internal or uri:spiffe://example.com/db or ip:192.0.2.8",
                    "bad certificate");
    expect_upstream((struct shown){ 0 }, below, 1, "is not for dns:.internal", "bad certificate");
    expect_upstream((struct shown){ 0 }, in_dns, 1, "is not for uri:web.internal", "bad certificate");
    expect_upstream(show_one(&ca, &uri), longer, 1, "is not for uri:", "bad certificate");
    expect_upstream(show_one(&ca, &cn_only), server_names, 1,
                    "certificate of CN=web.internal is not for dns:web.internal", "bad certificate");
    expect_upstream(show_one(&ca, &cn_only), NULL, 0, "is not for ip:192.0.2.7", "bad certificate");
}

static void a_bad_upstream_is_refused(void **state)
{
    struct cert other = cert_new(NULL, &(struct cert_options){ .cn = "Other CA", .ca = true });
    struct cert_options old = { .cn = "web", .san = "DNS:web.internal", .from_s = 1500000000, .until_s = 1577923200 };
    struct cert_options client_only = { .cn = "web", .san = "DNS:web.internal", .usage = "clientAuth" };
    (void)state;
    expect_upstream(show_one(&ca, &old), server_names, 1, "upstream certificate CN=web expired 2020-01-02",
                    "certificate expired");
    expect_upstream(show_one(&other, &(struct cert_options){ .cn = "web", .san = "DNS:web.internal" }), server_names, 1,
                    "unable to find the issuer CN=Other CA of upstream certificate CN=web", "unknown CA");
    expect_upstream(show_one(&ca, &client_only), server_names, 1, "unsuitable certificate purpose",
                    "unsupported certificate");
    cert_free(&other);
}

/* The memory of verified chains */

struct memory {
    struct tls_context *client, *server;
    struct shown shown;
};

static void connect_once(struct memory *memory)
{
    struct pair pair = { .random = 1 };
    pair_open(&pair, memory->client, memory->server);
    pair_run(&pair);
    pair_close(&pair);
}

static void open_memory(struct memory *memory, const struct tls_settings *settings, int64_t until_s)
{
    memory->client = client_context();
    memory->server = pair_context(settings, TLS_SERVER);
    memory->shown = show_one(&ca, &(struct cert_options){ .cn = "bob", .until_s = until_s });
    show(memory->client, &memory->shown);
}

static void close_memory(struct memory *memory)
{
    pair_set_time(0);
    tls_context_free(&memory->client);
    tls_context_free(&memory->server);
    forget(&memory->shown);
}

static void assert_counts(const struct memory *memory, uint64_t verified, uint64_t remembered)
{
    assert_int_equal(tls_context_counts(memory->server).verified, verified);
    assert_int_equal(tls_context_counts(memory->server).remembered, remembered);
}

static void a_chain_is_remembered_for_five_minutes(void **state)
{
    int64_t start = time(NULL);
    struct memory memory;
    (void)state;
    open_memory(&memory, &server_settings, 0);
    pair_set_time(start);
    connect_once(&memory);
    assert_counts(&memory, 1, 0);
    pair_set_time(start + 299);
    connect_once(&memory);
    assert_counts(&memory, 1, 1);
    pair_set_time(start + 300);
    connect_once(&memory);
    assert_counts(&memory, 2, 1);
    pair_set_time(start - 3600);
    connect_once(&memory);
    assert_counts(&memory, 3, 1);
    close_memory(&memory);
}

static void a_chain_is_remembered_until_its_first_certificate_ends(void **state)
{
    int64_t start = time(NULL);
    struct memory memory;
    (void)state;
    open_memory(&memory, &server_settings, start + 20);
    pair_set_time(start);
    connect_once(&memory);
    pair_set_time(start + 19);
    connect_once(&memory);
    assert_counts(&memory, 1, 1);
    pair_set_time(start + 21);
    connect_once(&memory);
    assert_counts(&memory, 2, 1);
    close_memory(&memory);
}

static void a_chain_is_remembered_until_the_next_crl(void **state)
{
    int64_t start = time(NULL);
    struct tls_settings settings = with_crls(cert_crl(&ca, start + 20, NULL), NULL);
    struct memory memory;
    (void)state;
    open_memory(&memory, &settings, 0);
    pair_set_time(start);
    connect_once(&memory);
    pair_set_time(start + 19);
    connect_once(&memory);
    assert_counts(&memory, 1, 1);
    pair_set_time(start + 20);
    connect_once(&memory);
    assert_counts(&memory, 2, 1);
    close_memory(&memory);
}

static void a_refusal_is_not_remembered(void **state)
{
    struct memory memory;
    (void)state;
    open_memory(&memory, &server_settings, time(NULL) - 10);
    connect_once(&memory);
    connect_once(&memory);
    assert_counts(&memory, 2, 0);
    close_memory(&memory);
}

static void contexts_share_no_memory_of_chains(void **state)
{
    struct memory memory;
    (void)state;
    open_memory(&memory, &server_settings, 0);
    connect_once(&memory);
    tls_context_free(&memory.server);
    memory.server = pair_context(&server_settings, TLS_SERVER);
    connect_once(&memory);
    assert_counts(&memory, 1, 0);
    close_memory(&memory);
}

static void the_same_leaf_with_another_chain_is_verified_anew(void **state)
{
    struct memory memory;
    (void)state;
    open_memory(&memory, &server_settings, 0);
    connect_once(&memory);
    SSL_CTX_add1_chain_cert(memory.client->ssl, ca.x509);
    connect_once(&memory);
    assert_counts(&memory, 2, 0);
    close_memory(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_of_the_ca_is_accepted),
        cmocka_unit_test(no_certificate_is_refused),
        cmocka_unit_test(a_client_is_asked_for_nothing_where_clients_are_anonymous),
        cmocka_unit_test(an_expired_certificate_is_refused_with_its_date),
        cmocka_unit_test(a_certificate_of_the_future_is_refused_with_its_date),
        cmocka_unit_test_teardown(the_time_is_the_loop_s, reset_time),
        cmocka_unit_test(another_ca_is_refused_by_name),
        cmocka_unit_test(a_self_signed_certificate_is_refused),
        cmocka_unit_test(a_forged_ca_of_the_same_name_is_refused),
        cmocka_unit_test(a_certificate_for_servers_only_is_refused),
        cmocka_unit_test(whoever_lacks_the_key_is_refused),
        cmocka_unit_test(whoever_lacks_the_key_is_refused_when_the_chain_is_remembered_too),
        cmocka_unit_test(weak_keys_and_signatures_are_refused),
        cmocka_unit_test(chains_have_five_certificates_at_most),
        cmocka_unit_test(a_path_length_is_kept),
        cmocka_unit_test(a_leaf_issues_nothing),
        cmocka_unit_test(name_constraints_are_kept),
        cmocka_unit_test(names_out_of_bounds_are_refused),
        cmocka_unit_test(names_that_cannot_be_read_are_refused),
        cmocka_unit_test(a_subject_is_escaped_and_cut),
        cmocka_unit_test(a_revoked_leaf_is_refused),
        cmocka_unit_test(a_revoked_intermediate_is_refused),
        cmocka_unit_test(an_intermediate_without_a_crl_is_refused),
        cmocka_unit_test(an_expired_crl_refuses_everyone),
        cmocka_unit_test(a_missing_crl_refuses_everyone),
        cmocka_unit_test(a_forged_crl_refuses_everyone),
        cmocka_unit_test(an_upstream_is_known_by_any_one_of_its_names),
        cmocka_unit_test(an_upstream_s_wildcard_stands_for_one_whole_label),
        cmocka_unit_test(an_upstream_of_another_name_is_refused),
        cmocka_unit_test(a_bad_upstream_is_refused),
        cmocka_unit_test(a_chain_is_remembered_for_five_minutes),
        cmocka_unit_test(a_chain_is_remembered_until_its_first_certificate_ends),
        cmocka_unit_test(a_chain_is_remembered_until_the_next_crl),
        cmocka_unit_test(a_refusal_is_not_remembered),
        cmocka_unit_test(contexts_share_no_memory_of_chains),
        cmocka_unit_test(the_same_leaf_with_another_chain_is_verified_anew),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
