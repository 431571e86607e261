/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <string.h>

#include "../../server/base/identity.h"

/* Written as they stand in a configuration: "dns:a.example.com". Sizes are the literals', so that NUL is a byte. */
#define NAME(literal) name_of((literal), sizeof(literal) - 1)

static struct identity_name name_of(const char *literal, size_t size)
{
    for (int kind = IDENTITY_DNS; kind <= IDENTITY_SHA256; kind++) {
        const char *word = identity_kind_name((enum identity_kind)kind);
        size_t length = strlen(word) + 1;
        if (size >= length && memcmp(literal, word, length - 1) == 0 && literal[length - 1] == ':')
            return (struct identity_name){ .kind = (enum identity_kind)kind,
                                           .bytes = literal + length,
                                           .size = (uint32_t)(size - length) };
    }
    fail_msg("no kind of identity: %s", literal);
    return (struct identity_name){ 0 };
}

static bool matches(struct identity_name pattern, struct identity_name name)
{
    return identity_matches(&pattern, &name);
}

#define assert_match(pattern, name) assert_true(matches(NAME(pattern), NAME(name)))
#define assert_no_match(pattern, name) assert_false(matches(NAME(pattern), NAME(name)))

static void whole_names_match(void **state)
{
    (void)state;
    assert_match("dns:alice.example.com", "dns:alice.example.com");
    assert_match("uri:spiffe://example.com/alice", "uri:spiffe://example.com/alice");
    assert_match("email:alice@example.com", "email:alice@example.com");
    assert_match("cn:alice", "cn:alice");
    assert_match("sha256:00ff", "sha256:00ff");
    assert_no_match("dns:alice.example.com", "dns:alice.example.co");
    assert_no_match("dns:alice.example.co", "dns:alice.example.com");
    assert_no_match("dns:alice.example.com", "dns:malice.example.com");
    assert_no_match("dns:alice.example.com", "dns:alice.example.com.");
    assert_no_match("uri:spiffe://example.com/alice", "uri:spiffe://example.com/alice/");
    assert_no_match("cn:alice", "cn:");
}

static void the_kind_counts(void **state)
{
    (void)state;
    assert_no_match("dns:alice", "cn:alice");
    assert_no_match("cn:alice", "dns:alice");
    assert_no_match("uri:alice", "dns:alice");
    assert_no_match("email:alice", "uri:alice");
    assert_no_match("sha256:alice", "cn:alice");
}

static void only_dns_and_the_domain_of_an_email_know_no_case(void **state)
{
    (void)state;
    assert_match("dns:Alice.Example.com", "dns:alice.EXAMPLE.com");
    assert_match("email:alice@Example.com", "email:alice@eXAMPLE.com");
    assert_no_match("email:Alice@example.com", "email:alice@example.com");
    assert_no_match("email:a@B@example.com", "email:a@b@example.com");
    assert_no_match("uri:spiffe://Example.com/alice", "uri:spiffe://example.com/alice");
    assert_no_match("cn:Alice", "cn:alice");
    assert_no_match("dns:a[b", "dns:a{b");
    assert_no_match("dns:\xc3\x84", "dns:\xc3\xa4");
    assert_no_match("email:alice.example.com", "email:alice@example.com");
    assert_no_match("email:alice", "email:alice");
}

static void a_byte_is_a_byte(void **state)
{
    (void)state;
    assert_no_match("dns:alice.example.com", "dns:alice.example.com\0.evil.org");
    assert_no_match("dns:alice", "dns:alice\0");
    assert_no_match("cn:alice", "cn:alice\0");
    assert_no_match("uri:spiffe://example.com/alice", "uri:spiffe://example.com/alice\0b");
    assert_no_match("email:alice@example.com", "email:alice@example.com\0");
    assert_no_match("dns:*.example.com", "dns:a\0b.example.com");
    assert_no_match("dns:*.example.com", "dns:a b.example.com");
    assert_no_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/a\0b");
    assert_no_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/a\nb");
    assert_no_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/\xc3\xa4");
}

static void a_star_is_one_left_most_label(void **state)
{
    (void)state;
    assert_match("dns:*.example.com", "dns:alice.example.com");
    assert_match("dns:*.example.com", "dns:ALICE_1-b.Example.com");
    assert_no_match("dns:*.example.com", "dns:example.com");
    assert_no_match("dns:*.example.com", "dns:.example.com");
    assert_no_match("dns:*.example.com", "dns:a.b.example.com");
    assert_no_match("dns:*.example.com", "dns:alice.example.org");
    assert_no_match("dns:a*.example.com", "dns:alice.example.com");
    assert_no_match("dns:*", "dns:alice");
    assert_no_match("dns:a.*.com", "dns:a.example.com");
    assert_no_match("dns:*.com", "dns:alice");
}

static void a_star_is_one_last_segment(void **state)
{
    (void)state;
    assert_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/alice");
    assert_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/a-b._~!$&'()+,;=:@1");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/a/b");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/other/a");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/a%2Fb");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/a?b");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/a#b");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/.");
    assert_no_match("uri:spiffe://example.com/team/*", "uri:spiffe://example.com/team/..");
    assert_no_match("uri:spiffe://*", "uri:spiffe://example.com");
    assert_no_match("uri:spiffe://example.com/a*", "uri:spiffe://example.com/alice");
    assert_no_match("uri:*", "uri:alice");
}

static void a_name_that_holds_a_star_matches_nothing(void **state)
{
    (void)state;
    assert_no_match("dns:*.example.com", "dns:*.example.com");
    assert_no_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/*");
    assert_no_match("uri:spiffe://example.com/*", "uri:spiffe://example.com/a*");
    assert_no_match("cn:*", "cn:*");
    assert_no_match("email:*@example.com", "email:*@example.com");
}

static void an_unknown_certificate_goes_by_its_best_name(void **state)
{
    const struct identity_name names[] = { NAME("cn:c"),  NAME("email:e"), NAME("dns:d"),    NAME("dns:d2"),
                                           NAME("uri:u"), NAME("uri:u2"),  NAME("sha256:00") };
    struct identity identity = { .names = names, .name_count = 7 };
    (void)state;
    assert_ptr_equal(identity_own_name(&identity), &names[4]);
    identity.name_count = 4;
    assert_ptr_equal(identity_own_name(&identity), &names[2]);
    identity.name_count = 2;
    assert_ptr_equal(identity_own_name(&identity), &names[1]);
    identity.name_count = 1;
    assert_ptr_equal(identity_own_name(&identity), &names[0]);
    identity.names = &names[6];
    assert_ptr_equal(identity_own_name(&identity), &names[6]);
    identity.name_count = 0;
    assert_null(identity_own_name(&identity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_names_match),
        cmocka_unit_test(the_kind_counts),
        cmocka_unit_test(only_dns_and_the_domain_of_an_email_know_no_case),
        cmocka_unit_test(a_byte_is_a_byte),
        cmocka_unit_test(a_star_is_one_left_most_label),
        cmocka_unit_test(a_star_is_one_last_segment),
        cmocka_unit_test(a_name_that_holds_a_star_matches_nothing),
        cmocka_unit_test(an_unknown_certificate_goes_by_its_best_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
