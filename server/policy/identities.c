/* SPDX-License-Identifier: Apache-2.0 */
#include "identities.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const struct identity_name *a, const struct identity_name *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->size);
}

static int compare(const void *a, const void *b)
{
    return compare_names(&((const struct client_identity *)a)->name, &((const struct client_identity *)b)->name);
}

void identities_sort(struct client_identity *identities, uint32_t count)
{
    if (count > 1)
        qsort(identities, count, sizeof *identities, compare);
}

uint32_t identity_wildcard(const struct identity_name *name, char wildcard[IDENTITY_WILDCARD_MAX])
{
    const char *part = NULL;
    if (name->size > IDENTITY_NAME_BYTES_MAX)
        return 0;
    if (name->kind == IDENTITY_DNS && (part = memchr(name->bytes, '.', name->size)) != NULL) {
        uint32_t rest = name->size - (uint32_t)(part - name->bytes);
        wildcard[0] = '*';
        memcpy(wildcard + 1, part, rest);
        return rest + 1;
    }
    if (name->kind == IDENTITY_URI && (part = memrchr(name->bytes, '/', name->size)) != NULL) {
        uint32_t kept = (uint32_t)(part - name->bytes) + 1;
        memcpy(wildcard, name->bytes, kept);
        wildcard[kept] = '*';
        return kept + 1;
    }
    return 0;
}

/* The form in which configured names stand: dns names and the domains of emails in lower case. */
static struct identity_name normalized(const struct identity_name *name, char buffer[IDENTITY_NAME_BYTES_MAX])
{
    struct identity_name form = *name;
    if ((name->kind != IDENTITY_DNS && name->kind != IDENTITY_EMAIL) || name->size > IDENTITY_NAME_BYTES_MAX)
        return form;
    const char *at = name->kind == IDENTITY_EMAIL ? memrchr(name->bytes, '@', name->size) : NULL;
    memcpy(buffer, name->bytes, name->size);
    for (uint32_t i = at == NULL ? 0 : (uint32_t)(at - name->bytes); i < name->size; i++) {
        if (buffer[i] >= 'A' && buffer[i] <= 'Z')
            buffer[i] = (char)(buffer[i] - 'A' + 'a');
    }
    form.bytes = buffer;
    return form;
}

uint32_t identities_find(const struct client_identity *identities, uint32_t count, const struct identity_name *name,
                         const struct client_identity *ret_found[IDENTITY_MATCHES_MAX])
{
    char form[IDENTITY_NAME_BYTES_MAX], wildcard[IDENTITY_WILDCARD_MAX];
    const struct identity_name exact = normalized(name, form);
    const struct client_identity keys[IDENTITY_MATCHES_MAX] = {
        { .name = exact },
        { .name = { name->kind, identity_wildcard(&exact, wildcard), wildcard } },
    };
    uint32_t found = 0;
    for (uint32_t i = 0; count > 0 && i < IDENTITY_MATCHES_MAX; i++) {
        const struct client_identity *identity = bsearch(&keys[i], identities, count, sizeof *identities, compare);
        if (identity != NULL && identity_matches(&identity->name, name))
            ret_found[found++] = identity;
    }
    return found;
}
