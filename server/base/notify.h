/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

/* What systemd is told about this process (sd_notify(3)), on the socket that NOTIFY_SOCKET names; where it names none,
 * nothing. A message that is not taken within a second is lost. Any thread, between notify_open() and notify_close().
 */

/* Before a sandbox, in which no such socket can be made. What is wrong with NOTIFY_SOCKET is logged. */
void notify_open(void);
void notify_close(void);

/* Serving, the first time or again after notify_reloading(). `status` is for people, like `systemctl status`. */
void notify_ready(const char *status);
void notify_reloading(void);
/* Ending, which may take so long. */
void notify_stopping(uint64_t within_ns, const char *status);
void notify_alive(void);

/* The longest that systemd will wait for the next notify_alive(); 0: it does not ask for any. */
uint64_t notify_watchdog_ns(void);

#endif
