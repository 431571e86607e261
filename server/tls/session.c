/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>

#include <weir/errors.h>

#include "failure.h"
#include "parts.h"
#include "verify.h"

static const struct weir_filter_ops filter_ops;
static const struct tls_failure no_failure = { TLS_FAILURE_NONE, "" };
static const struct tls_failure no_memory = { TLS_FAILURE_NO_MEMORY, "out of memory" };

/* Birth and death */

static int set_server_name(struct tls_session *session)
{
    const struct tls_material *material = session->context->material;
    for (uint32_t i = 0; i < material->verify_count; i++) {
        if (material->verify[i].kind == IDENTITY_DNS)
            return SSL_set_tlsext_host_name(session->ssl, material->verify[i].text) == 1 ? 0 : WEIR_ENOMEM;
    }
    return 0;
}

static int open_session(struct tls_session *session)
{
    ERR_clear_error();
    session->ssl = SSL_new(session->context->ssl);
    BIO *bio = session->ssl == NULL ? NULL : tls_bio_new(session->context->bio_method, &session->bytes);
    if (bio == NULL)
        return WEIR_ENOMEM;
    SSL_set_bio(session->ssl, bio, bio);
    if (SSL_set_app_data(session->ssl, session) != 1)
        return WEIR_ENOMEM;
    if (session->context->material->role == TLS_SERVER) {
        SSL_set_accept_state(session->ssl);
        return 0;
    }
    SSL_set_connect_state(session->ssl);
    return set_server_name(session);
}

int tls_session_new(struct tls_context *context, const struct weir_address *address, struct tls_session **ret_session)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return WEIR_ENOMEM;
    session->filter.ops = &filter_ops;
    session->context = tls_context_ref(context);
    if (address != NULL)
        session->address = *address;
    int err = open_session(session);
    ERR_clear_error();
    if (err != 0)
        tls_session_free(&session);
    else
        *ret_session = session;
    return err;
}

void tls_session_free(struct tls_session **psession)
{
    struct tls_session *session = *psession;
    if (session == NULL)
        return;
    SSL_free(session->ssl);
    tls_context_free(&session->context);
    certificate_names_free(&session->names);
    if (session->failure != &no_memory)
        free((void *)session->failure);
    free(session->revocables);
    free(session->kept);
    free(session);
    *psession = NULL;
}

/* Failures */

void session_fail(struct tls_session *session, const struct tls_failure *failure)
{
    if (session->failure != NULL)
        return;
    struct tls_failure *copy = malloc(sizeof *copy);
    if (copy != NULL)
        *copy = *failure;
    session->failure = copy != NULL ? copy : &no_memory;
}

const struct tls_failure *tls_session_failure(const struct tls_session *session)
{
    return session->failure != NULL ? session->failure : &no_failure;
}

/* Calls into OpenSSL */

static void feed(struct tls_session *session, const uint8_t *data, uint32_t size, struct weir_sink *out)
{
    session->bytes = (struct tls_bytes){ .input = data, .input_size = size, .output = out };
    ERR_clear_error();
}

/* Of a call whose result was no success: whether more bytes are all it wants, or the peer has ended. */
static enum weir_filter_result judge(struct tls_session *session, int result)
{
    struct tls_failure failure = no_memory;
    int error = SSL_get_error(session->ssl, result);
    if (!session->bytes.no_memory) {
        if (error == SSL_ERROR_WANT_READ)
            return WEIR_FILTER_OK;
        if (error == SSL_ERROR_ZERO_RETURN)
            return WEIR_FILTER_ENDED;
        tls_failure_from_queue(session->context->material->role, &failure);
    }
    ERR_clear_error();
    session_fail(session, &failure);
    return session->failure->kind == TLS_FAILURE_NO_MEMORY ? WEIR_FILTER_NO_MEMORY : WEIR_FILTER_CORRUPT;
}

/* The handshake */

static enum tls_progress fail(struct tls_session *session, const struct tls_failure *failure)
{
    session_fail(session, failure);
    return TLS_FAILED;
}

/* OpenSSL keeps the peer's certificate as long as the session. What it says has been read by now, and nobody looks at
 * it again: the larger parts of it go. */
static void forget_certificate(const SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    X509_NAME *nobody = X509_NAME_new();
    if (certificate != NULL && nobody != NULL) {
        X509_set_subject_name(certificate, nobody);
        X509_set_issuer_name(certificate, nobody);
        while (X509_get_ext_count(certificate) > 0)
            X509_EXTENSION_free(X509_delete_ext(certificate, 0));
    }
    X509_NAME_free(nobody);
    ERR_clear_error();
}

static enum tls_progress establish(struct tls_session *session)
{
    static const struct tls_failure unverified = { TLS_FAILURE_BAD_CERTIFICATE, "no certificate was verified" };
    const struct tls_bytes *rest = &session->bytes;
    /* Whatever way OpenSSL may find around it. */
    if (session->context->material->ca != NULL && !session->verified)
        return fail(session, &unverified);
    if (session_note_certificates(session) != 0)
        return fail(session, &no_memory);
    forget_certificate(session->ssl);
    session->established = true;
    if (rest->input_size == 0)
        return TLS_ESTABLISHED;
    /* What came behind the handshake and found no room in OpenSSL waits for the first decode(). */
    session->kept = malloc(rest->input_size);
    if (session->kept == NULL)
        return fail(session, &no_memory);
    memcpy(session->kept, rest->input, rest->input_size);
    session->kept_size = rest->input_size;
    return TLS_ESTABLISHED;
}

enum tls_progress tls_handshake(struct tls_session *session, const uint8_t *data, uint32_t size, struct weir_sink *out)
{
    static const struct tls_failure ended = { TLS_FAILURE_PROTOCOL, "the peer ended the connection in its handshake" };
    assert(!session->established && session->failure == NULL);
    feed(session, data, size, out);
    int result = SSL_do_handshake(session->ssl);
    if (result == 1)
        return establish(session);
    enum weir_filter_result judged = judge(session, result);
    if (judged == WEIR_FILTER_ENDED)
        session_fail(session, &ended);
    return judged == WEIR_FILTER_OK ? TLS_WANTS_BYTES : TLS_FAILED;
}

/* The filter */

static struct tls_session *session_of(struct weir_filter *filter)
{
    return (struct tls_session *)((char *)filter - offsetof(struct tls_session, filter));
}

static enum weir_filter_result read_all(struct tls_session *session, struct weir_sink *plain)
{
    while (session->bytes.input_size > 0 || SSL_has_pending(session->ssl)) {
        uint32_t room = 0;
        size_t size = 0;
        uint8_t *space = plain->reserve(plain, &room);
        if (space == NULL)
            return WEIR_FILTER_NO_MEMORY;
        int result = SSL_read_ex(session->ssl, space, room, &size);
        if (result != 1)
            return judge(session, result);
        if (plain->commit(plain, (uint32_t)size) != 0)
            return WEIR_FILTER_NO_MEMORY;
    }
    return WEIR_FILTER_OK;
}

static enum weir_filter_result read_kept(struct tls_session *session, struct weir_sink *plain, struct weir_sink *back)
{
    if (session->kept == NULL)
        return WEIR_FILTER_OK;
    feed(session, session->kept, session->kept_size, back);
    enum weir_filter_result result = read_all(session, plain);
    free(session->kept);
    session->kept = NULL;
    return result;
}

static enum weir_filter_result decode(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                      struct weir_sink *plain, struct weir_sink *back)
{
    struct tls_session *session = session_of(filter);
    assert(session->established);
    if (session->peer_ended)
        return WEIR_FILTER_ENDED;
    enum weir_filter_result result = read_kept(session, plain, back);
    if (result == WEIR_FILTER_OK) {
        feed(session, data, size, back);
        result = read_all(session, plain);
    }
    session->peer_ended = result == WEIR_FILTER_ENDED;
    return result;
}

static enum weir_filter_result encode(struct weir_filter *filter, const uint8_t *data, uint32_t size,
                                      struct weir_sink *out)
{
    struct tls_session *session = session_of(filter);
    size_t written = 0;
    assert(session->established && !session->ended);
    if (size == 0)
        return WEIR_FILTER_OK;
    feed(session, NULL, 0, out);
    int result = SSL_write_ex(session->ssl, data, size, &written);
    return result == 1 ? WEIR_FILTER_OK : judge(session, result);
}

static enum weir_filter_result encode_end(struct weir_filter *filter, struct weir_sink *out)
{
    struct tls_session *session = session_of(filter);
    if (session->ended)
        return WEIR_FILTER_OK;
    session->ended = true;
    feed(session, NULL, 0, out);
    int result = SSL_shutdown(session->ssl);
    if (result < 0)
        return judge(session, result);
    SSL_free_buffers(session->ssl); /* other records do so by themselves, alerts do not */
    return WEIR_FILTER_OK;
}

static const struct weir_filter_ops filter_ops = {
    .decode = decode,
    .encode = encode,
    .encode_end = encode_end,
};

struct weir_filter *tls_session_filter(struct tls_session *session)
{
    return &session->filter;
}

int tls_session_end(struct tls_session *session, struct weir_sink *out)
{
    return encode_end(&session->filter, out) == WEIR_FILTER_NO_MEMORY ? WEIR_ENOMEM : 0;
}

/* What is known of the peer */

void tls_session_identity(const struct tls_session *session, struct identity *identity)
{
    identity->has_certificate = session->established && session->verified;
    identity->names = NULL;
    identity->name_count = 0;
    if (identity->has_certificate && session->names != NULL)
        certificate_names_identity(session->names, identity);
}

void tls_session_forget_identity(struct tls_session *session)
{
    certificate_names_free(&session->names);
}

bool tls_session_is_established(const struct tls_session *session)
{
    return session->established && session->failure == NULL;
}

int64_t tls_session_peer_expires_s(const struct tls_session *session)
{
    const X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    return session->verified && certificate != NULL ? asn1_time_seconds(X509_get0_notAfter(certificate)) : 0;
}

const char *tls_session_server_name(const struct tls_session *session)
{
    const char *name = SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
    return name == NULL ? "" : name;
}

const char *tls_session_version(const struct tls_session *session)
{
    return SSL_get_version(session->ssl);
}

const char *tls_session_cipher(const struct tls_session *session)
{
    return SSL_get_cipher_name(session->ssl);
}
