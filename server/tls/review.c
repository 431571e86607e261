/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/errors.h>

#include "parts.h"
#include "verify.h"

/* What is asked of a peer long after its handshake. */

int tls_session_recall_identity(struct tls_session *session)
{
    const X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (session->names != NULL || certificate == NULL)
        return 0;
    return certificate_names_of(certificate, &session->names);
}

static bool revokes(X509_CRL *crl, X509 *certificate)
{
    X509_REVOKED *revoked = NULL;
    return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(certificate)) == 0 &&
           X509_CRL_get0_by_cert(crl, &revoked, certificate) == 1;
}

static bool is_revoked(const struct tls_material *material, X509 *certificate)
{
    for (int i = 0; i < sk_X509_CRL_num(material->crls); i++)
        if (revokes(sk_X509_CRL_value(material->crls, i), certificate))
            return true;
    return false;
}

bool tls_session_is_revoked(const struct tls_session *session, const struct tls_context *context)
{
    const struct tls_material *material = context->material;
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    const STACK_OF(X509) *sent = SSL_get_peer_cert_chain(session->ssl);
    bool revoked = certificate != NULL && is_revoked(material, certificate);
    for (int i = 0; certificate != NULL && !revoked && i < sk_X509_num(sent); i++)
        revoked = is_revoked(material, sk_X509_value(sent, i));
    return revoked;
}

int64_t tls_session_expires_s(const struct tls_session *session)
{
    const X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    return certificate == NULL ? INT64_MAX : asn1_time_seconds(X509_get0_notAfter(certificate));
}
