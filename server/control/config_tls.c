/* SPDX-License-Identifier: Apache-2.0 */
#include "config_parts.h"

#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "../sandbox/sandbox.h"
#include "../tls/material.h"
#include "config_names.h"

#define PROTOCOLS_MAX 16
#define PROTOCOL_BYTES_MAX 255
#define VERIFY_MAX 64
#define COMPLAINTS_MAX 16

enum { CLIENTS_REQUIRED, CLIENTS_ANONYMOUS };

struct tls_draft {
    struct tls_settings settings;
    uint32_t tls_1_2, clients;
    const struct node *alpn, *verify;
    struct position at, clients_at;
    struct position setting_at[TLS_SETTING_ALPN + 1]; /* by enum tls_setting */
};

static const struct word version_words[] = {
    { "1.3", false, false },
    { "1.2", true, false },
    { NULL, 0, false },
};
static const struct word clients_words[] = {
    { "required", CLIENTS_REQUIRED, false },
    { "anonymous", CLIENTS_ANONYMOUS, false },
    { NULL, 0, false },
};

#define FILE_AT(member, setting)                                                                                       \
    offsetof(struct tls_draft, settings.member), PLACED_AT(struct tls_draft, setting_at[setting])

enum { ALPN_FIELD = 6 };
static const struct field listener_tls_fields[] = {
    { "certificate", read_path, FILE_AT(certificate, TLS_SETTING_CERTIFICATE), .add = "certificate: FILE" },
    { "key", read_path, FILE_AT(key, TLS_SETTING_KEY), .add = "key: FILE" },
    { "client_ca", read_path, FILE_AT(ca, TLS_SETTING_CA) },
    { "crl", read_path, FILE_AT(crl, TLS_SETTING_CRL) },
    { "min_version", read_word, offsetof(struct tls_draft, tls_1_2), .words = version_words },
    { "clients", read_word, offsetof(struct tls_draft, clients), .words = clients_words,
      PLACED_AT(struct tls_draft, clients_at) },
    [ALPN_FIELD] = { "alpn", read_node, offsetof(struct tls_draft, alpn), 0, PROTOCOLS_MAX,
                     PLACED_AT(struct tls_draft, setting_at[TLS_SETTING_ALPN]) },
};
static const struct section listener_tls_section = SECTION("this tls", listener_tls_fields);

enum { VERIFY_FIELD = 3 };
static const struct field pool_tls_fields[] = {
    { "ca", read_path, FILE_AT(ca, TLS_SETTING_CA), .add = "ca: FILE" },
    { "certificate", read_path, FILE_AT(certificate, TLS_SETTING_CERTIFICATE) },
    { "key", read_path, FILE_AT(key, TLS_SETTING_KEY) },
    [VERIFY_FIELD] = { "verify", read_node, offsetof(struct tls_draft, verify), 1, VERIFY_MAX },
};
static const struct section pool_tls_section = SECTION("this tls", pool_tls_fields);

static void add_protocol(struct reader *reader, const struct node *node, struct tls_settings *settings)
{
    const char *text = node_text(node);

    if (text == NULL || text[0] == '\0' || strlen(text) > PROTOCOL_BYTES_MAX) {
        refuse(reader, "an entry of alpn", node, "the name of a protocol, like h2");
        return;
    }
    for (uint32_t i = 0; i < settings->alpn_count; i++) {
        if (strcmp(settings->alpn[i], text) == 0) {
            report_add(reader->report, node->at, "%s stands here twice; remove one of them", quote(text).text);
            return;
        }
    }
    char *copy = reader_copy(reader, text);
    if (copy != NULL)
        settings->alpn[settings->alpn_count++] = copy;
}

static void read_alpn(struct reader *reader, const struct node *list, struct tls_settings *settings)
{
    if (!list_is_fine(reader, &listener_tls_fields[ALPN_FIELD], list, "protocols, like [h2]"))
        return;
    settings->alpn = reader_array(reader, list->count, sizeof *settings->alpn);
    for (const struct node *item = list->first; settings->alpn != NULL && item != NULL; item = item->next)
        add_protocol(reader, item, settings);
}

/* "dns:web.internal", "uri:spiffe://example.com/web", "ip:10.0.0.1" */
static void add_verified_name(struct reader *reader, const struct node *node, struct tls_settings *settings)
{
    const char *reason, *text = node_text(node);
    struct typed_name name;
    int kind;

    if (text == NULL) {
        refuse(reader, "an entry of verify", node, "a typed name like dns:web.internal");
        return;
    }
    if (names_read_verified(text, &kind, &name, &reason) != 0) {
        report_add(reader->report, node->at, "%s %s", quote(text).text, reason);
        return;
    }
    char *copy = reader_copy(reader, name.bytes);
    if (copy != NULL)
        settings->verify[settings->verify_count++] = (struct tls_name){ kind, copy, name.size };
}

static void read_verify(struct reader *reader, const struct node *list, struct tls_settings *settings)
{
    if (!list_is_fine(reader, &pool_tls_fields[VERIFY_FIELD], list, "names, like [dns:web.internal]"))
        return;
    settings->verify = reader_array(reader, list->count, sizeof *settings->verify);
    for (const struct node *item = list->first; settings->verify != NULL && item != NULL; item = item->next)
        add_verified_name(reader, item, settings);
}

/* What a complaint quotes, like a path, can hold control characters, U+0080 to U+009F included. */
static void make_printable(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++) {
        bool wide = *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (wide || *c < ' ' || *c == 0x7f)
            *c = '?';
        if (wide)
            *++c = '?';
    }
}

/* A confined process that reloads: no other error would say what helps. */
static bool may_be_read(struct reader *reader, const struct tls_draft *draft)
{
    const char *const paths[] = { [TLS_SETTING_CERTIFICATE] = draft->settings.certificate,
                                  [TLS_SETTING_KEY] = draft->settings.key,
                                  [TLS_SETTING_CA] = draft->settings.ca,
                                  [TLS_SETTING_CRL] = draft->settings.crl };
    bool all = true;
    for (size_t n = 0; n < sizeof paths / sizeof paths[0]; n++) {
        if (paths[n] == NULL || sandbox_may_read(paths[n]))
            continue;
        report_add(
            reader->report, draft->setting_at[n],
            "%s is outside the folders that the sandbox was given at the start; restart weir, or put it into one",
            quote(paths[n]).text);
        all = false;
    }
    return all;
}

/* The files are read with the rest, so that what is wrong with them is told in the same run. */
static struct tls_material *load(struct reader *reader, const struct tls_draft *draft, enum tls_role role)
{
    struct tls_complaint complaints[COMPLAINTS_MAX];
    struct tls_material *material = NULL;
    uint32_t count = COMPLAINTS_MAX, errors = 0;
    if (!may_be_read(reader, draft))
        return NULL;
    int err = tls_material_load(&draft->settings, role, complaints, &count, &errors, &material);

    if (err == WEIR_ENOMEM) {
        reader->report->out_of_memory = true;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct position at = draft->setting_at[complaints[i].setting];
        if (at.line == 0)
            at = draft->at;
        make_printable(complaints[i].text);
        if (i < errors)
            report_add(reader->report, at, "%s", complaints[i].text);
        else
            report_warn(reader->report, at, "%s", complaints[i].text);
    }
    reader->snapshot->material_unref = tls_material_unref;
    return material;
}

static bool listener_tls_is_fine(struct reader *reader, const struct tls_draft *draft)
{
    const struct position *at = draft->setting_at;
    bool ca = at[TLS_SETTING_CA].line != 0, anonymous = draft->clients == CLIENTS_ANONYMOUS;

    if (!ca && !anonymous)
        report_add(reader->report, draft->at,
                   "this tls has no client_ca; add client_ca: FILE, or clients: anonymous to know clients by address");
    else if (ca && anonymous)
        report_add(reader->report, draft->clients_at,
                   "clients: anonymous asks for no certificate; write clients: required, or remove client_ca");
    else if (!ca && at[TLS_SETTING_CRL].line != 0)
        report_add(reader->report, at[TLS_SETTING_CRL], "crl needs a client_ca; add client_ca: FILE");
    else
        return draft->settings.certificate != NULL && draft->settings.key != NULL && ca == (draft->settings.ca != NULL);
    return false;
}

static bool pool_tls_is_fine(struct reader *reader, const struct tls_draft *draft)
{
    bool certificate = draft->setting_at[TLS_SETTING_CERTIFICATE].line != 0;
    bool key = draft->setting_at[TLS_SETTING_KEY].line != 0;

    if (certificate && !key)
        report_add(reader->report, draft->setting_at[TLS_SETTING_CERTIFICATE],
                   "certificate needs a key; add key: FILE");
    else if (key && !certificate)
        report_add(reader->report, draft->setting_at[TLS_SETTING_KEY],
                   "key needs a certificate; add certificate: FILE");
    else
        return draft->settings.ca != NULL && certificate == (draft->settings.certificate != NULL) &&
               key == (draft->settings.key != NULL);
    return false;
}

/* Reads the mapping. Returns NULL, with an error, when it is none or out of memory. */
static struct tls_settings *read_tls(struct reader *reader, const struct section *section, const struct node *node,
                                     struct tls_draft *draft)
{
    struct tls_settings *settings = NULL;

    draft->at = node->at;
    if (node->kind != NODE_MAPPING)
        refuse(reader, "tls", node, "a mapping of KEY: VALUE");
    else
        settings = reader_array(reader, 1, sizeof *settings);
    if (settings == NULL)
        return NULL;
    section_read(reader, section, node, draft);
    draft->settings.tls_1_2 = draft->tls_1_2;
    if (draft->alpn != NULL)
        read_alpn(reader, draft->alpn, &draft->settings);
    if (draft->verify != NULL)
        read_verify(reader, draft->verify, &draft->settings);
    *settings = draft->settings;
    return settings;
}

void read_listener_tls(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct tls_draft draft = { .clients = CLIENTS_REQUIRED };
    struct listener *listener = slot;

    (void)field;
    listener->tls = read_tls(reader, &listener_tls_section, node, &draft);
    if (listener->tls != NULL && listener_tls_is_fine(reader, &draft))
        listener->material = load(reader, &draft, TLS_SERVER);
}

void read_pool_tls(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct tls_draft draft = { .clients = CLIENTS_REQUIRED };
    struct pool *pool = slot;

    (void)field;
    pool->tls = read_tls(reader, &pool_tls_section, node, &draft);
    if (pool->tls != NULL && pool_tls_is_fine(reader, &draft))
        pool->material = load(reader, &draft, TLS_CLIENT);
}
