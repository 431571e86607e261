/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_CHANNEL_H
#define SIM_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "../../server/tls/parts.h"
#include "net.h"

/* TLS between one of the people and the network: calls in the manner of net_read() and net_write(), for plain bytes. It
 * looks at every byte from the balancer: whether it is TLS at all. */

enum channel_play {
    CHANNEL_TALKS,
    CHANNEL_GARBAGE, /* sends bytes that mean nothing */
    CHANNEL_HTTP,    /* speaks plaintext */
    CHANNEL_SILENT,  /* says nothing at all */
};

enum channel_end {
    CHANNEL_NOTIFIES,  /* close_notify, then the end of the bytes */
    CHANNEL_HOLDS,     /* close_notify, and nothing more */
    CHANNEL_TRUNCATES, /* the end of the bytes without close_notify */
};

struct channel_script {
    enum channel_play play;
    enum channel_end end;
    uint32_t updates;  /* per mille of writes that bring new keys, and ask for some */
    bool old;          /* knows TLS 1.2 and nothing newer */
    uint64_t quits_at; /* breaks off once so many bytes have crossed the wire before the handshake is done */
};

struct channel_bytes {
    uint8_t *bytes;
    uint32_t head, size, capacity;
};

struct channel {
    struct net_end *end;
    struct tls_session *session; /* NULL: gone */
    struct channel_script script;
    struct random chance;            /* of what means nothing */
    struct channel_bytes out, plain; /* to be written; to be read */
    uint8_t header[5];               /* of the record that comes */
    uint32_t header_size, record_left;
    bool established, failed;
    bool shut, peer_ended; /* close_notify was made, was seen */
    bool said;             /* what means nothing was sent */
    bool foreign;          /* something came that is no record of TLS */
    bool cut;              /* the bytes ended cleanly, without close_notify */
    uint64_t ended_ns;     /* the kernel has its last byte */
};

/* `address`: for the side that dials; else NULL. */
struct channel *channel_new(struct net_end *end, struct tls_context *context, const struct channel_script *script,
                            const struct weir_address *address);
/* As net_read(): 0 is close_notify. */
int channel_read(struct channel *channel, void *data, uint32_t size);
/* As net_write(). */
int channel_write(struct channel *channel, const void *data, uint32_t size);
void channel_shutdown(struct channel *channel);
/* Writes what waits. Returns whether nothing waits any more. */
bool channel_flush(struct channel *channel);
bool channel_quits(const struct channel *channel);
void channel_close(struct channel *channel);

#endif
