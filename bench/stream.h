/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

/* A connection to the balancer, plain or with TLS. Nothing blocks. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct stream {
    int fd;    /* < 0: none */
    SSL *ssl;  /* NULL: plain */
    bool torn; /* the last send has to be repeated before anything else is sent */
};

/* All streams from now on speak TLS 1.3, prove who they are, and believe only what this CA has signed: every one by a
 * full handshake. Files in PEM. Ends the program when they are of no use. */
void stream_use_tls(const char *certificate, const char *key, const char *ca);

struct sockaddr_in;
/* Starts to connect. `id`: streams spread over several local addresses by it. Ends the program on failure. */
void stream_open(struct stream *stream, const struct sockaddr_in *target, uint32_t id);

/* As send() and recv(): bytes, 0 at the peer's clean end, or -1 and errno. One receive takes all that is there. */
ssize_t stream_send(struct stream *stream, const void *data, size_t size);
ssize_t stream_receive(struct stream *stream, void *data, size_t size);

/* Ends the sending side; receiving goes on. */
void stream_end(struct stream *stream);

void stream_close(struct stream *stream);

#endif
