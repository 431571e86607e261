/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_PARTS_H
#define CONTROL_CONFIG_PARTS_H

#include "config_names.h"
#include "config_schema.h"

/* The parts of a configuration, one file each: a value of the top level, read into the snapshot. */

field_read read_pools;        /* config_pools.c */
field_read read_health;       /* config_health.c; the slot is a struct health_settings */
field_read read_listeners;    /* config_listeners.c */
field_read read_listener_tls; /* config_tls.c; the slot is a struct listener */
field_read read_pool_tls;     /* config_tls.c; the slot is a struct pool */
field_read read_limits;       /* config_clients.c */
field_read read_clients;      /* config_clients.c */
field_read read_policy;       /* config_policy.c */
field_read read_expectations; /* config_expectations.c */

/* What a draft means, with what it leaves out taken from `defaults`. */
struct weir_limits limits_complete(const struct limits_draft *draft, const struct limits_draft *defaults);

/* An entry of a client's `identity`. */
void read_identity(struct reader *reader, const struct node *node, uint32_t client);
/* Of those that can never say who somebody is, because a wildcard of an earlier client always does. */
void warn_of_hidden_identities(struct reader *reader);

/* What makes a network equal to another, as bytes; the key of reader->networks. */
struct network_key {
    struct address_key base;
    uint8_t prefix, is_v6;
};
struct network_key network_key(const struct network *network);

/* Looks up a pool; an unknown one is an error at the node, with a suggestion. Returns its index or ANY_INDEX. */
uint32_t find_pool(struct reader *reader, const struct node *node, const char *name);
uint32_t find_client(struct reader *reader, const struct node *node, const char *name);
/* POOL or POOL/UPSTREAM. Returns whether it exists. */
bool find_target(struct reader *reader, const struct node *node, const char *text, struct target *ret_target);

/* The error of a name that something on an earlier line has already. `kind`: "listener". */
void refuse_taken(struct reader *reader, const char *kind, const char *name, struct position at, uint32_t line);

#endif
