/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include <weir/errors.h>

#include "../../server/control/config_names.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LABEL "a23456789-123456789-123456789-123456789-123456789-123456789-123"

static void names_are_read_in_the_form_in_which_they_are_compared(void **state)
{
    static const struct {
        const char *text;
        enum identity_kind kind;
        const char *bytes;
        bool wildcard;
    } rows[] = {
        { "dns:alice.example.com", IDENTITY_DNS, "alice.example.com", false },
        { "dns:Alice.EXAMPLE.com", IDENTITY_DNS, "alice.example.com", false },
        { "dns:*.Example.com", IDENTITY_DNS, "*.example.com", true },
        { "dns:_x.a-b.1", IDENTITY_DNS, "_x.a-b.1", false },
        { "dns:localhost", IDENTITY_DNS, "localhost", false },
        { "dns:" LABEL ".com", IDENTITY_DNS, LABEL ".com", false },
        { "uri:spiffe://Example.com/alice", IDENTITY_URI, "spiffe://Example.com/alice", false },
        { "uri:spiffe://example.com/web/*", IDENTITY_URI, "spiffe://example.com/web/*", true },
        { "uri:spiffe://example.com/*", IDENTITY_URI, "spiffe://example.com/*", true },
        { "uri:urn:uuid:1", IDENTITY_URI, "urn:uuid:1", false },
        { "email:Alice@Example.COM", IDENTITY_EMAIL, "Alice@example.com", false },
        { "email:\"a@b\"@example.com", IDENTITY_EMAIL, "\"a@b\"@example.com", false },
        { "cn:Alice Smith", IDENTITY_CN, "Alice Smith", false },
        { "cn:J\xc3\xb6rg", IDENTITY_CN, "J\xc3\xb6rg", false },
        { "sha256:" HASH, IDENTITY_SHA256, HASH, false },
        { "sha256:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF",
          IDENTITY_SHA256, HASH, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct typed_name name;
        const char *reason = NULL;
        assert_int_equal(names_read(rows[i].text, &name, &reason), 0);
        assert_null(reason);
        assert_int_equal(name.kind, rows[i].kind);
        assert_string_equal(name.bytes, rows[i].bytes);
        assert_int_equal(name.size, strlen(rows[i].bytes));
        assert_int_equal(name.wildcard, rows[i].wildcard);
    }
}

static void what_no_certificate_can_say_is_refused_with_a_reason(void **state)
{
    static const char *const wrong[] = {
        "",
        "alice",
        "dns",
        "cidr:10.0.0.0/8",
        "DNS:alice",
        "dns:",
        "dns:.",
        "dns:a..b",
        "dns:.a",
        "dns:a.",
        "dns:a b",
        "dns:j\xc3\xb6rg.de",
        ("dns:" LABEL "4.com"),
        ("dns:" LABEL "." LABEL "." LABEL "." LABEL),
        "dns:*",
        "dns:*.",
        "dns:a.*",
        "dns:*a.b",
        "dns:*.*.b",
        "dns:**.b",
        "uri:",
        "uri:alice",
        "uri:/alice",
        "uri:spiffe:",
        "uri:1x://a",
        "uri:spiffe://*",
        "uri:spiffe:///*",
        "uri:spiffe://a/*/b",
        "uri:spiffe://a/b*",
        "uri:spiffe://a/*?b",
        "uri:spiffe://a?b/*",
        "uri:spiffe://a#b/*",
        "uri:spiffe://*/a",
        "uri:spiffe://a/**",
        "uri:a*://b/c",
        "uri:spiffe://a/b c",
        "uri:spiffe://a/\xc3\xb6",
        "uri:spiffe://a/\x7f",
        "uri:urn:*",
        "email:",
        "email:alice",
        "email:@example.com",
        "email:a@",
        "email:a@b..c",
        "email:*@example.com",
        "email:a@*.com",
        "email:a b@c.de",
        "cn:",
        "cn:*.example.com",
        "cn:a*",
        "sha256:",
        "sha256:00",
        ("sha256:" HASH "0"),
        ("sha256:" HASH ":"),
        ("sha256::" HASH),
        "sha256:0g",
        "sha256:01::2345",
        "sha256:0:12",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct typed_name name = { .size = 77 };
        const char *reason = NULL;
        assert_int_equal(names_read(wrong[i], &name, &reason), WEIR_EINVAL);
        assert_non_null(reason);
        assert_int_equal(name.size, 77);
    }
}

static void a_name_has_a_bound(void **state)
{
    char cn[IDENTITY_NAME_BYTES_MAX + 8] = "cn:", uri[IDENTITY_NAME_BYTES_MAX + 8] = "uri:x:";
    struct typed_name name;
    const char *reason;
    (void)state;
    memset(cn + 3, 'x', IDENTITY_NAME_BYTES_MAX);
    assert_int_equal(names_read(cn, &name, &reason), 0);
    assert_int_equal(name.size, IDENTITY_NAME_BYTES_MAX);
    cn[IDENTITY_NAME_BYTES_MAX + 3] = 'x';
    assert_int_equal(names_read(cn, &name, &reason), WEIR_EINVAL);
    memset(uri + 6, 'x', IDENTITY_NAME_BYTES_MAX - 2);
    assert_int_equal(names_read(uri, &name, &reason), 0);
    assert_int_equal(name.size, IDENTITY_NAME_BYTES_MAX);
    uri[IDENTITY_NAME_BYTES_MAX + 4] = 'x';
    assert_int_equal(names_read(uri, &name, &reason), WEIR_EINVAL);
}

static void an_upstream_is_verified_by_dns_uri_or_ip(void **state)
{
    static const struct {
        const char *text;
        int kind;
        const char *bytes;
    } rows[] = {
        { "dns:Web.internal", IDENTITY_DNS, "web.internal" },
        { "uri:spiffe://example.com/web", IDENTITY_URI, "spiffe://example.com/web" },
        { "ip:10.0.0.11", TLS_NAME_IP, "10.0.0.11" },
        { "ip:2001:DB8::1", TLS_NAME_IP, "2001:db8::1" },
        { "ip:[::1]", TLS_NAME_IP, "::1" },
        { "ip:::ffff:10.0.0.1", TLS_NAME_IP, "10.0.0.1" },
    };
    static const char *const wrong[] = {
        "web.internal", "cn:web",         "email:a@b",      ("sha256:" HASH),   "ip:",
        "ip:web",       "ip:10.0.0.1:80", "dns:*.internal", "uri:spiffe://a/*", "dns:a b"
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct typed_name name;
        const char *reason;
        int kind;
        assert_int_equal(names_read_verified(rows[i].text, &kind, &name, &reason), 0);
        assert_int_equal(kind, rows[i].kind);
        assert_string_equal(name.bytes, rows[i].bytes);
        assert_int_equal(name.size, strlen(rows[i].bytes));
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct typed_name name;
        const char *reason = NULL;
        int kind;
        assert_int_equal(names_read_verified(wrong[i], &kind, &name, &reason), WEIR_EINVAL);
        assert_non_null(reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_in_the_form_in_which_they_are_compared),
        cmocka_unit_test(what_no_certificate_can_say_is_refused_with_a_reason),
        cmocka_unit_test(a_name_has_a_bound),
        cmocka_unit_test(an_upstream_is_verified_by_dns_uri_or_ip),
    };
    return cmocka_run_group_tests_name("config_names", tests, NULL, NULL);
}
