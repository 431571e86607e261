/* SPDX-License-Identifier: Apache-2.0 */
#include "config_yaml.h"

#include <string.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct arena *arena;
    struct report *report;
    struct node *root;
    struct open_node {
        struct node *node;
        struct node *last; /* child */
        bool at_value;     /* in a mapping: the next child is a value */
    } open[TREE_DEPTH_MAX];
    uint32_t depth;
    uint32_t nodes;
    uint32_t documents;
};

static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";
static const char STANDARD_TAGS[] = "tag:yaml.org,2002:"; /* what !! stands for */

bool node_is_absent(const struct node *node)
{
    return node->kind == NODE_TEXT && !node->quoted && node->text[0] == '\0';
}

static struct position position_of(yaml_mark_t mark)
{
    return (struct position){ (uint32_t)mark.line + 1, (uint32_t)mark.column + 1 };
}

/* Hangs a node into the innermost open one. */
static void append(struct builder *builder, struct node *node)
{
    if (builder->depth == 0) {
        builder->root = node;
        return;
    }
    struct open_node *open = &builder->open[builder->depth - 1];
    if (open->last == NULL) {
        open->node->first = node;
    } else {
        open->last->next = node;
        if (open->at_value && node_is_absent(node))
            node->at = open->last->at;
    }
    open->last = node;
    if (open->node->kind == NODE_LIST || open->at_value)
        open->node->count++;
    if (open->node->kind == NODE_MAPPING)
        open->at_value = !open->at_value;
}

static struct node *add_node(struct builder *builder, enum node_kind kind, const yaml_event_t *event)
{
    struct position at = position_of(event->start_mark);
    struct node *node = arena_take(builder->arena, sizeof *node);

    if (node == NULL) {
        builder->report->out_of_memory = true;
        return NULL;
    }
    if (++builder->nodes > TREE_NODES_MAX) {
        report_add(builder->report, at, "this file holds more than %u values", TREE_NODES_MAX);
        return NULL;
    }
    *node = (struct node){ .kind = kind, .at = at, .text = "" };
    return node;
}

static bool add_text(struct builder *builder, const yaml_event_t *event)
{
    struct node *node = add_node(builder, NODE_TEXT, event);
    size_t size = event->data.scalar.length;

    if (node == NULL)
        return false;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->escaped = event->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    node->count = (uint32_t)size;
    node->text = arena_copy(builder->arena, event->data.scalar.value, size);
    if (node->text == NULL) {
        builder->report->out_of_memory = true;
        return false;
    }
    if (strlen(node->text) != size)
        node->kind = NODE_BYTES;
    append(builder, node);
    return true;
}

static bool open_node(struct builder *builder, enum node_kind kind, const yaml_event_t *event)
{
    struct node *node = add_node(builder, kind, event);

    if (node == NULL)
        return false;
    if (builder->depth == TREE_DEPTH_MAX) {
        report_add(builder->report, node->at,
                   "lists and mappings are nested too deeply; at most %d levels are possible", TREE_DEPTH_MAX);
        return false;
    }
    append(builder, node);
    builder->open[builder->depth++] = (struct open_node){ .node = node };
    return true;
}

static bool add_alias(struct builder *builder, const yaml_event_t *event)
{
    struct node *node = add_node(builder, NODE_REFUSED, event);

    if (node == NULL)
        return false;
    report_add(builder->report, node->at, "aliases (*%s) are not possible here; write the value out",
               (const char *)event->data.alias.anchor);
    append(builder, node);
    return true;
}

static bool start_document(struct builder *builder, const yaml_event_t *event)
{
    if (builder->documents++ == 0)
        return true;
    report_add(builder->report, position_of(event->start_mark),
               "a second document begins here; a configuration is one document");
    return false;
}

static void refuse_decorations(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
                               const yaml_char_t *tag)
{
    if (anchor != NULL)
        report_add(builder->report, position_of(event->start_mark),
                   "anchors (&%s) are not possible here; write the value out where it is needed", (const char *)anchor);
    if (tag == NULL)
        return;
    const char *name = (const char *)tag;
    bool standard = strncmp(name, STANDARD_TAGS, strlen(STANDARD_TAGS)) == 0;
    report_add(builder->report, position_of(event->start_mark),
               "tags (%s%s) are not possible here; write the value without it", standard ? "!!" : "",
               standard ? name + strlen(STANDARD_TAGS) : name);
}

/* Returns whether to go on. */
static bool take_event(struct builder *builder, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return start_document(builder, event);
    case YAML_ALIAS_EVENT:
        return add_alias(builder, event);
    case YAML_SCALAR_EVENT:
        refuse_decorations(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
        return add_text(builder, event);
    case YAML_SEQUENCE_START_EVENT:
        refuse_decorations(builder, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        return open_node(builder, NODE_LIST, event);
    case YAML_MAPPING_START_EVENT:
        refuse_decorations(builder, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        return open_node(builder, NODE_MAPPING, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->depth--;
        return true;
    default:
        return event->type != YAML_STREAM_END_EVENT;
    }
}

/* libyaml tells of bytes that it cannot read by their offset only. */
static struct position position_of_offset(const char *bytes, size_t offset)
{
    struct position at = { 1, 1 };

    for (size_t i = 0; i < offset; i++) {
        if (bytes[i] == '\n')
            at = (struct position){ at.line + 1, 1 };
        else if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            at.column++;
    }
    return at;
}

/* What would be right, for those of libyaml's sentences that need it. */
static const struct hint {
    const char *problem, *hint;
    bool at_opening; /* the place that matters is where the list or text begins */
} hints[] = {
    { "found character that cannot start any token",
      "indent with spaces, not tabs, and put quotes around a text that begins with @, ` or %", false },
    { "mapping values are not allowed in this context",
      "check the indentation, and put quotes around a text that contains \": \"", false },
    { "did not find expected key", "check the indentation and quotes of this line and the one before", false },
    { "did not find expected '-' indicator", "all entries of a list begin in the same column", false },
    { "did not find expected ',' or ']'", "this list is not closed with ]", true },
    { "did not find expected ',' or '}'", "this mapping is not closed with }", true },
    { "could not find expected ':'", "write KEY: VALUE", true },
    { "found unexpected end of stream", "these quotes are not closed", true },
    { "found a tab character that violates indentation", "indent with spaces", false },
    { "control characters are not allowed", "remove the character", false },
};

static struct hint hint_for(const char *problem)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i].problem, problem) == 0)
            return hints[i];
    return (struct hint){ problem, "see docs/CONFIGURATION.md for an example", false };
}

static void report_parser_error(struct builder *builder, const char *bytes)
{
    const yaml_parser_t *parser = &builder->parser;
    struct hint hint = hint_for(parser->problem == NULL ? "it cannot be read" : parser->problem);
    struct position at = position_of(hint.at_opening ? parser->context_mark : parser->problem_mark);

    if (parser->error == YAML_READER_ERROR)
        at = position_of_offset(bytes, parser->problem_offset);
    if (parser->error == YAML_MEMORY_ERROR)
        builder->report->out_of_memory = true;
    else if (parser->error == YAML_READER_ERROR && strstr(hint.problem, "UTF-8") != NULL)
        report_add(builder->report, at, "this is not UTF-8; save the file as UTF-8");
    else
        report_add(builder->report, at, "this is not YAML: %s; %s", hint.problem, hint.hint);
}

/* Returns true when the document was read to its end. */
static bool build(struct builder *builder, const char *bytes)
{
    yaml_event_t event;
    bool more = true;

    while (more) {
        if (!yaml_parser_parse(&builder->parser, &event)) {
            report_parser_error(builder, bytes);
            return false;
        }
        more = take_event(builder, &event);
        bool ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (ended)
            return true;
    }
    return false;
}

struct node *tree_read(struct arena *arena, const char *bytes, size_t size, struct report *report)
{
    struct builder builder = { .arena = arena, .report = report };

    if (size >= strlen(BYTE_ORDER_MARK) && memcmp(bytes, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
        bytes += strlen(BYTE_ORDER_MARK);
        size -= strlen(BYTE_ORDER_MARK);
    }
    if (!yaml_parser_initialize(&builder.parser)) {
        report->out_of_memory = true;
        return NULL;
    }
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)bytes, size);
    bool complete = build(&builder, bytes);
    yaml_parser_delete(&builder.parser);
    if (!complete)
        return NULL;
    if (builder.root == NULL || node_is_absent(builder.root)) {
        report_add(report, (struct position){ 1, 1 }, "this file is empty; it needs at least listeners and pools");
        return NULL;
    }
    return builder.root;
}
