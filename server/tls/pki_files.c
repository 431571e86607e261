/* SPDX-License-Identifier: Apache-2.0 */
#include "pki_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/errors.h>

int pki_fail(struct pki_error *error, int err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    /* It quotes what people give us, and goes to a terminal. */
    for (char *at = error->text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    return err;
}

int pki_fail_errno(struct pki_error *error, const char *folder, const char *name, const char *what)
{
    int number = errno;
    return pki_fail(error, weir_error_from_errno(number), "%s%s%s: cannot %s: %s", folder, name[0] != '\0' ? "/" : "",
                    name, what, strerror(number));
}

/* A temporary name that exists was left by a run that was killed: the lock is ours. */
static FILE *create(const struct pki_file *file, mode_t mode)
{
    unlinkat(file->folder, file->temporary, 0);
    int fd = openat(file->folder, file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return NULL;
    /* The mode is this one, whatever the umask is. */
    FILE *stream = fchmod(fd, mode) == 0 ? fdopen(fd, "w") : NULL;
    if (stream == NULL)
        close(fd);
    return stream;
}

int pki_file_write(int folder, const char *folder_name, const char *name, mode_t mode,
                   int (*put)(FILE *stream, const void *content), const void *content, struct pki_file *ret_file,
                   struct pki_error *error)
{
    struct pki_file file = { .folder = folder, .folder_name = folder_name, .waits = true };
    snprintf(file.name, sizeof file.name, "%s", name);
    snprintf(file.temporary, sizeof file.temporary, ".%s.new", name);
    FILE *stream = create(&file, mode);
    bool written = stream != NULL && put(stream, content) == 1 && fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    int err = written ? 0 : pki_fail_errno(error, folder_name, name, "write");
    if (stream != NULL)
        fclose(stream);
    if (err == 0)
        *ret_file = file;
    else
        pki_file_drop(&file);
    return err;
}

int pki_file_replace(struct pki_file *file, struct pki_error *error)
{
    int err = 0;
    if (renameat(file->folder, file->temporary, file->folder, file->name) == 0)
        file->waits = false;
    else
        err = pki_fail_errno(error, file->folder_name, file->name, "write");
    pki_file_drop(file);
    return err;
}

/* A second name, then not the first any more: unlike a rename this never takes the place of what is there. */
int pki_file_add(struct pki_file *file, struct pki_error *error)
{
    int err = 0;
    if (linkat(file->folder, file->temporary, file->folder, file->name, 0) != 0)
        err = pki_fail_errno(error, file->folder_name, file->name, "create");
    pki_file_drop(file);
    return err;
}

void pki_file_drop(struct pki_file *file)
{
    if (file->waits)
        unlinkat(file->folder, file->temporary, 0);
    file->waits = false;
}

static int check_secret(int fd, const char *folder_name, const char *name, struct pki_error *error)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return pki_fail_errno(error, folder_name, name, "read");
    if ((about.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return 0;
    return pki_fail(error, WEIR_EACCES, "%s/%s is open to others (mode %04o): make a new CA, or chmod 600 it",
                    folder_name, name, about.st_mode & 07777);
}

int pki_file_open(int folder, const char *folder_name, const char *name, bool secret, FILE **ret_stream,
                  struct pki_error *error)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return pki_fail_errno(error, folder_name, name, "read");
    int err = secret ? check_secret(fd, folder_name, name, error) : 0;
    FILE *stream = err == 0 ? fdopen(fd, "r") : NULL;
    if (stream == NULL) {
        close(fd);
        return err != 0 ? err : pki_fail_errno(error, folder_name, name, "read");
    }
    *ret_stream = stream;
    return 0;
}
