/* SPDX-License-Identifier: Apache-2.0 */
#include "config_schema.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/suggest.h"

const char *node_text(const struct node *node)
{
    return node->kind == NODE_TEXT && !node_is_absent(node) ? node->text : NULL;
}

static struct quoted describe(const struct node *node)
{
    if (node->kind == NODE_LIST)
        return (struct quoted){ "a list" };
    if (node->kind == NODE_MAPPING)
        return (struct quoted){ "a mapping" };
    if (node->kind == NODE_BYTES)
        return (struct quoted){ "a text with the NUL character" };
    return quote(node->text);
}

void refuse(struct reader *reader, const char *key, const struct node *node, const char *want, ...)
{
    char text[160];
    va_list arguments;

    if (node->kind == NODE_REFUSED || !report_wants(reader->report, node->at))
        return;
    va_start(arguments, want);
    vsnprintf(text, sizeof text, want, arguments);
    va_end(arguments);
    if (node_is_absent(node))
        report_add(reader->report, node->at, "%s has no value; it must be %s", key, text);
    else
        report_add(reader->report, node->at, "%s must be %s, not %s", key, text, describe(node).text);
}

/* The same for a value that would be right without its quotes. */
static void refuse_quotes(struct reader *reader, const char *key, const struct node *node)
{
    report_add(reader->report, node->at, "%s is a text because of its quotes; write %s: %s", quote(node->text).text,
               key, node->text);
}

void *reader_array(struct reader *reader, size_t count, size_t size)
{
    void *array = calloc(count == 0 ? 1 : count, size);

    if (array == NULL)
        reader->report->out_of_memory = true;
    return array;
}

char *reader_copy(struct reader *reader, const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        reader->report->out_of_memory = true;
    return copy;
}

void reader_index(struct reader *reader, struct index *index, uint32_t scope, const void *key, size_t size,
                  uint32_t value)
{
    if (index_add(index, &reader->arena, scope, key, size, value) != 0)
        reader->report->out_of_memory = true;
}

void read_u32(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    uint64_t number;
    const char *text = node_text(node);
    bool fits = text != NULL && value_number(text, &number) == 0 && number >= field->min && number <= field->max;

    assert(field->max <= UINT32_MAX);
    if (!fits)
        refuse(reader, field->key, node, "a number from %" PRIu64 " to %" PRIu64, field->min, field->max);
    else if (node->quoted)
        refuse_quotes(reader, field->key, node);
    else
        *(uint32_t *)slot = (uint32_t)number;
}

void read_duration(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    char min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
    uint64_t ns;
    const char *text = node_text(node);

    if (text == NULL || value_duration(text, &ns) != 0 || ns < field->min || ns > field->max)
        refuse(reader, field->key, node, "a duration from %s to %s, written like 500ms, 2s, 5m or 1h",
               value_format_duration(field->min, min), value_format_duration(field->max, max));
    else
        *(uint64_t *)slot = ns;
}

void read_seconds(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    char min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
    uint64_t ns;
    const char *text = node_text(node);

    if (text == NULL || value_duration(text, &ns) != 0 || ns < field->min || ns > field->max || ns % NS_PER_S != 0)
        refuse(reader, field->key, node, "a duration from %s to %s in whole seconds, written like 30s or 5m",
               value_format_duration(field->min, min), value_format_duration(field->max, max));
    else
        *(uint32_t *)slot = (uint32_t)(ns / NS_PER_S);
}

void read_bool(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    bool value;
    const char *text = node_text(node);

    if (text == NULL || value_bool(text, &value) != 0)
        refuse(reader, field->key, node, "true or false");
    else if (node->quoted)
        refuse_quotes(reader, field->key, node);
    else
        *(bool *)slot = value;
}

/* "auto, io_uring or epoll"; words that are not supported are not mentioned. */
static void list_words(const struct word *words, char *list, size_t room)
{
    const struct word *last = words;
    size_t used = 0;

    for (const struct word *word = words; word->text != NULL; word++)
        if (!word->unsupported)
            last = word;
    for (const struct word *word = words; word <= last; word++) {
        if (word->unsupported)
            continue;
        const char *before = used == 0 ? "" : word == last ? " or " : ", ";
        used += (size_t)snprintf(list + used, room - used, "%s%s", before, word->text);
        assert(used < room);
    }
}

void read_word(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    char list[100];
    const char *text = node_text(node);
    const struct word *word = field->words;

    list_words(field->words, list, sizeof list);
    while (text != NULL && word->text != NULL && strcmp(word->text, text) != 0)
        word++;
    if (text == NULL || word->text == NULL)
        refuse(reader, field->key, node, "%s", list);
    else if (word->unsupported)
        report_add(reader->report, node->at, "%s: %s is not yet supported; write %s", field->key, text, list);
    else
        *(uint32_t *)slot = word->value;
}

void read_name(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *text = node_text(node);

    if (text == NULL || !value_is_name(text))
        refuse(reader, field->key, node, "a letter or digit and then at most %d letters, digits, \".\", \"_\" or \"-\"",
               NAME_MAX_BYTES - 1);
    else
        memcpy(slot, text, strlen(text) + 1);
}

void read_address(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *reason, *text = node_text(node);

    if (text == NULL)
        refuse(reader, field->key, node, "IP:PORT, like 10.0.0.11:7000 or [::1]:7000");
    else if (value_address(text, slot, &reason) != 0)
        report_add(reader->report, node->at, "%s is not an address: %s", quote(text).text, reason);
}

void read_node(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    (void)reader;
    (void)field;
    *(const struct node **)slot = node;
}

void read_section(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    if (node->kind == NODE_MAPPING)
        section_read(reader, field->section, node, slot);
    else
        refuse(reader, field->key, node, "a mapping of KEY: VALUE");
}

bool list_is_fine(struct reader *reader, const struct field *field, const struct node *node, const char *what)
{
    if (node->kind != NODE_LIST)
        refuse(reader, field->key, node, "a list of %s", what);
    else if (node->count < field->min)
        report_add(reader->report, node->at, "%s must be a list of %s, not an empty one", field->key, what);
    else if (node->count > field->max)
        report_add(reader->report, node->at, "%s has %u entries; at most %" PRIu64 " are possible", field->key,
                   node->count, field->max);
    else
        return true;
    return false;
}

/* "name, address, pool": all keys that a section has now. */
static void list_keys(const struct section *section, char *list, size_t room)
{
    size_t used = 0;

    for (uint32_t i = 0; i < section->count; i++) {
        if (section->fields[i].read == NULL)
            continue;
        used += (size_t)snprintf(list + used, room - used, "%s%s", used == 0 ? "" : ", ", section->fields[i].key);
        assert(used < room);
    }
}

static void refuse_unknown_key(struct reader *reader, const struct section *section, const struct node *key)
{
    struct suggestion suggestion = suggest_for(key->text);
    char list[256];

    for (uint32_t i = 0; i < section->count; i++)
        suggest_offer(&suggestion, section->fields[i].key);
    list_keys(section, list, sizeof list);
    if (suggestion.best != NULL)
        report_add(reader->report, key->at, "unknown key %s; did you mean \"%s\"?", quote(key->text).text,
                   suggestion.best);
    else
        report_add(reader->report, key->at, "unknown key %s; %s has: %s", quote(key->text).text, section->what, list);
}

static const struct field *find_field(struct reader *reader, const struct section *section, const struct node *key)
{
    const char *text = node_text(key);

    for (uint32_t i = 0; text != NULL && i < section->count; i++)
        if (strcmp(section->fields[i].key, text) == 0)
            return &section->fields[i];
    if (text != NULL && report_wants(reader->report, key->at))
        refuse_unknown_key(reader, section, key);
    else if (text == NULL && key->kind != NODE_REFUSED)
        report_add(reader->report, key->at, "a key must be a word, as in KEY: VALUE");
    return NULL;
}

static void refuse_unsupported(struct reader *reader, const struct field *field, const struct node *key)
{
    const char *text = node_text(key->next);

    if (field->only != NULL && text != NULL && strcmp(text, field->only) == 0)
        return;
    if (field->only != NULL)
        report_add(reader->report, key->at, "%s is not yet supported; remove it or write %s: %s", field->key,
                   field->key, field->only);
    else
        report_add(reader->report, key->at, "%s is not yet supported; %s", field->key,
                   field->until == NULL ? "remove it" : field->until);
}

static void read_field(struct reader *reader, const struct field *field, const struct node *key, void *target)
{
    if (field->read == NULL) {
        refuse_unsupported(reader, field, key);
        return;
    }
    if (field->placed)
        *(struct position *)((char *)target + field->place) = key->next->at;
    if (key->next->kind != NODE_REFUSED)
        field->read(reader, field, key->next, (char *)target + field->offset);
}

/* Finds the key of each field; reports those that are unknown or stand twice. */
static void sort_keys(struct reader *reader, const struct section *section, const struct node *mapping,
                      const struct node **ret_keys)
{
    for (const struct node *key = mapping->first; key != NULL; key = key->next->next) {
        const struct field *field = find_field(reader, section, key);
        if (field == NULL)
            continue;
        const struct node **slot = &ret_keys[field - section->fields];
        if (*slot != NULL)
            report_add(reader->report, key->at, "%s stands here a second time (first on line %u); remove one of them",
                       field->key, (*slot)->at.line);
        else
            *slot = key;
    }
}

bool section_read(struct reader *reader, const struct section *section, const struct node *node, void *target)
{
    const struct node *keys[FIELDS_MAX] = { NULL };

    assert(section->count <= FIELDS_MAX);
    if (node->kind != NODE_MAPPING) {
        refuse(reader, section->what, node, "a mapping of KEY: VALUE");
        return false;
    }
    sort_keys(reader, section, node, keys);
    for (uint32_t i = 0; i < section->count; i++) {
        const struct field *field = &section->fields[i];
        if (keys[i] != NULL)
            read_field(reader, field, keys[i], target);
        else if (field->add != NULL)
            report_add(reader->report, node->at, "%s has no %s; add %s", section->what, field->key, field->add);
    }
    return true;
}
