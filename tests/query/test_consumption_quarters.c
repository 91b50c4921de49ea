/* test_consumption_quarters.c - quarters, sums and steps alone: every zone's days are cut without a hole, and nothing is lost where it is spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "energy_quarters.h"

#include <math.h>
#include <stdlib.h>

#define HOURS(n) ((n) * HOUR_US)
static const int64_t year_us = INT64_C(1735689600000000); /* 2025-01-01T00:00:00Z */

static zone_t *zone_named(const char *name)
{
    const char *why = "";
    zone_t *zone = zone_open(name, &why);
    if (!zone)
        fail_msg("%s: %s", name, why);
    return zone;
}

/* Steps of a year follow each other, lie on quarters, and each is that which its own moments lie in. */
static size_t walk(const char *name, const char *step_name, int64_t *shortest, int64_t *longest)
{
    zone_t *zone = zone_named(name);
    const struct clock_step *step = clock_step_find(step_name);
    size_t count = 0;
    *shortest = INT64_MAX;
    *longest = 0;
    for (int64_t at = clock_step_start(step, zone, year_us); at < year_us + 365 * DAY_US; count++) {
        int64_t next = clock_step_next(step, zone, at), us = next - at;
        assert_int_equal(at % QUARTER_US, 0);
        assert_true(next > at);
        assert_int_equal(clock_step_start(step, zone, at), at);
        assert_int_equal(clock_step_start(step, zone, next - 1), at);
        *shortest = us < *shortest ? us : *shortest;
        *longest = us > *longest ? us : *longest;
        at = next;
    }
    zone_destroy(&zone);
    return count;
}

static void steps_follow_each_other_in_every_kind_of_zone(void **state)
{
    static const struct { const char *zone, *step; int64_t shortest, longest; } cases[] = {
        { "UTC", "1d", HOURS(24), HOURS(24) }, { "Europe/Berlin", "1d", HOURS(23), HOURS(25) }, { "Europe/Berlin", "1h", HOURS(1), HOURS(1) },
        { "Europe/Berlin", "2h", HOURS(1), HOURS(2) }, { "Europe/Berlin", "12h", HOURS(11), HOURS(13) },
        { "Asia/Kathmandu", "1h", HOURS(1), HOURS(1) }, { "Asia/Kathmandu", "1d", HOURS(24), HOURS(24) },
        { "Australia/Lord_Howe", "1d", HOURS(47) / 2, HOURS(49) / 2 }, { "Australia/Lord_Howe", "1h", HOURS(1) / 2, HOURS(3) / 2 },
        { "America/Santiago", "1d", HOURS(23), HOURS(25) }, { "Pacific/Chatham", "30m", QUARTER_US, HOURS(1) / 2 },
        { "Africa/Casablanca", "6h", HOURS(5), HOURS(7) }, { "Europe/Berlin", "1mo", HOURS(28 * 24), HOURS(31 * 24) + HOURS(1) },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t shortest, longest;
        walk(cases[i].zone, cases[i].step, &shortest, &longest);
        if (shortest != cases[i].shortest || longest != cases[i].longest)
            fail_msg("%s %s: %lld %lld", cases[i].zone, cases[i].step, (long long)(shortest / SECOND_US), (long long)(longest / SECOND_US));
    }
    assert_null(clock_step_find("5m"));
}

static void what_is_spread_is_all_there(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 2000; i++) {
        struct quarter q[40] = { { 0 } };
        int64_t from = year_us, begin = from + rand() % (36 * 900) * SECOND_US, end = begin + (1 + rand() % (3 * 900)) * SECOND_US;
        double kwh = (double)(rand() % 1000) / 7, sum = 0, guessed = 0;
        quarters_spread(q, 40, from, begin, end, kwh);
        for (size_t k = 0; k < 40; k++) {
            sum += q[k].kwh;
            guessed += q[k].guessed_kwh;
        }
        assert_true(fabs(sum - kwh) < 1e-9 && guessed == 0);
    }
    struct quarter q[8] = { { 0 } };
    quarters_spread(q, 8, year_us, year_us - HOUR_US, year_us + HOUR_US, 4); /* half of it lies before, and it took two hours */
    assert_true(fabs(q[0].kwh - 0.5) < 1e-12 && fabs(q[3].guessed_kwh - 0.5) < 1e-12 && q[4].kwh == 0);
    quarters_spread(q, 8, year_us, year_us + 3 * HOUR_US, year_us + 5 * HOUR_US, 4); /* all of it lies behind */
    assert_true(q[7].kwh == 0);
}

static void a_sum_knows_which_part_of_it_has_a_price(void **state)
{
    struct energy_sum sum = { .kwh = 0 };
    struct rate price = { 0.4, 1 }, half = { 0.2, 0.5 }, none = { 0, 0 };
    (void)state;
    energy_add(&sum, &(struct quarter){ 1, 0, QUARTER_US }, &price, &none, QUARTER_US);
    energy_add(&sum, &(struct quarter){ -2, 0, QUARTER_US }, &half, &none, QUARTER_US);
    energy_add(&sum, &(struct quarter){ 1, 0.05, 0 }, &none, &none, QUARTER_US);
    assert_true(fabs(sum.kwh) < 1e-12 && fabs(sum.cost - (0.4 - 0.2)) < 1e-12);
    assert_true(fabs(energy_priced(&sum) - 0.5) < 1e-12 && energy_weighed(&sum) == 0);
    assert_true(energy_is_guess(&sum));
    sum = (struct energy_sum){ .kwh = 0 };
    energy_add(&sum, &(struct quarter){ 0, 0, QUARTER_US }, &half, &price, QUARTER_US); /* nothing moved: by time */
    assert_true(energy_priced(&sum) == 0.5 && energy_weighed(&sum) == 1 && !energy_is_guess(&sum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_each_other_in_every_kind_of_zone),
        cmocka_unit_test(what_is_spread_is_all_there),
        cmocka_unit_test(a_sum_knows_which_part_of_it_has_a_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
