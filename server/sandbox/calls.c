/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a call may be asked: an argument, some of its bits, and what they must be. Rules for the same call are
 * alternatives; the tests of one rule hold together. */
struct test {
    unsigned argument;
    uint64_t bits, value;
};
#define WHOLE UINT32_MAX
#define TESTS_MAX 2

struct rule {
    int call;
    struct test tests[TESTS_MAX]; /* one with no bits: none */
};

/* With any arguments: on descriptors that are open, on the process's own memory and threads, and questions. */
static const int plain_calls[] = {
    /* sockets, and their descriptors */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(bind),
    SCMP_SYS(close),
    SCMP_SYS(connect),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(listen),
    SCMP_SYS(pipe2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(splice),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    /* questions about files; what can be opened is Landlock's business */
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(getcwd),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(pread64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    /* threads, time, signals */
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(uname),
    /* who am I */
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(getresuid),
};

#define SOCKET_KIND ((uint64_t)(WHOLE & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)))
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define NAMESPACE_FLAGS                                                                                                \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define OPEN_TO_CHANGE (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct rule rules[] = {
    /* TCP, and no other kind of socket */
    { SCMP_SYS(socket), { { 0, WHOLE, AF_INET }, { 1, SOCKET_KIND, SOCK_STREAM } } },
    { SCMP_SYS(socket), { { 0, WHOLE, AF_INET6 }, { 1, SOCKET_KIND, SOCK_STREAM } } },
    { SCMP_SYS(setsockopt), { { 1, WHOLE, SOL_SOCKET } } },
    { SCMP_SYS(setsockopt), { { 1, WHOLE, IPPROTO_TCP } } },
    { SCMP_SYS(setsockopt), { { 1, WHOLE, IPPROTO_IPV6 } } },
    { SCMP_SYS(ioctl), { { 1, WHOLE, SIOCOUTQ } } },
    { SCMP_SYS(ioctl), { { 1, WHOLE, FIONREAD } } },
    { SCMP_SYS(ioctl), { { 1, WHOLE, FIONBIO } } },
    { SCMP_SYS(ioctl), { { 1, WHOLE, TCGETS } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_GETFL } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_SETFL } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_GETFD } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_SETFD } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_GETPIPE_SZ } } },
    { SCMP_SYS(fcntl), { { 1, WHOLE, F_SETPIPE_SZ } } },
    /* reading files */
    { SCMP_SYS(open), { { 1, OPEN_TO_CHANGE, O_RDONLY } } },
    { SCMP_SYS(openat), { { 2, OPEN_TO_CHANGE, O_RDONLY } } },
    /* memory that is not code */
    { SCMP_SYS(mmap), { { 2, PROT_EXEC, 0 } } },
    { SCMP_SYS(mprotect), { { 2, PROT_EXEC, 0 } } },
    /* threads, not processes */
    { SCMP_SYS(clone), { { 0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS } } },
    { SCMP_SYS(prctl), { { 0, WHOLE, PR_SET_NAME } } },
    { SCMP_SYS(setpriority), { { 0, WHOLE, PRIO_PROCESS } } },
    /* limits are looked at, not changed */
    { SCMP_SYS(prlimit64), { { 2, UINT64_MAX, 0 } } },
};

/* io_uring_register is for the moment in which a worker enables its ring: after that the ring itself refuses it. */
static const struct rule ring_rules[] = {
    { SCMP_SYS(io_uring_enter), { { 0, 0, 0 } } },
    { SCMP_SYS(io_uring_register), { { 1, WHOLE, IORING_REGISTER_ENABLE_RINGS } } },
};

static const struct rule removal_rules[] = {
    { SCMP_SYS(unlink), { { 0, 0, 0 } } },
    { SCMP_SYS(unlinkat), { { 2, WHOLE, 0 } } },
};

/* Nothing in this program, nor in what it is built on, ever does this once it serves. Other calls that are not listed
 * only fail, since a library may try a new one and know another way. */
static const int deadly_calls[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(mount),
    SCMP_SYS(chroot),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(pivot_root),
    SCMP_SYS(kexec_load),
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int add_rules(scmp_filter_ctx filter, const struct rule *list, size_t count)
{
    int err = 0;
    for (size_t n = 0; err == 0 && n < count; n++) {
        struct scmp_arg_cmp compare[TESTS_MAX];
        unsigned tests = 0;
        for (unsigned i = 0; i < TESTS_MAX && list[n].tests[i].bits != 0; i++) {
            const struct test *test = &list[n].tests[i];
            compare[tests++] = (struct scmp_arg_cmp){ test->argument, SCMP_CMP_MASKED_EQ, test->bits, test->value };
        }
        err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, list[n].call, tests, compare);
    }
    return err;
}

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    int err = 0;
    for (size_t n = 0; err == 0 && n < count; n++)
        err = seccomp_rule_add_array(filter, action, calls[n], 0, NULL);
    return err;
}

/* pthread_create() asks by clone3, whose flags lie in memory that a filter cannot see; told that there is none, it
 * takes clone. A process sends signals to itself: when it aborts, or to wake a thread. */
static int add_special(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp to_itself = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (err == 0)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, to_itself);
    return err != 0 ? err : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, to_itself);
}

static int fill(scmp_filter_ctx filter, bool io_uring, bool remove_files)
{
    int err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (err == 0)
        err = add_calls(filter, SCMP_ACT_ALLOW, plain_calls, COUNT(plain_calls));
    if (err == 0)
        err = add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, COUNT(deadly_calls));
    if (err == 0)
        err = add_rules(filter, rules, COUNT(rules));
    if (err == 0 && io_uring)
        err = add_rules(filter, ring_rules, COUNT(ring_rules));
    if (err == 0 && remove_files)
        err = add_rules(filter, removal_rules, COUNT(removal_rules));
    return err == 0 ? add_special(filter) : err;
}

int calls_confine(bool io_uring, bool remove_files)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return -ENOMEM;
    int err = fill(filter, io_uring, remove_files);
    if (err == 0)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}
