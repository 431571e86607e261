/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_KIT_H
#define SIM_KIT_H

#include "../../server/tls/context.h"

/* The certificates of a world with TLS: made once in a process, always the same ones. All that OpenSSL does by chance
 * follows from a seed. */

#define KIT_CLIENTS 4
#define KIT_STRANGERS 3

enum kit_part {
    /* Listeners of the balancer. */
    KIT_LISTENER,
    KIT_LISTENER_CRL,       /* which knows of revoked ones */
    KIT_LISTENER_ANONYMOUS, /* asks for no certificate */
    /* Pools of the balancer. */
    KIT_POOL,
    KIT_POOL_NAMELESS, /* has no certificate of its own */
    /* Clients: each configured one, each stranger, and those that are not what they say. */
    KIT_CLIENT,
    KIT_STRANGER = KIT_CLIENT + KIT_CLIENTS,
    KIT_CLIENT_NONE = KIT_STRANGER + KIT_STRANGERS, /* no certificate */
    KIT_CLIENT_WRONG_CA,
    KIT_CLIENT_EXPIRED,
    KIT_CLIENT_REVOKED,
    KIT_CLIENT_DISTRUSTS, /* a good one, that does not take the balancer's */
    /* Upstreams. */
    KIT_HOST,
    KIT_HOST_ANONYMOUS, /* asks for no certificate */
    KIT_HOST_REFUSES,   /* takes nobody's */
    KIT_HOST_WRONG_NAME,
    KIT_HOST_WRONG_CA,
    KIT_HOST_EXPIRED,
    KIT_PARTS,
};

/* What identities of client n are called: "client1.example.com". */
void kit_name(uint32_t client, char *name, size_t size);

/* The process's; the caller takes a reference. Makes all certificates when it is called first. */
struct tls_material *kit_material(enum kit_part part);
enum tls_role kit_role(enum kit_part part);
bool kit_takes_1_2(enum kit_part part);

/* Chance of OpenSSL, from here on. */
void kit_seed(uint64_t seed);

#endif
