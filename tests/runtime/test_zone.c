/* test_zone.c - local days begin where the C library says they do, in every zone there is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S_US INT64_C(1000000)
#define HOUR_S INT64_C(3600)

static const char *const names[] = {
    "Europe/Vienna", "Europe/London", "America/New_York", "America/St_Johns", "America/Havana", "America/Sao_Paulo", "Asia/Kathmandu",
    "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut", "Asia/Gaza", "Pacific/Apia",
    "Pacific/Chatham", "Atlantic/Azores", "America/Godthab", "Europe/Dublin", "Antarctica/Troll", "Etc/GMT+12", "UTC", "Asia/Tehran",
};

static uint64_t seed = 88172645463325252;
static int64_t chance(int64_t of)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)of);
}

static zone_t *open_zone(const char *name)
{
    const char *why = "";
    zone_t *zone = zone_open(name, &why);
    if (!zone)
        fail_msg("%s %s", name, why);
    return zone;
}

static void use(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static struct tm local(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm tm;
    assert_non_null(localtime_r(&at, &tm));
    return tm;
}

static int64_t date_of(int64_t at_s)
{
    struct tm tm = local(at_s);
    return ((int64_t)tm.tm_year * 12 + tm.tm_mon) * 31 + tm.tm_mday;
}

static void offsets_are_those_of_the_c_library_from_1900_to_2200(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        zone_t *zone = open_zone(names[i]);
        use(names[i]);
        for (int k = 0; k < 4000; k++) {
            int64_t at = chance(INT64_C(9467000000)) - INT64_C(2208988800);
            if (zone_offset_s(zone, at * S_US + chance(S_US)) != local(at).tm_gmtoff)
                fail_msg("%s at %lld: %d, not %ld", names[i], (long long)at, zone_offset_s(zone, at * S_US), local(at).tm_gmtoff);
        }
        zone_destroy(&zone);
    }
}

/* By looking at every minute around. */
static void check_day(const zone_t *zone, const char *name, int64_t at)
{
    int64_t start = zone_day_start(zone, at * S_US) / S_US, next = zone_day_next(zone, at * S_US) / S_US;
    if (!(start <= at && at < next && next - start <= 49 * HOUR_S && zone_day_start(zone, next * S_US) == next * S_US))
        fail_msg("%s: %lld is in no day (%lld to %lld)", name, (long long)at, (long long)start, (long long)next);
    int64_t first = start - 2 * HOUR_S, date = date_of(start);
    assert_true(date_of(start - 1) < date || date_of(start - 1) > date); /* something ends here */
    for (; first < start; first += 60)
        assert_true(date_of(first) != date); /* and it had not begun before */
    if (date_of(next) == date)
        fail_msg("%s: the day of %lld goes on after its end", name, (long long)at);
}

static void a_day_is_all_moments_between_its_first_and_that_of_the_next_date(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        zone_t *zone = open_zone(names[i]);
        use(names[i]);
        for (int k = 0; k < 60; k++)
            check_day(zone, names[i], chance(INT64_C(3000000000)));
        int64_t before = zone_offset_s(zone, 0);
        for (int64_t at = 0; at < INT64_C(2000000000); at += 6 * HOUR_S) { /* at every change */
            int64_t offset = zone_offset_s(zone, at * S_US);
            if (offset != before)
                for (int64_t near = at - 36 * HOUR_S; near <= at + 36 * HOUR_S; near += 6 * HOUR_S)
                    check_day(zone, names[i], near < 0 ? 0 : near);
            before = offset;
        }
        zone_destroy(&zone);
    }
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute };
    return (int64_t)timegm(&tm) * S_US;
}

static void days_of_the_change_have_23_and_25_hours(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Europe/Vienna");
    assert_int_equal(zone_day_start(zone, at(2026, 3, 29, 12, 0)), at(2026, 3, 28, 23, 0));
    assert_int_equal(zone_day_next(zone, at(2026, 3, 29, 12, 0)), at(2026, 3, 29, 22, 0));
    assert_int_equal(zone_day_next(zone, at(2026, 10, 25, 12, 0)) - zone_day_start(zone, at(2026, 10, 25, 12, 0)), 25 * HOUR_S * S_US);
    assert_int_equal(zone_day_start(zone, at(2126, 7, 1, 12, 0)), at(2126, 6, 30, 22, 0)); /* by the rule at the end of the file */
    zone_destroy(&zone);
}

static void months_begin_with_their_first_day(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Asia/Kathmandu"); /* +05:45 */
    assert_int_equal(zone_month_start(zone, at(2026, 2, 28, 18, 14)), at(2026, 1, 31, 18, 15));
    assert_int_equal(zone_month_next(zone, at(2026, 2, 28, 18, 14)), at(2026, 2, 28, 18, 15));
    assert_int_equal(zone_month_start(zone, at(2026, 2, 28, 18, 15)), at(2026, 2, 28, 18, 15));
    assert_int_equal(zone_month_next(zone, at(2026, 12, 31, 20, 0)), at(2027, 1, 31, 18, 15));
    zone_destroy(&zone);
}

static void a_day_that_a_zone_left_out_has_no_moment(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Pacific/Apia"); /* 30 December 2011 */
    int64_t changed = at(2011, 12, 30, 10, 0);
    assert_int_equal(zone_day_start(zone, changed), changed);
    assert_int_equal(zone_day_start(zone, changed - 1), changed - 24 * HOUR_S * S_US);
    assert_int_equal(zone_day_next(zone, changed - 1), changed);
    zone_destroy(&zone);
}

static void what_is_no_zone_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/etc/passwd", "../zoneinfo/UTC", "Europe/Atlantis", "Europe", "Europe/", "tzdata.zi", "a//b",
        "Europe/Vienna\n", "0123456789012345678901234567890123456789012345678901234567890123456789" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *why = "";
        assert_null(zone_open(bad[i], &why));
        assert_true(strlen(why) > 0);
    }
}

static void the_zone_of_the_machine_is_one(void **state)
{
    (void)state;
    char name[ZONE_NAME];
    use("Asia/Kathmandu");
    zone_of_machine(name);
    assert_string_equal(name, "Asia/Kathmandu");
    use(":/usr/share/zoneinfo/Europe/Vienna");
    zone_of_machine(name);
    assert_string_equal(name, "Europe/Vienna");
    unsetenv("TZ");
    zone_of_machine(name);
    zone_t *zone = open_zone(name);
    zone_destroy(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_the_c_library_from_1900_to_2200),
        cmocka_unit_test(a_day_is_all_moments_between_its_first_and_that_of_the_next_date),
        cmocka_unit_test(days_of_the_change_have_23_and_25_hours),
        cmocka_unit_test(months_begin_with_their_first_day),
        cmocka_unit_test(a_day_that_a_zone_left_out_has_no_moment),
        cmocka_unit_test(what_is_no_zone_is_refused_with_a_reason),
        cmocka_unit_test(the_zone_of_the_machine_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
