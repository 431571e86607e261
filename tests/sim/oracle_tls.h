/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_ORACLE_TLS_H
#define SIM_ORACLE_TLS_H

#include "world.h"

/* What must hold where there is TLS, and what the other rules have to know about it. */

bool tls_on_client(const struct life *life);
bool tls_on_upstream(const struct life *life);
bool tls_on_either(const struct life *life);

/* Whether the client has what the listener wants: a certificate, unless it asks for none, that is good. */
bool tls_is_known(const struct life *life);

/* Since when one of the people has cleanly ended his side, with all of it arrived; 0: he has not. `end`: the
 * balancer's. NULL for `party`: nobody answered. */
uint64_t tls_ended_ns(const struct party *party, const struct net_end *end);

/* Plain bytes and ends, as the people see them. */
void tls_check_flow(const struct life *life);
void tls_check_time(const struct life *life, const struct conn *conn);
bool tls_is_through(const struct life *life);
void tls_check_dialled(const struct life *life);
void tls_check_final(const struct life *life);

/* Reasons */
bool tls_fits_no_certificate(const struct life *life);
bool tls_fits_bad_certificate(const struct life *life);
bool tls_fits_error(const struct life *life);
bool tls_fits_truncated(const struct life *life);
bool tls_fits_handshake_timeout(const struct life *life);
bool tls_fits_client_reset(const struct life *life);
bool tls_fits_upstream_reset(const struct life *life);
bool tls_fits_connect_failed(const struct life *life);
bool tls_fits_over_capacity(const struct life *life);
/* Reasons that end with close_notify and not with a reset. */
bool tls_is_farewell(const struct life *life);

#endif
