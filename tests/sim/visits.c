/* SPDX-License-Identifier: Apache-2.0 */
#include "visits.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/io/backend.h"
#include "../../server/proxy/reply.h"
#include "stream.h"

/* Beyond this a check may stop reading, and reset. */
#define READ_MAX (64u << 10)

static bool asks(const struct visit *visit)
{
    return visit->settings->check == HEALTH_CHECK_EXCHANGE;
}

static bool has_tls(const struct visit *visit)
{
    return visit->probe->tls != NULL && (asks(visit) || visit->settings->check == HEALTH_CHECK_TLS);
}

static bool connects_only(const struct visit *visit)
{
    return !asks(visit) && visit->settings->check != HEALTH_CHECK_TLS;
}

/* Verdicts */

static void fail(const struct visit *visit, const char *problem)
{
    world_fail(visit->world, "the check from port %u: %s", weir_address_port(&visit->end->local), problem);
}

/* What is expected is among the bytes that have left whoever answers, and, without TLS, the balancer's kernel. */
static bool was_answered(const struct visit *visit)
{
    static uint8_t said[REPLY_BYTES_MAX];
    const struct party *party = visit->party;
    const struct check_bytes *expect = &visit->settings->expect;
    if (party == NULL)
        return false;
    uint64_t size = has_tls(visit) ? party->sent : visit->end->read;
    size = size < sizeof said ? size : sizeof said;
    stream_fill(party->sends, 0, said, (uint32_t)size);
    return memmem(said, size, expect->data, expect->size) != NULL;
}

static void check_good(const struct visit *visit)
{
    const struct party *party = visit->party;
    if (visit->end->connect_status != 0)
        fail(visit, "passed, but it has no connection");
    else if (asks(visit) && !was_answered(visit))
        fail(visit, "passed, but what it expects was not sent");
    else if (has_tls(visit) && (party == NULL || party->channel == NULL || visit->host >= KIT_HOST_WRONG_NAME))
        fail(visit, "passed, but the upstream has not proved who it is");
    else if (asks(visit) && has_tls(visit) && visit->host == KIT_HOST_REFUSES)
        fail(visit, "passed, but the upstream refuses the balancer");
}

/* At the timeout, what has come may still be on its way through the loop. With TLS 1.2 the upstream's end of the
 * handshake is the last. */
static void check_bad(const struct visit *visit)
{
    const struct party *party = visit->party;
    if (weir_loop_now(visit->loop) >= visit->deadline_ns)
        return;
    if (connects_only(visit) && visit->end->connect_status == 0)
        fail(visit, "failed, but it has its connection");
    else if (asks(visit) && !has_tls(visit) && was_answered(visit))
        fail(visit, "failed, but what it expects has come");
    else if (visit->settings->check == HEALTH_CHECK_TLS && party != NULL && party->channel != NULL &&
             !party->channel->script.old && party->channel->established && !party->channel->failed)
        fail(visit, "failed, but the handshake was done, and nobody refused");
}

/* There is one world at a time. */
static struct world *living;
static void (*judge)(struct probe *probe, enum probe_verdict verdict, const char *cause);

/* One that never dialled, for want of a descriptor, is none: the latest visit is over then. */
static struct visit *visit_of(const struct probe *probe)
{
    struct visit *visit = living->visits;
    while (visit != NULL && visit->probe != probe)
        visit = visit->next;
    return visit == NULL || visit->end->closed_ns != 0 ? NULL : visit;
}

static void note_verdict(struct visit *visit, enum probe_verdict verdict, const char *cause)
{
    static const char *const words[] = {
        [PROBE_GOOD] = "passed", [PROBE_BAD] = "failed: ", [PROBE_VOID] = "says nothing: "
    };
    SIM_TRACE(living->sim, "the check from port %u %s%s", weir_address_port(&visit->end->local), words[verdict], cause);
    if (visit->judged)
        fail(visit, "has a second verdict");
    visit->judged = true;
    visit->verdict = verdict;
    if (verdict == PROBE_GOOD)
        check_good(visit);
    else if (verdict == PROBE_BAD)
        check_bad(visit);
}

static void judged(struct probe *probe, enum probe_verdict verdict, const char *cause)
{
    struct visit *visit = visit_of(probe);
    if (visit != NULL)
        note_verdict(visit, verdict, cause);
    judge(probe, verdict, cause);
}

/* Life */

static struct check_bytes beginning_of(uint64_t stream)
{
    struct check_bytes bytes = { .data = malloc(VISIT_BYTES), .size = VISIT_BYTES };
    assert(bytes.data != NULL);
    stream_fill(stream, 0, bytes.data, bytes.size);
    return bytes;
}

void visits_prepare(struct snapshot *snapshot)
{
    for (uint32_t n = 0; n < snapshot->pool_count; n++) {
        struct health_settings *health = &snapshot->pools[n].health;
        if (health->check != HEALTH_CHECK_EXCHANGE)
            continue;
        health->send = beginning_of(VISIT_QUESTION);
        health->expect = beginning_of(VISIT_ANSWER);
    }
}

/* Only connections and checks dial. */
void visits_dialled(struct world *world, struct weir_socket *socket, struct net_end *end)
{
    struct probe *probe = (struct probe *)((char *)socket - offsetof(struct probe, socket));
    struct visit *visit = sim_alloc(sizeof *visit);
    *visit = (struct visit){
        .world = world,
        .next = world->visits,
        .probe = probe,
        .loop = probe->loop,
        .settings = probe->settings,
        .end = end,
        .host = KIT_PARTS,
        .deadline_ns = probe->deadline.deadline_ns,
    };
    for (const struct visit *other = world->visits; other != NULL; other = other->next)
        if (other->probe == probe && other->end->closed_ns == 0)
            fail(visit, "begins before the last one has ended");
    world->visits = visit;
    living = world;
    if (probe->judged != judged) {
        judge = probe->judged;
        probe->judged = judged;
    }
}

struct visit *visits_find(struct world *world, const struct net_end *end)
{
    struct visit *visit = world->visits;
    while (visit != NULL && visit->end != end)
        visit = visit->next;
    return visit;
}

bool visits_use_tls(const struct visit *visit)
{
    return has_tls(visit);
}

static void check_question(const struct visit *visit)
{
    const struct party *party = visit->party;
    if (party->received > (asks(visit) ? VISIT_BYTES : 0))
        fail(visit, "sends more than it may");
    else if (party->matched != party->received)
        fail(visit, "sends something else than its question");
}

static void visit_over(struct party *party)
{
    struct visit *visit = party->owner;
    SIM_TRACE(party->sim, "whoever answered the check from port %u has left", weir_address_port(&visit->end->local));
    check_question(visit);
}

/* Half of them give the answer, or its beginning; most of these only when they were asked. */
void visits_serve(struct visit *visit, struct party *party)
{
    struct random *random = &visit->world->sim->random;
    visit->party = party;
    visit->next_answered = visit->world->answered;
    visit->world->answered = visit;
    party->owner = visit;
    party->over = visit_over;
    if (!asks(visit))
        return;
    party->expects = VISIT_QUESTION;
    party->script.echo = false;
    if (random_chance(random, 600)) {
        party->sends = VISIT_ANSWER;
        party->script.bytes += random_chance(random, 800) ? VISIT_BYTES : 0;
        party->script.after_bytes = random_chance(random, 700) ? VISIT_BYTES : 0;
        party->script.after_end = false;
    }
}

/* Judgement */

/* A reload ends the checks of the configuration before it. */
static bool was_ended_by_reload(const struct visit *visit)
{
    const struct snapshot *snapshot = visit->world->snapshot;
    for (uint32_t n = 0; n < snapshot->pool_count; n++)
        if (&snapshot->pools[n].health == visit->settings)
            return false;
    return true;
}

static void check_end(const struct visit *visit)
{
    const struct net_end *end = visit->end;
    if (visit->judged && visit->verdict == PROBE_GOOD && end->closed_ns < visit->deadline_ns && end->reset_ns == 0 &&
        end->reset_sent && end->read < READ_MAX && !visit->world->stopping && !was_ended_by_reload(visit))
        fail(visit, "passed, and ends with a reset");
}

void visits_turned(struct world *world, const struct worker *worker)
{
    struct visit **link = &world->visits;
    while (*link != NULL) {
        struct visit *visit = *link;
        bool mine = visit->loop == worker->loop, closed = visit->end->closed_ns != 0;
        if (mine && closed)
            check_end(visit);
        else if (mine && weir_loop_now(worker->loop) > visit->deadline_ns + SIM_SECOND &&
                 worker->loop->catch_up_until_ns == 0 && visit->probe->stage != PROBE_CLOSING)
            fail(visit, "goes on, and no timeout ends it");
        if (mine && closed)
            *link = visit->next;
        else
            link = &visit->next;
    }
}

void visits_final(struct world *world)
{
    for (const struct visit *visit = world->visits; visit != NULL; visit = visit->next)
        if (visit->end->closed_ns == 0)
            fail(visit, "was never closed");
}

void visits_close(struct world *world)
{
    for (const struct visit *visit = world->answered; visit != NULL; visit = visit->next_answered)
        if (visit->party->channel != NULL && !visit->party->gone)
            channel_close(visit->party->channel);
}
