/* SPDX-License-Identifier: Apache-2.0 */
#include "config_names.h"

#include <string.h>

#include <weir/errors.h>

#include "config_values.h"

#define DNS_BYTES_MAX 253
#define DNS_LABEL_MAX 63
#define SHA256_DIGITS 64

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void append(struct typed_name *name, char c)
{
    name->bytes[name->size++] = c;
}

/* Labels of letters, digits, "-" and "_", put behind what the name has already, in lower case. */
static bool append_labels(struct typed_name *name, const char *text)
{
    size_t size = strlen(text), label = 0;

    if (size == 0 || size > DNS_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = lower(text[i]);
        bool dot = c == '.';
        if ((dot && label == 0) || (!dot && !is_lower(c) && !is_digit(c) && c != '-' && c != '_'))
            return false;
        label = dot ? 0 : label + 1;
        if (label > DNS_LABEL_MAX)
            return false;
        append(name, c);
    }
    return label > 0;
}

static const char *read_dns(const char *text, struct typed_name *name)
{
    if (strncmp(text, "*.", 2) == 0) {
        name->wildcard = true;
        append(name, *text++);
        append(name, *text++);
    }
    if (strchr(text, '*') != NULL)
        return "has a * that is not its whole first label; write it like dns:*.example.com";
    if (!append_labels(name, text))
        return "is not a dns name; write labels of letters, digits, \"-\" and \"_\", like dns:alice.example.com";
    return NULL;
}

/* The scheme with its colon; NULL: there is none. */
static const char *skip_scheme(const char *text)
{
    if (!is_lower(lower(*text)))
        return NULL;
    while (is_lower(lower(*text)) || is_digit(*text) || (*text != '\0' && strchr("+-.", *text) != NULL))
        text++;
    return *text == ':' ? text + 1 : NULL;
}

static bool is_of_uri(char c)
{
    return c > ' ' && c <= '~' && strchr("\"<>\\^`{|}", c) == NULL;
}

/* `*` is a uri's whole last path segment: behind an authority, and no part of a query or fragment. */
static bool wildcard_is_last_segment(const char *rest, const char *star)
{
    size_t before = (size_t)(star - rest);

    return star[1] == '\0' && before >= 2 && star[-1] == '/' && star[-2] != '/' && strcspn(rest, "?#") > before;
}

static const char *read_uri(const char *text, struct typed_name *name)
{
    const char *rest = skip_scheme(text);
    const char *star = strchr(text, '*');

    if (rest == NULL || *rest == '\0')
        return "is not a uri; write one with its scheme, like uri:spiffe://example.com/alice";
    if (strlen(text) > IDENTITY_NAME_BYTES_MAX)
        return "is too long; at most 1024 bytes are possible";
    if (star != NULL && !wildcard_is_last_segment(rest, star))
        return "has a * that is not its whole last path segment; write it like uri:spiffe://example.com/web/*";
    for (const char *c = text; *c != '\0'; c++) {
        if (!is_of_uri(*c))
            return "has a character that no uri has; write it percent-encoded, like %20";
        append(name, *c);
    }
    name->wildcard = star != NULL;
    return NULL;
}

static const char *read_email(const char *text, struct typed_name *name)
{
    const char *at = strrchr(text, '@');

    if (strchr(text, '*') != NULL)
        return "has a *, which an email cannot have; write the whole address";
    if (at == NULL || at == text || at - text > IDENTITY_NAME_BYTES_MAX - DNS_BYTES_MAX - 1)
        return "is not an email address; write it like email:alice@example.com";
    for (; text <= at; text++) {
        if (*text <= ' ' || *text > '~')
            return "is not an email address; write it like email:alice@example.com";
        append(name, *text);
    }
    return append_labels(name, at + 1) ? NULL : "is not an email address; write it like email:alice@example.com";
}

static const char *read_cn(const char *text, struct typed_name *name)
{
    size_t size = strlen(text);

    if (size == 0 || size > IDENTITY_NAME_BYTES_MAX)
        return "is not a common name; write 1 to 1024 bytes behind cn:";
    if (strchr(text, '*') != NULL)
        return "has a *, which a common name cannot have; write the whole name";
    memcpy(name->bytes, text, size);
    name->size = (uint32_t)size;
    return NULL;
}

/* Upper case and colons between the bytes, as openssl prints them, are understood. */
static const char *read_sha256(const char *text, struct typed_name *name)
{
    for (; *text != '\0' && name->size < SHA256_DIGITS; text++) {
        char c = lower(*text);
        bool between = name->size > 0 && name->size % 2 == 0 && text[-1] != ':';
        if (c == ':' && between)
            continue;
        if (!is_digit(c) && (c < 'a' || c > 'f'))
            break;
        append(name, c);
    }
    return *text == '\0' && name->size == SHA256_DIGITS ? NULL : "is not a SHA-256; write its 64 hexadecimal digits";
}

static const struct type {
    const char *prefix;
    enum identity_kind kind;
    const char *(*read)(const char *text, struct typed_name *name); /* returns what is wrong, or NULL */
} types[] = {
    { "dns:", IDENTITY_DNS, read_dns },          { "uri:", IDENTITY_URI, read_uri },
    { "email:", IDENTITY_EMAIL, read_email },    { "cn:", IDENTITY_CN, read_cn },
    { "sha256:", IDENTITY_SHA256, read_sha256 },
};

static const struct type *type_of(const char *text)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strncmp(text, types[i].prefix, strlen(types[i].prefix)) == 0)
            return &types[i];
    return NULL;
}

bool names_has_type(const char *text)
{
    return type_of(text) != NULL;
}

int names_read(const char *text, struct typed_name *ret_name, const char **ret_reason)
{
    const struct type *type = type_of(text);
    struct typed_name name = { .size = 0 };
    const char *reason = "is not a typed identity; write dns:, uri:, email:, cn: or sha256: before it";

    if (type != NULL) {
        name.kind = type->kind;
        reason = type->read(text + strlen(type->prefix), &name);
    }
    if (reason == NULL)
        *ret_name = name;
    else
        *ret_reason = reason;
    return reason == NULL ? 0 : WEIR_EINVAL;
}

static int read_ip(const char *text, struct typed_name *ret_name, const char **ret_reason)
{
    struct weir_address address;

    if (value_host(text, &address) != 0) {
        *ret_reason = "is not an IP address; write it like ip:10.0.0.11 or ip:2001:db8::1";
        return WEIR_EINVAL;
    }
    weir_address_format_host(&address, ret_name->bytes, sizeof ret_name->bytes);
    ret_name->size = (uint32_t)strlen(ret_name->bytes);
    return 0;
}

int names_read_verified(const char *text, int *ret_kind, struct typed_name *ret_name, const char **ret_reason)
{
    const struct type *type = type_of(text);

    if (strncmp(text, "ip:", 3) == 0) {
        *ret_kind = TLS_NAME_IP;
        return read_ip(text + 3, ret_name, ret_reason);
    }
    *ret_reason = "is not a name to verify; write dns:NAME, uri:URI or ip:ADDRESS";
    if (type == NULL || (type->kind != IDENTITY_DNS && type->kind != IDENTITY_URI) ||
        names_read(text, ret_name, ret_reason) != 0)
        return WEIR_EINVAL;
    if (ret_name->wildcard) {
        *ret_reason = "has a *; write the whole name (a certificate for *.example.com is good for it)";
        return WEIR_EINVAL;
    }
    *ret_kind = (int)ret_name->kind;
    return 0;
}
