/* test_time.c - times are read and written to the microsecond, leap days and zones included. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "schema.h"

static int64_t read_or_minus_one(const char *text)
{
    int64_t at_us = -1;
    return time_read(slice_of(text), &at_us) ? -1 : at_us;
}

static void assert_text(int64_t at_us, const char *expected)
{
    char text[TIME_TEXT];
    time_text(at_us, text);
    assert_string_equal(text, expected);
    assert_true(read_or_minus_one(expected) == at_us);
}

static void times_are_written_with_six_digits(void **state)
{
    (void)state;
    assert_text(0, "1970-01-01T00:00:00.000000Z");
    assert_text(1, "1970-01-01T00:00:00.000001Z");
    assert_text(951782400000000, "2000-02-29T00:00:00.000000Z");
    assert_text(951868799999999, "2000-02-29T23:59:59.999999Z");
    assert_text(951868800000000, "2000-03-01T00:00:00.000000Z");
    assert_text(1709164800000000, "2024-02-29T00:00:00.000000Z");
    assert_text(4107542400000000, "2100-03-01T00:00:00.000000Z");
    assert_text(4107456000000000, "2100-02-28T00:00:00.000000Z");
    assert_text(1795485404524490, "2026-11-24T01:56:44.524490Z");
    assert_text(MAX_TIME_US, "9999-12-31T23:59:59.999999Z");
}

static void every_day_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = 0; day <= MAX_TIME_US / 86400000000; day += 1 + day % 3) {
        char text[TIME_TEXT], expected[64];
        struct tm tm;
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
        time_text((int64_t)seconds * 1000000, text);
        assert_string_equal(text, expected);
        assert_true(read_or_minus_one(text) == (int64_t)seconds * 1000000);
    }
}

static void zones_and_fractions_are_read(void **state)
{
    (void)state;
    assert_true(read_or_minus_one("2026-11-24T02:56:44.52449+01:00") == 1795485404524490);
    assert_true(read_or_minus_one("2026-11-23T17:56:44.524490-08:00") == 1795485404524490);
    assert_true(read_or_minus_one("2026-11-24T07:41:44+05:45") == 1795485404000000);
    assert_true(read_or_minus_one("2026-11-24 01:56:44.524490999Z") == 1795485404524490); /* cut, not rounded */
    assert_true(read_or_minus_one("2026-11-24t01:56:44.5z") == 1795485404500000);
    assert_true(read_or_minus_one("1970-01-01T01:00:00+01:00") == 0);
    assert_true(read_or_minus_one("9999-12-31T23:59:59.999999Z") == MAX_TIME_US);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "2026", "2026-11-24", "2026-11-24T01:56:44", "2026-11-24T01:56:44.5", "2026-11-24T01:56Z",
        "2026-11-24T01:56:44.Z", "2026-11-24T01:56:44.1234567891Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-11-00T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T00:60:00Z", "2026-11-24T00:00:61Z",
        "2026-11-24T00:00:00+24:00", "2026-11-24T00:00:00+01:60", "2026-11-24T00:00:00Z ", " 2026-11-24T00:00:00Z",
        "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "26-11-24T00:00:00Z",
        "2026-11-24T00:00:00ZZ", "+2026-11-24T00:00:00Z", "2026-1a-24T00:00:00Z", "0000-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (read_or_minus_one(bad[i]) != -1)
            fail_msg("taken: '%s'", bad[i]);
    int64_t at_us;
    assert_int_equal(time_read((struct slice){ NULL, 0 }, &at_us), -1);
    assert_int_equal(time_read((struct slice){ "2026-11-24T00:00:00\0Z", 21 }, &at_us), -1);
}

static void seconds_are_split_before_they_are_rounded(void **state)
{
    (void)state;
    assert_true(time_from_seconds(1795485404.5244899) == 1795485404524490);
    assert_true(time_from_seconds(1795488583.5085294) == 1795488583508529);
    assert_true(time_from_seconds(0) == 0);
    assert_true(time_from_seconds(0.9999999) == 1000000); /* carried */
    assert_true(time_from_seconds(0.0000005) == 0);       /* half to even */
    assert_true(time_from_seconds(0.0000015) == 2);
    assert_true(time_from_seconds(1795485404) == 1795485404000000);
}

/* What Home Assistant does: a time in microseconds becomes a double of seconds and comes back. */
static void every_microsecond_survives_as_a_double_of_seconds(void **state)
{
    (void)state;
    for (int64_t at_us = 1795485404000000, i = 0; i < 200000; i++, at_us += 777767) {
        double seconds = (double)(at_us / 1000000) + (double)(at_us % 1000000) / 1e6;
        assert_true(time_from_seconds(seconds) == at_us);
    }
}

static void seconds_beyond_the_calendar_are_minus_one(void **state)
{
    (void)state;
    static const double bad[] = { -1, -1e-9, 1e300, -1e300, 253402300800.0, 9223372036854775808.0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(time_from_seconds(bad[i]) == -1);
    assert_true(time_from_seconds((double)NAN) == -1);
    assert_true(time_from_seconds(253402300799.0) == 253402300799000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_with_six_digits),
        cmocka_unit_test(every_day_agrees_with_the_c_library),
        cmocka_unit_test(zones_and_fractions_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(seconds_are_split_before_they_are_rounded),
        cmocka_unit_test(every_microsecond_survives_as_a_double_of_seconds),
        cmocka_unit_test(seconds_beyond_the_calendar_are_minus_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
