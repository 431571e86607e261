/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_hosts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/errors.h>
#include <weir/loop.h>
#include <weir/socket.h>

#define DATA_MAX 64
#define ANSWER_MAX (DATA_MAX + WEIR_ADDRESS_TEXT_MAX + 64)
#define ACCEPT_PAUSE_NS UINT64_C(100000000)
#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct host {
    struct demo_hosts *hosts;
    struct weir_acceptor acceptor;
    struct weir_address address;
    struct weir_timer pause; /* after an accept that failed */
};

/* A connection to a host. */
struct talk {
    struct weir_socket socket;
    struct host *host;
    struct talk *next, **pprev;
    char answer[ANSWER_MAX];
    uint32_t size, sent; /* of the answer; size 0: nothing to send */
    bool heard_end;
};

struct demo_hosts {
    struct weir_loop *loop;
    pthread_t thread;
    bool running;
    struct weir_message stop;
    struct talk *talks;
    uint32_t parts; /* acceptors and talks that are not closed yet */
    uint32_t count;
    struct host host[];
};

static void part_closed(struct demo_hosts *hosts)
{
    if (--hosts->parts == 0)
        weir_loop_stop(hosts->loop);
}

/* Talks */

static void talk_closed(struct weir_socket *socket)
{
    struct talk *talk = OWNER(socket, struct talk, socket);
    struct demo_hosts *hosts = talk->host->hosts;
    *talk->pprev = talk->next;
    if (talk->next != NULL)
        talk->next->pprev = talk->pprev;
    free(talk);
    part_closed(hosts);
}

static const struct weir_socket_events ending_events = { .closed = talk_closed };

static void end_talk(struct talk *talk, enum weir_close_mode mode)
{
    if (talk->socket.events == &ending_events)
        return;
    talk->socket.events = &ending_events;
    weir_close(&talk->socket, mode);
}

static void send_rest(struct talk *talk)
{
    weir_send(&talk->socket, talk->answer + talk->sent, talk->size - talk->sent, WEIR_SEND_WAIT);
}

static void sent(struct weir_socket *socket, int status)
{
    struct talk *talk = OWNER(socket, struct talk, socket);
    if (status < 0) {
        end_talk(talk, WEIR_CLOSE_RESET);
        return;
    }
    talk->sent += (uint32_t)status;
    if (talk->sent < talk->size) {
        send_rest(talk);
        return;
    }
    talk->size = 0;
    if (talk->heard_end)
        end_talk(talk, WEIR_CLOSE_NORMAL);
}

/* The line without its end; what a terminal might take for a command is not sent back. */
static void write_answer(struct talk *talk, const uint8_t *data, uint32_t size)
{
    char text[DATA_MAX + 1] = { 0 }, address[WEIR_ADDRESS_TEXT_MAX];
    while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
        size--;
    for (uint32_t n = 0; n < size && n < DATA_MAX; n++)
        text[n] = data[n] >= ' ' && data[n] < 0x7f ? (char)data[n] : '?';
    int length = snprintf(talk->answer, sizeof talk->answer, "Data '%s' was received by host at %s\n", text,
                          weir_address_format(&talk->host->address, address, sizeof address));
    talk->size = (uint32_t)length;
    talk->sent = 0;
}

/* What comes while an answer is still on its way is not answered: people don't type that fast. */
static void received(struct weir_socket *socket, int status, struct weir_loan *loan)
{
    struct talk *talk = OWNER(socket, struct talk, socket);
    if (status > 0) {
        bool answer = talk->size == 0;
        if (answer)
            write_answer(talk, loan->data, loan->size);
        weir_loan_return(talk->host->hosts->loop, loan);
        if (answer)
            send_rest(talk);
    } else if (status == 0 && talk->size > 0) {
        talk->heard_end = true;
    } else {
        end_talk(talk, status == 0 ? WEIR_CLOSE_NORMAL : WEIR_CLOSE_RESET);
    }
}

static const struct weir_socket_events talk_events = { .received = received, .sent = sent, .closed = talk_closed };

/* Hosts */

static void accept_again(struct weir_timer *timer)
{
    weir_accept(&OWNER(timer, struct host, pause)->acceptor);
}

static void accepted(struct weir_acceptor *acceptor, int status, int fd)
{
    struct host *host = OWNER(acceptor, struct host, acceptor);
    struct demo_hosts *hosts = host->hosts;
    struct talk *talk = status == 0 ? calloc(1, sizeof *talk) : NULL;
    if (talk != NULL) {
        talk->host = host;
        talk->next = hosts->talks;
        talk->pprev = &hosts->talks;
        if (talk->next != NULL)
            talk->next->pprev = &talk->next;
        hosts->talks = talk;
        hosts->parts++;
        weir_socket_init(&talk->socket, hosts->loop, &talk_events);
        weir_socket_adopt(&talk->socket, fd);
        weir_recv(&talk->socket);
    } else if (status == 0) {
        weir_fd_discard(hosts->loop, fd);
    } else if (status != WEIR_ECANCELED) {
        weir_timer_set(hosts->loop, &host->pause, weir_loop_now(hosts->loop) + ACCEPT_PAUSE_NS);
    }
}

static void acceptor_closed(struct weir_acceptor *acceptor)
{
    part_closed(OWNER(acceptor, struct host, acceptor)->hosts);
}

static int open_host(struct demo_hosts *hosts, struct host *host)
{
    int err = weir_address_parse("127.0.0.1:0", &host->address);
    int fd = err == 0 ? weir_listen(&host->address, &(const struct weir_listen_options){ 0 }) : err;
    if (fd < 0)
        return fd;
    err = weir_listen_address(fd, &host->address);
    if (err != 0) {
        close(fd);
        return err;
    }
    host->hosts = hosts;
    host->pause.fire = accept_again;
    host->acceptor.accepted = accepted;
    host->acceptor.closed = acceptor_closed;
    weir_acceptor_init(&host->acceptor, hosts->loop, fd);
    weir_accept(&host->acceptor);
    hosts->parts++;
    return 0;
}

/* All of them */

static void deliver_stop(struct weir_loop *loop, struct weir_message *message)
{
    struct demo_hosts *hosts = OWNER(message, struct demo_hosts, stop);
    if (hosts->parts == 0)
        weir_loop_stop(loop);
    for (uint32_t n = 0; n < hosts->count; n++) {
        weir_timer_stop(loop, &hosts->host[n].pause);
        if (hosts->host[n].hosts != NULL)
            weir_acceptor_close(&hosts->host[n].acceptor);
    }
    for (struct talk *talk = hosts->talks; talk != NULL; talk = talk->next)
        end_talk(talk, WEIR_CLOSE_RESET);
}

static void *run(void *argument)
{
    struct demo_hosts *hosts = argument;
    if (weir_loop_run(hosts->loop) != 0)
        abort();
    return NULL;
}

static int open_all(struct demo_hosts *hosts)
{
    int err = weir_loop_new(NULL, &hosts->loop);
    for (uint32_t n = 0; err == 0 && n < hosts->count; n++)
        err = open_host(hosts, &hosts->host[n]);
    if (err != 0)
        return err;
    hosts->running = pthread_create(&hosts->thread, NULL, run, hosts) == 0;
    return hosts->running ? 0 : WEIR_ENOMEM;
}

int demo_hosts_start(uint32_t count, struct demo_hosts **ret_hosts)
{
    struct demo_hosts *hosts = calloc(1, sizeof *hosts + count * sizeof(struct host));
    if (hosts == NULL)
        return WEIR_ENOMEM;
    hosts->count = count;
    hosts->stop.deliver = deliver_stop;
    int err = open_all(hosts);
    if (err == 0)
        *ret_hosts = hosts;
    else
        demo_hosts_stop(&hosts);
    return err;
}

void demo_hosts_stop(struct demo_hosts **phosts)
{
    struct demo_hosts *hosts = *phosts;
    if (hosts == NULL)
        return;
    if (hosts->loop != NULL)
        weir_loop_post(hosts->loop, &hosts->stop);
    if (hosts->running)
        pthread_join(hosts->thread, NULL);
    else if (hosts->loop != NULL)
        run(hosts); /* here, to close what was opened */
    weir_loop_free(&hosts->loop);
    free(hosts);
    *phosts = NULL;
}

const struct weir_address *demo_hosts_address(const struct demo_hosts *hosts, uint32_t host)
{
    return &hosts->host[host].address;
}
