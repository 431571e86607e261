/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_SCHEMA_H
#define CONTROL_CONFIG_SCHEMA_H

#include <stddef.h>

#include "config_values.h"
#include "config_yaml.h"

/* The schema is tables: a section lists the keys that a mapping may have, each with the function that reads its value
 * into a struct. Keys are read in the order of the table, whatever their order in the file: what others refer to
 * stands first. A struct holds its defaults before its section is read. */

/* The limits of one mapping before what is missing is filled in. */
struct limits_draft {
    uint32_t connections; /* LIMIT_ABSENT: not given */
    struct rate rate;
    uint32_t burst; /* 0: not given */
    struct position burst_at;
};
#define LIMIT_ABSENT UINT32_MAX
#define NO_LIMITS                                                                                                      \
    {                                                                                                                  \
        .connections = LIMIT_ABSENT                                                                                    \
    }

/* Everything that one reading needs. */
struct reader {
    struct report *report;
    struct arena arena;
    struct snapshot *snapshot;

    struct index listeners, listener_addresses;
    struct index pools;
    struct index places; /* scope: the pool */
    struct index upstreams, upstream_addresses;
    struct index clients, networks;
    struct index identities; /* scope: the kind */
    uint32_t upstream_room;
    struct upstream_limit {
        bool given;
        uint32_t line;
    } * upstream_limits; /* beside snapshot->upstreams */
    struct limits_draft default_limits;
    /* There are none, or some have no usable name: then nobody can tell whether a reference is wrong. */
    bool pools_incomplete, places_incomplete, clients_incomplete;
};

struct field;
typedef void field_read(struct reader *reader, const struct field *field, const struct node *node, void *slot);

struct field {
    const char *key;
    field_read *read; /* NULL: not yet supported */
    size_t offset;    /* of the slot in the section's struct */
    uint64_t min, max;
    const struct word *words;
    const struct section *section; /* of a mapping */
    const char *add;               /* required: what to add when it is missing */
    const char *only;              /* not yet supported, but this value says so too */
    const char *until;             /* not yet supported: a sentence about it */
    bool placed;
    size_t place; /* of a struct position in the section's struct, set where the value stands */
};

#define PLACED_AT(type, member) .placed = true, .place = offsetof(type, member)

/* A word that a value may be; the last of a table has no text. */
struct word {
    const char *text;
    uint32_t value;
    bool unsupported;
};

struct section {
    const char *what; /* "this pool" */
    const struct field *fields;
    uint32_t count;
};

#define FIELDS_MAX 32
#define SECTION(what_, fields_)                                                                                        \
    {                                                                                                                  \
        .what = (what_), .fields = (fields_), .count = sizeof(fields_) / sizeof(fields_)[0]                            \
    }

/* Reads a mapping into `target`. Returns false, with an error, when the node is none. */
bool section_read(struct reader *reader, const struct section *section, const struct node *node, void *target);

/* Values. The slot is the type that stands here. */
field_read read_u32;      /* uint32_t; min to max */
field_read read_duration; /* uint64_t ns; min to max */
field_read read_seconds;  /* uint32_t seconds; min to max (ns); whole seconds */
field_read read_bool;     /* bool */
field_read read_word;     /* an enum of `words` */
field_read read_name;     /* char[NAME_MAX_BYTES + 1] */
field_read read_address;  /* struct weir_address */
field_read read_path;     /* char *; made absolute */
field_read read_socket;   /* the same, of a Unix socket */
field_read read_section;  /* the struct of `section` */
field_read read_node;     /* const struct node *: to be read later */

/* Whether the node is a list of min to max entries; else an error. `what` says what it should be a list of. */
bool list_is_fine(struct reader *reader, const struct field *field, const struct node *node, const char *what);

/* The text of a node that is one; NULL otherwise, without an error. */
const char *node_text(const struct node *node);

/* "KEY must be WANT, not GOT" */
void refuse(struct reader *reader, const char *key, const struct node *node, const char *want, ...)
    __attribute__((format(printf, 4, 5)));

/* `calloc` that remembers a failure in the report. */
void *reader_array(struct reader *reader, size_t count, size_t size);

/* A copy that outlives the reading; NULL, which the report remembers, when out of memory. */
char *reader_copy(struct reader *reader, const char *text);

/* Adds a key to an index. */
void reader_index(struct reader *reader, struct index *index, uint32_t scope, const void *key, size_t size,
                  uint32_t value);

#endif
