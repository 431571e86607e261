/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include <arpa/inet.h>

#include <weir/address.h>
#include <weir/errors.h>

static struct weir_address parsed(const char *text)
{
    struct weir_address address;
    assert_int_equal(weir_address_parse(text, &address), 0);
    return address;
}

static void addresses_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written, *host;
        int family;
    } rows[] = {
        { "1.2.3.4:80", "1.2.3.4:80", "1.2.3.4", AF_INET },
        { "0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", AF_INET },
        { "255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", AF_INET },
        { "[::1]:443", "[::1]:443", "::1", AF_INET6 },
        { "[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443", "2001:db8::1", AF_INET6 },
        { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6 },
        { "[::ffff:10.1.2.3]:80", "10.1.2.3:80", "10.1.2.3", AF_INET6 },
        { "[::]:00080", "[::]:80", "::", AF_INET6 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        struct weir_address address = parsed(rows[i].text);
        assert_int_equal(address.u.any.sa_family, rows[i].family);
        assert_ptr_equal(weir_address_format(&address, text, sizeof text), text);
        assert_string_equal(text, rows[i].written);
        assert_string_equal(weir_address_format_host(&address, text, sizeof text), rows[i].host);
    }
}

static void what_is_no_address_with_a_port_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        ":80",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:000080",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4: 80",
        "1.2.3.4:80 ",
        "1.2.3.4:8o",
        " 1.2.3.4:80",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "1.2.3.256:80",
        "01.2.3.4x:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[:80",
        "]:80",
        "[1.2.3.4]:80",
        "[fe80::1%lo]:80",
        "[[::1]]:80",
        "[::1]]:80",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80",
        "11111111111111111111111111111111111111111111111111111111.2.3.4:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct weir_address address;
        memset(&address, 0xa5, sizeof address);
        const struct weir_address before = address;
        assert_int_equal(weir_address_parse(texts[i], &address), WEIR_EINVAL);
        assert_memory_equal(&address, &before, sizeof address);
    }
}

static void every_prefix_of_an_address_is_read_or_refused(void **state)
{
    (void)state;
    static const char whole[] = "[2001:db8::10.0.0.1]:8443";
    for (size_t size = 0; size < sizeof whole; size++) {
        char text[sizeof whole] = { 0 };
        struct weir_address address;
        memcpy(text, whole, size);
        int expected = size > strlen("[2001:db8::10.0.0.1]:") ? 0 : WEIR_EINVAL;
        assert_int_equal(weir_address_parse(text, &address), expected);
    }
}

static void a_short_buffer_cuts_the_text_and_ends_it(void **state)
{
    (void)state;
    struct weir_address address = parsed("192.0.2.1:8080");
    char text[8] = "xxxxxxx";
    weir_address_format(&address, text, 5);
    assert_string_equal(text, "192.");
    assert_int_equal(text[5], 'x');
    weir_address_format_host(&address, text, 1);
    assert_string_equal(text, "");
}

static void no_address_is_written_as_none(void **state)
{
    (void)state;
    const struct weir_address none = { 0 };
    char text[WEIR_ADDRESS_TEXT_MAX];
    assert_string_equal(weir_address_format(&none, text, sizeof text), "none");
    assert_string_equal(weir_address_format_host(&none, text, sizeof text), "none");
    assert_int_equal(weir_address_length(&none), 0);
    assert_int_equal(weir_address_port(&none), 0);
    assert_true(weir_address_equal(&none, &none));
    struct weir_address some = parsed("0.0.0.0:0");
    assert_false(weir_address_equal(&none, &some));
}

static void a_mapped_address_equals_its_ipv4_form(void **state)
{
    (void)state;
    struct weir_address v4 = parsed("10.0.0.1:80"), mapped = parsed("[::ffff:10.0.0.1]:80");
    assert_true(weir_address_equal(&v4, &mapped));
    assert_true(weir_address_equal(&mapped, &v4));
    assert_true(weir_address_equal(&mapped, &mapped));
    struct weir_address other = parsed("[::10.0.0.1]:80");
    assert_false(weir_address_equal(&v4, &other));
}

static void addresses_differ_by_host_and_by_port(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80", "[::1]:80", "[::1]:81", "[::2]:80"
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            struct weir_address a = parsed(texts[i]), b = parsed(texts[j]);
            assert_int_equal(weir_address_equal(&a, &b), i == j);
        }
    }
}

static void the_port_can_be_changed(void **state)
{
    (void)state;
    struct weir_address v4 = parsed("10.0.0.1:0"), v6 = parsed("[::1]:0");
    weir_address_set_port(&v4, 8443);
    weir_address_set_port(&v6, 65535);
    assert_int_equal(v4.u.v4.sin_port, htons(8443));
    assert_int_equal(weir_address_port(&v4), 8443);
    assert_int_equal(weir_address_port(&v6), 65535);
    assert_int_equal(weir_address_length(&v4), sizeof(struct sockaddr_in));
    assert_int_equal(weir_address_length(&v6), sizeof(struct sockaddr_in6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_with_a_port_is_refused),
        cmocka_unit_test(every_prefix_of_an_address_is_read_or_refused),
        cmocka_unit_test(a_short_buffer_cuts_the_text_and_ends_it),
        cmocka_unit_test(no_address_is_written_as_none),
        cmocka_unit_test(a_mapped_address_equals_its_ipv4_form),
        cmocka_unit_test(addresses_differ_by_host_and_by_port),
        cmocka_unit_test(the_port_can_be_changed),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
