/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/address.h>

#include "sim.h"

/* The simulated network, as the kernels at its ends show it: non-blocking calls in the manner of Linux, and a call to
 * `changed` when another try may get further. Statuses are libweir's.
 *
 * What is written waits in the writer's buffer until it arrives, in order, in chunks of any size; then it waits in the
 * reader's buffer. A reset throws away what has not arrived, is told once, and leaves what had arrived readable. Data
 * for an end that was closed, and unread data in an end that closes, cause one. */

struct net;
struct net_end;
struct net_listener;

/* Bounds within which each connection draws what it is like. */
struct net_weather {
    uint64_t delay_min_ns, delay_max_ns;
    uint32_t buffer_min, buffer_max; /* bytes */
    uint32_t chunk_min, chunk_max;   /* bytes that arrive at once */
    uint32_t partial;                /* per mille of writes and reads that move less than they could */
    uint32_t backlog;                /* of connections that a listener keeps; others try again later */
    uint32_t descriptor_faults;      /* per mille of descriptors that cannot be had */
    uint32_t descriptors;            /* how many there may be */
    uint32_t local_faults;           /* per mille of connects that a loop cannot even begin */
};

struct net_buffer {
    uint8_t *bytes;
    uint32_t capacity, head, size;
};

struct net_end {
    struct net *net;
    struct net_end *peer;              /* NULL: nobody has answered yet */
    struct net_end *next;              /* in a listener's queue */
    void (*changed)(struct net_end *); /* NULL: nobody listens */
    void *owner;                       /* of `changed` */
    void *tag;                         /* the world's */
    struct weir_address local, remote;
    int fd;                          /* -1: none */
    struct net_buffer tx;            /* written, not yet arrived */
    struct net_buffer rx;            /* arrived, not yet read */
    struct sim_event delivery;       /* connecting, then what is in tx */
    struct sim_event breaking;       /* a reset, on its way to this end */
    uint64_t delay_ns;               /* about how long a chunk takes */
    uint64_t sent, arrived;          /* bytes written here; bytes that came here */
    uint64_t read;                   /* bytes taken out */
    uint64_t read_ns, sent_ns;       /* when a byte was last read, written */
    uint64_t arrived_ns, drained_ns; /* when one last came, and when one last left tx */
    uint64_t connected_ns;
    uint64_t fin_ns;    /* when the peer's end arrived; 0: it has not */
    uint64_t closed_ns; /* 0: open */
    uint64_t reset_ns;  /* when a reset arrived; 0: none */
    int connect_status; /* WEIR_EAGAIN while connecting, then 0 or why not */
    int error;          /* pending: told once */
    bool shut;          /* sends no more: FIN follows what is in tx */
    bool reset_sent;    /* closed, or answered, with a reset */
    bool dead;          /* was reset from either side */
};

/* What happens to somebody who wants to connect. */
enum net_answer { NET_ACCEPT, NET_REFUSE, NET_DROP, NET_UNREACHABLE };

struct net_listener {
    struct net *net;
    struct net_listener *next;
    struct weir_address address;
    void (*changed)(struct net_listener *);           /* somebody waits */
    enum net_answer (*answer)(struct net_listener *); /* NULL: always NET_ACCEPT */
    void *owner;
    int fd; /* -1: none */
    bool closed;
    uint32_t waiting;
    struct net_end *queue, **queue_tail; /* oldest first */
};

struct net {
    struct sim *sim;
    struct net_weather weather;
    struct net_listener *listeners;
    void **descriptors; /* by number; NULL: closed */
    uint32_t descriptor_count, descriptor_capacity;
    uint32_t open_descriptors;
    uint32_t descriptors_denied;
    uint64_t denied_ns; /* the last time */
    uint64_t moved;     /* bytes that were written, arrived, or were read */
    uint16_t next_port;
};

struct net *net_new(struct sim *sim, const struct net_weather *weather);

/* Several listeners may have one address: each new connection goes to one of them. Port 0: a free one. */
struct net_listener *net_listen(struct net *net, const struct weir_address *address);
/* The oldest connection that waits, or NULL. */
struct net_end *net_accept(struct net_listener *listener);
/* Whoever waits is reset. */
void net_listener_close(struct net_listener *listener);

/* Begins to connect; a `local` port 0 becomes a free one. */
struct net_end *net_connect(struct net *net, const struct weir_address *local, const struct weir_address *remote);

/* > 0: bytes taken, perhaps fewer than given; WEIR_EAGAIN; WEIR_EPIPE or the pending error. */
int net_write(struct net_end *end, const void *data, uint32_t size);
/* > 0: bytes; 0: the peer has ended; WEIR_EAGAIN; or the pending error. */
int net_read(struct net_end *end, void *data, uint32_t size);
void net_shutdown(struct net_end *end);
void net_close(struct net_end *end, bool reset);

/* Descriptors of the one process that is limited: numbers that are never used twice. WEIR_EMFILE when none is left. */
int net_descriptor(struct net *net, void *what);
void net_descriptor_set(struct net *net, int fd, void *what);
void *net_of_descriptor(const struct net *net, int fd);
void net_descriptor_close(struct net *net, int fd);

#endif
