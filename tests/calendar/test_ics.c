/* test_ics.c - events out of iCalendar files: repetition, exceptions, whole days, zones. */
#include "ics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char told[8192];
static size_t odd;

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void take(void *owner, const struct ics_event *event)
{
    char from[TIME_TEXT], to[TIME_TEXT];
    (void)owner;
    time_text(event->from_us, from);
    time_text(event->to_us, to);
    sprintf(told + strlen(told), "%.16s-%.16s%s %.*s\n", from, to, event->is_all_day ? " day" : "", (int)event->summary.size, (const char *)event->summary.data);
}

/* What is told of the file within a span, in order. `lines` are those of one VEVENT, or with BEGIN the whole calendar's. */
static const char *read_within(const char *lines, const char *from, const char *to, const char *zone_name)
{
    static char sorted[8192];
    char file[8192], *rows[200], *at;
    int64_t from_us, to_us;
    const char *why;
    size_t count = 0;
    zone_t *zone = zone_open(zone_name, &why);
    assert_non_null(zone);
    assert_int_equal(time_read(slice_of(from), &from_us), 0);
    assert_int_equal(time_read(slice_of(to), &to_us), 0);
    bool is_whole = strncmp(lines, "BEGIN:", 6) == 0;
    snprintf(file, sizeof file, "BEGIN:VCALENDAR\n%s%s%sEND:VCALENDAR\n", is_whole ? "" : "BEGIN:VEVENT\nUID:u\nSUMMARY:E\n", lines, is_whole ? "" : "END:VEVENT\n");
    *told = *sorted = '\0';
    assert_int_equal(ics_read(slice_of(file), zone, from_us, to_us, take, NULL, &odd, &why), 0);
    for (at = strtok(told, "\n"); at; at = strtok(NULL, "\n"))
        rows[count++] = at;
    qsort(rows, count, sizeof *rows, by_text);
    for (size_t i = 0; i < count; i++)
        sprintf(sorted + strlen(sorted), "%s\n", rows[i]);
    zone_destroy(&zone);
    return sorted;
}

static const char *january(const char *lines)
{
    return read_within(lines, "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z", "Europe/Berlin");
}

static void an_event_is_told_with_its_moments(void **state)
{
    (void)state;
    assert_string_equal(january("DTSTART:20260102T080000Z\nDTEND:20260102T090000Z\n"), "2026-01-02T08:00-2026-01-02T09:00 E\n");
    assert_string_equal(january("DTSTART;TZID=America/New_York:20260102T080000\nDURATION:PT90M\n"), "2026-01-02T13:00-2026-01-02T14:30 E\n");
    assert_string_equal(january("DTSTART:20260102T080000\nDTEND:20260102T090000\n"), "2026-01-02T07:00-2026-01-02T08:00 E\n"); /* floating: the home's */
    assert_string_equal(january("DTSTART:20260102T080000Z\n"), "2026-01-02T08:00-2026-01-02T08:00 E\n");
    assert_string_equal(january("DTSTART;TZID=/x.org/20210210_1/America/New_York:20260102T080000\nDURATION:PT1H\n"), "2026-01-02T13:00-2026-01-02T14:00 E\n");
    assert_string_equal(january("DTSTART;TZID=Europe/Berlin:20260102T230000\nDTEND;TZID=America/New_York:20260102T190000\n"), "2026-01-02T22:00-2026-01-03T00:00 E\n");
    assert_string_equal(january("DTSTART;TZID=Nowhere/Known:20260102T080000\nDURATION:PT1H\n"), "2026-01-02T07:00-2026-01-02T08:00 E\n");
}

static void a_day_is_from_midnight_to_midnight_in_the_homes_zone(void **state)
{
    (void)state;
    assert_string_equal(january("DTSTART;VALUE=DATE:20260103\nDTEND;VALUE=DATE:20260105\n"), "2026-01-02T23:00-2026-01-04T23:00 day E\n");
    assert_string_equal(january("DTSTART;VALUE=DATE:20260103\n"), "2026-01-02T23:00-2026-01-03T23:00 day E\n");
    assert_string_equal(january("DTSTART;VALUE=DATE:20260103\nDTEND;VALUE=DATE:20260103\n"), "2026-01-02T23:00-2026-01-03T23:00 day E\n");
    assert_string_equal(read_within("DTSTART;VALUE=DATE:20260328\nRRULE:FREQ=DAILY;COUNT=3\n", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "Europe/Berlin"),
        "2026-03-27T23:00-2026-03-28T23:00 day E\n2026-03-28T23:00-2026-03-29T22:00 day E\n2026-03-29T22:00-2026-03-30T22:00 day E\n"); /* 23 hours */
    assert_string_equal(read_within("DTSTART;VALUE=DATE:20261025\n", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "Europe/Berlin"),
        "2026-10-24T22:00-2026-10-25T23:00 day E\n"); /* 25 hours */
}

static void repeated_events_keep_their_local_time_over_the_change_of_the_clock(void **state)
{
    (void)state;
    assert_string_equal(read_within("DTSTART;TZID=Europe/Berlin:20200101T090000\nDTEND;TZID=Europe/Berlin:20200101T170000\nRRULE:FREQ=DAILY\n",
        "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z", "UTC"),
        "2026-03-28T08:00-2026-03-28T16:00 E\n2026-03-29T07:00-2026-03-29T15:00 E\n");
    assert_string_equal(read_within("DTSTART;TZID=Europe/Berlin:20260327T023000\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=3\n",
        "2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z", "UTC"), /* 02:30 is left out on the 29th: half past three */
        "2026-03-27T01:30-2026-03-27T02:00 E\n2026-03-28T01:30-2026-03-28T02:00 E\n2026-03-29T01:30-2026-03-29T02:00 E\n");
    assert_string_equal(read_within("DTSTART;TZID=Europe/Berlin:20261025T023000\nDURATION:PT15M\n", "2026-10-25T00:00:00Z", "2026-10-26T00:00:00Z", "UTC"),
        "2026-10-25T00:30-2026-10-25T00:45 E\n"); /* comes twice: the first */
}

static const struct { const char *rule, *told; } rules[] = {
    { "DTSTART:20251204T080000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=TH,FR", "2026-01-01T08:00 2026-01-02T08:00 2026-01-08T08:00" },
    { "DTSTART:20251204T080000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", "2026-01-01T08:00" },
    { "DTSTART:20251211T080000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", "2026-01-08T08:00" },
    { "DTSTART:20230105T080000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;BYDAY=1TH", "2026-01-01T08:00" },
    { "DTSTART:20230131T080000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-27", "2026-01-05T08:00" },
    { "DTSTART:19800106T080000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY", "2026-01-06T08:00" },
    { "DTSTART:20251230T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4", "2026-01-01T08:00 2026-01-02T08:00" },
    { "DTSTART:20251201T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260102T080000Z", "2026-01-01T08:00 2026-01-02T08:00" },
    { "DTSTART;TZID=America/New_York:20251201T080000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260102T130000Z", "2026-01-01T13:00 2026-01-02T13:00" },
    { "DTSTART:20251201T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260102", "2026-01-01T08:00 2026-01-02T08:00" },
    { "DTSTART:20251231T080000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY;INTERVAL=24;COUNT=3", "2026-01-01T08:00 2026-01-02T08:00" },
    { "DTSTART:20251204T080000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nEXDATE:20260101T080000Z,20260115T080000Z", "2026-01-08T08:00" },
    { "DTSTART;TZID=Europe/Berlin:20251204T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nEXDATE:20260101T080000Z", "2026-01-08T08:00" },
    { "DTSTART:20251204T080000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nEXDATE;VALUE=DATE:20260101", "2026-01-08T08:00" },
    { "DTSTART:20251204T080000Z\nDURATION:PT1H\nRDATE:20260103T080000Z,20260104T090000Z", "2026-01-03T08:00 2026-01-04T09:00" },
};

static void rules_say_when_it_is_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char lines[400], found[400] = "";
        snprintf(lines, sizeof lines, "%s\n", rules[i].rule);
        for (const char *at = january(lines); *at; at = strchr(at, '\n') + 1)
            sprintf(found + strlen(found), "%s%.16s", *found ? " " : "", at);
        if (strcmp(found, rules[i].told))
            print_error("%s\n", rules[i].rule);
        assert_string_equal(found, rules[i].told);
    }
}

static void an_occurrence_may_be_moved_or_cancelled_by_itself(void **state)
{
    (void)state;
    assert_string_equal(january("BEGIN:VEVENT\nUID:a\nSUMMARY:old\nDTSTART;TZID=Europe/Berlin:20251201T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:a\nSUMMARY:new\nRECURRENCE-ID:20260102T080000Z\nDTSTART:20260102T120000Z\nDURATION:PT1H\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:a\nSTATUS:CANCELLED\nRECURRENCE-ID;TZID=Europe/Berlin:20260103T090000\nDTSTART:20260103T080000Z\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:b\nSUMMARY:other\nRECURRENCE-ID:20260101T080000Z\nDTSTART:20260105T120000Z\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:a\nSTATUS:CANCELLED\nRECURRENCE-ID:20260104T080000Z\nDTSTART:20260104T080000Z\nEND:VEVENT\n"
        "BEGIN:VEVENT\nUID:c\nSTATUS:CANCELLED\nDTSTART:20260104T080000Z\nEND:VEVENT\n"),
        "2026-01-01T08:00-2026-01-01T09:00 old\n2026-01-02T12:00-2026-01-02T13:00 new\n2026-01-05T08:00-2026-01-05T09:00 old\n2026-01-05T12:00-2026-01-05T12:00 other\n"
        "2026-01-06T08:00-2026-01-06T09:00 old\n2026-01-07T08:00-2026-01-07T09:00 old\n2026-01-08T08:00-2026-01-08T09:00 old\n");
    assert_int_equal(odd, 0);
}

static const char outlook_zone[] = "BEGIN:VTIMEZONE\nTZID:Customized\nBEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n"
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n"
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

static void a_zone_of_the_file_is_used_where_the_machine_has_none_of_that_name(void **state)
{
    (void)state;
    char file[2000];
    snprintf(file, sizeof file, "%sBEGIN:VEVENT\nUID:a\nSUMMARY:E\nDTSTART;TZID=Customized:20260328T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nEND:VEVENT\n", outlook_zone);
    assert_string_equal(read_within(file, "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z", "America/New_York"),
        "2026-03-28T08:00-2026-03-28T09:00 E\n2026-03-29T07:00-2026-03-29T08:00 E\n");
}

static void what_touches_the_span_is_told_and_nothing_else(void **state)
{
    (void)state;
    assert_string_equal(january("DTSTART:20251230T080000Z\nDTEND:20260101T000000Z\n"), "");
    assert_string_equal(january("DTSTART:20251230T080000Z\nDTEND:20260101T000100Z\n"), "2025-12-30T08:00-2026-01-01T00:01 E\n");
    assert_string_equal(january("DTSTART:20260108T235900Z\nDTEND:20260110T000000Z\n"), "2026-01-08T23:59-2026-01-10T00:00 E\n");
    assert_string_equal(january("DTSTART:20260109T000000Z\nDTEND:20260110T000000Z\n"), "");
    assert_string_equal(january("DTSTART;TZID=Pacific/Auckland:20251231T120000\nDURATION:P3D\nRRULE:FREQ=YEARLY\n"), "2025-12-30T23:00-2026-01-02T23:00 E\n");
}

static void what_cannot_be_read_is_left_out_and_counted(void **state)
{
    (void)state;
    static const char good[] = "BEGIN:VEVENT\nUID:g\nSUMMARY:good\nDTSTART:20260102T080000Z\nDURATION:PT1H\nEND:VEVENT\n", *const bad[] = {
        "UID:x\n", "DTSTART:garbage\n", "DTSTART:20260199T080000Z\n", "DTSTART:20260102T080000Z\nDTEND:20260101T080000Z\n", "DTSTART:20260102T080000Z\nDURATION:-PT1H\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char file[1000];
        snprintf(file, sizeof file, "BEGIN:VEVENT\n%sEND:VEVENT\n%s", bad[i], good);
        assert_string_equal(january(file), "2026-01-02T08:00-2026-01-02T09:00 good\n");
        if (odd != 1)
            print_error("%s", bad[i]);
        assert_int_equal(odd, 1);
    }
}

static void rules_that_never_end_are_bounded(void **state)
{
    (void)state;
    static const char *const never[] = { "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MINUTELY", "FREQ=HOURLY;BYMONTHDAY=30;BYMONTH=2", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;COUNT=2000000000;INTERVAL=1;BYHOUR=0,1,2,3,4,5,6,7,8,9;BYMINUTE=0,1,2,3,4,5;BYSECOND=0,1,2,3,4,5", "RSCALE=CHINESE;FREQ=YEARLY" };
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        char lines[300];
        snprintf(lines, sizeof lines, "DTSTART:19700101T000000Z\nDURATION:PT1H\nRRULE:%s\n", never[i]);
        assert_string_equal(january(lines), "");
    }
    char many[8192] = "";
    for (int i = 0; i < 60; i++)
        sprintf(many + strlen(many), "BEGIN:VEVENT\nUID:%d\nDTSTART:19700101T000000Z\nRRULE:FREQ=%s\nEND:VEVENT\n", i,
                i % 2 ? "MONTHLY;BYDAY=6MO" : "DAILY;BYMONTH=2;BYMONTHDAY=30");
    struct timespec began, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    assert_string_equal(january(many), "");
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    assert_true(now.tv_sec - began.tv_sec < 10 && odd > 0);
}

static void what_is_no_calendar_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "<html>", "{}", "BEGIN:VEVENT\nEND:VEVENT\n",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u\nDTSTART:20260101T000000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:" /* it is being written */ };
    const char *why;
    zone_t *zone = zone_open("UTC", &why);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(ics_read(slice_of(texts[i]), zone, 0, INT64_C(1) << 50, take, NULL, &odd, &why), -1);
    zone_destroy(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_told_with_its_moments),
        cmocka_unit_test(a_day_is_from_midnight_to_midnight_in_the_homes_zone),
        cmocka_unit_test(repeated_events_keep_their_local_time_over_the_change_of_the_clock),
        cmocka_unit_test(rules_say_when_it_is_again),
        cmocka_unit_test(an_occurrence_may_be_moved_or_cancelled_by_itself),
        cmocka_unit_test(a_zone_of_the_file_is_used_where_the_machine_has_none_of_that_name),
        cmocka_unit_test(what_touches_the_span_is_told_and_nothing_else),
        cmocka_unit_test(what_cannot_be_read_is_left_out_and_counted),
        cmocka_unit_test(rules_that_never_end_are_bounded),
        cmocka_unit_test(what_is_no_calendar_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
