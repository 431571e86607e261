/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/address.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <weir/errors.h>

#define PORT_DIGITS_MAX 5

/* Reads a whole string of digits; anything else is no port. */
static bool parse_port(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = strlen(text);
    if (digits == 0 || digits > PORT_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool parse_host(int family, const char *text, size_t size, void *ret_bytes)
{
    char host[INET6_ADDRSTRLEN];
    if (size >= sizeof host)
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    return inet_pton(family, host, ret_bytes) == 1;
}

int weir_address_parse(const char *text, struct weir_address *ret_address)
{
    struct weir_address address = { 0 };
    const char *colon = strrchr(text, ':');
    uint16_t port;
    if (colon == NULL || !parse_port(colon + 1, &port))
        return WEIR_EINVAL;

    size_t size = (size_t)(colon - text);
    if (text[0] == '[' && size >= 2 && text[size - 1] == ']') {
        address.u.v6.sin6_family = AF_INET6;
        if (!parse_host(AF_INET6, text + 1, size - 2, &address.u.v6.sin6_addr))
            return WEIR_EINVAL;
    } else {
        address.u.v4.sin_family = AF_INET;
        if (!parse_host(AF_INET, text, size, &address.u.v4.sin_addr))
            return WEIR_EINVAL;
    }
    weir_address_set_port(&address, port);
    *ret_address = address;
    return 0;
}

static bool is_mapped(const struct weir_address *address)
{
    return address->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->u.v6.sin6_addr);
}

/* The IPv4 form of a mapped address; any other as it is. */
static struct weir_address unmapped(const struct weir_address *address)
{
    if (!is_mapped(address))
        return *address;
    struct weir_address v4 = { 0 };
    v4.u.v4.sin_family = AF_INET;
    v4.u.v4.sin_port = address->u.v6.sin6_port;
    memcpy(&v4.u.v4.sin_addr, &address->u.v6.sin6_addr.s6_addr[12], sizeof v4.u.v4.sin_addr);
    return v4;
}

/* `host` holds INET6_ADDRSTRLEN bytes. Returns false for the address "none". */
static bool host_text(const struct weir_address *address, char *host)
{
    const void *bytes = address->u.any.sa_family == AF_INET6 ? (const void *)&address->u.v6.sin6_addr
                                                             : (const void *)&address->u.v4.sin_addr;
    return inet_ntop(address->u.any.sa_family, bytes, host, INET6_ADDRSTRLEN) != NULL;
}

char *weir_address_format(const struct weir_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    struct weir_address plain = unmapped(address);
    bool v6 = plain.u.any.sa_family == AF_INET6;
    if (host_text(&plain, host))
        snprintf(text, size, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", (unsigned)weir_address_port(&plain));
    else
        snprintf(text, size, "none");
    return text;
}

char *weir_address_format_host(const struct weir_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    struct weir_address plain = unmapped(address);
    snprintf(text, size, "%s", host_text(&plain, host) ? host : "none");
    return text;
}

bool weir_address_equal(const struct weir_address *a, const struct weir_address *b)
{
    struct weir_address x = unmapped(a), y = unmapped(b);
    if (x.u.any.sa_family != y.u.any.sa_family)
        return false;
    switch (x.u.any.sa_family) {
    case AF_INET:
        return x.u.v4.sin_port == y.u.v4.sin_port && x.u.v4.sin_addr.s_addr == y.u.v4.sin_addr.s_addr;
    case AF_INET6:
        return x.u.v6.sin6_port == y.u.v6.sin6_port && x.u.v6.sin6_scope_id == y.u.v6.sin6_scope_id &&
               memcmp(&x.u.v6.sin6_addr, &y.u.v6.sin6_addr, sizeof x.u.v6.sin6_addr) == 0;
    default:
        return true;
    }
}

socklen_t weir_address_length(const struct weir_address *address)
{
    switch (address->u.any.sa_family) {
    case AF_INET:
        return sizeof address->u.v4;
    case AF_INET6:
        return sizeof address->u.v6;
    default:
        return 0;
    }
}

uint16_t weir_address_port(const struct weir_address *address)
{
    switch (address->u.any.sa_family) {
    case AF_INET:
        return ntohs(address->u.v4.sin_port);
    case AF_INET6:
        return ntohs(address->u.v6.sin6_port);
    default:
        return 0;
    }
}

void weir_address_set_port(struct weir_address *address, uint16_t port)
{
    if (address->u.any.sa_family == AF_INET6)
        address->u.v6.sin6_port = htons(port);
    else if (address->u.any.sa_family == AF_INET)
        address->u.v4.sin_port = htons(port);
}
