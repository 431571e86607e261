/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FAKE_BALANCER_H
#define TESTS_UNIT_FAKE_BALANCER_H

/* A balancer without threads, sockets and clock: what its readers see is what a test has put here. Include once in a
 * program; the linker then leaves the real one out. */

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../server/control/config.h"
#include "../../server/proxy/balancer.h"

#define FAKE_WORKERS 2

struct balancer {
    struct snapshot *snapshot;
    struct state state;
    bool draining;
    uint64_t uptime_ns;
    uint64_t busy_ns[FAKE_WORKERS];
    struct refusals *refusals[FAKE_WORKERS];
};

const struct snapshot *balancer_snapshot(const struct balancer *balancer)
{
    return balancer->snapshot;
}

const struct snapshot *balancer_snapshot_ref(const struct balancer *balancer)
{
    return balancer->snapshot;
}

void balancer_snapshot_unref(const struct balancer *balancer, const struct snapshot **psnapshot)
{
    (void)balancer;
    *psnapshot = NULL;
}

const struct state *balancer_state(const struct balancer *balancer)
{
    return &balancer->state;
}

bool balancer_draining(const struct balancer *balancer)
{
    return balancer->draining;
}

uint64_t balancer_uptime_ns(const struct balancer *balancer)
{
    return balancer->uptime_ns;
}

const char *balancer_backend_name(const struct balancer *balancer)
{
    (void)balancer;
    return "fake";
}

uint32_t balancer_workers(const struct balancer *balancer)
{
    (void)balancer;
    return FAKE_WORKERS;
}

uint32_t balancer_max_connections(const struct balancer *balancer)
{
    (void)balancer;
    return 1000;
}

uint64_t balancer_worker_busy_ns(const struct balancer *balancer, uint32_t worker)
{
    return balancer->busy_ns[worker];
}

uint32_t balancer_refusals(const struct balancer *balancer, uint32_t worker, struct refusal *ret_kept)
{
    return balancer->refusals[worker] == NULL ? 0 : refusals_read(balancer->refusals[worker], ret_kept);
}

uint64_t balancer_listener_active(const struct balancer *balancer, const struct listener *listener)
{
    return 40 + (uint64_t)(listener - balancer->snapshot->listeners);
}

/* From a configuration's text. */
static inline struct balancer *fake_balancer_new(const char *text)
{
    char path[] = "/tmp/weir-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    struct balancer *balancer = calloc(1, sizeof *balancer);
    struct config_errors errors = { 0 };
    int err = config_read(path, &balancer->snapshot, &errors);
    for (uint32_t n = 0; n < errors.count; n++)
        print_error("%s\n", errors.lines[n]);
    config_errors_free(&errors);
    unlink(path);
    assert_int_equal(err, 0);
    assert_int_equal(state_new(1, &balancer->state), 0);
    assert_int_equal(snapshot_bind(balancer->snapshot, &balancer->state, FAKE_WORKERS), 0);
    for (uint32_t n = 0; n < balancer->snapshot->listener_count; n++)
        balancer->snapshot->listeners[n].bound = balancer->snapshot->listeners[n].address;
    return balancer;
}

static inline void fake_balancer_free(struct balancer *balancer)
{
    snapshot_free(&balancer->snapshot);
    state_free(&balancer->state);
    free(balancer);
}

#endif
