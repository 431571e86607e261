/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_ADMIN_REQUEST_H
#define CONTROL_ADMIN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/address.h>
#include <weir/pool.h>

#include "web.h"

/* What somebody asks of the admin side, read from what they sent. Pure: nothing here knows a socket or the balancer. */

enum admin_action {
    ADMIN_FILE, /* of the dashboard */
    ADMIN_METRICS,
    ADMIN_HEALTH,
    ADMIN_READY,
    ADMIN_STATUS,
    ADMIN_EVENTS,
    ADMIN_CONNECTIONS,
    ADMIN_EXPLAIN,
    ADMIN_RELOAD,
    ADMIN_SET_UPSTREAM,
    ADMIN_END_CONNECTION,
    ADMIN_ACTIONS,
};

#define ADMIN_BODY_MAX (16u << 10)
#define ADMIN_TEXT_MAX 256 /* of a name in a query */
#define ADMIN_LIMIT_DEFAULT 100

struct admin_request {
    enum admin_action action;
    const struct web_file *file;
    bool has_client, has_upstream, has_listener;
    char client[ADMIN_TEXT_MAX + 1];   /* of a query */
    char upstream[ADMIN_TEXT_MAX + 1]; /* of a query, or of the path */
    char listener[ADMIN_TEXT_MAX + 1]; /* of a query */
    char pool[ADMIN_TEXT_MAX + 1];     /* of a body; "": not given */
    uint32_t limit;
    uint64_t after;
    uint64_t id; /* of a connection */
    enum weir_upstream_state state;
};

/* Why a request is refused. */
struct admin_fault {
    unsigned status;   /* of HTTP */
    const char *allow; /* the methods that the path knows, with 405 */
    char error[256], hint[256];
};

/* Fills in a fault; always returns -1. */
int admin_refuse(struct admin_fault *fault, unsigned status, const char *hint, const char *error, ...)
    __attribute__((format(printf, 4, 5)));

/* Each returns 0, or -1 and why. In this order: what a path and a method ask for (begins the request), ... */
int admin_read_line(const char *path, const char *method, bool may_change, struct admin_request *request,
                    struct admin_fault *fault);
/* ... an argument of the query; `value` may be NULL; ... */
int admin_read_argument(const char *key, const char *value, struct admin_request *request, struct admin_fault *fault);
/* ... the body, at most ADMIN_BODY_MAX bytes, after all arguments. */
int admin_read_body(const char *bytes, size_t size, struct admin_request *request, struct admin_fault *fault);

/* Whether a request over HTTP with this Host may be answered. A page of somebody else whose name suddenly means this
 * machine must learn nothing (DNS rebinding): only "localhost", loopback addresses and the address served at will do;
 * where all addresses are served, any address. NULL: not from a browser. */
bool admin_host_is_fine(const char *host, const struct weir_address *served);

#endif
