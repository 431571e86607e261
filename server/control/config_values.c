/* SPDX-License-Identifier: Apache-2.0 */
#include "config_values.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/errors.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits; returns what stands behind them, or NULL. */
static const char *read_digits(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return NULL;
    *ret_number = number;
    return text;
}

int value_number(const char *text, uint64_t *ret_number)
{
    uint64_t number;
    const char *end = read_digits(text, &number);

    if (end == NULL || *end != '\0')
        return WEIR_EINVAL;
    *ret_number = number;
    return 0;
}

int value_bool(const char *text, bool *ret_bool)
{
    bool yes = strcmp(text, "true") == 0;

    if (!yes && strcmp(text, "false") != 0)
        return WEIR_EINVAL;
    *ret_bool = yes;
    return 0;
}

/* From the largest down. */
static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = { { "h", NS_PER_HOUR }, { "m", NS_PER_MINUTE }, { "s", NS_PER_S }, { "ms", NS_PER_MS } };
#define UNITS (sizeof units / sizeof units[0])

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < UNITS; i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

int value_duration(const char *text, uint64_t *ret_ns)
{
    uint64_t number, ns;
    const char *end = read_digits(text, &number);
    const struct unit *unit = end == NULL ? NULL : find_unit(end);

    if (unit == NULL || __builtin_mul_overflow(number, unit->ns, &ns))
        return WEIR_EINVAL;
    *ret_ns = ns;
    return 0;
}

char *value_format_duration(uint64_t ns, char text[DURATION_TEXT_MAX])
{
    const struct unit *unit = ns == 0 ? find_unit("s") : &units[0];

    while (ns % unit->ns != 0 && unit < &units[UNITS - 1])
        unit++;
    snprintf(text, DURATION_TEXT_MAX, "%" PRIu64 "%s", ns / unit->ns, unit->name);
    return text;
}

int value_rate(const char *text, struct rate *ret_rate)
{
    uint64_t number;
    const char *end = read_digits(text, &number);
    const struct unit *unit = end == NULL || *end != '/' ? NULL : find_unit(end + 1);

    if (unit == NULL || unit->ns < NS_PER_S || number == 0 || number > RATE_MAX)
        return WEIR_EINVAL;
    uint64_t a_second = number / (unit->ns / NS_PER_S);
    *ret_rate = (struct rate){ .period_ns = (unit->ns + number / 2) / number,
                               .a_second = a_second == 0 ? 1 : (uint32_t)a_second };
    return 0;
}

static bool is_letter_or_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool value_is_name(const char *text)
{
    size_t size = 0;

    for (; text[size] != '\0' && size <= NAME_MAX_BYTES; size++)
        if (!is_letter_or_digit(text[size]) && (size == 0 || strchr("._-", text[size]) == NULL))
            return false;
    return size > 0 && size <= NAME_MAX_BYTES;
}

static bool is_mapped(const struct weir_address *address)
{
    return address->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->u.v6.sin6_addr);
}

static void unmap(struct weir_address *address)
{
    struct weir_address v4 = { .u.v4.sin_family = AF_INET };

    if (!is_mapped(address))
        return;
    memcpy(&v4.u.v4.sin_addr, &address->u.v6.sin6_addr.s6_addr[12], 4);
    v4.u.v4.sin_port = address->u.v6.sin6_port;
    *address = v4;
}

int value_host(const char *text, struct weir_address *ret_address)
{
    char copy[INET6_ADDRSTRLEN + 16];
    bool brackets = text[0] == '[' || strchr(text, ':') == NULL;
    int size = snprintf(copy, sizeof copy, brackets ? "%s:0" : "[%s]:0", text);

    if (size >= (int)sizeof copy || weir_address_parse(copy, ret_address) != 0)
        return WEIR_EINVAL;
    unmap(ret_address);
    return 0;
}

/* Why a text is no address, in the words that help most. */
static const char *address_problem(const char *text)
{
    struct weir_address host;
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (value_host(text, &host) == 0)
        return text[0] != '[' && colon != NULL ? "write an IPv6 address in brackets and a port behind it, like [::1]:80"
                                               : "its port is missing; write IP:PORT";
    if (colon == NULL)
        return "write IP:PORT, like 10.0.0.11:7000 or [::1]:7000";
    if (value_number(colon + 1, &port) != 0 || port > UINT16_MAX)
        return "its port is not a number from 0 to 65535";
    if (strspn(text, "0123456789.:[]") == strlen(text) || text[0] == '[' || strchr(text, ':') != colon)
        return "that is no IP address; write IP:PORT, like 10.0.0.11:7000 or [::1]:7000";
    return "host names are not yet supported; write IP:PORT, like 10.0.0.11:7000 or [::1]:7000";
}

int value_address(const char *text, struct weir_address *ret_address, const char **ret_reason)
{
    if (weir_address_parse(text, ret_address) != 0) {
        *ret_reason = address_problem(text);
        return WEIR_EINVAL;
    }
    unmap(ret_address);
    return 0;
}

/* The bytes of the address itself. */
static uint8_t *host_bytes(struct weir_address *address, unsigned *ret_bits)
{
    bool v4 = address->u.any.sa_family == AF_INET;

    *ret_bits = v4 ? 32 : 128;
    return v4 ? (uint8_t *)&address->u.v4.sin_addr : address->u.v6.sin6_addr.s6_addr;
}

/* Clears all bits from `prefix` on; returns whether none was set. */
static bool clear_host_bits(struct weir_address *address, unsigned prefix)
{
    unsigned bits;
    uint8_t *bytes = host_bytes(address, &bits);
    bool clear = true;

    for (unsigned i = 0; i < bits / 8; i++) {
        unsigned kept = prefix <= i * 8 ? 0 : prefix - i * 8;
        uint8_t mask = (uint8_t)(kept >= 8 ? 0xff : 0xff00 >> kept);
        clear = clear && (bytes[i] & ~mask) == 0;
        bytes[i] &= mask;
    }
    return clear;
}

int value_network(const char *text, struct network *ret_network, bool *ret_exact)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    struct weir_address base;
    uint64_t prefix;
    unsigned bits;

    if (slash == NULL || slash - text >= (int)sizeof host || text[0] == '[')
        return WEIR_EINVAL;
    snprintf(host, sizeof host, "%.*s", (int)(slash - text), text);
    if (value_number(slash + 1, &prefix) != 0 || value_host(host, &base) != 0)
        return WEIR_EINVAL;
    host_bytes(&base, &bits);
    /* A mapped network's prefix counts from the beginning of the IPv6 address. */
    if (bits == 32 && strchr(host, ':') != NULL)
        prefix = prefix < 96 ? UINT64_MAX : prefix - 96;
    if (prefix > bits)
        return WEIR_EINVAL;
    *ret_exact = clear_host_bits(&base, (unsigned)prefix);
    *ret_network = (struct network){ .base = base, .prefix = (uint8_t)prefix, .client = ANY_INDEX };
    return 0;
}

struct address_key value_address_key(const struct weir_address *address)
{
    struct address_key key = { 0 };
    uint16_t port = weir_address_port(address);

    if (address->u.any.sa_family == AF_INET) {
        memset(key.bytes + 10, 0xff, 2);
        memcpy(key.bytes + 12, &address->u.v4.sin_addr, 4);
    } else {
        memcpy(key.bytes, &address->u.v6.sin6_addr, 16);
    }
    memcpy(key.bytes + 16, &port, sizeof port);
    return key;
}
