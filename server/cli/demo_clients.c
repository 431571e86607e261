/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_clients.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <weir/errors.h>
#include <weir/loop.h>

#define WITHIN_S 2
#define BYTES_MAX 16384
#define PATH_BYTES 64
#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct demo_clients {
    struct weir_loop *loop; /* never runs: certificates are verified by its wall clock */
    uint32_t count;
    struct tls_context *contexts[]; /* NULL: no TLS */
};

/* Making them */

static int load_client(struct demo_clients *clients, const char *folder, uint32_t client)
{
    char certificate[PATH_BYTES], key[PATH_BYTES], ca[PATH_BYTES];
    struct tls_complaint complaint = { 0 };
    uint32_t count = 1, errors = 0;
    struct tls_material *material = NULL;
    snprintf(certificate, sizeof certificate, "%s/client%" PRIu32 ".crt", folder, client + 1);
    snprintf(key, sizeof key, "%s/client%" PRIu32 ".key", folder, client + 1);
    snprintf(ca, sizeof ca, "%s/ca.crt", folder);
    const struct tls_settings settings = { .certificate = certificate, .key = key, .ca = ca };
    int err = tls_material_load(&settings, TLS_CLIENT, &complaint, &count, &errors, &material);
    if (err != 0)
        fprintf(stderr, "weir: %s\n", complaint.text);
    else
        err = tls_context_new(material, TLS_CLIENT, clients->loop, &clients->contexts[client]);
    tls_material_unref(&material);
    return err;
}

int demo_clients_new(const char *folder, uint32_t count, struct demo_clients **ret_clients)
{
    const struct weir_loop_options options = { .backend = WEIR_BACKEND_EPOLL, .buffers = 1 };
    struct demo_clients *clients = calloc(1, sizeof *clients + count * sizeof(struct tls_context *));
    if (clients == NULL)
        return WEIR_ENOMEM;
    clients->count = count;
    int err = folder != NULL ? weir_loop_new(&options, &clients->loop) : 0;
    for (uint32_t n = 0; err == 0 && folder != NULL && n < count; n++)
        err = load_client(clients, folder, n);
    if (err == 0)
        *ret_clients = clients;
    else
        demo_clients_free(&clients);
    return err;
}

void demo_clients_free(struct demo_clients **pclients)
{
    struct demo_clients *clients = *pclients;
    if (clients == NULL)
        return;
    for (uint32_t n = 0; n < clients->count; n++)
        tls_context_free(&clients->contexts[n]);
    weir_loop_free(&clients->loop);
    free(clients);
    *pclients = NULL;
}

/* Bytes over a blocking socket */

static int fail_with_errno(void)
{
    /* What a timeout of the socket is called. */
    return errno == EAGAIN ? WEIR_ETIMEDOUT : weir_error_from_errno(errno);
}

static int send_all(int fd, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (n < 0)
            return fail_with_errno();
        sent += (size_t)n;
    }
    return 0;
}

/* Returns how many came, or an error; WEIR_EPIPE at the end. */
static int receive(int fd, void *data, size_t size)
{
    ssize_t n = recv(fd, data, size, 0);
    if (n < 0)
        return fail_with_errno();
    return n == 0 ? WEIR_EPIPE : (int)n;
}

/* TLS over bytes */

struct bytes {
    struct weir_sink sink;
    uint32_t size;
    uint8_t data[BYTES_MAX];
};

static uint8_t *reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct bytes *bytes = OWNER(sink, struct bytes, sink);
    *ret_room = BYTES_MAX - bytes->size;
    return *ret_room > 0 ? bytes->data + bytes->size : NULL;
}

static int commit(struct weir_sink *sink, uint32_t size)
{
    OWNER(sink, struct bytes, sink)->size += size;
    return 0;
}

static void bytes_init(struct bytes *bytes)
{
    bytes->sink = (struct weir_sink){ reserve, commit };
    bytes->size = 0;
}

static int shake(struct demo_talk *talk)
{
    struct bytes out;
    uint8_t in[BYTES_MAX];
    int err = 0, size = 0;
    for (;;) {
        bytes_init(&out);
        enum tls_progress progress = tls_handshake(talk->session, in, (uint32_t)size, &out.sink);
        err = send_all(talk->fd, out.data, out.size);
        if (err != 0 || progress == TLS_ESTABLISHED)
            return err;
        size = progress == TLS_FAILED ? WEIR_EIO : receive(talk->fd, in, sizeof in);
        if (size < 0)
            return size;
    }
}

static int say_secretly(struct demo_talk *talk, const char *text)
{
    struct weir_filter *filter = tls_session_filter(talk->session);
    struct bytes out;
    bytes_init(&out);
    if (filter->ops->encode(filter, (const uint8_t *)text, (uint32_t)strlen(text), &out.sink) != WEIR_FILTER_OK)
        return WEIR_EIO;
    return send_all(talk->fd, out.data, out.size);
}

/* Like receive(), but for what is inside. What has come behind the handshake is inside already. */
static int hear_secretly(struct demo_talk *talk, void *data, size_t size)
{
    struct weir_filter *filter = tls_session_filter(talk->session);
    uint8_t in[BYTES_MAX];
    int came = 0;
    for (;;) {
        struct bytes plain, back;
        bytes_init(&plain);
        bytes_init(&back);
        enum weir_filter_result result = filter->ops->decode(filter, in, (uint32_t)came, &plain.sink, &back.sink);
        int err = send_all(talk->fd, back.data, back.size);
        if (plain.size > 0) {
            uint32_t taken = plain.size < size ? plain.size : (uint32_t)size;
            memcpy(data, plain.data, taken);
            return (int)taken;
        }
        if (result != WEIR_FILTER_OK)
            return result == WEIR_FILTER_ENDED ? WEIR_EPIPE : WEIR_EIO;
        came = err != 0 ? err : receive(talk->fd, in, sizeof in);
        if (came < 0)
            return came;
    }
}

/* Talks */

static int connect_to(int fd, const struct weir_address *to)
{
    const struct timeval within = { .tv_sec = WITHIN_S };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof within);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof within);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* Hello does not wait for an ACK */
    return connect(fd, &to->u.any, weir_address_length(to)) == 0 ? 0 : fail_with_errno();
}

static int bind_to_own_address(int fd, uint32_t client)
{
    struct weir_address from;
    char text[WEIR_ADDRESS_TEXT_MAX];
    snprintf(text, sizeof text, DEMO_CLIENT_ADDRESS ":0", DEMO_FIRST_CLIENT + client);
    int err = weir_address_parse(text, &from);
    return err != 0 || bind(fd, &from.u.any, weir_address_length(&from)) == 0 ? err : fail_with_errno();
}

int demo_talk_open(struct demo_clients *clients, uint32_t client, const struct weir_address *to, struct demo_talk *talk)
{
    struct tls_context *context = clients->contexts[client];
    talk->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    talk->open = talk->fd >= 0;
    if (!talk->open)
        return fail_with_errno();
    int err = context == NULL ? bind_to_own_address(talk->fd, client) : 0;
    if (err == 0)
        err = connect_to(talk->fd, to);
    if (err == 0 && context != NULL)
        err = tls_session_new(context, to, &talk->session);
    if (err == 0 && context != NULL)
        err = shake(talk);
    if (err != 0)
        tls_session_free(&talk->session); /* there is nothing to end */
    return err;
}

int demo_talk_ask(struct demo_talk *talk, const char *text, char *answer, size_t size)
{
    size_t used = 0;
    int err = talk->session != NULL ? say_secretly(talk, text) : send_all(talk->fd, text, strlen(text));
    while (err == 0) {
        int n = talk->session != NULL ? hear_secretly(talk, answer + used, size - 1 - used)
                                      : receive(talk->fd, answer + used, size - 1 - used);
        if (n < 0)
            return n;
        used += (size_t)n;
        answer[used] = '\0';
        char *end = strchr(answer, '\n');
        if (end != NULL)
            *end = '\0';
        if (end != NULL || used == size - 1)
            break;
    }
    return err;
}

void demo_talk_close(struct demo_talk *talk)
{
    struct bytes out;
    bytes_init(&out);
    if (talk->session != NULL && tls_session_end(talk->session, &out.sink) == 0)
        send_all(talk->fd, out.data, out.size);
    tls_session_free(&talk->session);
    if (talk->open)
        close(talk->fd);
    talk->open = false;
}
