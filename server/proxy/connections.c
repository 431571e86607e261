/* SPDX-License-Identifier: Apache-2.0 */
#include "connections.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/errors.h>

#include "conn.h"
#include "walk.h"

/* A question to all workers, or to one. Whoever leaves last, the asker or a worker that answers late, frees it. */

struct question;

struct part {
    struct question *question;
    struct worker *worker;
    struct weir_message message;
    struct walk walk;
    struct connection *found; /* room for the limit */
    uint32_t count;
    uint32_t taken; /* by the asker */
    bool more;
};

struct question {
    _Atomic uint32_t holders, unanswered;
    sem_t answered; /* by all */
    struct connections_query query;
    char client[LOG_VALUE_MAX + 1], upstream[NAME_MAX_BYTES + 1];
    uint64_t id; /* of a connection to end */
    uint32_t part_count;
    struct part parts[];
};

static void leave(struct question *question)
{
    if (atomic_fetch_sub(&question->holders, 1) > 1)
        return;
    for (uint32_t n = 0; n < question->part_count; n++)
        free(question->parts[n].found);
    sem_destroy(&question->answered);
    free(question);
}

static struct part *part_of(struct walk *walk)
{
    return (struct part *)((char *)walk - offsetof(struct part, walk));
}

/* On the worker */

static void answer(struct walk *walk)
{
    struct question *question = part_of(walk)->question;
    if (atomic_fetch_sub(&question->unanswered, 1) == 1)
        sem_post(&question->answered);
    leave(question);
}

static void begin(struct weir_loop *loop, struct weir_message *message)
{
    struct part *part = (struct part *)((char *)message - offsetof(struct part, message));
    (void)loop;
    walk_start(&part->walk, part->worker);
}

static bool fits(const struct connections_query *query, const struct conn *conn)
{
    if (conn->reason != CLOSE_NONE || (query->after != 0 && conn->id >= query->after))
        return false;
    struct conn_name client = conn_client_name(conn);
    if (query->client != NULL &&
        (client.size != strlen(query->client) || memcmp(client.bytes, query->client, client.size) != 0))
        return false;
    return query->upstream == NULL ||
           (conn->target != NULL && strcmp(conn->target->upstream->name, query->upstream) == 0);
}

static void copy_text(struct connection_text *text, const char *bytes, size_t size)
{
    text->size = (uint32_t)(size < sizeof text->bytes ? size : sizeof text->bytes);
    if (text->size > 0)
        memcpy(text->bytes, bytes, text->size);
}

static void copy_who(const struct conn *conn, struct connection *copy)
{
    struct conn_name client = conn_client_name(conn);
    copy_text(&copy->client, client.bytes, client.size);
    weir_address_format(&conn->peer, copy->peer, sizeof copy->peer);
    if (conn->identity != NULL) {
        copy_text(&copy->identity, conn->identity, conn->identity_size);
        return;
    }
    char host[WEIR_ADDRESS_TEXT_MAX];
    weir_address_format_host(&conn->peer, host, sizeof host);
    copy_text(&copy->identity, host, strlen(host));
}

static void copy_upstream(const struct conn *conn, struct connection *copy)
{
    if (conn->target == NULL)
        return;
    memcpy(copy->upstream, conn->target->upstream->name, sizeof copy->upstream);
    weir_address_format(&conn->target->address, copy->upstream_address, sizeof copy->upstream_address);
}

static void copy_conn(const struct conn *conn, struct connection *copy)
{
    const struct tls_session *session = conn->shaken_ns != 0 ? conn->client_tls.session : NULL;
    *copy = (struct connection){
        .id = conn->id,
        .to_upstream_bytes = conn->relay.direction[WEIR_RELAY_CLIENT].bytes,
        .to_client_bytes = conn->relay.direction[WEIR_RELAY_UPSTREAM].bytes,
        .duration_ns = weir_loop_now(conn->gate->worker->loop) - conn->accepted_ns,
        .handshake_ns = session != NULL ? conn->shaken_ns - conn->accepted_ns : 0,
        .connect_ns = conn->connected_ns != 0 ? conn->connected_ns - conn->connecting_ns : 0,
        .tries = conn->tried.count,
        .tls_version = session != NULL ? tls_session_version(session) : "",
        .tls_cipher = session != NULL ? tls_session_cipher(session) : "",
    };
    memcpy(copy->listener, conn->gate->record->name, sizeof copy->listener);
    copy_who(conn, copy);
    copy_upstream(conn, copy);
}

/* One beyond the limit shows that there are more. */
static bool visit(struct walk *walk, struct conn *conn)
{
    struct part *part = part_of(walk);
    if (!fits(&part->question->query, conn))
        return true;
    if (part->count == part->question->query.limit) {
        part->more = true;
        return false;
    }
    copy_conn(conn, &part->found[part->count++]);
    return true;
}

/* Ids fall along the list. */
static bool end_one(struct walk *walk, struct conn *conn)
{
    struct part *part = part_of(walk);
    if (conn->id > part->question->id)
        return true;
    if (conn->id == part->question->id && conn->reason == CLOSE_NONE) {
        part->count = 1;
        conn_end(conn, CLOSE_ADMIN_CLOSED);
    }
    return false;
}

/* The asker */

static struct question *question_new(uint32_t parts)
{
    struct question *question = calloc(1, sizeof *question + parts * sizeof(struct part));
    if (question == NULL)
        return NULL;
    atomic_store(&question->holders, 1);
    sem_init(&question->answered, 0, 0);
    return question;
}

static int add_part(struct question *question, struct worker *worker, bool (*visitor)(struct walk *, struct conn *))
{
    struct part *part = &question->parts[question->part_count];
    *part = (struct part){ .question = question, .worker = worker, .message.deliver = begin };
    part->walk.visit = visitor;
    part->walk.done = answer;
    if (question->query.limit > 0)
        part->found = malloc(question->query.limit * sizeof *part->found);
    if (question->query.limit > 0 && part->found == NULL)
        return WEIR_ENOMEM;
    question->part_count++;
    return 0;
}

/* Returns 0 or WEIR_ETIMEDOUT. */
static int ask(struct question *question)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(CONNECTIONS_WAIT_NS / 1000000000);
    atomic_store(&question->unanswered, question->part_count);
    atomic_fetch_add(&question->holders, question->part_count);
    for (uint32_t n = 0; n < question->part_count; n++)
        weir_loop_post(question->parts[n].worker->loop, &question->parts[n].message);
    while (sem_clockwait(&question->answered, CLOCK_MONOTONIC, &deadline) != 0 && errno == EINTR)
        continue;
    return atomic_load(&question->unanswered) == 0 ? 0 : WEIR_ETIMEDOUT;
}

/* Of the workers' next ones, the one with the highest id; NULL: there is none. */
static const struct connection *take_newest(struct question *question)
{
    struct part *newest = NULL;
    for (uint32_t n = 0; n < question->part_count; n++) {
        struct part *part = &question->parts[n];
        if (part->taken < part->count &&
            (newest == NULL || part->found[part->taken].id > newest->found[newest->taken].id))
            newest = part;
    }
    return newest == NULL ? NULL : &newest->found[newest->taken++];
}

static bool is_left(const struct question *question)
{
    for (uint32_t n = 0; n < question->part_count; n++)
        if (question->parts[n].more || question->parts[n].taken < question->parts[n].count)
            return true;
    return false;
}

static int merge(struct question *question, struct connections **ret_connections)
{
    uint32_t limit = question->query.limit;
    struct connections *page = malloc(sizeof *page + limit * sizeof page->list[0]);
    const struct connection *connection;
    if (page == NULL)
        return WEIR_ENOMEM;
    page->count = 0;
    while (page->count < limit && (connection = take_newest(question)) != NULL)
        page->list[page->count++] = *connection;
    page->next = page->count > 0 && is_left(question) ? page->list[page->count - 1].id : 0;
    *ret_connections = page;
    return 0;
}

/* The query must outlive the asker, who may give up. */
static void copy_query(struct question *question, const struct connections_query *query)
{
    question->query = *query;
    if (query->client != NULL)
        question->query.client = strncpy(question->client, query->client, sizeof question->client - 1);
    if (query->upstream != NULL)
        question->query.upstream = strncpy(question->upstream, query->upstream, sizeof question->upstream - 1);
}

int connections_find(struct balancer *balancer, const struct connections_query *query,
                     struct connections **ret_connections)
{
    struct question *question = question_new(balancer_workers(balancer));
    int err = question == NULL ? WEIR_ENOMEM : 0;
    if (question == NULL)
        return err;
    copy_query(question, query);
    for (uint32_t n = 0; err == 0 && n < balancer_workers(balancer); n++)
        err = add_part(question, balancer_worker(balancer, n), visit);
    if (err == 0)
        err = ask(question);
    if (err == 0)
        err = merge(question, ret_connections);
    leave(question);
    return err;
}

void connections_free(struct connections **pconnections)
{
    free(*pconnections);
    *pconnections = NULL;
}

int connections_end(struct balancer *balancer, uint64_t id)
{
    struct question *question = question_new(1);
    if (question == NULL)
        return WEIR_ENOMEM;
    question->id = id;
    int err = add_part(question, balancer_worker(balancer, (uint32_t)(id % balancer_workers(balancer))), end_one);
    if (err == 0)
        err = ask(question);
    if (err == 0 && question->parts[0].count == 0)
        err = WEIR_EINVAL;
    leave(question);
    return err;
}
