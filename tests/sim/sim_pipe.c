/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include <weir/errors.h>

#include "sim_loop.h"

/* Pipes: two descriptors, and room for some bytes. A splice moves them at one moment; the backend's user hears of it
 * later. */

#define PIPE_BYTES_MIN 512
#define PIPE_BYTES_MAX (64u << 10)

struct sim_pipe {
    uint8_t *bytes;
    uint32_t capacity, head, tail;
};

int sim_pipe_open(struct weir_loop *base, struct weir_pipe *pipe)
{
    struct sim_loop *loop = sim_of(base);
    struct sim_pipe *own = sim_alloc(sizeof *own);
    for (unsigned n = 0; n < 2; n++) {
        pipe->ends[n] = net_descriptor(loop->net, own);
        if (pipe->ends[n] >= 0)
            continue;
        if (n == 1)
            net_descriptor_close(loop->net, pipe->ends[0]);
        return WEIR_EMFILE;
    }
    own->capacity = (uint32_t)random_between(sim_chance(loop), PIPE_BYTES_MIN, PIPE_BYTES_MAX);
    own->bytes = sim_bytes(own->capacity);
    pipe->own = own;
    return 0;
}

void sim_pipe_close(struct weir_loop *base, struct weir_pipe *pipe)
{
    struct sim_loop *loop = sim_of(base);
    const struct sim_pipe *own = pipe->own;
    memset(own->bytes, 0xDB, own->capacity);
    for (unsigned n = 0; n < 2; n++)
        net_descriptor_close(loop->net, pipe->ends[n]);
}

int sim_pipe_fill(struct weir_pipe *pipe, struct net_end *end)
{
    struct sim_pipe *own = pipe->own;
    assert(own->head == own->tail);
    int status = net_read(end, own->bytes, own->capacity);
    own->head = 0;
    own->tail = status > 0 ? (uint32_t)status : 0;
    return status;
}

int sim_pipe_drain(struct weir_pipe *pipe, struct net_end *end)
{
    struct sim_pipe *own = pipe->own;
    assert(pipe->size == own->tail - own->head);
    int status = net_write(end, own->bytes + own->head, own->tail - own->head);
    if (status > 0)
        own->head += (uint32_t)status;
    return status;
}
