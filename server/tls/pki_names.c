/* SPDX-License-Identifier: Apache-2.0 */
#include "pki_names.h"

#include <arpa/inet.h>
#include <string.h>

#include <weir/errors.h>

#include "../base/identity.h"
#include "pki_files.h"

#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63
#define NAMES_MAX (IDENTITY_NAMES_MAX - 1) /* the certificate's hash is a name too */

bool pki_name_is_good(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= PKI_NAME_MAX && strspn(name, LETTERS_DIGITS ".-_") == length &&
           strspn(name, LETTERS_DIGITS) > 0 && strcasecmp(name, "ca") != 0;
}

int pki_address_parse(const char *text, unsigned char bytes[16])
{
    if (inet_pton(AF_INET, text, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static bool is_dns_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > DNS_NAME_MAX)
        return false;
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    for (;;) {
        size_t label = strspn(name, LETTERS_DIGITS "-_");
        if (label == 0 || label > DNS_LABEL_MAX)
            return false;
        if (name[label] == '\0')
            return true;
        if (name[label] != '.')
            return false;
        name += label + 1;
    }
}

/* A scheme and something behind it, all of it printable. */
static bool is_uri(const char *uri)
{
    size_t length = strlen(uri);
    const char *colon = strchr(uri, ':');
    if (length > IDENTITY_NAME_BYTES_MAX || colon == NULL || colon == uri || colon[1] == '\0')
        return false;
    for (size_t n = 0; n < length; n++)
        if (uri[n] <= ' ' || uri[n] >= 0x7f || strchr("\"<>\\^`{|}*", uri[n]) != NULL)
            return false;
    return true;
}

int pki_names_check(const struct pki_request *request, struct pki_error *error)
{
    unsigned char address[16];
    const char *first = request->names.count > 0 ? request->names.at[0] : "";
    if (!pki_name_is_good(first))
        return pki_fail(error, WEIR_EINVAL,
                        "\"%.80s\" cannot name a certificate: up to %u letters, digits, '.', '-', '_', beginning with "
                        "a letter or digit, and not \"ca\"",
                        first, PKI_NAME_MAX);
    for (uint32_t n = 0; n < request->names.count; n++)
        if (!is_dns_name(request->names.at[n]))
            return pki_fail(error, WEIR_EINVAL, "\"%.80s\" is no DNS name, like web.internal", request->names.at[n]);
    for (uint32_t n = 0; n < request->addresses.count; n++)
        if (pki_address_parse(request->addresses.at[n], address) == 0)
            return pki_fail(error, WEIR_EINVAL, "\"%.80s\" is no address, like 10.0.0.11 or 2001:db8::1",
                            request->addresses.at[n]);
    for (uint32_t n = 0; n < request->uris.count; n++)
        if (!is_uri(request->uris.at[n]))
            return pki_fail(error, WEIR_EINVAL, "\"%.80s\" is no URI, like spiffe://example.com/alice",
                            request->uris.at[n]);
    if (request->names.count + request->addresses.count + request->uris.count > NAMES_MAX)
        return pki_fail(error, WEIR_EINVAL, "more than %d names in one certificate", NAMES_MAX);
    return 0;
}
