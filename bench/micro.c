/* SPDX-License-Identifier: Apache-2.0 */

/* What choosing, limiting and deciding cost: nanoseconds a call, one thread, the best of several runs (others' work on
 * the machine only ever adds time). */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../server/policy/decide.h"
#include "../tests/unit/snapshots.h"

#define RUNS 7
#define SEED UINT64_C(42)

static uint64_t random_state = SEED;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 32) * bound >> 32);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Ends the program when something fails that must not. */
static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "micro: %s failed\n", what);
    exit(1);
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    must(memory != NULL, "calloc");
    return memory;
}

/* The least time of one of `calls` calls of work(context, call). */
static double measure(void (*work)(void *context, uint32_t call), void *context, uint32_t calls)
{
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        uint64_t start = now_ns();
        for (uint32_t call = 0; call < calls; call++)
            work(context, call);
        double each = (double)(now_ns() - start) / calls;
        best = run == 0 || each < best ? each : best;
    }
    return best;
}

/* Choosing */

#define CALLS_MASK 4095u

struct choosing {
    struct weir_upstreams *upstreams;
    struct weir_pool *pool;
    struct weir_set **sets;
    uint32_t set_count;
    struct weir_lease *leases;
    uint32_t lease_count;
    uint32_t order[CALLS_MASK + 1]; /* random sets */
};

static void make_pool(struct choosing *c, uint32_t upstreams, uint32_t weights)
{
    struct weir_place *places = zeroed(upstreams, sizeof *places);
    must(weir_upstreams_new(upstreams, &c->upstreams) == 0, "weir_upstreams_new");
    for (uint32_t i = 0; i < upstreams; i++) {
        places[i].weight = 1 + (uint32_t)((uint64_t)i * weights / upstreams); /* as the server numbers them */
        must(weir_upstreams_add(c->upstreams, 0, &places[i].upstream) == 0, "weir_upstreams_add");
    }
    must(weir_pool_new(c->upstreams, places, upstreams, &c->pool) == 0, "weir_pool_new");
    free(places);
}

/* One set holds the whole pool; of many, each holds a random half. */
static void make_sets(struct choosing *c, uint32_t upstreams, uint32_t sets)
{
    uint32_t *places = zeroed(upstreams, sizeof *places);
    c->sets = zeroed(sets, sizeof(struct weir_set *));
    c->set_count = sets;
    for (uint32_t i = 0; i < sets; i++) {
        uint32_t count = 0;
        for (uint32_t place = 0; place < upstreams; place++) {
            if (sets == 1 || random_below(2) == 0 || (count == 0 && place + 1 == upstreams))
                places[count++] = place;
        }
        must(weir_set_new(c->pool, places, count, &c->sets[i]) == 0, "weir_set_new");
    }
    for (uint32_t i = 0; i <= CALLS_MASK; i++)
        c->order[i] = random_below(sets);
    free(places);
}

/* Some five connections for each upstream, of which one ends and one begins in each call. */
static void hold(struct choosing *c, uint32_t upstreams)
{
    c->lease_count = 5 * upstreams + 1;
    c->leases = zeroed(c->lease_count, sizeof *c->leases);
    for (uint32_t i = 0; i < c->lease_count; i++)
        must(weir_set_acquire(c->sets[i % c->set_count], NULL, 0, &c->leases[i]) == 0, "weir_set_acquire");
}

/* Every tenth or hundredth place comes back slowly after the others have got their connections, and stays so. */
static void hold_without(struct choosing *c, uint32_t upstreams, uint32_t each)
{
    for (uint32_t place = 0; place < upstreams && each != 0; place += each)
        weir_pool_set_health(c->pool, place, WEIR_PLACE_DOWN);
    hold(c, upstreams);
    for (uint32_t place = 0; place < upstreams && each != 0; place += each) {
        weir_pool_slow_start(c->pool, place, UINT64_C(3600000000000), 0);
        weir_pool_set_health(c->pool, place, WEIR_PLACE_UP);
    }
}

static void release_and_acquire(void *context, uint32_t call)
{
    struct choosing *c = context;
    struct weir_lease *lease = &c->leases[call % c->lease_count];
    weir_lease_release(lease);
    must(weir_set_acquire(c->sets[c->order[call & CALLS_MASK]], NULL, 0, lease) == 0, "weir_set_acquire");
}

static double time_choosing(uint32_t upstreams, uint32_t sets, uint32_t weights, uint32_t slow_each)
{
    struct choosing c = { 0 };
    make_pool(&c, upstreams, weights);
    make_sets(&c, upstreams, sets);
    hold_without(&c, upstreams, slow_each);
    double each = measure(release_and_acquire, &c, 20000000 / (upstreams + 100));
    for (uint32_t i = 0; i < sets; i++)
        weir_set_free(&c.sets[i]);
    weir_pool_free(&c.pool);
    weir_upstreams_free(&c.upstreams);
    free(c.sets);
    free(c.leases);
    return each;
}

static void print_choosing(void)
{
    printf("acquire + release, ns      1 set   1,000 sets    4 weights   1%% start slowly   10%%\n");
    for (uint32_t upstreams = 10; upstreams <= 10000; upstreams *= 10)
        printf("%10u upstreams  %10.0f   %10.0f   %10.0f   %13.0f   %5.0f\n", upstreams,
               time_choosing(upstreams, 1, 1, 0), time_choosing(upstreams, 1000, 1, 0),
               time_choosing(upstreams, 1, 4, 0), time_choosing(upstreams, 1, 1, 100),
               time_choosing(upstreams, 1, 1, 10));
}

/* Limiting */

struct limiting {
    struct weir_client *client;
    struct weir_limiter *limiter;
    uint32_t names;
    uint64_t now_ns;
};

static const struct weir_limits limits = { .connections = 100, .rate_period_ns = 1, .burst = 100 };

static void enter_configured(void *context, uint32_t call)
{
    struct limiting *l = context;
    struct weir_client *held;
    (void)call;
    must(weir_client_enter(l->client, &limits, l->now_ns += 100, &held) == 0, "weir_client_enter");
    weir_client_leave(&held);
}

static void enter_by_name(void *context, uint32_t call)
{
    struct limiting *l = context;
    struct weir_client *held;
    char name[16];
    memset(name, 'x', sizeof name);
    uint32_t number = call % l->names;
    memcpy(name, &number, sizeof number);
    must(weir_limiter_enter(l->limiter, name, sizeof name, &limits, l->now_ns += 100, &held) == 0,
         "weir_limiter_enter");
    weir_client_leave(&held);
}

static void print_limiting(void)
{
    struct limiting l = { 0 };
    must(weir_client_new(&l.client) == 0, "weir_client_new");
    printf("\nenter + leave, ns\n%30s  %10.0f\n", "a configured client", measure(enter_configured, &l, 1000000));
    weir_client_unref(&l.client);
    static const struct {
        const char *what;
        uint32_t names;
    } rows[] = { { "10 unknown names", 10 }, { "50,000 unknown names", 50000 }, { "1,000,000, table full", 1000000 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        l.names = rows[i].names;
        must(weir_limiter_new(UNKNOWN_CLIENTS_MAX, SEED, &l.limiter) == 0, "weir_limiter_new");
        printf("%30s  %10.0f\n", rows[i].what, measure(enter_by_name, &l, 1000000));
        weir_limiter_free(&l.limiter);
    }
}

/* Deciding */

#define CLIENTS 10000u
#define UPSTREAMS 10000u
#define CLASSES 100u

/* 10,000 clients with an address each, in 100 classes that may reach different parts of a pool of 10,000; everybody may
 * reach one place. */
static struct snapshot *make_snapshot(void)
{
    struct snapshot *snapshot = snapshot_make();
    snapshot_add_listener(snapshot, snapshot_add_pool(snapshot, UPSTREAMS));
    for (uint32_t i = 0; i < CLIENTS; i++) {
        char text[32];
        snprintf(text, sizeof text, "client%u", i);
        uint32_t client = snapshot_add_client(snapshot, text);
        snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        snapshot_add_network(snapshot, text, 32, client);
    }
    snapshot_add_network(snapshot, "192.168.0.0", 16, 0);
    snapshot_add_network(snapshot, "2001:db8::", 32, 0);
    for (uint32_t class = 0; class < CLASSES; class ++) {
        snapshot_add_rule(snapshot, true);
        for (uint32_t i = class; i < CLIENTS; i += CLASSES)
            snapshot_rule_client(snapshot, i);
        for (uint32_t i = class; i < UPSTREAMS; i += CLASSES)
            snapshot_rule_target(snapshot, 0, i);
    }
    snapshot_add_rule(snapshot, true);
    snapshot_rule_client(snapshot, ANY_INDEX);
    snapshot_rule_target(snapshot, 0, 0);
    return snapshot;
}

struct deciding {
    const struct snapshot *snapshot;
    struct identity identity;
    bool configured; /* a different client each time */
};

static void decide_once(void *context, uint32_t call)
{
    struct deciding *d = context;
    struct decision decision;
    if (d->configured)
        d->identity.address.u.v4.sin_addr.s_addr = htonl(UINT32_C(0x0a000000) + call * 7919u % CLIENTS);
    decide(d->snapshot, 0, &d->identity, &decision);
    must(decision.refusal == CLOSE_NONE, "decide");
}

static void print_deciding(void)
{
    struct state state;
    struct snapshot *snapshot = make_snapshot();
    must(state_new(SEED, &state) == 0, "state_new");
    uint64_t start = now_ns();
    must(snapshot_bind(snapshot, &state, 2) == 0, "snapshot_bind");
    double bind_ms = (double)(now_ns() - start) / 1e6;
    static const struct {
        const char *what, *address;
        bool configured;
    } rows[] = {
        { "one of 10,000 clients", "10.0.0.0", true },
        { "an unknown IPv4 address", "203.0.113.1", false },
        { "an unknown IPv6 address", "2001:db9::1", false },
    };
    printf("\ndecide, ns\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct deciding d = { snapshot, { host(rows[i].address) }, rows[i].configured };
        printf("%30s  %10.0f\n", rows[i].what, measure(decide_once, &d, 500000));
    }
    printf("\nbinding %u clients, %u upstreams, %u sets: %.1f ms\n", CLIENTS, UPSTREAMS, snapshot->set_count, bind_ms);
    snapshot_free(&snapshot);
    state_free(&state);
}

int main(void)
{
    print_choosing();
    print_limiting();
    print_deciding();
    return 0;
}
