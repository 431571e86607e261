/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Only address space: a page costs nothing before it is used. */
#define ARENA_BYTES ((size_t)4 << 30)

static uint8_t *arena;
static size_t arena_used;

void *sim_bytes(size_t size)
{
    if (arena == NULL) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
        assert(arena != MAP_FAILED);
    }
    size = (size + 63) & ~(size_t)63;
    assert(size <= ARENA_BYTES - arena_used);
    arena_used += size;
    return arena + arena_used - size;
}

void *sim_alloc(size_t size)
{
    return memset(sim_bytes(size), 0, size);
}

struct sim *sim_new(uint64_t seed)
{
    arena_used = 0;
    struct sim *sim = sim_alloc(sizeof *sim);
    sim->random.state = seed;
    sim->now_ns = SIM_SECOND;
    sim->wall_ns = SIM_WALL_S * SIM_SECOND;
    sim->capacity = 1024;
    sim->heap = sim_bytes(sim->capacity * sizeof sim->heap[0]);
    return sim;
}

/* The heap */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void put(struct sim *sim, struct sim_event *event, uint32_t slot)
{
    sim->heap[slot] = event;
    event->slot = slot;
}

static void sift(struct sim *sim, struct sim_event *event, uint32_t slot)
{
    for (; slot > 1 && before(event, sim->heap[slot / 2]); slot /= 2)
        put(sim, sim->heap[slot / 2], slot);
    for (uint32_t child = 2 * slot; child <= sim->count; child = 2 * slot) {
        if (child < sim->count && before(sim->heap[child + 1], sim->heap[child]))
            child++;
        if (!before(sim->heap[child], event))
            break;
        put(sim, sim->heap[child], slot);
        slot = child;
    }
    put(sim, event, slot);
}

static uint32_t new_slot(struct sim *sim)
{
    if (sim->count + 1 == sim->capacity) {
        struct sim_event **heap = sim_bytes(2 * sim->capacity * sizeof heap[0]);
        memcpy(heap, sim->heap, sim->capacity * sizeof heap[0]);
        sim->heap = heap;
        sim->capacity *= 2;
    }
    return ++sim->count;
}

void sim_at(struct sim *sim, struct sim_event *event, uint64_t at_ns)
{
    assert(event->run != NULL);
    event->at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns;
    event->order = sim->next_order++;
    sift(sim, event, event->slot != 0 ? event->slot : new_slot(sim));
}

void sim_after(struct sim *sim, struct sim_event *event, uint64_t delay_ns)
{
    sim_at(sim, event, sim->now_ns + delay_ns);
}

void sim_by(struct sim *sim, struct sim_event *event, uint64_t at_ns)
{
    if (event->slot == 0 || event->at_ns > at_ns)
        sim_at(sim, event, at_ns);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    uint32_t slot = event->slot;
    if (slot == 0)
        return;
    struct sim_event *last = sim->heap[sim->count--];
    event->slot = 0;
    if (last != event)
        sift(sim, last, slot);
}

uint64_t sim_next(const struct sim *sim)
{
    return sim->count > 0 ? sim->heap[1]->at_ns : UINT64_MAX;
}

void sim_jump(struct sim *sim, uint64_t at_ns)
{
    if (at_ns <= sim->now_ns)
        return;
    sim->wall_ns += at_ns - sim->now_ns;
    sim->now_ns = at_ns;
}

bool sim_step(struct sim *sim)
{
    if (sim->count == 0)
        return false;
    struct sim_event *event = sim->heap[1];
    sim_cancel(sim, event);
    assert(event->at_ns >= sim->now_ns);
    sim_jump(sim, event->at_ns);
    sim->steps++;
    event->run(event);
    return true;
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%12" PRIu64 ".%03" PRIu64 " ms  ", sim->now_ns / SIM_MS, sim->now_ns / SIM_US % 1000);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}
