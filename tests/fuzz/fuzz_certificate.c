/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include <weir/errors.h>

#include "../../server/tls/certificate.h"
#include "../../server/tls/describe.h"

/* Any bytes as a certificate: names within their bounds, each of which a configuration could be compared with, and
 * words that a terminal can show. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void assert_name(const struct identity_name *name, bool last)
{
    assert(name->size > 0 && name->size <= IDENTITY_NAME_BYTES_MAX);
    assert((name->kind == IDENTITY_SHA256) == last);
    for (uint32_t i = 0; i < name->size; i++)
        assert(name->kind != IDENTITY_DNS || name->bytes[i] < 'A' || name->bytes[i] > 'Z');
    if (memchr(name->bytes, '*', name->size) != NULL)
        assert(!identity_matches(name, name));
    else if (name->kind != IDENTITY_EMAIL)
        assert(identity_matches(name, name));
}

static void assert_identity(const struct identity *identity)
{
    bool has_cn = false, has_alternative = false;
    assert(identity->name_count > 0 && identity->name_count <= IDENTITY_NAMES_MAX);
    for (uint32_t i = 0; i < identity->name_count; i++) {
        enum identity_kind kind = identity->names[i].kind;
        assert_name(&identity->names[i], i + 1 == identity->name_count);
        has_cn = has_cn || kind == IDENTITY_CN;
        has_alternative = has_alternative || (kind != IDENTITY_CN && kind != IDENTITY_SHA256);
    }
    assert(!has_cn || !has_alternative);
    assert(identity_own_name(identity) != NULL);
}

static void assert_words(const uint8_t *bytes, size_t size)
{
    char text[DESCRIBE_NAME_BYTES];
    X509 *certificate = d2i_X509(NULL, &bytes, (long)size);
    if (certificate == NULL)
        return;
    describe_certificate(certificate, text);
    for (const char *c = text; *c != '\0'; c++)
        assert(*c >= ' ' && *c < 0x7f);
    X509_free(certificate);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct certificate_names *names = NULL;
    struct identity identity = { 0 };
    int err = certificate_names_read(bytes, (uint32_t)size, &names);
    assert(err == 0 || err == WEIR_EINVAL);
    assert((err == 0) == (names != NULL));
    if (err == 0) {
        certificate_names_identity(names, &identity);
        assert_identity(&identity);
    }
    certificate_names_free(&names);
    assert_words(bytes, size);
    return 0;
}
