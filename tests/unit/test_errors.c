/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include <weir/errors.h>

static const int all[] = {
#define WEIR_ERROR(name, value, text) WEIR_##name,
#include <weir/errors.def>
#undef WEIR_ERROR
};
#define ALL (sizeof all / sizeof *all)

static void every_error_is_negative_and_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        assert_true(all[i] < 0);
        assert_string_not_equal(weir_strerror(all[i]), "unknown error");
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(weir_strerror(all[i]), weir_strerror(all[j]));
    }
}

static void other_numbers_are_unknown_errors(void **state)
{
    (void)state;
    assert_string_equal(weir_strerror(0), "unknown error");
    assert_string_equal(weir_strerror(1), "unknown error");
    assert_string_equal(weir_strerror(-1000000), "unknown error");
}

static void errno_values_become_errors(void **state)
{
    (void)state;
    static const struct {
        int errno_value, error;
    } pairs[] = {
        { ENOMEM, WEIR_ENOMEM },
        { EINVAL, WEIR_EINVAL },
        { ECANCELED, WEIR_ECANCELED },
        { EAGAIN, WEIR_EAGAIN },
        { EWOULDBLOCK, WEIR_EAGAIN },
        { EMFILE, WEIR_EMFILE },
        { ENFILE, WEIR_EMFILE },
        { ENOBUFS, WEIR_ENOBUFS },
        { ECONNREFUSED, WEIR_ECONNREFUSED },
        { ECONNRESET, WEIR_ECONNRESET },
        { ETIMEDOUT, WEIR_ETIMEDOUT },
        { EHOSTUNREACH, WEIR_EUNREACHABLE },
        { ENETUNREACH, WEIR_EUNREACHABLE },
        { EADDRINUSE, WEIR_EADDRINUSE },
        { EADDRNOTAVAIL, WEIR_EADDRNOTAVAIL },
        { EACCES, WEIR_EACCES },
        { EPERM, WEIR_EACCES },
        { ENOSYS, WEIR_ENOTSUP },
        { EPIPE, WEIR_EPIPE },
        { EIO, WEIR_EIO },
        { EXDEV, WEIR_EIO },
        { 0, WEIR_EIO },
        { 1000000, WEIR_EIO },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_int_equal(weir_error_from_errno(pairs[i].errno_value), pairs[i].error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_is_negative_and_has_a_sentence_of_its_own),
        cmocka_unit_test(other_numbers_are_unknown_errors),
        cmocka_unit_test(errno_values_become_errors),
    };
    return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
