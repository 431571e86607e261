/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../policy/decide.h"
#include "unavailable.h"

#define DETAIL_BYTES 256

/* What a person can act on, beside the reason's own sentence. */

static void describe_rate(const struct weir_limits *limits, char *text, size_t size)
{
    snprintf(text, size, "limit: one connection each %" PRIu64 " ms, %" PRIu32 " at once",
             limits->rate_period_ns / 1000000, limits->burst);
}

/* The rule that keeps the client from the first upstream of the pool; NULL: there is none for it. */
static const struct rule *rule_of_refusal(const struct conn *conn)
{
    const struct snapshot *snapshot = conn->view->snapshot;
    uint32_t client = conn->configured != NULL ? (uint32_t)(conn->configured - snapshot->clients) : ANY_INDEX;
    const struct rule *rule = NULL;
    policy_allows(snapshot, client, conn->pool, 0, &rule);
    return rule;
}

static void describe_policy(const struct conn *conn, char *text, size_t size)
{
    const struct snapshot *snapshot = conn->view->snapshot;
    const char *pool = snapshot->pools[conn->pool].name;
    const struct rule *rule = rule_of_refusal(conn);
    if (rule != NULL)
        snprintf(text, size, "%s:%" PRIu32 " denies pool %s", snapshot->path, rule->at.line, pool);
    else
        snprintf(text, size, "no rule of %s allows pool %s", snapshot->path, pool);
}

static void describe_set(const struct conn *conn, char *text, size_t size)
{
    const struct snapshot *snapshot = conn->view->snapshot;
    unavailable_describe(snapshot, &snapshot->pools[conn->pool], conn->set, text, size);
}

static const char *describe(const struct conn *conn, char *text, size_t size)
{
    text[0] = '\0';
    switch (conn->reason) {
    case CLOSE_CLIENT_LIMIT:
        snprintf(text, size, "limit: %" PRIu32 " connections", conn->limits->connections);
        break;
    case CLOSE_CLIENT_RATE:
        describe_rate(conn->limits, text, size);
        break;
    case CLOSE_NOT_AUTHORIZED:
    case CLOSE_UNKNOWN_CLIENT:
        describe_policy(conn, text, size);
        break;
    case CLOSE_NO_UPSTREAM:
        describe_set(conn, text, size);
        break;
    case CLOSE_CONNECT_FAILED:
    case CLOSE_OVER_CAPACITY:
        if (conn->trouble == NULL)
            return NULL;
        snprintf(text, size, "%s: %s", conn->target->upstream->name, conn->trouble);
        break;
    case CLOSE_TLS_NO_CERTIFICATE:
    case CLOSE_TLS_BAD_CERTIFICATE:
    case CLOSE_TLS_ERROR:
        return tls_session_failure(conn->client_tls.session)->text;
    case CLOSE_UPSTREAM_RESET:
        return conn->upstream_tls.session != NULL ? tls_session_failure(conn->upstream_tls.session)->text : NULL;
    default:
        return NULL;
    }
    return text;
}

/* `host`: room for the peer's. */
static struct conn_name identity_of(const struct conn *conn, char *host, size_t size)
{
    if (conn->identity != NULL)
        return (struct conn_name){ conn->identity, conn->identity_size };
    weir_address_format_host(&conn->peer, host, size);
    return (struct conn_name){ host, (uint32_t)strlen(host) };
}

void conn_keep_refusal(const struct conn *conn)
{
    const struct worker *worker = conn->gate->worker;
    char room[DETAIL_BYTES], host[WEIR_ADDRESS_TEXT_MAX];
    const char *detail = describe(conn, room, sizeof room);
    struct conn_name client = conn_client_name(conn), identity = identity_of(conn, host, sizeof host);
    struct refusal refusal = { .id = conn->id, .wall_ns = weir_loop_wall(worker->loop), .reason = conn->reason };
    memcpy(refusal.listener, conn->gate->record->name, sizeof refusal.listener);
    weir_address_format(&conn->peer, refusal.peer, sizeof refusal.peer);
    refusal_text_set(&refusal.client, client.bytes, client.size);
    refusal_text_set(&refusal.identity, identity.bytes, identity.size);
    refusal_text_set(&refusal.detail, detail, detail == NULL ? 0 : strlen(detail));
    refusals_add(worker->refusals, &refusal);
}

void conn_log(const struct conn *conn, uint64_t now_ns)
{
    const struct snapshot *snapshot = conn->gate->worker->view->snapshot;
    enum log_level level = close_reason_level(conn->reason);
    if ((level == LOG_LEVEL_INFO && !snapshot->settings.log_connections) || !log_enabled(level))
        return;
    char peer[WEIR_ADDRESS_TEXT_MAX], host[WEIR_ADDRESS_TEXT_MAX], address[WEIR_ADDRESS_TEXT_MAX];
    char detail[DETAIL_BYTES];
    const struct place_health *target = conn->target;
    const struct tls_session *session = conn->client_tls.session;
    struct conn_name client = conn_client_name(conn), identity = identity_of(conn, host, sizeof host);
    const struct log_field fields[] = {
        LOG_U64("id", conn->id),
        LOG_STR("listener", conn->gate->record->name),
        LOG_BYTES("client", client.bytes, client.size),
        LOG_BYTES("identity", identity.bytes, identity.size),
        LOG_STR("peer", weir_address_format(&conn->peer, peer, sizeof peer)),
        LOG_STR("upstream", target != NULL ? target->upstream->name : ""),
        LOG_STR("upstream_address",
                target != NULL ? weir_address_format(&target->address, address, sizeof address) : ""),
        LOG_STR("reason", close_reason_label(conn->reason)),
        LOG_U64("to_upstream_bytes", conn->relay.direction[WEIR_RELAY_CLIENT].bytes),
        LOG_U64("to_client_bytes", conn->relay.direction[WEIR_RELAY_UPSTREAM].bytes),
        LOG_MS("duration_ms", now_ns - conn->accepted_ns),
        LOG_MS("connect_ms", conn->connected_ns != 0 ? conn->connected_ns - conn->connecting_ns : 0),
        LOG_MS("handshake_ms", session != NULL && conn->shaken_ns != 0 ? conn->shaken_ns - conn->accepted_ns : 0),
        LOG_STR("tls_version", session != NULL ? tls_session_version(session) : ""),
        LOG_STR("tls_cipher", session != NULL ? tls_session_cipher(session) : ""),
        LOG_STR("server_name", session != NULL ? tls_session_server_name(session) : NULL),
        LOG_U64("tries", conn->tried.count),
        LOG_STR("cause", level == LOG_LEVEL_WARN ? close_reason_sentence(conn->reason) : NULL),
        LOG_STR("detail", describe(conn, detail, sizeof detail)),
    };
    log_write(level, "connection", fields, sizeof fields / sizeof fields[0]);
}
