/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "protocol.h"

#define SOURCE_ADDRESSES 8 /* local ports are bounded for each pair of addresses */
#define READ_BYTES (64u << 10)

static SSL_CTX *tls; /* NULL: plain */

void stream_use_tls(const char *certificate, const char *key, const char *ca)
{
    tls = SSL_CTX_new(TLS_client_method());
    bool ok = tls != NULL && SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1 &&
              SSL_CTX_use_certificate_file(tls, certificate, SSL_FILETYPE_PEM) == 1 &&
              SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 &&
              SSL_CTX_load_verify_locations(tls, ca, NULL) == 1 && SSL_CTX_set1_groups_list(tls, "X25519") == 1 &&
              SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") == 1;
    if (!ok) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, READ_BYTES);
    signal(SIGPIPE, SIG_IGN);
}

static SSL *start_tls(int fd)
{
    SSL *ssl = SSL_new(tls);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

void stream_open(struct stream *stream, const struct sockaddr_in *target, uint32_t id)
{
    struct sockaddr_in source = { .sin_family = AF_INET };
    int one = 1;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + id % SOURCE_ADDRESSES);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0)
        die("bind");
    if (connect(fd, (const struct sockaddr *)target, sizeof *target) != 0 && errno != EINPROGRESS)
        die("connect");
    *stream = (struct stream){ .fd = fd, .ssl = tls != NULL ? start_tls(fd) : NULL };
}

/* Of a call into OpenSSL that did not succeed, in the words of send() and recv(). */
static ssize_t failed(const struct stream *stream, int result)
{
    int error = errno;
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_SYSCALL:
        errno = error != 0 ? error : ECONNRESET;
        return -1;
    default:
        ERR_print_errors_fp(stderr);
        errno = EPROTO;
        return -1;
    }
}

ssize_t stream_send(struct stream *stream, const void *data, size_t size)
{
    if (stream->ssl == NULL)
        return send(stream->fd, data, size, MSG_NOSIGNAL);
    size_t sent = 0;
    ERR_clear_error();
    int result = SSL_write_ex(stream->ssl, data, size, &sent);
    stream->torn = result != 1;
    return result == 1 ? (ssize_t)sent : failed(stream, result);
}

ssize_t stream_receive(struct stream *stream, void *data, size_t size)
{
    if (stream->ssl == NULL)
        return recv(stream->fd, data, size, 0);
    size_t all = 0;
    do {
        size_t received = 0;
        ERR_clear_error();
        int result = SSL_read_ex(stream->ssl, (uint8_t *)data + all, size - all, &received);
        if (result != 1)
            return all > 0 ? (ssize_t)all : failed(stream, result);
        all += received;
    } while (all < size && SSL_has_pending(stream->ssl) == 1);
    return (ssize_t)all;
}

void stream_end(struct stream *stream)
{
    if (stream->ssl != NULL)
        SSL_shutdown(stream->ssl);
    shutdown(stream->fd, SHUT_WR);
}

void stream_close(struct stream *stream)
{
    if (stream->ssl != NULL && !stream->torn)
        SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    close(stream->fd);
    *stream = (struct stream){ .fd = -1 };
}
