/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

/* Timers and messages of the loop's own thread. */

#define TIMERS 8

struct clockwork {
    struct world world;
    struct weir_timer timers[TIMERS];
    uint64_t fired;
    unsigned order[TIMERS]; /* which one fired as the n-th */
    uint64_t times[TIMERS];
    bool again; /* the timer sets itself anew from within */
    struct weir_timer *victim;
};

static struct clockwork *clockwork; /* of the test that runs */

static void fire(struct weir_timer *timer)
{
    struct world *world = &clockwork->world;
    assert_true(weir_loop_now(world->loop) >= timer->deadline_ns);
    assert_false(timer->armed);
    clockwork->order[clockwork->fired % TIMERS] = (unsigned)(timer - clockwork->timers);
    clockwork->times[clockwork->fired++ % TIMERS] = weir_loop_now(world->loop);
    assert_true(clockwork->fired < 1000000);
    if (clockwork->again)
        weir_timer_set(world->loop, timer, 0);
    if (clockwork->victim != NULL)
        weir_timer_stop(world->loop, clockwork->victim);
    counted(world);
}

static void clockwork_open(struct clockwork *self)
{
    memset(self, 0, sizeof *self);
    clockwork = self;
    world_open(&self->world, NULL);
    for (unsigned i = 0; i < TIMERS; i++)
        self->timers[i].fire = fire;
}

static void set(struct clockwork *self, unsigned timer, uint64_t ms)
{
    weir_timer_set(self->world.loop, &self->timers[timer], weir_loop_now(self->world.loop) + ms * MS);
}

static void timers_fire_by_deadline_then_in_the_order_they_were_set(void **state)
{
    (void)state;
    static const unsigned expected[TIMERS] = { 5, 1, 3, 6, 0, 4, 7, 2 };
    static const uint64_t ms[TIMERS] = { 20, 10, 30, 10, 20, 5, 10, 20 };
    struct clockwork self;
    clockwork_open(&self);
    for (unsigned i = 0; i < TIMERS; i++)
        set(&self, i, ms[i]);
    uint64_t start = weir_loop_now(self.world.loop);
    run_until(&self.world, &self.fired, TIMERS);
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(self.order[i], expected[i]);
        assert_true(self.times[i] >= start + ms[expected[i]] * MS);
    }
    world_close(&self.world);
}

static void setting_again_moves_a_timer(void **state)
{
    (void)state;
    struct clockwork self;
    clockwork_open(&self);
    set(&self, 0, 5);
    set(&self, 1, 10);
    set(&self, 2, 30);
    set(&self, 0, 20); /* later */
    set(&self, 2, 1);  /* earlier */
    run_until(&self.world, &self.fired, 3);
    assert_int_equal(self.order[0], 2);
    assert_int_equal(self.order[1], 1);
    assert_int_equal(self.order[2], 0);
    run_for(&self.world, 30 * MS);
    assert_int_equal(self.fired, 3);
    world_close(&self.world);
}

static void a_stopped_timer_does_not_fire_even_when_due(void **state)
{
    (void)state;
    struct clockwork self;
    clockwork_open(&self);
    self.victim = &self.timers[1];
    set(&self, 0, 5);
    set(&self, 1, 5);
    set(&self, 2, 5);
    weir_timer_stop(self.world.loop, &self.timers[3]); /* not armed: nothing happens */
    run_until(&self.world, &self.fired, 2);
    assert_int_equal(self.order[0], 0);
    assert_int_equal(self.order[1], 2);
    run_for(&self.world, 10 * MS);
    assert_int_equal(self.fired, 2);
    world_close(&self.world);
}

/* A timer that is always due again must not keep a turn from ending. */
static void a_timer_may_set_itself_from_within(void **state)
{
    (void)state;
    struct clockwork self;
    struct end end;
    clockwork_open(&self);
    self.again = true;
    set(&self, 0, 0);
    run_until(&self.world, &self.fired, 10);
    end_init(&end, &self.world);
    quit(&end, WEIR_CLOSE_NORMAL);
    run_until(&self.world, &end.closes, 1);
    self.again = false;
    run_until(&self.world, &self.fired, self.fired + 1);
    world_close(&self.world);
}

static void the_clock_never_goes_back(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, NULL);
    uint64_t before = weir_loop_now(world.loop);
    for (unsigned i = 0; i < 10; i++) {
        run_for(&world, 1 * MS);
        assert_true(weir_loop_now(world.loop) >= before + 1 * MS);
        before = weir_loop_now(world.loop);
    }
    assert_true(weir_loop_wall(world.loop) > UINT64_C(1000000000) * 1000000000);
    world_close(&world);
}

struct letter {
    struct weir_message message;
    struct world *world;
    uint64_t number, *delivered;
    bool again;
};

static void deliver(struct weir_loop *loop, struct weir_message *message)
{
    struct letter *letter = (struct letter *)message;
    assert_ptr_equal(loop, letter->world->loop);
    assert_int_equal(letter->number, *letter->delivered);
    (*letter->delivered)++;
    if (letter->again) {
        letter->again = false;
        letter->number += 10;
        weir_loop_post(loop, message);
    }
    counted(letter->world);
}

static void messages_are_delivered_in_the_order_they_were_posted(void **state)
{
    (void)state;
    enum { LETTERS = 10 };
    struct letter letters[LETTERS];
    struct world world;
    uint64_t delivered = 0;
    world_open(&world, NULL);
    for (unsigned i = 0; i < LETTERS; i++) {
        letters[i] = (struct letter){ { .deliver = deliver }, &world, i, &delivered, true };
        weir_loop_post(world.loop, &letters[i].message);
    }
    assert_int_equal(delivered, 0);
    run_until(&world, &delivered, 2 * LETTERS); /* each was posted once more from within */
    world_close(&world);
}

int conformance_time(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_by_deadline_then_in_the_order_they_were_set),
        cmocka_unit_test(setting_again_moves_a_timer),
        cmocka_unit_test(a_stopped_timer_does_not_fire_even_when_due),
        cmocka_unit_test(a_timer_may_set_itself_from_within),
        cmocka_unit_test(the_clock_never_goes_back),
        cmocka_unit_test(messages_are_delivered_in_the_order_they_were_posted),
    };
    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
