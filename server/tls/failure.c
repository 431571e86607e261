/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <stdio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* Where OpenSSL's words say too little. */
static const struct {
    int reason;
    enum tls_failure_kind kind;
    const char *text;
} reasons[] = {
    { SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAILURE_NO_CERTIFICATE, "no client certificate was sent" },
    { SSL_R_BAD_SIGNATURE, TLS_FAILURE_BAD_CERTIFICATE, "the peer does not have the key of the certificate it sent" },
    { SSL_R_EXCESSIVE_MESSAGE_SIZE, TLS_FAILURE_PROTOCOL, "a handshake message is too large (too many certificates?)" },
    { SSL_R_HTTP_REQUEST, TLS_FAILURE_PROTOCOL, "an HTTP request instead of TLS" },
    { SSL_R_HTTPS_PROXY_REQUEST, TLS_FAILURE_PROTOCOL, "an HTTP request instead of TLS" },
    { SSL_R_WRONG_VERSION_NUMBER, TLS_FAILURE_PROTOCOL, "what was sent is not TLS (wrong version number)" },
    { SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAILURE_PROTOCOL,
      "the peer offers no TLS version that is allowed (unsupported protocol)" },
};

bool tls_ran_out_of_memory(void)
{
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
}

const char *tls_queued_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason == NULL ? "unknown error" : reason;
}

/* OpenSSL 3.0 has no names for what came with TLS 1.3. */
static const char *alert_name(int alert)
{
    switch (alert) {
    case SSL_AD_MISSING_EXTENSION:
        return "missing extension";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "certificate required";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "no application protocol";
    default:
        return SSL_alert_desc_string_long(alert);
    }
}

static void set_alert(enum tls_role role, int alert, struct tls_failure *failure)
{
    failure->kind = TLS_FAILURE_PROTOCOL;
    snprintf(failure->text, sizeof failure->text, "the %s sent the alert \"%s\"",
             role == TLS_SERVER ? "client" : "upstream", alert_name(alert));
}

static void set_reason(unsigned long code, struct tls_failure *failure)
{
    const char *text = ERR_reason_error_string(code);
    failure->kind = TLS_FAILURE_PROTOCOL;
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == reasons[i].reason) {
            failure->kind = reasons[i].kind;
            text = reasons[i].text;
        }
    }
    snprintf(failure->text, sizeof failure->text, "%s", text == NULL ? "unknown error" : text);
}

void tls_failure_from_queue(enum tls_role role, struct tls_failure *ret_failure)
{
    unsigned long told = ERR_peek_error(), code;
    bool no_memory = false, found = false;
    while ((code = ERR_get_error()) != 0) {
        no_memory = no_memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
        /* Other libraries' errors are about details of what TLS itself says of it. */
        if (!found && ERR_GET_LIB(code) == ERR_LIB_SSL) {
            told = code;
            found = true;
        }
    }
    if (no_memory)
        *ret_failure = (struct tls_failure){ TLS_FAILURE_NO_MEMORY, "out of memory" };
    else if (found && ERR_GET_REASON(told) >= SSL_AD_REASON_OFFSET)
        set_alert(role, ERR_GET_REASON(told) - SSL_AD_REASON_OFFSET, ret_failure);
    else
        set_reason(told, ret_failure);
}
