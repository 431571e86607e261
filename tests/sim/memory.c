/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stddef.h>
#include <string.h>

static int64_t held;
static uint64_t denied, deny_skip, deny_count;
static bool is_aside;

/* The linker's names. NOLINTBEGIN(cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t members, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *memory);

void memory_reset(void)
{
    held = 0;
    denied = deny_skip = deny_count = 0;
    is_aside = false;
}

void memory_deny(uint64_t skip, uint64_t count)
{
    deny_skip = skip;
    deny_count = count;
}

void memory_aside(bool aside)
{
    is_aside = aside;
}

int64_t memory_held(void)
{
    return held;
}

uint64_t memory_denied(void)
{
    return denied;
}

static bool deny(void)
{
    if (deny_count == 0 || is_aside)
        return false;
    if (deny_skip > 0) {
        deny_skip--;
        return false;
    }
    deny_count--;
    denied++;
    return true;
}

static void *count(void *memory)
{
    held += memory != NULL && !is_aside;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return deny() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t members, size_t size)
{
    return deny() ? NULL : count(__real_calloc(members, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (deny())
        return NULL;
    return old == NULL ? count(__real_realloc(old, size)) : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return deny() ? NULL : count(__real_aligned_alloc(alignment, size));
}

char *__wrap_strndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = __wrap_malloc(length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

void __wrap_free(void *memory)
{
    held -= memory != NULL && !is_aside;
    __real_free(memory);
}
/* NOLINTEND(cert-dcl51-cpp) */
