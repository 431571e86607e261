/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/errors.h>

#include "backend.h"

/* What a pipe holds, if the kernel grants it. */
#define PIPE_BYTES (1 << 20)
/* With less room, copying is as good: the kernel gives such pipes to users who have very many. */
#define PIPE_BYTES_MIN (64 << 10)

struct weir_pipe *weir_pipe_open(struct weir_loop *loop)
{
    if (loop->backend->pipe_open == NULL || loop->pipes >= loop->pipes_max)
        return NULL;
    struct weir_pipe *pipe = calloc(1, sizeof *pipe);
    if (pipe != NULL && loop->backend->pipe_open(loop, pipe) != 0) {
        free(pipe);
        return NULL;
    }
    loop->pipes += pipe != NULL;
    return pipe;
}

void weir_pipe_close(struct weir_loop *loop, struct weir_pipe **ppipe)
{
    struct weir_pipe *pipe = *ppipe;
    if (pipe == NULL)
        return;
    assert(loop->pipes > 0);
    loop->pipes--;
    loop->backend->pipe_close(loop, pipe);
    free(pipe);
    *ppipe = NULL;
}

/* Of both kernel backends */

void pipe_close(struct weir_loop *loop, struct weir_pipe *pipe)
{
    (void)loop;
    close(pipe->ends[0]);
    close(pipe->ends[1]);
}

int pipe_open(struct weir_loop *loop, struct weir_pipe *pipe)
{
    if (pipe2(pipe->ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return weir_error_from_errno(errno);
    fcntl(pipe->ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    if (fcntl(pipe->ends[1], F_GETPIPE_SZ) >= PIPE_BYTES_MIN)
        return 0;
    pipe_close(loop, pipe);
    return WEIR_ENOBUFS;
}

static int move(int from, int to, size_t size)
{
    ssize_t moved = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return moved < 0 ? weir_error_from_errno(errno) : (int)moved;
}

int pipe_fill(const struct weir_pipe *pipe, int fd)
{
    return move(fd, pipe->ends[1], PIPE_BYTES);
}

int pipe_drain(const struct weir_pipe *pipe, int fd)
{
    int moved = move(pipe->ends[0], fd, pipe->size);
    return moved != 0 ? moved : WEIR_EIO;
}
