/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#define GUARD_NS (60 * 1000 * MS)
#define PATTERN_BYTES 65521u /* prime: no buffer size divides it */
#define CHUNK_BYTES (256u << 10)

/* The pattern stands there often enough for a chunk from any start. */
static uint8_t pattern[PATTERN_BYTES + CHUNK_BYTES];

static void make_pattern(void)
{
    uint64_t random = 1;
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        pattern[i] = (uint8_t)test_random(&random);
    for (uint32_t i = PATTERN_BYTES; i < sizeof pattern; i++)
        pattern[i] = pattern[i - PATTERN_BYTES];
}

void counted(struct world *world)
{
    if (world->awaited != NULL && *world->awaited >= world->target)
        weir_loop_stop(world->loop);
}

static void note(struct end *end, char letter)
{
    size_t length = strlen(end->log);
    if (length < LOG_MAX)
        end->log[length] = letter;
    assert_int_equal(end->closes, letter == 'X' ? 1 : 0);
}

/* Completions */

static void connected(struct weir_socket *socket, int status)
{
    struct end *end = socket->owner;
    end->connects++;
    end->connect_status = status;
    note(end, 'C');
    counted(end->world);
}

static void send_back(struct end *end)
{
    if (end->kept != NULL)
        weir_send(&end->socket, end->kept->data + end->echoed, end->kept->size - end->echoed, WEIR_SEND_WAIT);
}

static void take_loan(struct end *end, struct weir_loan *loan)
{
    const uint8_t *right = pattern + end->bytes_in % PATTERN_BYTES;
    if (memcmp(loan->data, right, loan->size) != 0)
        end->wrong_bytes = true;
    end->bytes_in += loan->size;
    end->receipts++;
    if (!end->keeps && !end->echoes) {
        weir_loan_return(end->world->loop, loan);
        return;
    }
    loan->next = NULL;
    *end->last_kept = loan;
    end->last_kept = &loan->next;
    end->kept_count++;
    if (end->echoes && end->kept_count == 1)
        send_back(end);
}

static void received(struct weir_socket *socket, int status, struct weir_loan *loan)
{
    struct end *end = socket->owner;
    if (status > 0) {
        assert_int_equal(loan->size, status);
        assert_false(end->quits);
        note(end, 'R');
        take_loan(end, loan);
    } else {
        assert_null(loan);
        end->recv_ends++;
        end->recv_status = status;
        note(end, 'r');
    }
    if (end->on_received != NULL)
        end->on_received(end);
    counted(end->world);
}

static void stream_on(struct end *end)
{
    uint32_t size = end->stream_left < CHUNK_BYTES ? (uint32_t)end->stream_left : CHUNK_BYTES;
    if (size > 0)
        weir_send(&end->socket, pattern + end->bytes_out % PATTERN_BYTES, size, WEIR_SEND_WAIT);
    else if (end->shut_after)
        weir_shutdown(&end->socket);
}

static void echoed(struct end *end, uint32_t size)
{
    end->echoed += size;
    if (end->echoed == end->kept->size)
        give_back_one(end);
    send_back(end);
}

static void sent(struct weir_socket *socket, int status)
{
    struct end *end = socket->owner;
    end->sends++;
    end->send_status = status;
    end->bytes_out += status > 0 ? (uint64_t)status : 0;
    note(end, 'S');
    if (status > 0 && end->stream_left > 0 && !end->quits) {
        end->stream_left -= (uint64_t)status;
        stream_on(end);
    }
    if (end->echoes && status > 0 && !end->quits)
        echoed(end, (uint32_t)status);
    if (end->on_sent != NULL)
        end->on_sent(end);
    counted(end->world);
}

static void spliced(struct weir_socket *socket, int status)
{
    struct end *end = socket->owner;
    end->splices++;
    end->splice_status = status;
    note(end, 'P');
    if (end->on_spliced != NULL)
        end->on_spliced(end);
    counted(end->world);
}

static void noticed(struct weir_socket *socket, int status)
{
    struct end *end = socket->owner;
    if (status < 0) {
        end->watch_ends++;
        end->watch_status = status;
        note(end, 'w');
    } else if (status == WEIR_WATCH_RESET) {
        end->resets++;
        note(end, 'b');
    } else {
        assert_int_equal(status, WEIR_WATCH_HALF_CLOSED);
        end->half_closes++;
        note(end, 'h');
    }
    counted(end->world);
}

static void closed(struct weir_socket *socket)
{
    struct end *end = socket->owner;
    struct world *world = end->world;
    end->closes++;
    note(end, 'X');
    if (end->on_closed != NULL)
        end->on_closed(end); /* may free it */
    counted(world);
}

static const struct weir_socket_events events = {
    .connected = connected,
    .received = received,
    .spliced = spliced,
    .sent = sent,
    .noticed = noticed,
    .closed = closed,
};

/* Ends */

void end_init(struct end *end, struct world *world)
{
    memset(end, 0, sizeof *end);
    end->world = world;
    end->last_kept = &end->kept;
    end->socket.owner = end;
    weir_socket_init(&end->socket, world->loop, &events);
}

void expect_end(struct end *end)
{
    struct end **last = &end->world->expected;
    while (*last != NULL)
        last = &(*last)->next_expected;
    *last = end;
}

void pair_up(struct world *world, struct end *client, struct end *server)
{
    uint64_t accepted = world->accepted;
    end_init(client, world);
    end_init(server, world);
    expect_end(server);
    weir_connect(&client->socket, &world->address, 0);
    run_until(world, &client->connects, 1);
    assert_int_equal(client->connect_status, 0);
    run_until(world, &world->accepted, accepted + 1);
    client->log[0] = '\0';
}

void quit(struct end *end, enum weir_close_mode mode)
{
    end->quits = true;
    weir_close(&end->socket, mode);
}

void close_end(struct end *end, enum weir_close_mode mode)
{
    quit(end, mode);
    run_until(end->world, &end->closes, 1);
}

void close_pair(struct end *client, struct end *server)
{
    give_back_all(client);
    give_back_all(server);
    close_end(client, WEIR_CLOSE_NORMAL);
    close_end(server, WEIR_CLOSE_NORMAL);
}

void give_back_one(struct end *end)
{
    struct weir_loan *loan = end->kept;
    end->kept = loan->next;
    if (end->kept == NULL)
        end->last_kept = &end->kept;
    end->kept_count--;
    end->echoed = 0;
    weir_loan_return(end->world->loop, loan);
}

void give_back_all(struct end *end)
{
    while (end->kept != NULL)
        give_back_one(end);
}

void stream(struct end *end, uint64_t bytes)
{
    end->stream_left = bytes;
    stream_on(end);
}

void stream_some(struct end *end, uint32_t bytes, enum weir_send_mode mode)
{
    assert_true(bytes <= CHUNK_BYTES);
    weir_send(&end->socket, pattern + end->bytes_out % PATTERN_BYTES, bytes, mode);
}

void send_text(struct end *end, const char *text, enum weir_send_mode mode)
{
    weir_send(&end->socket, text, (uint32_t)strlen(text), mode);
}

static uint64_t fill_for_now(struct end *end)
{
    uint64_t before = end->bytes_out, sends = end->sends;
    do {
        stream_some(end, CHUNK_BYTES, WEIR_SEND_NOW);
        run_until(end->world, &end->sends, ++sends);
    } while (end->send_status > 0);
    assert_int_equal(end->send_status, WEIR_EAGAIN);
    return end->bytes_out - before;
}

/* What is on its way may make room again. */
uint64_t fill_up(struct end *end)
{
    uint64_t filled = 0, more;
    while ((more = fill_for_now(end)) > 0) {
        filled += more;
        run_for(end->world, 2 * MS);
    }
    return filled;
}

/* The world */

static void accepted(struct weir_acceptor *acceptor, int status, int fd)
{
    struct world *world = (struct world *)((char *)acceptor - offsetof(struct world, acceptor));
    struct end *end = world->expected;
    if (status < 0) {
        world->accept_ends++;
        world->accept_status = status;
    } else if (end != NULL) {
        world->expected = end->next_expected;
        end->next_expected = NULL;
        world->accepted++;
        weir_socket_adopt(&end->socket, fd);
    } else {
        world->surplus++;
        weir_fd_discard(world->loop, fd);
    }
    counted(world);
}

static void acceptor_closed(struct weir_acceptor *acceptor)
{
    struct world *world = (struct world *)((char *)acceptor - offsetof(struct world, acceptor));
    world->acceptor_closed++;
    counted(world);
}

static void took_too_long(struct weir_timer *timer)
{
    (void)timer;
    fail_msg("what was awaited did not happen");
}

static void pause_over(struct weir_timer *timer)
{
    struct world *world = (struct world *)((char *)timer - offsetof(struct world, pause));
    world->paused++;
    counted(world);
}

void world_open(struct world *world, const struct weir_loop_options *options)
{
    if (pattern[PATTERN_BYTES] == 0)
        make_pattern();
    memset(world, 0, sizeof *world);
    world->guard.fire = took_too_long;
    world->pause.fire = pause_over;
    world->loop = conformance_backend->loop_new(options);
    int fd = conformance_backend->listen(world->loop, &world->address);
    world->acceptor.accepted = accepted;
    world->acceptor.closed = acceptor_closed;
    weir_acceptor_init(&world->acceptor, world->loop, fd);
    weir_accept(&world->acceptor);
}

void world_close(struct world *world)
{
    if (world->acceptor_closed == 0) {
        weir_acceptor_close(&world->acceptor);
        run_until(world, &world->acceptor_closed, 1);
    }
    run_for(world, 1 * MS);
    assert_int_equal(world->acceptor_closed, 1);
    weir_loop_free(&world->loop);
    assert_null(world->loop);
    conformance_backend->network_end();
}

void run_until(struct world *world, const uint64_t *counter, uint64_t target)
{
    if (*counter >= target)
        return;
    world->awaited = counter;
    world->target = target;
    weir_timer_set(world->loop, &world->guard, weir_loop_now(world->loop) + GUARD_NS);
    assert_int_equal(weir_loop_run(world->loop), 0);
    weir_timer_stop(world->loop, &world->guard);
    world->awaited = NULL;
    assert_true(*counter >= target);
}

void run_for(struct world *world, uint64_t ns)
{
    weir_timer_set(world->loop, &world->pause, weir_loop_now(world->loop) + ns);
    run_until(world, &world->paused, world->paused + 1);
}
