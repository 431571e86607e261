/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_EXPLAIN_H
#define CONTROL_EXPLAIN_H

#include <jansson.h>

#include "../policy/decide.h"

/* Why somebody may reach what: everything that leads from an identity to the upstreams, with the places in the
 * configuration that say so. Decided by the same code as connections. */

enum explain_kind { EXPLAIN_CLIENT, EXPLAIN_CERTIFICATE, EXPLAIN_ADDRESS };

struct explain_subject {
    enum explain_kind kind;
    const char *name;         /* as asked for: a client's name, the path of a PEM file, an address */
    uint32_t client;          /* of EXPLAIN_CLIENT */
    struct identity identity; /* of the other two */
    uint64_t wall_ns;         /* at which a certificate is verified */
};

/* One of the subject's identities, or one of a client's that matches it. Texts are printable. */
struct explain_identity {
    char *text;         /* "dns:alice.example.com" */
    uint32_t client;    /* whose it is in the configuration; ANY_INDEX: found in a certificate */
    struct position at; /* of a configured one */
};

struct explain_upstream {
    const struct upstream *upstream;
    bool allowed;
    const struct rule *rule; /* that says so; NULL: there is no policy, or no rule allows it */
};

struct explain_listener {
    const struct listener *listener;
    const struct pool *pool;
    bool accepted;
    enum close_reason refusal;          /* CLOSE_NONE: accepted, or the subject cannot be known here at all */
    char why[512];                      /* not accepted: a sentence for people */
    struct explain_upstream *upstreams; /* none where nobody gets as far as the policy */
    uint32_t upstream_count;
};

struct explanation {
    const struct snapshot *snapshot;
    const struct explain_subject *subject;
    struct explain_identity *identities; /* that the subject has */
    uint32_t identity_count;
    struct explain_identity *matches; /* identities of clients that match: that of the client chosen first */
    uint32_t match_count;
    uint32_t client; /* ANY_INDEX: unknown */
    char *name;      /* that it goes by, printable */
    const struct weir_limits *limits;
    struct explain_listener *listeners;
    uint32_t listener_count;
};

/* Explains a subject at one listener, or at all (ANY_INDEX), of a bound snapshot. Both must outlive the explanation.
 * A certificate: the control thread only; else any. Returns 0 or WEIR_ENOMEM. */
int explain(const struct snapshot *snapshot, const struct explain_subject *subject, uint32_t listener,
            struct explanation **ret_explanation);
void explanation_free(struct explanation **pexplanation);

/* Whether a listener asks for certificates. */
bool explain_listener_by_certificate(const struct listener *listener);

/* "5/s", "100/m"; "" when there is none. Returns `text`. */
char *explain_rate(const struct weir_limits *limits, char text[32]);

/* The explanation as JSON; with `live`, the state that the snapshot is bound to, also what upstreams and the client are
 * like at this moment. The caller's; NULL when out of memory. */
json_t *explain_json(const struct explanation *explanation, const struct state *live);

#endif
