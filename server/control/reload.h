/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "../proxy/balancer.h"

/* Reloading: the file is read anew, checked, its `expect` lines are run, and what it says takes the place of what ran
 * before, in the same process. All of it happens on the control thread, one reload at a time; everybody who asks while
 * one has yet to begin shares it. */
struct reloader;

enum reload_outcome {
    RELOAD_DONE,
    RELOAD_REFUSED, /* the file has errors, or asks for what cannot be had; nothing was changed */
    RELOAD_BUSY,    /* the balancer is draining; nothing was changed */
    RELOAD_FAILED,  /* out of memory; nothing was changed */
    RELOAD_OUTCOMES,
};
/* "done", "refused", "busy", "failed": static. The label `result` of weir_config_reloads_total. */
const char *reload_outcome_label(enum reload_outcome outcome);

#define RELOAD_LINES_MAX 101

/* How a reload went; immutable, shared by all who asked. */
struct reload_result {
    _Atomic uint32_t references; /* private */
    enum reload_outcome outcome;
    uint64_t wall_ns; /* of its end */
    uint64_t duration_ns;
    char **lines; /* done: what changed, perhaps nothing; else each error: "FILE:LINE:COLUMN: ..." */
    uint32_t line_count;
    char **warnings; /* of a file that is good all the same */
    uint32_t warning_count;
};
/* Drops a reference and clears the pointer. Accepts NULL. Any thread. */
void reload_result_unref(struct reload_result **presult);

/* `path`: of the file. Made by the control thread, before the others look. Returns 0 or WEIR_ENOMEM. */
int reloader_new(struct balancer *balancer, struct state *state, const char *path, struct reloader **ret_reloader);
/* Nobody asks any more. Accepts NULL. */
void reloader_free(struct reloader **preloader);

/* Asks for a reload and waits until it is over, which may take seconds when files are slow. Any thread but the control
 * thread and the workers'. Returns 0 and the result, the caller's to unref; WEIR_ECANCELED (the balancer is being
 * stopped) or WEIR_ENOMEM. */
int reloader_reload(struct reloader *reloader, struct reload_result **ret_result);

/* The control thread: does what has been asked for (a signal is such a question too, and asks for nobody). */
void reloader_run(struct reloader *reloader);
/* The control thread: refuses those who still wait, and all to come, with WEIR_ECANCELED. */
void reloader_stop(struct reloader *reloader);

/* The last reload, the caller's to unref; NULL: none since the start. Any thread. */
struct reload_result *reloader_last(struct reloader *reloader);
/* How many went that way. Any thread. */
uint64_t reloader_count(struct reloader *reloader, enum reload_outcome outcome);

#endif
