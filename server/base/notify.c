/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define MESSAGE_BYTES 512

static struct {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_size;
} notify = { .fd = -1 };

/* A path, or with an @ before it a name of the abstract kind. */
static int read_address(const char *text)
{
    size_t size = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || size < 2 || size >= sizeof notify.address.sun_path)
        return -1;
    notify.address.sun_family = AF_UNIX;
    memcpy(notify.address.sun_path, text, size + 1);
    if (text[0] == '@')
        notify.address.sun_path[0] = '\0';
    notify.address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (text[0] == '/'));
    return 0;
}

void notify_open(void)
{
    static const struct timeval patience = { .tv_sec = 1 };
    const char *text = getenv("NOTIFY_SOCKET");
    if (text == NULL || text[0] == '\0')
        return;
    if (read_address(text) != 0) {
        log_warn("systemd is told nothing", LOG_STR("cause", "NOTIFY_SOCKET is no address"),
                 LOG_STR("NOTIFY_SOCKET", text));
        return;
    }
    notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify.fd < 0 || setsockopt(notify.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        log_warn("systemd is told nothing", LOG_STR("cause", strerror(errno)));
}

void notify_close(void)
{
    if (notify.fd >= 0)
        close(notify.fd);
    notify.fd = -1;
}

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list values;
    if (notify.fd < 0)
        return;
    va_start(values, format);
    int size = vsnprintf(message, sizeof message, format, values);
    va_end(values);
    size = size < MESSAGE_BYTES ? size : MESSAGE_BYTES - 1;
    sendto(notify.fd, message, (size_t)size, MSG_NOSIGNAL, (const struct sockaddr *)&notify.address,
           notify.address_size);
}

void notify_ready(const char *status)
{
    tell("READY=1\nSTATUS=%s", status);
}

/* The time tells systemd which reload of its own this answers. */
void notify_reloading(void)
{
    tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading", clock_ns(CLOCK_MONOTONIC) / 1000);
}

void notify_stopping(uint64_t within_ns, const char *status)
{
    tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s", within_ns / 1000, status);
}

void notify_alive(void)
{
    tell("WATCHDOG=1");
}

uint64_t notify_watchdog_ns(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    bool ours = process == NULL || strtoull(process, NULL, 10) == (unsigned long long)getpid();
    uint64_t us = interval == NULL || !ours || notify.fd < 0 ? 0 : strtoull(interval, NULL, 10);
    return us < UINT64_MAX / 1000 ? us * 1000 : 0;
}
