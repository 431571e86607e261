/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>

#include "../../server/proxy/conn.h"
#include "../../server/proxy/walk.h"

/* A worker's list of connections without a worker; a walk's owner that writes down whom it has met. */

#define CONNS 100

struct walker {
    struct walk walk;
    struct worker worker;
    struct conn conns[CONNS];
    uint64_t met[2 * CONNS];
    uint32_t count, stop_at; /* 0: never */
    unsigned done, told, turns;
    struct weir_timer look; /* once a turn */
    void (*each_turn)(struct walker *walker);
};

static struct walker *current;

void worker_part_closed(struct worker *worker)
{
    assert_ptr_equal(worker, &current->worker);
    current->told++;
}

static bool visit(struct walk *walk, struct conn *conn)
{
    assert_ptr_equal(walk, &current->walk);
    current->met[current->count++] = conn->id;
    return current->count != current->stop_at;
}

static void done(struct walk *walk)
{
    assert_ptr_equal(walk, &current->walk);
    assert_null(current->worker.walks);
    current->done++;
}

static void add(struct walker *walker, struct conn *conn, uint64_t id)
{
    struct worker *worker = &walker->worker;
    conn->id = id;
    conn->next = worker->conns;
    conn->pprev = &worker->conns;
    if (worker->conns != NULL)
        worker->conns->pprev = &conn->next;
    worker->conns = conn;
}

static void leave(struct walker *walker, struct conn *conn)
{
    walk_pass_over(&walker->worker, conn);
    *conn->pprev = conn->next;
    if (conn->next != NULL)
        conn->next->pprev = conn->pprev;
}

/* The first one of a turn is the newest that the walk has not met. */
static void look(struct weir_timer *timer)
{
    struct walker *walker = current;
    (void)timer;
    walker->turns++;
    if (walker->done > 0) {
        weir_loop_stop(walker->worker.loop);
        return;
    }
    if (walker->each_turn != NULL)
        walker->each_turn(walker);
    weir_timer_set(walker->worker.loop, &walker->look, weir_loop_now(walker->worker.loop));
}

static int setup(void **state)
{
    struct walker *walker = calloc(1, sizeof *walker);
    walker->walk.visit = visit;
    walker->walk.done = done;
    walker->look.fire = look;
    *state = current = walker;
    return weir_loop_new(&(struct weir_loop_options){ .backend = WEIR_BACKEND_EPOLL }, &walker->worker.loop);
}

static int teardown(void **state)
{
    struct walker *walker = *state;
    weir_loop_free(&walker->worker.loop);
    free(walker);
    return 0;
}

static void fill(struct walker *walker, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++)
        add(walker, &walker->conns[n], n + 1);
}

static void run(struct walker *walker)
{
    weir_timer_set(walker->worker.loop, &walker->look, 0);
    walk_start(&walker->walk, &walker->worker);
    assert_int_equal(weir_loop_run(walker->worker.loop), 0);
    assert_int_equal(walker->done, 1);
    assert_int_equal(walker->told, 1);
}

static void nobody_is_visited_where_nobody_is(void **state)
{
    struct walker *walker = *state;
    walk_start(&walker->walk, &walker->worker);
    assert_int_equal(walker->done, 1);
    assert_int_equal(walker->count, 0);
}

static void all_are_visited_the_newest_first_a_few_in_a_turn(void **state)
{
    struct walker *walker = *state;
    fill(walker, CONNS);
    run(walker);
    assert_int_equal(walker->count, CONNS);
    for (uint32_t n = 0; n < CONNS; n++)
        assert_int_equal(walker->met[n], CONNS - n);
    assert_true(walker->turns >= CONNS / WALK_STEPS);
}

static void a_walk_ends_when_its_owner_has_seen_enough(void **state)
{
    struct walker *walker = *state;
    fill(walker, CONNS);
    walker->stop_at = WALK_STEPS + 1;
    run(walker);
    assert_int_equal(walker->count, WALK_STEPS + 1);
}

/* Whoever would be next goes, with the two behind. */
static void three_go(struct walker *walker)
{
    for (unsigned n = 0; n < 3 && walker->walk.next != NULL; n++) {
        struct conn *conn = walker->walk.next;
        leave(walker, conn);
        conn->id = 0;
    }
}

static void whoever_goes_meanwhile_is_passed_over(void **state)
{
    struct walker *walker = *state;
    fill(walker, CONNS);
    walker->each_turn = three_go;
    run(walker);
    uint32_t gone = 0, n = 0;
    for (uint32_t conn = CONNS; conn-- > 0;) {
        if (walker->conns[conn].id == 0)
            gone++;
        else
            assert_int_equal(walker->met[n++], conn + 1);
    }
    assert_true(gone > 0);
    assert_int_equal(walker->count, CONNS - gone);
}

static void one_comes(struct walker *walker)
{
    struct conn *conn = calloc(1, sizeof *conn);
    add(walker, conn, 1000 + walker->turns);
}

static void whoever_comes_meanwhile_is_not_visited(void **state)
{
    struct walker *walker = *state;
    fill(walker, CONNS);
    walker->each_turn = one_comes;
    run(walker);
    assert_int_equal(walker->count, CONNS);
    assert_int_equal(walker->met[0], CONNS);
    while (walker->worker.conns->id >= 1000) {
        struct conn *conn = walker->worker.conns;
        leave(walker, conn);
        free(conn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_is_visited_where_nobody_is, setup, teardown),
        cmocka_unit_test_setup_teardown(all_are_visited_the_newest_first_a_few_in_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_walk_ends_when_its_owner_has_seen_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_goes_meanwhile_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_comes_meanwhile_is_not_visited, setup, teardown),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
