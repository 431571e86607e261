/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPLAIN_TEXT_H
#define CLI_EXPLAIN_TEXT_H

#include <jansson.h>

/* Prints an explanation, as explain_json() makes it, for a person on standard output. */
void explain_print(const json_t *explanation);

#endif
