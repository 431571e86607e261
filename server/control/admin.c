/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>
#include <microhttpd.h>

#include <weir/errors.h>
#include <weir/socket.h>

#include "../base/log.h"
#include "admin_answers.h"
#include "admin_socket.h"
#include "events.h"

/* The Unix socket and HTTP have a daemon each, so that strangers on one don't lock the owner out of the other. */
#define CLIENTS_MAX 64u
#define CLIENT_TIMEOUT_S 15u
#define ADMIN_NICE 10
#define HEARD_BYTES_MAX (64u << 10)         /* of a body that is too long for any request */
#define CLIENT_BYTES_MAX ((size_t)16 << 10) /* a request's line and headers */

/* One of the two ways in. */
struct way {
    struct admin *admin;
    int fd; /* that it listens on; -1: it does not, or the daemon has it */
    struct MHD_Daemon *daemon;
    bool is_socket;
};

struct admin {
    struct admin_view view;
    struct events *events;
    struct admin_socket file;
    struct weir_address http_address;
    struct way socket, http;
};

/* A request on its way in. */
struct visit {
    struct admin_request request;
    struct admin_fault fault;
    bool refused;
    struct buffer body;
};

/* For browsers: only the dashboard is a page, it takes nothing from elsewhere, and nobody may frame it. */
#define POLICY_DATA "default-src 'none'; frame-ancestors 'none'"
#define POLICY_PAGE                                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "   \
    "form-action 'none'; frame-ancestors 'none'"

static const struct {
    const char *name, *value;
} headers[] = {
    { "Cache-Control", "no-store" },      { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Referrer-Policy", "no-referrer" }, { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
};

/* NULL: out of memory. */
static struct MHD_Response *make_response(const struct answer *answer)
{
    if (answer->file != NULL)
        return MHD_create_response_from_buffer(answer->file->size, (void *)answer->file->bytes, MHD_RESPMEM_PERSISTENT);
    return MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE);
}

/* Takes the response. */
static enum MHD_Result send_response(struct MHD_Connection *connection, const struct answer *answer,
                                     struct MHD_Response *response)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    MHD_add_response_header(response, "Content-Security-Policy", answer->file != NULL ? POLICY_PAGE : POLICY_DATA);
    for (size_t n = 0; n < sizeof headers / sizeof headers[0]; n++)
        MHD_add_response_header(response, headers[n].name, headers[n].value);
    if (answer->allow != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
    if (answer->body.failed) {
        struct admin_fault fault;
        buffer_free(&answer->body);
        admin_refuse(&fault, MHD_HTTP_INTERNAL_SERVER_ERROR, "try again", "out of memory");
        admin_answer_fault(&fault, answer);
    }
    struct MHD_Response *response = make_response(answer);
    if (response != NULL)
        return send_response(connection, answer, response);
    buffer_free(&answer->body);
    return MHD_NO;
}

static enum MHD_Result send_events(const struct way *way, struct MHD_Connection *connection, struct answer *answer)
{
    struct MHD_Response *response = events_subscribe(way->admin->events, connection);
    if (response != NULL)
        return send_response(connection, answer, response);
    struct admin_fault fault;
    admin_refuse(&fault, MHD_HTTP_SERVICE_UNAVAILABLE, "close one of them", "too many are watching already");
    admin_answer_fault(&fault, answer);
    return send_answer(connection, answer);
}

/* Bodies are heard out, even those that nobody wants: closing before their end could destroy the answer. Unless they
 * are long. */
static bool has_long_body(struct MHD_Connection *connection)
{
    const char *size = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
           (size != NULL && strtoull(size, NULL, 10) > HEARD_BYTES_MAX);
}

static enum MHD_Result read_argument(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct visit *visit = context;
    (void)kind;
    visit->refused = admin_read_argument(key, value, &visit->request, &visit->fault) != 0;
    return visit->refused ? MHD_NO : MHD_YES;
}

static bool is_host_fine(const struct way *way, struct MHD_Connection *connection, struct admin_fault *fault)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (way->is_socket || admin_host_is_fine(host, &way->admin->http_address))
        return true;
    admin_refuse(fault, MHD_HTTP_FORBIDDEN, "use an address: localhost, 127.0.0.1, or the one of admin.http",
                 "this name is not known to be this machine's");
    return false;
}

static enum MHD_Result begin(const struct way *way, struct MHD_Connection *connection, const char *path,
                             const char *method, void **request)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (visit == NULL)
        return MHD_NO;
    *request = visit;
    visit->refused = !is_host_fine(way, connection, &visit->fault) ||
                     admin_read_line(path, method, way->is_socket, &visit->request, &visit->fault) != 0;
    if (!visit->refused)
        MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_argument, visit);
    if (!has_long_body(connection))
        return MHD_YES;
    struct answer answer = { 0 };
    admin_read_body(NULL, ADMIN_BODY_MAX + 1, &visit->request, &visit->fault);
    admin_answer_fault(&visit->fault, &answer);
    return send_answer(connection, &answer);
}

static enum MHD_Result finish(const struct way *way, struct MHD_Connection *connection, struct visit *visit)
{
    struct answer answer = { 0 };
    if (!visit->refused)
        visit->refused = admin_read_body(visit->body.data, visit->body.size, &visit->request, &visit->fault) != 0;
    if (visit->body.failed)
        answer.body.failed = true;
    else if (visit->refused)
        admin_answer_fault(&visit->fault, &answer);
    else
        admin_answer(&way->admin->view, &visit->request, &answer);
    return answer.streams ? send_events(way, connection, &answer) : send_answer(connection, &answer);
}

/* Called once when a request begins, for each part of its body, and at its end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_size, void **request)
{
    struct visit *visit = *request;
    (void)version;
    if (visit == NULL)
        return begin(context, connection, path, method, request);
    if (*body_size == 0)
        return finish(context, connection, visit);
    if (visit->body.size <= ADMIN_BODY_MAX)
        buffer_put(&visit->body, body, *body_size);
    *body_size = 0;
    return MHD_YES;
}

static void forget(void *context, struct MHD_Connection *connection, void **request,
                   enum MHD_RequestTerminationCode code)
{
    struct visit *visit = *request;
    (void)context, (void)connection, (void)code;
    if (visit == NULL)
        return;
    buffer_free(&visit->body);
    free(visit);
    *request = NULL;
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

static int open_http(struct admin *admin, const struct weir_address *address)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    int fd = weir_listen(address, &(const struct weir_listen_options){ 0 });
    int err = fd < 0 ? fd : weir_listen_address(fd, &admin->http_address);
    admin->http.fd = fd;
    if (err != 0)
        log_error("cannot listen for HTTP", LOG_STR("address", weir_address_format(address, text, sizeof text)),
                  LOG_STR("error", weir_strerror(err)));
    return err;
}

int admin_open(struct balancer *balancer, struct reloader *reloader, struct admin **ret_admin)
{
    const struct settings *settings = &balancer_snapshot(balancer)->settings;
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return WEIR_ENOMEM;
    admin->view.balancer = balancer;
    admin->view.reloader = reloader;
    admin->socket = (struct way){ .admin = admin, .fd = -1, .is_socket = true };
    admin->http = (struct way){ .admin = admin, .fd = -1 };
    json_object_seed(0); /* from a device that cannot be opened later */
    int err = metrics_new(balancer, &admin->view.metrics);
    if (err == 0 && settings->admin_socket != NULL)
        admin->socket.fd = err = admin_socket_open(settings->admin_socket, &admin->file);
    if (err >= 0 && settings->has_admin_http)
        err = open_http(admin, &settings->admin_http);
    if (err < 0) {
        admin_free(&admin);
        return err;
    }
    *ret_admin = admin;
    return 0;
}

/* The daemon's thread is born with what its maker has: no signals, which belong to the controlling thread, and a low
 * priority, so that drawing up thousands of figures makes no worker wait. */
static void *make_daemon(void *argument)
{
    struct way *way = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    setpriority(PRIO_PROCESS, (id_t)gettid(), ADMIN_NICE); /* of this thread alone; without it all works as well */
    way->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, way,
                                   MHD_OPTION_LISTEN_SOCKET, way->fd, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
                                   MHD_OPTION_CONNECTION_TIMEOUT, CLIENT_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                   CLIENT_BYTES_MAX, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
                                   MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_END);
    return NULL;
}

/* Gives the descriptor away, if it succeeds. */
static int start_daemon(struct way *way)
{
    pthread_t maker;
    if (way->fd < 0)
        return 0;
    if (pthread_create(&maker, NULL, make_daemon, way) == 0)
        pthread_join(maker, NULL);
    if (way->daemon == NULL) {
        log_error("cannot start a thread of the admin side", LOG_U64("descriptor", (uint64_t)way->fd));
        return WEIR_ENOMEM;
    }
    way->fd = -1;
    return 0;
}

int admin_start(struct admin *admin)
{
    char text[WEIR_ADDRESS_TEXT_MAX];
    bool on_socket = admin->socket.fd >= 0, on_http = admin->http.fd >= 0;
    int err = events_new(admin->view.balancer, admin->view.reloader, &admin->events);
    if (err == 0)
        err = start_daemon(&admin->socket);
    if (err == 0 && on_socket)
        log_info("admin listening", LOG_STR("socket", admin->file.path));
    if (err == 0)
        err = start_daemon(&admin->http);
    if (err == 0 && on_http)
        log_info("admin listening", LOG_STR("address", weir_address_format(&admin->http_address, text, sizeof text)));
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
    if (admin->events != NULL)
        events_stop(admin->events);
    if (admin->socket.daemon != NULL)
        MHD_stop_daemon(admin->socket.daemon);
    if (admin->http.daemon != NULL)
        MHD_stop_daemon(admin->http.daemon);
    if (admin->socket.fd >= 0)
        close(admin->socket.fd);
    if (admin->http.fd >= 0)
        close(admin->http.fd);
    admin_socket_remove(&admin->file);
    events_free(&admin->events);
    metrics_free(&admin->view.metrics);
    free(admin);
    *padmin = NULL;
}
