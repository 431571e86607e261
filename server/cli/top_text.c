/* SPDX-License-Identifier: Apache-2.0 */
#include "top_text.h"

#include <math.h>
#include <stdio.h>

struct short_text count_text(double number)
{
    struct short_text text;
    if (number < 1e5)
        snprintf(text.bytes, sizeof text.bytes, "%.0f", number);
    else
        snprintf(text.bytes, sizeof text.bytes, number < 1e6 ? "%.0fk" : "%.1fM",
                 number < 1e6 ? number / 1e3 : number / 1e6);
    return text;
}

struct short_text rate_text(double number)
{
    struct short_text text = count_text(number);
    double tenths = round(number * 10) / 10;
    if (tenths < 10 && tenths != floor(tenths))
        snprintf(text.bytes, sizeof text.bytes, "%.1f", tenths);
    return text;
}

struct short_text bytes_text(double number)
{
    static const char *const units[] = { "B/s", "kB/s", "MB/s", "GB/s" };
    struct short_text text;
    unsigned unit = 0;
    for (; number >= 1000 && unit < 3; unit++)
        number /= 1000;
    snprintf(text.bytes, sizeof text.bytes, number < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", number, units[unit]);
    return text;
}

struct short_text duration_text(double number)
{
    long long s = (long long)number;
    struct short_text text;
    if (s < 60)
        snprintf(text.bytes, sizeof text.bytes, "%lld s", s);
    else if (s < 3600)
        snprintf(text.bytes, sizeof text.bytes, "%lld min", s / 60);
    else if (s < 86400)
        snprintf(text.bytes, sizeof text.bytes, "%lld h %lld min", s / 3600, s / 60 % 60);
    else
        snprintf(text.bytes, sizeof text.bytes, "%lld d %lld h", s / 86400, s / 3600 % 24);
    return text;
}
