/* SPDX-License-Identifier: Apache-2.0 */
#include "admin_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "../base/suggest.h"
#include "../policy/snapshot.h"
#include "../proxy/connections.h"
#include "config_values.h"

#define STATUS_BAD_REQUEST 400u
#define STATUS_FORBIDDEN 403u
#define STATUS_NOT_FOUND 404u
#define STATUS_METHOD_NOT_ALLOWED 405u
#define STATUS_CONTENT_TOO_LARGE 413u

int admin_refuse(struct admin_fault *fault, unsigned status, const char *hint, const char *error, ...)
{
    va_list arguments;

    *fault = (struct admin_fault){ .status = status };
    va_start(arguments, error);
    vsnprintf(fault->error, sizeof fault->error, error, arguments);
    va_end(arguments);
    snprintf(fault->hint, sizeof fault->hint, "%s", hint);
    return -1;
}

/* Paths */

enum method { METHOD_GET, METHOD_POST, METHOD_DELETE, METHODS };

static const char *const method_words[METHODS] = { "GET", "POST", "DELETE" };
static const char *const allow_words[METHODS] = { "GET, HEAD", "POST", "DELETE" };

static const struct route {
    const char *path; /* one that ends with a slash, but for the root, is followed by a name */
    enum method method;
    enum admin_action action;
} routes[] = {
    { "/metrics", METHOD_GET, ADMIN_METRICS },
    { "/healthz", METHOD_GET, ADMIN_HEALTH },
    { "/readyz", METHOD_GET, ADMIN_READY },
    { "/api/v1/status", METHOD_GET, ADMIN_STATUS },
    { "/api/v1/events", METHOD_GET, ADMIN_EVENTS },
    { "/api/v1/connections", METHOD_GET, ADMIN_CONNECTIONS },
    { "/api/v1/explain", METHOD_GET, ADMIN_EXPLAIN },
    { "/api/v1/reload", METHOD_POST, ADMIN_RELOAD },
    { "/api/v1/upstreams/", METHOD_POST, ADMIN_SET_UPSTREAM },
    { "/api/v1/connections/", METHOD_DELETE, ADMIN_END_CONNECTION },
};
#define ROUTES (sizeof routes / sizeof routes[0])

/* All files of the dashboard. */
static const struct route file_route = { "", METHOD_GET, ADMIN_FILE };

/* Returns what follows the route's path, "" for most; NULL: another path. */
static const char *match(const struct route *route, const char *path)
{
    size_t size = strlen(route->path);

    if (size == 1 || route->path[size - 1] != '/')
        return strcmp(route->path, path) == 0 ? "" : NULL;
    return strncmp(route->path, path, size) == 0 && path[size] != '\0' ? path + size : NULL;
}

static const struct route *find_route(const char *path, const char **ret_rest)
{
    for (size_t n = 0; n < ROUTES; n++)
        if ((*ret_rest = match(&routes[n], path)) != NULL)
            return &routes[n];
    return web_find(path) != NULL ? &file_route : NULL;
}

static int refuse_path(const char *path, struct admin_fault *fault)
{
    struct suggestion suggestion = suggest_for(path);
    char hint[sizeof fault->hint] = "see /, /api/v1/status, /metrics, /healthz, /readyz";

    for (size_t n = 0; n < ROUTES; n++)
        suggest_offer(&suggestion, routes[n].path);
    if (suggestion.best != NULL)
        snprintf(hint, sizeof hint, "did you mean %s?", suggestion.best);
    return admin_refuse(fault, STATUS_NOT_FOUND, hint, "there is nothing at this path");
}

static int refuse_method(const struct route *route, struct admin_fault *fault)
{
    char hint[sizeof fault->hint];

    snprintf(hint, sizeof hint, "use %s", allow_words[route->method]);
    admin_refuse(fault, STATUS_METHOD_NOT_ALLOWED, hint, "this path does not know this method");
    fault->allow = allow_words[route->method];
    return -1;
}

static bool is_method(const struct route *route, const char *method)
{
    return strcmp(method, method_words[route->method]) == 0 ||
           (route->method == METHOD_GET && strcmp(method, "HEAD") == 0);
}

static bool copy_text(char (*to)[ADMIN_TEXT_MAX + 1], const char *text)
{
    size_t size = strlen(text);

    if (size > ADMIN_TEXT_MAX)
        return false;
    memcpy(*to, text, size + 1);
    return true;
}

/* The name in the path of a change. */
static int read_rest(const char *rest, struct admin_request *request, struct admin_fault *fault)
{
    if (request->action == ADMIN_SET_UPSTREAM && !copy_text(&request->upstream, rest))
        return admin_refuse(fault, STATUS_NOT_FOUND, "see /api/v1/status for their names", "there is no such upstream");
    if (request->action == ADMIN_END_CONNECTION && value_number(rest, &request->id) != 0)
        return admin_refuse(fault, STATUS_NOT_FOUND, "see /api/v1/connections for their numbers",
                            "there is no such connection");
    return 0;
}

int admin_read_line(const char *path, const char *method, bool may_change, struct admin_request *request,
                    struct admin_fault *fault)
{
    const char *rest = NULL;
    const struct route *route = find_route(path, &rest);

    if (route == NULL)
        return refuse_path(path, fault);
    if (!is_method(route, method))
        return refuse_method(route, fault);
    if (route->method != METHOD_GET && !may_change)
        return admin_refuse(fault, STATUS_FORBIDDEN,
                            "use the admin socket: weir drain, enable, disable, reload, or curl --unix-socket",
                            "over HTTP nothing can be changed");
    *request = (struct admin_request){ .action = route->action, .limit = ADMIN_LIMIT_DEFAULT };
    request->file = web_find(path);
    return read_rest(rest, request, fault);
}

/* Queries */

static int read_text(const char *key, const char *value, char (*to)[ADMIN_TEXT_MAX + 1], bool *has,
                     struct admin_fault *fault)
{
    if (value == NULL || value[0] == '\0')
        return admin_refuse(fault, STATUS_BAD_REQUEST, "write a name behind it", "%s= says nothing", key);
    if (!copy_text(to, value))
        return admin_refuse(fault, STATUS_BAD_REQUEST, "names are shorter", "%s= is longer than %d bytes", key,
                            ADMIN_TEXT_MAX);
    *has = true;
    return 0;
}

static int read_client(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    return read_text(key, value, &request->client, &request->has_client, fault);
}

static int read_upstream(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    return read_text(key, value, &request->upstream, &request->has_upstream, fault);
}

static int read_listener(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    return read_text(key, value, &request->listener, &request->has_listener, fault);
}

static int read_limit(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    uint64_t number = 0;

    if (value == NULL || value_number(value, &number) != 0 || number < 1 || number > CONNECTIONS_LIMIT_MAX)
        return admin_refuse(fault, STATUS_BAD_REQUEST, "leave it out for 100", "%s= must be a number from 1 to %d", key,
                            CONNECTIONS_LIMIT_MAX);
    request->limit = (uint32_t)number;
    return 0;
}

static int read_after(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    if (value == NULL || value_number(value, &request->after) != 0)
        return admin_refuse(fault, STATUS_BAD_REQUEST, "it is what the page before calls next",
                            "%s= must be the number of a connection", key);
    return 0;
}

static const struct argument {
    enum admin_action action;
    const char *key;
    int (*read)(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault);
} arguments_known[] = {
    { ADMIN_CONNECTIONS, "client", read_client }, { ADMIN_CONNECTIONS, "upstream", read_upstream },
    { ADMIN_CONNECTIONS, "limit", read_limit },   { ADMIN_CONNECTIONS, "after", read_after },
    { ADMIN_EXPLAIN, "client", read_client },     { ADMIN_EXPLAIN, "listener", read_listener },
};
#define ARGUMENTS (sizeof arguments_known / sizeof arguments_known[0])

/* Where a filter that is mistyped would show too much, it is refused; elsewhere arguments mean nothing. */
static int refuse_argument(const char *key, const struct admin_request *request, struct admin_fault *fault)
{
    struct suggestion suggestion = suggest_for(key);
    char hint[sizeof fault->hint] = "";
    size_t used = 0;

    for (size_t n = 0; n < ARGUMENTS; n++) {
        if (arguments_known[n].action != request->action)
            continue;
        suggest_offer(&suggestion, arguments_known[n].key);
        used += (size_t)snprintf(hint + used, sizeof hint - used, "%s%s", used == 0 ? "known are " : ", ",
                                 arguments_known[n].key);
    }
    if (used == 0)
        return 0;
    if (suggestion.best != NULL)
        snprintf(hint, sizeof hint, "did you mean %s?", suggestion.best);
    return admin_refuse(fault, STATUS_BAD_REQUEST, hint, "the query has an unknown argument");
}

int admin_read_argument(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault)
{
    for (size_t n = 0; n < ARGUMENTS; n++)
        if (arguments_known[n].action == request->action && strcmp(arguments_known[n].key, key) == 0)
            return arguments_known[n].read(key, value, request, fault);
    return refuse_argument(key, request, fault);
}

/* Bodies */

static int refuse_body(struct admin_fault *fault)
{
    return admin_refuse(fault, STATUS_BAD_REQUEST,
                        "send {\"state\": \"enabled\"}, {\"state\": \"drain\"} or {\"state\": \"disabled\"}",
                        "the body does not say which state");
}

static int read_state(const char *text, struct admin_request *request, struct admin_fault *fault)
{
    static const char *const words[] = { "enabled", "drain", "disabled" };

    for (size_t n = 0; text != NULL && n < sizeof words / sizeof words[0]; n++)
        if (strcmp(text, words[n]) == 0) {
            request->state = (enum weir_upstream_state)n;
            return 0;
        }
    return refuse_body(fault);
}

/* {"state": "drain"}, perhaps with the "pool" that the upstream has to be in. */
static int read_change(const json_t *json, struct admin_request *request, struct admin_fault *fault)
{
    const json_t *pool = json_object_get(json, "pool");
    size_t known = pool == NULL ? 1 : 2;

    if (json_object_size(json) != known)
        return refuse_body(fault);
    if (pool != NULL && (!json_is_string(pool) || !copy_text(&request->pool, json_string_value(pool))))
        return admin_refuse(fault, STATUS_BAD_REQUEST, "write a pool's name, or leave it out",
                            "the body's pool is no name");
    return read_state(json_string_value(json_object_get(json, "state")), request, fault);
}

static int read_explain(const struct admin_request *request, struct admin_fault *fault)
{
    if (!request->has_client)
        return admin_refuse(fault, STATUS_BAD_REQUEST, "add ?client= and the name of a client or an address",
                            "whom should be explained?");
    return 0;
}

int admin_read_body(const char *bytes, size_t size, struct admin_request *request, struct admin_fault *fault)
{
    if (size > ADMIN_BODY_MAX)
        return admin_refuse(fault, STATUS_CONTENT_TOO_LARGE, "nothing that is asked for here is long",
                            "the request's body is too long");
    if (request->action == ADMIN_EXPLAIN)
        return read_explain(request, fault);
    if (request->action != ADMIN_SET_UPSTREAM)
        return 0;
    json_t *json = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
    int err = json_is_object(json) ? read_change(json, request, fault) : refuse_body(fault);
    json_decref(json);
    return err;
}

/* Hosts */

static bool is_loopback(const struct weir_address *address)
{
    if (address->u.any.sa_family == AF_INET)
        return (ntohl(address->u.v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&address->u.v6.sin6_addr);
}

static bool is_any(const struct weir_address *address)
{
    if (address->u.any.sa_family == AF_INET)
        return address->u.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&address->u.v6.sin6_addr);
}

/* Without the port and the brackets. Returns false when it is too long for what would be accepted. */
static bool split_host(const char *host, char *name, size_t size)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    const char *begin = host[0] == '[' ? host + 1 : host;
    size_t length = end == NULL ? strlen(begin) : (size_t)(end - begin);

    if (length >= size || (host[0] == '[' && end == NULL))
        return false;
    memcpy(name, begin, length);
    name[length] = '\0';
    return true;
}

bool admin_host_is_fine(const char *host, const struct weir_address *served)
{
    char name[WEIR_ADDRESS_TEXT_MAX];
    struct weir_address address;

    if (host == NULL)
        return true;
    if (!split_host(host, name, sizeof name))
        return false;
    if (strcasecmp(name, "localhost") == 0)
        return true;
    if (value_host(name, &address) != 0)
        return false;
    weir_address_set_port(&address, weir_address_port(served));
    return is_loopback(&address) || is_any(served) || weir_address_equal(&address, served);
}
