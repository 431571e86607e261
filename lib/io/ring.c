/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <weir/errors.h>

/* Debian's liburing exports no call for some of these. */
static int ring_register(const struct ring *ring, unsigned operation, const void *argument, unsigned count)
{
    return syscall(SYS_io_uring_register, ring->uring.ring_fd, operation, argument, count) < 0 ? -errno : 0;
}

static const char *why_not(int errno_value)
{
    switch (errno_value) {
    case ENOSYS:
        return "the kernel has no io_uring";
    case EPERM:
    case EACCES:
        return "io_uring is forbidden here";
    case EINVAL:
        return "the kernel's io_uring is older than Linux 6.1";
    case EMFILE:
    case ENFILE:
        return "no file descriptor is left for io_uring";
    default:
        return "the kernel could not set up io_uring";
    }
}

static int failed(int errno_value, const char **ret_reason)
{
    *ret_reason = why_not(errno_value);
    return errno_value == EINVAL ? WEIR_ENOTSUP : weir_error_from_errno(errno_value);
}

/* Whatever else gains control of the process must not find an open door to the kernel's other operations here. */
static int restrict_ring(const struct ring *ring)
{
    static const uint8_t opcodes[] = {
        IORING_OP_POLL_ADD, IORING_OP_ACCEPT, IORING_OP_CONNECT,      IORING_OP_RECV,
        IORING_OP_SEND,     IORING_OP_CLOSE,  IORING_OP_ASYNC_CANCEL,
    };
    struct io_uring_restriction restrictions[sizeof opcodes + 1] = { 0 };
    for (unsigned i = 0; i < sizeof opcodes; i++) {
        restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
        restrictions[i].sqe_op = opcodes[i];
    }
    restrictions[sizeof opcodes].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    restrictions[sizeof opcodes].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    return ring_register(ring, IORING_REGISTER_RESTRICTIONS, restrictions, sizeof opcodes + 1);
}

static int register_buffers(struct ring *ring)
{
    size_t size = ring->buffer_count * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    ring->buffers = memory;
    io_uring_buf_ring_init(ring->buffers);
    struct io_uring_buf_reg registration = { .ring_addr = (uintptr_t)memory, .ring_entries = ring->buffer_count };
    return ring_register(ring, IORING_REGISTER_PBUF_RING, &registration, 1);
}

/* DEFER_TASKRUN came with Linux 6.1, after all else that is used: where it is accepted nothing is missing. */
int ring_open(struct ring *ring, uint32_t buffer_count, const char **ret_reason)
{
    struct io_uring_params params = {
        .flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
        .cq_entries = RING_COMPLETIONS,
    };
    ring->buffer_count = buffer_count;
    int err = io_uring_queue_init_params(RING_SUBMISSIONS, &ring->uring, &params);
    if (err != 0)
        return failed(-err, ret_reason);
    ring->open = true;
    err = register_buffers(ring);
    if (err == 0)
        err = restrict_ring(ring);
    return err == 0 ? 0 : failed(-err, ret_reason);
}

int ring_enable(struct ring *ring)
{
    if (ring->enabled)
        return 0;
    int err = ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (err != 0)
        return weir_error_from_errno(-err);
    ring->enabled = true;
    return 0;
}

void ring_close(struct ring *ring)
{
    if (ring->open)
        io_uring_queue_exit(&ring->uring);
    if (ring->buffers != NULL)
        munmap(ring->buffers, ring->buffer_count * sizeof(struct io_uring_buf));
    ring->open = false;
    ring->buffers = NULL;
}

void ring_give(struct ring *ring, void *data, uint32_t size, uint32_t index)
{
    int mask = (int)ring->buffer_count - 1;
    io_uring_buf_ring_add(ring->buffers, data, size, (unsigned short)index, mask, 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

/* The kernel takes less than all only when it is out of memory: there is nothing better to do than to ask again. */
struct io_uring_sqe *ring_submission(struct ring *ring)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring->uring)) == NULL) {
        if (ring_enable(ring) != 0 || io_uring_submit(&ring->uring) <= 0)
            sched_yield();
    }
    return sqe;
}
