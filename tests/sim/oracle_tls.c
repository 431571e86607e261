/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle_tls.h"

#include <inttypes.h>

#include "memory.h"

static enum kit_part listener_part(const struct life *life)
{
    return life->world->tls.listeners[life->listener];
}

static uint32_t pool_of(const struct life *life)
{
    return life->world->snapshot->listeners[life->listener].pool;
}

static const struct attempt *last_attempt(const struct life *life)
{
    return life->attempt_count == 0 ? NULL : &life->attempts[life->attempt_count - 1];
}

/* Who answered the last attempt; NULL: nobody, or one who left at once. */
static const struct party *server_of(const struct life *life)
{
    const struct attempt *attempt = last_attempt(life);
    return attempt == NULL ? NULL : attempt->party;
}

bool tls_on_client(const struct life *life)
{
    return listener_part(life) != KIT_PARTS;
}

bool tls_on_upstream(const struct life *life)
{
    return life->world->tls.pools[pool_of(life)] != KIT_PARTS;
}

bool tls_on_either(const struct life *life)
{
    return tls_on_client(life) || tls_on_upstream(life);
}

static bool is_refused(const struct life *life)
{
    switch (life->part) {
    case KIT_CLIENT_WRONG_CA:
    case KIT_CLIENT_EXPIRED:
        return true;
    case KIT_CLIENT_REVOKED:
        return listener_part(life) == KIT_LISTENER_CRL;
    default:
        return false;
    }
}

bool tls_is_known(const struct life *life)
{
    bool anonymous = listener_part(life) == KIT_LISTENER_ANONYMOUS;
    return anonymous || (!is_refused(life) && life->part != KIT_CLIENT_NONE);
}

/* An upstream that the pool takes: its certificate is good. */
static bool is_trusted(enum kit_part host)
{
    return host == KIT_HOST || host == KIT_HOST_ANONYMOUS || host == KIT_HOST_REFUSES;
}

/* ... and that takes the pool's. */
static bool takes_us(const struct life *life, enum kit_part host)
{
    bool nameless = life->world->tls.pools[pool_of(life)] == KIT_POOL_NAMELESS;
    return host != KIT_HOST_REFUSES && (host == KIT_HOST_ANONYMOUS || !nameless);
}

static bool is_too_old(const struct channel *channel, enum kit_part ours)
{
    return channel->script.old && !kit_takes_1_2(ours);
}

uint64_t tls_ended_ns(const struct party *party, const struct net_end *end)
{
    if (end == NULL || end->peer == NULL)
        return 0;
    if (party == NULL || party->channel == NULL)
        return end->fin_ns;
    bool arrived = end->arrived == party->end->sent;
    bool notified = party->channel->ended_ns != 0 && party->channel->script.end != CHANNEL_TRUNCATES;
    return notified && arrived
               ? (party->channel->ended_ns > end->arrived_ns ? party->channel->ended_ns : end->arrived_ns)
               : 0;
}

/* Time */

static uint64_t slack_ns(const struct world *world)
{
    return 2 * SIM_SECOND + 3 * world->io.stall_ns;
}

static bool is_late(const struct life *life, uint64_t since_ns)
{
    uint64_t relayed_ns = life->relayed_ns;
    return life->world->sim->now_ns > (since_ns > relayed_ns ? since_ns : relayed_ns) + slack_ns(life->world);
}

static uint64_t latest(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t most = a > b ? a : b;
    return most > c ? most : c;
}

/* Bytes that came wait though the other side has room, or an end is known and all before it has gone. */
static void check_direction(const struct life *life, const struct party *source, const struct net_end *from,
                            const struct net_end *to)
{
    uint64_t ended_ns = tls_ended_ns(source, from);
    uint64_t since_ns = latest(latest(from->read_ns, from->arrived_ns, to->drained_ns), to->sent_ns, ended_ns);
    if (from->rx.size > 0 && ended_ns == 0 && to->tx.size < to->tx.capacity && !to->shut && is_late(life, since_ns))
        world_fail(life->world, "client %u: bytes wait, and nothing hinders them", life->index);
    if (ended_ns != 0 && from->rx.size == 0 && to->tx.size == 0 && !to->shut && is_late(life, since_ns))
        world_fail(life->world, "client %u: an end is not passed on", life->index);
}

void tls_check_flow(const struct life *life)
{
    const struct net_end *client = life->client.end->peer;
    const struct attempt *attempt = last_attempt(life);
    if (client->reset_ns != 0 && is_late(life, latest(client->reset_ns, attempt == NULL ? 0 : attempt->at_ns, 0)))
        world_fail(life->world, "client %u: its reset is not noticed", life->index);
    if (attempt == NULL)
        return;
    const struct net_end *upstream = attempt->end;
    if (upstream->reset_ns != 0 && upstream->closed_ns == 0 && is_late(life, upstream->reset_ns))
        world_fail(life->world, "client %u: the upstream's reset is not noticed", life->index);
    if (life->relayed_ns == 0 || client->dead || upstream->dead)
        return;
    check_direction(life, &life->client, client, upstream);
    check_direction(life, server_of(life), upstream, client);
}

/* Both have ended cleanly, and the kernels of both have been told of it. */
bool tls_is_through(const struct life *life)
{
    const struct net_end *client = life->client.end->peer;
    const struct attempt *attempt = last_attempt(life);
    if (attempt == NULL)
        return false;
    const struct net_end *upstream = attempt->end;
    return tls_ended_ns(&life->client, client) != 0 && tls_ended_ns(server_of(life), upstream) != 0 &&
           (client->shut || client->reset_ns != 0) && (upstream->shut || upstream->reset_ns != 0);
}

/* A client that is nobody reaches nobody. */
void tls_check_dialled(const struct life *life)
{
    if (!tls_on_client(life))
        return;
    if (!tls_is_known(life) || life->part == KIT_CLIENT_DISTRUSTS || life->client.channel->script.play != CHANNEL_TALKS)
        world_fail(life->world, "client %u is nobody, and an upstream is dialled for it", life->index);
    else if (is_too_old(life->client.channel, listener_part(life)))
        world_fail(life->world, "client %u speaks TLS 1.2, and is let in", life->index);
    else if (!life->client.channel->established && !life->client.channel->script.old)
        world_fail(life->world, "client %u has not done its handshake, and an upstream is dialled for it", life->index);
}

/* What came for a handshake has its turn soon. */
static void check_turn(const struct life *life, const struct handshake *handshake, const struct net_end *end,
                       uint64_t from_ns)
{
    if (handshake != NULL && handshake->queued && is_late(life, latest(end->read_ns, end->connected_ns, from_ns)))
        world_fail(life->world, "client %u: a handshake of its has no turn", life->index);
}

/* A handshake comes to its end in time, one way or the other. */
void tls_check_time(const struct life *life, const struct conn *conn)
{
    uint64_t until_ns = conn->accepted_ns + conn->gate->handshake_timeout_ns;
    if (tls_on_client(life) && conn->reason == CLOSE_NONE && conn->shaken_ns == 0 && is_late(life, until_ns))
        world_fail(life->world, "client %u: its handshake goes on, and no timeout ends it", life->index);
    check_turn(life, conn->client_tls.handshake, life->client.end->peer, conn->accepted_ns);
    if (last_attempt(life) != NULL)
        check_turn(life, conn->upstream_tls.handshake, last_attempt(life)->end, conn->connecting_ns);
}

/* At the end */

/* Of a connection that ends cleanly: unless it could not all be said in a second, or not be made. */
static bool owes_notice(const struct life *life)
{
    uint64_t took_ns = life->client.end->peer->closed_ns - life->closed_ns;
    return life->reason == CLOSE_DONE ||
           (tls_is_farewell(life) && life->reason != CLOSE_TLS_ERROR && took_ns < SIM_SECOND && memory_denied() == 0);
}

/* Who is refused can read why: no reset before a second is over. */
static void check_farewell(const struct life *life)
{
    const struct net_end *client = life->client.end->peer;
    if (tls_is_farewell(life) && client->reset_sent && client->reset_ns == 0 && memory_denied() == 0 &&
        client->closed_ns < life->closed_ns + SIM_SECOND && !life->client.broke)
        world_fail(life->world, "client %u: reason %s, but it was reset", life->index,
                   close_reason_label(life->reason));
}

static void check_channel(const struct life *life, const struct party *party, const char *who)
{
    const struct channel *channel = party->channel;
    if (channel == NULL)
        return;
    if (channel->foreign)
        world_fail(life->world, "client %u: %s gets what is no TLS, or not encrypted", life->index, who);
    bool owed = party == &life->client ? owes_notice(life) : life->reason == CLOSE_DONE;
    if (channel->cut && channel->established && owed)
        world_fail(life->world, "client %u: %s sees no close_notify, and the reason is %s", life->index, who,
                   close_reason_label(life->reason));
}

/* What somebody takes for a clean end is one: the other's, after all of his bytes; or a refusal, after none. */
static void check_clean_end(const struct life *life, const struct party *from, const struct net_end *source,
                            const struct party *to, const char *who)
{
    if (!to->saw_end || (to->channel == NULL && to->end->dead))
        return;
    if (tls_is_farewell(life) && to == &life->client && to->channel != NULL) {
        if (to->received > 0)
            world_fail(life->world, "client %u is refused, but got bytes", life->index);
    } else if (tls_ended_ns(from, source) == 0) {
        world_fail(life->world, "client %u: %s sees a clean end that the other side has not sent", life->index, who);
    } else if (to->received != (from == NULL ? 0 : from->sent)) {
        world_fail(life->world, "client %u: %s sees a clean end after %" PRIu64 " bytes, not all", life->index, who,
                   to->received);
    }
}

static void check_attempt(const struct life *life, const struct attempt *attempt, bool last)
{
    enum kit_part host = life->world->tls.hosts[attempt->upstream];
    const struct party *party = attempt->party;
    if (party == NULL)
        return;
    if (party->received > 0 && (!last || (tls_on_upstream(life) && (!is_trusted(host) || !takes_us(life, host)))))
        world_fail(life->world, "client %u: upstream %u, which is not the right one, has bytes of it", life->index,
                   attempt->upstream);
}

static void check_counted_bytes(const struct life *life)
{
    uint64_t up = life->client.sent, down = server_of(life) != NULL ? server_of(life)->sent : 0;
    bool exact = life->reason == CLOSE_DONE;
    if (life->bytes[WEIR_RELAY_CLIENT] > up || life->bytes[WEIR_RELAY_UPSTREAM] > down ||
        (exact && (life->bytes[WEIR_RELAY_CLIENT] != up || life->bytes[WEIR_RELAY_UPSTREAM] != down)))
        world_fail(life->world, "client %u: the line's bytes are not those that were sent", life->index);
}

static bool is_nobody(const struct life *life)
{
    return life->reason == CLOSE_TLS_NO_CERTIFICATE || life->reason == CLOSE_TLS_BAD_CERTIFICATE ||
           life->reason == CLOSE_HANDSHAKE_TIMEOUT;
}

void tls_check_final(const struct life *life)
{
    const struct attempt *attempt = last_attempt(life);
    check_counted_bytes(life);
    check_channel(life, &life->client, "the client");
    check_farewell(life);
    if (is_nobody(life) && attempt != NULL)
        world_fail(life->world, "client %u has failed its handshake, but an upstream was dialled", life->index);
    for (uint32_t n = 0; n < life->attempt_count; n++)
        check_attempt(life, &life->attempts[n], n + 1 == life->attempt_count);
    if (attempt == NULL || server_of(life) == NULL) {
        check_clean_end(life, NULL, attempt == NULL ? NULL : attempt->end, &life->client, "the client");
        return;
    }
    check_channel(life, server_of(life), "the upstream");
    check_clean_end(life, server_of(life), attempt->end, &life->client, "the client");
    if (life->relayed_ns != 0)
        check_clean_end(life, &life->client, life->client.end->peer, server_of(life), "the upstream");
}

/* Reasons */

bool tls_is_farewell(const struct life *life)
{
    switch (life->reason) {
    case CLOSE_TLS_NO_CERTIFICATE:
    case CLOSE_TLS_BAD_CERTIFICATE:
    case CLOSE_TLS_ERROR:
    case CLOSE_UNKNOWN_CLIENT:
    case CLOSE_CLIENT_LIMIT:
    case CLOSE_CLIENT_RATE:
    case CLOSE_NOT_AUTHORIZED:
    case CLOSE_NO_UPSTREAM:
    case CLOSE_CONNECT_FAILED:
    case CLOSE_CONNECT_TIMEOUT:
        return tls_on_client(life) && life->relayed_ns == 0;
    default:
        return false;
    }
}

bool tls_fits_no_certificate(const struct life *life)
{
    return tls_on_client(life) && listener_part(life) != KIT_LISTENER_ANONYMOUS && life->part == KIT_CLIENT_NONE;
}

bool tls_fits_bad_certificate(const struct life *life)
{
    return tls_on_client(life) && listener_part(life) != KIT_LISTENER_ANONYMOUS && is_refused(life);
}

bool tls_fits_error(const struct life *life)
{
    return tls_on_client(life) &&
           (life->part == KIT_CLIENT_DISTRUSTS || is_too_old(life->client.channel, listener_part(life)) ||
            life->client.channel->script.play == CHANNEL_GARBAGE || life->client.channel->script.play == CHANNEL_HTTP);
}

bool tls_fits_truncated(const struct life *life)
{
    return tls_on_client(life) && life->relayed_ns != 0 && life->client.end->peer->fin_ns != 0 &&
           tls_ended_ns(&life->client, life->client.end->peer) == 0;
}

bool tls_fits_handshake_timeout(const struct life *life)
{
    uint64_t timeout_ns = life->world->snapshot->listeners[life->listener].handshake_timeout_ns;
    return tls_on_client(life) && life->attempt_count == 0 && life->closed_ns >= life->accepted_ns + timeout_ns;
}

/* Who leaves in the middle of a handshake has not even to break off. */
bool tls_fits_client_reset(const struct life *life)
{
    return tls_on_client(life) && life->attempt_count == 0 && life->client.end->peer->fin_ns != 0;
}

bool tls_fits_upstream_reset(const struct life *life)
{
    const struct attempt *attempt = last_attempt(life);
    if (attempt == NULL || !tls_on_upstream(life))
        return false;
    bool truncated = attempt->end->fin_ns != 0 && tls_ended_ns(server_of(life), attempt->end) == 0;
    return life->relayed_ns != 0 && (truncated || !takes_us(life, life->world->tls.hosts[attempt->upstream]));
}

/* The last one did not get through its handshake. */
bool tls_fits_connect_failed(const struct life *life)
{
    const struct attempt *attempt = last_attempt(life);
    if (attempt == NULL || !tls_on_upstream(life) || life->relayed_ns != 0)
        return false;
    bool left = attempt->end->fin_ns != 0 || attempt->end->reset_ns != 0;
    const struct channel *channel = attempt->party != NULL ? attempt->party->channel : NULL;
    bool talks = channel != NULL && channel->script.play == CHANNEL_TALKS &&
                 !is_too_old(channel, life->world->tls.pools[pool_of(life)]);
    enum kit_part host = life->world->tls.hosts[attempt->upstream];
    /* In TLS 1.2 an upstream refuses a certificate before the handshake is done. */
    bool refuses = talks && channel->script.old && !takes_us(life, host);
    return left || !talks || refuses || !is_trusted(host);
}

bool tls_fits_over_capacity(const struct life *life)
{
    const struct settings *settings = &life->world->snapshot->settings;
    return tls_on_client(life) && life->attempt_count == 0 &&
           (settings->max_handshakes < life->world->life_count || settings->max_handshakes_per_source != 0);
}
