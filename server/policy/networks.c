/* SPDX-License-Identifier: Apache-2.0 */
#include "networks.h"

#include <stdlib.h>
#include <string.h>

struct weir_address address_unmapped(const struct weir_address *address)
{
    if (address->u.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->u.v6.sin6_addr))
        return *address;
    struct weir_address v4 = { 0 };
    v4.u.v4.sin_family = AF_INET;
    v4.u.v4.sin_port = address->u.v6.sin6_port;
    memcpy(&v4.u.v4.sin_addr, &address->u.v6.sin6_addr.s6_addr[12], sizeof v4.u.v4.sin_addr);
    return v4;
}

static const uint8_t *host_bytes(const struct weir_address *address, size_t *ret_size)
{
    if (address->u.any.sa_family == AF_INET6) {
        *ret_size = sizeof address->u.v6.sin6_addr;
        return address->u.v6.sin6_addr.s6_addr;
    }
    *ret_size = sizeof address->u.v4.sin_addr;
    return (const uint8_t *)&address->u.v4.sin_addr;
}

static int compare(const void *a, const void *b)
{
    const struct network *x = a, *y = b;
    size_t size;
    int order = (int)x->base.u.any.sa_family - (int)y->base.u.any.sa_family;
    if (order == 0)
        order = (int)y->prefix - (int)x->prefix;
    if (order == 0) {
        const uint8_t *host = host_bytes(&x->base, &size);
        order = memcmp(host, host_bytes(&y->base, &size), size);
    }
    return order;
}

void networks_sort(struct network *networks, uint32_t count)
{
    if (count > 1)
        qsort(networks, count, sizeof *networks, compare);
    for (uint32_t i = count; i-- > 0;) {
        bool last = i + 1 == count || networks[i + 1].prefix != networks[i].prefix ||
                    networks[i + 1].base.u.any.sa_family != networks[i].base.u.any.sa_family;
        networks[i].shorter = last ? i + 1 : networks[i + 1].shorter;
    }
}

static struct weir_address masked(const struct weir_address *address, uint32_t prefix)
{
    struct weir_address base = *address;
    size_t size;
    uint8_t *host = (uint8_t *)host_bytes(&base, &size);
    for (size_t i = 0; i<size; i++, prefix = prefix> 8 ? prefix - 8 : 0)
        host[i] &= (uint8_t)(prefix >= 8 ? 0xff : 0xff00 >> prefix);
    return base;
}

bool network_holds(const struct network *network, const struct weir_address *address)
{
    struct weir_address wanted = address_unmapped(address);
    if (network->base.u.any.sa_family != wanted.u.any.sa_family)
        return false;
    const struct network key = { .base = masked(&wanted, network->prefix), .prefix = network->prefix };
    return compare(&key, network) == 0;
}

uint32_t networks_find(const struct network *networks, uint32_t count, const struct weir_address *address)
{
    struct weir_address wanted = address_unmapped(address);
    for (uint32_t i = 0; i < count; i = networks[i].shorter) {
        if (networks[i].base.u.any.sa_family != wanted.u.any.sa_family)
            continue;
        struct network key = { .base = masked(&wanted, networks[i].prefix), .prefix = networks[i].prefix };
        const struct network *found = bsearch(&key, &networks[i], networks[i].shorter - i, sizeof key, compare);
        if (found != NULL)
            return found->client;
    }
    return ANY_INDEX;
}
