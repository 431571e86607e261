/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PKI_FILES_H
#define TLS_PKI_FILES_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "pki.h"

/* Files of a folder that appear whole or not at all: written under a name that begins with a dot, then moved. The
 * caller holds the folder's lock. */
struct pki_file {
    int folder;
    const char *folder_name; /* for messages */
    char name[PKI_NAME_MAX + 8], temporary[PKI_NAME_MAX + 16];
    bool waits; /* written, and has not appeared */
};

/* Writes it. `name`: a name and a suffix of at most 4 bytes; `put` returns 1 when it could. */
int pki_file_write(int folder, const char *folder_name, const char *name, mode_t mode,
                   int (*put)(FILE *stream, const void *content), const void *content, struct pki_file *ret_file,
                   struct pki_error *error);

/* Makes it appear, in place of one that may be there, or only where there is none. Nothing waits afterwards, whatever
 * is returned. */
int pki_file_replace(struct pki_file *file, struct pki_error *error);
int pki_file_add(struct pki_file *file, struct pki_error *error);

/* Forgets a file that waits; does nothing for another one. */
void pki_file_drop(struct pki_file *file);

/* Opens for reading. `secret`: refused when others may read it. */
int pki_file_open(int folder, const char *folder_name, const char *name, bool secret, FILE **ret_stream,
                  struct pki_error *error);

/* Fill in the text; return `err`. */
int pki_fail(struct pki_error *error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* With errno: "FOLDER/NAME: cannot WHAT: No space left on device". Returns its code. */
int pki_fail_errno(struct pki_error *error, const char *folder, const char *name, const char *what);

#endif
