/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEMO_CLIENT_H
#define CLI_DEMO_CLIENT_H

#include <inttypes.h>
#include <stddef.h>

#include <weir/address.h>

/* The demo's clients. They are known by their addresses on loopback: client1, number 0, comes from 127.0.0.11. */

#define DEMO_CLIENT_ADDRESS "127.0.0.%" PRIu32
#define DEMO_CLIENT_FIRST 11
#define DEMO_CLIENT_SAYS "Hello"

/* Connects, says Hello and reads one line, without its end; blocks for some seconds at most. Returns 0, WEIR_EPIPE (the
 * connection ended without an answer) or another error of libweir. */
int demo_client_ask(uint32_t client, const struct weir_address *to, char *answer, size_t size);

#endif
