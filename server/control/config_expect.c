/* SPDX-License-Identifier: Apache-2.0 */
#include "config_report.h"

#include <stdio.h>
#include <string.h>

#include <weir/errors.h>

#include "../policy/decide.h"

struct subject {
    char text[WEIR_ADDRESS_TEXT_MAX + NAME_MAX_BYTES];
};

/* "dns:bob.example.com"; cut when it is very long. */
static void name_subject(const struct identity_name *name, struct subject *subject)
{
    char text[IDENTITY_NAME_BYTES_MAX + 16];

    snprintf(text, sizeof text, "%s:%s", identity_kind_name(name->kind), name->bytes);
    memcpy(subject->text, quote(text).text, sizeof(struct quoted));
}

static struct subject subject_of(const struct snapshot *snapshot, const struct expectation *expectation)
{
    struct subject subject;

    if (expectation->any_client)
        snprintf(subject.text, sizeof subject.text, "an unknown client");
    else if (expectation->client != ANY_INDEX)
        snprintf(subject.text, sizeof subject.text, "%s", snapshot->clients[expectation->client].name);
    else if (expectation->has_name)
        name_subject(&expectation->name, &subject);
    else
        weir_address_format_host(&expectation->address, subject.text, sizeof subject.text);
    return subject;
}

static int add_failure(const struct snapshot *snapshot, const struct expectation *expectation,
                       struct config_errors *errors)
{
    const struct pool *pool = &snapshot->pools[expectation->pool];
    bool whole = expectation->place == ANY_INDEX;
    const char *upstream = whole ? "" : snapshot->upstreams[pool->places[expectation->place].upstream].name;

    return config_errors_add(
        errors, "%s:%u:%u: %s %s reach %s%s%s, against this expectation; change the policy or the line", snapshot->path,
        expectation->at.line, expectation->at.column, subject_of(snapshot, expectation).text,
        expectation->can ? "cannot" : "can", pool->name, whole ? "" : "/", upstream);
}

int config_expect(const struct snapshot *snapshot, struct config_errors *errors)
{
    uint32_t failures = 0, left_out = 0;

    for (uint32_t i = 0; i < snapshot->expectation_count; i++) {
        if (expectation_holds(snapshot, &snapshot->expectations[i]))
            continue;
        failures++;
        if (errors->count >= CONFIG_ERRORS_MAX)
            left_out++;
        else if (add_failure(snapshot, &snapshot->expectations[i], errors) != 0)
            return WEIR_ENOMEM;
    }
    if (config_errors_left_out(errors, snapshot->path, left_out) != 0)
        return WEIR_ENOMEM;
    return failures == 0 ? 0 : WEIR_EINVAL;
}
