/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_COMPLAINTS_H
#define TLS_COMPLAINTS_H

#include "material.h"

/* A caller's array of complaints being filled in: errors first, what finds no room is dropped, warnings before errors.
 */
struct complaints {
    struct tls_complaint *list;
    uint32_t room, count, errors;
};

/* Returns WEIR_EINVAL. */
int complain(struct complaints *complaints, enum tls_setting setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void warn(struct complaints *complaints, enum tls_setting setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
