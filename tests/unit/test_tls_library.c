/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>

#include "../../server/tls/library.h"
#include "tls_pair.h"

/* What the system's configuration of OpenSSL may say, and what must not matter. */
static const char system_configuration[] = "openssl_conf = all\n"
                                           "[all]\n"
                                           "ssl_conf = ssl\n"
                                           "[ssl]\n"
                                           "system_default = defaults\n"
                                           "[defaults]\n"
                                           "MaxProtocol = TLSv1.2\n"
                                           "Ciphersuites = TLS_CHACHA20_POLY1305_SHA256\n"
                                           "SignatureAlgorithms = RSA+SHA256\n"
                                           "Options = KTLS, SessionTicket\n";

static void the_system_s_configuration_decides_nothing(void **state)
{
    struct cert ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    struct cert own = cert_new(&ca, &(struct cert_options){ .cn = "web", .san = "IP:192.0.2.7" });
    struct tls_settings settings = { .certificate = certs_write("own.crt", own.x509),
                                     .key = certs_write_key("own.key", own.key),
                                     .ca = certs_write("ca.crt", ca.x509) };
    struct tls_context *client = pair_context(&settings, TLS_CLIENT), *server = pair_context(&settings, TLS_SERVER);
    struct pair pair = { .random = 1 };
    (void)state;
    pair_open(&pair, client, server);
    pair_connect(&pair);
    assert_string_equal(tls_session_version(pair.server.session), "TLSv1.3");
    assert_string_equal(tls_session_cipher(pair.server.session), "TLS_AES_128_GCM_SHA256");
    pair_close(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
    cert_free(&own);
    cert_free(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_system_s_configuration_decides_nothing) };
    setenv("OPENSSL_CONF", certs_write_text("openssl.cnf", system_configuration), 1);
    if (tls_library_start() != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    certs_folder_remove();
    return failed;
}
