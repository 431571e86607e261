/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_VISITS_H
#define SIM_VISITS_H

#include "../../server/proxy/probe.h"
#include "world.h"

/* The balancer's checks of upstreams: who answers them, and whether each verdict fits what the network knows. */

/* The streams whose beginnings a check sends, and expects of a good upstream. */
#define VISIT_QUESTION UINT64_MAX
#define VISIT_ANSWER (UINT64_MAX - 1)
#define VISIT_BYTES 24

/* One check, from its dialling on. */
struct visit {
    struct world *world;
    struct visit *next, *next_answered;
    struct probe *probe; /* until its end is closed */
    struct weir_loop *loop;
    const struct health_settings *settings;
    struct net_end *end; /* the balancer's */
    struct party *party; /* who answers; NULL: nobody */
    enum kit_part host;  /* with whose certificate, where there is TLS; else KIT_PARTS */
    uint64_t deadline_ns;
    bool judged;
    enum probe_verdict verdict;
};

/* Before the snapshot is bound: gives checks by question and answer their bytes. */
void visits_prepare(struct snapshot *snapshot);
/* The balancer dials for a check. */
void visits_dialled(struct world *world, struct weir_socket *socket, struct net_end *end);
/* By the end that dialled; NULL: it is no check's. */
struct visit *visits_find(struct world *world, const struct net_end *end);
bool visits_use_tls(const struct visit *visit);
/* Makes somebody who was drawn like any upstream answer a check: rightly or not. */
void visits_serve(struct visit *visit, struct party *party);
void visits_turned(struct world *world, const struct worker *worker);
void visits_final(struct world *world);
/* Nobody waits for those who answer checks: who is still there at the end goes without a word. */
void visits_close(struct world *world);

#endif
