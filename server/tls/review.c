/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <weir/errors.h>

#include "parts.h"
#include "verify.h"

/* What is asked of a peer long after its handshake, when of its certificates only a note is left. */

#define SERIAL_BYTES_MAX 32 /* the standard allows 20 */

/* A certificate, as a CRL names it. */
struct revocable {
    unsigned long issuer; /* a hash of the name, however it is written */
    uint32_t size;        /* 0: its serial number is too long to be noted */
    uint8_t serial[SERIAL_BYTES_MAX];
};

struct revocables {
    uint32_t count;
    struct revocable list[];
};

static unsigned long hash_of(const X509_NAME *name)
{
    return X509_NAME_hash_ex(name, NULL, NULL, NULL);
}

static void note(struct revocable *revocable, const X509 *certificate)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    int size = ASN1_STRING_length(serial);
    revocable->issuer = hash_of(X509_get_issuer_name(certificate));
    if (size <= 0 || size > SERIAL_BYTES_MAX)
        return;
    revocable->size = (uint32_t)size;
    memcpy(revocable->serial, ASN1_STRING_get0_data(serial), (size_t)size);
}

int session_note_certificates(struct tls_session *session)
{
    const X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    const STACK_OF(X509) *sent = SSL_get_peer_cert_chain(session->ssl);
    int above = sk_X509_num(sent) > 0 ? sk_X509_num(sent) : 0;
    if (certificate == NULL || session->context->material->role != TLS_SERVER)
        return 0;
    struct revocables *noted = calloc(1, sizeof *noted + (1 + (size_t)above) * sizeof noted->list[0]);
    if (noted == NULL)
        return WEIR_ENOMEM;
    note(&noted->list[noted->count++], certificate);
    for (int i = 0; i < above; i++)
        note(&noted->list[noted->count++], sk_X509_value(sent, i));
    session->revocables = noted;
    return 0;
}

static bool revokes(X509_CRL *crl, const struct revocable *revocable, ASN1_INTEGER *serial)
{
    X509_REVOKED *revoked = NULL;
    return revocable->size > 0 && hash_of(X509_CRL_get_issuer(crl)) == revocable->issuer &&
           ASN1_STRING_set(serial, revocable->serial, (int)revocable->size) == 1 &&
           X509_CRL_get0_by_serial(crl, &revoked, serial) == 1;
}

bool tls_session_is_revoked(const struct tls_session *session, const struct tls_context *context)
{
    const struct revocables *noted = session->revocables;
    const struct tls_material *material = context->material;
    ASN1_INTEGER *serial = noted == NULL || material->crls == NULL ? NULL : ASN1_INTEGER_new();
    bool revoked = false;
    for (uint32_t n = 0; serial != NULL && n < noted->count; n++)
        for (int i = 0; !revoked && i < sk_X509_CRL_num(material->crls); i++)
            revoked = revokes(sk_X509_CRL_value(material->crls, i), &noted->list[n], serial);
    ASN1_INTEGER_free(serial);
    return revoked;
}
