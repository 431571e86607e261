/* SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <string.h>

const struct web_file *web_find(const char *path)
{
    for (size_t n = 0; n < web_file_count; n++)
        if (strcmp(web_files[n].path, path) == 0)
            return &web_files[n];
    return NULL;
}
