/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_PKI_H
#define TLS_PKI_H

#include <stdbool.h>
#include <stdint.h>

/* A development CA in a folder of its own, for trying things out and for tests: its key lies there unencrypted, and
 * whoever can read it can be everybody.
 *
 *   ca.crt, ca.key, ca.crl   the CA, and what it has revoked
 *   index                    every certificate that it made, a line each
 *   NAME.crt, NAME.key       the certificates and their keys
 *
 * The folder has mode 0700, keys have 0600. A file appears whole or not at all, and no certificate or key is ever
 * overwritten. The index is written before the certificate that it tells of, so that nothing exists that cannot be
 * revoked. Times are seconds since 1970, and given by the caller. Not for the data path. */

#define PKI_CA_DAYS 3650
#define PKI_SERVER_DAYS 825
#define PKI_CLIENT_DAYS 398
#define PKI_CRL_DAYS 30
#define PKI_DAYS_MAX 7300

#define PKI_NAME_MAX 64
#define PKI_SERIAL_MAX 40 /* hex digits */

/* What went wrong, where, and what would help: one line, without a full stop at its end. */
struct pki_error {
    char text[512];
};

/* All functions that return int: 0; WEIR_EINVAL: what was asked for is wrong, nothing was tried; WEIR_ENOMEM or another
 * error of libweir: it failed. Then `error` says what to tell people. */

/* Makes a new CA. `folder` does not exist or is empty; it appears complete or not at all. */
int pki_init(const char *folder, int64_t now_s, uint32_t days, struct pki_error *error);

/* An opened CA. Others that want to open it wait. */
struct pki;
int pki_open(const char *folder, int64_t now_s, struct pki **ret_pki, struct pki_error *error);
/* Accepts NULL. */
void pki_close(struct pki **ppki);

struct pki_texts {
    const char *const *at;
    uint32_t count;
};

struct pki_request {
    bool server;            /* for servers (serverAuth), or else for clients (clientAuth) */
    struct pki_texts names; /* dns:, at least one; the first names the files and is the CN */
    struct pki_texts addresses, uris;
    uint32_t days; /* that it is valid; 0: PKI_SERVER_DAYS or PKI_CLIENT_DAYS */
};

struct pki_entry {
    char name[PKI_NAME_MAX + 1];
    char serial[PKI_SERIAL_MAX + 1]; /* upper-case hex */
    bool server;
    int64_t expires_s, revoked_s; /* 0: not revoked */
};

/* Makes a key and a certificate. *ret_entry describes it, and is valid until the next call on this CA. */
int pki_issue(struct pki *pki, const struct pki_request *request, const struct pki_entry **ret_entry,
              struct pki_error *error);

/* Revokes all certificates of this name, or the one with this serial, and writes the CRL. *ret_count: how many were not
 * revoked before. */
int pki_revoke(struct pki *pki, const char *name, uint32_t *ret_count, struct pki_error *error);

/* Writes the CRL anew: it is good for `days` from now on. */
int pki_write_crl(struct pki *pki, uint32_t days, struct pki_error *error);

/* For readers. Valid until the next change. */
uint32_t pki_entry_count(const struct pki *pki);
const struct pki_entry *pki_entry(const struct pki *pki, uint32_t index);
int64_t pki_ca_expires(const struct pki *pki);
/* 0: there is no CRL that can be read. */
int64_t pki_crl_expires(const struct pki *pki);

#endif
