/* SPDX-License-Identifier: Apache-2.0 */
#include "admin_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../base/log.h"

#define BACKLOG 16

static int fail(const char *path, int err, const char *hint)
{
    log_error("cannot open the admin socket", LOG_STR("socket", path), LOG_STR("error", weir_strerror(err)),
              LOG_STR("hint", hint));
    return err;
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The mode is that of the file's birth: no moment in which others could connect. */
static int bind_privately(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0177);
    int result = bind(fd, (const struct sockaddr *)address, sizeof *address);
    umask(before);
    return result == 0 ? 0 : -errno;
}

/* Only a refusal proves that nobody is behind the file: a full queue, for one, is no refusal. */
static bool is_dead(const struct sockaddr_un *address)
{
    int fd = unix_socket();
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead;
}

/* Returns 0 or -errno; *ret_hint may be set. */
static int bind_or_replace(int fd, const struct sockaddr_un *address, const char **ret_hint)
{
    struct stat file;
    int err = bind_privately(fd, address);
    if (err == -ENOENT)
        *ret_hint = "make the folder first";
    if (err != -EADDRINUSE || lstat(address->sun_path, &file) != 0)
        return err;
    if (!S_ISSOCK(file.st_mode)) {
        *ret_hint = "a file that is no socket is in the way";
        return err;
    }
    if (!is_dead(address)) {
        *ret_hint = "another process answers there: is Weir running already?";
        return err;
    }
    return unlink(address->sun_path) == 0 ? bind_privately(fd, address) : -errno;
}

int admin_socket_open(const char *path, struct admin_socket *ret_socket)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat file = { 0 };
    const char *hint = NULL;
    if (strlen(path) >= sizeof address.sun_path)
        return fail(path, WEIR_EINVAL, "a socket's path has at most 107 bytes");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = unix_socket();
    int err = fd < 0 ? -errno : bind_or_replace(fd, &address, &hint);
    bool bound = err == 0;
    if (bound && (listen(fd, BACKLOG) != 0 || lstat(path, &file) != 0))
        err = -errno;
    if (err == 0) {
        *ret_socket = (struct admin_socket){ .path = path, .device = file.st_dev, .inode = file.st_ino };
        return fd;
    }
    if (bound)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return fail(path, weir_error_from_errno(-err), hint);
}

void admin_socket_remove(struct admin_socket *socket)
{
    struct stat file;
    if (socket->path != NULL && lstat(socket->path, &file) == 0 && file.st_dev == socket->device &&
        file.st_ino == socket->inode)
        unlink(socket->path);
    socket->path = NULL;
}
