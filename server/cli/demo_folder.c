/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../tls/pki.h"
#include "demo_clients.h"

#define DAYS 7 /* of certificates that nobody needs tomorrow */

/* Configuration */

static void write_listener(FILE *file, const struct demo_plan *plan)
{
    fprintf(file,
            "workers: 1\nlog: { format: text, level: error }\nadmin: { socket: admin.sock, http: \"127.0.0.1:0\" }\n"
            "listeners:\n  - name: demo\n    address: \"127.0.0.1:%" PRIu32 "\"\n    pool: hosts\n",
            plan->port);
    if (plan->tls)
        fprintf(file, "    tls: { certificate: localhost.crt, key: localhost.key, client_ca: ca.crt, crl: ca.crl }\n");
}

static void write_pool(FILE *file, const struct demo_plan *plan, const struct demo_hosts *hosts)
{
    fprintf(file, "pools:\n  - name: hosts\n    upstreams:\n");
    for (uint32_t n = 0; n < plan->hosts; n++) {
        char text[WEIR_ADDRESS_TEXT_MAX];
        fprintf(file, "      - { name: host%" PRIu32 ", address: \"%s\" }\n", n + 1,
                weir_address_format(demo_hosts_address(hosts, n), text, sizeof text));
    }
}

static void write_client(FILE *file, const struct demo_plan *plan, uint32_t number)
{
    fprintf(file, "  - name: client%" PRIu32 "\n", number);
    if (plan->tls)
        fprintf(file, "    identity: [\"dns:client%" PRIu32 "\"]\n", number);
    else
        fprintf(file, "    identity: [\"cidr:" DEMO_CLIENT_ADDRESS "/32\"]\n", DEMO_FIRST_CLIENT + number - 1);
    if (number == plan->clients && plan->limit > 0)
        fprintf(file, "    limits: { connections: %" PRIu32 " }\n", plan->limit);
}

static void write_policy(FILE *file, const struct demo_plan *plan)
{
    fprintf(file, "policy:\n  - { allow: [\"*\"], to: [hosts] }\n");
    if (plan->has_rule)
        fprintf(file, "  - { deny: [client1], to: [hosts/host2] }\n"
                      "expect:\n  - client1 can hosts/host1\n  - client1 cannot hosts/host2\n");
}

static int write_configuration(const struct demo_folder *folder, const struct demo_plan *plan,
                               const struct demo_hosts *hosts)
{
    FILE *file = fopen(folder->configuration, "wx");
    if (file == NULL)
        return weir_error_from_errno(errno);
    write_listener(file, plan);
    write_pool(file, plan, hosts);
    fprintf(file, "clients:\n");
    for (uint32_t n = 1; n <= plan->clients; n++)
        write_client(file, plan, n);
    write_policy(file, plan);
    return fclose(file) == 0 ? 0 : weir_error_from_errno(errno);
}

/* Certificates */

static int issue(struct pki *pki, bool server, const char *name, const char *address, struct pki_error *error)
{
    const struct pki_entry *entry;
    const struct pki_request request = {
        .server = server, .names = { &name, 1 }, .addresses = { &address, address != NULL ? 1 : 0 }, .days = DAYS
    };
    return pki_issue(pki, &request, &entry, error);
}

static int issue_all(struct pki *pki, const struct demo_plan *plan, struct pki_error *error)
{
    int err = issue(pki, true, "localhost", "127.0.0.1", error);
    if (err == 0)
        err = issue(pki, false, "guest", NULL, error);
    for (uint32_t n = 1; err == 0 && n <= plan->clients; n++) {
        char name[16];
        snprintf(name, sizeof name, "client%" PRIu32, n);
        err = issue(pki, false, name, NULL, error);
    }
    return err;
}

static int make_certificates(const struct demo_folder *folder, const struct demo_plan *plan)
{
    struct pki_error error;
    struct pki *pki = NULL;
    int64_t now_s = time(NULL);
    int err = pki_init(folder->path, now_s, PKI_CA_DAYS, &error);
    if (err == 0)
        err = pki_open(folder->path, now_s, &pki, &error);
    if (err == 0)
        err = issue_all(pki, plan, &error);
    if (err != 0)
        fprintf(stderr, "weir: %s\n", error.text);
    pki_close(&pki);
    return err;
}

/* The folder */

int demo_folder_make(const struct demo_plan *plan, const struct demo_hosts *hosts, struct demo_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/weir-demo-XXXXXX");
    if (mkdtemp(folder->path) == NULL) {
        folder->path[0] = '\0';
        return weir_error_from_errno(errno);
    }
    snprintf(folder->configuration, sizeof folder->configuration, "%s/weir.yaml", folder->path);
    int err = plan->tls ? make_certificates(folder, plan) : 0;
    return err == 0 ? write_configuration(folder, plan, hosts) : err;
}

void demo_folder_remove(struct demo_folder *folder)
{
    DIR *directory = folder->path[0] != '\0' ? opendir(folder->path) : NULL;
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(folder->path);
    folder->path[0] = '\0';
}
