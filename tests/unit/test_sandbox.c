/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <weir/errors.h>

#include "../../lib/io/ring.h"
#include "../../server/base/log.h"
#include "../../server/control/config.h"
#include "../../server/sandbox/calls.h"
#include "../../server/sandbox/files.h"
#include "../../server/sandbox/sandbox.h"

/* Each test does in a child, which has entered the very sandbox of the balancer, what an intruder would like to do. The
 * child tells by its exit status with which errno it failed (0: not at all), or dies of it. */

#define NOT_ENTERED 255

static char folder[] = "/tmp/weir-sandbox-XXXXXX";
static char inside[PATH_MAX], linked[PATH_MAX], target[PATH_MAX], outside[PATH_MAX], admin_socket[PATH_MAX];

/* The folder: conf/weir.yaml, conf/link -> ../archive/one, archive/one, other/secret, run/admin.sock */

static void make_file(char *path, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void make_folder(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int make_world(void **state)
{
    static const char *const folders[] = { "conf", "conf/new", "archive", "other", "run" };
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t n = 0; n < sizeof folders / sizeof folders[0]; n++)
        make_folder(folders[n]);
    make_file(inside, "conf/weir.yaml");
    make_file(target, "archive/one");
    make_file(outside, "other/secret");
    make_file(admin_socket, "run/admin.sock");
    snprintf(linked, sizeof linked, "%s/conf/link", folder);
    return symlink("../archive/one", linked);
}

static int remove_world(void **state)
{
    char command[PATH_MAX + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

static int enter(bool io_uring)
{
    const char *const files[] = { inside, linked };
    const struct sandbox_plan plan = {
        .files = files, .file_count = 2, .socket = admin_socket, .io_uring = io_uring, .strict = true
    };
    return sandbox_enter(&plan);
}

static int with_epoll(void)
{
    return enter(false);
}

static int with_io_uring(void)
{
    return enter(true);
}

static int only_files(void)
{
    char conf[PATH_MAX], run[PATH_MAX];
    const char *const folders[] = { conf };
    snprintf(conf, sizeof conf, "%s/conf", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    return files_confine(folders, 1, run);
}

static int only_calls(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return calls_confine(false, true);
}

static int status_of(int (*confine)(void), int (*attempt)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(confine() != 0 ? NOT_ENTERED : attempt());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED);
    return status;
}

/* The errno of an attempt in a child. */
static int fails_with(int (*confine)(void), int (*attempt)(void))
{
    int status = status_of(confine, attempt);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_refused(int (*attempt)(void))
{
    assert_int_equal(fails_with(with_epoll, attempt), EPERM);
    assert_int_equal(fails_with(with_io_uring, attempt), EPERM);
}

static void assert_allowed(int (*attempt)(void))
{
    assert_int_equal(fails_with(with_epoll, attempt), 0);
    assert_int_equal(fails_with(with_io_uring, attempt), 0);
}

static void assert_deadly(int (*attempt)(void))
{
    int status = status_of(with_epoll, attempt);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static int errno_of_open(const char *path, int flags)
{
    return errno_of(open(path, flags | O_CLOEXEC, 0644));
}

static int errno_of_open_in(const char *name, int flags)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return errno_of_open(path, flags);
}

/* Files */

static int read_inside(void)
{
    return errno_of_open(inside, O_RDONLY);
}

static int read_linked(void)
{
    return errno_of_open(linked, O_RDONLY);
}

static int read_outside(void)
{
    return errno_of_open(outside, O_RDONLY);
}

static int read_passwords(void)
{
    return errno_of_open("/etc/passwd", O_RDONLY);
}

static int list_folder(void)
{
    return errno_of_open_in("conf", O_RDONLY | O_DIRECTORY);
}

static int write_inside(void)
{
    return errno_of_open(inside, O_WRONLY);
}

static int append_inside(void)
{
    return errno_of_open(inside, O_RDWR | O_APPEND);
}

static int make_inside(void)
{
    return errno_of_open_in("conf/made", O_RDONLY | O_CREAT);
}

static int truncate_inside(void)
{
    return errno_of_open(inside, O_RDONLY | O_TRUNC);
}

static int make_unnamed(void)
{
    return errno_of_open_in("conf", O_RDWR | O_TMPFILE);
}

static int remove_outside(void)
{
    return errno_of(unlink(outside));
}

static int remove_inside(void)
{
    return errno_of(unlink(inside));
}

static int remove_socket(void)
{
    return errno_of(unlink(admin_socket));
}

static int rename_inside(void)
{
    return errno_of(rename(inside, outside));
}

static int link_inside(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/conf/made", folder);
    return errno_of(symlink("/etc", path));
}

static int change_mode(void)
{
    return errno_of(chmod(inside, 04777));
}

static void files_in_the_folders_of_the_configuration_can_be_read(void **state)
{
    (void)state;
    assert_allowed(read_inside);
    assert_allowed(read_linked);
}

static void a_file_elsewhere_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(fails_with(with_epoll, read_outside), EACCES);
    assert_int_equal(fails_with(with_io_uring, read_outside), EACCES);
    assert_int_equal(fails_with(with_epoll, read_passwords), EACCES);
    assert_int_equal(fails_with(with_epoll, list_folder), EACCES);
    assert_int_equal(fails_with(only_files, read_outside), EACCES);
    assert_int_equal(fails_with(only_calls, read_outside), 0);
}

static void no_file_can_be_written_or_made(void **state)
{
    (void)state;
    assert_refused(write_inside);
    assert_refused(append_inside);
    assert_refused(make_inside);
    assert_refused(truncate_inside);
    assert_refused(make_unnamed);
    assert_refused(rename_inside);
    assert_refused(link_inside);
    assert_refused(change_mode);
}

/* Both walls hold, each without the other. */
static void landlock_alone_lets_no_file_be_written_or_made(void **state)
{
    (void)state;
    assert_int_equal(fails_with(only_files, write_inside), EACCES);
    assert_int_equal(fails_with(only_files, make_inside), EACCES);
    assert_int_equal(fails_with(only_files, rename_inside), EACCES);
    assert_int_equal(fails_with(only_files, link_inside), EACCES);
}

static void nothing_but_the_admin_socket_can_be_removed(void **state)
{
    (void)state;
    assert_int_equal(fails_with(with_epoll, remove_outside), EACCES);
    assert_int_equal(fails_with(with_epoll, remove_inside), EACCES);
    assert_int_equal(fails_with(with_epoll, remove_socket), 0);
    assert_int_equal(fails_with(with_io_uring, remove_inside), EACCES);
}

static int ask_what_may_be_read(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/conf/new/file", folder);
    bool right = sandbox_may_read(inside) && sandbox_may_read(linked) && sandbox_may_read(target) &&
                 sandbox_may_read(path) && !sandbox_may_read(outside) && !sandbox_may_read("/etc/passwd") &&
                 !sandbox_may_read("/nowhere/at/all") && !sandbox_may_read(folder);
    return right ? 0 : 1;
}

static void a_reload_can_ask_what_may_be_read(void **state)
{
    (void)state;
    assert_true(sandbox_may_read("/etc/passwd"));
    assert_allowed(ask_what_may_be_read);
}

/* Whether the error of a reload says what helps: 0, or 1. */
static int reload_with_a_certificate_elsewhere(void)
{
    char text[2 * PATH_MAX];
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    int size = snprintf(text, sizeof text,
                        "pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:80 }] }]\n"
                        "listeners:\n"
                        "  - name: edge\n"
                        "    address: 0.0.0.0:80\n"
                        "    pool: web\n"
                        "    tls: { clients: anonymous, certificate: %s, key: weir.yaml }\n",
                        outside);
    int err = config_read_memory(inside, text, (size_t)size, &snapshot, &errors);
    bool told = err == WEIR_EINVAL && errors.count == 1 && strstr(errors.lines[0], ":6:45: ") != NULL &&
                strstr(errors.lines[0], "restart weir") != NULL;
    config_errors_free(&errors);
    return told ? 0 : 1;
}

static void a_reload_that_names_files_elsewhere_asks_for_a_restart(void **state)
{
    (void)state;
    assert_allowed(reload_with_a_certificate_elsewhere);
}

/* Programs and processes */

static int run_a_program(void)
{
    char *const arguments[] = { "/bin/true", NULL };
    return errno_of(execve(arguments[0], arguments, NULL));
}

static int run_a_program_from_memory(void)
{
    char *const arguments[] = { "true", NULL };
    return errno_of(syscall(SYS_execveat, STDIN_FILENO, "", arguments, NULL, AT_EMPTY_PATH));
}

static int start_a_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return errno_of(child);
}

static int start_a_process_in_namespaces(void)
{
    return errno_of(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
}

static int trace_the_parent(void)
{
    return errno_of(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_the_parent(void)
{
    char byte;
    struct iovec here = { &byte, 1 }, there = { &byte, 1 };
    return errno_of(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int signal_the_parent(void)
{
    return errno_of(kill(getppid(), SIGCONT));
}

static int signal_the_parents_thread(void)
{
    return errno_of(syscall(SYS_tgkill, getppid(), getppid(), SIGCONT));
}

static int leave_for_a_namespace(void)
{
    return errno_of(unshare(CLONE_NEWUSER));
}

static int load_a_kernel_program(void)
{
    return errno_of(syscall(SYS_bpf, 0, NULL, 0));
}

static int abort_with_a_word(void)
{
    abort();
}

static void *run_thread(void *argument)
{
    return argument;
}

static int start_a_thread(void)
{
    pthread_t thread;
    int err = pthread_create(&thread, NULL, run_thread, NULL);
    return err != 0 ? err : pthread_join(thread, NULL);
}

static void a_program_that_is_run_ends_the_process(void **state)
{
    (void)state;
    assert_deadly(run_a_program);
    assert_deadly(run_a_program_from_memory);
}

static void a_debuggers_calls_end_the_process(void **state)
{
    (void)state;
    assert_deadly(trace_the_parent);
    assert_deadly(read_the_parent);
    assert_deadly(load_a_kernel_program);
}

static void no_process_can_be_started_but_threads_can(void **state)
{
    (void)state;
    assert_refused(start_a_process);
    assert_refused(start_a_process_in_namespaces);
    assert_refused(leave_for_a_namespace);
    assert_allowed(start_a_thread);
}

static void nobody_else_can_be_sent_a_signal(void **state)
{
    (void)state;
    assert_refused(signal_the_parent);
    assert_refused(signal_the_parents_thread);
}

static void an_assertion_that_fails_still_ends_by_sigabrt(void **state)
{
    (void)state;
    int status = status_of(with_epoll, abort_with_a_word);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#ifdef __x86_64__
/* getpid of another architecture's table; a kernel without such a table ends the process as well. */
static int call_by_another_table(void)
{
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    return 0;
}
#endif

static void another_architectures_calls_end_the_process(void **state)
{
    (void)state;
#ifdef __x86_64__
    assert_true(WIFSIGNALED(status_of(with_epoll, call_by_another_table)));
#else
    skip();
#endif
}

/* Users */

static int become_root(void)
{
    return errno_of(setuid(0));
}

static int become_somebody(void)
{
    return errno_of(setresuid(65534, 65534, 65534));
}

static int take_groups(void)
{
    return errno_of(setgroups(0, NULL));
}

static int take_capabilities(void)
{
    return errno_of(syscall(SYS_capset, NULL, NULL));
}

static void nobody_is_root_again(void **state)
{
    (void)state;
    assert_refused(become_root);
    assert_refused(become_somebody);
    assert_refused(take_groups);
    assert_refused(take_capabilities);
}

/* Memory */

static int make_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int turn_memory_into_code(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return errno_of(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int look_at_what_hides_memory(void)
{
    struct rlimit core = { 1, 1 };
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_max == 0 ? 0 : 1;
}

/* As somebody who can be dumped: changing the user alone would take that away as well. */
static int as_nobody(void)
{
    if ((geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return -1;
    return with_epoll();
}

static bool status_holds(pid_t process, const char *line)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    return strstr(text, line) != NULL;
}

/* The kernel gives what belongs to a process to root when it cannot be dumped. */
static uid_t owner_of_memory(pid_t process)
{
    char path[64];
    struct stat memory;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)process);
    assert_int_equal(stat(path, &memory), 0);
    return memory.st_uid;
}

static int wait_on_pipe(int (*confine)(void), int ready, int end)
{
    char byte = 'x';
    if (confine() != 0 || write(ready, &byte, 1) != 1)
        return 1;
    return read(end, &byte, 1) == 0 ? 0 : 1;
}

static void nobody_looks_into_its_memory_and_no_privileges_come_back(void **state)
{
    (void)state;
    int ready[2], end[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        _exit(wait_on_pipe(as_nobody, ready[1], end[0]));
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(status_holds(child, "NoNewPrivs:\t1\n"));
    assert_true(status_holds(child, "Seccomp:\t2\n"));
    assert_int_equal(owner_of_memory(child), 0);
    for (int n = 0; n < 2; n++) {
        close(ready[n]);
        close(end[n]);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_allowed(look_at_what_hides_memory);
}

static void memory_never_becomes_code(void **state)
{
    (void)state;
    assert_refused(make_code);
    assert_refused(turn_memory_into_code);
}

/* Sockets */

static int errno_of_socket(int domain, int type, int protocol)
{
    return errno_of(socket(domain, type | SOCK_CLOEXEC, protocol));
}

static int open_tcp(void)
{
    return errno_of_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int open_raw(void)
{
    return errno_of_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int open_udp(void)
{
    return errno_of_socket(AF_INET, SOCK_DGRAM, 0);
}

static int open_raw_6(void)
{
    return errno_of_socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
}

static int open_packet(void)
{
    return errno_of_socket(AF_PACKET, SOCK_RAW, 0);
}

static int open_netlink(void)
{
    return errno_of_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int open_unix(void)
{
    return errno_of_socket(AF_UNIX, SOCK_STREAM, 0);
}

static void only_tcp_sockets_can_be_made(void **state)
{
    (void)state;
    assert_allowed(open_tcp);
    assert_refused(open_raw);
    assert_refused(open_raw_6);
    assert_refused(open_udp);
    assert_refused(open_packet);
    assert_refused(open_netlink);
    assert_refused(open_unix);
}

/* io_uring */

static struct ring ring;

static int make_a_ring(void)
{
    struct io_uring_params parameters = { 0 };
    return errno_of(syscall(SYS_io_uring_setup, 4, &parameters));
}

static int enable_the_ring(void)
{
    return ring_enable(&ring) == 0 ? 0 : EPERM;
}

static int enter_the_ring(void)
{
    return errno_of(syscall(SYS_io_uring_enter, ring.uring.ring_fd, 0, 0, 0, NULL, 0));
}

static int register_with_the_ring(void)
{
    return errno_of(
        syscall(SYS_io_uring_register, ring.uring.ring_fd, IORING_REGISTER_FILES, (int[]){ STDIN_FILENO }, 1));
}

static int open_by_the_ring(void)
{
    struct io_uring_cqe *cqe;
    if (ring_enable(&ring) != 0)
        return 1;
    io_uring_prep_openat(ring_submission(&ring), AT_FDCWD, inside, O_RDONLY, 0);
    if (io_uring_submit_and_wait(&ring.uring, 1) != 1 || io_uring_peek_cqe(&ring.uring, &cqe) != 0)
        return 2;
    return -cqe->res;
}

static void open_ring(void)
{
    const char *reason = NULL;
    int err = ring_open(&ring, 16, &reason);
    if (err == 0)
        return;
    print_message("no io_uring: %s\n", reason);
    ring_close(&ring);
    skip();
}

static void no_rings_are_made(void **state)
{
    (void)state;
    assert_refused(make_a_ring);
}

static void with_epoll_nothing_of_io_uring_is_left(void **state)
{
    (void)state;
    open_ring();
    assert_int_equal(fails_with(with_epoll, enter_the_ring), EPERM);
    assert_int_equal(fails_with(with_epoll, enable_the_ring), EPERM);
    assert_int_equal(fails_with(with_epoll, register_with_the_ring), EPERM);
    ring_close(&ring);
}

static void a_ring_that_is_there_does_what_weir_needs_and_nothing_else(void **state)
{
    (void)state;
    open_ring();
    assert_int_equal(fails_with(with_io_uring, register_with_the_ring), EPERM);
    assert_int_equal(fails_with(with_io_uring, enable_the_ring), 0);
    ring_close(&ring);
    open_ring(); /* it belongs to whoever has enabled it */
    assert_int_equal(fails_with(with_io_uring, open_by_the_ring), EACCES);
    ring_close(&ring);
}

/* Where the kernel lacks something */

static bool refuse_by_filter(int call, int errno_value, bool only_filters)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    uint32_t action = SCMP_ACT_ERRNO((uint32_t)errno_value);
    bool done = filter != NULL &&
                (only_filters ? seccomp_rule_add(filter, action, call, 1, SCMP_A0(SCMP_CMP_EQ, 1))
                              : seccomp_rule_add(filter, action, call, 0)) == 0 &&
                seccomp_load(filter) == 0;
    seccomp_release(filter);
    return done;
}

static void hush(void *context, const char *line, size_t size)
{
    (void)context, (void)line, (void)size;
}

static int nothing_yet(void)
{
    log_redirect(hush, NULL);
    return 0;
}

static int enter_where(bool strict)
{
    const struct sandbox_plan plan = { .strict = strict };
    return -sandbox_enter(&plan);
}

static int start_without_landlock(void)
{
    return refuse_by_filter(SCMP_SYS(landlock_create_ruleset), ENOSYS, false) ? enter_where(true) : 1;
}

static int start_at_best_without_landlock(void)
{
    return refuse_by_filter(SCMP_SYS(landlock_create_ruleset), EOPNOTSUPP, false) && enter_where(false) == 0
               ? run_a_program()
               : 1;
}

static int start_without_seccomp(void)
{
    return refuse_by_filter(SCMP_SYS(seccomp), EINVAL, true) ? enter_where(true) : 1;
}

static int start_at_best_without_seccomp(void)
{
    return refuse_by_filter(SCMP_SYS(seccomp), EINVAL, true) && enter_where(false) == 0 ? read_passwords() : 1;
}

static void strict_does_without_nothing(void **state)
{
    (void)state;
    assert_int_equal(fails_with(nothing_yet, start_without_landlock), -WEIR_ENOTSUP);
    assert_int_equal(fails_with(nothing_yet, start_without_seccomp), -WEIR_ENOTSUP);
}

static void best_effort_has_the_rest(void **state)
{
    (void)state;
    int status = status_of(nothing_yet, start_at_best_without_landlock);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    assert_int_equal(fails_with(nothing_yet, start_at_best_without_seccomp), EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_in_the_folders_of_the_configuration_can_be_read),
        cmocka_unit_test(a_file_elsewhere_cannot_be_read),
        cmocka_unit_test(no_file_can_be_written_or_made),
        cmocka_unit_test(landlock_alone_lets_no_file_be_written_or_made),
        cmocka_unit_test(a_reload_can_ask_what_may_be_read),
        cmocka_unit_test(a_reload_that_names_files_elsewhere_asks_for_a_restart),
        cmocka_unit_test(a_program_that_is_run_ends_the_process),
        cmocka_unit_test(a_debuggers_calls_end_the_process),
        cmocka_unit_test(no_process_can_be_started_but_threads_can),
        cmocka_unit_test(nobody_else_can_be_sent_a_signal),
        cmocka_unit_test(an_assertion_that_fails_still_ends_by_sigabrt),
        cmocka_unit_test(another_architectures_calls_end_the_process),
        cmocka_unit_test(nobody_looks_into_its_memory_and_no_privileges_come_back),
        cmocka_unit_test(nobody_is_root_again),
        cmocka_unit_test(memory_never_becomes_code),
        cmocka_unit_test(only_tcp_sockets_can_be_made),
        cmocka_unit_test(no_rings_are_made),
        cmocka_unit_test(with_epoll_nothing_of_io_uring_is_left),
        cmocka_unit_test(a_ring_that_is_there_does_what_weir_needs_and_nothing_else),
        cmocka_unit_test(strict_does_without_nothing),
        cmocka_unit_test(best_effort_has_the_rest),
        cmocka_unit_test(nothing_but_the_admin_socket_can_be_removed),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
