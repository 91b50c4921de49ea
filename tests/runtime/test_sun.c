/* test_sun.c - how high the sun stands, against what others have published. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "schema.h"
#include "sun.h"

static double at(const char *when, int latitude, int longitude)
{
    struct sun sun = { .slot = -1 };
    int64_t at_us;
    assert_int_equal(time_read(slice_of(when), &at_us), 0);
    return sun_elevation(&sun, at_us, latitude, longitude);
}

static void assert_near(double got, double expected)
{
    if (fabs(got - expected) > 0.1)
        fail_msg("%f is not %f", got, expected);
}

/* NREL/TP-560-34302 (Reda, Andreas), the example of its appendix: 39.742476 N, 105.1786 W, without refraction. */
static void the_example_of_the_solar_position_algorithm_is_met(void **state)
{
    (void)state;
    assert_near(at("2003-10-17T12:30:30-07:00", 3974, -10518), 39.872);
}

/* At the poles the sun stands as high as its declination, all day: zero at the equinoxes of the US Naval Observatory's
 * tables, the obliquity of the ecliptic (23.436 degrees) at its solstices. */
static void at_the_poles_it_stands_as_high_as_its_declination(void **state)
{
    (void)state;
    assert_near(at("2024-03-20T03:06:00Z", 9000, 0), 0);
    assert_near(at("2024-06-20T20:51:00Z", 9000, 0), 23.436);
    assert_near(at("2024-09-22T12:44:00Z", 9000, 12345), 0);
    assert_near(at("2024-12-21T09:20:00Z", 9000, -9999), -23.436);
    assert_near(at("2024-12-21T09:20:00Z", -9000, 77), 23.436);
    assert_near(at("2000-06-21T01:48:00Z", 9000, 0), 23.438);
    assert_near(at("2037-12-21T18:07:00Z", -9000, 0), 23.434);
}

/* Within the polar circle there are days on which it does not set, and days on which it does not rise. */
static void there_are_polar_days_and_nights(void **state)
{
    (void)state;
    for (int hour = 0; hour < 24; hour++) {
        struct sun sun = { .slot = -1 };
        int64_t summer_us, winter_us, hours_us = hour * INT64_C(3600000000);
        assert_int_equal(time_read(slice_of("2026-06-21T00:00:00Z"), &summer_us), 0);
        assert_int_equal(time_read(slice_of("2026-12-21T00:00:00Z"), &winter_us), 0);
        double summer = sun_elevation(&sun, summer_us + hours_us, 6965, 1896), winter = sun_elevation(&sun, winter_us + hours_us, 6965, 1896);
        assert_in_range((int64_t)(summer * 100), 309 - 20, 4379 + 20); /* Tromsø: 90 - 69.65 +- 23.44 */
        assert_in_range((int64_t)(-winter * 100), 309 - 20, 4379 + 20);
    }
}

/* Almanacs print the moment at which the middle stands 0.833 degrees below the horizon: London, 2024-06-21, 03:43 and 20:22 UT. */
static void it_rises_and_sets_when_almanacs_say(void **state)
{
    (void)state;
    assert_near(at("2024-06-21T03:43:00Z", 5151, -13), -0.833);
    assert_near(at("2024-06-21T20:21:30Z", 5151, -13), -0.833);
}

static void what_is_remembered_changes_no_answer(void **state)
{
    (void)state;
    struct sun kept = { .slot = -1 };
    for (int64_t at_us = 0; at_us < INT64_C(4000000000000000); at_us += INT64_C(777777777777)) {
        struct sun fresh = { .slot = -1 };
        assert_true(sun_elevation(&kept, at_us, 5237, 489) == sun_elevation(&fresh, at_us, 5237, 489));
        assert_true(sun_elevation(&kept, at_us + 1, 5237, 489) == sun_elevation(&fresh, at_us + 1, 5237, 489));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_solar_position_algorithm_is_met),
        cmocka_unit_test(at_the_poles_it_stands_as_high_as_its_declination),
        cmocka_unit_test(there_are_polar_days_and_nights),
        cmocka_unit_test(it_rises_and_sets_when_almanacs_say),
        cmocka_unit_test(what_is_remembered_changes_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
