/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_settings.h"

#include <stdlib.h>

void tls_settings_free(struct tls_settings **psettings)
{
    struct tls_settings *settings = *psettings;
    if (settings == NULL)
        return;
    for (uint32_t i = 0; i < settings->alpn_count; i++)
        free(settings->alpn[i]);
    for (uint32_t i = 0; i < settings->verify_count; i++)
        free(settings->verify[i].text);
    free(settings->alpn);
    free(settings->verify);
    free(settings->certificate);
    free(settings->key);
    free(settings->ca);
    free(settings->crl);
    free(settings);
    *psettings = NULL;
}
