/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_MATERIAL_CHECK_H
#define TLS_MATERIAL_CHECK_H

#include "complaints.h"

/* Whether what was read from the files can work: errors, and warnings about what can't today. Returns 0, WEIR_EINVAL
 * or WEIR_ENOMEM. */
int material_check(const struct tls_material *material, const struct tls_settings *settings,
                   struct complaints *complaints);

#endif
