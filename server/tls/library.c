/* SPDX-License-Identifier: Apache-2.0 */
#include "library.h"

#include <openssl/opensslv.h>
#include <openssl/ssl.h>

#include <weir/errors.h>

int tls_library_start(void)
{
    return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : WEIR_ENOMEM;
}

const char *tls_library_version(void)
{
    return "OpenSSL " OPENSSL_FULL_VERSION_STR;
}
