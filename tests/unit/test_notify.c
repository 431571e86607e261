/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../server/base/log.h"
#include "../../server/base/notify.h"

/* What systemd would hear. */

static int manager = -1; /* its socket */
static char folder[] = "/tmp/weir-notify-XXXXXX";
static char log_line[1024];

static void keep_line(void *context, const char *line, size_t size)
{
    (void)context;
    snprintf(log_line, sizeof log_line, "%.*s", (int)size, line);
}

static int set_up(void **state)
{
    (void)state;
    log_line[0] = '\0';
    log_redirect(keep_line, NULL);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    unsetenv("NOTIFY_SOCKET");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    notify_close();
    if (manager >= 0)
        close(manager);
    manager = -1;
    return 0;
}

/* Listens where `name` says, and tells so in the environment. */
static void listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = strlen(name);
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_open();
}

static void listen_at_a_name(void)
{
    char name[64];
    snprintf(name, sizeof name, "@weir-test-notify-%d", (int)getpid());
    listen_at(name);
}

static const char *heard(void)
{
    static char message[1024];
    ssize_t size = recv(manager, message, sizeof message - 1, MSG_DONTWAIT);
    assert_true(size > 0);
    message[size] = '\0';
    return message;
}

static void without_a_socket_nothing_is_said(void **state)
{
    (void)state;
    notify_open();
    notify_ready("Serving");
    assert_int_equal(notify_watchdog_ns(), 0);
    assert_string_equal(log_line, "");
}

static void a_socket_with_a_path_is_told(void **state)
{
    (void)state;
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/notify", folder);
    listen_at(path);
    notify_ready("Serving");
    assert_string_equal(heard(), "READY=1\nSTATUS=Serving");
    unlink(path);
    rmdir(folder);
}

static void an_abstract_socket_is_told(void **state)
{
    (void)state;
    listen_at_a_name();
    notify_alive();
    assert_string_equal(heard(), "WATCHDOG=1");
}

static void what_is_no_address_is_told_in_the_log(void **state)
{
    (void)state;
    char long_path[256];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    const char *const wrong[] = { "weir", "@", "/", "vsock:2:1", long_path };
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        log_line[0] = '\0';
        setenv("NOTIFY_SOCKET", wrong[n], 1);
        notify_open();
        notify_ready("Serving");
        assert_non_null(strstr(log_line, "NOTIFY_SOCKET is no address"));
    }
}

static void a_reload_says_when_it_began(void **state)
{
    (void)state;
    struct timespec before, after;
    unsigned long long began = 0;
    listen_at_a_name();
    clock_gettime(CLOCK_MONOTONIC, &before);
    notify_reloading();
    clock_gettime(CLOCK_MONOTONIC, &after);
    const char *message = heard(), *time = strstr(message, "\nMONOTONIC_USEC=");
    assert_int_equal(strncmp(message, "RELOADING=1\n", 12), 0);
    assert_non_null(time);
    began = strtoull(time + strlen("\nMONOTONIC_USEC="), NULL, 10);
    assert_in_range(began, before.tv_sec * 1000000 + before.tv_nsec / 1000,
                    after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

static void an_end_says_how_long_it_may_take(void **state)
{
    (void)state;
    listen_at_a_name();
    notify_stopping(UINT64_C(310000000000), "Ending");
    assert_string_equal(heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=310000000\nSTATUS=Ending");
}

static void a_long_status_is_cut(void **state)
{
    (void)state;
    char status[2000];
    memset(status, 'x', sizeof status - 1);
    status[sizeof status - 1] = '\0';
    listen_at_a_name();
    notify_ready(status);
    assert_int_equal(strncmp(heard(), "READY=1\nSTATUS=xxx", 18), 0);
}

static void the_watchdogs_time_is_for_this_process(void **state)
{
    (void)state;
    char own[32];
    snprintf(own, sizeof own, "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(notify_watchdog_ns(), 0); /* nobody listens */
    listen_at_a_name();
    assert_int_equal(notify_watchdog_ns(), UINT64_C(3000000000));
    setenv("WATCHDOG_PID", own, 1);
    assert_int_equal(notify_watchdog_ns(), UINT64_C(3000000000));
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_ns(), 0);
}

static void a_watchdogs_time_that_is_none_is_none(void **state)
{
    (void)state;
    listen_at_a_name();
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(notify_watchdog_ns(), 0);
    setenv("WATCHDOG_USEC", "18446744073709551615", 1);
    assert_int_equal(notify_watchdog_ns(), 0);
}

static void a_manager_that_does_not_listen_holds_nobody_for_long(void **state)
{
    (void)state;
    listen_at_a_name();
    close(manager);
    manager = -1;
    notify_ready("Serving");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_socket_nothing_is_said),
        TEST(a_socket_with_a_path_is_told),
        TEST(an_abstract_socket_is_told),
        TEST(what_is_no_address_is_told_in_the_log),
        TEST(a_reload_says_when_it_began),
        TEST(an_end_says_how_long_it_may_take),
        TEST(a_long_status_is_cut),
        TEST(the_watchdogs_time_is_for_this_process),
        TEST(a_watchdogs_time_that_is_none_is_none),
        TEST(a_manager_that_does_not_listen_holds_nobody_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
