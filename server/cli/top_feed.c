/* SPDX-License-Identifier: Apache-2.0 */
#include "top_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_BYTES ((size_t)64 << 10)

static int fail(struct admin_client *client, const char *trouble)
{
    snprintf(client->trouble, sizeof client->trouble, "%s", trouble);
    return -1;
}

/* To HTTP/1.0 an answer without an end comes as it is, not in chunks. */
int top_feed_open(struct top_feed *feed, struct admin_client *client)
{
    static const char request[] = "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n";
    *feed = (struct top_feed){ .fd = client_open(client) };
    if (feed->fd < 0)
        return -1;
    if (send(feed->fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1)
        return 0;
    top_feed_close(feed);
    return fail(client, "the balancer takes no request");
}

void top_feed_close(struct top_feed *feed)
{
    if (feed->fd >= 0)
        close(feed->fd);
    free(feed->bytes);
    *feed = (struct top_feed){ .fd = -1 };
}

/* Makes room for more, and for a NUL. */
static bool make_room(struct top_feed *feed)
{
    if (feed->capacity - feed->size > 1)
        return true;
    size_t capacity = feed->capacity == 0 ? FIRST_BYTES : 2 * feed->capacity;
    char *bytes = capacity > TOP_FEED_MAX ? NULL : realloc(feed->bytes, capacity);
    if (bytes == NULL)
        return false;
    feed->bytes = bytes;
    feed->capacity = capacity;
    return true;
}

static int receive(struct top_feed *feed, struct admin_client *client)
{
    for (;;) {
        if (!make_room(feed))
            return fail(client, "the answer is too long");
        ssize_t got = recv(feed->fd, feed->bytes + feed->size, feed->capacity - feed->size - 1, MSG_DONTWAIT);
        if (got == 0)
            return fail(client, "the balancer has left");
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN ? 0 : fail(client, strerror(errno));
        feed->size += (size_t)got;
        feed->bytes[feed->size] = '\0';
    }
}

static void drop(struct top_feed *feed, size_t size)
{
    feed->size -= size;
    memmove(feed->bytes, feed->bytes + size, feed->size + 1);
}

static int read_head(struct top_feed *feed, struct admin_client *client)
{
    const char *end = strstr(feed->bytes, "\r\n\r\n");
    if (end == NULL)
        return 0;
    if (strncmp(feed->bytes, "HTTP/1.", 7) != 0)
        return fail(client, "what answers is no balancer");
    unsigned long status = strtoul(feed->bytes + sizeof "HTTP/1.1", NULL, 10);
    if (status == 503)
        return fail(client, "too many are watching already");
    if (status != 200)
        return fail(client, "the balancer knows no events");
    drop(feed, (size_t)(end - feed->bytes) + 4);
    feed->begun = true;
    return 0;
}

/* One event: its lines, up to the empty one. */
static void read_event(char *text, json_t **past, json_t **figures)
{
    json_t **to = figures;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strcmp(line, "event: past") == 0)
            to = past;
        if (strncmp(line, "data: ", 6) != 0)
            continue;
        json_t *json = json_loads(line + 6, 0, NULL);
        if (json == NULL)
            continue;
        json_decref(*to);
        *to = json;
    }
}

int top_feed_read(struct top_feed *feed, struct admin_client *client, json_t **past, json_t **figures)
{
    int err = receive(feed, client);
    if (feed->size > 0 && !feed->begun && read_head(feed, client) != 0)
        return -1;
    char *end;
    while (feed->begun && (end = strstr(feed->bytes, "\n\n")) != NULL) {
        *end = '\0';
        size_t size = (size_t)(end - feed->bytes) + 2;
        read_event(feed->bytes, past, figures);
        drop(feed, size);
    }
    return err;
}
