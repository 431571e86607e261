/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"
#include "../../server/proxy/health.h"
#include "../../server/proxy/sweep.h"
#include "memory.h"
#include "reload.h"
#include "oracle_health.h"
#include "visits.h"

/* So many events without a byte moved mean that something goes round in circles. The most that is right: everybody
 * waits for somebody patient, and three workers look twenty times a second whether there is room. */
#define IDLE_STEPS_MAX 300000

void world_fail(struct world *world, const char *format, ...)
{
    if (world->failed)
        return;
    world->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->problem, sizeof world->problem, format, arguments);
    va_end(arguments);
}

/* Clients */

static void describe_end(const struct party *party, char *text, size_t size)
{
    snprintf(text, size, "sent %" PRIu64 ", got %" PRIu64 "%s%s%s%s%s", party->sent, party->received,
             party->shut ? ", ended" : "", party->saw_end ? ", saw the end" : "",
             party->saw_break ? ", saw a reset" : "", party->broke ? ", broke off" : "",
             party->impatient ? " out of patience" : "");
}

static void client_over(struct party *party)
{
    struct life *life = party->owner;
    char text[128];
    describe_end(party, text, sizeof text);
    SIM_TRACE(life->world->sim, "client %u leaves: %s", life->index, text);
    life->world->parties--;
    oracle_left(life);
}

static struct tls_context *context_of(struct world *world, enum kit_part part, bool old)
{
    struct tls_context **context = &world->tls.contexts[old][part];
    memory_aside(true);
    int err = *context != NULL ? 0 : tls_context_new(kit_material(part), kit_role(part), world->loops[0], context);
    memory_aside(false);
    assert(err == 0);
    if (old)
        SSL_CTX_set_max_proto_version((*context)->ssl, TLS1_2_VERSION);
    return *context;
}

static struct channel *open_channel(struct world *world, struct net_end *end, enum kit_part part,
                                    const struct weir_address *address)
{
    struct channel_script script = draw_channel(world);
    SIM_TRACE(world->sim, "port %u comes with certificate %d, plays %d, ends by %d%s", weir_address_port(&end->local),
              (int)part, (int)script.play, (int)script.end, script.old ? ", speaks TLS 1.2" : "");
    return channel_new(end, context_of(world, part, script.old), &script, address);
}

static void close_contexts(struct world *world)
{
    memory_aside(true);
    for (uint32_t n = 0; n < KIT_PARTS; n++) {
        tls_context_free(&world->tls.contexts[0][n]);
        tls_context_free(&world->tls.contexts[1][n]);
    }
    memory_aside(false);
}

static void client_arrives(struct sim_event *event)
{
    struct life *life = (struct life *)((char *)event - offsetof(struct life, arrival));
    struct world *world = life->world;
    struct party *party = &life->client;
    const struct party_script *script = &party->script;
    SIM_TRACE(world->sim,
              "client %u comes to listener %u: will send %" PRIu64 " in pieces of %u after %" PRIu64 " came, manner %d",
              life->index, life->listener, script->bytes, script->write_max, script->after_bytes, (int)script->manner);
    party->sim = world->sim;
    party->end = net_connect(world->net, &life->address, &world->snapshot->listeners[life->listener].address);
    party->sends = ++world->next_stream;
    party->over = client_over;
    party->owner = life;
    enum kit_part part = world->tls.listeners[life->listener];
    if (part != KIT_PARTS)
        party->channel = open_channel(world, party->end, life->part, &party->end->remote);
    party_start(party);
}

static void add_clients(struct world *world)
{
    for (uint32_t n = 0; n < world->life_count; n++) {
        struct life *life = &world->lives[n];
        life->arrival.run = client_arrives;
        sim_at(world->sim, &life->arrival, life->arrival.at_ns);
        world->parties++;
    }
}

/* Upstreams */

static bool is_down(const struct host *host)
{
    const struct mood *mood = &host->mood;
    uint64_t now_ns = host->world->sim->now_ns;
    bool down = now_ns >= mood->down_from_ns && now_ns < mood->down_until_ns;
    return down && (mood->flap_ns == 0 || (now_ns - mood->down_from_ns) / mood->flap_ns % 2 == 0);
}

static bool meets(const struct host *host, enum outage outage)
{
    return is_down(host) && host->mood.outage == outage;
}

static enum net_answer host_answers(struct net_listener *listener)
{
    const struct host *host = listener->owner;
    struct random *random = &host->world->sim->random;
    if (meets(host, OUTAGE_REFUSES) || random_chance(random, host->mood.refuses))
        return NET_REFUSE;
    if (meets(host, OUTAGE_HANGS) || random_chance(random, host->mood.drops))
        return NET_DROP;
    return random_chance(random, host->mood.unreachable) ? NET_UNREACHABLE : NET_ACCEPT;
}

static void upstream_over(struct party *party)
{
    struct host *host = party->owner;
    char text[128];
    describe_end(party, text, sizeof text);
    SIM_TRACE(host->world->sim, "upstream %u leaves port %u: %s", host->upstream,
              weir_address_port(&party->end->remote), text);
    host->world->parties--;
}

static void play_dead(struct party_script *script)
{
    *script = (struct party_script){
        .manner = PARTY_LINGERS,
        .dies_after = UINT64_MAX,
        .write_max = 1,
        .read_max = 1,
        .rest_ns = script->patience_ns,
        .patience_ns = script->patience_ns,
    };
}

/* Whom it serves shows only to the world: the dialling end bears the attempt's mark. A check bears none. */
static void serve(struct host *host, struct net_end *end)
{
    struct world *world = host->world;
    struct attempt *attempt = end->peer->tag;
    struct visit *visit = visits_find(world, end->peer);
    struct party *party = sim_alloc(sizeof *party);
    party->sim = world->sim;
    party->end = end;
    party->script = draw_script(world, &world->upstreams);
    if (world->health.on)
        party->script.patience_ns = world->health.patience_ns;
    party->sends = ++world->next_stream;
    party->over = upstream_over;
    party->owner = host;
    if (attempt != NULL) {
        attempt->life->upstream = attempt->party = party;
        if (world->tls.pools[world->snapshot->listeners[attempt->life->listener].pool] != KIT_PARTS)
            party->channel = open_channel(world, end, world->tls.hosts[host->upstream], NULL);
        party->expects = attempt->life->client.sends;
        if (party->script.echo)
            party->sends = party->expects;
        attempt->life->client.expects = party->sends;
    }
    world->parties += attempt != NULL;
    if (visit != NULL && visits_use_tls(visit)) {
        visit->host = world->tls.hosts[host->upstream];
        party->channel = open_channel(world, end, visit->host, NULL);
    }
    if (visit != NULL)
        visits_serve(visit, party);
    if (random_chance(&world->sim->random, host->mood.resets) || meets(host, OUTAGE_RESETS))
        party->script.dies_after = 0;
    if (meets(host, OUTAGE_HALF_OPEN))
        play_dead(&party->script);
    SIM_TRACE(world->sim, "upstream %u serves port %u%s: %s %" PRIu64 " in pieces of %u, manner %d", host->upstream,
              weir_address_port(&end->remote), attempt == NULL ? " (a check)" : "",
              party->script.echo ? "echoes, not" : "will send", party->script.bytes, party->script.write_max,
              (int)party->script.manner);
    party_start(party);
}

static void host_accepts(struct net_listener *listener)
{
    struct host *host = listener->owner;
    struct net_end *end;
    while ((end = net_accept(listener)) != NULL) {
        if (random_chance(&host->world->sim->random, host->mood.leaves))
            net_close(end, false);
        else
            serve(host, end);
    }
}

static enum weir_upstream_state draw_state(struct world *world)
{
    return random_chance(&world->health.chance, world->health.disables) ? WEIR_UPSTREAM_DISABLED : WEIR_UPSTREAM_DRAIN;
}

static void set_aside(struct sim_event *event)
{
    struct host *host = (struct host *)((char *)event - offsetof(struct host, drain));
    struct world *world = host->world;
    bool again = host->state == WEIR_UPSTREAM_ENABLED;
    host->state = again ? draw_state(world) : WEIR_UPSTREAM_ENABLED;
    host->state_ns = world->sim->now_ns;
    if (!again)
        health_enabled(world, host->upstream);
    health_set_state(world->snapshot, &world->snapshot->upstreams[host->upstream], host->state, world->sim->now_ns);
    if (host->state == WEIR_UPSTREAM_DISABLED) {
        host->disabled_ns = world->sim->now_ns;
        for (uint32_t n = 0; n < world->shared.workers; n++)
            sweep_post(&world->workers[n].sweep);
    }
    if (again)
        sim_after(world->sim, event, random_scaled(&world->sim->random, SIM_MS, 20 * SIM_SECOND));
}

static void add_hosts(struct world *world)
{
    for (uint32_t n = 0; n < world->snapshot->upstream_count; n++) {
        struct host *host = &world->hosts[n];
        host->world = world;
        host->upstream = n;
        host->listener = net_listen(world->net, &world->snapshot->upstreams[n].address);
        host->listener->owner = host;
        host->listener->answer = host_answers;
        host->listener->changed = host_accepts;
        host->drain.run = set_aside;
        if (host->drain_ns != 0 && world->snapshot->upstreams[n].counters != NULL)
            sim_at(world->sim, &host->drain, host->drain_ns);
    }
}

/* The balancer */

static struct life *life_of_port(struct world *world, uint16_t port)
{
    uint32_t index = (uint32_t)port - 10000;
    return port >= 10000 && index < world->life_count ? &world->lives[index] : NULL;
}

struct life *world_life_of(struct world *world, const struct conn *conn)
{
    return life_of_port(world, weir_address_port(&conn->peer));
}

static struct conn *conn_of_upstream(struct world *world, const struct weir_socket *socket)
{
    for (uint32_t n = 0; n < world->shared.workers; n++)
        for (struct conn *conn = world->workers[n].conns; conn != NULL; conn = conn->next)
            if (&conn->upstream == socket)
                return conn;
    return NULL;
}

static uint32_t upstream_of(const struct world *world, const struct weir_address *address)
{
    uint32_t upstream = 0;
    while (upstream < world->snapshot->upstream_count - 1 &&
           !weir_address_equal(&world->snapshot->upstreams[upstream].address, address))
        upstream++;
    return upstream;
}

static void dialled(struct weir_socket *socket, struct net_end *end, void *context)
{
    struct world *world = context;
    struct conn *conn = conn_of_upstream(world, socket);
    if (conn == NULL) {
        visits_dialled(world, socket, end);
        health_checks(world, socket, end);
        return;
    }
    struct life *life = world_life_of(world, conn);
    assert(life != NULL && life->attempt_count < WEIR_TRIED_MAX);
    struct attempt *attempt = &life->attempts[life->attempt_count++];
    *attempt = (struct attempt){ .life = life, .end = end, .at_ns = world->sim->now_ns };
    attempt->upstream = upstream_of(world, &end->remote);
    end->tag = attempt;
    SIM_TRACE(world->sim, "weir dials upstream %u for client %u from port %u", attempt->upstream, life->index,
              weir_address_port(&end->local));
    oracle_dialled(world, conn, attempt);
}

static void undialled(struct weir_socket *socket, const struct weir_address *address, int status, void *context)
{
    struct world *world = context;
    struct conn *conn = conn_of_upstream(world, socket);
    SIM_TRACE(world->sim, "weir cannot dial upstream %u: %s", upstream_of(world, address), weir_strerror(status));
    if (conn == NULL)
        health_cannot_check(world, socket);
    else
        world_life_of(world, conn)->unreached |= 1u << upstream_of(world, address);
}

static void turned(struct weir_loop *loop, void *context)
{
    struct world *world = context;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        if (world->loops[n] == loop)
            oracle_turned(world, &world->workers[n]);
}

/* Log lines: the balancer's own words for what happened. */

static const char *value_of(const char *line, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = strstr(line, quoted);
    return found == NULL ? "" : found + strlen(quoted);
}

static enum close_reason reason_of(const char *line)
{
    const char *word = value_of(line, "reason");
    for (int reason = CLOSE_NONE + 1; reason < CLOSE_REASONS; reason++) {
        const char *label = close_reason_label((enum close_reason)reason);
        size_t size = strlen(label);
        if (word[0] == '"' && strncmp(word + 1, label, size) == 0 && word[size + 1] == '"')
            return (enum close_reason)reason;
    }
    return CLOSE_NONE;
}

static void logged(void *context, const char *text, size_t size)
{
    struct world *world = context;
    char line[4096];
    snprintf(line, sizeof line, "%.*s", (int)size, text);
    /* Without the time stamp, which is the real clock's: a trace is always the same. */
    const char *message = strstr(line, "\"msg\"");
    SIM_TRACE(world->sim, "weir logs %s", message == NULL ? line : message);
    if (strstr(line, "\"msg\":\"connection\"") == NULL) {
        health_changed(world, value_of(line, "msg"), value_of(line, "pool"), value_of(line, "upstream"));
        return;
    }
    const char *port = strchr(value_of(line, "peer"), ':');
    struct life *life = life_of_port(world, (uint16_t)(port == NULL ? 0 : strtoul(port + 1, NULL, 10)));
    enum close_reason reason = reason_of(line);
    if (life == NULL) {
        world->unnamed++;
        if (reason != CLOSE_CLIENT_RESET)
            world_fail(world, "a log line without a client's address: %s", line);
        return;
    }
    life->lines++;
    life->reason = reason;
    life->closed_ns = world->sim->now_ns;
    life->bytes[WEIR_RELAY_CLIENT] = strtoull(value_of(line, "to_upstream_bytes"), NULL, 10);
    life->bytes[WEIR_RELAY_UPSTREAM] = strtoull(value_of(line, "to_client_bytes"), NULL, 10);
    oracle_closed(life);
}

/* Building */

/* The listeners are open before anything can run short. */
static int open_worker(struct world *world, uint32_t index)
{
    int fds[WORLD_LISTENERS];
    struct entrance **entrances = world->entrances[index];
    uint32_t listeners = world->snapshot->listener_count;
    struct net_weather weather = world->net->weather;
    world->net->weather.descriptors = UINT32_MAX;
    world->net->weather.descriptor_faults = 0;
    for (uint32_t n = 0; n < listeners; n++)
        fds[n] = sim_listen(world->net, &world->snapshot->listeners[n].address);
    world->net->weather = weather;
    world->loops[index] = sim_loop_new(world->net, &world->io);
    struct worker *worker = &world->workers[index];
    int err = worker_init(worker, &world->shared, world->loops[index], index);
    worker->overflow_bytes = world->overflow_bytes;
    worker->splice_bytes = world->splice_bytes;
    for (uint32_t n = 0; err == 0 && n < listeners; n++) {
        entrances[n] = entrance_new(worker, fds[n]);
        err = entrances[n] == NULL ? WEIR_ENOMEM : 0;
    }
    if (err == 0)
        err = view_new(worker, world->snapshot, entrances, &world->views[index]);
    for (uint32_t n = 0; n < listeners; n++)
        if (entrances[n] == NULL)
            net_descriptor_close(world->net, fds[n]);
    if (world->budget_bytes != 0)
        worker->budget.limit = world->budget_bytes;
    return err;
}

static void discard_entrances(struct world *world, uint32_t index)
{
    for (uint32_t n = 0; n < world->snapshot->listener_count; n++) {
        struct entrance *entrance = world->entrances[index][n];
        if (entrance == NULL)
            continue;
        net_descriptor_close(world->net, entrance->fd);
        free(entrance);
    }
}

static int open_state(struct world *world)
{
    int err = weir_upstreams_new(WORLD_UPSTREAMS, &world->state.upstreams);
    if (err == 0)
        err = weir_limiter_new(world->strangers_max, random_next(&world->sim->random), &world->state.limiter);
    if (err == 0)
        err = snapshot_bind(world->snapshot, &world->state, world->snapshot->settings.workers);
    if (err == 0)
        err = health_new(world->snapshot, &world->state);
    if (err == 0)
        health_apply(world->snapshot, NULL, world->sim->now_ns);
    return err;
}

static int open_balancer(struct world *world)
{
    int err = open_state(world);
    world->shared = (struct shared){
        .state = &world->state,
        .workers = world->snapshot->settings.workers,
        .max_connections = world->max_connections,
    };
    for (uint32_t n = 0; err == 0 && n < world->shared.workers; n++)
        err = open_worker(world, n);
    for (uint32_t n = 0; n < world->shared.workers; n++) {
        if (err == 0)
            worker_exchange(&world->workers[n], world->views[n]);
        else
            discard_entrances(world, n);
    }
    return err;
}

static void close_balancer(struct world *world)
{
    if (world->reloads != NULL)
        reloads_close(world);
    for (uint32_t n = 0; n < WORLD_WORKERS; n++) {
        if (world->reloads == NULL)
            view_free(&world->views[n]);
        worker_free(&world->workers[n]);
        weir_loop_free(&world->loops[n]);
    }
    if (world->snapshot != NULL)
        health_free(world->snapshot);
    snapshot_free(&world->snapshot);
    state_free(&world->state);
}

/* Stopping */

static struct worker *ordered(struct weir_message *message)
{
    return ((struct order *)((char *)message - offsetof(struct order, message)))->worker;
}

static void deliver_drain(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    worker_drain(ordered(message));
}

static void deliver_stop(struct weir_loop *loop, struct weir_message *message)
{
    (void)loop;
    worker_stop(ordered(message));
}

static void order_all(struct world *world, struct order *orders,
                      void (*deliver)(struct weir_loop *loop, struct weir_message *message))
{
    for (uint32_t n = 0; n < world->shared.workers; n++) {
        orders[n] = (struct order){ .message.deliver = deliver, .worker = &world->workers[n] };
        weir_loop_post(world->loops[n], &orders[n].message);
    }
}

static void drain_due(struct sim_event *event)
{
    struct world *world = (struct world *)((char *)event - offsetof(struct world, drain));
    SIM_TRACE(world->sim, "weir drains");
    world->draining = true;
    order_all(world, world->drains, deliver_drain);
}

static void stop_due(struct sim_event *event)
{
    struct world *world = (struct world *)((char *)event - offsetof(struct world, stop));
    if (world->stopping)
        return;
    SIM_TRACE(world->sim, "weir stops");
    world->stopping = true;
    order_all(world, world->stops, deliver_stop);
}

static void plan_stop(struct world *world)
{
    world->drain.run = drain_due;
    world->stop.run = stop_due;
    if (world->drain_ns == 0)
        return;
    sim_at(world->sim, &world->drain, world->drain_ns);
    sim_at(world->sim, &world->stop, world->stop_ns);
}

/* Running */

static bool is_quiet(const struct world *world)
{
    bool quiet = world->parties == 0;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        quiet = quiet && world->workers[n].conns == NULL;
    return quiet;
}

static bool has_stopped(const struct world *world)
{
    bool stopped = true;
    for (uint32_t n = 0; n < world->shared.workers; n++)
        stopped = stopped && sim_loop_stopped(world->loops[n]);
    return stopped;
}

static void check_progress(struct world *world)
{
    if (world->moved != world->net->moved) {
        world->moved = world->net->moved;
        world->moved_steps = world->sim->steps;
    }
    if (world->sim->steps - world->moved_steps > IDLE_STEPS_MAX)
        world_fail(world, "%d events without a byte: %u people, %u connections are left", IDLE_STEPS_MAX,
                   world->parties, world->shared.open_connections);
}

static void run(struct world *world)
{
    health_begin(world);
    for (uint32_t n = 0; n < world->shared.workers; n++)
        worker_start(&world->workers[n]);
    while (!world->failed && !(has_stopped(world) && is_quiet(world))) {
        if (!world->stopping && is_quiet(world))
            stop_due(&world->stop);
        bool full = world->shared.open_connections >= world->max_connections;
        if (!sim_step(world->sim))
            world_fail(world, "nothing is left to happen, but not all is over");
        if (full)
            world->full_ns = world->sim->now_ns;
        check_progress(world);
    }
}

static struct world *world_new(uint64_t seed, bool trace, bool tls)
{
    struct sim *sim = sim_new(seed);
    struct world *world = sim_alloc(sizeof *world);
    struct net_weather weather;
    sim->trace = trace;
    world->sim = sim;
    draw_weather(&sim->random, &weather);
    world->net = net_new(sim, &weather);
    draw_loops(world);
    world->io.dialled = dialled;
    world->io.undialled = undialled;
    world->io.turned = turned;
    world->io.context = world;
    world->snapshot = draw_snapshot(world);
    draw_people(world);
    draw_troubles(world);
    draw_tls(world, seed, tls);
    draw_health(world, seed);
    visits_prepare(world->snapshot);
    return world;
}

static void summarise(const struct world *world, struct verdict *ret_verdict)
{
    *ret_verdict = (struct verdict){
        .digest = world->sim->random.state ^ world->sim->now_ns * 31 ^ world->sim->steps << 32,
        .connections = world->life_count,
    };
    snprintf(ret_verdict->problem, sizeof ret_verdict->problem, "%s", world->problem);
    for (uint32_t n = 0; n < world->life_count; n++)
        ret_verdict->reasons[world->lives[n].reason]++;
}

void world_live(uint64_t seed, bool trace, bool tls, struct verdict *ret_verdict)
{
    memory_reset();
    struct world *world = world_new(seed, trace, tls);
    log_redirect(logged, world);
    if (world->deny_at_start)
        memory_deny(world->deny_skip, world->deny_count);
    int err = open_balancer(world);
    if (err == 0) {
        memory_deny(world->deny_skip, world->deny_at_start ? 0 : world->deny_count);
        add_hosts(world);
        add_clients(world);
        plan_stop(world);
        reloads_plan(world, seed);
        run(world);
        if (!world->failed)
            oracle_final(world);
    } else if (memory_denied() == 0) {
        world_fail(world, "the balancer could not be built: %s", weir_strerror(err));
    }
    memory_deny(0, 0);
    if (!world->failed) {
        visits_close(world);
        close_contexts(world);
        close_balancer(world);
    }
    if (!world->failed && memory_held() != 0)
        world_fail(world, "%" PRIi64 " pieces of memory were not given back", memory_held());
    summarise(world, ret_verdict);
}
