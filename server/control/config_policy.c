/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <stdio.h>
#include <string.h>

struct rule_draft {
    const struct node *allow, *deny, *to;
};

enum { ALLOW_FIELD, DENY_FIELD, TO_FIELD };
#define RULE_ENTRIES_MAX 100000

static const struct field rule_fields[] = {
    [ALLOW_FIELD] = { "allow", read_node, offsetof(struct rule_draft, allow), 1, RULE_ENTRIES_MAX },
    [DENY_FIELD] = { "deny", read_node, offsetof(struct rule_draft, deny), 1, RULE_ENTRIES_MAX },
    [TO_FIELD] = { "to", read_node, offsetof(struct rule_draft, to), 1, RULE_ENTRIES_MAX,
                   .add = "to: [POOL] or [POOL/UPSTREAM]" },
};
static const struct section rule_section = SECTION("this rule", rule_fields);

static void read_rule_client(struct reader *reader, const struct node *node, struct rule *rule)
{
    const char *text = node_text(node);

    if (text == NULL)
        refuse(reader, "an entry of the list", node, "the name of a client or \"*\"");
    else if (strcmp(text, "*") == 0)
        rule->any_client = true;
    else
        rule->clients[rule->client_count++] = find_client(reader, node, text);
}

static void read_rule_clients(struct reader *reader, const struct field *field, const struct node *list,
                              struct rule *rule)
{
    if (!list_is_fine(reader, field, list, "clients or \"*\""))
        return;
    rule->clients = reader_array(reader, list->count, sizeof *rule->clients);
    for (const struct node *item = list->first; rule->clients != NULL && item != NULL; item = item->next)
        read_rule_client(reader, item, rule);
}

static void read_targets(struct reader *reader, const struct node *list, struct rule *rule)
{
    if (!list_is_fine(reader, &rule_fields[TO_FIELD], list, "pools or POOL/UPSTREAM"))
        return;
    rule->targets = reader_array(reader, list->count, sizeof *rule->targets);
    for (const struct node *item = list->first; rule->targets != NULL && item != NULL; item = item->next) {
        const char *text = node_text(item);
        if (text == NULL)
            refuse(reader, "an entry of the list", item, "POOL or POOL/UPSTREAM");
        else if (find_target(reader, item, text, &rule->targets[rule->target_count]))
            rule->target_count++;
    }
}

static void read_rule(struct reader *reader, const struct node *node, struct rule *rule)
{
    struct rule_draft draft = { NULL };

    rule->at = node->at;
    if (!section_read(reader, &rule_section, node, &draft))
        return;
    if ((draft.allow == NULL) == (draft.deny == NULL))
        report_add(reader->report, node->at, "this rule %s; write one of them",
                   draft.allow == NULL ? "has neither allow nor deny" : "has both allow and deny");
    rule->allow = draft.allow != NULL;
    if (draft.allow != NULL)
        read_rule_clients(reader, &rule_fields[ALLOW_FIELD], draft.allow, rule);
    else if (draft.deny != NULL)
        read_rule_clients(reader, &rule_fields[DENY_FIELD], draft.deny, rule);
    if (draft.to != NULL)
        read_targets(reader, draft.to, rule);
}

void read_policy(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct snapshot *snapshot = slot;

    if (!list_is_fine(reader, field, node, "rules"))
        return;
    snapshot->has_policy = true;
    snapshot->rules = reader_array(reader, node->count, sizeof *snapshot->rules);
    for (const struct node *item = node->first; snapshot->rules != NULL && item != NULL; item = item->next)
        read_rule(reader, item, &snapshot->rules[snapshot->rule_count++]);
}

/* The client that has exactly this identity. */
static void find_identity(struct reader *reader, const struct node *node, const char *text,
                          struct expectation *expectation)
{
    struct network network;
    bool exact;

    if (value_network(text + strlen("cidr:"), &network, &exact) != 0 || !exact) {
        report_add(reader->report, node->at, "%s is not a network; write cidr:IP/BITS", quote(text).text);
        return;
    }
    struct network_key key = identity_key(&network);
    expectation->client = index_find(&reader->networks, 0, &key, sizeof key);
    if (expectation->client == INDEX_NONE && !reader->clients_incomplete)
        report_add(reader->report, node->at, "no client has the identity %s; write an address of that network instead",
                   quote(text).text);
}

static void read_subject(struct reader *reader, const struct node *node, const char *text,
                         struct expectation *expectation)
{
    expectation->client = ANY_INDEX;
    if (strcmp(text, "*") == 0)
        expectation->any_client = true;
    else if (identity_is_of_certificate(text))
        report_add(reader->report, node->at, "%s is not yet supported; write a client, cidr:NETWORK, an address or *",
                   quote(text).text);
    else if (strncmp(text, "cidr:", strlen("cidr:")) == 0)
        find_identity(reader, node, text, expectation);
    else if (value_host(text, &expectation->address) != 0)
        expectation->client = find_client(reader, node, text);
}

static void read_expectation(struct reader *reader, const struct node *node, struct expectation *expectation)
{
    const char *text = node_text(node);
    char subject[200] = "", verb[8] = "", target[200] = "", more[2];
    int words = text == NULL ? 0 : sscanf(text, "%199s %7s %199s %1s", subject, verb, target, more);
    struct target found = { ANY_INDEX, ANY_INDEX };

    expectation->at = node->at;
    expectation->can = strcmp(verb, "can") == 0;
    if (words != 3 || (!expectation->can && strcmp(verb, "cannot") != 0)) {
        refuse(reader, "an expectation", node, "CLIENT can POOL or CLIENT cannot POOL/UPSTREAM");
        return;
    }
    read_subject(reader, node, subject, expectation);
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
