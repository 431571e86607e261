/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOSE_REASON_H
#define BASE_CLOSE_REASON_H

#include "log.h"

enum close_reason {
    CLOSE_NONE, /* still open */
#define CLOSE_REASON(name, label, level, sentence) CLOSE_##name,
#include "close_reasons.def"
#undef CLOSE_REASON
    CLOSE_REASONS, /* how many, with CLOSE_NONE */
};

/* The word for logs and metrics; "open" for CLOSE_NONE. */
const char *close_reason_label(enum close_reason reason);
/* The sentence for people. */
const char *close_reason_sentence(enum close_reason reason);
enum log_level close_reason_level(enum close_reason reason);

#endif
