/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <signal.h>

#include <weir/errors.h>

int thread_start(pthread_t *ret_thread, void *(*run)(void *argument), void *argument)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        return WEIR_ENOMEM;
    *ret_thread = thread;
    return 0;
}
