/* SPDX-License-Identifier: Apache-2.0 */
#include "close_reason.h"

#include <assert.h>

struct row {
    const char *label;
    const char *sentence;
    enum log_level level;
};

static const struct row rows[CLOSE_REASONS] = {
    [CLOSE_NONE] = { "open", "the connection is open", LOG_LEVEL_INFO },
#define CLOSE_REASON(name, label, level, sentence) [CLOSE_##name] = { label, sentence, LOG_LEVEL_##level },
#include "close_reasons.def"
#undef CLOSE_REASON
};

static const struct row *row_of(enum close_reason reason)
{
    assert(reason < CLOSE_REASONS);
    return &rows[reason];
}

const char *close_reason_label(enum close_reason reason)
{
    return row_of(reason)->label;
}

const char *close_reason_sentence(enum close_reason reason)
{
    return row_of(reason)->sentence;
}

enum log_level close_reason_level(enum close_reason reason)
{
    return row_of(reason)->level;
}
