/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/clock.h"
#include "../base/thread.h"
#include "buffer.h"
#include "figures.h"

#define LOOK_EVERY_S 1
#define EVENTS_NICE 10
#define BLOCK_BYTES ((size_t)4 << 10)

/* One event, shared by the subscribers that are being sent it. */
struct frame {
    uint32_t references;
    size_t size;
    char bytes[];
};

struct subscriber {
    struct events *events;
    struct MHD_Connection *connection;
    const struct MHD_Daemon *daemon;
    struct subscriber *next, **pprev;
    struct frame *frame; /* being sent; NULL: between two */
    size_t sent;
    uint64_t seen; /* the last event that it got */
    bool suspended;
};

struct events {
    const struct balancer *balancer;
    struct figures *figures;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* of all that follows, and of the figures; never held while waiting */
    pthread_cond_t stop;
    bool stopping;
    uint64_t number; /* of the newest event */
    struct frame *newest;
    struct subscriber *subscribers;
};

/* Frames. The mutex is held. */

static struct frame *frame_of(const struct buffer *text)
{
    struct frame *frame = text->failed ? NULL : malloc(sizeof *frame + text->size);
    if (frame == NULL)
        return NULL;
    *frame = (struct frame){ .references = 1, .size = text->size };
    memcpy(frame->bytes, text->data, text->size);
    return frame;
}

static void frame_unref(struct frame **pframe)
{
    if (*pframe != NULL && --(*pframe)->references == 0)
        free(*pframe);
    *pframe = NULL;
}

static int put_part(const char *data, size_t size, void *context)
{
    struct buffer *text = context;
    buffer_put(text, data, size);
    return text->failed ? -1 : 0;
}

/* Takes the document. `head`: up to the data. */
static void put_event(struct buffer *text, const char *head, json_t *json)
{
    buffer_text(text, head);
    if (json == NULL || json_dump_callback(json, put_part, text, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0)
        text->failed = true;
    json_decref(json);
    buffer_text(text, "\n\n");
}

static void put_figures(const struct events *events, struct buffer *text)
{
    put_event(text, "data: ", figures_json(events->figures));
}

/* Looking */

/* Without memory an event is left out. */
static void renew(struct events *events)
{
    struct buffer text = { 0 };
    put_figures(events, &text);
    struct frame *frame = frame_of(&text);
    buffer_free(&text);
    if (frame == NULL)
        return;
    frame_unref(&events->newest);
    events->newest = frame;
    events->number++;
}

static void wake_all(struct events *events)
{
    for (struct subscriber *subscriber = events->subscribers; subscriber != NULL; subscriber = subscriber->next) {
        if (!subscriber->suspended)
            continue;
        subscriber->suspended = false;
        MHD_resume_connection(subscriber->connection);
    }
}

static void look(struct events *events)
{
    if (figures_look(events->figures, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME)) != 0 ||
        events->subscribers == NULL)
        return;
    renew(events);
    wake_all(events);
}

/* Waits until the next look is due. The mutex is held, but for the wait. */
static void wait_for_time(struct events *events, struct timespec *due)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    due->tv_sec += LOOK_EVERY_S;
    if (due->tv_sec < now.tv_sec) /* it was stopped for a while */
        *due = now;
    while (!events->stopping && pthread_cond_clockwait(&events->stop, &events->mutex, CLOCK_MONOTONIC, due) == 0)
        continue;
}

static void *run(void *argument)
{
    struct events *events = argument;
    struct timespec due;
    setpriority(PRIO_PROCESS, (id_t)gettid(), EVENTS_NICE); /* of this thread alone: no worker waits for it */
    clock_gettime(CLOCK_MONOTONIC, &due);
    pthread_mutex_lock(&events->mutex);
    for (wait_for_time(events, &due); !events->stopping; wait_for_time(events, &due))
        look(events);
    pthread_mutex_unlock(&events->mutex);
    return NULL;
}

/* Subscribers */

static bool next_frame(struct subscriber *subscriber)
{
    struct events *events = subscriber->events;
    if (subscriber->seen == events->number || events->newest == NULL)
        return false;
    subscriber->seen = events->number;
    subscriber->frame = events->newest;
    subscriber->frame->references++;
    subscriber->sent = 0;
    return true;
}

static ssize_t copy_out(struct subscriber *subscriber, char *room, size_t max)
{
    struct frame *frame = subscriber->frame;
    size_t left = frame->size - subscriber->sent, size = left < max ? left : max;
    memcpy(room, frame->bytes + subscriber->sent, size);
    subscriber->sent += size;
    if (subscriber->sent == frame->size)
        frame_unref(&subscriber->frame);
    return (ssize_t)size;
}

/* Called when the subscriber has taken what came before. */
static ssize_t give(void *context, uint64_t position, char *room, size_t max)
{
    struct subscriber *subscriber = context;
    struct events *events = subscriber->events;
    ssize_t size = 0;
    (void)position;
    pthread_mutex_lock(&events->mutex);
    if (events->stopping) {
        size = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (subscriber->frame != NULL || next_frame(subscriber)) {
        size = copy_out(subscriber, room, max);
    } else {
        /* To answer 0 without this would be asked again at once, and again. */
        subscriber->suspended = true;
        MHD_suspend_connection(subscriber->connection);
    }
    pthread_mutex_unlock(&events->mutex);
    return size;
}

static void leave(void *context)
{
    struct subscriber *subscriber = context;
    pthread_mutex_t *mutex = &subscriber->events->mutex;
    pthread_mutex_lock(mutex);
    *subscriber->pprev = subscriber->next;
    if (subscriber->next != NULL)
        subscriber->next->pprev = subscriber->pprev;
    frame_unref(&subscriber->frame);
    pthread_mutex_unlock(mutex);
    free(subscriber);
}

static uint32_t count_of(const struct events *events, const struct MHD_Daemon *daemon)
{
    uint32_t count = 0;
    for (const struct subscriber *subscriber = events->subscribers; subscriber != NULL; subscriber = subscriber->next)
        count += subscriber->daemon == daemon;
    return count;
}

/* The past, and what is now, at once. */
static struct frame *greeting(const struct events *events)
{
    struct buffer text = { 0 };
    put_event(&text, "retry: 1000\nevent: past\ndata: ", figures_past_json(events->figures));
    put_figures(events, &text);
    struct frame *frame = frame_of(&text);
    buffer_free(&text);
    return frame;
}

static bool enter(struct events *events, struct subscriber *subscriber)
{
    if (events->stopping || count_of(events, subscriber->daemon) >= EVENTS_SUBSCRIBERS_MAX)
        return false;
    subscriber->frame = greeting(events);
    if (subscriber->frame == NULL)
        return false;
    subscriber->seen = events->number;
    subscriber->next = events->subscribers;
    subscriber->pprev = &events->subscribers;
    if (subscriber->next != NULL)
        subscriber->next->pprev = &subscriber->next;
    events->subscribers = subscriber;
    return true;
}

struct MHD_Response *events_subscribe(struct events *events, struct MHD_Connection *connection)
{
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->events = events;
    subscriber->connection = connection;
    subscriber->daemon = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON)->daemon;
    pthread_mutex_lock(&events->mutex);
    bool entered = enter(events, subscriber);
    pthread_mutex_unlock(&events->mutex);
    if (!entered) {
        free(subscriber);
        return NULL;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, give, subscriber, leave);
    if (response == NULL)
        leave(subscriber);
    return response;
}

/* Begin and end */

int events_new(const struct balancer *balancer, struct reloader *reloader, struct events **ret_events)
{
    struct events *events = calloc(1, sizeof *events);
    if (events == NULL)
        return WEIR_ENOMEM;
    events->balancer = balancer;
    pthread_mutex_init(&events->mutex, NULL);
    pthread_cond_init(&events->stop, NULL);
    int err = figures_new(balancer, reloader, &events->figures);
    if (err == 0)
        err = figures_look(events->figures, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME));
    if (err == 0)
        err = thread_start(&events->thread, run, events);
    events->running = err == 0;
    if (err == 0)
        *ret_events = events;
    else
        events_free(&events);
    return err;
}

void events_stop(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    events->stopping = true;
    pthread_cond_signal(&events->stop);
    wake_all(events);
    pthread_mutex_unlock(&events->mutex);
    if (events->running)
        pthread_join(events->thread, NULL);
    events->running = false;
}

void events_free(struct events **pevents)
{
    struct events *events = *pevents;
    if (events == NULL)
        return;
    events_stop(events);
    frame_unref(&events->newest);
    figures_free(&events->figures);
    pthread_cond_destroy(&events->stop);
    pthread_mutex_destroy(&events->mutex);
    free(events);
    *pevents = NULL;
}
