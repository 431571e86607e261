/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_IDENTITIES_H
#define POLICY_IDENTITIES_H

#include "snapshot.h"

#define IDENTITY_WILDCARD_MAX (IDENTITY_NAME_BYTES_MAX + 1)

/* The one pattern with a `*` that matches a name: "*.example.com" of dns:alice.example.com. Returns its size; 0: a
 * name of this kind or form has none. */
uint32_t identity_wildcard(const struct identity_name *name, char wildcard[IDENTITY_WILDCARD_MAX]);

/* Sorts for the look-up. */
void identities_sort(struct client_identity *identities, uint32_t count);

/* The identities that match a name of a certificate: at most IDENTITY_MATCHES_MAX. Returns their number. */
#define IDENTITY_MATCHES_MAX 2
uint32_t identities_find(const struct client_identity *identities, uint32_t count, const struct identity_name *name,
                         const struct client_identity *ret_found[IDENTITY_MATCHES_MAX]);

#endif
