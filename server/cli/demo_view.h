/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEMO_VIEW_H
#define CLI_DEMO_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/close_reason.h"

/* What the demo shows: lines of at most 100 columns on standard output, each written at once. */

#define DEMO_MAX 99 /* hosts, and clients */

struct demo_view {
    uint32_t hosts, clients;
    uint32_t limit; /* connections at once of the last client; 0: none */
    bool has_rule;  /* client1 never to host2 */
    bool colour, utf8;
    uint64_t sent[DEMO_MAX];   /* clients' connections, by host */
    uint64_t guests[DEMO_MAX]; /* others', by host */
    uint64_t client1_sent, client1_to_host2;
    uint64_t refused;
};

void demo_view_init(struct demo_view *view, uint32_t hosts, uint32_t clients, uint32_t limit);

/* Clients and hosts count from 0 here, and from 1 on the screen. */
void demo_view_answer(struct demo_view *view, uint32_t client, uint32_t host, const char *answer, uint64_t took_ns);
void demo_view_refused(struct demo_view *view, uint32_t client, enum close_reason reason);
void demo_view_silent(struct demo_view *view, uint32_t client, const char *error);
void demo_view_guest(struct demo_view *view, uint32_t host);
void demo_view_guest_refused(struct demo_view *view, enum close_reason reason);
void demo_view_nobody_refused(struct demo_view *view, enum close_reason reason);

void demo_view_round(const struct demo_view *view, uint32_t round);
void demo_view_summary(const struct demo_view *view, uint64_t took_ns);

#endif
