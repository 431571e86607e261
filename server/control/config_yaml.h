/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_YAML_H
#define CONTROL_CONFIG_YAML_H

#include "config_arena.h"
#include "config_report.h"

/* A YAML document as a tree of texts, lists and mappings that know their places. Nothing has a type yet: that is the
 * schema's part. */

#define TREE_DEPTH_MAX 16
#define TREE_NODES_MAX (4u << 20)

enum node_kind {
    NODE_TEXT,
    NODE_BYTES, /* a text with a NUL in it, which almost nothing may be */
    NODE_LIST,
    NODE_MAPPING,
    NODE_REFUSED, /* something that was reported already, like an alias: to be passed over */
};

struct node {
    enum node_kind kind;
    bool quoted;        /* of a text */
    bool escaped;       /* of a text in double quotes, where a backslash means something */
    uint32_t count;     /* bytes of a text, entries of a list, pairs of a mapping */
    struct position at; /* of a missing value: of its key */
    const char *text;
    struct node *first; /* of a list; a mapping has key, value, key, value ... */
    struct node *next;
};

/* Nothing stands there: `key:` and the end of the line. */
bool node_is_absent(const struct node *node);

/* Reads the one document that `bytes` must hold; problems go to the report. Returns its root in the arena, or NULL: no
 * use in going on. */
struct node *tree_read(struct arena *arena, const char *bytes, size_t size, struct report *report);

#endif
