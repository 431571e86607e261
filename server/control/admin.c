/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <microhttpd.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "../base/log.h"
#include "admin_socket.h"
#include "buffer.h"
#include "metrics.h"
#include "prometheus.h"
#include "status.h"

/* The Unix socket and HTTP have a daemon each, so that strangers on one don't lock the owner out of the other. */
#define CLIENTS_MAX 64u
#define CLIENT_TIMEOUT_S 15u
#define CLIENT_BYTES_MAX ((size_t)16 << 10) /* a request's line and headers */
#define BODY_BYTES_MAX (16u << 10)

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

struct admin {
    const struct balancer *balancer;
    struct metrics *metrics;
    struct admin_socket socket;
    struct weir_address http_address;
    struct MHD_Daemon *socket_daemon, *http_daemon;
};

struct answer {
    unsigned status;
    const char *type;
    struct buffer body;
};

/* Answers */

static int put_json_part(const char *data, size_t size, void *context)
{
    struct buffer *body = context;
    buffer_put(body, data, size);
    return body->failed ? -1 : 0;
}

/* Takes the document. */
static void answer_json(struct answer *answer, unsigned status, json_t *json)
{
    answer->status = status;
    answer->type = TYPE_JSON;
    if (json == NULL ||
        json_dump_callback(json, put_json_part, &answer->body, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0)
        answer->body.failed = true;
    buffer_text(&answer->body, "\n");
    json_decref(json);
}

static void answer_error(struct answer *answer, unsigned status, const char *error, const char *hint)
{
    answer_json(answer, status, json_pack("{s:s, s:s}", "error", error, "hint", hint));
}

static void answer_root(const struct admin *admin, struct answer *answer)
{
    (void)admin;
    answer->type = TYPE_TEXT;
    buffer_text(&answer->body, "Weir " WEIR_VERSION ": see /api/v1/status, /metrics, /healthz, /readyz\n");
}

static void answer_metrics(const struct admin *admin, struct answer *answer)
{
    answer->type = PROMETHEUS_TYPE;
    metrics_render(admin->metrics, &answer->body);
}

static void answer_health(const struct admin *admin, struct answer *answer)
{
    (void)admin;
    answer_json(answer, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

static void answer_ready(const struct admin *admin, struct answer *answer)
{
    char why[256];
    if (status_unready(admin->balancer, why, sizeof why))
        answer_error(answer, MHD_HTTP_SERVICE_UNAVAILABLE, why, "see /api/v1/status");
    else
        answer_json(answer, MHD_HTTP_OK, json_pack("{s:s}", "status", "ready"));
}

static void answer_status(const struct admin *admin, struct answer *answer)
{
    answer_json(answer, MHD_HTTP_OK, status_json(admin->balancer));
}

static const struct route {
    const char *path;
    void (*answer)(const struct admin *admin, struct answer *answer);
} routes[] = {
    { "/", answer_root },        { "/metrics", answer_metrics },      { "/healthz", answer_health },
    { "/readyz", answer_ready }, { "/api/v1/status", answer_status },
};

static const struct route *find_route(const char *path)
{
    for (size_t n = 0; n < sizeof routes / sizeof routes[0]; n++)
        if (strcmp(routes[n].path, path) == 0)
            return &routes[n];
    return NULL;
}

/* HTTP */

/* For browsers: nothing here is a page, a script or anybody else's. */
static const struct {
    const char *name, *value;
} headers[] = {
    { "Cache-Control", "no-store" },
    { "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Referrer-Policy", "no-referrer" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
    if (answer->body.failed) {
        buffer_free(&answer->body);
        answer_error(answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory", "try again");
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        buffer_free(&answer->body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    for (size_t n = 0; n < sizeof headers / sizeof headers[0]; n++)
        MHD_add_response_header(response, headers[n].name, headers[n].value);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Bodies are heard out and forgotten: closing before their end could destroy the answer. Unless they are long. */
static bool has_long_body(struct MHD_Connection *connection)
{
    const char *size = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
           (size != NULL && strtoull(size, NULL, 10) > BODY_BYTES_MAX);
}

static void make_answer(const struct admin *admin, const char *path, const char *method, struct answer *answer)
{
    const struct route *route = find_route(path);
    if (route == NULL)
        answer_error(answer, MHD_HTTP_NOT_FOUND, "there is nothing at this path",
                     "see /api/v1/status, /metrics, /healthz, /readyz");
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        answer_error(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "this path can only be read", "use GET or HEAD");
    else
        route->answer(admin, answer);
}

/* Called once when a request begins, for each part of its body, and at its end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_size, void **request)
{
    static char begun;
    struct answer answer = { .status = MHD_HTTP_OK };
    (void)version, (void)body;
    if (*request == NULL && has_long_body(connection)) {
        answer_error(&answer, MHD_HTTP_CONTENT_TOO_LARGE, "the request's body is too long", "send none");
        return send_answer(connection, &answer);
    }
    if (*request == NULL || *body_size > 0) {
        *request = &begun;
        *body_size = 0;
        return MHD_YES;
    }
    make_answer(context, path, method, &answer);
    return send_answer(connection, &answer);
}

/* What stands behind a NUL would be overlooked. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    size_t size = MHD_http_unescape(text);
    if (strlen(text) == size)
        return size;
    text[0] = '\0';
    return 0;
}

/* Start and stop */

/* Signals belong to the controlling thread. */
static struct MHD_Daemon *start_daemon(struct admin *admin, int fd)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, admin, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, CLIENT_TIMEOUT_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, CLIENT_BYTES_MAX, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
                         NULL, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (daemon == NULL)
        log_error("cannot start a thread of the admin side", LOG_U64("descriptor", (uint64_t)fd));
    return daemon;
}

static int open_socket(struct admin *admin, const char *path)
{
    int fd = admin_socket_open(path, &admin->socket);
    if (fd < 0)
        return fd;
    admin->socket_daemon = start_daemon(admin, fd);
    if (admin->socket_daemon == NULL)
        return WEIR_ENOMEM;
    log_info("admin listening", LOG_STR("socket", path));
    return 0;
}

static int open_http(struct admin *admin, const struct weir_address *address)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    int fd = weir_listen(address, &(const struct weir_listen_options){ 0 });
    int err = fd < 0 ? fd : weir_listen_address(fd, &admin->http_address);
    if (err != 0) {
        log_error("cannot listen for HTTP", LOG_STR("address", weir_address_format(address, text, sizeof text)),
                  LOG_STR("error", weir_strerror(err)));
        return err;
    }
    admin->http_daemon = start_daemon(admin, fd);
    if (admin->http_daemon == NULL)
        return WEIR_ENOMEM;
    log_info("admin listening", LOG_STR("address", weir_address_format(&admin->http_address, text, sizeof text)));
    return 0;
}

int admin_start(const struct balancer *balancer, struct admin **ret_admin)
{
    const struct settings *settings = &balancer_snapshot(balancer)->settings;
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return WEIR_ENOMEM;
    admin->balancer = balancer;
    int err = metrics_new(balancer, &admin->metrics);
    if (err == 0 && settings->admin_socket != NULL)
        err = open_socket(admin, settings->admin_socket);
    if (err == 0 && settings->has_admin_http)
        err = open_http(admin, &settings->admin_http);
    if (err == 0)
        *ret_admin = admin;
    else
        admin_free(&admin);
    return err;
}

struct weir_address admin_http_address(const struct admin *admin)
{
    return admin->http_address;
}

void admin_free(struct admin **padmin)
{
    struct admin *admin = *padmin;
    if (admin == NULL)
        return;
    if (admin->socket_daemon != NULL)
        MHD_stop_daemon(admin->socket_daemon);
    if (admin->http_daemon != NULL)
        MHD_stop_daemon(admin->http_daemon);
    admin_socket_remove(&admin->socket);
    metrics_free(&admin->metrics);
    free(admin);
    *padmin = NULL;
}
