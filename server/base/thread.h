/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that takes no signals: they belong to the controlling thread, and a broken pipe must not end the
 * program. Returns 0 or WEIR_ENOMEM; *ret_thread is set on success only. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument);

#endif
