/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONFIG_NAMES_H
#define CONTROL_CONFIG_NAMES_H

#include <weir/api.h>

#include "../base/tls_settings.h"

/* Names with their type, as a configuration writes them: "dns:alice.example.com". Pure. They return 0 or WEIR_EINVAL
 * with *ret_reason, a static text that goes on behind the name: "is not a dns name; write ...". */

struct typed_name {
    enum identity_kind kind;
    bool wildcard; /* has a `*` that stands for any one part */
    uint32_t size;
    char bytes[IDENTITY_NAME_BYTES_MAX + 1]; /* in the form in which names are compared; a NUL behind them */
};

/* Whether it begins with the type of a certificate's identity. */
bool names_has_type(const char *text);

/* dns:, uri:, email:, cn:, sha256: */
WEIR_MUST_CHECK int names_read(const char *text, struct typed_name *ret_name, const char **ret_reason);

/* What an upstream's certificate is verified against: dns:, uri:, ip:. *ret_kind as in struct tls_name. */
WEIR_MUST_CHECK int names_read_verified(const char *text, int *ret_kind, struct typed_name *ret_name,
                                        const char **ret_reason);

#endif
