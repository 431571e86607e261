/* SPDX-License-Identifier: Apache-2.0 */
#include "loans.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <weir/errors.h>

/* Buffers that start at the same offset of every page would share a few sets of the cache: each starts one line later
 * than the one before. */
#define STAGGER_BYTES 64

int loans_init(struct loans *loans, const struct weir_loop_options *options)
{
    size_t stride = (size_t)options->buffer_bytes + STAGGER_BYTES;
    loans->count = options->buffers;
    loans->buffer_bytes = options->buffer_bytes;
    loans->last_waiting = &loans->waiting;
    loans->memory_size = stride * options->buffers;
    loans->all = calloc(options->buffers, sizeof *loans->all);
    loans->memory = mmap(NULL, loans->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (loans->memory == MAP_FAILED)
        loans->memory = NULL;
    if (loans->all == NULL || loans->memory == NULL)
        return WEIR_ENOMEM;
    for (uint32_t i = options->buffers; i-- > 0;) {
        loans->all[i].data = loans->memory + i * stride;
        loans->all[i].index = i;
        loans_give(loans, &loans->all[i]);
    }
    return 0;
}

void loans_free(struct loans *loans)
{
    assert(loans->waiting == NULL);
    if (loans->memory != NULL)
        munmap(loans->memory, loans->memory_size);
    free(loans->all);
    loans->memory = NULL;
    loans->all = NULL;
}

struct weir_loan *loans_take(struct loans *loans)
{
    struct weir_loan *loan = loans->idle;
    if (loan != NULL)
        loans->idle = loan->next;
    return loan;
}

void loans_give(struct loans *loans, struct weir_loan *loan)
{
    loan->owner = NULL;
    loan->next = loans->idle;
    loans->idle = loan;
}

void loans_orphan(struct loans *loans, const struct weir_socket *socket)
{
    for (uint32_t i = 0, left = socket->loans; left > 0; i++) {
        assert(i < loans->count);
        if (loans->all[i].owner != socket)
            continue;
        loans->all[i].owner = NULL;
        left--;
    }
}

bool loans_is_waiting(const struct weir_socket *socket)
{
    return socket->pprev != NULL;
}

void loans_wait(struct loans *loans, struct weir_socket *socket)
{
    if (loans_is_waiting(socket))
        return;
    socket->next = NULL;
    socket->pprev = loans->last_waiting;
    *loans->last_waiting = socket;
    loans->last_waiting = &socket->next;
}

void loans_wait_first(struct loans *loans, struct weir_socket *socket)
{
    assert(!loans_is_waiting(socket));
    socket->next = loans->waiting;
    socket->pprev = &loans->waiting;
    if (socket->next != NULL)
        socket->next->pprev = &socket->next;
    else
        loans->last_waiting = &socket->next;
    loans->waiting = socket;
}

void loans_wait_no_more(struct loans *loans, struct weir_socket *socket)
{
    if (!loans_is_waiting(socket))
        return;
    *socket->pprev = socket->next;
    if (socket->next != NULL)
        socket->next->pprev = socket->pprev;
    else
        loans->last_waiting = socket->pprev;
    socket->next = NULL;
    socket->pprev = NULL;
}
