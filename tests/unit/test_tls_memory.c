/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include <weir/errors.h>

#include "allocations.h"
#include "tls_pair.h"

/* One allocation after the other fails, ours or OpenSSL's: everything ends with an error, and nothing is lost. */

static struct cert ca, server_cert, client_cert;
static struct tls_settings server_settings, client_settings;
static struct tls_name server_name = { IDENTITY_DNS, (char *)"web.internal", 12 };

/* OpenSSL's memory goes through here, so that its allocations fail as well, and are counted. */

static int64_t live;

static void *ssl_malloc(size_t size, const char *file, int line)
{
    void *memory = malloc(size);
    (void)file;
    (void)line;
    live += memory != NULL;
    return memory;
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
    void *memory = realloc(old, size);
    (void)file;
    (void)line;
    live += old == NULL && memory != NULL;
    return memory;
}

static void ssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    live -= memory != NULL;
    free(memory);
}

static int make_certificates(void **state)
{
    (void)state;
    ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    server_cert = cert_new(&ca, &(struct cert_options){ .cn = "web", .san = "DNS:web.internal" });
    client_cert = cert_new(&ca, &(struct cert_options){ .cn = "alice", .san = "DNS:alice" });
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

static int load(const struct tls_settings *settings, enum tls_role role, struct tls_context **ret_context)
{
    struct tls_complaint complaints[4];
    struct tls_material *material = NULL;
    uint32_t count = 4, errors = 0;
    int err = tls_material_load(settings, role, complaints, &count, &errors, &material);
    if (err == 0)
        err = tls_context_new(material, role, pair_loop(), ret_context);
    tls_material_unref(&material);
    return err;
}

/* Returns whether it succeeded. */
static bool load_both(void)
{
    struct tls_context *client = NULL, *server = NULL;
    int err = load(&server_settings, TLS_SERVER, &server);
    if (err == 0)
        err = load(&client_settings, TLS_CLIENT, &client);
    tls_context_free(&server);
    tls_context_free(&client);
    return err == 0;
}

struct fixture {
    struct tls_context *client, *server;
};
static struct fixture contexts;

static bool open_end(struct end *end, struct tls_context *context)
{
    struct weir_address address = { 0 };
    memset(end, 0, sizeof *end);
    collector_init(&end->out);
    collector_init(&end->plain);
    return tls_session_new(context, &address, &end->session) == 0;
}

/* OpenSSL does not always say why it failed. */
static uint64_t told_as_such;

static bool talk(struct pair *pair)
{
    struct weir_filter *filter = tls_session_filter(pair->client.session);
    struct identity identity = { 0 };
    pair_run(pair);
    if (pair->client.progress != TLS_ESTABLISHED || pair->server.progress != TLS_ESTABLISHED) {
        told_as_such += tls_session_failure(pair->server.session)->kind == TLS_FAILURE_NO_MEMORY;
        return false;
    }
    /* Whoever got in is known by all names. */
    tls_session_identity(pair->server.session, &identity);
    assert_int_equal(identity.name_count, 2);
    if (filter->ops->encode(filter, (const uint8_t *)"hello", 5, &pair->client.out.sink) != WEIR_FILTER_OK ||
        filter->ops->encode_end(filter, &pair->client.out.sink) != WEIR_FILTER_OK)
        return false;
    pair_run(pair);
    return pair->server.result == WEIR_FILTER_ENDED && pair->server.plain.size == 5;
}

static bool connect_both(void)
{
    struct pair pair = { .random = 1 };
    bool opened = open_end(&pair.client, contexts.client);
    opened = open_end(&pair.server, contexts.server) && opened;
    bool talked = opened && talk(&pair);
    pair_close(&pair);
    return talked;
}

/* OpenSSL keeps a few things for the thread's next error. */
#define KEPT_MAX 64

/* Every `stride`-th allocation; all of them take a while. */
static void fail_in_turn(bool (*work)(void), uint64_t stride)
{
    uint64_t n = 1, failures = 0;
    assert_true(work());
    int64_t before = live;
    for (bool failed = true; failed; n += stride) {
        allocations_fail_at(n);
        bool succeeded = work();
        failed = allocations_failed();
        allocations_fail_at(0);
        failures += failed && !succeeded;
        assert_true(failed || succeeded);
        assert_true(live - before <= KEPT_MAX);
    }
    assert_true(failures > 0);
    assert_true(work());
}

static uint64_t stride(uint64_t usual)
{
    const char *full = getenv("WEIR_FULL");
    return full != NULL && *full != '\0' ? 1 : usual;
}

static void loading_survives_any_failing_allocation(void **state)
{
    (void)state;
    fail_in_turn(load_both, stride(97));
}

static void a_connection_survives_any_failing_allocation(void **state)
{
    (void)state;
    assert_int_equal(load(&server_settings, TLS_SERVER, &contexts.server), 0);
    assert_int_equal(load(&client_settings, TLS_CLIENT, &contexts.client), 0);
    fail_in_turn(connect_both, stride(7));
    assert_true(told_as_such > 0);
    tls_context_free(&contexts.server);
    tls_context_free(&contexts.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_survives_any_failing_allocation),
        cmocka_unit_test(a_connection_survives_any_failing_allocation),
    };
    if (CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
