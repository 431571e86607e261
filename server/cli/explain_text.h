/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPLAIN_TEXT_H
#define CLI_EXPLAIN_TEXT_H

#include "../control/explain.h"

/* Prints an explanation for a person on standard output. */
void explain_print(const struct explanation *explanation);

#endif
