/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

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
