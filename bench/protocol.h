/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

/* What load.c and upstream.c say to each other. The first byte of a connection says what it is for. */

#include <stdint.h>

#define ASK_ECHO 'e' /* everything comes back, this byte too */
#define ASK_DOWN 'd' /* the upstream sends the pattern until the connection ends */
#define ASK_UP                                                                                                         \
    'u' /* the pattern follows; after its end the upstream answers with how many right bytes came (uint64_t) */

#define PATTERN_PERIOD 65521u
#define PATTERN_WINDOW (256u << 10)

/* Bytes that repeat only after a prime, so that lost, doubled or swapped blocks show. Call once. */
void pattern_init(void);

/* The pattern from an offset on: PATTERN_WINDOW bytes may be read. */
const uint8_t *pattern_at(uint64_t offset);

/* Ends the program: "WHAT: why" from errno. */
_Noreturn void die(const char *what);

/* Monotonic, nanoseconds. */
uint64_t clock_ns(void);

struct sockaddr_in;
/* Reads "1.2.3.4:80" or ends the program. */
struct sockaddr_in address_of(const char *text);

#endif
