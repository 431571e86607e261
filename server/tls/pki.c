/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <weir/errors.h>

#include "library.h"
#include "pki_files.h"
#include "pki_names.h"
#include "pki_x509.h"

#define DAY_S INT64_C(86400)
#define CA_CERTIFICATE "ca.crt"
#define CA_KEY "ca.key"
#define CRL "ca.crl"
#define INDEX "index"
#define MODE_SECRET 0600
#define MODE_PUBLIC 0644

struct pki {
    char *folder_name;
    int folder;
    int64_t now_s;
    struct pki_pair ca;
    struct pki_index index;
};

static int no_memory(struct pki_error *error)
{
    return pki_fail(error, WEIR_ENOMEM, "out of memory");
}

/* Writing: each file is filled in by one of these; returns 1 when OpenSSL could. */

static int put_certificate(FILE *stream, const void *certificate)
{
    return PEM_write_X509(stream, (X509 *)certificate);
}

static int put_key(FILE *stream, const void *key)
{
    return PEM_write_PKCS8PrivateKey(stream, (EVP_PKEY *)key, NULL, NULL, 0, NULL, NULL);
}

static int put_crl(FILE *stream, const void *crl)
{
    return PEM_write_X509_CRL(stream, (X509_CRL *)crl);
}

static int put_index(FILE *stream, const void *index)
{
    pki_index_write(stream, index);
    return 1;
}

static int write_file(const struct pki *pki, const char *name, mode_t mode,
                      int (*put)(FILE *stream, const void *content), const void *content, struct pki_file *ret_file,
                      struct pki_error *error)
{
    return pki_file_write(pki->folder, pki->folder_name, name, mode, put, content, ret_file, error);
}

static int replace_file(const struct pki *pki, const char *name, mode_t mode,
                        int (*put)(FILE *stream, const void *content), const void *content, struct pki_error *error)
{
    struct pki_file file;
    int err = write_file(pki, name, mode, put, content, &file, error);
    return err == 0 ? pki_file_replace(&file, error) : err;
}

static int write_index(const struct pki *pki, struct pki_error *error)
{
    return replace_file(pki, INDEX, MODE_SECRET, put_index, &pki->index, error);
}

static int check_days(uint32_t days, struct pki_error *error)
{
    if (days >= 1 && days <= PKI_DAYS_MAX)
        return 0;
    return pki_fail(error, WEIR_EINVAL, "%u days: give 1 to %u", days, PKI_DAYS_MAX);
}

int pki_write_crl(struct pki *pki, uint32_t days, struct pki_error *error)
{
    int err = check_days(days, error);
    if (err != 0)
        return err;
    X509_CRL *crl = pki_crl_new(&pki->ca, &pki->index, pki->now_s, days);
    if (crl == NULL)
        return no_memory(error);
    err = replace_file(pki, CRL, MODE_PUBLIC, put_crl, crl, error);
    X509_CRL_free(crl);
    return err;
}

/* Making a CA: in a new folder beside the wanted one, whose place it takes when it is complete. */

static int fill_folder(struct pki *pki, uint32_t days, struct pki_error *error)
{
    if (pki_pair_new_ca(pki->now_s, days, &pki->ca) != 0)
        return no_memory(error);
    int err = replace_file(pki, CA_KEY, MODE_SECRET, put_key, pki->ca.key, error);
    if (err == 0)
        err = replace_file(pki, CA_CERTIFICATE, MODE_PUBLIC, put_certificate, pki->ca.certificate, error);
    if (err == 0)
        err = write_index(pki, error);
    return err == 0 ? pki_write_crl(pki, PKI_CRL_DAYS, error) : err;
}

static void remove_folder(int folder, const char *name)
{
    static const char *const files[] = { CA_KEY, CA_CERTIFICATE, CRL, INDEX };
    for (size_t n = 0; n < sizeof files / sizeof files[0]; n++)
        unlinkat(folder, files[n], 0);
    rmdir(name);
}

static int place_folder(const char *made, const char *folder, struct pki_error *error)
{
    if (rename(made, folder) == 0)
        return 0;
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR || errno == EBUSY)
        return pki_fail(error, WEIR_EACCES, "%s exists and is not replaced; give another folder with --dir", folder);
    return pki_fail_errno(error, folder, "", "create");
}

static int make_folder(struct pki *pki, const char *made, uint32_t days, struct pki_error *error)
{
    pki->folder = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pki->folder < 0)
        return pki_fail_errno(error, made, "", "open");
    int err = fill_folder(pki, days, error);
    if (err == 0)
        err = place_folder(made, pki->folder_name, error);
    if (err != 0)
        remove_folder(pki->folder, made);
    return err;
}

static struct pki *new_pki(const char *folder, int64_t now_s)
{
    struct pki *pki = tls_library_start() != 0 ? NULL : calloc(1, sizeof *pki);
    if (pki == NULL)
        return NULL;
    pki->now_s = now_s;
    pki->folder = -1;
    pki->folder_name = strdup(folder);
    if (pki->folder_name == NULL)
        pki_close(&pki);
    else
        for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/'; end--)
            pki->folder_name[end - 1] = '\0';
    return pki;
}

static char *temporary_name(const char *name)
{
    char *text = NULL;
    return asprintf(&text, "%s.XXXXXX", name) < 0 ? NULL : text;
}

int pki_init(const char *folder, int64_t now_s, uint32_t days, struct pki_error *error)
{
    int err = check_days(days, error);
    if (err != 0)
        return err;
    struct pki *pki = new_pki(folder, now_s);
    char *made = pki != NULL ? temporary_name(pki->folder_name) : NULL;
    if (made == NULL)
        err = no_memory(error);
    else if (mkdtemp(made) == NULL)
        err = pki_fail_errno(error, pki->folder_name, "", "create");
    else
        err = make_folder(pki, made, days, error);
    free(made);
    pki_close(&pki);
    return err;
}

/* Opening */

static int open_folder(struct pki *pki, struct pki_error *error)
{
    struct stat about;
    pki->folder = open(pki->folder_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_there = pki->folder >= 0 ? faccessat(pki->folder, CA_CERTIFICATE, F_OK, 0) == 0 : errno != ENOENT;
    if (!is_there)
        return pki_fail(error, WEIR_EIO, "there is no CA in %s; make one: weir pki init --dir %s", pki->folder_name,
                        pki->folder_name);
    if (pki->folder < 0 || fstat(pki->folder, &about) != 0 || flock(pki->folder, LOCK_EX) != 0)
        return pki_fail_errno(error, pki->folder_name, "", "open");
    if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return pki_fail(error, WEIR_EACCES, "%s can be written by others (mode %04o); chmod 700 it", pki->folder_name,
                        about.st_mode & 07777);
    return 0;
}

static int read_ca(struct pki *pki, struct pki_error *error)
{
    FILE *stream = NULL;
    int err = pki_file_open(pki->folder, pki->folder_name, CA_CERTIFICATE, false, &stream, error);
    if (err != 0)
        return err;
    pki->ca.certificate = PEM_read_X509(stream, NULL, NULL, NULL);
    fclose(stream);
    err = pki_file_open(pki->folder, pki->folder_name, CA_KEY, true, &stream, error);
    if (err != 0)
        return err;
    /* An empty passphrase instead of a question on the terminal. */
    pki->ca.key = PEM_read_PrivateKey(stream, NULL, NULL, (void *)"");
    fclose(stream);
    if (pki->ca.certificate == NULL || pki->ca.key == NULL ||
        X509_check_private_key(pki->ca.certificate, pki->ca.key) != 1)
        return pki_fail(error, WEIR_EIO, "%s/ca.crt and ca.key are no certificate and its key", pki->folder_name);
    return 0;
}

static int read_index(struct pki *pki, struct pki_error *error)
{
    FILE *stream = NULL;
    uint32_t line = 0;
    int err = pki_file_open(pki->folder, pki->folder_name, INDEX, false, &stream, error);
    if (err != 0)
        return err;
    err = pki_index_read(stream, &pki->index, &line);
    fclose(stream);
    if (err == WEIR_EIO)
        pki_fail(error, err, "%s/index:%u: not as weir pki writes it", pki->folder_name, line);
    return err == WEIR_ENOMEM ? no_memory(error) : err;
}

int pki_open(const char *folder, int64_t now_s, struct pki **ret_pki, struct pki_error *error)
{
    struct pki *pki = new_pki(folder, now_s);
    if (pki == NULL)
        return no_memory(error);
    int err = open_folder(pki, error);
    if (err == 0)
        err = read_ca(pki, error);
    if (err == 0)
        err = read_index(pki, error);
    if (err == 0)
        *ret_pki = pki;
    else
        pki_close(&pki);
    return err;
}

void pki_close(struct pki **ppki)
{
    struct pki *pki = *ppki;
    if (pki == NULL)
        return;
    if (pki->folder >= 0)
        close(pki->folder);
    pki_pair_free(&pki->ca);
    pki_index_free(&pki->index);
    free(pki->folder_name);
    free(pki);
    *ppki = NULL;
}

/* Issuing */

static int check_request(const struct pki *pki, const struct pki_request *request, uint32_t days,
                         struct pki_error *error)
{
    int err = pki_names_check(request, error);
    if (err == 0)
        err = check_days(days, error);
    if (err != 0)
        return err;
    int64_t left = (pki_ca_expires(pki) - pki->now_s) / DAY_S;
    if (left < 1)
        return pki_fail(error, WEIR_EIO, "the CA in %s has expired; make a new one in another folder",
                        pki->folder_name);
    if (days > left)
        return pki_fail(error, WEIR_EINVAL, "a certificate cannot outlive its CA; give --days %lld or less",
                        (long long)left);
    return 0;
}

static int check_free(const struct pki *pki, const char *name, const char *suffix, struct pki_error *error)
{
    char file[PKI_NAME_MAX + 8];
    struct stat about;
    snprintf(file, sizeof file, "%s%s", name, suffix);
    if (fstatat(pki->folder, file, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    return pki_fail(error, WEIR_EACCES, "%s/%s exists and is not overwritten; move it away first", pki->folder_name,
                    file);
}

static int record(struct pki *pki, const struct pki_pair *pair, const struct pki_request *request,
                  struct pki_error *error)
{
    struct pki_entry entry = { .server = request->server };
    snprintf(entry.name, sizeof entry.name, "%s", request->names.at[0]);
    entry.expires_s = pki_time(X509_get0_notAfter(pair->certificate));
    if (pki_serial_format(pair->certificate, entry.serial) != 0 || pki_index_add(&pki->index, &entry) != 0)
        return no_memory(error);
    int err = write_index(pki, error);
    if (err != 0)
        pki->index.count--;
    return err;
}

static int add_both(struct pki_file *key, struct pki_file *certificate, struct pki_error *error)
{
    int err = pki_file_add(key, error);
    if (err == 0)
        err = pki_file_add(certificate, error);
    else
        pki_file_drop(certificate);
    return err;
}

/* Both files are written before the index, which is before both appear. */
static int write_pair(struct pki *pki, const struct pki_pair *pair, const struct pki_request *request,
                      struct pki_error *error)
{
    char key_name[PKI_NAME_MAX + 8], certificate_name[PKI_NAME_MAX + 8];
    struct pki_file key = { 0 }, certificate = { 0 };
    snprintf(key_name, sizeof key_name, "%s.key", request->names.at[0]);
    snprintf(certificate_name, sizeof certificate_name, "%s.crt", request->names.at[0]);
    int err = write_file(pki, key_name, MODE_SECRET, put_key, pair->key, &key, error);
    if (err == 0)
        err = write_file(pki, certificate_name, MODE_PUBLIC, put_certificate, pair->certificate, &certificate, error);
    if (err == 0)
        err = record(pki, pair, request, error);
    if (err == 0)
        return add_both(&key, &certificate, error);
    pki_file_drop(&certificate);
    pki_file_drop(&key);
    return err;
}

int pki_issue(struct pki *pki, const struct pki_request *request, const struct pki_entry **ret_entry,
              struct pki_error *error)
{
    uint32_t days = request->days;
    if (days == 0)
        days = request->server ? PKI_SERVER_DAYS : PKI_CLIENT_DAYS;
    struct pki_pair pair;
    int err = check_request(pki, request, days, error);
    if (err == 0)
        err = check_free(pki, request->names.at[0], ".crt", error);
    if (err == 0)
        err = check_free(pki, request->names.at[0], ".key", error);
    if (err != 0)
        return err;
    if (pki_pair_new(&pki->ca, request, pki->now_s, days, &pair) != 0)
        return no_memory(error);
    err = write_pair(pki, &pair, request, error);
    pki_pair_free(&pair);
    if (err == 0)
        *ret_entry = &pki->index.entries[pki->index.count - 1];
    return err;
}

/* Revoking */

int pki_revoke(struct pki *pki, const char *name, uint32_t *ret_count, struct pki_error *error)
{
    uint32_t found = 0, count = 0;
    for (uint32_t n = 0; n < pki->index.count; n++) {
        struct pki_entry *entry = &pki->index.entries[n];
        if (strcasecmp(entry->name, name) != 0 && strcasecmp(entry->serial, name) != 0)
            continue;
        found++;
        count += entry->revoked_s == 0;
        entry->revoked_s = entry->revoked_s == 0 ? pki->now_s : entry->revoked_s;
    }
    if (found == 0)
        return pki_fail(error, WEIR_EINVAL, "\"%.80s\" is the name of no certificate; `weir pki list` shows them",
                        name);
    int err = write_index(pki, error);
    if (err == 0)
        err = pki_write_crl(pki, PKI_CRL_DAYS, error);
    if (err == 0)
        *ret_count = count;
    return err;
}

/* For readers */

uint32_t pki_entry_count(const struct pki *pki)
{
    return pki->index.count;
}

const struct pki_entry *pki_entry(const struct pki *pki, uint32_t index)
{
    return &pki->index.entries[index];
}

int64_t pki_ca_expires(const struct pki *pki)
{
    return pki_time(X509_get0_notAfter(pki->ca.certificate));
}

int64_t pki_crl_expires(const struct pki *pki)
{
    struct pki_error error;
    FILE *stream = NULL;
    if (pki_file_open(pki->folder, pki->folder_name, CRL, false, &stream, &error) != 0)
        return 0;
    X509_CRL *crl = PEM_read_X509_CRL(stream, NULL, NULL, NULL);
    int64_t expires_s = crl != NULL ? pki_time(X509_CRL_get0_nextUpdate(crl)) : 0;
    fclose(stream);
    X509_CRL_free(crl);
    return expires_s;
}
