/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_VALUES_H
#define CONTROL_CONFIG_VALUES_H

#include <weir/address.h>

#include "../policy/snapshot.h"

/* Readers of single values. Pure. They return 0 or WEIR_EINVAL and leave their output untouched then; whether a value
 * is in range is the caller's question, except that everything fits its type. */

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MINUTE (60 * NS_PER_S)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)
#define NS_PER_DAY (24 * NS_PER_HOUR)

WEIR_MUST_CHECK int value_number(const char *text, uint64_t *ret_number);
WEIR_MUST_CHECK int value_bool(const char *text, bool *ret_bool);

/* "500ms", "2s", "5m", "1h": a whole number and a unit. */
WEIR_MUST_CHECK int value_duration(const char *text, uint64_t *ret_ns);

/* A duration as the file would say it, in the largest unit that fits. Returns `text`. */
#define DURATION_TEXT_MAX 32
char *value_format_duration(uint64_t ns, char text[DURATION_TEXT_MAX]);

/* "20/s", "100/m", "5/h": 1 to 1,000,000 in that time. */
struct rate {
    uint64_t period_ns; /* one in this time; 0: none was given */
    uint32_t a_second;  /* rounded down, at least 1 */
};
#define RATE_MAX 1000000
WEIR_MUST_CHECK int value_rate(const char *text, struct rate *ret_rate);

/* A letter or digit, then at most 63 letters, digits, ".", "_", "-". */
bool value_is_name(const char *text);

/* "10.0.0.1:80", "[::1]:80"; an IPv4-mapped address becomes IPv4. On failure *ret_reason says what would be right: a
 * static text. */
WEIR_MUST_CHECK int value_address(const char *text, struct weir_address *ret_address, const char **ret_reason);
/* "10.0.0.1", "::1", "[::1]": the same without a port (0). */
WEIR_MUST_CHECK int value_host(const char *text, struct weir_address *ret_address);

/* "10.0.0.0/8", "2001:db8::/32". *ret_network has its host bits cleared, is IPv4 where it was mapped IPv4, and no
 * client yet; *ret_exact tells whether no host bit was set in the text. */
WEIR_MUST_CHECK int value_network(const char *text, struct network *ret_network, bool *ret_exact);

/* What makes an address equal to another, as bytes. */
struct address_key {
    uint8_t bytes[18];
};
struct address_key value_address_key(const struct weir_address *address);

#endif
