/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "../conformance/conformance.h"
#include "sim_io.h"

/* The conformance suite on the simulated network, in as many weathers as seeds are asked for. */

#define WEATHERS 20

static uint64_t seed;
static struct net *net;

static struct weir_address address_of(uint8_t host)
{
    struct weir_address address = { .u.v4.sin_family = AF_INET };
    address.u.v4.sin_addr.s_addr = htonl(0x0A000000u | host);
    return address;
}

/* Every loop has a world of its own: there is only one at a time. */
static struct weir_loop *loop_new(const struct weir_loop_options *options)
{
    struct sim *sim = sim_new(seed);
    struct random *random = &sim->random;
    const struct net_weather weather = {
        .delay_min_ns = SIM_US,
        .delay_max_ns = random_scaled(random, 2 * SIM_US, 20 * SIM_US),
        .buffer_min = 16u << 10,
        .buffer_max = (uint32_t)random_scaled(random, 16u << 10, 256u << 10),
        .chunk_min = 64, /* a word arrives whole, as the suite takes for granted */
        .chunk_max = (uint32_t)random_scaled(random, 64, 64u << 10),
        .backlog = 4096,
        .descriptors = UINT32_MAX,
    };
    net = net_new(sim, &weather);
    const struct sim_loop_options full = {
        .buffers = options != NULL && options->buffers != 0 ? options->buffers : 256,
        .buffer_bytes = options != NULL && options->buffer_bytes != 0 ? options->buffer_bytes : 16u << 10,
        .pipes = options != NULL && options->pipes != 0 ? options->pipes : 64,
        .lazy = (uint32_t)random_below(random, 300),
        .local = address_of(1),
    };
    return sim_loop_new(net, &full);
}

static int listen_on(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    struct weir_address address = address_of(2);
    int fd = sim_listen(net, &address);
    *ret_address = ((const struct net_listener *)net_of_descriptor(net, fd))->address;
    return fd;
}

static void refusing(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    *ret_address = address_of(3);
    weir_address_set_port(ret_address, 1);
}

static enum net_answer never(struct net_listener *listener)
{
    (void)listener;
    return NET_DROP;
}

static void silent(struct weir_loop *loop, struct weir_address *ret_address)
{
    (void)loop;
    *ret_address = address_of(4);
    weir_address_set_port(ret_address, 1);
    net_listen(net, ret_address)->answer = never;
}

static void network_end(void)
{
}

int main(int count, char **arguments)
{
    const struct conformance_backend backend = {
        .name = "sim",
        .loop_new = loop_new,
        .listen = listen_on,
        .refusing = refusing,
        .silent = silent,
        .network_end = network_end,
    };
    const char *asked = getenv("WEIR_WEATHERS");
    uint64_t weathers = asked != NULL ? strtoul(asked, NULL, 10) : WEATHERS;
    int failures = 0;
    for (seed = 1; seed <= weathers && failures == 0; seed++)
        failures = conformance_run(&backend, count > 1 ? arguments[1] : NULL);
    if (failures > 0)
        fprintf(stderr, "with seed %d\n", (int)seed - 1);
    return failures != 0;
}
