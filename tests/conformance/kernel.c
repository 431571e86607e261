/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* What only real backends can show: threads, descriptors, processor time, urgent data. */

#define LETTERS 20000
#define SENDERS 4

struct sender {
    pthread_t thread;
    struct world *world;
    struct letter *letters;
    uint64_t delivered;
};

struct letter {
    struct weir_message message;
    struct sender *sender;
    uint64_t number;
};

static uint64_t all_delivered; /* on the loop's thread */

static void deliver(struct weir_loop *loop, struct weir_message *message)
{
    struct letter *letter = (struct letter *)message;
    assert_ptr_equal(loop, letter->sender->world->loop);
    assert_int_equal(letter->number, letter->sender->delivered);
    letter->sender->delivered++;
    all_delivered++;
    counted(letter->sender->world);
}

static void *post_all(void *argument)
{
    struct sender *sender = argument;
    for (uint64_t i = 0; i < LETTERS; i++) {
        sender->letters[i] = (struct letter){ { .deliver = deliver }, sender, i };
        weir_loop_post(sender->world->loop, &sender->letters[i].message);
        if (i % 64 == 0) /* lets the loop fall asleep now and then */
            nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    }
    return NULL;
}

static void messages_from_other_threads_all_arrive_in_order(void **state)
{
    (void)state;
    struct world world;
    struct sender senders[SENDERS] = { 0 };
    all_delivered = 0;
    world_open(&world, NULL);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].world = &world;
        senders[i].letters = calloc(LETTERS, sizeof(struct letter));
        assert_non_null(senders[i].letters);
        assert_int_equal(pthread_create(&senders[i].thread, NULL, post_all, &senders[i]), 0);
    }
    run_until(&world, &all_delivered, (uint64_t)SENDERS * LETTERS);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_int_equal(senders[i].delivered, LETTERS);
        free(senders[i].letters);
    }
    world_close(&world);
}

struct runner {
    struct world world;
    struct weir_message stop;
};

static void stop_loop(struct weir_loop *loop, struct weir_message *message)
{
    (void)message;
    weir_loop_stop(loop);
}

static void *run_loop(void *argument)
{
    struct runner *runner = argument;
    return (void *)(intptr_t)weir_loop_run(runner->world.loop);
}

/* Another thread than the one that made the loop runs it, with work that was submitted before. */
static void a_loop_may_run_in_another_thread_than_its_makers(void **state)
{
    (void)state;
    struct runner runner;
    struct end client;
    pthread_t thread;
    void *result;
    memset(&runner, 0, sizeof runner);
    runner.world.loop = conformance_backend->loop_new(NULL);
    runner.stop.deliver = stop_loop;
    end_init(&client, &runner.world);
    quit(&client, WEIR_CLOSE_NORMAL);
    assert_int_equal(pthread_create(&thread, NULL, run_loop, &runner), 0);
    while (weir_loop_busy_ns(runner.world.loop) == 0)
        sched_yield();
    weir_loop_post(runner.world.loop, &runner.stop);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    assert_int_equal(client.closes, 1);
    assert_true(weir_loop_busy_ns(runner.world.loop) > 0);
    weir_loop_free(&runner.world.loop);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* Everything that can lie in wait is armed, and nothing happens. */
static void waiting_costs_no_processor_time(void **state)
{
    (void)state;
    struct world world;
    struct end client, server, resting, resting_server;
    world_open(&world, &(struct weir_loop_options){ .buffers = 16, .buffer_bytes = 1024 });
    pair_up(&world, &client, &server);
    pair_up(&world, &resting, &resting_server);
    weir_recv(&client.socket);
    weir_watch(&client.socket);
    fill_up(&client);
    send_text(&client, "waits", WEIR_SEND_WAIT);
    server.keeps = true; /* reaches its bound */
    weir_recv(&server.socket);
    weir_watch(&resting_server.socket);
    weir_shutdown(&resting.socket);
    stream(&resting_server, 1000);
    run_for(&world, 50 * MS);
    uint64_t before = cpu_ns();
    run_for(&world, 500 * MS);
    assert_true(cpu_ns() - before < 10 * MS);
    close_pair(&client, &server);
    close_pair(&resting, &resting_server);
    world_close(&world);
}

/* Descriptors */

static struct rlimit limit_descriptors(void)
{
    struct rlimit before, now;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static void without_descriptors_accepting_ends_and_can_start_again(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    weir_accept_stop(&world.acceptor);
    run_until(&world, &world.accept_ends, 1);
    end_init(&client, &world);
    end_init(&server, &world);
    expect_end(&server);
    weir_connect(&client.socket, &world.address, 0);
    run_until(&world, &client.connects, 1);
    struct rlimit before = limit_descriptors();
    for (unsigned i = 2; i < 5; i++) {
        weir_accept(&world.acceptor);
        run_until(&world, &world.accept_ends, i);
        assert_int_equal(world.accept_status, WEIR_EMFILE);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    weir_accept(&world.acceptor);
    run_until(&world, &world.accepted, 1);
    close_pair(&client, &server);
    world_close(&world);
}

static void without_descriptors_a_connect_completes_with_that(void **state)
{
    (void)state;
    struct world world;
    struct end client, closing, server;
    world_open(&world, NULL);
    run_for(&world, 2 * MS); /* let the acceptor wait for a connection */
    struct rlimit before = limit_descriptors();
    end_init(&client, &world);
    weir_connect(&client.socket, &world.address, 0);
    assert_int_equal(client.connects, 0);
    run_until(&world, &client.connects, 1);
    assert_int_equal(client.connect_status, WEIR_EMFILE);
    close_end(&client, WEIR_CLOSE_RESET);
    assert_string_equal(client.log, "CX");
    end_init(&closing, &world);
    weir_connect(&closing.socket, &world.address, 0);
    close_end(&closing, WEIR_CLOSE_NORMAL);
    assert_string_equal(closing.log, "CX");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    pair_up(&world, &client, &server);
    close_pair(&client, &server);
    world_close(&world);
}

static unsigned pairs_possible(unsigned wanted)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t free = limit.rlim_cur > 64 ? limit.rlim_cur - 64 : 0;
    return free / 2 < wanted ? (unsigned)(free / 2) : wanted;
}

static void open_all(struct world *world, struct end *ends, unsigned pairs)
{
    for (unsigned i = 0; i < 2 * pairs; i++)
        end_init(&ends[i], world);
    for (unsigned i = 0; i < pairs; i++) {
        expect_end(&ends[pairs + i]);
        weir_connect(&ends[i].socket, &world->address, 0);
        if (i % 500 == 499) /* no more than the listener's queue holds */
            run_until(world, &world->accepted, i + 1);
    }
    for (unsigned i = 0; i < pairs; i++) {
        run_until(world, &ends[i].connects, 1);
        assert_int_equal(ends[i].connect_status, 0);
    }
    run_until(world, &world->accepted, pairs);
}

/* More operations at once than any of a backend's queues holds; then all of them are cancelled by closing. */
static void thousands_of_operations_are_in_flight(void **state)
{
    (void)state;
    unsigned pairs = pairs_possible(4000);
    struct world world;
    struct end *ends = calloc(2 * pairs, sizeof *ends);
    assert_non_null(ends);
    world_open(&world, NULL);
    open_all(&world, ends, pairs);
    for (unsigned i = 0; i < 2 * pairs; i++) {
        ends[i].echoes = i >= pairs;
        weir_recv(&ends[i].socket);
        weir_watch(&ends[i].socket);
    }
    for (unsigned i = 0; i < pairs; i++)
        stream(&ends[i], 64);
    for (unsigned i = 0; i < pairs; i++) {
        run_until(&world, &ends[i].bytes_in, 64);
        assert_false(ends[i].wrong_bytes);
    }
    for (unsigned i = 0; i < 2 * pairs; i++)
        quit(&ends[i], i % 2 == 0 ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
    for (unsigned i = 0; i < 2 * pairs; i++) {
        run_until(&world, &ends[i].closes, 1);
        assert_int_equal(ends[i].recv_ends, 1);
        assert_int_equal(ends[i].watch_ends, 1);
        assert_int_equal(ends[i].recv_status, WEIR_ECANCELED);
    }
    free(ends);
    world_close(&world);
}

/* A receive stops short at the urgent mark: what stands behind it must not be forgotten. */
static void bytes_behind_urgent_data_arrive_too(void **state)
{
    (void)state;
    struct world world;
    struct end client, server;
    world_open(&world, NULL);
    pair_up(&world, &client, &server);
    weir_recv(&server.socket);
    run_for(&world, 2 * MS);
    assert_int_equal(send(client.socket.fd, "before", 6, 0), 6);
    assert_int_equal(send(client.socket.fd, "!", 1, MSG_OOB), 1);
    assert_int_equal(send(client.socket.fd, "behind", 6, 0), 6);
    run_until(&world, &server.bytes_in, 12);
    close_pair(&client, &server);
    world_close(&world);
}

int conformance_kernel(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_from_other_threads_all_arrive_in_order),
        cmocka_unit_test(a_loop_may_run_in_another_thread_than_its_makers),
        cmocka_unit_test(waiting_costs_no_processor_time),
        cmocka_unit_test(without_descriptors_accepting_ends_and_can_start_again),
        cmocka_unit_test(without_descriptors_a_connect_completes_with_that),
        cmocka_unit_test(thousands_of_operations_are_in_flight),
        cmocka_unit_test(bytes_behind_urgent_data_arrive_too),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
