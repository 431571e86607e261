/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PKI_INDEX_H
#define TLS_PKI_INDEX_H

#include <stdio.h>

#include "pki.h"

/* The index: plain text, a line for each certificate, in the order in which they were made. Zero it at birth. */
struct pki_index {
    struct pki_entry *entries;
    uint32_t count;
};

/* Returns 0, WEIR_ENOMEM, or WEIR_EIO: it cannot be read (*ret_line 0), or this line makes no sense. */
int pki_index_read(FILE *stream, struct pki_index *index, uint32_t *ret_line);
void pki_index_write(FILE *stream, const struct pki_index *index);
/* Appends a copy. Returns 0 or WEIR_ENOMEM. */
int pki_index_add(struct pki_index *index, const struct pki_entry *entry);
void pki_index_free(struct pki_index *index);

#define PKI_TIME_TEXT 24
/* "2027-01-31T12:00:00Z" */
const char *pki_time_format(int64_t time_s, char *text, size_t size);

#endif
