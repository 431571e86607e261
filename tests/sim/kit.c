/* SPDX-License-Identifier: Apache-2.0 */
/* The only way to replace OpenSSL's chance without a provider. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "kit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <openssl/rand.h>

#include "../../server/tls/library.h"
#include "../unit/certs.h"
#include "memory.h"
#include "random.h"
#include "sim.h"

#define BALANCER "weir.example.com"
#define UPSTREAM "upstream.example.com"

/* Chance */

static struct random chance;

static int some_bytes(unsigned char *bytes, int size)
{
    for (int n = 0; n < size; n++)
        bytes[n] = (unsigned char)random_next(&chance);
    return 1;
}

static int is_ready(void)
{
    return 1;
}

void kit_seed(uint64_t seed)
{
    static const RAND_METHOD method = { .bytes = some_bytes, .pseudorand = some_bytes, .status = is_ready };
    RAND_set_rand_method(&method);
    chance.state = seed ^ UINT64_C(0x7C15F39CC0605CED);
}

/* Certificates */

struct authority {
    struct cert cert;
    char *path;
};

static struct authority good, wrong;
static struct tls_material *materials[KIT_PARTS];

static struct authority new_authority(const char *name)
{
    struct cert_options options = {
        .cn = name,
        .ca = true,
        .from_s = SIM_WALL_S - 10 * CERT_DAY,
        .until_s = SIM_WALL_S + 100 * CERT_DAY,
    };
    struct authority authority = { .cert = cert_new(NULL, &options) };
    authority.path = certs_write(name, authority.cert.x509);
    return authority;
}

/* Files of a certificate. Names of files: the part's number, that they are different. */
static struct cert write_certificate(enum kit_part part, const struct authority *by, const char *san, bool expired,
                                     struct tls_settings *settings)
{
    char name[16];
    struct cert_options options = {
        .cn = "somebody",
        .san = san,
        .usage = kit_role(part) == TLS_SERVER ? "serverAuth" : "clientAuth",
        .from_s = SIM_WALL_S - 5 * CERT_DAY,
        .until_s = expired ? SIM_WALL_S - 60 : SIM_WALL_S + 50 * CERT_DAY,
    };
    struct cert cert = cert_new(&by->cert, &options);
    snprintf(name, sizeof name, "%u.crt", (unsigned)part);
    settings->certificate = certs_write(name, cert.x509);
    snprintf(name, sizeof name, "%u.key", (unsigned)part);
    settings->key = certs_write_key(name, cert.key);
    return cert;
}

static void load(enum kit_part part, struct tls_settings *settings)
{
    struct tls_complaint complaints[8];
    settings->tls_1_2 = kit_takes_1_2(part);
    uint32_t count = 8, errors = 0;
    int err = tls_material_load(settings, kit_role(part), complaints, &count, &errors, &materials[part]);
    if (err != 0)
        fprintf(stderr, "%s\n", errors > 0 ? complaints[0].text : "no memory");
    assert(err == 0);
}

static void make_server(enum kit_part part, const struct authority *by, const char *san, const struct authority *asks,
                        char *crl)
{
    struct tls_settings settings = { .ca = asks == NULL ? NULL : asks->path, .crl = crl };
    struct cert cert = write_certificate(part, by, san, part == KIT_HOST_EXPIRED, &settings);
    load(part, &settings);
    cert_free(&cert);
}

/* Returns what the caller frees. */
static struct cert make_client(enum kit_part part, const struct authority *by, const char *host, const char *name,
                               const struct authority *trusts)
{
    char san[80];
    struct tls_name verify = { .kind = IDENTITY_DNS, .text = (char *)host, .size = (uint32_t)strlen(host) };
    struct tls_settings settings = { .ca = trusts->path, .verify = &verify, .verify_count = 1 };
    struct cert cert = { 0 };
    snprintf(san, sizeof san, "DNS:%s", name);
    if (name[0] != '\0')
        cert = write_certificate(part, by, san, part == KIT_CLIENT_EXPIRED, &settings);
    load(part, &settings);
    return cert;
}

static void make_clients(void)
{
    char name[64];
    for (uint32_t n = 0; n < KIT_CLIENTS + KIT_STRANGERS; n++) {
        kit_name(n, name, sizeof name);
        struct cert cert = make_client(KIT_CLIENT + n, &good, BALANCER, name, &good);
        cert_free(&cert);
    }
    kit_name(0, name, sizeof name);
    struct cert certs[] = {
        make_client(KIT_CLIENT_NONE, NULL, BALANCER, "", &good),
        make_client(KIT_CLIENT_WRONG_CA, &wrong, BALANCER, name, &good),
        make_client(KIT_CLIENT_EXPIRED, &good, BALANCER, name, &good),
        make_client(KIT_CLIENT_DISTRUSTS, &good, BALANCER, name, &wrong),
    };
    for (unsigned n = 0; n < sizeof certs / sizeof certs[0]; n++)
        cert_free(&certs[n]);
}

static void make_balancer(void)
{
    char name[64];
    kit_name(0, name, sizeof name);
    struct cert revoked = make_client(KIT_CLIENT_REVOKED, &good, BALANCER, name, &good);
    X509_CRL *crl = cert_crl_between(&good.cert, SIM_WALL_S - 5 * CERT_DAY, SIM_WALL_S + 50 * CERT_DAY, &revoked);
    make_server(KIT_LISTENER, &good, "DNS:" BALANCER, &good, NULL);
    make_server(KIT_LISTENER_CRL, &good, "DNS:" BALANCER, &good, certs_write_crls("crl", crl));
    make_server(KIT_LISTENER_ANONYMOUS, &good, "DNS:" BALANCER, NULL, NULL);
    struct cert own = make_client(KIT_POOL, &good, UPSTREAM, BALANCER, &good);
    make_client(KIT_POOL_NAMELESS, NULL, UPSTREAM, "", &good);
    cert_free(&own);
    cert_free(&revoked);
    X509_CRL_free(crl);
}

static void make_all(void)
{
    memory_aside(true);
    assert(tls_library_start() == 0);
    kit_seed(0);
    good = new_authority("good");
    wrong = new_authority("wrong");
    make_clients();
    make_balancer();
    make_server(KIT_HOST, &good, "DNS:" UPSTREAM, &good, NULL);
    make_server(KIT_HOST_ANONYMOUS, &good, "DNS:" UPSTREAM, NULL, NULL);
    make_server(KIT_HOST_REFUSES, &good, "DNS:" UPSTREAM, &wrong, NULL);
    make_server(KIT_HOST_WRONG_NAME, &good, "DNS:" BALANCER, &good, NULL);
    make_server(KIT_HOST_WRONG_CA, &wrong, "DNS:" UPSTREAM, &good, NULL);
    make_server(KIT_HOST_EXPIRED, &good, "DNS:" UPSTREAM, &good, NULL);
    cert_free(&good.cert);
    cert_free(&wrong.cert);
    certs_folder_remove();
    memory_aside(false);
}

void kit_name(uint32_t client, char *name, size_t size)
{
    snprintf(name, size, "client%u.example.com", client);
}

bool kit_takes_1_2(enum kit_part part)
{
    return part != KIT_LISTENER && part != KIT_POOL_NAMELESS;
}

enum tls_role kit_role(enum kit_part part)
{
    return part < KIT_POOL || part >= KIT_HOST ? TLS_SERVER : TLS_CLIENT;
}

struct tls_material *kit_material(enum kit_part part)
{
    if (materials[0] == NULL)
        make_all();
    return materials[part];
}
