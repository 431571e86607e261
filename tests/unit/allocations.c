/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"

#include <stdarg.h>
#include <stddef.h>

/* The linker's --wrap=NAME sends every call of NAME to __wrap_NAME. */
#define WRAP(result, name, parameters, arguments, failure)                                                             \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        return fails() ? (failure) : __real_##name arguments;                                                          \
    }

static uint64_t left;

void allocations_fail_at(uint64_t n)
{
    left = n;
}

bool allocations_failed(void)
{
    return left == 0;
}

static bool fails(void)
{
    return left > 0 && --left == 0;
}

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL)
WRAP(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(int, vasprintf, (char **ret, const char *format, va_list arguments), (ret, format, arguments), -1)
WRAP(int, __vasprintf_chk, (char **ret, int flag, const char *format, va_list arguments),
     (ret, flag, format, arguments), -1)
