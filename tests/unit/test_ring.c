/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../../lib/io/ring.h"

/* What the io_uring backend's ring allows and what not. Skipped where there is no io_uring. */

#define BUFFERS 16

static int open_ring(void **state)
{
    static struct ring ring;
    const char *reason = NULL;
    memset(&ring, 0, sizeof ring);
    *state = ring_open(&ring, BUFFERS, &reason) == 0 ? &ring : NULL;
    if (*state == NULL) {
        print_message("no io_uring: %s\n", reason);
        ring_close(&ring);
    }
    return 0;
}

static int close_ring(void **state)
{
    if (*state != NULL)
        ring_close(*state);
    return 0;
}

static struct ring *enabled_ring(void **state)
{
    struct ring *ring = *state;
    if (ring == NULL)
        skip();
    assert_int_equal(ring_enable(ring), 0);
    assert_int_equal(ring_enable(ring), 0);
    return ring;
}

static int result_of_queued(struct ring *ring)
{
    struct io_uring_cqe *cqe;
    assert_int_equal(io_uring_submit_and_wait(&ring->uring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(&ring->uring, &cqe), 0);
    int result = cqe->res;
    io_uring_cqe_seen(&ring->uring, cqe);
    return result;
}

static void every_operation_that_is_not_used_is_denied(void **state)
{
    struct ring *ring = enabled_ring(state);
    static const uint8_t used[] = {
        IORING_OP_POLL_ADD, IORING_OP_ACCEPT, IORING_OP_CONNECT,      IORING_OP_RECV,
        IORING_OP_SEND,     IORING_OP_CLOSE,  IORING_OP_ASYNC_CANCEL,
    };
    for (unsigned opcode = 0; opcode < IORING_OP_LAST; opcode++) {
        struct io_uring_sqe *sqe = ring_submission(ring);
        io_uring_prep_nop(sqe);
        sqe->opcode = (uint8_t)opcode;
        sqe->fd = -1;
        int result = result_of_queued(ring);
        if (memchr(used, (int)opcode, sizeof used) != NULL)
            assert_int_not_equal(result, -EACCES);
        else
            assert_int_equal(result, -EACCES);
    }
}

static void flags_of_submissions_that_are_not_used_are_denied(void **state)
{
    struct ring *ring = enabled_ring(state);
    static const uint8_t flags[] = { IOSQE_IO_LINK, IOSQE_IO_DRAIN, IOSQE_ASYNC, IOSQE_FIXED_FILE, IOSQE_IO_HARDLINK };
    for (unsigned i = 0; i < sizeof flags; i++) {
        struct io_uring_sqe *sqe = ring_submission(ring);
        io_uring_prep_close(sqe, -1);
        sqe->flags = flags[i];
        assert_int_equal(result_of_queued(ring), -EACCES);
    }
}

static void nothing_can_be_registered_any_more(void **state)
{
    struct ring *ring = enabled_ring(state);
    int fd = 0;
    long err = syscall(SYS_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_FILES, &fd, 1);
    assert_int_equal(err, -1);
    assert_int_equal(errno, EACCES);
    err = syscall(SYS_io_uring_register, ring->uring.ring_fd, IORING_UNREGISTER_PBUF_RING, &fd, 1);
    assert_int_equal(err, -1);
    assert_int_equal(errno, EACCES);
}

static void more_submissions_than_places_are_all_submitted(void **state)
{
    enum { MANY = 3 * RING_SUBMISSIONS };
    struct ring *ring = *state;
    if (ring == NULL)
        skip();
    for (unsigned i = 0; i < MANY; i++) /* the queue is full before the ring has been enabled */
        io_uring_prep_close(ring_submission(ring), -1);
    assert_true(io_uring_submit(&ring->uring) >= 0);
    assert_int_equal(io_uring_cq_ready(&ring->uring), MANY);
}

static void received_bytes_land_in_a_buffer_that_was_given(void **state)
{
    struct ring *ring = enabled_ring(state);
    int pair[2];
    uint8_t buffer[64];
    struct io_uring_cqe *cqe;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ring_give(ring, buffer, sizeof buffer, 5);
    assert_int_equal(write(pair[0], "hello", 5), 5);
    struct io_uring_sqe *sqe = ring_submission(ring);
    io_uring_prep_recv(sqe, pair[1], NULL, 0, 0);
    sqe->flags = IOSQE_BUFFER_SELECT;
    assert_int_equal(io_uring_submit_and_wait(&ring->uring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(&ring->uring, &cqe), 0);
    assert_int_equal(cqe->res, 5);
    assert_int_equal(cqe->flags >> IORING_CQE_BUFFER_SHIFT, 5);
    assert_memory_equal(buffer, "hello", 5);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_operation_that_is_not_used_is_denied, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(flags_of_submissions_that_are_not_used_are_denied, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(nothing_can_be_registered_any_more, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(more_submissions_than_places_are_all_submitted, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(received_bytes_land_in_a_buffer_that_was_given, open_ring, close_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
