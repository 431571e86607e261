/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_REPORT_H
#define CONTROL_CONFIG_REPORT_H

#include "config.h"

/* The CONFIG_ERRORS_MAX problems that stand first in a file, by place. */
struct report_list {
    struct report_line {
        struct position at;
        char *text;
    } lines[CONFIG_ERRORS_MAX];
    uint32_t count;
    uint64_t left_out;
};

/* Collects what is wrong with a file, and what is doubtful. */
struct report {
    struct report_list errors, warnings;
    bool out_of_memory; /* of the reader too */
};

/* Whether an error at this place would be kept: ask before working out a costly sentence. One that would not is
 * counted and done with. */
bool report_wants(struct report *report, struct position at);

void report_add(struct report *report, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_warn(struct report *report, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Hands all over as complete lines and empties the report. Returns 0 when there were no errors, WEIR_EINVAL or
 * WEIR_ENOMEM. */
int report_finish(struct report *report, const char *path, struct config_errors *errors);

/* Adds one complete line, unless there are CONFIG_ERRORS_MAX already. Returns 0 or WEIR_ENOMEM. */
int config_errors_add(struct config_errors *errors, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line that ends the errors when the list is cut off; nothing when `count` is 0. Returns 0 or WEIR_ENOMEM. */
int config_errors_left_out(struct config_errors *errors, const char *path, uint64_t count);

/* A user's text between double quotes, for a message: escaped, and cut when it is long. Valid as long as the
 * expression it stands in: quote(text).text */
struct quoted {
    char text[96];
};
struct quoted quote(const char *text);

#endif
