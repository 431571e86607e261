/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/policy/decide.h"
#include "snapshots.h"

/* Two pools with a listener each: web (three places) and db (two). alice is 10.0.0.0/8 and 2001:db8:a::/48, bob
 * 10.1.0.0/16, carol a single address in it; the rest is unknown. */
enum { ALICE, BOB, CAROL };
enum { WEB, DB };

struct fixture {
    struct state state;
    struct snapshot *snapshot;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || state_new(1, &f->state) != 0)
        return -1;
    f->snapshot = snapshot_make();
    snapshot_add_listener(f->snapshot, snapshot_add_pool(f->snapshot, 3));
    snapshot_add_listener(f->snapshot, snapshot_add_pool(f->snapshot, 2));
    snapshot_add_client(f->snapshot, "alice");
    snapshot_add_client(f->snapshot, "bob");
    snapshot_add_client(f->snapshot, "carol");
    snapshot_add_network(f->snapshot, "10.0.0.0", 8, ALICE);
    snapshot_add_network(f->snapshot, "2001:db8:a::", 48, ALICE);
    snapshot_add_network(f->snapshot, "10.1.0.0", 16, BOB);
    snapshot_add_network(f->snapshot, "10.1.2.3", 32, CAROL);
    f->snapshot->default_limits.connections = 77;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    snapshot_free(&f->snapshot);
    state_free(&f->state);
    free(f);
    return 0;
}

static void add_rule(struct fixture *f, bool allow, uint32_t client, uint32_t pool, uint32_t place)
{
    snapshot_add_rule(f->snapshot, allow);
    snapshot_rule_client(f->snapshot, client);
    snapshot_rule_target(f->snapshot, pool, place);
}

static void bound(struct fixture *f)
{
    assert_int_equal(snapshot_bind(f->snapshot, &f->state, 1), 0);
}

static struct decision decided(const struct fixture *f, uint32_t listener, const char *address)
{
    const struct identity identity = { .address = host(address) };
    struct decision decision;
    memset(&decision, 0xa5, sizeof decision);
    decide(f->snapshot, listener, &identity, &decision);
    return decision;
}

static enum close_reason refusal(const struct fixture *f, uint32_t listener, const char *address)
{
    return decided(f, listener, address).refusal;
}

static void the_longest_prefix_says_who_it_is(void **state)
{
    struct fixture *f = *state;
    bound(f);
    static const struct {
        const char *address;
        uint32_t client;
    } rows[] = {
        { "10.0.0.0", ALICE },         { "10.255.255.255", ALICE },    { "10.1.0.0", BOB },
        { "10.1.255.255", BOB },       { "10.1.2.3", CAROL },          { "10.1.2.2", BOB },
        { "11.0.0.0", ANY_INDEX },     { "9.255.255.255", ANY_INDEX }, { "::ffff:10.1.2.3", CAROL },
        { "::10.1.2.3", ANY_INDEX },   { "2001:db8:a::1", ALICE },     { "2001:db8:a:ffff:ffff:ffff:ffff:ffff", ALICE },
        { "2001:db8:b::", ANY_INDEX }, { "a00::", ANY_INDEX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct weir_address address = host(rows[i].address);
        assert_int_equal(client_of_address(f->snapshot, &address), rows[i].client);
    }
    assert_int_equal(client_of_address(f->snapshot, &(struct weir_address){ 0 }), ANY_INDEX);
}

static void a_network_of_length_zero_holds_its_whole_family(void **state)
{
    struct fixture *f = *state;
    snapshot_add_network(f->snapshot, "0.0.0.0", 0, CAROL);
    bound(f);
    struct weir_address v4 = host("203.0.113.1"), v6 = host("::1");
    assert_int_equal(client_of_address(f->snapshot, &v4), CAROL);
    assert_int_equal(client_of_address(f->snapshot, &v6), ANY_INDEX);
}

static bool holds(const struct network *network, const struct weir_address *address)
{
    bool v6 = address->u.any.sa_family == AF_INET6;
    const uint8_t *a = v6 ? address->u.v6.sin6_addr.s6_addr : (const uint8_t *)&address->u.v4.sin_addr;
    const uint8_t *b = v6 ? network->base.u.v6.sin6_addr.s6_addr : (const uint8_t *)&network->base.u.v4.sin_addr;
    if (network->base.u.any.sa_family != address->u.any.sa_family)
        return false;
    for (uint32_t bit = 0; bit < network->prefix; bit++) {
        if ((a[bit / 8] ^ b[bit / 8]) & (0x80 >> bit % 8))
            return false;
    }
    return true;
}

/* Addresses with few different bits, so that networks hold each other and addresses fall into many. */
static struct weir_address random_address(uint64_t *random)
{
    char text[64];
    uint32_t n = (uint32_t)test_random(random);
    if (n & 1)
        snprintf(text, sizeof text, "%u.%u.%u.%u", n >> 1 & 3, n >> 3 & 192, n >> 11 & 3, n >> 13 & 129);
    else
        snprintf(text, sizeof text, "%x:%x::%x:%x", n >> 1 & 3, n >> 3 & 0xc001, n >> 19 & 1, n >> 20 & 0x801);
    return host(text);
}

static void add_random_network(struct fixture *f, uint64_t *random, uint32_t client)
{
    struct network network = { .base = random_address(random), .client = client };
    bool v6 = network.base.u.any.sa_family == AF_INET6;
    uint8_t *bytes = v6 ? network.base.u.v6.sin6_addr.s6_addr : (uint8_t *)&network.base.u.v4.sin_addr;
    uint32_t bits = v6 ? 128 : 32;
    network.prefix = (uint8_t)test_random_below(random, bits + 1);
    for (uint32_t bit = network.prefix; bit < bits; bit++)
        bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    for (uint32_t i = 0; i < f->snapshot->network_count; i++) {
        const struct network *other = &f->snapshot->networks[i];
        if (other->prefix == network.prefix && weir_address_equal(&other->base, &network.base))
            return;
    }
    snapshot_add_network(f->snapshot, "0.0.0.0", 0, client);
    f->snapshot->networks[f->snapshot->network_count - 1] = network;
}

static void looking_up_agrees_with_looking_at_every_network(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 1;
    for (uint32_t i = 0; i < 400; i++)
        add_random_network(f, &random, i);
    bound(f);
    uint32_t found = 0;
    for (int i = 0; i < 20000; i++) {
        struct weir_address address = random_address(&random);
        uint32_t best = ANY_INDEX, prefix = 0;
        for (uint32_t j = 0; j < f->snapshot->network_count; j++) {
            const struct network *network = &f->snapshot->networks[j];
            if (holds(network, &address) && (best == ANY_INDEX || network->prefix > prefix)) {
                best = network->client;
                prefix = network->prefix;
            }
        }
        found += best != ANY_INDEX;
        assert_int_equal(client_of_address(f->snapshot, &address), best);
    }
    assert_true(found > 1000);
}

static void a_configured_client_goes_by_its_name_and_limits(void **state)
{
    struct fixture *f = *state;
    f->snapshot->clients[BOB].limits.connections = 5;
    bound(f);
    struct decision decision = decided(f, WEB, "10.1.0.1");
    assert_int_equal(decision.refusal, CLOSE_NONE);
    assert_ptr_equal(decision.client, &f->snapshot->clients[BOB]);
    assert_string_equal(decision.name, "bob");
    assert_ptr_equal(decision.limits, &f->snapshot->clients[BOB].limits);
    assert_ptr_equal(decision.counters, f->snapshot->clients[BOB].counters);
    assert_null(decision.rule);
    assert_int_equal(weir_set_count(decision.set), 3);
}

static void an_unknown_client_goes_by_its_address(void **state)
{
    struct fixture *f = *state;
    bound(f);
    static const struct {
        const char *address, *name;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
        { "2001:db8:1:2::", "2001:db8:1:2::/64" },
        { "::1", "::/64" },
        { "fe80::1", "fe80::/64" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decision decision = decided(f, WEB, rows[i].address);
        assert_int_equal(decision.refusal, CLOSE_NONE);
        assert_null(decision.client);
        assert_string_equal(decision.name, rows[i].name);
        assert_ptr_equal(decision.limits, &f->snapshot->default_limits);
        assert_ptr_equal(decision.counters, f->snapshot->other);
    }
}

static void a_policy_allows_only_what_it_says(void **state)
{
    struct fixture *f = *state;
    add_rule(f, true, ALICE, WEB, ANY_INDEX);
    add_rule(f, false, ALICE, WEB, 1);
    add_rule(f, true, BOB, DB, 0);
    bound(f);
    struct decision decision = decided(f, WEB, "10.0.0.1");
    assert_int_equal(decision.refusal, CLOSE_NONE);
    assert_ptr_equal(decision.rule, &f->snapshot->rules[0]);
    assert_true(decision_allows(&decision, 0));
    assert_false(decision_allows(&decision, 1));
    assert_true(decision_allows(&decision, 2));
    assert_false(decision_allows(&decision, 3));
    decision = decided(f, DB, "10.0.0.1");
    assert_int_equal(decision.refusal, CLOSE_NOT_AUTHORIZED);
    assert_string_equal(decision.name, "alice");
    assert_null(decision.set);
    assert_null(decision.rule);
    assert_false(decision_allows(&decision, 0));
    assert_int_equal(refusal(f, WEB, "10.1.0.1"), CLOSE_NOT_AUTHORIZED);
    assert_int_equal(refusal(f, DB, "10.1.0.1"), CLOSE_NONE);
    assert_int_equal(refusal(f, WEB, "10.1.2.3"), CLOSE_NOT_AUTHORIZED);
}

static void unknown_clients_need_a_rule_for_everybody(void **state)
{
    struct fixture *f = *state;
    add_rule(f, true, ALICE, WEB, ANY_INDEX);
    add_rule(f, false, ANY_INDEX, WEB, 0);
    bound(f);
    struct decision decision = decided(f, WEB, "192.0.2.1");
    assert_int_equal(decision.refusal, CLOSE_UNKNOWN_CLIENT);
    assert_string_equal(decision.name, "192.0.2.1");
    assert_ptr_equal(decision.counters, f->snapshot->other);
    assert_null(decision.set);
    decision = decided(f, WEB, "10.0.0.1");
    assert_int_equal(decision.refusal, CLOSE_NONE);
    assert_false(decision_allows(&decision, 0));
    assert_true(decision_allows(&decision, 1));
}

static void a_rule_for_everybody_lets_unknown_clients_in_where_it_leads(void **state)
{
    struct fixture *f = *state;
    add_rule(f, true, ANY_INDEX, DB, 1);
    bound(f);
    assert_int_equal(refusal(f, DB, "192.0.2.1"), CLOSE_NONE);
    assert_int_equal(refusal(f, DB, "10.0.0.1"), CLOSE_NONE);
    assert_int_equal(refusal(f, WEB, "192.0.2.1"), CLOSE_NOT_AUTHORIZED);
    assert_int_equal(refusal(f, WEB, "10.0.0.1"), CLOSE_NOT_AUTHORIZED);
}

static void deny_wins_wherever_it_stands(void **state)
{
    struct fixture *f = *state;
    add_rule(f, false, ANY_INDEX, WEB, 0);
    add_rule(f, true, ALICE, WEB, 0);
    add_rule(f, true, ANY_INDEX, DB, ANY_INDEX);
    add_rule(f, false, BOB, DB, ANY_INDEX);
    bound(f);
    assert_int_equal(refusal(f, WEB, "10.0.0.1"), CLOSE_NOT_AUTHORIZED);
    assert_int_equal(refusal(f, DB, "10.0.0.1"), CLOSE_NONE);
    assert_int_equal(refusal(f, DB, "10.1.0.1"), CLOSE_NOT_AUTHORIZED);
}

static bool expected(const struct fixture *f, uint32_t client, const char *address, bool can, uint32_t pool,
                     uint32_t place)
{
    struct expectation expectation = { .client = client, .can = can, .pool = pool, .place = place };
    if (address != NULL)
        expectation.address = host(address);
    else
        expectation.any_client = client == ANY_INDEX;
    return expectation_holds(f->snapshot, &expectation);
}

static void expectations_ask_what_connections_would_get(void **state)
{
    struct fixture *f = *state;
    add_rule(f, true, ALICE, WEB, 2);
    add_rule(f, true, ANY_INDEX, DB, 1);
    bound(f);
    static const struct {
        uint32_t client;
        const char *address;
        uint32_t pool, place;
        bool can;
    } rows[] = {
        { ALICE, NULL, WEB, 2, true },
        { ALICE, NULL, WEB, 1, false },
        { ALICE, NULL, WEB, ANY_INDEX, true },
        { BOB, NULL, WEB, ANY_INDEX, false },
        { BOB, NULL, DB, 1, true },
        { BOB, NULL, DB, 0, false },
        { ANY_INDEX, NULL, DB, 1, true },
        { ANY_INDEX, NULL, WEB, ANY_INDEX, false },
        { ANY_INDEX, "10.0.0.1", WEB, 2, true },
        { ANY_INDEX, "10.1.0.1", WEB, 2, false },
        { ANY_INDEX, "192.0.2.1", DB, 1, true },
        { ANY_INDEX, "192.0.2.1", DB, 0, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(expected(f, rows[i].client, rows[i].address, true, rows[i].pool, rows[i].place), rows[i].can);
        assert_int_equal(expected(f, rows[i].client, rows[i].address, false, rows[i].pool, rows[i].place),
                         !rows[i].can);
    }
}

/* Certificates */

#define NAME(kind, text)                                                                                               \
    {                                                                                                                  \
        IDENTITY_##kind, sizeof(text) - 1, text                                                                        \
    }
#define CERTIFICATE(names_)                                                                                            \
    {                                                                                                                  \
        .has_certificate = true, .names = (names_), .name_count = sizeof(names_) / sizeof *(names_)                    \
    }

static uint32_t client_of(const struct fixture *f, struct identity_name name)
{
    const struct identity identity = { .has_certificate = true, .names = &name, .name_count = 1 };
    return client_of_identity(f->snapshot, &identity);
}

static void a_name_of_a_certificate_says_who_it_is(void **state)
{
    struct fixture *f = *state;
    snapshot_add_identity(f->snapshot, IDENTITY_DNS, "alice.example.com", ALICE);
    snapshot_add_identity(f->snapshot, IDENTITY_DNS, "*.example.org", ALICE);
    snapshot_add_identity(f->snapshot, IDENTITY_URI, "spiffe://example.com/bob", BOB);
    snapshot_add_identity(f->snapshot, IDENTITY_URI, "spiffe://example.com/web/*", BOB);
    snapshot_add_identity(f->snapshot, IDENTITY_EMAIL, "Carol@example.com", CAROL);
    snapshot_add_identity(f->snapshot, IDENTITY_CN, "Carol", CAROL);
    bound(f);
    static const struct {
        struct identity_name name;
        uint32_t client;
    } rows[] = {
        { NAME(DNS, "alice.example.com"), ALICE },
        { NAME(DNS, "alice.example.co"), ANY_INDEX },
        { NAME(DNS, "alice.example.com."), ANY_INDEX },
        { NAME(DNS, "alice.example.com\0.evil.org"), ANY_INDEX },
        { NAME(DNS, "x.example.org"), ALICE },
        { NAME(DNS, "example.org"), ANY_INDEX },
        { NAME(DNS, ".example.org"), ANY_INDEX },
        { NAME(DNS, "*.example.org"), ANY_INDEX },
        { NAME(DNS, "x.y.example.org"), ANY_INDEX },
        { NAME(DNS, "x\0y.example.org"), ANY_INDEX },
        { NAME(DNS, ""), ANY_INDEX },
        { NAME(CN, "alice.example.com"), ANY_INDEX },
        { NAME(URI, "spiffe://example.com/bob"), BOB },
        { NAME(URI, "spiffe://EXAMPLE.com/bob"), ANY_INDEX },
        { NAME(URI, "spiffe://example.com/web/1"), BOB },
        { NAME(URI, "spiffe://example.com/web/"), ANY_INDEX },
        { NAME(URI, "spiffe://example.com/web/*"), ANY_INDEX },
        { NAME(URI, "spiffe://example.com/web/1/2"), ANY_INDEX },
        { NAME(EMAIL, "Carol@EXAMPLE.com"), CAROL },
        { NAME(EMAIL, "carol@example.com"), ANY_INDEX },
        { NAME(CN, "Carol"), CAROL },
        { NAME(CN, "carol"), ANY_INDEX },
        { NAME(SHA256, "Carol"), ANY_INDEX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(client_of(f, rows[i].name), rows[i].client);
}

static void of_several_clients_a_certificate_is_the_first_in_the_file(void **state)
{
    struct fixture *f = *state;
    snapshot_add_identity(f->snapshot, IDENTITY_DNS, "*.example.com", BOB);
    snapshot_add_identity(f->snapshot, IDENTITY_URI, "spiffe://example.com/x", ALICE);
    snapshot_add_identity(f->snapshot, IDENTITY_DNS, "x.example.com", CAROL);
    bound(f);
    static const struct identity_name names[] = { NAME(DNS, "x.example.com"), NAME(URI, "spiffe://example.com/x") };
    const struct identity both = CERTIFICATE(names);
    assert_int_equal(client_of_identity(f->snapshot, &both), ALICE);
    assert_int_equal(client_of(f, names[0]), BOB);
}

static void a_certificate_hides_the_address(void **state)
{
    struct fixture *f = *state;
    static const struct identity_name names[] = { NAME(DNS, "nobody.example.com") };
    struct identity identity = CERTIFICATE(names);
    bound(f);
    identity.address = host("10.0.0.1");
    assert_int_equal(client_of_identity(f->snapshot, &identity), ANY_INDEX);
    identity.has_certificate = false;
    assert_int_equal(client_of_identity(f->snapshot, &identity), ALICE);
}

/* Names of few different parts, so that patterns hold each other and names meet several. */
static char *random_name(uint64_t *random, enum identity_kind kind, bool pattern, char *text)
{
    static const char *const parts[] = { "a", "b", "c.d", "e" };
    uint32_t first = test_random_below(random, 5), second = test_random_below(random, 4);
    const char *part = first == 4 ? pattern ? "*" : "f" : parts[first];
    if (kind == IDENTITY_DNS)
        sprintf(text, "%s.%s.%s", part, parts[second], parts[test_random_below(random, 4)]);
    else
        sprintf(text, "spiffe://%s/%s/%s", parts[test_random_below(random, 4)], parts[second], part);
    return text;
}

static bool has_identity(const struct snapshot *snapshot, const char *text)
{
    for (uint32_t i = 0; i < snapshot->identity_count; i++) {
        const struct identity_name *name = &snapshot->identities[i].name;
        if (name->size == strlen(text) && memcmp(name->bytes, text, name->size) == 0)
            return true;
    }
    return false;
}

static void looking_up_a_name_agrees_with_trying_every_identity(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 1;
    uint32_t found = 0;
    char text[64];
    for (uint32_t i = 0; i < 60; i++) {
        enum identity_kind kind = i % 2 == 0 ? IDENTITY_DNS : IDENTITY_URI;
        if (!has_identity(f->snapshot, random_name(&random, kind, true, text)))
            snapshot_add_identity(f->snapshot, kind, text, test_random_below(&random, 100));
    }
    bound(f);
    for (uint32_t i = 0; i < 2000; i++) {
        enum identity_kind kind = i % 2 == 0 ? IDENTITY_DNS : IDENTITY_URI;
        random_name(&random, kind, false, text);
        const struct identity_name name = { kind, (uint32_t)strlen(text), text };
        uint32_t first = ANY_INDEX;
        for (uint32_t j = 0; j < f->snapshot->identity_count; j++) {
            const struct client_identity *identity = &f->snapshot->identities[j];
            if (identity_matches(&identity->name, &name) && identity->client < first)
                first = identity->client;
        }
        found += first != ANY_INDEX;
        assert_int_equal(client_of(f, name), first);
    }
    assert_true(found > 500);
}

static struct decision decided_by(const struct fixture *f, const struct identity *identity)
{
    struct decision decision;
    memset(&decision, 0xa5, sizeof decision);
    decide(f->snapshot, WEB, identity, &decision);
    return decision;
}

static void an_unknown_certificate_goes_by_its_first_name(void **state)
{
    struct fixture *f = *state;
    bound(f);
    static const struct identity_name all[] = { NAME(EMAIL, "eve@example.com"), NAME(DNS, "eve.example.com"),
                                                NAME(URI, "spiffe://example.com/eve"), NAME(SHA256, "00") };
    static const struct identity_name odd[] = { NAME(CN, "a\0b"), NAME(SHA256, "00") };
    static const struct identity_name none[] = { NAME(SHA256, "00") };
    const struct {
        struct identity identity;
        const char *name;
        uint32_t size;
    } rows[] = {
        { CERTIFICATE(all), "uri:spiffe://example.com/eve", 28 },
        { CERTIFICATE(odd), "cn:a\0b", 6 },
        { CERTIFICATE(none), "sha256:00", 9 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decision decision = decided_by(f, &rows[i].identity);
        assert_int_equal(decision.refusal, CLOSE_NONE);
        assert_null(decision.client);
        assert_int_equal(decision.name_size, rows[i].size);
        assert_memory_equal(decision.name, rows[i].name, rows[i].size + 1);
        assert_ptr_equal(decision.limits, &f->snapshot->default_limits);
    }
}

static void a_certificate_with_a_very_long_name_goes_by_its_hash(void **state)
{
    struct fixture *f = *state;
    char text[WEIR_CLIENT_NAME_MAX];
    struct identity_name names[] = { { IDENTITY_DNS, WEIR_CLIENT_NAME_MAX - 4, text }, NAME(SHA256, "00") };
    const struct identity identity = CERTIFICATE(names);
    bound(f);
    memset(text, 'x', sizeof text);
    assert_int_equal(decided_by(f, &identity).name_size, WEIR_CLIENT_NAME_MAX);
    names[0].size++;
    struct decision decision = decided_by(f, &identity);
    assert_string_equal(decision.name, "sha256:00");
    assert_int_equal(decision.name_size, 9);
}

static void an_expectation_may_be_about_a_certificate(void **state)
{
    struct fixture *f = *state;
    snapshot_add_identity(f->snapshot, IDENTITY_DNS, "*.example.com", BOB);
    add_rule(f, true, BOB, WEB, 1);
    bound(f);
    struct expectation expectation = { .client = ANY_INDEX, .has_name = true, .can = true, .pool = WEB, .place = 1 };
    expectation.name = (struct identity_name)NAME(DNS, "b.example.com");
    assert_true(expectation_holds(f->snapshot, &expectation));
    expectation.name = (struct identity_name)NAME(URI, "b.example.com");
    assert_false(expectation_holds(f->snapshot, &expectation));
}

static void the_rule_that_is_named_says_what_the_decision_says(void **state)
{
    struct fixture *f = *state;
    const struct rule *rule;
    add_rule(f, true, ANY_INDEX, WEB, 0);
    add_rule(f, true, ALICE, WEB, ANY_INDEX);
    add_rule(f, false, ALICE, WEB, 0);
    add_rule(f, false, ANY_INDEX, WEB, 0);
    add_rule(f, true, ANY_INDEX, WEB, 1);
    bound(f);
    const struct rule *rules = f->snapshot->rules;
    assert_false(policy_allows(f->snapshot, ALICE, WEB, 0, &rule));
    assert_ptr_equal(rule, &rules[2]);
    assert_true(policy_allows(f->snapshot, ALICE, WEB, 1, &rule));
    assert_ptr_equal(rule, &rules[1]);
    assert_false(policy_allows(f->snapshot, ANY_INDEX, WEB, 0, &rule));
    assert_ptr_equal(rule, &rules[3]);
    assert_false(policy_allows(f->snapshot, BOB, DB, 0, &rule));
    assert_null(rule);
}

static void without_a_policy_no_rule_is_named(void **state)
{
    struct fixture *f = *state;
    const struct rule *rule = (const struct rule *)f;
    bound(f);
    assert_true(policy_allows(f->snapshot, ANY_INDEX, WEB, 0, &rule));
    assert_null(rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_longest_prefix_says_who_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_network_of_length_zero_holds_its_whole_family, setup, teardown),
        cmocka_unit_test_setup_teardown(looking_up_agrees_with_looking_at_every_network, setup, teardown),
        cmocka_unit_test_setup_teardown(a_configured_client_goes_by_its_name_and_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_client_goes_by_its_address, setup, teardown),
        cmocka_unit_test_setup_teardown(a_policy_allows_only_what_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_clients_need_a_rule_for_everybody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rule_for_everybody_lets_unknown_clients_in_where_it_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(deny_wins_wherever_it_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(expectations_ask_what_connections_would_get, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_of_a_certificate_says_who_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(of_several_clients_a_certificate_is_the_first_in_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_hides_the_address, setup, teardown),
        cmocka_unit_test_setup_teardown(looking_up_a_name_agrees_with_trying_every_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_certificate_goes_by_its_first_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_with_a_very_long_name_goes_by_its_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expectation_may_be_about_a_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rule_that_is_named_says_what_the_decision_says, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_policy_no_rule_is_named, setup, teardown),
    };
    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
