/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <weir/errors.h>

#define FIRST_DESCRIPTOR 1000
#define FIRST_PORT 32768
#define SYN_AGAIN_NS SIM_SECOND

static struct random *chance(const struct net *net)
{
    return &net->sim->random;
}

/* Buffers */

static struct net_buffer new_buffer(struct net *net)
{
    uint32_t capacity = (uint32_t)random_scaled(chance(net), net->weather.buffer_min, net->weather.buffer_max);
    return (struct net_buffer){ .bytes = sim_bytes(capacity), .capacity = capacity };
}

static uint32_t space(const struct net_buffer *buffer)
{
    return buffer->capacity - buffer->size;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void put(struct net_buffer *buffer, const uint8_t *data, uint32_t size)
{
    uint32_t tail = (buffer->head + buffer->size) % buffer->capacity;
    uint32_t first = smaller(size, buffer->capacity - tail);
    memcpy(buffer->bytes + tail, data, first);
    memcpy(buffer->bytes, data + first, size - first);
    buffer->size += size;
}

static void take(struct net_buffer *buffer, uint8_t *data, uint32_t size)
{
    uint32_t first = smaller(size, buffer->capacity - buffer->head);
    memcpy(data, buffer->bytes + buffer->head, first);
    memcpy(data + first, buffer->bytes, size - first);
    buffer->head = (buffer->head + size) % buffer->capacity;
    buffer->size -= size;
}

static void move(struct net_buffer *from, struct net_buffer *to, uint32_t size)
{
    while (size > 0) {
        uint32_t part = smaller(size, from->capacity - from->head);
        put(to, from->bytes + from->head, part);
        from->head = (from->head + part) % from->capacity;
        from->size -= part;
        size -= part;
    }
}

/* Chance may make a write or read move less than it could. */
static uint32_t some(struct net *net, uint32_t size)
{
    if (size < 2 || !random_chance(chance(net), net->weather.partial))
        return size;
    return random_chance(chance(net), 300) ? 1 : (uint32_t)random_between(chance(net), 1, size);
}

/* Ends */

static void tell(struct net_end *end)
{
    if (end->changed != NULL)
        end->changed(end);
}

/* Mostly around the connection's own delay, now and then much more. */
static uint64_t delay(struct net_end *end)
{
    struct random *random = chance(end->net);
    uint64_t delay_ns = random_between(random, end->delay_ns / 2, end->delay_ns * 2);
    return random_chance(random, 10) ? delay_ns * 20 : delay_ns;
}

static void plan_delivery(struct net_end *end)
{
    if (end->delivery.slot == 0 && !end->dead)
        sim_after(end->net->sim, &end->delivery, delay(end));
}

static void die(struct net_end *end)
{
    end->dead = true;
    end->tx.size = 0;
    sim_cancel(end->net->sim, &end->delivery);
}

static void reset_peer(struct net_end *end)
{
    die(end);
    end->reset_sent = true;
    if (end->peer != NULL && !end->peer->dead)
        sim_by(end->net->sim, &end->peer->breaking, end->net->sim->now_ns + delay(end));
}

static void connect_done(struct net_end *end, int status)
{
    end->connect_status = status;
    end->connected_ns = status == 0 ? end->net->sim->now_ns : 0;
}

/* A reset that comes while connecting may show as a failure, or as a connection that breaks at once. */
static void reset_arrives(struct sim_event *event)
{
    struct net_end *end = (struct net_end *)((char *)event - offsetof(struct net_end, breaking));
    if (end->dead)
        return;
    die(end);
    if (end->closed_ns != 0)
        return;
    SIM_TRACE(end->net->sim, "net: a reset arrives at port %u from port %u", weir_address_port(&end->local),
              weir_address_port(&end->remote));
    end->reset_ns = end->net->sim->now_ns;
    end->error = end->fin_ns != 0 ? WEIR_EPIPE : WEIR_ECONNRESET;
    if (end->connect_status == WEIR_EAGAIN)
        connect_done(end, random_chance(chance(end->net), 500) ? 0 : WEIR_ECONNRESET);
    tell(end);
}

static void establish(struct net_end *end)
{
    if (end->connect_status != WEIR_EAGAIN)
        return;
    connect_done(end, 0);
    tell(end);
}

static void deliver_fin(struct net_end *from, struct net_end *to)
{
    if (!from->shut || from->tx.size > 0 || to->fin_ns != 0)
        return;
    to->fin_ns = to->net->sim->now_ns;
    tell(to);
}

static void deliver(struct net_end *from, struct net_end *to)
{
    struct net *net = from->net;
    uint32_t size = smaller(smaller(from->tx.size, space(&to->rx)),
                            (uint32_t)random_between(chance(net), net->weather.chunk_min, net->weather.chunk_max));
    if (from->tx.size > 0 && to->closed_ns != 0) {
        reset_peer(to);
        return;
    }
    move(&from->tx, &to->rx, size);
    to->arrived += size;
    net->moved += size;
    if (size > 0)
        to->arrived_ns = from->drained_ns = net->sim->now_ns;
    /* A full reader plans the next delivery when it reads. */
    bool more = from->tx.size > 0 ? space(&to->rx) > 0 : from->shut && random_chance(chance(net), 300);
    if (more)
        plan_delivery(from);
    else
        deliver_fin(from, to);
    if (size > 0) {
        tell(to);
        tell(from);
    }
}

static void delivery_due(struct sim_event *event);

static struct net_end *new_end(struct net *net, const struct weir_address *local, const struct weir_address *remote)
{
    struct net_end *end = sim_alloc(sizeof *end);
    end->net = net;
    end->fd = -1;
    end->local = *local;
    end->remote = *remote;
    end->delay_ns = random_scaled(chance(net), net->weather.delay_min_ns, net->weather.delay_max_ns);
    end->delivery.run = delivery_due;
    end->breaking.run = reset_arrives;
    end->tx = new_buffer(net);
    end->rx = new_buffer(net);
    return end;
}

/* Connecting */

static struct net_listener *find_listener(struct net *net, const struct weir_address *address)
{
    struct net_listener *chosen = NULL;
    uint32_t found = 0;
    for (struct net_listener *listener = net->listeners; listener != NULL; listener = listener->next)
        if (!listener->closed && weir_address_equal(&listener->address, address) &&
            random_below(chance(net), ++found) == 0)
            chosen = listener;
    return chosen;
}

static void fail_connect(struct net_end *end, int status)
{
    end->connect_status = status;
    end->dead = true;
    tell(end);
}

static void enqueue(struct net_listener *listener, struct net_end *end)
{
    struct net_end *peer = new_end(listener->net, &end->remote, &end->local);
    peer->peer = end;
    end->peer = peer;
    *listener->queue_tail = peer;
    listener->queue_tail = &peer->next;
    listener->waiting++;
    plan_delivery(end);
    if (listener->changed != NULL)
        listener->changed(listener);
}

static void knock(struct net_end *end)
{
    struct net_listener *listener = find_listener(end->net, &end->remote);
    enum net_answer answer = listener == NULL ? NET_REFUSE : NET_ACCEPT;
    if (listener != NULL && listener->answer != NULL)
        answer = listener->answer(listener);
    switch (answer) {
    case NET_ACCEPT:
        if (listener->waiting < end->net->weather.backlog)
            enqueue(listener, end);
        else
            sim_after(end->net->sim, &end->delivery, SYN_AGAIN_NS);
        break;
    case NET_REFUSE:
        fail_connect(end, WEIR_ECONNREFUSED);
        break;
    case NET_UNREACHABLE:
        fail_connect(end, WEIR_EUNREACHABLE);
        break;
    case NET_DROP:
        break;
    }
}

static void delivery_due(struct sim_event *event)
{
    struct net_end *end = (struct net_end *)((char *)event - offsetof(struct net_end, delivery));
    if (end->peer == NULL) {
        knock(end);
        return;
    }
    establish(end);
    establish(end->peer);
    if (!end->peer->dead && !end->dead)
        deliver(end, end->peer);
}

struct net_end *net_connect(struct net *net, const struct weir_address *local, const struct weir_address *remote)
{
    struct net_end *end = new_end(net, local, remote);
    if (weir_address_port(local) == 0) {
        weir_address_set_port(&end->local, net->next_port);
        net->next_port = net->next_port == UINT16_MAX ? FIRST_PORT : (uint16_t)(net->next_port + 1);
    }
    end->connect_status = WEIR_EAGAIN;
    plan_delivery(end);
    return end;
}

struct net_listener *net_listen(struct net *net, const struct weir_address *address)
{
    struct net_listener *listener = sim_alloc(sizeof *listener);
    listener->net = net;
    listener->address = *address;
    if (weir_address_port(address) == 0)
        weir_address_set_port(&listener->address, net->next_port++);
    listener->fd = -1;
    listener->queue_tail = &listener->queue;
    listener->next = net->listeners;
    net->listeners = listener;
    return listener;
}

struct net_end *net_accept(struct net_listener *listener)
{
    struct net_end *end = listener->queue;
    if (end == NULL)
        return NULL;
    listener->queue = end->next;
    if (end->next == NULL)
        listener->queue_tail = &listener->queue;
    listener->waiting--;
    return end;
}

void net_listener_close(struct net_listener *listener)
{
    listener->closed = true;
    listener->changed = NULL;
    while (listener->waiting > 0)
        net_close(net_accept(listener), true);
}

/* The calls of a connected end */

int net_write(struct net_end *end, const void *data, uint32_t size)
{
    assert(end->closed_ns == 0 && size > 0);
    if (end->error != 0) {
        int error = end->error;
        end->error = 0;
        return error;
    }
    if (end->shut || end->dead)
        return WEIR_EPIPE;
    if (end->connect_status != 0 || space(&end->tx) == 0)
        return WEIR_EAGAIN;
    uint32_t taken = some(end->net, smaller(size, space(&end->tx)));
    put(&end->tx, data, taken);
    end->sent += taken;
    end->net->moved += taken;
    end->sent_ns = end->net->sim->now_ns;
    plan_delivery(end);
    return (int)taken;
}

int net_read(struct net_end *end, void *data, uint32_t size)
{
    assert(end->closed_ns == 0 && size > 0);
    uint32_t taken = some(end->net, smaller(size, end->rx.size));
    if (taken > 0) {
        take(&end->rx, data, taken);
        end->read += taken;
        end->net->moved += taken;
        end->read_ns = end->net->sim->now_ns;
        if (end->peer->tx.size > 0)
            plan_delivery(end->peer);
        return (int)taken;
    }
    if (end->fin_ns != 0)
        return 0;
    if (end->error != 0) {
        int error = end->error;
        end->error = 0;
        return error;
    }
    return end->dead ? 0 : WEIR_EAGAIN;
}

void net_shutdown(struct net_end *end)
{
    if (end->shut || end->dead)
        return;
    end->shut = true;
    plan_delivery(end);
}

void net_close(struct net_end *end, bool reset)
{
    assert(end->closed_ns == 0);
    end->closed_ns = end->net->sim->now_ns;
    end->changed = NULL;
    if (end->fd >= 0)
        net_descriptor_close(end->net, end->fd);
    if (end->dead)
        return;
    if (end->peer == NULL)
        die(end);
    else if (reset || end->rx.size > 0 || end->connect_status != 0)
        reset_peer(end);
    else
        net_shutdown(end);
}

/* Descriptors */

int net_descriptor(struct net *net, void *what)
{
    if (net->open_descriptors >= net->weather.descriptors ||
        random_chance(chance(net), net->weather.descriptor_faults)) {
        net->descriptors_denied++;
        net->denied_ns = net->sim->now_ns;
        return WEIR_EMFILE;
    }
    if (net->descriptor_count == net->descriptor_capacity) {
        net->descriptor_capacity = 2 * net->descriptor_capacity + 256;
        void **descriptors = sim_bytes(net->descriptor_capacity * sizeof descriptors[0]);
        for (uint32_t n = 0; n < net->descriptor_count; n++)
            descriptors[n] = net->descriptors[n];
        net->descriptors = descriptors;
    }
    net->descriptors[net->descriptor_count] = what;
    net->open_descriptors++;
    return FIRST_DESCRIPTOR + (int)net->descriptor_count++;
}

void net_descriptor_set(struct net *net, int fd, void *what)
{
    net->descriptors[fd - FIRST_DESCRIPTOR] = what;
}

void *net_of_descriptor(const struct net *net, int fd)
{
    assert(fd >= FIRST_DESCRIPTOR && (uint32_t)(fd - FIRST_DESCRIPTOR) < net->descriptor_count);
    void *what = net->descriptors[fd - FIRST_DESCRIPTOR];
    assert(what != NULL);
    return what;
}

void net_descriptor_close(struct net *net, int fd)
{
    assert(net_of_descriptor(net, fd) != NULL);
    net->descriptors[fd - FIRST_DESCRIPTOR] = NULL;
    net->open_descriptors--;
}

struct net *net_new(struct sim *sim, const struct net_weather *weather)
{
    struct net *net = sim_alloc(sizeof *net);
    net->sim = sim;
    net->weather = *weather;
    net->next_port = FIRST_PORT;
    return net;
}
