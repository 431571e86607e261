/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_SIPHASH_H
#define LIB_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4: without the key nobody can find names that fall into the same bucket. */
uint64_t siphash(const uint64_t key[2], const void *bytes, size_t size);

#endif
