/* test_calendar.c - the calendar source: its providers, what words say, who is at home when. */
#include "probe.h"
#include "calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <sys/stat.h>
#include "../upstream/upstream.h"

static const int64_t begin_us = INT64_C(1767225600000000), hour_us = INT64_C(3600000000);
#define HOME "provider", "home-assistant", "home_assistant_url", "ws://home:8123/api/websocket", "home_assistant_token", "t0ken"
#define BERLIN "time_zone", "Europe/Berlin"
static const char *const settings[] = { HOME, BERLIN, NULL };
static const char *const titled[] = { HOME, BERLIN, "titles", "true", NULL };

static struct calendar_reading current(probe_t *probe)
{
    struct nothing nothing = { 0 };
    struct calendar_reading reading;
    assert_int_equal(probe_call(probe, &calendar_current_contract, &nothing, &reading), OK);
    return reading;
}

static struct calendar_reading at(probe_t *probe, int64_t at_us)
{
    struct calendar_moment moment = { .has_at = true, .at = at_us };
    struct calendar_reading reading;
    assert_int_equal(probe_call(probe, &calendar_occupancy_contract, &moment, &reading), OK);
    return reading;
}

static const char *state_of(const struct calendar_reading *reading) { return reading->has_state ? reading->state : "null"; }

/* Two calendars are listed, one of them has these events. */
static probe_t *with(const char *const with_settings[], const char *events)
{
    probe_t *probe = begin(with_settings);
    answer(probe, "calendars");
    probe_fetched(probe, 200, events);
    probe_fetched(probe, 200, "[]");
    return probe;
}

#define EVENT(from, to, summary) "{\"start\":{\"dateTime\":\"" from "\"},\"end\":{\"dateTime\":\"" to "\"},\"summary\":\"" summary "\"}"
#define DAYS(from, to, summary) "{\"start\":{\"date\":\"" from "\"},\"end\":{\"date\":\"" to "\"},\"summary\":\"" summary "\"}"

/* --- words ------------------------------------------------------------------------------------------ */

static const struct { const char *title, *state; double confidence; } titles[] = {
    { "Work From Home", "wfh", 0.95 }, { "WFH Day", "wfh", 0.85 }, { "Office", "away", 0.75 }, { "Homework", NULL, 0.5 },
    { "Trip home", "home", 0.95 }, { "House party at Work", "home", 0.95 }, { "Dentist", NULL, 0.5 },
    { "wfh", "wfh", 0.85 }, { "home-office", "wfh", 0.95 }, { "work  from\thome", "wfh", 0.95 }, { "Vacation", "vacation", 0.75 }, { "vacation at home", "home", 0.95 },
    { "Out of Town", "away", 0.75 }, { "Networking", NULL, 0.5 }, { "WFHome", NULL, 0.5 }, { "(office)", "away", 0.75 }, { "\xc3\xbchome", NULL, 0.5 },
    { "Urlaub in Wien", "vacation", 0.75 }, { "B\xc3\xbcro", "away", 0.75 }, { "zu hause", "home", 0.85 }, { "", NULL, 0.5 },
};

static void words_say_where_somebody_is(void **state)
{
    (void)state;
    const struct own_words own = { .home = "daheim, zu Hause", .away = "B\xc3\xbcro,", .vacation = "Urlaub" };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        struct words words = { .wfh = false };
        words_look(&words, slice_of(titles[i].title), &own);
        const char *says = words_state(&words);
        if ((says ? says : "")[0] != (titles[i].state ? titles[i].state : "")[0])
            print_error("\"%s\" says %s\n", titles[i].title, says ? says : "nothing");
        assert_string_equal(says ? says : "", titles[i].state ? titles[i].state : "");
        assert_true(fabs(words_confidence(&words) - titles[i].confidence) < 1e-9);
    }
}

/* --- Home Assistant ------------------------------------------------------------------------------------ */

static void asks_home_assistant_for_its_calendars_and_each_for_its_events(void **state)
{
    (void)state;
    probe_t *probe = begin(settings);
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars");
    assert_string_equal(probe_fetching(probe, "Authorization"), "Bearer t0ken");
    answer(probe, "calendars");
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars/calendar.family");
    assert_string_equal(probe_fetching(probe, "start"), "2025-12-31T23:00:00.000000Z"); /* the home's midnight */
    assert_string_equal(probe_fetching(probe, "end"), "2026-01-08T23:00:00.000000Z");
    answer(probe, "calendar-family");
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars/calendar.work");
    answer(probe, "calendar-work");
    assert_null(probe_fetch_url(probe));
    assert_string_equal(status(probe)->status, "ok");
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "home"); /* the party goes on, and began before */
    assert_true(r.occupied && r.wfh_today && r.current == 1 && r.calendars == 2 && r.calendars_failed == 0 && !r.has_title);
    assert_true(r.confidence == 0.9);
    assert_int_equal(r.next_change_at, begin_us + hour_us);
    assert_string_equal(r.next_state, "wfh");
    assert_int_equal(r.arrival_at, begin_us + 8 * hour_us);
    assert_int_equal(r.prepare_at, begin_us + 15 * hour_us / 2);
    assert_true(r.hours_until_arrival == 8 && r.arrival_confidence == 0.85);
    probe_destroy(&probe);
}

static const struct { const char *written, *asked; } urls[] = {
    { "http://home:8123", "http://home:8123/api/calendars" }, { "http://home:8123/", "http://home:8123/api/calendars" },
    { "wss://home/api/websocket", "https://home/api/calendars" }, { "https://x/hass/api/", "https://x/hass/api/calendars" },
    { "http://supervisor/core", "http://supervisor/core/api/calendars" }, { "ws://supervisor/core/websocket", "http://supervisor/core/api/calendars" },
};

static void the_url_may_be_written_as_for_ingest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        probe_t *probe = begin((const char *const[]){ "provider", "home-assistant", "home_assistant_url", urls[i].written, "home_assistant_token", "t", BERLIN, NULL });
        assert_string_equal(probe_fetch_url(probe), urls[i].asked);
        probe_destroy(&probe);
    }
    probe_t *probe = begin((const char *const[]){ "provider", "home-assistant", "supervisor_token", "s", BERLIN, NULL });
    assert_string_equal(probe_fetch_url(probe), "http://supervisor/core/api/calendars");
    assert_string_equal(probe_fetching(probe, "Authorization"), "Bearer s");
    probe_destroy(&probe);
}

static const struct { const char *key, *value, *named; } wrongs[] = {
    { "home_assistant_url", "home:8123", "calendar.home_assistant_url" }, { "home_assistant_url", "http://u@home", "calendar.home_assistant_url" },
    { "time_zone", "Nowhere", "calendar.time_zone" }, { "provider", "google", "calendar.provider" },
    { "provider", "ics", "calendar.ics" },
};

static void wrong_settings_are_refused_by_their_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        probe_t *probe = probe_new((const char *const[]){ HOME, wrongs[i].key, wrongs[i].value, NULL });
        assert_null(probe);
        assert_non_null(strstr(probe_refused(), wrongs[i].named));
    }
    assert_null(probe_new((const char *const[]){ "provider", "home-assistant", "home_assistant_url", "http://home", "home_assistant_token", "a b", NULL }));
    assert_non_null(strstr(probe_refused(), "calendar.home_assistant_token"));
    static const char *const lists[] = { "relative.ics", "ftp://x/y.ics", "/a /b c" };
    for (size_t i = 0; i < 3; i++) {
        assert_null(probe_new((const char *const[]){ "provider", "ics", "ics", lists[i], NULL }));
        assert_non_null(strstr(probe_refused(), "calendar.ics"));
    }
}

static void only_chosen_calendars_are_asked(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ HOME, BERLIN, "calendars", "work, calendar.gone,calendar.a/../b", NULL });
    answer(probe, "calendars");
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars/calendar.work");
    probe_fetched(probe, 200, "[]");
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars/calendar.gone");
    probe_fetched(probe, 400, "");
    assert_null(probe_fetch_url(probe));
    struct calendar_reading r = current(probe);
    assert_true(r.calendars == 1 && r.calendars_failed == 1);
    probe_destroy(&probe);
}

static void a_calendar_that_fails_costs_the_others_nothing_and_is_told(void **state)
{
    (void)state;
    static const long statuses[] = { 400, 500, 503 };
    for (size_t i = 0; i < 3; i++) {
        probe_t *probe = begin(settings);
        answer(probe, "calendars");
        probe_fetched(probe, statuses[i], "{\"message\":\"Error reading events: x\"}");
        answer(probe, "calendar-work");
        struct calendar_reading r = current(probe);
        assert_true(r.calendars == 1 && r.calendars_failed == 1 && r.wfh_today);
        probe_destroy(&probe);
    }
    probe_t *probe = begin(settings);
    answer(probe, "calendars");
    probe_fetched(probe, 400, "");
    probe_fetch_failed(probe, "Timeout was reached");
    assert_string_equal(status(probe)->status, "failing");
    assert_string_equal(status(probe)->why, "no calendar could be read");
    struct calendar_reading r;
    struct nothing nothing = { 0 };
    assert_int_equal(probe_call(probe, &calendar_current_contract, &nothing, &r), UNAVAILABLE);
    probe_destroy(&probe);
}

static void a_token_that_is_refused_is_not_tried_again(void **state)
{
    (void)state;
    probe_t *probe = begin(settings);
    probe_fetched(probe, 401, "401: Unauthorized");
    assert_string_equal(status(probe)->status, "refused");
    probe_advance(probe, 86400 * 1000);
    assert_null(probe_fetch_url(probe));
    probe_destroy(&probe);
}

static void a_house_without_calendars_is_asked_again(void **state)
{
    (void)state;
    probe_t *probe = begin(settings);
    probe_fetched(probe, 404, "404: Not Found");
    assert_string_equal(status(probe)->status, "failing");
    probe_advance(probe, 70 * 1000);
    probe_fetched(probe, 200, "[]");
    assert_string_equal(status(probe)->why, "there is no calendar");
    probe_destroy(&probe);
}

/* --- events ----------------------------------------------------------------------------------------------- */

static const struct { const char *events; int count; int64_t from_h, to_h; bool is_all_day; } forms[] = {
    { "[" EVENT("2026-01-02T09:00:00+01:00", "2026-01-02T17:00:00+01:00", "x") "]", 1, 32, 40, false },
    { "[" EVENT("2026-01-02T09:00:00", "2026-01-02T17:00:00", "x") "]", 1, 32, 40, false },     /* no offset: the home's */
    { "[" EVENT("2026-01-02T08:00:00Z", "2026-01-02T11:00:00-05:00", "x") "]", 1, 32, 40, false },
    { "[{\"start\":\"2026-01-02T09:00:00+01:00\",\"end\":\"2026-01-02T17:00:00+01:00\"}]", 1, 32, 40, false },
    { "[" DAYS("2026-01-03", "2026-01-05", "x") "]", 1, 47, 95, true },
    { "[{\"start\":\"2026-01-03\",\"end\":null,\"summary\":null,\"description\":null,\"location\":null,\"uid\":null}]", 1, 47, 71, true },
    { "[{\"start\":{\"dateTime\":\"2026-01-02T09:00:00+01:00\"}}]", 1, 32, 32, false },
    { "[" EVENT("2026-01-02T09:00:00+01:00", "2026-01-02T09:00:00+01:00", "x") "]", 1, 32, 32, false },
    { "[{\"start\":null,\"end\":null}]", 0, 0, 0, false },
    { "[" EVENT("garbage", "2026-01-02T17:00:00+01:00", "x") "]", 0, 0, 0, false },
    { "[" EVENT("2026-01-02T17:00:00+01:00", "2026-01-02T09:00:00+01:00", "x") "]", 0, 0, 0, false },
    { "[" DAYS("2026-02-30", "2026-03-01", "x") "," EVENT("2026-01-02T09:00:00+01:00", "2026-01-02T17:00:00+01:00", "x") ", 7, null, {}]", 1, 32, 40, false },
};

static size_t events(probe_t *probe, struct calendar_event rows[], size_t room)
{
    struct source_query query = { .has_limit = true, .limit = 1000 };
    struct source_end end;
    assert_int_equal(probe_call(probe, &calendar_events_contract, &query, &end), OK);
    assert_int_equal(end.count, probe_rows(probe));
    for (size_t i = 0; i < probe_rows(probe) && i < room; i++)
        assert_int_equal(probe_row(probe, i, &rows[i]), 0);
    return probe_rows(probe);
}

static void events_are_read_in_every_form_and_bad_ones_are_left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct calendar_event rows[4];
        probe_t *probe = with(settings, forms[i].events);
        assert_int_equal(events(probe, rows, 4), forms[i].count);
        if (forms[i].count) {
            assert_int_equal(rows[0].from, begin_us + forms[i].from_h * hour_us);
            assert_int_equal(rows[0].to, begin_us + forms[i].to_h * hour_us);
            assert_int_equal(rows[0].all_day, forms[i].is_all_day);
            assert_string_equal(rows[0].calendar, "calendar.family");
            assert_false(rows[0].has_title);
        }
        probe_destroy(&probe);
    }
}

static void days_are_the_homes_also_where_the_clock_changes(void **state)
{
    (void)state;
    static const char march[] = "[" DAYS("2026-03-29", "2026-03-30", "WFH") "]";
    probe_t *probe = probe_new(settings);
    struct calendar_event row;
    probe_set_now(probe, INT64_C(1774738800000000)); /* 2026-03-28T23:00Z: midnight there, of a day of 23 hours */
    probe_tick(probe);
    answer(probe, "calendars");
    probe_fetched(probe, 200, march);
    probe_fetched(probe, 200, "[]");
    assert_int_equal(events(probe, &row, 1), 1);
    assert_int_equal(row.to - row.from, 23 * hour_us);
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "wfh");
    assert_int_equal(r.next_change_at, row.to);
    assert_false(r.has_next_state);
    assert_int_equal(r.known_to - r.known_from, (8 * 24 - 1) * hour_us);
    probe_destroy(&probe);
}

/* What a real one answered (2024.3.3, tests/real/test_real_sources.py) on the Saturday before its clock was set back. */
static void what_a_real_home_assistant_answers_is_read_over_the_hour_that_comes_twice(void **state)
{
    (void)state;
    static const struct { int64_t from_s, to_s; bool is_all_day; const char *state; } wanted[] = {
        { 1792843200, 1792857600, false, "wfh" }, { 1792879200, 1792969200, true, NULL }, { 1792884600, 1792897200, false, "home" },
        { 1792998000, 1793012400, false, "away" }, { 1793055600, 1793228400, true, "vacation" }, { 1793343600, 1793358000, false, "away" },
    };
    struct calendar_event rows[10];
    probe_t *probe = probe_new((const char *const[]){ HOME, "time_zone", "Europe/Amsterdam", NULL });
    probe_set_now(probe, INT64_C(1792836000000000));
    probe_tick(probe);
    answer(probe, "home-assistant-calendars");
    answer(probe, "home-assistant-one");
    probe_fetched(probe, 200, "[]");
    assert_string_equal(probe_fetch_url(probe), "http://home:8123/api/calendars/calendar.family");
    answer(probe, "home-assistant-family");
    assert_string_equal(status(probe)->status, "ok");
    assert_int_equal(events(probe, rows, 10), 7);
    for (size_t i = 0, at_row = 0; at_row < 7; at_row++) {
        if (strcmp(rows[at_row].calendar, "calendar.family") != 0)
            continue;
        assert_int_equal(rows[at_row].from, wanted[i].from_s * 1000000);
        assert_int_equal(rows[at_row].to, wanted[i].to_s * 1000000);
        assert_int_equal(rows[at_row].all_day, wanted[i].is_all_day);
        assert_string_equal(rows[at_row].has_state ? rows[at_row].state : "", wanted[i].state ? wanted[i].state : "");
        i++;
    }
    struct calendar_reading first = at(probe, INT64_C(1792888200000000)), second = at(probe, INT64_C(1792891800000000)); /* half past two, twice */
    assert_string_equal(state_of(&first), "home");
    assert_string_equal(state_of(&second), "home");
    probe_destroy(&probe);
}

static void an_event_is_on_from_its_begin_to_before_its_end(void **state)
{
    (void)state;
    probe_t *probe = with(settings, "[" EVENT("2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z", "Office") "]");
    struct calendar_reading before = at(probe, begin_us + 34 * hour_us - 1), first = at(probe, begin_us + 34 * hour_us), last = at(probe, begin_us + 35 * hour_us - 1), behind = at(probe, begin_us + 35 * hour_us);
    assert_true(before.current == 0 && first.current == 1 && last.current == 1 && behind.current == 0);
    assert_true(!before.has_occupied && first.has_occupied && !first.occupied && first.confidence == 0.75 && !behind.has_occupied && behind.confidence == 0.5);
    probe_destroy(&probe);
}

/* --- who is at home -------------------------------------------------------------------------------------------- */

/* At noon, UTC, of the first day. */
static const struct { const char *events, *state; double confidence; } houses[] = {
    { "[]", "null", 0.5 },
    { "[" EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Dentist") "]", "null", 0.5 },
    { "[" EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Home") "]", "home", 0.85 },
    { "[" EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Office") "]", "away", 0.75 },
    { "[" DAYS("2026-01-01", "2026-01-02", "WFH") "]", "wfh", 0.9 },
    { "[" EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Home") "," EVENT("2026-01-02T10:00:00Z", "2026-01-02T14:00:00Z", "Trip home") "]", "home", 0.95 }, /* the next one's */
    { "[" EVENT("2026-01-01T15:00:00Z", "2026-01-01T16:00:00Z", "WFH") "]", "wfh", 0.9 },                   /* later today */
    { "[" EVENT("2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z", "WFH") "]", "null", 0.5 },                  /* over */
    { "[" EVENT("2026-01-01T15:00:00Z", "2026-01-01T16:00:00Z", "WFH") "," EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Office") "]", "away", 0.75 },
    { "[" EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Office") "," EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Home") "]", "home", 0.85 },
    { "[" DAYS("2026-01-01", "2026-01-09", "Vacation") "," EVENT("2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "Trip") "]", "vacation", 0.75 },
    { "[" EVENT("2026-01-02T10:00:00Z", "2026-01-02T14:00:00Z", "Home") "]", "null", 0.5 },
};

static void rules_say_who_is_at_home(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof houses / sizeof *houses; i++) {
        probe_t *probe = with(settings, houses[i].events);
        struct calendar_reading r = at(probe, begin_us + 12 * hour_us);
        if (strcmp(state_of(&r), houses[i].state))
            print_error("%s\n", houses[i].events);
        assert_string_equal(state_of(&r), houses[i].state);
        assert_true(fabs(r.confidence - houses[i].confidence) < 1e-9);
        assert_int_equal(r.has_occupied, r.has_state);
        probe_destroy(&probe);
    }
}

static void the_reading_changes_by_itself_and_its_series_ends_where_nothing_is_known(void **state)
{
    (void)state;
    probe_t *probe = with(settings, "[" EVENT("2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z", "Home") "]");
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "null");
    assert_int_equal(r.as_of, begin_us);
    assert_int_equal(r.next_change_at, begin_us + 5 * hour_us / 60);
    probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 5 });
    probe_advance(probe, 5 * 60 * 1000 + 1);
    r = current(probe);
    assert_string_equal(state_of(&r), "home");
    assert_int_equal(r.as_of, begin_us + 5 * hour_us / 60);
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    assert_non_null(query);
    char *frame = strndup(query->bytes.data, query->bytes.size);
    assert_non_null(strstr(frame, "\"entity_id\":\"_calendar.state\",\"state\":\"home\""));
    assert_non_null(strstr(frame, "\"entity_id\":\"_calendar.occupied\",\"state\":\"1\",\"attributes\":{\"state_class\":\"measurement\""));
    assert_non_null(strstr(frame, "\"entity_id\":\"_calendar.hours_until_arrival\",\"state\":\"unknown\""));
    assert_non_null(strstr(frame, "\"last_updated\":\"2026-01-01T00:05:00.000000Z\""));
    assert_null(strstr(frame, "_calendar.title"));
    free(frame);
    probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 5 });
    probe_advance(probe, 5 * 60 * 1000 + 1);
    assert_null(probe_fetch_url(probe)); /* nobody was asked for that */
    query = probe_asked(probe, &ingest_again_contract);
    assert_non_null(query);
    frame = strndup(query->bytes.data, query->bytes.size);
    assert_non_null(strstr(frame, "\"entity_id\":\"_calendar.state\",\"state\":\"unknown\""));
    assert_non_null(strstr(frame, "\"entity_id\":\"_calendar.wfh_today\",\"state\":\"0\""));
    free(frame);
    probe_destroy(&probe);
}

static void the_forecast_is_of_spans_in_which_nothing_changes(void **state)
{
    (void)state;
    probe_t *probe = begin(settings);
    static const char *const told[] = { "home", "wfh", "null", "away", "null", "vacation", "null" };
    answer(probe, "calendars");
    answer(probe, "calendar-family");
    answer(probe, "calendar-work");
    struct source_query query = { .has_limit = true, .limit = 1000 };
    struct source_end end;
    struct calendar_span span;
    int64_t last_us = begin_us;
    assert_int_equal(probe_call(probe, &calendar_forecast_contract, &query, &end), OK);
    assert_int_equal(probe_rows(probe), 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(probe_row(probe, i, &span), 0);
        assert_int_equal(span.from, last_us);
        assert_string_equal(span.has_state ? span.state : "null", told[i]);
        last_us = span.to;
    }
    assert_int_equal(last_us, current(probe).known_to);
    query = (struct source_query){ .has_start_time = true, .start_time = begin_us, .has_end_time = true, .end_time = begin_us, .has_limit = true, .limit = 9 };
    assert_int_equal(probe_call(probe, &calendar_forecast_contract, &query, &end), BAD_REQUEST);
    struct calendar_moment far = { .has_at = true, .at = last_us };
    assert_int_equal(probe_call(probe, &calendar_occupancy_contract, &far, NULL), UNPROCESSABLE);
    assert_string_equal(probe_fault(probe).field, "at");
    probe_destroy(&probe);
}

/* --- titles ------------------------------------------------------------------------------------------------------ */

static bool is_on_disk(probe_t *probe, const char *text)
{
    char path[600], bytes[65536];
    snprintf(path, sizeof path, "%s/sources/calendar", probe_data(probe));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void titles_are_forgotten_unless_they_are_permitted(void **state)
{
    (void)state;
    static const char secret[] = "[" EVENT("2025-12-31T10:00:00Z", "2026-01-01T14:00:00Z", "Interview at Home \xc3\xa4") "]";
    for (int is_permitted = 0; is_permitted < 2; is_permitted++) {
        probe_t *probe = with(is_permitted ? titled : settings, secret);
        struct calendar_reading r = current(probe);
        struct calendar_event row;
        assert_string_equal(state_of(&r), "home");
        assert_int_equal(r.has_title, is_permitted);
        assert_int_equal(events(probe, &row, 1), 1);
        assert_int_equal(row.has_title, is_permitted);
        assert_int_equal(is_on_disk(probe, "Interview"), is_permitted);
        const struct again_query *query = probe_asked(probe, &ingest_again_contract);
        assert_int_equal(memmem(query->bytes.data, query->bytes.size, "Interview", 9) != NULL, is_permitted);
        assert_false(probe_logged(probe, "Interview"));
        if (is_permitted)
            assert_string_equal(r.title, "Interview at Home \xc3\xa4");
        probe_destroy(&probe);
    }
    probe_t *probe = with(titled, "[]");
    struct calendar_reading r = current(probe);
    assert_true(r.has_title && r.title_size == 0); /* nothing is on, and its series says so */
    probe_destroy(&probe);
}

static void a_long_title_is_cut_between_letters(void **state)
{
    (void)state;
    char text[700] = "[{\"start\":\"2026-01-01\",\"end\":\"2026-01-02\",\"summary\":\"x";
    for (int i = 0; i < 150; i++)
        strcat(text, "\xc3\xa4");
    probe_t *probe = with(titled, strcat(text, "\"}]"));
    assert_int_equal(current(probe).title_size, 199);
    probe_destroy(&probe);
}

/* --- zone, age, room ------------------------------------------------------------------------------------------- */

static void asks_when_it_knows_the_homes_zone(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ HOME, NULL });
    assert_null(probe_fetch_url(probe));
    assert_string_equal(status(probe)->status, "starting");
    probe_advance(probe, 10001);
    assert_null(probe_fetch_url(probe));
    assert_non_null(strstr(status(probe)->why, "time zone"));
    struct home_place home = { .has_latitude = true, .latitude = 1, .has_longitude = true, .longitude = 1 };
    SET_TEXT(&home, time_zone, "Asia/Kathmandu", 14);
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    probe_advance(probe, 1);
    answer(probe, "calendars");
    assert_string_equal(probe_fetching(probe, "start"), "2025-12-31T18:15:00.000000Z");
    probe_fetched(probe, 200, "[]");
    probe_fetched(probe, 200, "[]");
    SET_TEXT(&home, time_zone, "Europe/Berlin", 13);
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    probe_advance(probe, 1);
    assert_non_null(probe_fetch_url(probe)); /* days are others now */
    probe_destroy(&probe);
}

static void is_stale_when_nobody_answers_also_while_events_begin_and_end(void **state)
{
    (void)state;
    probe_t *probe = with(settings, "[" EVENT("2026-01-01T00:55:00Z", "2026-01-01T03:00:00Z", "Home") "]");
    char why[200];
    for (int i = 0; i < 7; i++) {
        probe_advance(probe, 500 * 1000);
        if (probe_fetch_url(probe))
            probe_fetch_failed(probe, "Couldn't connect to server");
    }
    struct calendar_reading r = current(probe);
    assert_true(!r.stale && strcmp(state_of(&r), "home") == 0);
    probe_advance(probe, 200 * 1000);
    r = current(probe);
    assert_true(r.stale && strcmp(state_of(&r), "home") == 0);
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "connect"));
    probe_destroy(&probe);
}

static void what_was_kept_is_told_after_a_restart_unless_it_is_of_other_settings(void **state)
{
    (void)state;
    char data[] = "/tmp/test-calendar-XXXXXX", command[100];
    assert_non_null(mkdtemp(data));
    const char *const same[] = { "data", data, HOME, BERLIN, NULL }, *const words[] = { "data", data, HOME, BERLIN, "away_words", "Party", NULL };
    probe_t *probe = begin(same);
    answer(probe, "calendars");
    answer(probe, "calendar-family");
    answer(probe, "calendar-work");
    probe_destroy(&probe);
    probe = begin(same);
    assert_null(probe_fetch_url(probe));
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "home");
    assert_int_equal(events(probe, NULL, 0), 6);
    probe_destroy(&probe);
    probe = begin(words);
    assert_non_null(probe_fetch_url(probe));
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void where_there_is_no_room_events_that_say_nothing_give_way(void **state)
{
    (void)state;
    char *text = calloc(1, 200000), *end = text + sprintf(text, "[");
    for (int i = 0; i < 700; i++)
        end += sprintf(end, "%s" EVENT("2026-01-02T%02d:%02d:00Z", "2026-01-02T23:59:00Z", "x"), i ? "," : "", i / 60, i % 60);
    sprintf(end, "," EVENT("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "Home") "]");
    probe_t *probe = with(settings, text);
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "home");
    assert_int_equal(r.left_out, 101);
    assert_int_equal(events(probe, NULL, 0), 600);
    free(text);
    probe_destroy(&probe);
}

/* --- files and addresses ---------------------------------------------------------------------------------------------- */

#define ICS "provider", "ics", BERLIN

static void an_address_is_asked_and_may_say_that_nothing_is_new(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ ICS, "ics", "webcal://example.org/secret/family.ics", NULL });
    assert_string_equal(probe_fetch_url(probe), "https://example.org/secret/family.ics");
    answer(probe, "family.ics");
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "home");
    assert_true(r.wfh_today && r.calendars == 1);
    assert_int_equal(r.arrival_at, begin_us + 8 * hour_us);
    assert_false(is_on_disk(probe, "secret"));
    assert_int_equal(events(probe, NULL, 0), 3);
    for (int i = 0; i < 8; i++) {
        probe_advance(probe, 960 * 1000);
        probe_fetched(probe, 304, "");
    }
    probe_advance(probe, 1);
    r = current(probe);
    assert_true(!r.stale && r.fetched_at > begin_us + 2 * hour_us);
    assert_int_equal(r.as_of, r.fetched_at);
    probe_destroy(&probe);
}

static void an_address_that_refuses_is_not_asked_again_and_of_several_each_may_fail(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ ICS, "ics", "https://example.org/a.ics", NULL });
    probe_fetched(probe, 404, "");
    assert_string_equal(status(probe)->status, "refused");
    assert_non_null(strstr(status(probe)->why, "calendar."));
    probe_destroy(&probe);
    probe = begin((const char *const[]){ ICS, "ics", "https://example.org/a.ics /nonexistent.ics\nhttps://example.org/b.ics", NULL });
    assert_string_equal(probe_fetch_url(probe), "https://example.org/a.ics");
    probe_fetched(probe, 404, "");
    probe_advance(probe, 0); /* a file at a time */
    assert_true(probe_logged(probe, "file 2 cannot be read"));
    assert_string_equal(probe_fetch_url(probe), "https://example.org/b.ics");
    answer(probe, "family.ics");
    struct calendar_reading r = current(probe);
    struct calendar_event row;
    assert_true(r.calendars == 1 && r.calendars_failed == 2);
    events(probe, &row, 1);
    assert_string_equal(row.calendar, "3");
    probe_destroy(&probe);
}

static void a_file_is_read_and_what_is_none_is_not_waited_for(void **state)
{
    (void)state;
    char path[600], list[800];
    assert_non_null(realpath("../upstream/fixtures/family.ics", path));
    snprintf(list, sizeof list, "file://%s", path);
    probe_t *probe = begin((const char *const[]){ ICS, "ics", list, NULL });
    probe_advance(probe, 0);
    assert_null(probe_fetch_url(probe));
    struct calendar_reading r = current(probe);
    assert_string_equal(state_of(&r), "home");
    probe_destroy(&probe);
    probe = begin((const char *const[]){ ICS, "ics", "/tmp /dev/zero", NULL });
    assert_true(probe_logged(probe, "file 1 cannot be read"));
    assert_false(probe_logged(probe, "file 2")); /* between two files the actor sees to whatever else there is */
    probe_advance(probe, 0);
    assert_true(probe_logged(probe, "file 2 cannot be read"));
    probe_advance(probe, 0);
    assert_string_equal(status(probe)->why, "no calendar could be read");
    probe_destroy(&probe);
}

/* --- whatever comes ------------------------------------------------------------------------------------------------- */

struct spoiling { probe_t *probe; const char *before[2]; const char *behind; const char *const *settings; };

static void take_spoilt(void *owner, const char *text)
{
    struct spoiling *self = owner;
    probe_clear(self->probe);
    assert_int_equal(probe_reload(self->probe, self->settings), 0);
    probe_tick(self->probe);
    for (size_t i = 0; i < 2 && self->before[i]; i++)
        probe_fetched(self->probe, 200, self->before[i]);
    probe_fetched(self->probe, 200, text);
    while (probe_fetch_url(self->probe))
        probe_fetched(self->probe, 200, self->behind);
}

static void no_spoilt_value_becomes_a_reading_or_a_crash(void **state)
{
    (void)state;
    static const char *const ics[] = { ICS, "ics", "https://example.org/a.ics", NULL };
    char *list = fixture("calendars"), *family = fixture("calendar-family"), *file = fixture("family.ics");
    struct spoiling spoiling = { .probe = probe_new(settings), .behind = "[]", .settings = settings };
    assert_true(spoil(list, take_spoilt, &spoiling) > 10);
    each_bad_body(take_spoilt, &spoiling);
    spoiling.before[0] = list;
    assert_true(spoil(family, take_spoilt, &spoiling) > 100);
    each_bad_body(take_spoilt, &spoiling);
    probe_destroy(&spoiling.probe);
    spoiling = (struct spoiling){ .probe = probe_new(ics), .behind = "", .settings = ics };
    each_bad_body(take_spoilt, &spoiling);
    for (char *at = file + strlen(file); at > file; at -= 7) {
        *at = '\0';
        take_spoilt(&spoiling, file);
    }
    probe_destroy(&spoiling.probe);
    free(list);
    free(family);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_say_where_somebody_is),
        cmocka_unit_test(asks_home_assistant_for_its_calendars_and_each_for_its_events),
        cmocka_unit_test(the_url_may_be_written_as_for_ingest),
        cmocka_unit_test(wrong_settings_are_refused_by_their_name),
        cmocka_unit_test(only_chosen_calendars_are_asked),
        cmocka_unit_test(a_calendar_that_fails_costs_the_others_nothing_and_is_told),
        cmocka_unit_test(a_token_that_is_refused_is_not_tried_again),
        cmocka_unit_test(a_house_without_calendars_is_asked_again),
        cmocka_unit_test(events_are_read_in_every_form_and_bad_ones_are_left_out),
        cmocka_unit_test(days_are_the_homes_also_where_the_clock_changes),
        cmocka_unit_test(what_a_real_home_assistant_answers_is_read_over_the_hour_that_comes_twice),
        cmocka_unit_test(an_event_is_on_from_its_begin_to_before_its_end),
        cmocka_unit_test(rules_say_who_is_at_home),
        cmocka_unit_test(the_reading_changes_by_itself_and_its_series_ends_where_nothing_is_known),
        cmocka_unit_test(the_forecast_is_of_spans_in_which_nothing_changes),
        cmocka_unit_test(titles_are_forgotten_unless_they_are_permitted),
        cmocka_unit_test(a_long_title_is_cut_between_letters),
        cmocka_unit_test(asks_when_it_knows_the_homes_zone),
        cmocka_unit_test(is_stale_when_nobody_answers_also_while_events_begin_and_end),
        cmocka_unit_test(what_was_kept_is_told_after_a_restart_unless_it_is_of_other_settings),
        cmocka_unit_test(where_there_is_no_room_events_that_say_nothing_give_way),
        cmocka_unit_test(an_address_is_asked_and_may_say_that_nothing_is_new),
        cmocka_unit_test(an_address_that_refuses_is_not_asked_again_and_of_several_each_may_fail),
        cmocka_unit_test(a_file_is_read_and_what_is_none_is_not_waited_for),
        cmocka_unit_test(no_spoilt_value_becomes_a_reading_or_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
