/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TLS_SETTINGS_H
#define BASE_TLS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "identity.h"

/* What a configuration's `tls` block says. Paths are absolute or relative to the working directory. Owns all it points
 * to. */
struct tls_settings {
    char *certificate, *key; /* a pool may have neither */
    char *ca;                /* client_ca of a listener, ca of a pool; NULL: clients are anonymous (listeners only) */
    char *crl;               /* NULL: none is configured */
    bool tls_1_2;            /* min_version "1.2" */
    char **alpn;             /* protocol names */
    uint32_t alpn_count;
    struct tls_name {
        int kind; /* enum identity_kind (dns, uri), or TLS_NAME_IP */
        char *text;
        uint32_t size;
    } * verify; /* pools: any one suffices; none: ip: of the address */
    uint32_t verify_count;
};

#define TLS_NAME_IP 100

/* Accepts NULL. */
void tls_settings_free(struct tls_settings **psettings);

#endif
