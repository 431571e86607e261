/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H

#include <stdbool.h>

#include "material.h"
#include "session.h"

/* OpenSSL tells what went wrong by a queue of errors of the thread; every operation here begins with an empty one and
 * leaves an empty one. */

/* Whether the error at the root of the queued ones is a lack of memory. */
bool tls_ran_out_of_memory(void);

/* Takes all errors out of the queue. */
void tls_failure_from_queue(enum tls_role role, struct tls_failure *ret_failure);

/* OpenSSL's words for the first error of the queue. Static. */
const char *tls_queued_reason(void);

#endif
