/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/tls/parts.h"
#include "tls_pair.h"

/* Sessions, a client and a server of ours in memory. */

static struct cert ca, server_cert, client_cert;
static struct tls_settings server_settings, client_settings;
static struct tls_name server_name = { IDENTITY_DNS, (char *)"web.internal", 12 };

struct fixture {
    struct tls_context *client, *server;
    struct pair pair;
};

static int make_certificates(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    server_cert =
        cert_new(&ca, &(struct cert_options){ .cn = "web", .san = "DNS:web.internal", .usage = "serverAuth" });
    client_cert =
        cert_new(&ca, &(struct cert_options){ .cn = "alice", .san = "DNS:Alice.example.com,URI:spiffe://a/b" });
    server_settings = (struct tls_settings){ .certificate = certs_write("server.crt", server_cert.x509),
                                             .key = certs_write_key("server.key", server_cert.key),
                                             .ca = certs_write("ca.crt", ca.x509) };
    client_settings = (struct tls_settings){ .certificate = certs_write("client.crt", client_cert.x509),
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

static void open_fixture(struct fixture *f, bool tls_1_2)
{
    struct tls_settings settings = server_settings;
    settings.tls_1_2 = tls_1_2;
    memset(f, 0, sizeof *f);
    f->client = pair_context(&client_settings, TLS_CLIENT);
    f->server = pair_context(&settings, TLS_SERVER);
    f->pair.random = 7;
}

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, false);
    pair_open(&f->pair, f->client, f->server);
    *state = f;
    return 0;
}

/* A server that lets 1.2 in, and a client that speaks nothing else. */
static int set_up_1_2(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    open_fixture(f, true);
    SSL_CTX_set_min_proto_version(f->client->ssl, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(f->client->ssl, TLS1_2_VERSION);
    pair_open(&f->pair, f->client, f->server);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    pair_close(&f->pair);
    tls_context_free(&f->client);
    tls_context_free(&f->server);
    free(f);
    return 0;
}

static const char *failure_of(const struct end *end)
{
    return tls_session_failure(end->session)->text;
}

static void assert_plain(struct end *end, const char *text)
{
    assert_int_equal(end->plain.size, strlen(text));
    assert_memory_equal(end->plain.bytes, text, strlen(text));
    end->plain.size = 0;
}

static void assert_talk(struct pair *pair)
{
    pair_send(&pair->client, "hello", 5);
    pair_send(&pair->server, "world", 5);
    pair_run(pair);
    assert_plain(&pair->server, "hello");
    assert_plain(&pair->client, "world");
}

/* Handshakes */

static void both_ends_shake_hands_and_talk(void **state)
{
    struct fixture *f = *state;
    struct identity identity = { 0 };
    pair_connect(&f->pair);
    assert_string_equal(tls_session_version(f->pair.server.session), "TLSv1.3");
    assert_string_equal(tls_session_cipher(f->pair.server.session), "TLS_AES_128_GCM_SHA256");
    assert_string_equal(tls_session_server_name(f->pair.server.session), "web.internal");
    tls_session_identity(f->pair.server.session, &identity);
    assert_true(identity.has_certificate);
    assert_int_equal(identity.name_count, 3);
    assert_int_equal(identity.names[0].kind, IDENTITY_DNS);
    assert_int_equal(identity.names[0].size, 17);
    assert_memory_equal(identity.names[0].bytes, "alice.example.com", 17);
    assert_talk(&f->pair);
}

static void names_are_given_back_and_the_certificate_was_there(void **state)
{
    struct fixture *f = *state;
    struct identity identity = { 0 };
    pair_connect(&f->pair);
    tls_session_forget_identity(f->pair.server.session);
    tls_session_identity(f->pair.server.session, &identity);
    assert_true(identity.has_certificate);
    assert_int_equal(identity.name_count, 0);
    assert_talk(&f->pair);
}

static void tls_1_2_works_where_it_is_allowed(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    assert_string_equal(tls_session_version(f->pair.server.session), "TLSv1.2");
    assert_string_equal(tls_session_cipher(f->pair.server.session), "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_true(SSL_get_extms_support(f->pair.server.session->ssl) == 1);
    assert_talk(&f->pair);
}

static void tls_1_2_is_refused_where_it_is_not(void **state)
{
    struct fixture *f = *state;
    SSL_set_min_proto_version(f->pair.client.session->ssl, TLS1_2_VERSION);
    SSL_set_max_proto_version(f->pair.client.session->ssl, TLS1_2_VERSION);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.progress, TLS_FAILED);
    assert_int_equal(tls_session_failure(f->pair.server.session)->kind, TLS_FAILURE_PROTOCOL);
    assert_non_null(strstr(failure_of(&f->pair.server), "no TLS version that is allowed"));
    assert_string_equal(failure_of(&f->pair.client), "the upstream sent the alert \"protocol version\"");
}

static void old_ciphers_are_refused(void **state)
{
    static const char *const ciphers[] = { "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                                           "DHE-RSA-AES128-GCM-SHA256" };
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3; i++) {
        pair_close(&f->pair);
        f->pair = (struct pair){ .random = 1 };
        pair_open(&f->pair, f->client, f->server);
        assert_int_equal(SSL_set_cipher_list(f->pair.client.session->ssl, ciphers[i]), 1);
        pair_run(&f->pair);
        assert_string_equal(failure_of(&f->pair.server), "no shared cipher");
    }
}

static void handshakes_succeed_whatever_the_pieces(void **state)
{
    struct fixture *f = *state;
    for (uint32_t piece = 1; piece < 2000; piece = piece * 3 + 1) {
        pair_close(&f->pair);
        f->pair = (struct pair){ .random = piece, .piece = piece };
        pair_open(&f->pair, f->client, f->server);
        f->pair.server.out.step = f->pair.client.plain.step = 1;
        f->pair.client.out.step = f->pair.server.plain.step = piece;
        pair_connect(&f->pair);
        assert_talk(&f->pair);
    }
}

static void a_handshake_may_stop_anywhere(void **state)
{
    struct fixture *f = *state;
    bool finished = false;
    for (uint32_t bytes = 0; !finished; bytes += 13) {
        pair_close(&f->pair);
        f->pair = (struct pair){ .random = 1, .piece = 1, .budget = bytes, .bounded = true };
        pair_open(&f->pair, f->client, f->server);
        pair_run(&f->pair);
        assert_int_not_equal(f->pair.server.progress, TLS_FAILED);
        finished = f->pair.server.progress == TLS_ESTABLISHED;
    }
}

static void what_follows_a_handshake_at_once_is_not_lost(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 100000 };
    uint8_t *data = malloc(SIZE);
    memset(data, 'x', SIZE);
    pair_start(&f->pair);
    pair_carry(&f->pair, &f->pair.client, &f->pair.server);
    pair_carry(&f->pair, &f->pair.server, &f->pair.client);
    assert_int_equal(f->pair.client.progress, TLS_ESTABLISHED);
    pair_send(&f->pair.client, data, SIZE);
    pair_connect(&f->pair);
    assert_int_equal(f->pair.server.plain.size, SIZE);
    assert_memory_equal(f->pair.server.plain.bytes, data, SIZE);
    free(data);
}

/* Bytes that are not TLS */

static void expect_garbage(const void *bytes, uint32_t size, const char *text)
{
    struct tls_context *server = pair_context(&server_settings, TLS_SERVER);
    struct tls_session *session = NULL;
    struct collector out;
    collector_init(&out);
    assert_int_equal(tls_session_new(server, NULL, &session), 0);
    assert_int_equal(tls_handshake(session, bytes, size, &out.sink), TLS_FAILED);
    assert_int_equal(tls_session_failure(session)->kind, TLS_FAILURE_PROTOCOL);
    assert_string_equal(tls_session_failure(session)->text, text);
    tls_session_free(&session);
    tls_context_free(&server);
    collector_free(&out);
}

static void what_is_not_tls_is_told_apart(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
    (void)state;
    expect_garbage(http, sizeof http - 1, "an HTTP request instead of TLS");
    expect_garbage(ssh, sizeof ssh - 1, "what was sent is not TLS (wrong version number)");
}

static void plaintext_behind_the_handshake_is_corrupt(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    collector_put(&f->pair.client.out, "GET / HTTP/1.1\r\n\r\n", 18);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.result, WEIR_FILTER_CORRUPT);
    assert_int_equal(tls_session_failure(f->pair.server.session)->kind, TLS_FAILURE_PROTOCOL);
    assert_int_equal(f->pair.server.plain.size, 0);
    assert_string_equal(failure_of(&f->pair.client), "the upstream sent the alert \"protocol version\"");
}

static void a_changed_byte_is_corrupt(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    pair_send(&f->pair.client, "hello", 5);
    f->pair.client.out.bytes[8] ^= 1;
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.result, WEIR_FILTER_CORRUPT);
    assert_int_equal(f->pair.server.plain.size, 0);
    assert_string_equal(failure_of(&f->pair.client), "the upstream sent the alert \"bad record mac\"");
}

static void too_large_a_certificate_message_is_refused(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++)
        SSL_add1_chain_cert(f->pair.client.session->ssl, ca.x509);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.progress, TLS_FAILED);
    assert_string_equal(failure_of(&f->pair.server), "a handshake message is too large (too many certificates?)");
}

/* What is never spoken */

static void no_plaintext_leaves(void **state)
{
    static const char secret[] = "a secret that stands out";
    struct fixture *f = *state;
    struct end *ends[] = { &f->pair.client, &f->pair.server };
    pair_connect(&f->pair);
    for (unsigned i = 0; i < 2; i++) {
        pair_send(ends[i], secret, sizeof secret);
        pair_end(ends[i]);
        const struct collector *out = &ends[i]->out;
        assert_null(memmem(out->bytes, out->size, secret, sizeof secret - 1));
        assert_memory_equal(out->bytes, "\x17\x03\x03", 3);
    }
}

static void no_session_is_a_way_in(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    assert_talk(&f->pair);
    SSL_SESSION *before = SSL_get1_session(f->pair.client.session->ssl);
    assert_false(SSL_SESSION_has_ticket(before));
    pair_close(&f->pair);
    f->pair = (struct pair){ .random = 1 };
    pair_open(&f->pair, f->client, f->server);
    SSL_set_session(f->pair.client.session->ssl, before);
    pair_connect(&f->pair);
    assert_false(SSL_session_reused(f->pair.server.session->ssl));
    assert_int_equal(tls_context_counts(f->server).verified + tls_context_counts(f->server).remembered, 2);
    SSL_SESSION_free(before);
}

/* A pre-shared key that promises early data, which nobody has given out. */
static int offer_psk(SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *id_size,
                     SSL_SESSION **ret_session)
{
    static const unsigned char cipher[] = { 0x13, 0x01 };
    SSL_SESSION *session = SSL_SESSION_new();
    (void)digest;
    SSL_SESSION_set1_master_key(session, (const unsigned char *)"0123456789abcdef0123456789abcdef", 32);
    SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher));
    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION);
    SSL_SESSION_set_max_early_data(session, 16384);
    *id = (const unsigned char *)"me";
    *id_size = 2;
    *ret_session = session;
    return 1;
}

static void early_data_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_session *client = f->pair.client.session;
    size_t written = 0;
    SSL_set_psk_use_session_callback(client->ssl, offer_psk);
    client->bytes.output = &f->pair.client.out.sink;
    assert_int_equal(SSL_write_early_data(client->ssl, "early", 5, &written), 1);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.plain.size, 0);
    assert_int_equal(f->pair.server.progress, TLS_FAILED);
}

static void renegotiation_is_refused(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    struct tls_session *client = f->pair.client.session;
    SSL_clear_options(client->ssl, SSL_OP_NO_RENEGOTIATION);
    client->bytes = (struct tls_bytes){ .output = &f->pair.client.out.sink };
    assert_int_equal(SSL_renegotiate(client->ssl), 1);
    SSL_do_handshake(client->ssl);
    assert_true(f->pair.client.out.size > 0);
    pair_run(&f->pair);
    assert_int_equal(f->pair.client.result, WEIR_FILTER_CORRUPT);
    assert_int_equal(tls_context_counts(f->server).verified, 1);
    assert_int_equal(tls_context_counts(f->server).remembered, 0);
}

static void a_certificate_is_never_asked_for_later(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    assert_int_equal(SSL_verify_client_post_handshake(f->pair.server.session->ssl), 0);
}

/* ALPN and SNI */

static void run_alpn(struct pair *pair, uint32_t configured, const char *offered)
{
    struct tls_settings settings = server_settings;
    char *names[] = { (char *)"h2", (char *)"http/1.1" };
    settings.alpn = names;
    settings.alpn_count = configured;
    struct tls_context *client = pair_context(&client_settings, TLS_CLIENT);
    struct tls_context *server = pair_context(&settings, TLS_SERVER);
    *pair = (struct pair){ .random = 1 };
    pair_open(pair, client, server);
    SSL_set_alpn_protos(pair->client.session->ssl, (const unsigned char *)offered, (unsigned)strlen(offered));
    pair_run(pair);
}

static void close_alpn(struct pair *pair)
{
    struct tls_context *client = pair->client.context, *server = pair->server.context;
    pair_close(pair);
    tls_context_free(&client);
    tls_context_free(&server);
}

static void assert_alpn(const struct pair *pair, const char *name)
{
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    assert_int_equal(pair->server.progress, TLS_ESTABLISHED);
    SSL_get0_alpn_selected(pair->client.session->ssl, &chosen, &size);
    assert_int_equal(size, strlen(name));
    assert_memory_equal(chosen, name, size);
}

static void the_first_configured_protocol_that_is_offered_is_chosen(void **state)
{
    struct pair pair;
    (void)state;
    run_alpn(&pair, 2, "\x08http/1.1\x02h2");
    assert_alpn(&pair, "h2");
    close_alpn(&pair);
    run_alpn(&pair, 2,
             "\x05"
             "redis\x08http/1.1");
    assert_alpn(&pair, "http/1.1");
    close_alpn(&pair);
}

static void no_common_protocol_is_refused(void **state)
{
    struct pair pair;
    (void)state;
    run_alpn(&pair, 2, "\x05redis");
    assert_string_equal(failure_of(&pair.server), "no application protocol");
    assert_string_equal(failure_of(&pair.client), "the upstream sent the alert \"no application protocol\"");
    close_alpn(&pair);
}

static void protocols_do_not_matter_where_none_is_configured_or_offered(void **state)
{
    struct pair pair;
    (void)state;
    run_alpn(&pair, 0, "\x05redis");
    assert_alpn(&pair, "");
    close_alpn(&pair);
    run_alpn(&pair, 2, "");
    assert_alpn(&pair, "");
    close_alpn(&pair);
}

static void a_client_without_a_server_name_is_served(void **state)
{
    struct fixture *f = *state;
    SSL_set_tlsext_host_name(f->pair.client.session->ssl, NULL);
    pair_connect(&f->pair);
    assert_string_equal(tls_session_server_name(f->pair.server.session), "");
}

/* Data and ends */

static void much_data_crosses_both_ways(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 1 << 20 };
    uint8_t *data = malloc(SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    f->pair.piece = 30000;
    f->pair.server.plain.step = 777;
    pair_connect(&f->pair);
    pair_send(&f->pair.client, data, SIZE);
    pair_send(&f->pair.server, data, SIZE);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.plain.size, SIZE);
    assert_memory_equal(f->pair.server.plain.bytes, data, SIZE);
    assert_int_equal(f->pair.client.plain.size, SIZE);
    assert_memory_equal(f->pair.client.plain.bytes, data, SIZE);
    free(data);
}

static void assert_half_close(struct pair *pair, struct end *first, struct end *second)
{
    pair_connect(pair);
    pair_send(first, "last", 4);
    pair_end(first);
    pair_run(pair);
    assert_plain(second, "last");
    assert_int_equal(second->result, WEIR_FILTER_ENDED);
    assert_int_equal(first->result, WEIR_FILTER_OK);
    pair_send(second, "answer", 6);
    pair_run(pair);
    assert_plain(first, "answer");
    pair_send(second, "more", 4);
    pair_end(second);
    pair_run(pair);
    assert_plain(first, "more");
    assert_int_equal(first->result, WEIR_FILTER_ENDED);
    assert_int_equal(first->out.size + second->out.size, 0);
}

static void the_server_goes_on_after_the_client_s_end(void **state)
{
    struct fixture *f = *state;
    assert_half_close(&f->pair, &f->pair.client, &f->pair.server);
}

static void the_client_goes_on_after_the_server_s_end(void **state)
{
    struct fixture *f = *state;
    assert_half_close(&f->pair, &f->pair.server, &f->pair.client);
}

static void nothing_counts_behind_the_end(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    pair_send(&f->pair.client, "last", 4);
    pair_end(&f->pair.client);
    collector_put(&f->pair.client.out, "\x17\x03\x03\x00\x20garbage behind the end of it all", 37);
    pair_run(&f->pair);
    assert_plain(&f->pair.server, "last");
    assert_int_equal(f->pair.server.result, WEIR_FILTER_ENDED);
    struct weir_filter *filter = tls_session_filter(f->pair.server.session);
    enum weir_filter_result result = filter->ops->decode(filter, (const uint8_t *)"garbage", 7,
                                                         &f->pair.server.plain.sink, &f->pair.server.out.sink);
    assert_int_equal(result, WEIR_FILTER_ENDED);
    assert_int_equal(f->pair.server.plain.size + f->pair.server.out.size, 0);
}

static void an_end_is_told_once(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    pair_end(&f->pair.server);
    uint32_t size = f->pair.server.out.size;
    assert_true(size > 0);
    pair_end(&f->pair.server);
    assert_int_equal(tls_session_end(f->pair.server.session, &f->pair.server.out.sink), 0);
    assert_int_equal(f->pair.server.out.size, size);
}

static void an_end_in_the_handshake_fails_it(void **state)
{
    struct fixture *f = *state;
    collector_put(&f->pair.client.out, "\x15\x03\x01\x00\x02\x01\x00", 7);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.progress, TLS_FAILED);
    assert_int_equal(tls_session_failure(f->pair.server.session)->kind, TLS_FAILURE_PROTOCOL);
}

/* Key updates */

static void update_keys(struct end *end, int type)
{
    struct tls_session *session = end->session;
    session->bytes = (struct tls_bytes){ .output = &end->out.sink };
    assert_int_equal(SSL_key_update(session->ssl, type), 1);
    assert_int_equal(SSL_do_handshake(session->ssl), 1);
}

/* Five bytes of data and a key update take the same room as records. */
#define RECORD_BYTES (5 + 5 + 1 + 16)

static void a_key_update_is_answered_before_the_next_data(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    update_keys(&f->pair.client, SSL_KEY_UPDATE_NOT_REQUESTED);
    assert_talk(&f->pair);
    update_keys(&f->pair.client, SSL_KEY_UPDATE_REQUESTED);
    pair_carry(&f->pair, &f->pair.client, &f->pair.server);
    pair_send(&f->pair.server, "world", 5);
    assert_int_equal(f->pair.server.out.size, 2 * RECORD_BYTES);
    pair_run(&f->pair);
    assert_plain(&f->pair.client, "world");
    update_keys(&f->pair.server, SSL_KEY_UPDATE_REQUESTED);
    assert_talk(&f->pair);
}

static void a_thousand_key_updates_are_answered_by_no_more_than_was_sent(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    for (int i = 0; i < 1000; i++)
        update_keys(&f->pair.client, SSL_KEY_UPDATE_REQUESTED);
    uint32_t sent = f->pair.client.out.size;
    pair_carry(&f->pair, &f->pair.client, &f->pair.server);
    assert_true(f->pair.server.out.size > 0 && f->pair.server.out.size <= sent);
    pair_run(&f->pair);
    assert_talk(&f->pair);
}

static void key_updates_after_our_end_change_nothing_for_data(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    pair_end(&f->pair.server);
    update_keys(&f->pair.client, SSL_KEY_UPDATE_REQUESTED);
    pair_send(&f->pair.client, "hello", 5);
    pair_run(&f->pair);
    assert_plain(&f->pair.server, "hello");
    assert_int_equal(f->pair.server.result, WEIR_FILTER_OK);
}

/* Memory */

static void an_exhausted_sink_is_no_memory(void **state)
{
    struct fixture *f = *state;
    f->pair.server.out.exhausted = true;
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.progress, TLS_FAILED);
    assert_int_equal(tls_session_failure(f->pair.server.session)->kind, TLS_FAILURE_NO_MEMORY);
}

static void exhausted_sinks_of_an_established_session_are_no_memory(void **state)
{
    struct fixture *f = *state;
    struct weir_filter *filter = tls_session_filter(f->pair.server.session);
    pair_connect(&f->pair);
    f->pair.server.plain.exhausted = true;
    pair_send(&f->pair.client, "hello", 5);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.result, WEIR_FILTER_NO_MEMORY);
    f->pair.server.out.exhausted = true;
    assert_int_equal(filter->ops->encode(filter, (const uint8_t *)"x", 1, &f->pair.server.out.sink),
                     WEIR_FILTER_NO_MEMORY);
}

static void an_end_without_room_is_no_memory(void **state)
{
    struct fixture *f = *state;
    pair_connect(&f->pair);
    f->pair.server.out.exhausted = true;
    assert_int_equal(tls_session_end(f->pair.server.session, &f->pair.server.out.sink), WEIR_ENOMEM);
}

/* OpenSSL 3.0 needs 18.3 KB of it, and 16 KB more for each record that stays in a buffer. */
#define IDLE_BYTES_MAX 20000

static void an_idle_session_takes_little_memory(void **state)
{
    enum { COUNT = 40 };
    struct fixture *f = *state;
    struct pair pairs[COUNT];
    pair_connect(&f->pair);
    size_t before = mallinfo2().uordblks;
    if (before == 0)
        skip(); /* another allocator than the C library's */
    for (int i = 0; i < COUNT; i++) {
        pairs[i] = (struct pair){ .random = 1 };
        pair_open(&pairs[i], f->client, f->server);
        pair_connect(&pairs[i]);
        assert_talk(&pairs[i]);
        tls_session_forget_identity(pairs[i].server.session);
        tls_session_free(&pairs[i].client.session);
        collector_free(&pairs[i].client.out);
        collector_free(&pairs[i].client.plain);
        collector_free(&pairs[i].server.out);
        collector_free(&pairs[i].server.plain);
    }
    size_t each = (mallinfo2().uordblks - before) / COUNT;
    print_message("bytes for each idle session: %zu\n", each);
    for (int i = 0; i < COUNT; i++)
        tls_session_free(&pairs[i].server.session);
    assert_true(each <= IDLE_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_1_2(test) cmocka_unit_test_setup_teardown(test, set_up_1_2, tear_down)
        WITH(both_ends_shake_hands_and_talk),
        WITH(names_are_given_back_and_the_certificate_was_there),
        WITH_1_2(tls_1_2_works_where_it_is_allowed),
        WITH(tls_1_2_is_refused_where_it_is_not),
        WITH_1_2(old_ciphers_are_refused),
        WITH(handshakes_succeed_whatever_the_pieces),
        WITH_1_2(handshakes_succeed_whatever_the_pieces),
        WITH(a_handshake_may_stop_anywhere),
        WITH(what_follows_a_handshake_at_once_is_not_lost),
        cmocka_unit_test(what_is_not_tls_is_told_apart),
        WITH(plaintext_behind_the_handshake_is_corrupt),
        WITH(a_changed_byte_is_corrupt),
        WITH(too_large_a_certificate_message_is_refused),
        WITH(no_plaintext_leaves),
        WITH_1_2(no_plaintext_leaves),
        WITH(no_session_is_a_way_in),
        WITH_1_2(no_session_is_a_way_in),
        WITH(early_data_is_refused),
        WITH_1_2(renegotiation_is_refused),
        WITH(a_certificate_is_never_asked_for_later),
        cmocka_unit_test(the_first_configured_protocol_that_is_offered_is_chosen),
        cmocka_unit_test(no_common_protocol_is_refused),
        cmocka_unit_test(protocols_do_not_matter_where_none_is_configured_or_offered),
        WITH(a_client_without_a_server_name_is_served),
        WITH(much_data_crosses_both_ways),
        WITH_1_2(much_data_crosses_both_ways),
        WITH(the_server_goes_on_after_the_client_s_end),
        WITH(the_client_goes_on_after_the_server_s_end),
        WITH(nothing_counts_behind_the_end),
        WITH(an_end_is_told_once),
        WITH(an_end_in_the_handshake_fails_it),
        WITH(a_key_update_is_answered_before_the_next_data),
        WITH(a_thousand_key_updates_are_answered_by_no_more_than_was_sent),
        WITH(key_updates_after_our_end_change_nothing_for_data),
        WITH(an_exhausted_sink_is_no_memory),
        WITH(exhausted_sinks_of_an_established_session_are_no_memory),
        WITH(an_end_without_room_is_no_memory),
        WITH(an_idle_session_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
