/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/control/config.h"
#include "../../server/control/config_values.h"
#include "allocations.h"
#include "certs.h"

/* The configuration stands beside the files that it names. */
static const char text[] = "listeners:\n"
                           "  - name: edge\n"
                           "    address: 0.0.0.0:443\n"
                           "    pool: web\n"
                           "    handshake_timeout: 3s\n"
                           "    tls: { certificate: server.crt, key: server.key, client_ca: ca.crt, crl: missing.crl,\n"
                           "           min_version: \"1.2\", alpn: [h2, http/1.1] }\n"
                           "  - name: open\n"
                           "    address: 0.0.0.0:444\n"
                           "    pool: web\n"
                           "    tls: { certificate: server.crt, key: server.key, clients: anonymous }\n"
                           "pools:\n"
                           "  - name: web\n"
                           "    upstreams: [{ name: web1, address: 10.0.0.1:80 }]\n"
                           "    tls: { ca: ca.crt, certificate: server.crt, key: server.key,\n"
                           "           verify: [\"dns:Web.internal\", \"uri:spiffe://a/b\", \"ip:10.0.0.1\"] }\n"
                           "  - { name: db, upstreams: [{ name: db1, address: 10.0.0.2:80 }], tls: { ca: ca.crt } }\n";

static char path[512];

static int make_files(void **state)
{
    const struct cert ca = cert_new(NULL, &(struct cert_options){ .cn = "ca", .ca = true });
    const struct cert server = cert_new(&ca, &(struct cert_options){ .cn = "a", .san = "DNS:a" });
    struct cert certs[] = { ca, server };
    (void)state;
    certs_write("ca.crt", ca.x509);
    certs_write("server.crt", server.x509);
    certs_write_key("server.key", server.key);
    snprintf(path, sizeof path, "%s/weir.yaml", certs_folder());
    cert_free(&certs[0]);
    cert_free(&certs[1]);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    certs_folder_remove();
    return 0;
}

static void assert_path(const char *actual, const char *name)
{
    char expected[512];
    snprintf(expected, sizeof expected, "%s/%s", certs_folder(), name);
    assert_string_equal(actual, expected);
}

static void a_listeners_tls_is_read_with_its_files(void **state)
{
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    assert_int_equal(config_read_memory(path, text, strlen(text), &snapshot, &errors), 0);
    const struct listener *edge = &snapshot->listeners[0], *open = &snapshot->listeners[1];
    assert_int_equal(edge->handshake_timeout_ns, 3 * NS_PER_S);
    assert_non_null(edge->material);
    assert_path(edge->tls->certificate, "server.crt");
    assert_path(edge->tls->key, "server.key");
    assert_path(edge->tls->ca, "ca.crt");
    assert_path(edge->tls->crl, "missing.crl");
    assert_true(edge->tls->tls_1_2);
    assert_int_equal(edge->tls->alpn_count, 2);
    assert_string_equal(edge->tls->alpn[0], "h2");
    assert_string_equal(edge->tls->alpn[1], "http/1.1");
    assert_non_null(open->material);
    assert_null(open->tls->ca);
    assert_null(open->tls->crl);
    assert_false(open->tls->tls_1_2);
    assert_int_equal(open->tls->alpn_count, 0);
    config_errors_free(&errors);
    snapshot_free(&snapshot);
}

static void a_pools_tls_is_read_with_its_files(void **state)
{
    static const struct {
        int kind;
        const char *bytes;
    } names[] = { { IDENTITY_DNS, "web.internal" }, { IDENTITY_URI, "spiffe://a/b" }, { TLS_NAME_IP, "10.0.0.1" } };
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    (void)state;

    assert_int_equal(config_read_memory(path, text, strlen(text), &snapshot, &errors), 0);
    const struct pool *web = &snapshot->pools[0], *db = &snapshot->pools[1];
    assert_non_null(web->material);
    assert_path(web->tls->ca, "ca.crt");
    assert_path(web->tls->certificate, "server.crt");
    assert_path(web->tls->key, "server.key");
    assert_int_equal(web->tls->verify_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(web->tls->verify[i].kind, names[i].kind);
        assert_string_equal(web->tls->verify[i].text, names[i].bytes);
        assert_int_equal(web->tls->verify[i].size, strlen(names[i].bytes));
    }
    assert_non_null(db->material);
    assert_null(db->tls->certificate);
    assert_int_equal(db->tls->verify_count, 0);
    config_errors_free(&errors);
    snapshot_free(&snapshot);
}

static void a_missing_crl_is_a_warning_at_its_place(void **state)
{
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    char place[600];
    (void)state;

    assert_int_equal(config_read_memory(path, text, strlen(text), &snapshot, &errors), 0);
    assert_int_equal(errors.count, 0);
    assert_int_equal(errors.warning_count, 1);
    snprintf(place, sizeof place, "%s:6:78: ", path);
    assert_memory_equal(errors.warnings[0], place, strlen(place));
    config_errors_free(&errors);
    snapshot_free(&snapshot);
}

static void every_allocation_may_fail(void **state)
{
    uint64_t n = 1;
    (void)state;

    for (;; n++) {
        struct snapshot *snapshot = NULL;
        struct config_errors errors = { 0 };
        allocations_fail_at(n);
        int err = config_read_memory(path, text, strlen(text), &snapshot, &errors);
        allocations_fail_at(0);
        config_errors_free(&errors);
        snapshot_free(&snapshot);
        if (err == 0)
            break;
        assert_int_equal(err, WEIR_ENOMEM);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listeners_tls_is_read_with_its_files),
        cmocka_unit_test(a_pools_tls_is_read_with_its_files),
        cmocka_unit_test(a_missing_crl_is_a_warning_at_its_place),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("config_tls", tests, make_files, remove_files);
}
