/* test_meter.c - closed traces: where a step must be found, and where there is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "meter.h"

#define SECOND INT64_C(1000000)
#define BEGIN (INT64_C(1767225600) * SECOND)

enum { FOUND_MAX = 64 };

struct trace {
    struct meter meter;
    struct meter_options options;
    struct step found[FOUND_MAX];
    int64_t at_us, every_us;
    uint64_t random;
    double noise_w;
    int count;
};

static struct trace trace_of(const char *entity, double every_s, double noise_w)
{
    struct trace t = { .options = { 10, 10 * SECOND }, .at_us = BEGIN, .every_us = (int64_t)(every_s * 1e6), .random = 7, .noise_w = noise_w };
    strcpy(t.meter.entity, entity);
    return t;
}

/* Twelve uniform numbers less six are as good as normal, and at most 6 deviations away. */
static double noise(struct trace *t)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        t->random = t->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        sum += (double)(t->random >> 40) / (double)(1 << 24);
    }
    return sum * t->noise_w;
}

static void say(struct trace *t, double w)
{
    struct step step;
    while (meter_due(&t->meter) && meter_due(&t->meter) <= t->at_us)
        if (meter_pass(&t->meter, &t->options, t->at_us, &step) && t->count < FOUND_MAX)
            t->found[t->count++] = step;
    if (meter_sample(&t->meter, &t->options, (struct sample){ t->at_us, w + noise(t) }, &step) && t->count < FOUND_MAX)
        t->found[t->count++] = step;
    t->at_us += t->every_us;
}

static void hold(struct trace *t, double w, int samples)
{
    while (samples-- > 0)
        say(t, w);
}

static void assert_near(double is, double should, double within)
{
    if (fabs(is - should) > within)
        fail_msg("%g is not %g", is, should);
}

static void assert_step(const struct trace *t, int index, double delta_w, double within_w, int64_t at_us)
{
    const struct step *step = &t->found[index];
    assert_true(index < t->count);
    assert_near(step->after_w - step->before_w, delta_w, within_w);
    assert_true(step->from_us < at_us && at_us <= step->to_us);
}

static void sixty_watts_are_found_among_five_of_noise_at_each_second(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct trace t = trace_of("_smartmeter.power_w", 1, 5);
        t.random = seed * 977;
        hold(&t, 400, 120);
        int64_t on = t.at_us;
        hold(&t, 460, 120);
        int64_t off = t.at_us;
        hold(&t, 400, 120);
        assert_int_equal(t.count, 2);
        assert_step(&t, 0, 60, 15, on);
        assert_step(&t, 1, -60, 15, off);
    }
}

static void ten_watts_of_a_hundred_are_a_step_and_a_bit_less_is_none(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 0);
    hold(&t, 100, 20);
    hold(&t, 109.9, 20);
    assert_int_equal(t.count, 0);
    t = trace_of("_smartmeter.power_w", 1, 0);
    hold(&t, 100, 20);
    hold(&t, 110, 20);
    assert_int_equal(t.count, 1);
    assert_near(t.found[0].after_w - t.found[0].before_w, 10, 1e-9);
    assert_near(t.found[0].before_w, 100, 1e-9);
}

static void slower_samples_say_between_which_two_of_them_it_happened(void **state)
{
    (void)state;
    static const double seconds[] = { 2, 10, 30, 60 };
    for (size_t i = 0; i < 4; i++) {
        struct trace t = trace_of("sensor.house_power", seconds[i], 2);
        hold(&t, 400, 40);
        int64_t on = t.at_us - t.every_us / 2; /* between two samples */
        hold(&t, 480, 40);
        assert_int_equal(t.count, 1);
        assert_step(&t, 0, 80, 10, on);
        assert_true(t.found[0].to_us - t.found[0].from_us <= t.every_us);
    }
}

static void the_sun_rising_and_clouds_are_no_steps(void **state)
{
    (void)state;
    static const double slopes[] = { 0.2, 1, 2, 3, 4, 5, 8, 20, 60 };
    int homes = 0, steps = 0;
    for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++)
        for (double noise_w = 0; noise_w < 6; noise_w += 2.5, homes++) {
            struct trace t = trace_of("_smartmeter.power_w", 1, noise_w);
            hold(&t, 2000, 60);
            for (int s = 0; s < 60; s++)
                say(&t, 2000 - slopes[i] * s);
            hold(&t, 2000 - slopes[i] * 60, 60);
            steps += t.count;
        }
    assert_int_equal(homes, 27);
    assert_true(steps <= 2); /* a ramp within noise may look like a step, one time in twenty */
}

static void a_step_upon_a_ramp_is_found_and_is_no_larger_than_it_is(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 1);
    for (int s = 0; s < 60; s++)
        say(&t, 2000 - s);
    int64_t on = t.at_us;
    for (int s = 60; s < 120; s++)
        say(&t, 2060 - s);
    assert_int_equal(t.count, 1);
    assert_step(&t, 0, 60, 10, on);
}

static void a_motor_that_starts_is_one_step_and_a_spike_is_none(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 1);
    hold(&t, 300, 30);
    int64_t on = t.at_us;
    say(&t, 1500);
    say(&t, 700);
    say(&t, 430);
    hold(&t, 390, 30);
    say(&t, 2500); /* one sample alone */
    hold(&t, 390, 30);
    assert_int_equal(t.count, 1);
    assert_step(&t, 0, 90, 6, on);
}

static void what_is_said_only_when_it_changes_is_in_force_until_then(void **state)
{
    (void)state;
    struct trace t = trace_of("sensor.plug_power", 1, 0);
    for (int i = 0; i < 12; i++) {
        t.at_us += 3600 * SECOND;   /* an hour of silence, then on, and a sample now and then while it is */
        hold(&t, 62, 1);
        t.at_us += 20 * SECOND;
        hold(&t, 61.8, 1);
        t.at_us += 30 * SECOND;
        hold(&t, 62.1, 1);
        t.at_us += 30 * SECOND;
        hold(&t, 0, 1);
    }
    assert_true(t.count >= 18); /* the first ones are needed to know what is usual */
    for (int i = 1; i < t.count; i++) {
        assert_near(fabs(t.found[i].after_w - t.found[i].before_w), 62, 1);
        assert_true(t.found[i].to_us - t.found[i].from_us <= 60 * SECOND);
    }
}

static void nothing_is_said_of_a_step_that_lies_in_a_hole(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 1);
    hold(&t, 300, 60);
    t.at_us += 300 * SECOND;
    hold(&t, 900, 60);
    assert_int_equal(t.count, 0);
    meter_break(&t.meter);  /* it was unavailable */
    hold(&t, 300, 60);
    assert_int_equal(t.count, 0);
}

static void what_comes_twice_or_is_older_changes_nothing(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 0);
    hold(&t, 300, 30);
    struct meter before = t.meter;
    struct step step;
    assert_false(meter_sample(&t.meter, &t.options, (struct sample){ t.at_us - SECOND, 5000 }, &step));
    assert_false(meter_sample(&t.meter, &t.options, (struct sample){ t.at_us - 20 * SECOND, 5000 }, &step));
    assert_memory_equal(&before, &t.meter, sizeof before);
}

static void ten_samples_a_second_are_no_reason_to_see_nothing(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 0.1, 2);
    hold(&t, 300, 100);
    int64_t on = t.at_us;
    hold(&t, 360, 100);
    assert_int_equal(t.count, 1);
    assert_step(&t, 0, 60, 8, on);
}

static void a_day_of_noise_alone_has_next_to_no_steps(void **state)
{
    (void)state;
    struct trace t = trace_of("_smartmeter.power_w", 1, 5);
    hold(&t, 400, 86400);
    assert_true(t.count <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_watts_are_found_among_five_of_noise_at_each_second),
        cmocka_unit_test(ten_watts_of_a_hundred_are_a_step_and_a_bit_less_is_none),
        cmocka_unit_test(slower_samples_say_between_which_two_of_them_it_happened),
        cmocka_unit_test(the_sun_rising_and_clouds_are_no_steps),
        cmocka_unit_test(a_step_upon_a_ramp_is_found_and_is_no_larger_than_it_is),
        cmocka_unit_test(a_motor_that_starts_is_one_step_and_a_spike_is_none),
        cmocka_unit_test(what_is_said_only_when_it_changes_is_in_force_until_then),
        cmocka_unit_test(nothing_is_said_of_a_step_that_lies_in_a_hole),
        cmocka_unit_test(what_comes_twice_or_is_older_changes_nothing),
        cmocka_unit_test(ten_samples_a_second_are_no_reason_to_see_nothing),
        cmocka_unit_test(a_day_of_noise_alone_has_next_to_no_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
