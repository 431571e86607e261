/* SPDX-License-Identifier: Apache-2.0 */
#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <weir/errors.h>

#include "failure.h"

#define FILE_BYTES_MAX (64u << 20) /* CRLs may be large */

static int refuse(const struct pem_file *file, const char *reason)
{
    return complain(file->complaints, file->setting, "%s: %s", file->path, reason);
}

/* Reading files */

static int read_bytes(int fd, struct pem_file *file)
{
    uint32_t size = 0;
    ssize_t part = 0;
    while (size < file->size) {
        part = read(fd, file->bytes + size, file->size - size);
        if (part == 0 || (part < 0 && errno != EINTR))
            break;
        size += part > 0 ? (uint32_t)part : 0;
    }
    file->size = size;
    return part < 0 ? refuse(file, strerror(errno)) : 0;
}

static int read_open_file(int fd, struct pem_file *file)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return refuse(file, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(file, "is not a regular file");
    if (status.st_size > (off_t)FILE_BYTES_MAX)
        return refuse(file, "is larger than 64 MiB");
    file->others_may_read = (status.st_mode & S_IROTH) != 0;
    file->size = (uint32_t)status.st_size;
    file->bytes = malloc(file->size + 1);
    return file->bytes == NULL ? WEIR_ENOMEM : read_bytes(fd, file);
}

int pem_read(struct pem_file *file)
{
    /* Not blocking: what is no regular file must not hold us. */
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return file->may_be_missing && errno == ENOENT ? 0 : refuse(file, strerror(errno));
    int err = read_open_file(fd, file);
    close(fd);
    if (err != 0)
        pem_free(file);
    return err;
}

void pem_free(struct pem_file *file)
{
    if (file->bytes != NULL)
        OPENSSL_cleanse(file->bytes, file->size);
    free(file->bytes);
    file->bytes = NULL;
}

/* Reading PEM */

/* A passphrase cannot be asked for: the callback notes that one is needed. */
static int no_passphrase(char *buffer, int size, int writing, void *argument)
{
    bool *needed = argument;
    (void)writing;
    if (size > 0)
        buffer[0] = '\0';
    *needed = true;
    return -1;
}

/* Why reading stopped: no further block, or a broken one. */
static bool at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int refuse_block(const struct pem_file *file, const char *what, int number)
{
    if (tls_ran_out_of_memory())
        return WEIR_ENOMEM;
    return complain(file->complaints, file->setting, "%s: %s %d in it cannot be read: %s", file->path, what, number,
                    tls_queued_reason());
}

static int read_certificates(BIO *bio, const struct pem_file *file, STACK_OF(X509) * certificates)
{
    X509 *certificate;
    bool unused;
    while ((certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, &unused)) != NULL) {
        if (sk_X509_push(certificates, certificate) == 0) {
            X509_free(certificate);
            return WEIR_ENOMEM;
        }
        if (sk_X509_num(certificates) > PEM_CERTIFICATES_MAX)
            return refuse(file, "holds more than 1000 certificates");
    }
    if (!at_end())
        return refuse_block(file, "certificate", sk_X509_num(certificates) + 1);
    if (sk_X509_num(certificates) == 0)
        return refuse(file, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    return 0;
}

int pem_certificates(const struct pem_file *file, STACK_OF(X509) * *ret_certificates)
{
    ERR_clear_error();
    STACK_OF(X509) *certificates = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->size);
    int err = certificates == NULL || bio == NULL ? WEIR_ENOMEM : read_certificates(bio, file, certificates);
    if (err == 0)
        *ret_certificates = certificates;
    else
        sk_X509_pop_free(certificates, X509_free);
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static int read_crls(BIO *bio, const struct pem_file *file, STACK_OF(X509_CRL) * crls)
{
    X509_CRL *crl;
    bool unused;
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, &unused)) != NULL) {
        if (sk_X509_CRL_push(crls, crl) == 0) {
            X509_CRL_free(crl);
            return WEIR_ENOMEM;
        }
    }
    if (!at_end())
        return refuse_block(file, "CRL", sk_X509_CRL_num(crls) + 1);
    if (sk_X509_CRL_num(crls) == 0)
        return refuse(file, "holds no CRL in PEM form (-----BEGIN X509 CRL-----)");
    return 0;
}

int pem_crls(const struct pem_file *file, STACK_OF(X509_CRL) * *ret_crls)
{
    ERR_clear_error();
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->size);
    int err = crls == NULL || bio == NULL ? WEIR_ENOMEM : read_crls(bio, file, crls);
    if (err == 0)
        *ret_crls = crls;
    else
        sk_X509_CRL_pop_free(crls, X509_CRL_free);
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static int refuse_key(const struct pem_file *file, bool needs_passphrase)
{
    static const char mark[] = "PRIVATE KEY-----";
    if (needs_passphrase)
        return refuse(file, "the key has a passphrase, which Weir cannot ask for; store it without one");
    if (memmem(file->bytes, file->size, mark, sizeof mark - 1) == NULL)
        return refuse(file, "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
    return refuse_block(file, "private key", 1);
}

int pem_key(const struct pem_file *file, EVP_PKEY **ret_key)
{
    bool needs_passphrase = false;
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(file->bytes, (int)file->size);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &needs_passphrase);
    int err = 0;
    if (key != NULL)
        *ret_key = key;
    else
        err = bio == NULL ? WEIR_ENOMEM : refuse_key(file, needs_passphrase);
    BIO_free(bio);
    ERR_clear_error();
    return err;
}
