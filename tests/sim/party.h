/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_PARTY_H
#define SIM_PARTY_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "net.h"

/* One who talks over a connection by a script: a client, or an upstream's side of a connection. It writes, reads,
 * checks every byte it gets, and keeps what happened for the judgement. */

enum party_manner {
    PARTY_SHUTS,   /* ends its sending side when it has said all */
    PARTY_CLOSES,  /* closes then, whatever may still come */
    PARTY_RESETS,  /* resets then */
    PARTY_LINGERS, /* does nothing more */
};

struct party_script {
    uint64_t bytes;       /* to send */
    uint64_t after_bytes; /* ... once so many have come */
    bool after_end;       /* ... once the other has ended */
    bool echo;            /* sends what comes instead */
    enum party_manner manner;
    bool ends_last;      /* acts by its manner only after the other's end */
    uint64_t dies_after; /* resets once so many bytes have come and gone; UINT64_MAX: never */
    uint64_t dies_ns;    /* resets after so long, whatever it does; 0: never */
    uint32_t write_max, read_max;
    uint64_t write_pause_ns, read_pause_ns;
    uint64_t rests_at, rest_ns; /* stops reading there for so long */
    uint64_t patience_ns;       /* resets when nothing has happened for so long */
};

struct party {
    struct sim *sim;
    struct net_end *end;
    struct channel *channel; /* NULL: plain bytes */
    struct party_script script;
    uint64_t sends;   /* its stream */
    uint64_t expects; /* the other's stream; 0: no byte may come */
    void (*over)(struct party *party);
    void *owner;

    struct sim_event act, impatience, death;
    uint64_t write_ns, read_ns; /* not before */
    uint64_t progress_ns;       /* something last happened */
    uint64_t sent, received, matched;
    bool rested;
    bool shut;      /* it ended its side cleanly */
    bool saw_end;   /* the other's clean end */
    bool saw_break; /* a reset, or a connection that failed */
    bool broke;     /* it reset or closed before both had ended */
    bool impatient; /* ... because nothing happened any more */
    bool gone;
};

/* Begins to talk over an end, which may still be connecting. Everything before `act` is set. */
void party_start(struct party *party);

#endif
