/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <string.h>

const char *identity_kind_name(enum identity_kind kind)
{
    static const char *const names[] = {
        [IDENTITY_DNS] = "dns", [IDENTITY_URI] = "uri",       [IDENTITY_EMAIL] = "email",
        [IDENTITY_CN] = "cn",   [IDENTITY_SHA256] = "sha256",
    };
    return names[kind];
}

/* A run of bytes inside a name. */
struct part {
    const char *bytes;
    uint32_t size;
};

static struct part part_from(const struct identity_name *name, uint32_t start)
{
    return (struct part){ name->bytes + start, name->size - start };
}

/* Not the C library's: that of a locale may fold more than ASCII. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool equal(struct part a, struct part b)
{
    return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

static bool equal_in_any_case(struct part a, struct part b)
{
    if (a.size != b.size)
        return false;
    for (uint32_t i = 0; i < a.size; i++) {
        if (lower(a.bytes[i]) != lower(b.bytes[i]))
            return false;
    }
    return true;
}

static bool consists_of(struct part part, const char *others)
{
    for (uint32_t i = 0; i < part.size; i++) {
        char c = lower(part.bytes[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr(others, c) != NULL);
        if (!plain)
            return false;
    }
    return part.size > 0;
}

/* dns: "*.example.com" stands for one label before ".example.com". */

static bool dns_matches(const struct identity_name *pattern, const struct identity_name *name)
{
    if (pattern->size < 2 || memcmp(pattern->bytes, "*.", 2) != 0)
        return equal_in_any_case(part_from(pattern, 0), part_from(name, 0));
    const char *dot = memchr(name->bytes, '.', name->size);
    if (dot == NULL)
        return false;
    uint32_t label = (uint32_t)(dot - name->bytes);
    return consists_of((struct part){ name->bytes, label }, "-_") &&
           equal_in_any_case(part_from(pattern, 1), part_from(name, label));
}

/* uri: a star behind the last slash stands for one path segment. What a reader further on might take for more than one
 * (an escaped slash, a query, "..") is none. */

static bool is_segment(struct part part)
{
    bool dots = (part.size == 1 && part.bytes[0] == '.') || (part.size == 2 && memcmp(part.bytes, "..", 2) == 0);
    return !dots && consists_of(part, "-._~!$&'()+,;=:@");
}

static bool ends_with(struct part part, const char *end)
{
    uint32_t size = (uint32_t)strlen(end);
    return part.size >= size && memcmp(part.bytes + part.size - size, end, size) == 0;
}

static bool uri_matches(const struct identity_name *pattern, const struct identity_name *name)
{
    struct part whole = part_from(pattern, 0);
    if (!ends_with(whole, "/*") || ends_with(whole, "://*"))
        return equal(whole, part_from(name, 0));
    struct part stem = { pattern->bytes, pattern->size - 1 };
    return name->size > stem.size && equal(stem, (struct part){ name->bytes, stem.size }) &&
           is_segment(part_from(name, stem.size));
}

static bool email_matches(const struct identity_name *pattern, const struct identity_name *name)
{
    const char *at = memrchr(name->bytes, '@', name->size);
    if (at == NULL || pattern->size != name->size)
        return false;
    uint32_t domain = (uint32_t)(at - name->bytes);
    return memcmp(pattern->bytes, name->bytes, domain) == 0 &&
           equal_in_any_case(part_from(pattern, domain), part_from(name, domain));
}

bool identity_matches(const struct identity_name *pattern, const struct identity_name *name)
{
    if (pattern->kind != name->kind || memchr(name->bytes, '*', name->size) != NULL)
        return false;
    switch (pattern->kind) {
    case IDENTITY_DNS:
        return dns_matches(pattern, name);
    case IDENTITY_URI:
        return uri_matches(pattern, name);
    case IDENTITY_EMAIL:
        return email_matches(pattern, name);
    default:
        return equal(part_from(pattern, 0), part_from(name, 0));
    }
}

const struct identity_name *identity_own_name(const struct identity *identity)
{
    static const enum identity_kind order[] = { IDENTITY_URI, IDENTITY_DNS, IDENTITY_EMAIL, IDENTITY_CN,
                                                IDENTITY_SHA256 };
    for (unsigned n = 0; n < sizeof order / sizeof order[0]; n++) {
        for (uint32_t i = 0; i < identity->name_count; i++) {
            if (identity->names[i].kind == order[n])
                return &identity->names[i];
        }
    }
    return NULL;
}
