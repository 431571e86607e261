/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "../base/identity.h"
#include "snapshot.h"

/* What was decided, and enough to say why. Pointers lead into the snapshot. */
struct decision {
    enum close_reason refusal;   /* CLOSE_NONE: go on; CLOSE_UNKNOWN_CLIENT or CLOSE_NOT_AUTHORIZED */
    const struct client *client; /* NULL: unknown */
    /* Of the client: its configured name, or the identity that an unknown one goes by ("192.0.2.1",
     * "uri:spiffe://example.com/eve"): any bytes, and a NUL behind them. */
    char name[WEIR_CLIENT_NAME_MAX + 1];
    uint32_t name_size;
    const struct weir_limits *limits;
    struct client_counters *counters;
    struct weir_set *set;    /* what it may reach behind this listener; NULL when refused */
    const struct rule *rule; /* the rule that allowed it; NULL: no policy, or refused */
};

/* The one place where access is decided; pure. Any thread. */
void decide(const struct snapshot *snapshot, uint32_t listener, const struct identity *identity,
            struct decision *ret_decision);
/* The same for a configured client, however it was found out. */
void decide_client(const struct snapshot *snapshot, uint32_t listener, uint32_t client, struct decision *ret_decision);

/* Whether the decision lets its client reach a place of the listener's pool. */
bool decision_allows(const struct decision *decision, uint32_t place);

/* Whether a client (ANY_INDEX: one that is not configured) may reach a place of a pool. */
bool client_may_reach(const struct snapshot *snapshot, uint32_t client, uint32_t pool, uint32_t place);

/* Whether a client (ANY_INDEX: one that is not configured) may reach a place of a pool, and which rule says so: the
 * first that denies it, else the first that allows it; NULL: none does, or there is no policy. The same answer as
 * decide()'s, found by reading the rules one after the other: for people. */
bool policy_allows(const struct snapshot *snapshot, uint32_t client, uint32_t pool, uint32_t place,
                   const struct rule **ret_rule);

/* Runs one `expect` line. Returns true when it holds. */
bool expectation_holds(const struct snapshot *snapshot, const struct expectation *expectation);

/* The configured client of an address (longest prefix wins), or ANY_INDEX. */
uint32_t client_of_address(const struct snapshot *snapshot, const struct weir_address *address);
/* The configured client that somebody is: by certificate the first in the file of those that match, without one by
 * address; or ANY_INDEX. */
uint32_t client_of_identity(const struct snapshot *snapshot, const struct identity *identity);

#endif
