/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../lib/siphash.h"

/* The vector of the paper: key 00..0f, input 00..0e. */
static void it_gives_what_the_paper_gives(void **state)
{
    (void)state;
    static const uint64_t key[2] = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
    uint8_t input[15];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)i;
    assert_true(siphash(key, input, sizeof input) == UINT64_C(0xa129ca6149be45e5));
    assert_true(siphash(key, input, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(key, input, 8) == UINT64_C(0x93f5f5799a932462));
}

static void every_bit_of_key_and_input_counts(void **state)
{
    (void)state;
    static const uint64_t key[2] = { 1, 2 };
    uint8_t input[32] = { 0 };
    uint64_t hash = siphash(key, input, sizeof input);
    for (int bit = 0; bit < 256; bit++) {
        input[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(siphash(key, input, sizeof input) != hash);
        input[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int bit = 0; bit < 128; bit++) {
        uint64_t other[2] = { key[0], key[1] };
        other[bit / 64] ^= UINT64_C(1) << bit % 64;
        assert_true(siphash(other, input, sizeof input) != hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_what_the_paper_gives),
        cmocka_unit_test(every_bit_of_key_and_input_counts),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
