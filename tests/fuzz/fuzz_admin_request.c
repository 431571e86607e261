/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../server/control/admin_request.h"
#include "../../server/proxy/connections.h"

/* Any bytes as a request: a line "METHOD PATH?KEY=VALUE&...", a line with the host, and the body. It is either read,
 * and then within all bounds, or refused with a status, an error and a hint that a terminal can show. */

#define LINE_MAX_BYTES 2048

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Cuts the text at the first of `ends`; returns what follows, or NULL. */
static char *cut(char *text, const char *ends)
{
    char *end = strpbrk(text, ends);

    if (end == NULL)
        return NULL;
    *end = '\0';
    return end + 1;
}

static void assert_shown(const char *text)
{
    assert(text[0] != '\0');
    for (; *text != '\0'; text++)
        assert((unsigned char)*text >= ' ' && (unsigned char)*text < 0x7f);
}

static void assert_fault(const struct admin_fault *fault)
{
    assert(fault->status >= 400 && fault->status < 500);
    assert((fault->status == 405) == (fault->allow != NULL));
    assert_shown(fault->error);
    assert_shown(fault->hint);
}

static int read_query(char *query, struct admin_request *request, struct admin_fault *fault)
{
    int err = 0;

    while (err == 0 && query != NULL) {
        char *key = query;
        query = cut(key, "&");
        char *value = cut(key, "=");
        err = admin_read_argument(key, value, request, fault);
    }
    return err;
}

static void assert_bounds(const struct admin_request *request, bool may_change)
{
    assert(request->action < ADMIN_ACTIONS);
    assert(request->limit >= 1 && request->limit <= CONNECTIONS_LIMIT_MAX);
    assert(request->state <= WEIR_UPSTREAM_DISABLED);
    assert(strlen(request->client) <= ADMIN_TEXT_MAX && strlen(request->upstream) <= ADMIN_TEXT_MAX);
    bool changes = request->action == ADMIN_RELOAD || request->action == ADMIN_SET_UPSTREAM ||
                   request->action == ADMIN_END_CONNECTION;
    assert(may_change || !changes);
}

static void read_request(char *line, const char *body, size_t size, bool may_change)
{
    struct admin_request request;
    struct admin_fault fault = { 0 };
    char *path = cut(line, " ");
    char *query = path == NULL ? NULL : cut(path, "?");

    if (path == NULL)
        return;
    int err = admin_read_line(path, line, may_change, &request, &fault);
    if (err == 0)
        err = read_query(query, &request, &fault);
    if (err == 0)
        err = admin_read_body(body, size, &request, &fault);
    if (err == 0)
        assert_bounds(&request, may_change);
    else
        assert_fault(&fault);
}

static void ask_for_host(const char *host)
{
    static const char *const served[] = { "127.0.0.1:9320", "192.0.2.7:9320", "[2001:db8::7]:9320", "0.0.0.0:9320" };
    struct weir_address address;

    for (size_t n = 0; n < sizeof served / sizeof served[0]; n++) {
        assert(weir_address_parse(served[n], &address) == 0);
        bool fine = admin_host_is_fine(host, &address);
        /* Whatever is let in is an address or the one name. */
        assert(!fine || strspn(host, "0123456789abcdefABCDEF.:[]") > 0 || strncasecmp(host, "localhost", 9) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char head[LINE_MAX_BYTES + 1] = "", again[LINE_MAX_BYTES + 1];
    size_t head_size = size < LINE_MAX_BYTES ? size : LINE_MAX_BYTES;

    if (size > 0)
        memcpy(head, bytes, head_size);
    char *host = cut(head, "\n");
    char *body = host == NULL ? NULL : cut(host, "\n");
    size_t body_at = body == NULL ? size : (size_t)(body - head);
    body_at = body_at < size ? body_at : size;
    memcpy(again, head, sizeof again);
    read_request(head, (const char *)bytes + body_at, size - body_at, true);
    read_request(again, (const char *)bytes + body_at, size - body_at, false);
    if (host != NULL)
        ask_for_host(host);
    return 0;
}
