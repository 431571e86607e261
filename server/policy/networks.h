/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_NETWORKS_H
#define POLICY_NETWORKS_H

#include "snapshot.h"

/* An address as it is looked up and named: a mapped IPv4 address as IPv4. */
struct weir_address address_unmapped(const struct weir_address *address);

/* Sorts by family, then the longest prefix first, then the base. */
void networks_sort(struct network *networks, uint32_t count);

bool network_holds(const struct network *network, const struct weir_address *address);

/* The client of the network with the longest prefix that holds an address; ANY_INDEX: none. */
uint32_t networks_find(const struct network *networks, uint32_t count, const struct weir_address *address);

#endif
