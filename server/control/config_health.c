/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <string.h>

/* A pool's `health`. */

static const struct word check_words[] = {
    { "connect", HEALTH_CHECK_CONNECT, false },
    { "tls", HEALTH_CHECK_TLS, false },
    { "none", HEALTH_CHECK_NONE, false },
    { NULL, 0, false },
};

/* The next character of a text in UTF-8, which libyaml has checked. */
static uint32_t next_character(const unsigned char **ptext)
{
    const unsigned char *text = *ptext;
    uint32_t more = text[0] < 0xc0 ? 0 : text[0] < 0xe0 ? 1 : text[0] < 0xf0 ? 2 : 3;
    uint32_t character = more == 0 ? text[0] : text[0] & (0x3fu >> more);

    for (uint32_t i = 1; i <= more; i++)
        character = character << 6 | (text[i] & 0x3f);
    *ptext = text + more + 1;
    return character;
}

/* A character is a byte: "\xff" is the byte ff. Returns false when one does not fit. */
static bool to_bytes(const struct node *node, struct check_bytes *bytes)
{
    const unsigned char *text = (const unsigned char *)node->text, *end = text + node->count;

    while (text < end) {
        uint32_t character = next_character(&text);
        if (character > 0xff)
            return false;
        bytes->data[bytes->size++] = (uint8_t)character;
    }
    return true;
}

static void warn_of_backslash(struct reader *reader, const struct field *field, const struct node *node)
{
    if (!node->escaped && memchr(node->text, '\\', node->count) != NULL)
        report_warn(reader->report, node->at,
                    "a backslash in %s stands for itself here; write the text in double quotes if \\r or \\n is meant",
                    field->key);
}

static void read_check_bytes(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct check_bytes *bytes = slot;
    bool is_text = (node->kind == NODE_TEXT || node->kind == NODE_BYTES) && !node_is_absent(node);

    if (!is_text || node->count == 0) {
        refuse(reader, field->key, node, "a text like \"PING\\r\\n\", in double quotes");
        return;
    }
    warn_of_backslash(reader, field, node);
    bytes->data = reader_array(reader, node->count, 1);
    if (bytes->data == NULL)
        return;
    if (!to_bytes(node, bytes))
        report_add(reader->report, node->at,
                   "each character of %s is one byte, up to \\xff; write longer ones as the bytes that they are",
                   field->key);
    else if (bytes->size > CHECK_BYTES_MAX)
        report_add(reader->report, node->at, "%s has %u bytes; at most %d are possible", field->key, bytes->size,
                   CHECK_BYTES_MAX);
}

static const struct field exchange_fields[] = {
    { "send", read_check_bytes, offsetof(struct health_settings, send) },
    { "expect", read_check_bytes, offsetof(struct health_settings, expect), .add = "expect: \"TEXT\"" },
};
static const struct section exchange_section = SECTION("this check", exchange_fields);

static void read_check(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct health_settings *settings = slot;

    if (node->kind != NODE_MAPPING) {
        read_word(reader, field, node, &settings->check);
        return;
    }
    settings->check = HEALTH_CHECK_EXCHANGE;
    section_read(reader, &exchange_section, node, settings);
}

static const struct field health_fields[] = {
    { "interval", read_duration, offsetof(struct health_settings, interval_ns), 10 * NS_PER_MS, NS_PER_DAY },
    { "timeout", read_duration, offsetof(struct health_settings, timeout_ns), NS_PER_MS, NS_PER_HOUR },
    { "fall", read_u32, offsetof(struct health_settings, fall), 1, 1000 },
    { "rise", read_u32, offsetof(struct health_settings, rise), 1, 1000 },
    { "check", read_check, 0, .words = check_words, PLACED_AT(struct health_settings, check_at) },
    { "passive", read_bool, offsetof(struct health_settings, passive) },
};
static const struct section health_section = SECTION("health", health_fields);

void read_health(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    if (node->kind == NODE_MAPPING)
        section_read(reader, &health_section, node, slot);
    else
        refuse(reader, field->key, node, "a mapping of KEY: VALUE");
}
