/* test_buckets.c - buckets are what their definitions say, by a second implementation that looks at every moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket_world.h"

/* --- by hand ------------------------------------------------------------------------------------ */

static void add(struct history *h, int64_t second, const char *state)
{
    history_add(h, (struct truth_point){ .at = START_US + second * SECOND_US, .text = state, .unit = "W" });
}

static struct bucket one_bucket(struct world *w, struct history *h, enum series_class class, int64_t now_s)
{
    history_store(h, w->writer);
    commit(w);
    struct bucket_question q = { .from_us = START_US, .to_us = START_US + HOUR_US, .now_us = START_US + now_s * SECOND_US,
        .step = { .us = HOUR_US }, .class = class };
    struct bucket b;
    assert_int_equal(store_buckets(w->reader, 1, &q, keep_bucket, &b), STORE_OK);
    return b;
}

static void the_value_before_counts_and_the_mean_goes_by_time(void **state)
{
    struct history h = { .name = "sensor.a" };
    add(&h, -500, "10");
    add(&h, 900, "20");
    add(&h, 1800, "unavailable");
    add(&h, 2700, "40");
    struct bucket b = one_bucket(*state, &h, CLASS_AUTO, 7200);
    double mean;
    assert_int_equal(b.count, 2);
    assert_true(b.has_first && b.first == 10.0 && b.has_last && b.last == 40.0 && b.min == 10.0 && b.max == 40.0);
    assert_int_equal(b.value_us, 2700 * SECOND_US);
    assert_int_equal(b.unavailable_us, 900 * SECOND_US);
    assert_true(bucket_mean(&b, CLASS_PLAIN, &mean));
    assert_true(fabs(mean - 70.0 / 3) < 1e-12);
    assert_false(b.has_increase || b.is_open);
    history_clear(&h);
}

static void a_bucket_that_is_not_over_ends_now(void **state)
{
    struct history h = { .name = "sensor.a" };
    add(&h, 0, "10");
    struct bucket b = one_bucket(*state, &h, CLASS_AUTO, 600);
    assert_true(b.is_open && b.has_first);
    assert_int_equal(b.to, START_US + 600 * SECOND_US);
    assert_int_equal(b.value_us, 600 * SECOND_US);
    history_clear(&h);
}

static void a_counter_that_falls_far_was_reset_and_one_that_falls_a_little_waits(void **state)
{
    struct history h = { .name = "sensor.a" };
    static const char *const numbers[] = { "100", "110", "105", "109", "112", "5", "unknown", "9" };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add(&h, (int64_t)i * 60 - 60, numbers[i]);
    struct bucket b = one_bucket(*state, &h, CLASS_INCREASING, 7200);
    assert_true(b.has_increase);
    assert_float_equal(b.increase, 10.0 + 2.0 + 5.0 + 4.0, 1e-9);
    assert_int_equal(b.resets, 1);
    history_clear(&h);
}

/* --- by chance ------------------------------------------------------------------------------------- */

static void whatever_is_asked_of_samples_is_what_every_moment_says(void **state)
{
    struct world *w = *state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct history h;
        history_make(&h, seed);
        history_store(&h, w->writer);
        commit(w);
        for (int i = 0; i < 6; i++)
            history_check(&h, w->reader, (int64_t)seed);
        history_clear(&h);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_value_before_counts_and_the_mean_goes_by_time),
        T(a_bucket_that_is_not_over_ends_now),
        T(a_counter_that_falls_far_was_reset_and_one_that_falls_a_little_waits),
        T(whatever_is_asked_of_samples_is_what_every_moment_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
