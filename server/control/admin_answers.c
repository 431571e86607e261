/* SPDX-License-Identifier: Apache-2.0 */
#include "admin_answers.h"

#include <string.h>

#include <jansson.h>

#include <weir/errors.h>

#include "../base/suggest.h"
#include "../proxy/connections.h"
#include "config_values.h"
#include "connections_json.h"
#include "explain.h"
#include "prometheus.h"
#include "reload_view.h"
#include "status.h"

#define STATUS_OK 200u
#define STATUS_NOT_FOUND 404u
#define STATUS_CONFLICT 409u
#define STATUS_UNPROCESSABLE 422u
#define STATUS_INTERNAL 500u
#define STATUS_UNAVAILABLE 503u

#define TYPE_JSON "application/json"
#define TYPE_EVENTS "text/event-stream"

static int put_json_part(const char *data, size_t size, void *context)
{
    struct buffer *body = context;
    buffer_put(body, data, size);
    return body->failed ? -1 : 0;
}

/* Takes the document; NULL: out of memory. */
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

void admin_answer_fault(const struct admin_fault *fault, struct answer *answer)
{
    answer_json(answer, fault->status, json_pack("{s:s, s:s}", "error", fault->error, "hint", fault->hint));
    answer->allow = fault->allow;
}

/* A name that somebody has written is repeated only when it is one. */
static void answer_unknown(struct answer *answer, const char *kind, const char *name,
                           const struct suggestion *suggestion, const char *otherwise)
{
    struct admin_fault fault;
    char hint[sizeof fault.hint];

    if (suggestion->best != NULL)
        snprintf(hint, sizeof hint, "did you mean %s?", suggestion->best);
    else
        snprintf(hint, sizeof hint, "%s", otherwise);
    if (value_is_name(name))
        admin_refuse(&fault, STATUS_NOT_FOUND, hint, "there is no %s %s", kind, name);
    else
        admin_refuse(&fault, STATUS_NOT_FOUND, hint, "there is no such %s", kind);
    admin_answer_fault(&fault, answer);
}

/* Reads */

static void answer_file(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    (void)view;
    answer->type = request->file->type;
    answer->file = request->file;
}

static void answer_events(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    (void)view, (void)request;
    answer->type = TYPE_EVENTS;
    answer->streams = true;
}

static void answer_metrics(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    (void)request;
    answer->type = PROMETHEUS_TYPE;
    metrics_render(view->metrics, &answer->body);
    reload_metrics(view->reloader, &answer->body);
}

static void answer_health(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    (void)view, (void)request;
    answer_json(answer, STATUS_OK, json_pack("{s:s}", "status", "ok"));
}

static void answer_ready(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    struct admin_fault fault;
    char why[256];

    (void)request;
    if (!status_unready(view->balancer, why, sizeof why)) {
        answer_json(answer, STATUS_OK, json_pack("{s:s}", "status", "ready"));
        return;
    }
    admin_refuse(&fault, STATUS_UNAVAILABLE, "see /api/v1/status", "%s", why);
    admin_answer_fault(&fault, answer);
}

static void answer_status(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    json_t *status = status_json(view->balancer);

    (void)request;
    if (json_object_set_new(status, "last_reload", reload_last_json(view->reloader)) != 0) {
        json_decref(status);
        status = NULL;
    }
    answer_json(answer, STATUS_OK, status);
}

/* Connections */

/* A worker that does not answer is a fault of ours, and so is want of memory. */
static void answer_failure(struct answer *answer, int err)
{
    struct admin_fault fault;

    answer->body.failed = err == WEIR_ENOMEM;
    if (err == WEIR_ENOMEM)
        return;
    admin_refuse(&fault, STATUS_UNAVAILABLE, "try again, and look at weir_worker_busy_ratio",
                 "a worker did not answer in time");
    admin_answer_fault(&fault, answer);
}

static void answer_connections(const struct admin_view *view, const struct admin_request *request,
                               struct answer *answer)
{
    const struct connections_query query = {
        .client = request->has_client ? request->client : NULL,
        .upstream = request->has_upstream ? request->upstream : NULL,
        .limit = request->limit,
        .after = request->after,
    };
    struct connections *connections = NULL;
    int err = connections_find(view->balancer, &query, &connections);

    if (err == 0)
        answer_json(answer, STATUS_OK, connections_json(connections));
    else
        answer_failure(answer, err);
    connections_free(&connections);
}

static void answer_end(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    struct admin_fault fault;
    int err = connections_end(view->balancer, request->id);

    if (err == 0) {
        answer_json(answer, STATUS_OK, json_pack("{s:I}", "ended", (json_int_t)request->id));
    } else if (err == WEIR_EINVAL) {
        admin_refuse(&fault, STATUS_NOT_FOUND, "see /api/v1/connections for their numbers",
                     "there is no such connection");
        admin_answer_fault(&fault, answer);
    } else {
        answer_failure(answer, err);
    }
}

/* Explain */

static bool find_client(const struct snapshot *snapshot, const char *name, struct explain_subject *subject,
                        struct answer *answer)
{
    struct suggestion suggestion = suggest_for(name);

    subject->kind = EXPLAIN_CLIENT;
    subject->client = suggest_find(&suggestion, snapshot->clients, sizeof(struct client), snapshot->client_count);
    if (subject->client != ANY_INDEX)
        return true;
    answer_unknown(answer, "client", name, &suggestion, "write the name of a client, or an IP address");
    return false;
}

static bool find_subject(const struct snapshot *snapshot, const char *text, struct explain_subject *subject,
                         struct answer *answer)
{
    subject->name = text;
    subject->kind = EXPLAIN_ADDRESS;
    return value_host(text, &subject->identity.address) == 0 || find_client(snapshot, text, subject, answer);
}

static bool find_listener(const struct snapshot *snapshot, const struct admin_request *request, uint32_t *ret_listener,
                          struct answer *answer)
{
    struct suggestion suggestion = suggest_for(request->listener);

    *ret_listener = ANY_INDEX;
    if (!request->has_listener)
        return true;
    *ret_listener = suggest_find(&suggestion, snapshot->listeners, sizeof(struct listener), snapshot->listener_count);
    if (*ret_listener != ANY_INDEX)
        return true;
    answer_unknown(answer, "listener", request->listener, &suggestion, "see /api/v1/status for their names");
    return false;
}

static void explain_to(const struct admin_view *view, const struct admin_request *request,
                       const struct snapshot *snapshot, struct answer *answer)
{
    struct explain_subject subject = { 0 };
    struct explanation *explanation = NULL;
    uint32_t listener;

    if (!find_subject(snapshot, request->client, &subject, answer) ||
        !find_listener(snapshot, request, &listener, answer))
        return;
    json_t *json = NULL;
    if (explain(snapshot, &subject, listener, &explanation) == 0)
        json = explain_json(explanation, balancer_state(view->balancer));
    answer_json(answer, STATUS_OK, json);
    explanation_free(&explanation);
}

static void answer_explain(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    const struct snapshot *snapshot = balancer_snapshot_ref(view->balancer);

    explain_to(view, request, snapshot, answer);
    balancer_snapshot_unref(view->balancer, &snapshot);
}

/* Changes */

static const struct upstream *find_upstream(const struct snapshot *snapshot, const char *name, struct answer *answer)
{
    struct suggestion suggestion = suggest_for(name);

    uint32_t found = suggest_find(&suggestion, snapshot->upstreams, sizeof(struct upstream), snapshot->upstream_count);
    if (found != ANY_INDEX)
        return &snapshot->upstreams[found];
    answer_unknown(answer, "upstream", name, &suggestion, "see /api/v1/status for their names");
    return NULL;
}

static const struct pool *find_pool(const struct snapshot *snapshot, const char *name, struct answer *answer)
{
    struct suggestion suggestion = suggest_for(name);

    uint32_t found = suggest_find(&suggestion, snapshot->pools, sizeof(struct pool), snapshot->pool_count);
    if (found != ANY_INDEX)
        return &snapshot->pools[found];
    answer_unknown(answer, "pool", name, &suggestion, "see /api/v1/status for their names");
    return NULL;
}

/* Whether the upstream is where somebody thinks it is. */
static bool is_in_pool(const struct snapshot *snapshot, const struct upstream *upstream, const char *pool_name,
                       struct answer *answer)
{
    const struct pool *pool = find_pool(snapshot, pool_name, answer);
    struct admin_fault fault;

    if (pool == NULL)
        return false;
    for (uint32_t n = 0; n < pool->place_count; n++)
        if (&snapshot->upstreams[pool->places[n].upstream] == upstream)
            return true;
    admin_refuse(&fault, STATUS_NOT_FOUND, "see /api/v1/status", "pool %s has no upstream %s", pool->name,
                 upstream->name);
    admin_answer_fault(&fault, answer);
    return false;
}

static void set_upstream(const struct admin_view *view, const struct admin_request *request,
                         const struct snapshot *snapshot, struct answer *answer)
{
    const struct upstream *upstream = find_upstream(snapshot, request->upstream, answer);

    if (upstream == NULL || (request->pool[0] != '\0' && !is_in_pool(snapshot, upstream, request->pool, answer)))
        return;
    uint32_t active = weir_upstreams_active(balancer_state(view->balancer)->upstreams, upstream->id);
    balancer_set_upstream_state(view->balancer, upstream->name, request->state);
    answer_json(answer, STATUS_OK,
                json_pack("{s:s, s:s, s:I}", "name", upstream->name, "state", status_upstream_state(request->state),
                          "active", (json_int_t)active));
}

static void answer_set_upstream(const struct admin_view *view, const struct admin_request *request,
                                struct answer *answer)
{
    const struct snapshot *snapshot = balancer_snapshot_ref(view->balancer);

    set_upstream(view, request, snapshot, answer);
    balancer_snapshot_unref(view->balancer, &snapshot);
}

/* A file that was refused is an error with the lines of all that is wrong with it. */
static void answer_result(struct answer *answer, const struct reload_result *result)
{
    static const struct {
        unsigned status;
        const char *error, *hint;
    } words[RELOAD_OUTCOMES] = {
        [RELOAD_DONE] = { STATUS_OK, NULL, NULL },
        [RELOAD_REFUSED] = { STATUS_UNPROCESSABLE, "the configuration was refused",
                             "what ran before goes on; weir check says the same of the file" },
        [RELOAD_BUSY] = { STATUS_CONFLICT, "the balancer is draining", "start it anew instead" },
        [RELOAD_FAILED] = { STATUS_INTERNAL, "the reload failed", "what ran before goes on; see the log" },
    };
    json_t *json = reload_json(result);

    if (words[result->outcome].error != NULL) {
        json_object_set_new(json, "error", json_string(words[result->outcome].error));
        json_object_set_new(json, "hint", json_string(words[result->outcome].hint));
    }
    answer_json(answer, words[result->outcome].status, json);
}

static void answer_reload(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    struct reload_result *result = NULL;
    struct admin_fault fault;
    int err = view->reloader == NULL ? WEIR_EINVAL : reloader_reload(view->reloader, &result);

    (void)request;
    answer->body.failed = err == WEIR_ENOMEM;
    if (err == 0) {
        answer_result(answer, result);
    } else if (err == WEIR_ECANCELED) {
        admin_refuse(&fault, STATUS_UNAVAILABLE, "start it anew", "the balancer is being stopped");
        admin_answer_fault(&fault, answer);
    } else if (err == WEIR_EINVAL) {
        admin_refuse(&fault, STATUS_CONFLICT, "use weir run", "this balancer has no file to read anew");
        admin_answer_fault(&fault, answer);
    }
    reload_result_unref(&result);
}

/* All of them */

void admin_answer(const struct admin_view *view, const struct admin_request *request, struct answer *answer)
{
    static void (*const answers[ADMIN_ACTIONS])(const struct admin_view *, const struct admin_request *,
                                                struct answer *) = {
        [ADMIN_FILE] = answer_file,
        [ADMIN_EVENTS] = answer_events,
        [ADMIN_METRICS] = answer_metrics,
        [ADMIN_HEALTH] = answer_health,
        [ADMIN_READY] = answer_ready,
        [ADMIN_STATUS] = answer_status,
        [ADMIN_CONNECTIONS] = answer_connections,
        [ADMIN_EXPLAIN] = answer_explain,
        [ADMIN_RELOAD] = answer_reload,
        [ADMIN_SET_UPSTREAM] = answer_set_upstream,
        [ADMIN_END_CONNECTION] = answer_end,
    };
    *answer = (struct answer){ .status = STATUS_OK };
    answers[request->action](view, request, answer);
}
