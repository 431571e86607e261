/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_LIBRARY_H
#define TLS_LIBRARY_H

/* Makes OpenSSL ready, without the system's configuration of it, which decides nothing here. Before anything else of
 * OpenSSL; any number of times, any thread. Returns 0 or WEIR_ENOMEM. */
int tls_library_start(void);

/* "OpenSSL 3.0.15": what this program was built with. */
const char *tls_library_version(void);

#endif
