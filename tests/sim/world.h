/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <assert.h>

#include "../../server/proxy/conn.h"
#include "kit.h"
#include "party.h"
#include "sim_io.h"

/* A world of one seed: a balancer with its workers on simulated loops, upstream hosts, and clients who come, talk and
 * leave. world.c runs it, draw.c makes it up, oracle.c judges it. */

#define WORLD_WORKERS 3
#define WORLD_LISTENERS 2
#define WORLD_POOLS 2
#define WORLD_UPSTREAMS 6
#define WORLD_CLIENTS 4
#define WORLD_STRANGERS 3
#define WORLD_RULES 3
#define WORLD_LIVES 32
/* Strangers without a certificate go by their addresses, those with one by its name. */
#define WORLD_CALLERS (WORLD_CLIENTS + 2 * WORLD_STRANGERS)
static_assert(WORLD_CLIENTS == KIT_CLIENTS && WORLD_STRANGERS == KIT_STRANGERS, "everybody has a certificate");

/* How the people of one side behave: per mille of them, but for the bounds. */
struct manners {
    uint64_t bytes_max;
    uint32_t piece_max;
    uint64_t pause_max_ns;
    uint32_t mute, waits, echoes, ends_last, closes, resets, lingers, dies, rests;
};

/* What somebody who connects meets: a refusal, nothing, somebody who neither reads nor says anything, or a reset. */
enum outage { OUTAGE_REFUSES, OUTAGE_HANGS, OUTAGE_HALF_OPEN, OUTAGE_RESETS, OUTAGES };

/* What an upstream does to who connects: per mille. */
struct mood {
    uint32_t refuses, drops, unreachable, resets, leaves;
    uint64_t down_from_ns, down_until_ns; /* everybody meets its outage meanwhile */
    enum outage outage;
    uint64_t flap_ns; /* ... for so long, then nobody for as long; 0: all the time */
};

struct host {
    struct world *world;
    uint32_t upstream;
    struct net_listener *listener;
    struct mood mood;
    struct sim_event drain; /* an operator drains or disables it, or lets it serve again */
    uint64_t drain_ns;      /* 0: never */
    enum weir_upstream_state state;
    uint64_t state_ns, disabled_ns; /* when it changed last; when it was disabled last, 0: never */
};

/* What there is of health, beside moods. */
struct watch {
    bool on;
    struct random chance;
    uint64_t patience_ns;
    uint32_t disables; /* per mille of what an operator sets aside */
};

/* What can be known of a place's health from outside. */
struct known {
    bool down, ejected;                    /* as the log says */
    const struct net_end *check;           /* the last one; NULL: it has been counted */
    const struct visit *visit;             /* the same, with its verdict */
    uint64_t looked_ns;                    /* when it began */
    uint32_t good, bad, not_good, not_bad; /* so many checks at the end were certainly this */
    /* When it came back, and how many connections it was then taken to have beside its own. */
    uint64_t slow_since_ns;
    long double slow_start;
};

/* What there is of TLS. */
struct privacy {
    bool on;
    struct random chance;
    enum kit_part listeners[WORLD_LISTENERS]; /* KIT_PARTS: plain */
    enum kit_part pools[WORLD_POOLS];
    enum kit_part hosts[WORLD_UPSTREAMS];
    uint32_t bad, misplays, truncates, holds, quits, updates, old; /* per mille */
    struct tls_context *contexts[2][KIT_PARTS];                    /* of people; made when they are needed first */
};

/* The balancer dialled an upstream for a client. */
struct attempt {
    struct life *life;
    struct net_end *end;
    uint32_t upstream;
    uint64_t at_ns;
    struct party *party; /* who answered; NULL: nobody */
};

/* A client's connection, from its arrival to the last of its ends. */
struct life {
    struct world *world;
    uint32_t index;
    uint32_t listener;
    uint32_t caller; /* a configured client, or WORLD_CLIENTS + which stranger */
    struct weir_address address;
    struct sim_event arrival;
    struct party client;
    struct attempt attempts[WEIR_TRIED_MAX];
    uint32_t attempt_count;
    uint32_t unreached;       /* by bit: upstreams that were not dialled for want of something here */
    struct party *upstream;   /* who answered; NULL: nobody */
    enum kit_part part;       /* the certificate it comes with, where there is TLS */
    uint64_t accepted_ns;     /* known when it is closed */
    uint64_t relayed_ns;      /* bytes go both ways from here on; 0: not yet */
    bool judged;              /* as one that its limits had to admit */
    enum close_reason reason; /* from its log line */
    uint32_t lines;
    uint64_t closed_ns;
    uint64_t bytes[2]; /* from its log line */
};

/* One who is limited. */
struct caller {
    uint64_t admitted_ns[WORLD_LIVES];
    uint32_t admitted;
};

/* What the balancer is told to do, by a message to one of its workers. */
struct order {
    struct weir_message message;
    struct worker *worker;
};

struct world {
    struct sim *sim;
    struct net *net;
    struct sim_loop_options io;
    struct snapshot *snapshot;
    struct state state;
    struct shared shared;
    struct entrance *entrances[WORLD_WORKERS][WORLD_LISTENERS];
    struct view *views[WORLD_WORKERS];
    struct reloads *reloads; /* once it has been built */
    struct worker workers[WORLD_WORKERS];
    struct weir_loop *loops[WORLD_WORKERS];
    uint64_t last_id[WORLD_WORKERS]; /* of the connections that were looked at */
    struct order drains[WORLD_WORKERS], stops[WORLD_WORKERS];
    struct sim_event drain;     /* the balancer takes nobody new; planned in some worlds */
    struct sim_event stop;      /* ... and ends, with whatever is open */
    uint64_t drain_ns, stop_ns; /* 0: not planned */
    bool draining, stopping;
    uint32_t unnamed; /* log lines of clients that had gone before they could be asked for their address */

    struct host hosts[WORLD_UPSTREAMS];
    struct manners clients, upstreams;
    struct visit *visits;   /* checks under way, the latest first */
    struct visit *answered; /* all to which somebody came */
    struct life lives[WORLD_LIVES];
    uint32_t life_count;
    struct caller callers[WORLD_CALLERS];
    uint32_t parties; /* not yet gone: clients, those that have yet to arrive included, and who serves them */
    uint64_t next_stream;
    uint32_t overflow_bytes; /* 0: as the balancer thinks best */
    uint32_t splice_bytes;   /* ... after which relays splice, where there are pipes */
    uint64_t budget_bytes;   /* the same */
    uint32_t max_connections;
    uint32_t strangers_max; /* records for clients that are not configured */
    uint64_t deny_skip, deny_count;
    bool deny_at_start; /* allocations are denied while the balancer is built, not while it runs */

    struct privacy tls;
    struct watch health;
    struct known known[WORLD_POOLS][WORLD_UPSTREAMS]; /* by place */

    uint64_t full_ns;            /* when there was last no room for another connection */
    uint64_t moved, moved_steps; /* the network's bytes, and the step at which they last changed */

    bool failed;
    char problem[512];
};

/* What came out of a life. */
struct verdict {
    char problem[512]; /* empty: all was well */
    uint64_t digest;   /* only an equal life gives the same */
    uint32_t connections;
    uint32_t reasons[CLOSE_REASONS]; /* how they ended */
};

/* Lives the life of a seed, and judges it. `tls`: in any case with TLS. */
void world_live(uint64_t seed, bool trace, bool tls, struct verdict *ret_verdict);

/* draw.c: everything that is decided before the first event. */
void draw_weather(struct random *random, struct net_weather *weather);
void draw_loops(struct world *world);
struct snapshot *draw_snapshot(struct world *world);
void draw_people(struct world *world);
void draw_troubles(struct world *world);
struct party_script draw_script(struct world *world, const struct manners *manners);
struct channel_script draw_channel(struct world *world);
void draw_tls(struct world *world, uint64_t seed, bool forced);
void draw_health(struct world *world, uint64_t seed);
struct weir_address draw_address(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* world.c */

/* NULL: its client's address could not be told any more. */
struct life *world_life_of(struct world *world, const struct conn *conn);
/* The first problem is kept. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* oracle.c */
void oracle_dialled(struct world *world, struct conn *conn, struct attempt *attempt);
void oracle_turned(struct world *world, struct worker *worker);
void oracle_closed(struct life *life);
void oracle_left(struct life *life);
void oracle_final(struct world *world);

#endif
