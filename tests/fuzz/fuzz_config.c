/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/control/config.h"

/* Any bytes as a configuration: it is either good, and then it can be bound and judged, or told what is wrong, in the
 * order of the file and in text that a terminal can show. */

#define FILE_NAME "weir.yaml"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void assert_presentable(const struct config_errors *errors)
{
    unsigned line = 1, column = 1;

    for (uint32_t i = 0; i < errors->count; i++) {
        unsigned next_line, next_column;
        const char *text = errors->lines[i];
        for (const char *c = text; *c != '\0'; c++)
            assert((unsigned char)*c >= ' ' && *c != 0x7f);
        if (i == CONFIG_ERRORS_MAX)
            break;
        assert(sscanf(text, FILE_NAME ":%u:%u: ", &next_line, &next_column) == 2);
        assert(next_line > line || (next_line == line && next_column >= column));
        line = next_line;
        column = next_column;
    }
}

static void judge(struct snapshot *snapshot, struct config_errors *errors)
{
    static struct state state;

    if (state.upstreams == NULL && state_new(1, &state) != 0)
        abort();
    assert(snapshot_bind(snapshot, &state, 1) == 0);
    int err = config_expect(snapshot, errors);
    assert(err == 0 || err == WEIR_EINVAL);
    assert((err == 0) == (errors->count == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct snapshot *snapshot = NULL;
    struct config_errors errors = { 0 };
    int err = config_read_memory(FILE_NAME, (const char *)bytes, size, &snapshot, &errors);

    assert((err == 0) == (snapshot != NULL));
    assert((err == 0) == (errors.count == 0));
    assert(err == 0 || err == WEIR_EINVAL);
    if (err == 0)
        judge(snapshot, &errors);
    assert_presentable(&errors);
    config_errors_free(&errors);
    snapshot_free(&snapshot);
    return 0;
}
