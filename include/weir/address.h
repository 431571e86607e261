/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_ADDRESS_H
#define WEIR_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <weir/api.h>

WEIR_BEGIN_C

/* An IP address and port. A plain value: copy it freely. All zero means "none". */
struct weir_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u;
};

/* Bytes that weir_address_format() needs at most, with the final NUL: "[IPv6]:65535". */
#define WEIR_ADDRESS_TEXT_MAX 64

/* Reads "1.2.3.4:80" or "[::1]:80"; a port is required, 0 to 65535; host names are not looked up.
 * Returns 0 or WEIR_EINVAL; *ret_address is untouched on failure. Any thread. */
WEIR_API WEIR_MUST_CHECK int weir_address_parse(const char *text, struct weir_address *ret_address);

/* Writes the address with its port; an IPv6 address stands in brackets, an IPv4-mapped one is written as IPv4.
 * Always ends with NUL, cuts when `size` is too small. Returns `text`. Any thread. */
WEIR_API char *weir_address_format(const struct weir_address *address, char *text, size_t size);

/* The same without port and brackets. */
WEIR_API char *weir_address_format_host(const struct weir_address *address, char *text, size_t size);

/* Same family, address and port; a mapped IPv4 address equals its IPv4 form. Any thread. */
WEIR_API bool weir_address_equal(const struct weir_address *a, const struct weir_address *b);

/* Length in bytes for bind(2) and connect(2). */
WEIR_API socklen_t weir_address_length(const struct weir_address *address);

/* Host byte order. */
WEIR_API uint16_t weir_address_port(const struct weir_address *address);
WEIR_API void weir_address_set_port(struct weir_address *address, uint16_t port);

WEIR_END_C

#endif
