/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

/* The client that has exactly this identity: a network, or a name with `*`. */
static uint32_t find_owner(struct reader *reader, const struct node *node, const char *text, uint32_t found)
{
    if (found == INDEX_NONE && !reader->clients_incomplete)
        report_add(reader->report, node->at,
                   "no client has the identity %s; write an address or a name that it stands for", quote(text).text);
    return found;
}

static void read_network(struct reader *reader, const struct node *node, const char *text,
                         struct expectation *expectation)
{
    struct network network;
    bool exact;

    if (value_network(text + strlen("cidr:"), &network, &exact) != 0 || !exact) {
        report_add(reader->report, node->at, "%s is not a network; write cidr:IP/BITS", quote(text).text);
        return;
    }
    struct network_key key = network_key(&network);
    expectation->client = find_owner(reader, node, text, index_find(&reader->networks, 0, &key, sizeof key));
}

static void read_certificate(struct reader *reader, const struct node *node, const char *text,
                             struct expectation *expectation)
{
    struct typed_name name;
    const char *reason;

    if (names_read(text, &name, &reason) != 0)
        report_add(reader->report, node->at, "%s %s", quote(text).text, reason);
    else if (name.wildcard)
        expectation->client =
            find_owner(reader, node, text, index_find(&reader->identities, (uint32_t)name.kind, name.bytes, name.size));
    else {
        expectation->has_name = true;
        expectation->name = (struct identity_name){ name.kind, name.size, reader_copy(reader, name.bytes) };
    }
}

static void read_subject(struct reader *reader, const struct node *node, const char *text,
                         struct expectation *expectation)
{
    expectation->client = ANY_INDEX;
    if (strcmp(text, "*") == 0)
        expectation->any_client = true;
    else if (names_has_type(text))
        read_certificate(reader, node, text, expectation);
    else if (strncmp(text, "cidr:", strlen("cidr:")) == 0)
        read_network(reader, node, text, expectation);
    else if (value_host(text, &expectation->address) != 0)
        expectation->client = find_client(reader, node, text);
}

/* Cuts the last word off. Returns it, or NULL when nothing would be left. */
static char *cut_last_word(char *text)
{
    size_t size = strlen(text);

    while (size > 0 && text[size - 1] == ' ')
        text[--size] = '\0';
    char *space = strrchr(text, ' ');
    if (space == NULL)
        return NULL;
    for (char *end = space; end >= text && *end == ' '; end--)
        *end = '\0';
    return text[0] == '\0' ? NULL : space + 1;
}

/* "SUBJECT can TARGET": a subject may have spaces (cn:Alice Smith). */
static void read_expectation(struct reader *reader, const struct node *node, struct expectation *expectation)
{
    const char *text = node_text(node);
    char *subject = text == NULL ? NULL : arena_copy(&reader->arena, text, strlen(text));
    char *target = subject == NULL ? NULL : cut_last_word(subject);
    char *verb = target == NULL ? NULL : cut_last_word(subject);
    struct target found = { ANY_INDEX, ANY_INDEX };

    reader->report->out_of_memory = reader->report->out_of_memory || (text != NULL && subject == NULL);
    expectation->at = node->at;
    expectation->can = verb != NULL && strcmp(verb, "can") == 0;
    if (verb == NULL || (!expectation->can && strcmp(verb, "cannot") != 0)) {
        refuse(reader, "an expectation", node, "CLIENT can POOL or CLIENT cannot POOL/UPSTREAM");
        return;
    }
    read_subject(reader, node, subject + strspn(subject, " "), expectation);
    find_target(reader, node, target, &found);
    expectation->pool = found.pool;
    expectation->place = found.place;
}

void read_expectations(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct snapshot *snapshot = slot;

    if (!list_is_fine(reader, field, node, "expectations"))
        return;
    snapshot->expectations = reader_array(reader, node->count, sizeof *snapshot->expectations);
    for (const struct node *item = node->first; snapshot->expectations != NULL && item != NULL; item = item->next)
        read_expectation(reader, item, &snapshot->expectations[snapshot->expectation_count++]);
}
