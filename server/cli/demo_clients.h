/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEMO_CLIENTS_H
#define CLI_DEMO_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/address.h>

#include "../tls/session.h"

/* The demo's clients: each has a certificate of its own, or else an address of its own on loopback. Everything blocks,
 * for two seconds at most. One thread. Clients count from 0. */
struct demo_clients;

/* `folder`: where clientN.crt and clientN.key and ca.crt are, N from 1 on; NULL: no TLS. Why certificates could not be
 * read is said on standard error. Returns 0 or an error of libweir. */
int demo_clients_new(const char *folder, uint32_t count, struct demo_clients **ret_clients);
/* Their talks have been closed. Accepts NULL. */
void demo_clients_free(struct demo_clients **pclients);

/* Where a client without a certificate comes from: printf's format of an address without port, and its first number. */
#define DEMO_CLIENT_ADDRESS "127.0.0.%" PRIu32
#define DEMO_FIRST_CLIENT 11

/* A client's connection. Zero it. */
struct demo_talk {
    int fd;
    bool open;
    struct tls_session *session;
};

/* Return 0, WEIR_EPIPE (the connection ended without an answer), WEIR_EIO (TLS failed) or another error. */
int demo_talk_open(struct demo_clients *clients, uint32_t client, const struct weir_address *to,
                   struct demo_talk *talk);
/* Says a text and reads one line, without its end. */
int demo_talk_ask(struct demo_talk *talk, const char *text, char *answer, size_t size);
/* Does nothing for one that is not open. */
void demo_talk_close(struct demo_talk *talk);

#endif
