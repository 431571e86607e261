/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"
#include "memory.h"
#include "oracle_health.h"
#include "oracle_tls.h"
#include "reference.h"
#include "visits.h"
#include "world.h"

/* What must hold in every world.
 *
 * Bytes and ends
 *  1. What arrives is what was sent, byte for byte, from the first one on: no byte lost, changed, doubled or from
 *     another connection. A retry brings an upstream nothing that another one has had.
 *  2. A clean end is passed on only after the source's clean end, and after all of its bytes. So a reset, a timeout or
 *     a death never looks like a clean end.
 *  3. A connection that did not end as `done` is reset towards whoever has not broken it himself.
 * Reasons
 *  4. Every accepted connection has exactly one line and one counted reason (one that there was no memory for has no
 *     line). Accepted is the sum of closed; what lines and counters say agrees.
 *  5. The reason fits what happened; see the table of rules below. After the line, the descriptors are closed soon.
 * Choosing
 *  6. Nobody's connection goes to an upstream that the policy does not let him reach, or to one twice.
 *  7. At the moment of choosing, nothing available had fewer connections for its weight.
 *  8. Nobody has more connections than he may, and the rate is exactly GCRA's, both ways.
 * Time
 *  9. idle_timeout, half_close_timeout and connect_timeout come neither early nor late.
 * 10. Where there is room, nobody waits to be accepted. A reset is noticed, bytes that can go on go on, and an end is
 *     passed on, all without delay. The world comes to rest, and no event goes round in circles.
 * Leftovers
 * 11. At the end nothing is left: counts of upstreams, clients and listeners, descriptors, loans, operations, timers,
 *     overflow, memory.
 * Bounds
 * 12. A direction's overflow stays within its bound and the loans of a turn; a worker's within its budget.
 * With TLS (oracle_tls.c)
 * 13. All of this holds for the plain bytes and for close_notify, whatever crosses the wire: bytes, ends, access by the
 *     certificate and not by the address, limits, time.
 * 14. Who has not finished his handshake with a good certificate is nobody: no upstream is dialled for him.
 * 15. Not a byte of a client comes to an upstream that has not proved who it is, or that does not take the balancer's
 *     certificate; nor to one that was given up for another.
 * 16. A side with TLS sees records of TLS and nothing else, encrypted once the handshake is done.
 * 17. A truncated side is no clean end, neither in the log nor for the other side; who is refused after his handshake
 *     gets a clean end and not a byte before it.
 * Of health (oracle_health.c)
 * 18. No client's connection goes to an upstream that is known as down, drained or disabled; checks do. Those of one
 *     that is disabled end as `admin_closed`, soon, and nobody else's do.
 * 19. An ejection leaves nobody with nothing: who is ejected is available where nobody else is.
 * 20. So many bad checks in a row as `fall` says take an upstream out, and no fewer; so many good ones as `rise` says
 *     bring it back, always, and no fewer. Checks never cease.
 * 21. No upstream is ejected before so many real failures; what is missing here (ports, memory) is none.
 * 22. Who comes back starts slowly: rule 7 holds with the connections that it is taken to have. */

/* How late something may be: the loops' stalls, and what delays add up to. */
static uint64_t slack_ns(const struct world *world)
{
    return SIM_SECOND + 3 * world->io.stall_ns;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_late(const struct world *world, uint64_t since_ns)
{
    return since_ns != 0 && world->sim->now_ns > since_ns + slack_ns(world);
}

static const struct net_end *client_side(const struct life *life)
{
    return life->client.end->peer;
}

/* NULL when nobody was dialled. */
static const struct net_end *upstream_side(const struct life *life)
{
    return life->attempt_count == 0 ? NULL : life->attempts[life->attempt_count - 1].end;
}

/* The counts that choosing relies on, from the connections themselves: each that holds a lease is one. */
static void check_leases(struct world *world)
{
    uint32_t held[WORLD_UPSTREAMS] = { 0 };
    for (uint32_t n = 0; n < world->shared.workers; n++)
        for (const struct conn *conn = world->workers[n].conns; conn != NULL; conn = conn->next)
            for (uint32_t upstream = 0; upstream < world->snapshot->upstream_count; upstream++)
                held[upstream] +=
                    conn->lease.upstreams != NULL && conn->lease.upstream == world->snapshot->upstreams[upstream].id;
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++)
        if (held[n] != reference_active(world, n))
            world_fail(world, "upstream %u counts %u connections, %u hold it", n, reference_active(world, n), held[n]);
}

void oracle_dialled(struct world *world, struct conn *conn, struct attempt *attempt)
{
    const struct life *life = attempt->life;
    const struct pool *pool = reference_pool(life);
    uint32_t before = life->attempt_count - 1, chosen = conn->lease.place;
    check_leases(world);
    tls_check_dialled(life);
    if (chosen >= pool->place_count || pool->places[chosen].upstream != attempt->upstream)
        world_fail(world, "client %u: the lease and the address dialled do not agree", life->index);
    else if (!reference_allows(life, chosen))
        world_fail(world, "client %u reaches upstream %u, which it may not", life->index, attempt->upstream);
    /* The pools of a configuration that counts no more are not told of health. */
    if (world->failed || conn->view->snapshot != world->snapshot)
        return;
    health_check_dialled(life, chosen);
    if (!reference_available(life, before, chosen, reference_active(world, attempt->upstream) - 1))
        world_fail(world, "client %u: upstream %u was tried, full or down", life->index, attempt->upstream);
    for (uint32_t n = 0; n < pool->place_count && !world->failed; n++) {
        uint32_t active = reference_active(world, pool->places[n].upstream);
        if (n != chosen && reference_available(life, before, n, active) &&
            reference_goes_before(world, pool, n, active, chosen, reference_active(world, attempt->upstream) - 1))
            world_fail(world, "client %u: upstream %u was chosen, but upstream %u goes before it", life->index,
                       attempt->upstream, pool->places[n].upstream);
    }
}

/* Limits */

static void check_slots(struct world *world, const struct life *life, const struct weir_client *slot)
{
    uint32_t held = 0, most = reference_limits(life)->connections;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        for (const struct conn *conn = world->workers[n].conns; conn != NULL; conn = conn->next)
            held += conn->slot == slot;
    if (held != weir_client_active(slot))
        world_fail(world, "client %u: its record counts %u connections, %u hold it", life->index,
                   weir_client_active(slot), held);
    if (most != 0 && held > most)
        world_fail(world, "client %u: %u connections at once, %u are allowed", life->index, held, most);
}

/* Whether the limits have let it in: what refuses without a try comes before them, but for `no_upstream`. */
static bool was_admitted(const struct conn *conn)
{
    return conn->tried.count > 0 || conn->reason == CLOSE_NONE || conn->reason == CLOSE_NO_UPSTREAM ||
           conn->reason == CLOSE_DRAIN_TIMEOUT || conn->reason == CLOSE_ADMIN_CLOSED;
}

/* Looks at the connections that this turn has accepted, the oldest first. */
static void check_accepted(struct world *world, struct worker *worker, const struct conn *conn)
{
    if (conn == NULL || conn->id <= world->last_id[worker->index])
        return;
    check_accepted(world, worker, conn->next);
    world->last_id[worker->index] = conn->id;
    const struct life *life = world_life_of(world, conn);
    if (life == NULL || tls_on_client(life))
        return;
    struct caller *caller = &world->callers[life->caller];
    bool allowed = reference_rate_allows(life, conn->accepted_ns);
    if (conn->slot != NULL)
        check_slots(world, life, conn->slot);
    if (conn->reason == CLOSE_CLIENT_RATE && allowed)
        world_fail(world, "client %u was refused for its rate, which allows it", life->index);
    if (!was_admitted(conn))
        return;
    if (!allowed)
        world_fail(world, "client %u was let in, which its rate does not allow", life->index);
    caller->admitted_ns[caller->admitted++] = conn->accepted_ns;
}

/* The same of a client with TLS: it meets its limits when its handshake is done. Those that are let in come first: all
 * of a turn have the same time. */
static void check_shaken(struct world *world, struct worker *worker, bool admitted)
{
    for (const struct conn *conn = worker->conns; conn != NULL; conn = conn->next) {
        struct life *life = world_life_of(world, conn);
        if (life == NULL || !tls_on_client(life) || life->judged || conn->shaken_ns == 0 ||
            was_admitted(conn) != admitted)
            continue;
        struct caller *caller = &world->callers[life->caller];
        bool allowed = reference_rate_allows(life, conn->shaken_ns);
        life->judged = true;
        if (conn->slot != NULL)
            check_slots(world, life, conn->slot);
        if (conn->reason == CLOSE_CLIENT_RATE && allowed)
            world_fail(world, "client %u was refused for its rate, which allows it", life->index);
        if (admitted && !allowed)
            world_fail(world, "client %u was let in, which its rate does not allow", life->index);
        if (admitted)
            caller->admitted_ns[caller->admitted++] = conn->shaken_ns;
    }
}

/* Time and bounds, of a connection that is open */

static uint64_t moved_ns(const struct net_end *end)
{
    return later(end->read_ns, end->sent_ns);
}

/* When a byte moved last, or could for the first time. */
static uint64_t active_ns(const struct life *life)
{
    const struct net_end *upstream = upstream_side(life);
    return later(upstream->connected_ns, later(moved_ns(client_side(life)), moved_ns(upstream)));
}

/* Since when bytes that came from one side could have gone to the other one, but did not; 0: they could not. */
static uint64_t stuck_since_ns(const struct net_end *from, const struct net_end *to)
{
    bool wait = from->rx.size > 0 && to->tx.size < to->tx.capacity;
    return wait ? later(later(from->read_ns, from->arrived_ns), later(to->sent_ns, to->drained_ns)) : 0;
}

/* Since when the end of one side is known and could have been passed on; 0: nothing is owed. */
static uint64_t owed_since_ns(const struct net_end *from, const struct net_end *to)
{
    bool owed = from->fin_ns != 0 && from->rx.size == 0 && to->sent == from->arrived && !to->shut;
    return owed ? later(from->fin_ns, to->sent_ns) : 0;
}

/* Whatever can go on goes on at once: an idle or mute connection is the people's doing alone. */
static void check_flow(const struct life *life)
{
    if (tls_on_either(life)) {
        tls_check_flow(life);
        return;
    }
    const struct net_end *client = client_side(life), *upstream = upstream_side(life);
    const struct net_end *ends[] = { client, upstream };
    if (client->reset_ns != 0 && is_late(life->world, later(client->reset_ns, life->attempts[0].at_ns)))
        world_fail(life->world, "client %u: its reset is not noticed", life->index);
    if (upstream->reset_ns != 0 && is_late(life->world, upstream->reset_ns))
        world_fail(life->world, "client %u: the upstream's reset is not noticed", life->index);
    if (upstream->connected_ns == 0 || client->dead || upstream->dead)
        return;
    for (unsigned from = 0; from < 2; from++) {
        uint64_t stuck_ns = stuck_since_ns(ends[from], ends[1 - from]);
        uint64_t owed_ns = owed_since_ns(ends[from], ends[1 - from]);
        if (stuck_ns != 0 && is_late(life->world, later(stuck_ns, upstream->connected_ns)))
            world_fail(life->world, "client %u: bytes wait, and nothing hinders them", life->index);
        if (owed_ns != 0 && is_late(life->world, later(owed_ns, upstream->connected_ns)))
            world_fail(life->world, "client %u: an end is not passed on", life->index);
    }
}

/* The time without a byte that a relay allows now; 0: any. */
static uint64_t patience_ns(const struct conn *conn)
{
    uint64_t idle_ns = conn->gate->relay.idle_timeout_ns;
    uint64_t half_ns = conn->gate->relay.half_close_timeout_ns;
    bool half_closed =
        conn->relay.direction[WEIR_RELAY_CLIENT].ended || conn->relay.direction[WEIR_RELAY_UPSTREAM].ended;
    return half_closed && half_ns != 0 && (idle_ns == 0 || half_ns < idle_ns) ? half_ns : idle_ns;
}

static void check_time(const struct life *life, const struct conn *conn)
{
    struct world *world = life->world;
    uint64_t now_ns = world->sim->now_ns, since_ns, allowed_ns;
    if (conn->connected_ns == 0) {
        since_ns = life->attempts[life->attempt_count - 1].at_ns;
        allowed_ns = reference_pool(life)->connect_timeout_ns;
    } else {
        since_ns = later(active_ns(life), later(client_side(life)->fin_ns, upstream_side(life)->fin_ns));
        since_ns = later(since_ns, conn->connected_ns);
        allowed_ns = patience_ns(conn);
    }
    if (allowed_ns != 0 && is_late(world, since_ns + allowed_ns))
        world_fail(world, "client %u: nothing happens for %" PRIu64 " ms, and no timeout ends it", life->index,
                   (now_ns - since_ns) / SIM_MS);
}

/* What waited in a handshake comes at once, and records are longer than what they carry. */
#define TLS_EXTRA_BYTES (160u << 10)

static void check_overflow(const struct life *life, const struct conn *conn)
{
    uint32_t bound = conn->gate->relay.overflow_bytes != 0 ? conn->gate->relay.overflow_bytes : 64u << 10;
    uint32_t turn = (IO_SOCKET_LOANS + 2) * life->world->io.buffer_bytes;
    if (tls_on_either(life))
        turn = 2 * turn + TLS_EXTRA_BYTES;
    for (unsigned side = 0; side < 2; side++)
        if (conn->relay.direction[side].overflow_size > bound + turn)
            world_fail(life->world, "client %u: an overflow of %u bytes, %u are allowed", life->index,
                       conn->relay.direction[side].overflow_size, bound + turn);
}

void oracle_turned(struct world *world, struct worker *worker)
{
    visits_turned(world, worker);
    check_accepted(world, worker, worker->conns);
    check_shaken(world, worker, true);
    check_shaken(world, worker, false);
    for (const struct conn *conn = worker->conns; conn != NULL && !world->failed; conn = conn->next) {
        struct life *life = world_life_of(world, conn);
        if (life == NULL)
            continue;
        life->relayed_ns = conn->connected_ns;
        tls_check_time(life, conn);
        if (conn->reason == CLOSE_NONE && life->attempt_count > 0) {
            check_time(life, conn);
            check_flow(life);
        }
        if (conn->reason == CLOSE_NONE && life->attempt_count == 0 && tls_on_client(life))
            check_flow(life);
        check_overflow(life, conn);
    }
    health_check_turned(world, worker);
    if (worker->budget.used > worker->budget.limit)
        world_fail(world, "the overflows of worker %u are over their budget", worker->index);
}

/* Reasons: each with what must be true when its line is written. */

/* All that one side sent has been handed to the other one's kernel, and so has its end: unless a reset came while the
 * balancer learned that the last bytes were taken. */
static bool is_through(const struct life *life, const struct net_end *from, const struct net_end *to)
{
    bool ended = to->shut || (to->reset_ns != 0 && to->reset_ns + slack_ns(life->world) > life->closed_ns);
    return ended && from->fin_ns != 0 && from->rx.size == 0 && to->sent == from->arrived &&
           from->arrived == from->peer->sent;
}

static bool fits_done(const struct life *life)
{
    if (tls_on_either(life))
        return tls_is_through(life);
    return upstream_side(life) != NULL && is_through(life, client_side(life), upstream_side(life)) &&
           is_through(life, upstream_side(life), client_side(life));
}

static bool fits_client_reset(const struct life *life)
{
    return client_side(life)->reset_ns != 0 || tls_fits_client_reset(life);
}

static bool fits_upstream_reset(const struct life *life)
{
    return upstream_side(life) != NULL && (upstream_side(life)->reset_ns != 0 || tls_fits_upstream_reset(life));
}

static bool fits_idle_timeout(const struct life *life)
{
    uint64_t idle_ns = life->world->snapshot->listeners[life->listener].idle_timeout_ns;
    return upstream_side(life) != NULL && idle_ns != 0 && life->closed_ns >= active_ns(life) + idle_ns;
}

/* Cleanly, or truncated: then what came before still goes out. */
static bool has_ended(const struct party *party, const struct net_end *end)
{
    return end->fin_ns != 0 || tls_ended_ns(party, end) != 0;
}

static bool fits_half_close_timeout(const struct life *life)
{
    uint64_t half_ns = life->world->snapshot->listeners[life->listener].half_close_timeout_ns;
    return upstream_side(life) != NULL && half_ns != 0 &&
           (has_ended(&life->client, client_side(life)) || has_ended(life->upstream, upstream_side(life))) &&
           life->closed_ns >= active_ns(life) + half_ns;
}

static bool fits_unknown_client(const struct life *life)
{
    return life->caller >= WORLD_CLIENTS && !reference_allows_any(life);
}

static bool fits_not_authorized(const struct life *life)
{
    return !reference_allows_any(life);
}

static bool fits_client_limit(const struct life *life)
{
    const struct world *world = life->world;
    uint32_t most = reference_limits(life)->connections;
    bool configured = life->caller < WORLD_CLIENTS;
    return most != 0 && reference_allows_any(life) &&
           (!configured || weir_client_active(world->snapshot->clients[life->caller].record) == most);
}

/* Whether the rate was exceeded is judged when the connection is seen first. */
static bool fits_client_rate(const struct life *life)
{
    return reference_limits(life)->rate_period_ns != 0 && reference_allows_any(life);
}

static bool fits_no_upstream(const struct life *life)
{
    return life->attempt_count == 0 && life->unreached == 0 && reference_allows_any(life) &&
           !reference_anything_available(life);
}

static uint32_t unreached(const struct life *life)
{
    return (uint32_t)__builtin_popcount(life->unreached);
}

/* The last one failed, and there was no other to try. */
static bool ran_out_of_upstreams(const struct life *life)
{
    return life->attempt_count > 0 && (life->attempt_count + unreached(life) > reference_pool(life)->retries ||
                                       !reference_anything_available(life));
}

static bool fits_connect_failed(const struct life *life)
{
    return ran_out_of_upstreams(life) && (upstream_side(life)->connect_status < 0 || tls_fits_connect_failed(life));
}

static bool fits_connect_timeout(const struct life *life)
{
    return ran_out_of_upstreams(life) &&
           life->closed_ns >= life->attempts[life->attempt_count - 1].at_ns + reference_pool(life)->connect_timeout_ns;
}

static bool fits_over_capacity(const struct life *life)
{
    const struct world *world = life->world;
    return world->net->descriptors_denied > 0 || life->unreached != 0 || tls_fits_over_capacity(life) ||
           (life->caller >= WORLD_CLIENTS && world->strangers_max < WORLD_CALLERS - WORLD_CLIENTS);
}

static bool fits_out_of_memory(const struct life *life)
{
    return memory_denied() > 0 || life->world->budget_bytes != 0;
}

/* By hand: who was there when its upstream was disabled, or was about to learn that it could not be dialled. */
static bool fits_admin_closed(const struct life *life)
{
    for (uint32_t n = 0; n < life->world->snapshot->upstream_count; n++)
        if ((life->unreached & 1u << n) != 0 && life->world->hosts[n].disabled_ns != 0)
            return true;
    if (life->attempt_count == 0)
        return false;
    const struct attempt *last = &life->attempts[life->attempt_count - 1];
    uint64_t disabled_ns = life->world->hosts[last->upstream].disabled_ns;
    return disabled_ns != 0 && disabled_ns >= last->at_ns;
}

static bool fits_drain_timeout(const struct life *life)
{
    return life->world->stopping;
}

static bool (*const fits[CLOSE_REASONS])(const struct life *life) = {
    [CLOSE_DONE] = fits_done,
    [CLOSE_CLIENT_RESET] = fits_client_reset,
    [CLOSE_UPSTREAM_RESET] = fits_upstream_reset,
    [CLOSE_IDLE_TIMEOUT] = fits_idle_timeout,
    [CLOSE_HALF_CLOSE_TIMEOUT] = fits_half_close_timeout,
    [CLOSE_HANDSHAKE_TIMEOUT] = tls_fits_handshake_timeout,
    [CLOSE_TLS_NO_CERTIFICATE] = tls_fits_no_certificate,
    [CLOSE_TLS_BAD_CERTIFICATE] = tls_fits_bad_certificate,
    [CLOSE_TLS_ERROR] = tls_fits_error,
    [CLOSE_TLS_TRUNCATED] = tls_fits_truncated,
    [CLOSE_UNKNOWN_CLIENT] = fits_unknown_client,
    [CLOSE_CLIENT_LIMIT] = fits_client_limit,
    [CLOSE_CLIENT_RATE] = fits_client_rate,
    [CLOSE_NOT_AUTHORIZED] = fits_not_authorized,
    [CLOSE_NO_UPSTREAM] = fits_no_upstream,
    [CLOSE_CONNECT_FAILED] = fits_connect_failed,
    [CLOSE_CONNECT_TIMEOUT] = fits_connect_timeout,
    [CLOSE_OVER_CAPACITY] = fits_over_capacity,
    [CLOSE_OUT_OF_MEMORY] = fits_out_of_memory,
    [CLOSE_ADMIN_CLOSED] = fits_admin_closed,
    [CLOSE_DRAIN_TIMEOUT] = fits_drain_timeout,
};

/* A connection may start to relay and end in one turn. */
static void note_times(struct life *life)
{
    const struct world *world = life->world;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        for (const struct conn *conn = world->workers[n].conns; conn != NULL; conn = conn->next)
            if (world_life_of(life->world, conn) == life) {
                life->accepted_ns = conn->accepted_ns;
                life->relayed_ns = conn->connected_ns;
            }
}

void oracle_closed(struct life *life)
{
    note_times(life);
    if (life->lines > 1)
        world_fail(life->world, "client %u: a second line", life->index);
    else if (fits[life->reason] == NULL)
        world_fail(life->world, "client %u: a line without a reason", life->index);
    else if (!fits[life->reason](life))
        world_fail(life->world, "client %u: the reason %s does not fit what happened", life->index,
                   close_reason_label(life->reason));
    if (life->attempt_count > 0)
        check_flow(life);
}

static bool is_served(struct life *life)
{
    struct world *world = life->world;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        for (const struct conn *conn = world->workers[n].conns; conn != NULL; conn = conn->next)
            if (world_life_of(world, conn) == life)
                return true;
    return life->lines > 0;
}

/* A client goes: it need not have waited at the door while there was room. */
void oracle_left(struct life *life)
{
    const struct world *world = life->world;
    const struct net_end *end = client_side(life);
    bool open = !world->draining && !world->stopping && memory_denied() == 0;
    if (!open || end == NULL || life->client.end->connected_ns == 0 || is_served(life))
        return;
    uint64_t since_ns = later(life->client.end->connected_ns, later(world->full_ns, world->net->denied_ns));
    if (is_late(world, since_ns))
        world_fail(life->world, "client %u waited %" PRIu64 " ms while there was room for it", life->index,
                   (world->sim->now_ns - since_ns) / SIM_MS);
}

/* At the end */

static void check_bytes(const struct life *life, const struct party *party, const char *who)
{
    if (party->matched != party->received)
        world_fail(life->world, "client %u: byte %" PRIu64 " of %" PRIu64 " that %s got was not sent to it",
                   life->index, party->matched, party->received, who);
}

/* Rule 2: what the balancer ended cleanly towards `to` was clean and complete from `from`. */
static void check_clean_end(const struct life *life, const struct net_end *from, const struct net_end *to,
                            const char *who)
{
    if (!to->shut || tls_on_either(life))
        return;
    if (from == NULL || from->fin_ns == 0)
        world_fail(life->world, "client %u: %s sees a clean end that the other side has not sent", life->index, who);
    else if (to->sent != from->peer->sent)
        world_fail(life->world, "client %u: %s sees a clean end after %" PRIu64 " of %" PRIu64 " bytes", life->index,
                   who, to->sent, from->peer->sent);
}

/* What a refused client with TLS gets to read why. */
#define FAREWELL_NS SIM_SECOND

static void check_end(const struct life *life, const struct net_end *end, const char *who)
{
    if (end->closed_ns == 0)
        world_fail(life->world, "client %u: the socket to %s was never closed", life->index, who);
    else if (life->lines > 0 && end->closed_ns > life->closed_ns + slack_ns(life->world) + FAREWELL_NS)
        world_fail(life->world, "client %u: the socket to %s was closed %" PRIu64 " ms after the end", life->index, who,
                   (end->closed_ns - life->closed_ns) / SIM_MS);
    bool farewell = end == client_side(life) && tls_is_farewell(life);
    bool given_up = end != client_side(life) && tls_on_upstream(life) && life->relayed_ns == 0;
    if (life->reason != CLOSE_DONE && !end->reset_sent && !end->dead && !farewell && !given_up)
        world_fail(life->world, "client %u: reason %s, but %s was not reset", life->index,
                   close_reason_label(life->reason), who);
}

static void check_attempts(const struct life *life)
{
    for (uint32_t n = 0; n < life->attempt_count; n++) {
        const struct net_end *end = life->attempts[n].end;
        if (end->closed_ns == 0)
            world_fail(life->world, "client %u: the socket of attempt %u was never closed", life->index, n);
        if (n + 1 < life->attempt_count && end->sent > 0 && !tls_on_upstream(life))
            world_fail(life->world, "client %u: attempt %u failed, but had its bytes", life->index, n);
    }
}

static void check_counted_bytes(const struct life *life)
{
    if (tls_on_either(life))
        return;
    const struct net_end *client = client_side(life), *upstream = upstream_side(life);
    uint64_t up = upstream != NULL ? upstream->sent : 0;
    bool exact = life->reason == CLOSE_DONE;
    if (life->bytes[WEIR_RELAY_CLIENT] > up || life->bytes[WEIR_RELAY_UPSTREAM] > client->sent ||
        (exact && (life->bytes[WEIR_RELAY_CLIENT] != up || life->bytes[WEIR_RELAY_UPSTREAM] != client->sent)))
        world_fail(life->world, "client %u: the line's bytes are not those that were sent", life->index);
}

static bool was_accepted(const struct life *life)
{
    return life->client.end->peer != NULL && life->client.end->peer->fd >= 0;
}

static void check_life(const struct life *life)
{
    struct world *world = life->world;
    if (!was_accepted(life))
        return;
    const struct net_end *client = client_side(life), *upstream = upstream_side(life);
    if (life->lines == 0 && memory_denied() == 0 && client->reset_ns == 0 && !world->draining && !world->stopping)
        world_fail(world, "client %u was accepted, and no line tells of its end", life->index);
    check_bytes(life, &life->client, "the client");
    check_clean_end(life, upstream, client, "the client");
    check_end(life, client, "the client");
    check_attempts(life);
    check_counted_bytes(life);
    if (tls_on_either(life))
        tls_check_final(life);
    if (upstream == NULL)
        return;
    check_clean_end(life, client, upstream, "the upstream");
    if (upstream->connect_status == 0)
        check_end(life, upstream, "the upstream");
    if (life->upstream != NULL)
        check_bytes(life, life->upstream, "the upstream");
}

struct sums {
    uint64_t accepted, bytes[2], reasons[CLOSE_REASONS];
};

static struct sums sum_counters(const struct world *world)
{
    struct sums sums = { 0 };
    for (uint32_t n = 0; n < world->snapshot->listener_count; n++)
        for (uint32_t worker = 0; worker < world->shared.workers; worker++) {
            const struct listener_slot *slot = &world->snapshot->listeners[n].slots[worker];
            sums.accepted += counter_read(&slot->accepted);
            sums.bytes[WEIR_RELAY_CLIENT] += slot->bytes[WEIR_RELAY_CLIENT];
            sums.bytes[WEIR_RELAY_UPSTREAM] += slot->bytes[WEIR_RELAY_UPSTREAM];
            for (int reason = 0; reason < CLOSE_REASONS; reason++)
                sums.reasons[reason] += counter_read(&slot->closed[reason]);
        }
    return sums;
}

static struct sums sum_lines(const struct world *world)
{
    struct sums sums = { .reasons[CLOSE_CLIENT_RESET] = world->unnamed };
    for (uint32_t n = 0; n < world->life_count; n++) {
        const struct life *life = &world->lives[n];
        sums.reasons[life->reason] += life->lines;
        sums.bytes[WEIR_RELAY_CLIENT] += life->bytes[WEIR_RELAY_CLIENT];
        sums.bytes[WEIR_RELAY_UPSTREAM] += life->bytes[WEIR_RELAY_UPSTREAM];
    }
    return sums;
}

static void check_counters(struct world *world)
{
    struct sums counted = sum_counters(world), told = sum_lines(world);
    uint64_t closed = 0;
    for (int reason = 0; reason < CLOSE_REASONS; reason++) {
        closed += counted.reasons[reason];
        if (counted.reasons[reason] != told.reasons[reason] && reason != CLOSE_OUT_OF_MEMORY)
            world_fail(world, "%" PRIu64 " connections were counted as %s, %" PRIu64 " lines say so",
                       counted.reasons[reason], close_reason_label((enum close_reason)reason), told.reasons[reason]);
    }
    if (counted.accepted != closed)
        world_fail(world, "%" PRIu64 " connections were accepted, %" PRIu64 " closed", counted.accepted, closed);
    for (unsigned side = 0; side < 2; side++)
        if (counted.bytes[side] != told.bytes[side])
            world_fail(world, "%" PRIu64 " bytes were counted, the lines tell of %" PRIu64, counted.bytes[side],
                       told.bytes[side]);
}

static void check_leftovers(struct world *world)
{
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++)
        if (reference_active(world, n) != 0)
            world_fail(world, "upstream %u counts %u connections at the end", n, reference_active(world, n));
    for (uint32_t n = 0; n < world->snapshot->client_count; n++)
        if (weir_client_active(world->snapshot->clients[n].record) != 0)
            world_fail(world, "client record %u counts connections at the end", n);
    if (weir_limiter_active(world->state.limiter) != 0)
        world_fail(world, "the limiter counts connections at the end");
    if (world->shared.open_connections != 0)
        world_fail(world, "%u connections are counted as open at the end", world->shared.open_connections);
    if (world->net->open_descriptors != 0)
        world_fail(world, "%u descriptors are open at the end", world->net->open_descriptors);
    for (uint32_t n = 0; n < world->shared.workers; n++) {
        if (sim_loop_lent(world->loops[n]) != 0)
            world_fail(world, "%u buffers are lent at the end", sim_loop_lent(world->loops[n]));
        if (world->loops[n]->timers.first != NULL)
            world_fail(world, "a timer is armed at the end");
        if (world->workers[n].budget.used != 0)
            world_fail(world, "overflow is counted at the end");
        if (world->workers[n].nobody_count != 0 || world->workers[n].handshakes.first != NULL)
            world_fail(world, "handshakes are counted at the end");
    }
}

void oracle_final(struct world *world)
{
    for (uint32_t n = 0; n < world->life_count; n++)
        check_life(&world->lives[n]);
    visits_final(world);
    check_counters(world);
    check_leftovers(world);
    health_check_final(world);
}
