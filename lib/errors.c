/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/errors.h>

#include <errno.h>

const char *weir_strerror(int error)
{
    switch (error) {
#define WEIR_ERROR(name, value, text)                                                                                  \
    case (value):                                                                                                      \
        return (text);
#include <weir/errors.def>
#undef WEIR_ERROR
    default:
        return "unknown error";
    }
}

int weir_error_from_errno(int errno_value)
{
    switch (errno_value) {
    case ENOMEM:
        return WEIR_ENOMEM;
    case EINVAL:
        return WEIR_EINVAL;
    case ECANCELED:
        return WEIR_ECANCELED;
    case EAGAIN:
        return WEIR_EAGAIN;
    case EMFILE:
    case ENFILE:
        return WEIR_EMFILE;
    case ENOBUFS:
        return WEIR_ENOBUFS;
    case ECONNREFUSED:
        return WEIR_ECONNREFUSED;
    case ECONNRESET:
    case ECONNABORTED:
        return WEIR_ECONNRESET;
    case ETIMEDOUT:
        return WEIR_ETIMEDOUT;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
        return WEIR_EUNREACHABLE;
    case EADDRINUSE:
        return WEIR_EADDRINUSE;
    case EADDRNOTAVAIL:
        return WEIR_EADDRNOTAVAIL;
    case EACCES:
    case EPERM:
        return WEIR_EACCES;
    case EOPNOTSUPP:
    case ENOSYS:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return WEIR_ENOTSUP;
    case EPIPE:
        return WEIR_EPIPE;
    default:
        return WEIR_EIO;
    }
}
