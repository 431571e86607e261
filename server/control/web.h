/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_WEB_H
#define CONTROL_WEB_H

#include <stddef.h>

/* The dashboard's files, as web/embed.py has put them into the program. */

struct web_file {
    const char *path, *type;
    const unsigned char *bytes;
    size_t size;
};

extern const struct web_file web_files[];
extern const size_t web_file_count;

/* NULL: there is none at this path. */
const struct web_file *web_find(const char *path);

#endif
