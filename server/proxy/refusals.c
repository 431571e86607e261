/* SPDX-License-Identifier: Apache-2.0 */
#include "refusals.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../base/utf8.h"

struct refusals {
    pthread_mutex_t mutex;
    uint64_t count; /* since the start */
    struct refusal kept[REFUSALS_KEPT];
};

struct refusals *refusals_new(void)
{
    struct refusals *refusals = calloc(1, sizeof *refusals);
    if (refusals != NULL)
        pthread_mutex_init(&refusals->mutex, NULL);
    return refusals;
}

void refusals_free(struct refusals **prefusals)
{
    if (*prefusals == NULL)
        return;
    pthread_mutex_destroy(&(*prefusals)->mutex);
    free(*prefusals);
    *prefusals = NULL;
}

void refusal_text_set(struct refusal_text *text, const void *bytes, size_t size)
{
    text->size = (uint32_t)utf8_cut(bytes, size, REFUSAL_TEXT_MAX);
    if (text->size > 0)
        memcpy(text->bytes, bytes, text->size);
}

void refusals_add(struct refusals *refusals, const struct refusal *refusal)
{
    if (pthread_mutex_trylock(&refusals->mutex) != 0)
        return;
    refusals->kept[refusals->count++ % REFUSALS_KEPT] = *refusal;
    pthread_mutex_unlock(&refusals->mutex);
}

uint32_t refusals_read(struct refusals *refusals, struct refusal *ret_kept)
{
    pthread_mutex_lock(&refusals->mutex);
    uint32_t kept = refusals->count < REFUSALS_KEPT ? (uint32_t)refusals->count : REFUSALS_KEPT;
    for (uint32_t n = 0; n < kept; n++)
        ret_kept[n] = refusals->kept[(refusals->count - kept + n) % REFUSALS_KEPT];
    pthread_mutex_unlock(&refusals->mutex);
    return kept;
}
