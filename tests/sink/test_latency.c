/* test_latency.c - percentiles are near the truth, and of late. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "latency.h"

static void nothing_is_told_before_anything_is_known(void **state)
{
    struct latency latency = { 0 };
    int64_t us;
    (void)state;
    assert_false(latency_tell(&latency, 50, &us));
}

static void a_percentile_is_at_most_an_eighth_above_the_truth(void **state)
{
    (void)state;
    for (int64_t scale = 1; scale < 100000000; scale *= 7) {
        struct latency latency = { 0 };
        int64_t p50, p99;
        for (int64_t i = 1; i <= 1000; i++)
            latency_add(&latency, i * scale);
        assert_true(latency_tell(&latency, 50, &p50) && latency_tell(&latency, 99, &p99));
        if (990 * scale > INT64_C(30000000000))
            continue; /* hours: beyond the last bin */
        assert_true(p50 >= 500 * scale && p50 <= 500 * scale * 9 / 8);
        assert_true(p99 >= 990 * scale && p99 <= 990 * scale * 9 / 8);
    }
}

static void what_is_extreme_finds_a_place(void **state)
{
    struct latency latency = { 0 };
    int64_t us;
    (void)state;
    latency_add(&latency, -5);
    assert_true(latency_tell(&latency, 99, &us));
    assert_int_equal(us, 0);
    latency_add(&latency, INT64_MAX);
    latency_add(&latency, INT64_MAX);
    assert_true(latency_tell(&latency, 99, &us));
    assert_true(us > 0);
}

static void what_is_old_goes_by_number_and_by_time(void **state)
{
    struct latency latency = { 0 };
    int64_t us;
    (void)state;
    latency_turn(&latency, 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LATENCY_ROWS; i++)
            latency_add(&latency, round == 0 ? 1000000 : 8);
        latency_turn(&latency, 2 + round);
    }
    assert_true(latency_tell(&latency, 99, &us));
    assert_int_equal(us, 8);
    latency_turn(&latency, 10 + LATENCY_US);
    latency_turn(&latency, 10 + 2 * (int64_t)LATENCY_US);
    assert_false(latency_tell(&latency, 99, &us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_before_anything_is_known),
        cmocka_unit_test(a_percentile_is_at_most_an_eighth_above_the_truth),
        cmocka_unit_test(what_is_extreme_finds_a_place),
        cmocka_unit_test(what_is_old_goes_by_number_and_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
