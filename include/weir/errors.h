/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_ERRORS_H
#define WEIR_ERRORS_H

#include <weir/api.h>

WEIR_BEGIN_C

/* Functions that can fail return 0 or one of these; all are negative. */
enum weir_error {
#define WEIR_ERROR(name, value, text) WEIR_##name = (value),
#include <weir/errors.def>
#undef WEIR_ERROR
};

/* The sentence for an error code, without a full stop; "unknown error" for any other number.
 * Any thread. The text is static. */
WEIR_API const char *weir_strerror(int error);

/* The code for an errno value (positive); WEIR_EIO for one that has no own code. Any thread. */
WEIR_API int weir_error_from_errno(int errno_value);

WEIR_END_C

#endif
