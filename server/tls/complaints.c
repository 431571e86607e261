/* SPDX-License-Identifier: Apache-2.0 */
#include "complaints.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/errors.h>

__attribute__((format(printf, 4, 0))) static void
write_at(struct complaints *complaints, uint32_t at, enum tls_setting setting, const char *format, va_list arguments)
{
    struct tls_complaint *complaint = &complaints->list[at];
    complaint->setting = setting;
    vsnprintf(complaint->text, sizeof complaint->text, format, arguments);
}

int complain(struct complaints *complaints, enum tls_setting setting, const char *format, ...)
{
    va_list arguments;
    uint32_t warnings = complaints->count - complaints->errors;
    if (complaints->errors == complaints->room)
        return WEIR_EINVAL;
    if (complaints->count == complaints->room)
        warnings--;
    else
        complaints->count++;
    struct tls_complaint *place = &complaints->list[complaints->errors];
    memmove(place + 1, place, warnings * sizeof *place);
    va_start(arguments, format);
    write_at(complaints, complaints->errors++, setting, format, arguments);
    va_end(arguments);
    return WEIR_EINVAL;
}

void warn(struct complaints *complaints, enum tls_setting setting, const char *format, ...)
{
    va_list arguments;
    if (complaints->count == complaints->room)
        return;
    va_start(arguments, format);
    write_at(complaints, complaints->count++, setting, format, arguments);
    va_end(arguments);
}
