/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_LOANS_H
#define IO_LOANS_H

/* The receive buffers of a real backend's loop, and the sockets that wait for one, first come first served. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/loop.h>
#include <weir/socket.h>

struct loans {
    struct weir_loan *all;  /* by index */
    struct weir_loan *idle; /* linked by `next`, the one used last first: it is still in the cache */
    struct weir_socket *waiting, **last_waiting;
    uint8_t *memory;
    size_t memory_size;
    uint32_t count, buffer_bytes;
};

/* All memory is taken here. All buffers are idle. Returns 0 or WEIR_ENOMEM, and may be freed in either case. */
int loans_init(struct loans *loans, const struct weir_loop_options *options);
void loans_free(struct loans *loans);

/* NULL when none is idle. */
struct weir_loan *loans_take(struct loans *loans);
void loans_give(struct loans *loans, struct weir_loan *loan);

/* A closed socket's loans live on without it. */
void loans_orphan(struct loans *loans, const struct weir_socket *socket);

/* The line of waiting sockets (socket->next, ->pprev; pprev is NULL when it stands in no line). */
bool loans_is_waiting(const struct weir_socket *socket);
void loans_wait(struct loans *loans, struct weir_socket *socket);
void loans_wait_first(struct loans *loans, struct weir_socket *socket);
void loans_wait_no_more(struct loans *loans, struct weir_socket *socket);

#endif
