/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "tls_pair.h"

/* Sessions, a client and a server of ours in memory. */

static struct cert ca, server_cert, client_cert;
static struct tls_settings server_settings, client_settings;
static struct tls_name server_name = { IDENTITY_DNS, (char *)"web.internal", 12 };

static int make_certificates(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    server_cert =
        cert_new(&ca, &(struct cert_options){ .cn = "web", .san = "DNS:web.internal", .usage = "serverAuth" });
    client_cert =
        cert_new(&ca, &(struct cert_options){ .cn = "alice", .san = "DNS:Alice.example.com,URI:spiffe://a/b" });
    server_settings = (struct tls_settings){ .certificate = certs_write("server.crt", server_cert.x509, NULL),
                                             .key = certs_write_key("server.key", server_cert.key),
                                             .ca = certs_write("ca.crt", ca.x509, NULL) };
    client_settings = (struct tls_settings){ .certificate = certs_write("client.crt", client_cert.x509, NULL),
                                             .key = certs_write_key("client.key", client_cert.key),
                                             .ca = server_settings.ca,
                                             .verify = &server_name,
                                             .verify_count = 1 };
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&server_cert);
    cert_free(&client_cert);
    certs_folder_remove();
    return 0;
}

static void both_ends_shake_hands_and_talk(void **state)
{
    struct tls_context *client = pair_context(&client_settings, TLS_CLIENT);
    struct tls_context *server = pair_context(&server_settings, TLS_SERVER);
    struct pair pair = { .random = 1 };
    struct identity identity = { 0 };
    (void)state;
    pair_open(&pair, client, server);
    pair_connect(&pair);
    assert_string_equal(tls_session_version(pair.server.session), "TLSv1.3");
    assert_string_equal(tls_session_cipher(pair.server.session), "TLS_AES_128_GCM_SHA256");
    assert_string_equal(tls_session_server_name(pair.server.session), "web.internal");
    tls_session_identity(pair.server.session, &identity);
    assert_int_equal(identity.name_count, 3);
    assert_memory_equal(identity.names[0].bytes, "alice.example.com", 17);
    pair_send(&pair.client, "hello", 5);
    pair_send(&pair.server, "world", 5);
    pair_run(&pair);
    assert_int_equal(pair.server.plain.size, 5);
    assert_memory_equal(pair.server.plain.bytes, "hello", 5);
    assert_memory_equal(pair.client.plain.bytes, "world", 5);
    pair_end(&pair.client);
    pair_run(&pair);
    assert_int_equal(pair.server.result, WEIR_FILTER_ENDED);
    pair_close(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_shake_hands_and_talk),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
