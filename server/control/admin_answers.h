/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_ADMIN_ANSWERS_H
#define CONTROL_ADMIN_ANSWERS_H

#include "../proxy/balancer.h"
#include "admin_request.h"
#include "buffer.h"
#include "metrics.h"
#include "reload.h"

/* What the admin side answers to a request that was read. The threads of the admin side; workers go on meanwhile. */

struct admin_view {
    struct balancer *balancer;
    struct metrics *metrics;
    struct reloader *reloader; /* NULL: there is no file to read anew */
};

struct answer {
    unsigned status; /* of HTTP */
    const char *type;
    const char *allow;           /* NULL: no such header */
    struct buffer body;          /* the caller's; it may have failed for want of memory */
    const struct web_file *file; /* instead of the body */
    bool streams;                /* events, instead of the body */
};

void admin_answer(const struct admin_view *view, const struct admin_request *request, struct answer *answer);
void admin_answer_fault(const struct admin_fault *fault, struct answer *answer);

#endif
