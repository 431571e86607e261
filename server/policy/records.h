/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_RECORDS_H
#define POLICY_RECORDS_H

#include <weir/address.h>
#include <weir/limiter.h>
#include <weir/pool.h>

#include "../base/counters.h"
#include "kept.h"

/* What is counted and known of the named things of a configuration, from one snapshot to the next. Whoever holds a
 * record may read its name. */

#define NAME_MAX_BYTES 64

struct listener_record {
    struct kept kept;
    char name[NAME_MAX_BYTES + 1];
    struct listener_slot *slots; /* one for each worker */
};

struct pool_record {
    struct kept kept;
    char name[NAME_MAX_BYTES + 1];
    struct pool_slot *slots;
    _Atomic uint64_t unavailable_ns;     /* when the log last said that none can be chosen; 0: never */
    _Atomic uint32_t unavailable_unsaid; /* times since */
};

struct upstream_record {
    struct kept kept;
    char name[NAME_MAX_BYTES + 1];
    struct upstream_counters counters;
};

struct client_record {
    struct kept kept;
    char name[NAME_MAX_BYTES + 1];
    struct weir_client *client;
    struct client_counters counters;
};

/* The row of an upstream in the table, by its address: its connections are counted there whatever it is called. It is
 * kept while there are any. */
struct address_record {
    struct kept kept;
    char text[WEIR_ADDRESS_TEXT_MAX];
    struct weir_upstreams *table;
    uint32_t id;
};

/* Each finds the record or makes it; the caller gets a reference. `max_connections`: of a row that has to be made; one
 * that is there keeps its limit. Control thread. Return 0, WEIR_ENOMEM or, of an address, WEIR_EFULL. */
int listener_record_get(struct keep *keep, const char *name, uint32_t workers, struct listener_record **ret_record);
int pool_record_get(struct keep *keep, const char *name, uint32_t workers, struct pool_record **ret_record);
int upstream_record_get(struct keep *keep, const char *name, struct upstream_record **ret_record);
int client_record_get(struct keep *keep, const char *name, struct client_record **ret_record);
int address_record_get(struct keep *keep, const struct weir_address *address, struct weir_upstreams *table,
                       uint32_t max_connections, struct address_record **ret_record);

#endif
