/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_TEXT_H
#define CLI_TOP_TEXT_H

/* Numbers for people who look at many at a time. None is negative. */

struct short_text {
    char bytes[24];
};

struct short_text count_text(double number);    /* "12", "345k", "1.2M" */
struct short_text rate_text(double number);     /* the same, with a decimal below 10: "0.5", "3" */
struct short_text bytes_text(double number);    /* "12 B/s", "3.4 MB/s" */
struct short_text duration_text(double number); /* of seconds: "5 s", "2 h 3 min" */

#endif
