/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROXY_PROBE_H
#define PROXY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/address.h>
#include <weir/loop.h>
#include <weir/socket.h>

#include "../policy/snapshot.h"
#include "../tls/context.h"
#include "handshake.h"

/* One check of one upstream, from its connect to its close, within the `timeout` of its settings. What it asks for:
 *   connect, none  a connection;
 *   tls            a handshake with the pool's context. Then close_notify is sent and what comes is read to the end,
 *                  since an upstream that refuses our certificate says so only then: an alert is a failure. A reset, or
 *                  silence until the timeout, is none;
 *   exchange       `send` goes out, and `expect` comes within the first REPLY_BYTES_MAX bytes, both inside the
 *                  pool's TLS if there is one.
 * As soon as the verdict is known it is told. Then the upstream gets a clean end: ours first, and its own is waited
 * for, so that closing resets nothing. The loop's thread. */

enum probe_verdict {
    PROBE_GOOD,
    PROBE_BAD,
    PROBE_VOID, /* something was missing here (descriptors, memory, ports): it says nothing about the upstream */
};

enum probe_stage { PROBE_IDLE, PROBE_CONNECTING, PROBE_SHAKING, PROBE_TALKING, PROBE_ENDING, PROBE_CLOSING };

/* Zero it at birth, then set what stands first. */
struct probe {
    struct weir_loop *loop;
    struct handshakes *line;
    const struct health_settings *settings;
    const struct weir_address *address;
    /* Once for each check, unless it was stopped before. `cause`: why it is not good; valid during the call. */
    void (*judged)(struct probe *probe, enum probe_verdict verdict, const char *cause);
    /* The socket has closed, and everything is given back: the next check may start. */
    void (*over)(struct probe *probe);

    int64_t certificate_expires_s; /* of the last handshake that was done, in seconds since 1970; 0: none yet */

    /* private */
    enum probe_stage stage;
    struct tls_context *tls;
    struct weir_socket socket;
    struct weir_timer deadline;
    struct talk *talk; /* bytes both ways; NULL until they are needed */
    uint32_t received; /* bytes */
    bool sending, ends, shut, peer_ended;
};

/* `tls`: of the pool, or NULL: plain. The probe is idle. */
void probe_start(struct probe *probe, struct tls_context *tls);

/* Closes at once, without a verdict; `over` follows. Does nothing for one that closes already or is idle. */
void probe_stop(struct probe *probe);

bool probe_is_idle(const struct probe *probe);

#endif
