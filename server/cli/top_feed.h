/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_FEED_H
#define CLI_TOP_FEED_H

#include <stdbool.h>

#include "client.h"

/* The balancer's events, as they come through the admin socket. */
struct top_feed {
    int fd; /* -1: closed */
    char *bytes;
    size_t size, capacity;
    bool begun; /* the head of the answer is over */
};

#define TOP_FEED_MAX ((size_t)4 << 20)

/* Connects and asks. Returns 0, or -1 with the client's trouble. */
int top_feed_open(struct top_feed *feed, struct admin_client *client);

/* Takes what has come, without waiting. Sets the newest documents, which are then the caller's; others stay untouched
 * (those that it had are released). Returns 0, or -1 with the client's trouble: the feed is over. */
int top_feed_read(struct top_feed *feed, struct admin_client *client, json_t **past, json_t **figures);

/* Closed ones are left alone. */
void top_feed_close(struct top_feed *feed);

#endif
