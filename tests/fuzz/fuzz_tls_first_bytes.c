/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include <weir/errors.h>

#include "../../lib/io/backend.h"
#include "../../server/tls/session.h"
#include "../unit/certs.h"

/* Any bytes as the first ones on a listener, and as the first ones of an upstream: more are wanted, or there is a
 * reason in printable words and at most an alert for the peer. Nobody is ever let in. */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct tls_context *contexts[2];

static uint64_t wall(const struct weir_loop *loop)
{
    (void)loop;
    return (uint64_t)time(NULL) * 1000000000;
}

static struct tls_context *open_context(const struct tls_settings *settings, enum tls_role role, struct weir_loop *loop)
{
    struct tls_complaint complaints[4];
    struct tls_material *material = NULL;
    struct tls_context *context = NULL;
    uint32_t count = 4, errors = 0;
    if (tls_material_load(settings, role, complaints, &count, &errors, &material) != 0 ||
        tls_context_new(material, role, loop, &context) != 0)
        abort();
    tls_material_unref(&material);
    return context;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct io_backend backend = { .name = "clock", .wall = wall };
    static struct weir_loop loop;
    struct cert ca = cert_new(NULL, &(struct cert_options){ .cn = "CA", .ca = true });
    struct tls_settings settings = { .certificate = certs_write("ca.crt", ca.x509),
                                     .key = certs_write_key("ca.key", ca.key),
                                     .tls_1_2 = true };
    (void)argc;
    (void)argv;
    settings.ca = settings.certificate;
    io_loop_init(&loop, &backend);
    contexts[TLS_SERVER] = open_context(&settings, TLS_SERVER, &loop);
    contexts[TLS_CLIENT] = open_context(&settings, TLS_CLIENT, &loop);
    certs_folder_remove();
    cert_free(&ca);
    return 0;
}

/* What is answered is only counted. */
struct counter {
    struct weir_sink sink;
    uint8_t room[4096];
    size_t size;
};

static uint8_t *reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct counter *counter = (struct counter *)sink;
    *ret_room = sizeof counter->room;
    return counter->room;
}

static int commit(struct weir_sink *sink, uint32_t size)
{
    ((struct counter *)sink)->size += size;
    return 0;
}

static void assert_reason(const struct tls_failure *failure)
{
    assert(failure->kind == TLS_FAILURE_PROTOCOL || failure->kind == TLS_FAILURE_BAD_CERTIFICATE);
    assert(failure->text[0] != '\0');
    for (const char *c = failure->text; *c != '\0'; c++)
        assert(*c >= ' ' && *c < 0x7f);
}

static void try(struct tls_context *context, const uint8_t *bytes, uint32_t size, bool begins)
{
    struct counter out = { .sink = { .reserve = reserve, .commit = commit } };
    struct weir_address address = { 0 };
    struct tls_session *session = NULL;
    if (tls_session_new(context, &address, &session) != 0)
        abort();
    enum tls_progress progress = begins ? tls_handshake(session, NULL, 0, &out.sink) : TLS_WANTS_BYTES;
    assert(progress == TLS_WANTS_BYTES);
    progress = tls_handshake(session, bytes, size, &out.sink);
    assert(progress != TLS_ESTABLISHED);
    assert((progress == TLS_FAILED) == (tls_session_failure(session)->kind != TLS_FAILURE_NONE));
    if (progress == TLS_FAILED)
        assert_reason(tls_session_failure(session));
    assert(out.size <= 4096);
    tls_session_free(&session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try(contexts[TLS_SERVER], bytes, (uint32_t)size, false);
    try(contexts[TLS_CLIENT], bytes, (uint32_t)size, true);
    return 0;
}
