/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include <weir/errors.h>

#include "../../server/control/config_values.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void numbers_are_digits_and_nothing_else(void **state)
{
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "1.0", "0x10", "1e3", "18446744073709551616", "a"
    };
    uint64_t number = 7;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_number(wrong[i], &number), WEIR_EINVAL);
    assert_int_equal(number, 7);
    assert_int_equal(value_number("0", &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(value_number("0042", &number), 0);
    assert_int_equal(number, 42);
    assert_int_equal(value_number("18446744073709551615", &number), 0);
    assert_true(number == UINT64_MAX);
}

static void booleans_are_true_and_false_only(void **state)
{
    static const char *const wrong[] = { "", "yes", "no", "on", "off", "True", "TRUE", "1", "false " };
    bool value = true;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_bool(wrong[i], &value), WEIR_EINVAL);
    assert_true(value);
    assert_int_equal(value_bool("false", &value), 0);
    assert_false(value);
    assert_int_equal(value_bool("true", &value), 0);
    assert_true(value);
}

static void durations_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } right[] = {
        { "0s", 0 },
        { "1ms", 1000000 },
        { "500ms", 500000000 },
        { "2s", 2 * NS_PER_S },
        { "5m", 300 * NS_PER_S },
        { "1h", 3600 * NS_PER_S },
        { "8760h", 365 * NS_PER_DAY },
    };
    static const char *const wrong[] = { "",
                                         "5",
                                         "s",
                                         "5 s",
                                         "-5s",
                                         "5S",
                                         "5sec",
                                         "5d",
                                         "1.5s",
                                         "1h5m",
                                         "5us",
                                         "99999999999999h",
                                         "18446744073709551616ms" };
    uint64_t ns = 7;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_duration(wrong[i], &ns), WEIR_EINVAL);
    assert_int_equal(ns, 7);
    for (size_t i = 0; i < COUNT(right); i++) {
        assert_int_equal(value_duration(right[i].text, &ns), 0);
        assert_int_equal(ns, right[i].ns);
    }
}

static void durations_are_written_in_their_largest_unit(void **state)
{
    static const char *const texts[] = { "0s", "1ms", "999ms", "1s", "90s", "2m", "1h", "25h", "1500ms" };
    char text[DURATION_TEXT_MAX];
    uint64_t ns;
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(value_duration(texts[i], &ns), 0);
        assert_string_equal(value_format_duration(ns, text), texts[i]);
    }
}

static void rates_become_periods(void **state)
{
    static const struct {
        const char *text;
        uint64_t period_ns;
        uint32_t a_second;
    } right[] = {
        { "1/s", NS_PER_S, 1 },          { "20/s", 50000000, 20 },  { "3/s", 333333333, 3 },
        { "100/m", 600000000, 1 },       { "150/m", 400000000, 2 }, { "5/h", 720 * NS_PER_S, 1 },
        { "1000000/s", 1000, RATE_MAX },
    };
    static const char *const wrong[] = {
        "", "5", "5/", "/s", "0/s", "5/d", "5/ms", "5 / s", "5/s ", "1000001/s", "-5/s"
    };
    struct rate rate = { 7, 7 };
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_rate(wrong[i], &rate), WEIR_EINVAL);
    assert_int_equal(rate.period_ns, 7);
    for (size_t i = 0; i < COUNT(right); i++) {
        assert_int_equal(value_rate(right[i].text, &rate), 0);
        assert_int_equal(rate.period_ns, right[i].period_ns);
        assert_int_equal(rate.a_second, right[i].a_second);
    }
}

static void names_begin_with_a_letter_or_digit_and_are_short(void **state)
{
    char longest[NAME_MAX_BYTES + 2];
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[NAME_MAX_BYTES + 1] = '\0';
    assert_false(value_is_name(longest));
    longest[NAME_MAX_BYTES] = '\0';
    assert_true(value_is_name(longest));
    assert_true(value_is_name("a"));
    assert_true(value_is_name("7"));
    assert_true(value_is_name("Web-1.b_c"));
    assert_false(value_is_name(""));
    assert_false(value_is_name("-a"));
    assert_false(value_is_name(".a"));
    assert_false(value_is_name("_a"));
    assert_false(value_is_name("a b"));
    assert_false(value_is_name("a/b"));
    assert_false(value_is_name("\xc3\xa4"));
}

static void assert_address(const char *text, const char *written)
{
    struct weir_address address;
    const char *reason;
    char buffer[WEIR_ADDRESS_TEXT_MAX];
    assert_int_equal(value_address(text, &address, &reason), 0);
    assert_string_equal(weir_address_format(&address, buffer, sizeof buffer), written);
}

static void addresses_are_ip_and_port_and_mapped_ones_become_ipv4(void **state)
{
    struct weir_address address;
    const char *reason;
    (void)state;
    assert_address("10.0.0.1:80", "10.0.0.1:80");
    assert_address("[::1]:0", "[::1]:0");
    assert_address("[::ffff:10.0.0.1]:80", "10.0.0.1:80");
    assert_int_equal(value_address("[::ffff:10.0.0.1]:80", &address, &reason), 0);
    assert_int_equal(address.u.any.sa_family, AF_INET);
}

static void a_wrong_address_is_told_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *part;
    } wrong[] = {
        { "", "write IP:PORT" },
        { "10.0.0.1", "port is missing" },
        { "[::1]", "port is missing" },
        { "::1", "brackets" },
        { "2001:db8::1:80", "brackets" },
        { "10.0.0.1:", "not a number from 0 to 65535" },
        { "10.0.0.1:65536", "not a number from 0 to 65535" },
        { "web1:80", "host names are not yet supported" },
        { "10.0.0.256:80", "no IP address" },
        { "[::g]:80", "no IP address" },
        { "web1", "write IP:PORT" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct weir_address address;
        const char *reason = "";
        assert_int_equal(value_address(wrong[i].text, &address, &reason), WEIR_EINVAL);
        assert_non_null(strstr(reason, wrong[i].part));
    }
}

static void hosts_are_addresses_without_port(void **state)
{
    static const char *const wrong[] = { "", "web1", "10.0.0.1:80", "10.0.0", "[::1", "[10.0.0.1]", "[]", "::g" };
    struct weir_address address;
    char text[WEIR_ADDRESS_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_host(wrong[i], &address), WEIR_EINVAL);
    assert_int_equal(value_host("::1", &address), 0);
    assert_string_equal(weir_address_format_host(&address, text, sizeof text), "::1");
    assert_int_equal(value_host("[2001:db8::1]", &address), 0);
    assert_string_equal(weir_address_format_host(&address, text, sizeof text), "2001:db8::1");
    assert_int_equal(value_host("::ffff:10.0.0.1", &address), 0);
    assert_int_equal(address.u.any.sa_family, AF_INET);
}

static void networks_lose_their_host_bits(void **state)
{
    static const struct {
        const char *text, *base;
        unsigned prefix;
        bool exact;
    } right[] = {
        { "10.0.0.0/8", "10.0.0.0", 8, true },
        { "10.1.2.3/8", "10.0.0.0", 8, false },
        { "10.1.255.3/23", "10.1.254.0", 23, false },
        { "10.1.2.3/32", "10.1.2.3", 32, true },
        { "10.1.2.3/31", "10.1.2.2", 31, false },
        { "0.0.0.0/0", "0.0.0.0", 0, true },
        { "2001:db8::/32", "2001:db8::", 32, true },
        { "2001:db8::1/64", "2001:db8::", 64, false },
        { "::/0", "::", 0, true },
        { "::1/128", "::1", 128, true },
        { "::ffff:10.0.0.0/104", "10.0.0.0", 8, true },
        { "::ffff:0.0.0.0/96", "0.0.0.0", 0, true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(right); i++) {
        struct network network;
        bool exact;
        char text[WEIR_ADDRESS_TEXT_MAX];
        assert_int_equal(value_network(right[i].text, &network, &exact), 0);
        assert_string_equal(weir_address_format_host(&network.base, text, sizeof text), right[i].base);
        assert_int_equal(network.prefix, right[i].prefix);
        assert_int_equal(exact, right[i].exact);
        assert_int_equal(network.client, ANY_INDEX);
    }
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",       "10.0.0.0", "10.0.0.0/",          "10.0.0.0/33", "10.0.0.0/-1",       "/8", "::1/129", "web/8",
        "10.0/8", "[::1]/64", "::ffff:10.0.0.0/95", "1.2.3.4/8/8", "10.0.0.0/255.0.0.0"
    };
    struct network network = { .prefix = 7 };
    bool exact = true;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(value_network(wrong[i], &network, &exact), WEIR_EINVAL);
    assert_int_equal(network.prefix, 7);
}

static struct address_key key_of(const char *text)
{
    struct weir_address address;
    assert_int_equal(weir_address_parse(text, &address), 0);
    return value_address_key(&address);
}

static void equal_addresses_have_equal_keys(void **state)
{
    struct address_key a = key_of("10.0.0.1:80"), b = key_of("[::ffff:10.0.0.1]:80");
    struct address_key other_port = key_of("10.0.0.1:81"), other_host = key_of("10.0.0.2:80");
    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &other_port, sizeof a);
    assert_memory_not_equal(&a, &other_host, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(booleans_are_true_and_false_only),
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(durations_are_written_in_their_largest_unit),
        cmocka_unit_test(rates_become_periods),
        cmocka_unit_test(names_begin_with_a_letter_or_digit_and_are_short),
        cmocka_unit_test(addresses_are_ip_and_port_and_mapped_ones_become_ipv4),
        cmocka_unit_test(a_wrong_address_is_told_what_is_wrong),
        cmocka_unit_test(hosts_are_addresses_without_port),
        cmocka_unit_test(networks_lose_their_host_bits),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(equal_addresses_have_equal_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
