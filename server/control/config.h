/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include "../policy/snapshot.h"

/* Problems found in one run over a file, in the order of their places. Each is complete:
 * "FILE:LINE:COLUMN: what is wrong, and what would be right". */
struct config_errors {
    char **lines;
    uint32_t count;  /* at most CONFIG_ERRORS_MAX; a last line says that there are more */
    char **warnings; /* likewise, of what is no error: the file is good all the same */
    uint32_t warning_count;
};

#define CONFIG_ERRORS_MAX 100
#define CONFIG_BYTES_MAX (16u << 20)

/* Reads and checks a configuration file; nothing outside is changed. `errors` is zeroed by the caller, who frees it in
 * any case. Returns 0 and a snapshot that is not yet bound; WEIR_EINVAL (the file cannot be read, or has errors) with
 * at least one error; or WEIR_ENOMEM. */
int config_read(const char *path, struct snapshot **ret_snapshot, struct config_errors *errors);

/* The same for a file that is in memory already; `path` is for messages and for paths relative to the file. */
int config_read_memory(const char *path, const char *bytes, size_t size, struct snapshot **ret_snapshot,
                       struct config_errors *errors);

/* Only the path of the admin socket, whatever else may be wrong with the file. Returns 0 and the path, which the caller
 * frees (NULL: there is none); WEIR_EINVAL with errors when it cannot be told; or WEIR_ENOMEM. */
int config_find_socket(const char *path, char **ret_socket, struct config_errors *errors);

/* Runs the `expect` lines of a bound snapshot; adds an error for each that fails. Returns 0, WEIR_EINVAL or
 * WEIR_ENOMEM. */
int config_expect(const struct snapshot *snapshot, struct config_errors *errors);

void config_errors_free(struct config_errors *errors);

#endif
