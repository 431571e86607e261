/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <weir/errors.h>
#include <weir/loop.h>

/* Which backend a loop gets. A filter concerns one thread alone: each test has one of its own. */

struct attempt {
    unsigned denied; /* number of a system call */
    int denied_with; /* errno */
    enum weir_backend backend;
    int status;
    char name[16], reason[128];
    bool filtered;
};

static bool deny(unsigned call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = sizeof code / sizeof code[0], .filter = code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void *make_loop(void *argument)
{
    struct attempt *attempt = argument;
    struct weir_loop *loop = NULL;
    attempt->filtered = deny(attempt->denied, attempt->denied_with);
    attempt->status = weir_loop_new(&(struct weir_loop_options){ .backend = attempt->backend }, &loop);
    if (attempt->status != 0)
        return loop;
    const char *reason = weir_loop_fallback_reason(loop);
    strncpy(attempt->name, weir_loop_backend_name(loop), sizeof attempt->name - 1);
    strncpy(attempt->reason, reason != NULL ? reason : "", sizeof attempt->reason - 1);
    weir_loop_free(&loop);
    return loop;
}

static void try(struct attempt *attempt)
{
    pthread_t thread;
    void *left;
    assert_int_equal(pthread_create(&thread, NULL, make_loop, attempt), 0);
    assert_int_equal(pthread_join(thread, &left), 0);
    assert_null(left);
    if (!attempt->filtered)
        skip();
}

static void auto_falls_back_where_io_uring_is_forbidden(void **state)
{
    (void)state;
    struct attempt attempt = { .denied = SYS_io_uring_setup, .denied_with = EPERM };
    try(&attempt);
    assert_int_equal(attempt.status, 0);
    assert_string_equal(attempt.name, "epoll");
    assert_string_equal(attempt.reason, "io_uring is forbidden here");
}

static void auto_falls_back_where_there_is_no_io_uring(void **state)
{
    (void)state;
    struct attempt attempt = { .denied = SYS_io_uring_setup, .denied_with = ENOSYS };
    try(&attempt);
    assert_int_equal(attempt.status, 0);
    assert_string_equal(attempt.name, "epoll");
    assert_string_equal(attempt.reason, "the kernel has no io_uring");
}

static void auto_falls_back_where_the_kernel_is_too_old(void **state)
{
    (void)state;
    struct attempt attempt = { .denied = SYS_io_uring_setup, .denied_with = EINVAL };
    try(&attempt);
    assert_int_equal(attempt.status, 0);
    assert_string_equal(attempt.name, "epoll");
    assert_string_equal(attempt.reason, "the kernel's io_uring is older than Linux 6.1");
}

static void auto_falls_back_where_the_ring_cannot_be_restricted(void **state)
{
    (void)state;
    struct attempt attempt = { .denied = SYS_io_uring_register, .denied_with = EPERM };
    try(&attempt);
    assert_int_equal(attempt.status, 0);
    assert_string_equal(attempt.name, "epoll");
    assert_true(attempt.reason[0] != '\0');
}

static void io_uring_asked_for_by_name_fails_rather_than_falling_back(void **state)
{
    (void)state;
    struct attempt attempt = { .denied = SYS_io_uring_setup, .denied_with = EPERM, .backend = WEIR_BACKEND_IO_URING };
    try(&attempt);
    assert_int_equal(attempt.status, WEIR_EACCES);
    attempt.denied_with = ENOSYS;
    try(&attempt);
    assert_int_equal(attempt.status, WEIR_ENOTSUP);
}

static void epoll_asked_for_by_name_is_no_fallback(void **state)
{
    (void)state;
    struct weir_loop *loop = NULL;
    assert_int_equal(weir_loop_new(&(struct weir_loop_options){ .backend = WEIR_BACKEND_EPOLL }, &loop), 0);
    assert_string_equal(weir_loop_backend_name(loop), "epoll");
    assert_null(weir_loop_fallback_reason(loop));
    weir_loop_free(&loop);
    assert_null(loop);
    weir_loop_free(&loop);
}

/* An older kernel lacks the precise wait: timers then fire a little late, but never early. */
struct run {
    struct weir_timer timer;
    struct weir_loop *loop;
    uint64_t start, end;
    bool filtered;
};

static void stop(struct weir_timer *timer)
{
    struct run *run = (struct run *)timer;
    run->end = weir_loop_now(run->loop);
    weir_loop_stop(run->loop);
}

static void *run_loop(void *argument)
{
    struct run *run = argument;
    run->filtered = deny(SYS_epoll_pwait2, ENOSYS);
    run->timer.fire = stop;
    if (weir_loop_new(&(struct weir_loop_options){ .backend = WEIR_BACKEND_EPOLL }, &run->loop) != 0)
        return NULL;
    run->start = weir_loop_now(run->loop);
    weir_timer_set(run->loop, &run->timer, run->start + 3500000);
    int err = weir_loop_run(run->loop);
    weir_loop_free(&run->loop);
    return err == 0 ? run : NULL;
}

static void epoll_waits_without_its_newest_call(void **state)
{
    (void)state;
    struct run run = { 0 };
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, &run), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &run);
    assert_true(run.end >= run.start + 3500000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_falls_back_where_io_uring_is_forbidden),
        cmocka_unit_test(auto_falls_back_where_there_is_no_io_uring),
        cmocka_unit_test(auto_falls_back_where_the_kernel_is_too_old),
        cmocka_unit_test(auto_falls_back_where_the_ring_cannot_be_restricted),
        cmocka_unit_test(io_uring_asked_for_by_name_fails_rather_than_falling_back),
        cmocka_unit_test(epoll_asked_for_by_name_is_no_fallback),
        cmocka_unit_test(epoll_waits_without_its_newest_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
