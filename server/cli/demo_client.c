/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <weir/errors.h>

#define ANSWER_WITHIN_S 2

static int fail_with_errno(void)
{
    /* What a timeout of the socket is called; the second one by connect(2). */
    return errno == EAGAIN || errno == EINPROGRESS ? WEIR_ETIMEDOUT : weir_error_from_errno(errno);
}

static int connect_client(int fd, uint32_t client, const struct weir_address *to)
{
    const struct timeval within = { .tv_sec = ANSWER_WITHIN_S };
    struct weir_address from;
    char text[WEIR_ADDRESS_TEXT_MAX];
    snprintf(text, sizeof text, DEMO_CLIENT_ADDRESS ":0", DEMO_CLIENT_FIRST + client);
    int err = weir_address_parse(text, &from);
    if (err != 0)
        return err;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof within);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof within);
    if (bind(fd, &from.u.any, weir_address_length(&from)) != 0 || connect(fd, &to->u.any, weir_address_length(to)) != 0)
        return fail_with_errno();
    return 0;
}

static int talk(int fd, char *answer, size_t size)
{
    size_t used = 0;
    if (send(fd, DEMO_CLIENT_SAYS, sizeof DEMO_CLIENT_SAYS - 1, MSG_NOSIGNAL) < 0)
        return fail_with_errno();
    for (;;) {
        ssize_t n = recv(fd, answer + used, size - 1 - used, 0);
        if (n < 0)
            return fail_with_errno();
        if (n == 0)
            return WEIR_EPIPE;
        used += (size_t)n;
        answer[used] = '\0';
        char *end = strchr(answer, '\n');
        if (end != NULL)
            *end = '\0';
        if (end != NULL || used == size - 1)
            return 0;
    }
}

int demo_client_ask(uint32_t client, const struct weir_address *to, char *answer, size_t size)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_with_errno();
    int err = connect_client(fd, client, to);
    if (err == 0)
        err = talk(fd, answer, size);
    close(fd);
    return err;
}
