/* SPDX-License-Identifier: Apache-2.0 */
#include "generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "../base/log.h"
#include "health.h"

static struct entrance **entrance_at(const struct generation *generation, uint32_t worker, uint32_t listener)
{
    return &generation->entrances[worker * generation->snapshot->listener_count + listener];
}

/* Listeners. Those on port 0 can only be told apart by their names. */

static bool is_same_listener(const struct listener *a, const struct listener *b)
{
    return weir_address_equal(&a->address, &b->address) &&
           (weir_address_port(&a->address) != 0 || strcmp(a->name, b->name) == 0);
}

static const struct listener *find_listener(const struct generation *present, const struct listener *listener)
{
    const struct snapshot *snapshot = present == NULL ? NULL : present->snapshot;
    for (uint32_t n = 0; snapshot != NULL && n < snapshot->listener_count; n++)
        if (is_same_listener(&snapshot->listeners[n], listener))
            return &snapshot->listeners[n];
    return NULL;
}

static int open_entrance(struct worker *worker, struct listener *listener, bool shared, struct entrance **ret_entrance)
{
    const struct weir_listen_options options = { .reuse_port = shared, .keepalive_s = listener->keepalive_s };
    int fd = weir_listen(&listener->bound, &options);
    if (fd < 0)
        return fd;
    int err = weir_listen_address(fd, &listener->bound);
    struct entrance *entrance = err == 0 ? entrance_new(worker, fd) : NULL;
    if (entrance == NULL) {
        close(fd);
        return err != 0 ? err : WEIR_ENOMEM;
    }
    *ret_entrance = entrance;
    return 0;
}

/* Workers share the port that the first of them gets. */
static int open_listener(struct generation *generation, struct worker *const *workers, uint32_t index)
{
    struct listener *listener = &generation->snapshot->listeners[index];
    listener->bound = listener->address;
    int err = weir_listen_probe(&listener->address);
    for (uint32_t n = 0; err == 0 && n < generation->workers; n++)
        err = open_entrance(workers[n], listener, generation->workers > 1, entrance_at(generation, n, index));
    return err;
}

static void take_listener(struct generation *generation, uint32_t index, const struct generation *present,
                          const struct listener *listener)
{
    uint32_t old = (uint32_t)(listener - present->snapshot->listeners);
    generation->snapshot->listeners[index].bound = listener->bound;
    for (uint32_t n = 0; n < generation->workers; n++)
        *entrance_at(generation, n, index) = *entrance_at(present, n, old);
}

static void tell_fault(const struct listener *listener, int err, struct fault *fault)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    weir_address_format(&listener->address, text, sizeof text);
    fault->at = listener->at;
    snprintf(fault->text, sizeof fault->text, "listener %s cannot listen on %s: %s", listener->name, text,
             weir_strerror(err));
    log_error("cannot listen", LOG_STR("listener", listener->name), LOG_STR("error", weir_strerror(err)),
              LOG_STR("address", text));
}

static int open_listeners(struct generation *generation, struct worker *const *workers,
                          const struct generation *present, struct fault *fault)
{
    const struct snapshot *snapshot = generation->snapshot;
    int err = 0;
    for (uint32_t n = 0; err == 0 && n < snapshot->listener_count; n++) {
        const struct listener *old = find_listener(present, &snapshot->listeners[n]);
        if (old != NULL)
            take_listener(generation, n, present, old);
        else
            err = open_listener(generation, workers, n);
        if (err != 0)
            tell_fault(&snapshot->listeners[n], err, fault);
    }
    return err;
}

static void discard_listeners(struct generation *generation, const struct generation *present)
{
    const struct snapshot *snapshot = generation->snapshot;
    for (uint32_t n = 0; n < snapshot->listener_count; n++)
        for (uint32_t worker = 0; worker < generation->workers; worker++)
            if (find_listener(present, &snapshot->listeners[n]) == NULL)
                entrance_discard(entrance_at(generation, worker, n));
}

/* Birth and death */

static int open_generation(struct generation *generation, struct state *state, struct worker *const *workers,
                           const struct generation *present, struct fault *fault)
{
    struct snapshot *snapshot = generation->snapshot;
    generation->entrances = calloc(generation->workers, snapshot->listener_count * sizeof(struct entrance *));
    generation->views = calloc(generation->workers, sizeof(struct view *));
    int err = generation->entrances == NULL || generation->views == NULL ? WEIR_ENOMEM : health_new(snapshot, state);
    if (err == 0)
        err = open_listeners(generation, workers, present, fault);
    for (uint32_t n = 0; err == 0 && n < generation->workers; n++)
        err = view_new(workers[n], snapshot, entrance_at(generation, n, 0), &generation->views[n]);
    if (err != 0 && generation->entrances != NULL)
        discard_listeners(generation, present);
    return err;
}

static void free_parts(struct generation *generation)
{
    for (uint32_t n = 0; generation->views != NULL && n < generation->workers; n++)
        view_free(&generation->views[n]);
    health_free(generation->snapshot);
    free(generation->views);
    free(generation->entrances);
    free(generation);
}

int generation_new(struct snapshot *snapshot, struct state *state, struct worker *const *workers, uint32_t count,
                   const struct generation *present, struct fault *fault, struct generation **ret_generation)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL)
        return WEIR_ENOMEM;
    generation->snapshot = snapshot;
    generation->workers = count;
    int err = open_generation(generation, state, workers, present, fault);
    if (err != 0)
        free_parts(generation);
    else
        *ret_generation = generation;
    return err;
}

bool generation_is_over(const struct generation *generation)
{
    bool over = atomic_load_explicit(&generation->snapshot->readers, memory_order_acquire) == 0;
    for (uint32_t n = 0; over && n < generation->workers; n++)
        over = atomic_load_explicit(&generation->views[n]->is_over, memory_order_acquire);
    return over;
}

void generation_free(struct generation **pgeneration)
{
    struct generation *generation = *pgeneration;
    *pgeneration = NULL;
    if (generation == NULL)
        return;
    struct snapshot *snapshot = generation->snapshot;
    free_parts(generation);
    snapshot_free(&snapshot);
}
