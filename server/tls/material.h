/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_MATERIAL_H
#define TLS_MATERIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/tls_settings.h"

/* The files of one TLS block (a listener's or a pool's), read and checked once: certificate chain, key, CA, CRL.
 * Immutable; shared by the contexts of all workers; reference-counted. Control thread, but for tls_material_ref() and
 * _unref(). */
struct tls_material;

enum tls_role {
    TLS_SERVER, /* a listener: verifies clients */
    TLS_CLIENT, /* a pool: verifies upstreams */
};

/* Which of the settings an error or warning is about, so that the configuration can name its place. */
enum tls_setting { TLS_SETTING_CERTIFICATE, TLS_SETTING_KEY, TLS_SETTING_CA, TLS_SETTING_CRL, TLS_SETTING_ALPN };

struct tls_complaint {
    enum tls_setting setting;
    char text[512]; /* what is wrong, and what would be right; secrets never */
};

/* Reads and checks the files: readable, well-formed, the key fits the certificate, the key is not readable by others
 * (mode bits of "other"), chain length. An expired certificate of our own, or a missing or expired CRL, is no error
 * here but a warning (the latter makes every verification under that CA fail until a fresh one is loaded). At most
 * `*count` complaints are written; errors come first, `*ret_errors` says how many of them are errors. Returns 0,
 * WEIR_EINVAL (with at least one error) or WEIR_ENOMEM. */
int tls_material_load(const struct tls_settings *settings, enum tls_role role, struct tls_complaint *complaints,
                      uint32_t *count, uint32_t *ret_errors, struct tls_material **ret_material);

/* Whether both say the same: certificates, key, CRLs and settings, not where they come from. */
bool tls_material_equal(const struct tls_material *a, const struct tls_material *b);

struct tls_material *tls_material_ref(struct tls_material *material);
void tls_material_unref(struct tls_material **pmaterial);

#endif
