/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

/* What every backend must do, told through the public headers alone. Who has a new backend fills in this table and
 * calls conformance_run(). */

#include <stdbool.h>

#include <weir/loop.h>
#include <weir/socket.h>

struct conformance_backend {
    const char *name;
    bool real; /* the kernel's sockets, several threads, wall time */
    struct weir_loop *(*loop_new)(const struct weir_loop_options *options);
    /* A listening descriptor for weir_acceptor_init() and its address. */
    int (*listen)(struct weir_loop *loop, struct weir_address *ret_address);
    /* An address where every connect is refused, and one where it is never answered. What that takes lasts until
     * network_end(), which follows after the loop has been freed. */
    void (*refusing)(struct weir_loop *loop, struct weir_address *ret_address);
    void (*silent)(struct weir_loop *loop, struct weir_address *ret_address);
    void (*network_end)(void);
};

/* The one under test. */
extern const struct conformance_backend *conformance_backend;

/* Runs all that apply, or those whose name matches `pattern` (NULL: all). Returns the number of failures. */
int conformance_run(const struct conformance_backend *backend, const char *pattern);

int conformance_life(void);
int conformance_data(void);
int conformance_ends(void);
int conformance_buffers(void);
int conformance_splice(void);
int conformance_accept(void);
int conformance_time(void);
int conformance_chaos(void);
int conformance_kernel(void); /* real ones only */

#endif
