/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/errors.h>

#include "commands.h"
#include "options.h"

#define FIRST_BYTES ((size_t)64 << 10)

static int fail(struct admin_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct admin_client *client, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(client->trouble, sizeof client->trouble, format, arguments);
    va_end(arguments);
    return -1;
}

int client_complain(const struct admin_client *client, int status)
{
    fprintf(stderr, "weir %s: %s\n", client->command, client->trouble);
    return status;
}

/* Where it is */

static int read_config(struct admin_client *client, char **ret_socket)
{
    struct config_errors errors = { 0 };
    int err = config_find_socket(client->config, ret_socket, &errors);

    if (err == WEIR_ENOMEM)
        fprintf(stderr, "weir %s: %s\n", client->command, weir_strerror(err));
    print_config_errors(&errors);
    config_errors_free(&errors);
    if (err == 0 && *ret_socket == NULL)
        return cli_wrong(client->command, "%s has no admin.socket; name the balancer's with --socket", client->config);
    return err == 0 ? EXIT_OK : err == WEIR_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int client_find(struct admin_client *client)
{
    char *found = NULL;
    int status = client->socket == NULL ? read_config(client, &found) : EXIT_OK;
    const char *path = client->socket == NULL ? found : client->socket;

    if (status == EXIT_OK && strlen(path) >= sizeof client->path)
        status = cli_wrong(client->command, "a socket's path has at most %zu bytes", sizeof client->path - 1);
    if (status == EXIT_OK)
        memcpy(client->path, path, strlen(path) + 1);
    free(found);
    return status;
}

/* One request */

static int refuse_connect(struct admin_client *client, int reason)
{
    switch (reason) {
    case ENOENT:
    case ECONNREFUSED:
        return fail(client, "no balancer answers at %s; is it running?", client->path);
    case EACCES:
        return fail(client, "%s is closed to this user; become the one that the balancer runs as, or root",
                    client->path);
    case EAGAIN:
        return fail(client, "the balancer at %s has too many other visitors", client->path);
    default:
        return fail(client, "%s: %s", client->path, strerror(reason));
    }
}

int client_open(struct admin_client *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct timeval wait = { .tv_sec = CLIENT_WAIT_S };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fail(client, "cannot open a socket: %s", strerror(errno));
    memcpy(address.sun_path, client->path, sizeof client->path);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int reason = errno;
    close(fd);
    return refuse_connect(client, reason);
}

static int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int send_request(struct admin_client *client, int fd, const char *method, const char *path, const char *body)
{
    char *text = NULL;
    int size = asprintf(&text,
                        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        method, path, body == NULL ? 0 : strlen(body), body == NULL ? "" : body);

    if (size < 0)
        return fail(client, "%s", weir_strerror(WEIR_ENOMEM));
    int err = send_all(fd, text, (size_t)size);
    free(text);
    return err == 0 ? 0 : fail(client, "the balancer takes no request: %s", strerror(errno));
}

struct text {
    char *bytes; /* with room for a NUL */
    size_t size, capacity;
};

/* Returns the bytes that came; 0: the end, or -1 with errno. */
static ssize_t receive_some(int fd, struct text *text)
{
    if (text->capacity - text->size < 2) {
        size_t capacity = text->capacity == 0 ? FIRST_BYTES : 2 * text->capacity;
        char *bytes = capacity > CLIENT_ANSWER_MAX ? NULL : realloc(text->bytes, capacity);
        if (bytes == NULL) {
            errno = ENOMEM;
            return -1;
        }
        text->bytes = bytes;
        text->capacity = capacity;
    }
    ssize_t got;
    do
        got = recv(fd, text->bytes + text->size, text->capacity - text->size - 1, 0);
    while (got < 0 && errno == EINTR);
    text->size += got > 0 ? (size_t)got : 0;
    text->bytes[text->size] = '\0';
    return got;
}

static int receive_all(struct admin_client *client, int fd, struct text *text)
{
    ssize_t got;

    while ((got = receive_some(fd, text)) > 0)
        continue;
    if (got == 0 && text->size > 0)
        return 0;
    if (got == 0)
        fail(client, "the balancer left without an answer");
    else
        fail(client, "no answer: %s", errno == EAGAIN ? "the balancer is silent" : strerror(errno));
    return -1;
}

/* The size that the head announces, or -1. */
static long long content_length(const char *head, const char *end)
{
    static const char name[] = "content-length:";

    for (const char *line = head; line < end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, name, sizeof name - 1) == 0)
            return strtoll(line + sizeof name - 1, NULL, 10);
    return -1;
}

/* "HTTP/1.1 200 ..." Returns 0 when it begins otherwise. */
static unsigned status_of(const char *head)
{
    static const char version[] = "HTTP/1.";

    if (strncmp(head, version, sizeof version - 1) != 0 || strspn(head + sizeof version - 1, "01") != 1)
        return 0;
    unsigned long status = strtoul(head + sizeof version, NULL, 10);
    return status < 1000 ? (unsigned)status : 0;
}

/* Keeps the body, in the text's memory. */
static int split_answer(struct admin_client *client, struct text *text, struct client_answer *answer)
{
    const char *end = strstr(text->bytes, "\r\n\r\n");
    unsigned status = end == NULL ? 0 : status_of(text->bytes);

    if (status == 0)
        return fail(client, "what answers at %s is no balancer", client->path);
    size_t head = (size_t)(end - text->bytes) + 4, size = text->size - head;
    if (content_length(text->bytes, end) != (long long)size)
        return fail(client, "the answer was cut off");
    memmove(text->bytes, text->bytes + head, size + 1);
    *answer = (struct client_answer){ status, text->bytes, size };
    text->bytes = NULL;
    return 0;
}

int client_ask(struct admin_client *client, const char *method, const char *path, const char *body,
               struct client_answer *ret_answer)
{
    struct text text = { 0 };
    int fd = client_open(client);

    if (fd < 0)
        return -1;
    int err = send_request(client, fd, method, path, body);
    if (err == 0)
        err = receive_all(client, fd, &text);
    if (err == 0)
        err = split_answer(client, &text, ret_answer);
    free(text.bytes);
    close(fd);
    return err;
}

char *client_escape(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *escaped = malloc(3 * strlen(text) + 1), *at = escaped;

    if (escaped == NULL)
        return NULL;
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            *at++ = *text;
        else
            at += sprintf(at, "%%%02X", (unsigned)(unsigned char)*text);
    }
    *at = '\0';
    return escaped;
}

/* JSON */

static int refused(struct admin_client *client, const struct client_answer *answer, const json_t *json)
{
    const char *error = json_string_value(json_object_get(json, "error"));
    const char *hint = json_string_value(json_object_get(json, "hint"));

    if (error == NULL)
        fail(client, "the balancer answers with status %u", answer->status);
    else
        fail(client, "%s%s%s", error, hint == NULL ? "" : "; ", hint == NULL ? "" : hint);
    return answer->status == 400 || answer->status == 404 || answer->status == 422 ? EXIT_USAGE : EXIT_FAILED;
}

int client_judge(struct admin_client *client, const struct client_answer *answer, json_t **ret_json)
{
    json_t *json = json_loadb(answer->body, answer->size, 0, NULL);

    *ret_json = json;
    if (answer->status >= 300)
        return refused(client, answer, json);
    if (json != NULL)
        return EXIT_OK;
    fail(client, "the answer is no JSON");
    return EXIT_FAILED;
}

int client_ask_json(struct admin_client *client, const char *method, const char *path, const char *body,
                    json_t **ret_json)
{
    struct client_answer answer = { 0 };
    json_t *json = NULL;

    if (client_ask(client, method, path, body, &answer) != 0)
        return EXIT_FAILED;
    int status = client_judge(client, &answer, &json);
    if (status == EXIT_OK)
        *ret_json = json;
    else
        json_decref(json);
    free(answer.body);
    return status;
}
