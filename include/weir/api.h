/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_API_H
#define WEIR_API_H

/* Attributes that every public header uses. */

#define WEIR_API __attribute__((visibility("default")))
#define WEIR_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define WEIR_BEGIN_C extern "C" {
#define WEIR_END_C }
#else
#define WEIR_BEGIN_C
#define WEIR_END_C
#endif

#endif
