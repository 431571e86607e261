/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_SNAPSHOT_H
#define POLICY_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/address.h>
#include <weir/limiter.h>
#include <weir/loop.h>
#include <weir/pool.h>

#include "../base/counters.h"
#include "../base/identity.h"
#include "../base/log.h"
#include "../base/tls_settings.h"
#include "records.h"

/* Everything from one configuration file: immutable once bound. The reader (control/config.h) fills it in;
 * snapshot_bind() resolves it: pools, allowed sets, client records, counters. Arrays are owned by the snapshot;
 * references between them are indexes. */

#define ANY_INDEX UINT32_MAX

struct position {
    uint32_t line, column; /* from 1; 0: not from a file */
};

enum sandbox_mode { SANDBOX_STRICT, SANDBOX_BEST_EFFORT, SANDBOX_OFF };

struct settings {
    uint32_t workers; /* 0: auto */
    enum weir_backend io;
    uint32_t max_connections;           /* 0: what the descriptors allow */
    uint32_t max_handshakes;            /* in flight per worker */
    uint32_t max_handshakes_per_source; /* 0: no bound */
    uint64_t drain_timeout_ns;
    enum log_format log_format;
    enum log_level log_level;
    bool log_connections;
    char *user; /* NULL: whoever starts it */
    enum sandbox_mode sandbox;
    char *admin_socket; /* path made absolute, or NULL: none */
    bool has_admin_http;
    struct weir_address admin_http;
    struct position workers_at, io_at, max_connections_at, admin_at, admin_http_at, user_at, sandbox_at;
};

struct listener {
    char name[NAME_MAX_BYTES + 1];
    struct weir_address address;
    uint32_t pool;
    uint64_t idle_timeout_ns, half_close_timeout_ns;
    uint64_t handshake_timeout_ns;
    uint32_t keepalive_s;
    struct tls_settings *tls;      /* NULL: plain */
    struct tls_material *material; /* of the same; the listener's own reference */
    struct position at;
    bool keep_on_policy_change;     /* connections that the policy forbids, or whose certificates are revoked, go on */
    bool end_expired;               /* connections end with their client's certificate */
    struct weir_address bound;      /* while it is listened on: the address, with the port that 0 has become */
    struct listener_record *record; /* bound, with what follows */
    struct listener_slot *slots;    /* one for each worker */
};

/* One physical address, however many pools name it. */
struct upstream {
    char name[NAME_MAX_BYTES + 1];
    struct weir_address address;
    uint32_t max_connections;
    struct position at;
    struct upstream_record *record; /* bound, with what follows */
    struct upstream_counters *counters;
    struct address_record *row; /* bound */
    uint32_t id;                /* in the table of upstreams */
};

struct place {
    uint32_t upstream;
    uint32_t weight;
    bool backup;
};

enum health_check {
    HEALTH_CHECK_CONNECT,
    HEALTH_CHECK_TLS,      /* a handshake with the pool's tls */
    HEALTH_CHECK_EXCHANGE, /* send, if there is something to send, and expect, inside the pool's tls if there is one */
    HEALTH_CHECK_NONE,
};

/* What a check sends or expects. */
#define CHECK_BYTES_MAX 4096
struct check_bytes {
    uint8_t *data; /* owned by the snapshot; NULL: nothing */
    uint32_t size;
};

struct health_settings {
    uint64_t interval_ns, timeout_ns;
    uint32_t fall, rise;
    enum health_check check;
    struct check_bytes send, expect; /* of HEALTH_CHECK_EXCHANGE */
    bool passive;
    struct position check_at;
};

struct pool {
    char name[NAME_MAX_BYTES + 1];
    struct place *places;
    uint32_t place_count;
    uint64_t connect_timeout_ns;
    uint32_t retries;
    uint64_t slow_start_ns; /* 0: none */
    struct health_settings health;
    struct tls_settings *tls;      /* NULL: plain to the upstreams */
    struct tls_material *material; /* of the same; the pool's own reference */
    struct position at;
    struct weir_pool *balancing; /* bound */
    struct pool_record *record;  /* bound, with what follows */
    struct pool_slot *slots;
    void *health_state; /* bound by proxy/health.h */
};

/* A network of clients: `cidr:` */
struct network {
    struct weir_address base; /* host bits zero, IPv4 never mapped */
    uint8_t prefix;
    uint32_t client;
    struct position at;
    uint32_t shorter; /* bound: index of the first network with a shorter prefix */
};

/* What certificates of a client say: `dns:`, `uri:`, `email:`, `cn:`, `sha256:` */
struct client_identity {
    struct identity_name name; /* a pattern, in lower case where case does not matter; owns its bytes */
    uint32_t client;
    struct position at;
};

struct client {
    char name[NAME_MAX_BYTES + 1];
    struct weir_limits limits; /* complete: missing fields were filled in from the defaults */
    struct position at;
    struct client_record *kept; /* bound, with what follows */
    struct weir_client *record;
    struct client_counters *counters;
};

struct rule {
    bool allow;
    bool any_client; /* "*" */
    uint32_t *clients;
    uint32_t client_count;
    struct target {
        uint32_t pool;
        uint32_t place; /* ANY_INDEX: the whole pool */
    } * targets;
    uint32_t target_count;
    struct position at;
};

struct expectation {
    bool any_client;           /* "*": an unknown client */
    uint32_t client;           /* or ANY_INDEX: by name or address */
    bool has_name;             /* a certificate with this name and no other */
    struct identity_name name; /* owns its bytes */
    struct weir_address address;
    bool can;
    uint32_t pool, place; /* place ANY_INDEX: at least one / none of the pool */
    struct position at;
};

/* What one class of clients may reach, by pool: made by snapshot_bind(), interned. */
struct reach {
    struct weir_set **sets; /* by pool; NULL: nothing of it */
    uint32_t *rules;        /* by pool: the first rule that allowed something, or ANY_INDEX (no policy; or nothing) */
};

struct snapshot {
    _Atomic uint32_t readers; /* beside the balancer: it is not freed while there are any */
    char *path;               /* of the file, for messages */
    /* Gives back a listener's or pool's material, which is nothing to this layer; set where there is any. */
    void (*material_unref)(struct tls_material **pmaterial);
    struct settings settings;
    struct listener *listeners;
    uint32_t listener_count;
    struct upstream *upstreams;
    uint32_t upstream_count;
    struct pool *pools;
    uint32_t pool_count;
    struct client *clients;
    uint32_t client_count;
    struct network *networks; /* sorted by snapshot_bind() for look-up */
    uint32_t network_count;
    struct client_identity *identities; /* likewise */
    uint32_t identity_count;
    struct weir_limits default_limits; /* of unknown clients */
    bool has_policy;
    struct rule *rules;
    uint32_t rule_count;
    struct expectation *expectations;
    uint32_t expectation_count;

    /* bound */
    bool unknown_let_in;            /* no policy, or a rule for "*" allows something */
    struct client_counters *other;  /* all clients that are not configured */
    struct client_counters *nobody; /* connections refused before their client was known */
    struct reach unknown_reach;
    struct reach *client_reach; /* by client; views of rows */
    struct reach *rows;         /* every reach once */
    uint32_t row_count;
    struct weir_set **sets; /* every set once */
    uint32_t set_count;
    struct weir_upstreams *table; /* that the upstreams' ids are of */
};

/* What outlives snapshots: counts of upstreams, records of unknown clients, and what is kept of the named things. */
struct state {
    struct weir_upstreams *upstreams;
    struct weir_limiter *limiter;
    struct keep keep;
    struct client_counters other, nobody; /* as of a snapshot */
};

#define UNKNOWN_CLIENTS_MAX 65536
#define TABLE_UPSTREAMS_MAX 131072 /* of all snapshots that live, and of those gone that still have connections */

/* Returns 0, WEIR_ENOMEM. `seed`: random. */
int state_new(uint64_t seed, struct state *ret_state);
/* Every snapshot has been freed. */
void state_free(struct state *state);

/* Resolves a snapshot that was read: makes pools, sets (equal ones once), and finds or makes the records of all that it
 * names. What runs is not touched. Control thread. Returns 0, WEIR_ENOMEM or WEIR_EFULL; on failure the snapshot can
 * only be freed. */
int snapshot_bind(struct snapshot *snapshot, struct state *state, uint32_t workers);

/* The bound snapshot is the one that counts from now on: its upstreams have the limits that it says. Control thread. */
void snapshot_apply(const struct snapshot *snapshot);

/* Frees a snapshot, bound or not; nobody uses it any more. What it kept is freed by keep_sweep(). Control thread.
 * Accepts NULL. */
void snapshot_free(struct snapshot **psnapshot);

#endif
