/* test_ics_ask.c - iCalendar files read by the program `ics`, and by ones that fail. */
#include "child.h"
#include "ics.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t from_us = INT64_C(1767225600000000), to_us = INT64_C(1767916800000000); /* 2026-01-01 and -09 */
static const char file[] = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260102\r\nDTEND;VALUE=DATE:20260103\r\n"
    "SUMMARY:Away\\, far\r\nLOCATION:Oslo\r\nRRULE:FREQ=DAILY;INTERVAL=2;COUNT=3\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/* The program that is started, instead of `ics`; NULL: that one. */
static const char *instead;

int __real_child_start(struct child *, const char *program);
int __wrap_child_start(struct child *, const char *program);
int __wrap_child_start(struct child *self, const char *program) { return __real_child_start(self, instead ? instead : program); }

struct found { size_t count; int64_t first_us; bool is_all_day; char summary[40], location[40]; };

static void take(void *owner, const struct ics_event *event)
{
    struct found *self = owner;
    self->count++;
    self->is_all_day = event->is_all_day;
    self->first_us = self->first_us && self->first_us < event->from_us ? self->first_us : event->from_us;
    snprintf(self->summary, sizeof self->summary, "%.*s", (int)event->summary.size, (const char *)event->summary.data);
    snprintf(self->location, sizeof self->location, "%.*s", (int)event->location.size, (const char *)event->location.data);
    assert_int_equal(event->description.size, 0);
}

static int read_text(const char *text, struct found *found, const char **why)
{
    size_t odd = 0;
    zone_t *zone = zone_open("Europe/Berlin", why);
    assert_non_null(zone);
    *found = (struct found){ .count = 0 };
    int rc = ics_read(slice_of(text), zone, from_us, to_us, take, found, &odd, why);
    zone_destroy(&zone);
    assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nothing is left of it */
    return rc;
}

static void events_come_as_they_are_read_elsewhere(void **state)
{
    (void)state;
    struct found found;
    const char *why;
    assert_int_equal(read_text(file, &found, &why), 0);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.first_us, from_us + INT64_C(82800000000)); /* the second begins at 23:00 in London */
    assert_true(found.is_all_day);
    assert_string_equal(found.summary, "Away, far");
    assert_string_equal(found.location, "Oslo");
    assert_int_equal(read_text("<html>", &found, &why), -1);
    assert_string_equal(why, "is no calendar (iCalendar, .ics), or not a whole one");
}

static void a_program_that_dies_says_nonsense_or_is_not_there_is_told(void **state)
{
    (void)state;
    static const char *const scripts[] = { "kill -SEGV $$", "exit 0", "head -c 4096 /dev/zero | tr '\\0' '\\377'; exec sleep 100",
        "head -c 4096 /dev/zero; exec sleep 100" };
    struct found found;
    const char *why;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char path[] = "/tmp/ics-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", scripts[i]) > 0 && fchmod(fd, 0700) == 0 && close(fd) == 0);
        instead = path;
        int rc = read_text(file, &found, &why);
        unlink(path);
        assert_int_equal(rc, -1);
        assert_string_equal(why, "cannot be read: the program ics gave no answer");
        assert_int_equal(found.count, 0);
    }
    instead = "/nonexistent/ics";
    assert_int_equal(read_text(file, &found, &why), -1);
    assert_string_equal(why, "cannot be read: the program ics cannot be started");
    instead = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_as_they_are_read_elsewhere),
        cmocka_unit_test(a_program_that_dies_says_nonsense_or_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
