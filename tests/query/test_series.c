/* test_series.c - columns of series through the actor: steps, samples, pages, what is refused. */
#include "bucket.h"
#include "series_world.h"

/* Names and texts in turn, up to NULL. */
static struct series_ask asking(const char *const pairs[])
{
    struct series_ask ask;
    schema_clear(series_ask_schema(), &ask);
    for (size_t i = 0; pairs[i]; i += 2)
        set_text(series_ask_schema(), &ask, pairs[i], pairs[i + 1]);
    return ask;
}
#define ASK(...) asking((const char *const[]){ __VA_ARGS__, NULL })

/* The only piece of an answer of one. */
static struct series_part one_part(struct world *w, const struct series_ask *ask, struct series_end *end)
{
    struct series_part part;
    int verdict = probe_call(w->probe, &series_read_contract, ask, end);
    if (verdict != OK)
        fail_msg("%d %s: %s", verdict, probe_fault(w->probe).field, probe_fault(w->probe).why);
    assert_false(end->has_next_cursor);
    assert_int_equal(probe_rows(w->probe), 1);
    assert_int_equal(probe_row(w->probe, 0, &part), 0);
    assert_true(part.is_last);
    return part;
}

static int64_t int_at(struct slice from, size_t i)
{
    int64_t n;
    assert_true((i + 1) * sizeof n <= from.size);
    memcpy(&n, (const char *)from.data + i * sizeof n, sizeof n);
    return n;
}

static double real_at(struct slice from, size_t i)
{
    double n;
    assert_true((i + 1) * sizeof n <= from.size);
    memcpy(&n, (const char *)from.data + i * sizeof n, sizeof n);
    return n;
}

static void assert_text(struct slice s, const char *text)
{
    if (s.size != strlen(text) || memcmp(s.data, text, s.size))
        fail_msg("%.*s is not %s", (int)s.size, (const char *)s.data, text);
}

static void a_power(struct world *w)
{
    SAY(w, "sensor.power", NOW_US - 10 * HOUR, "100", .unit = "W");
    SAY(w, "sensor.power", NOW_US - 3 * HOUR + 15 * MINUTE, "200", .unit = "W");
    SAY(w, "sensor.power", NOW_US - 3 * HOUR + 45 * MINUTE, "400", .unit = "W");
    SAY(w, "sensor.power", NOW_US - HOUR, "unavailable", .unit = "W");
    SAY(w, "sensor.power", NOW_US - 20 * MINUTE, "50", .unit = "W");
    commit(w);
}

static void a_step_tells_of_all_that_was_in_force_in_it(void **state)
{
    struct world *w = *state;
    struct series_end end;
    a_power(w);
    struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T21:00:00Z", "to", "2026-01-01T00:00:00Z", "step", "1h",
        "stat", "count,mean,min,max,first,last,seconds,seconds_unavailable");
    struct series_part part = one_part(w, &ask, &end);
    static const double expected[3][8] = {
        { 2, 225, 100, 400, 100, 400, 3600, 0 }, { 0, 400, 400, 400, 400, 400, 3600, 0 }, { 1, 50, 50, 50, -1, 50, 1200, 2400 },
    };
    assert_int_equal(part.count, 3);
    for (size_t row = 0; row < 3; row++) {
        assert_int_equal(int_at(part.start, row), NOW_US - (int64_t)(3 - row) * HOUR);
        for (size_t i = 0; i < 8; i++) {
            double got = real_at(part.numbers, row * 8 + i);
            assert_true(expected[row][i] < 0 ? isnan(got) : fabs(got - expected[row][i]) < 1e-9);
        }
    }
    assert_text(part.unit, "W");
    assert_string_equal(end.step, "1h");
    assert_true(end.step_us == HOUR);
    assert_string_equal(end.stat, "count,mean,min,max,first,last,seconds,seconds_unavailable");
    assert_int_equal(part.unavailable.size, 16);
    assert_int_equal(int_at(part.unavailable, 0), NOW_US - HOUR);
    assert_int_equal(int_at(part.unavailable, 1), NOW_US - 20 * MINUTE);
    assert_false(part.has_open_from);
}

static void samples_begin_with_the_one_in_force(void **state)
{
    struct world *w = *state;
    struct series_end end;
    a_power(w);
    struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T21:30:00Z", "step", "raw");
    struct series_part part = one_part(w, &ask, &end);
    assert_int_equal(part.count, 4);
    assert_int_equal(int_at(part.start, 0), NOW_US - 3 * HOUR + 15 * MINUTE); /* its own time is kept */
    assert_true(real_at(part.numbers, 0) == 200 && real_at(part.numbers, 1) == 400 && real_at(part.numbers, 3) == 50);
    assert_true(isnan(real_at(part.numbers, 2)));
    assert_text(part.texts, "\"200\",\"400\",\"unavailable\",\"50\"");
    ask = ASK("ids", "sensor.power", "from", "2025-12-31T21:45:00Z", "step", "raw");
    part = one_part(w, &ask, &end);
    assert_int_equal(part.count, 3); /* another one at that very moment takes its place */
    assert_text(part.texts, "\"400\",\"unavailable\",\"50\"");
    ask = ASK("ids", "sensor.power", "from", "2025-12-31T14:00:00Z", "to", "2025-12-31T14:00:01Z", "step", "raw");
    part = one_part(w, &ask, &end);
    assert_text(part.texts, "\"100\"");
    assert_string_equal(end.tier, "raw");
}

static void what_was_removed_is_not_in_force(void **state)
{
    struct world *w = *state;
    struct series_end end;
    SAY(w, "sensor.gone", NOW_US - 5 * HOUR, "1", .unit = NULL);
    SAY(w, "sensor.gone", NOW_US - 4 * HOUR, NULL, .unit = NULL);
    commit(w);
    struct series_ask ask = ASK("ids", "sensor.gone", "from", "2025-12-31T21:00:00Z", "step", "raw");
    struct series_part part = one_part(w, &ask, &end);
    assert_int_equal(part.count, 0);
    assert_int_equal(int_at(part.unavailable, 0), NOW_US - 3 * HOUR);
    ask = ASK("ids", "sensor.gone", "from", "2025-12-31T19:00:00Z", "step", "raw");
    part = one_part(w, &ask, &end);
    assert_text(part.texts, "\"1\",null");
}

/* Every piece of an answer, joined: how many rows, and that their beginnings follow each other. */
static size_t pages_of(struct world *w, struct series_ask ask, int64_t first, int64_t step, int64_t counts[], size_t entities)
{
    struct series_end end;
    size_t pages = 0, entity = 0;
    memset(counts, 0, entities * sizeof *counts);
    do {
        assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), OK);
        assert_true(probe_rows(w->probe) > 0);
        for (size_t i = 0; i < probe_rows(w->probe); i++) {
            struct series_part part;
            assert_int_equal(probe_row(w->probe, i, &part), 0);
            assert_true(entity < entities);
            for (int64_t row = 0; row < part.count; row++)
                assert_int_equal(int_at(part.start, (size_t)row), first + counts[entity]++ * step);
            entity += part.is_last;
        }
        if (end.has_next_cursor)
            SET_TEXT(&ask, cursor, end.next_cursor, end.next_cursor_size);
        pages++;
    } while (end.has_next_cursor);
    assert_int_equal(entity, entities);
    return pages;
}

static void what_does_not_fit_into_a_page_goes_on(void **state)
{
    struct world *w = *state;
    int64_t counts[3];
    SAY(w, "sensor.a", NOW_US - 40 * DAY, "1", .unit = NULL);
    SAY(w, "sensor.b", NOW_US - 40 * DAY, "2", .unit = NULL);
    for (int64_t i = 0; i < 3000; i++) {
        char text[24];
        snprintf(text, sizeof text, "%d", (int)i);
        SAY(w, "sensor.c", NOW_US - 10 * DAY + i * 60 * SECOND, text, .unit = NULL);
    }
    commit(w);
    struct series_ask ask = ASK("ids", "sensor.a,sensor.b", "from", "2025-12-12T00:00:00Z", "to", "2026-01-01T00:00:00Z", "step", "5m");
    assert_true(pages_of(w, ask, NOW_US - 20 * DAY, 5 * MINUTE, counts, 2) > 2);
    assert_int_equal(counts[0], 20 * 288);
    assert_int_equal(counts[1], 20 * 288);
    ask = ASK("ids", "sensor.c,sensor.none", "from", "2025-12-22T00:00:00Z", "step", "raw");
    assert_true(pages_of(w, ask, NOW_US - 10 * DAY, MINUTE, counts, 2) > 1);
    assert_int_equal(counts[0], 3000);
    assert_int_equal(counts[1], 0);
}

static void the_step_is_chosen_by_points(void **state)
{
    struct world *w = *state;
    static const struct { const char *from, *points, *step; } cases[] = {
        { "2025-12-31T23:00:00Z", "61", "raw" }, { "2025-12-31T23:00:00Z", "60", "5m" }, { "2025-12-31T00:00:00Z", "288", "5m" },
        { "2025-12-31T00:00:00Z", "287", "15m" }, { "2025-12-31T00:00:00Z", "24", "1h" }, { "2025-12-31T00:00:00Z", "2", "12h" },
        { "2025-12-31T00:00:00Z", "1", "1d" }, { "2025-01-01T00:00:00Z", "8760", "1h" }, { "2025-01-01T00:00:00Z", "365", "1d" },
        { "2025-01-01T00:00:00Z", "364", "1mo" },
    };
    for (int64_t i = 0; i < 10000; i++)
        SAY(w, "sensor.a", NOW_US - (10000 - i) * MINUTE, i % 2 ? "1" : "2", .unit = NULL);
    commit(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct series_end end;
        struct series_ask ask = ASK("ids", "sensor.a", "from", cases[i].from, "to", "2026-01-01T00:00:00Z", "points", cases[i].points, "tz", "UTC");
        assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), OK);
        assert_string_equal(end.step, cases[i].step);
    }
    struct series_end end; /* a statistic is none of samples */
    struct series_ask ask = ASK("ids", "sensor.a", "from", "2025-12-31T23:00:00Z", "points", "1000", "stat", "mean");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), OK);
    assert_string_equal(end.step, "5m");
}

static void what_cannot_be_meant_is_refused_by_name(void **state)
{
    struct world *w = *state;
    a_power(w);
    static const struct { const char *name, *text, *field; int verdict; } cases[] = {
        { "to", "2025-12-31T00:00:00Z", "to", BAD_REQUEST }, { "step", "7h", "step", BAD_REQUEST }, { "stat", "median", "stat", BAD_REQUEST },
        { "stat", ",", "stat", BAD_REQUEST }, { "tz", "Mars/Olympus", "tz", BAD_REQUEST }, { "tz", "../passwd", "tz", BAD_REQUEST },
        { "unit", "m", "unit", BAD_REQUEST }, { "unit", "no such unit", "unit", BAD_REQUEST }, { "time", "loose", "time", BAD_REQUEST },
        { "cursor", "1", "cursor", BAD_REQUEST }, { "cursor", "1 1 1 1 raw", "cursor", BAD_REQUEST }, { "cursor", "0 1 1 1 rar", "cursor", BAD_REQUEST },
        { "ids", " , ", "ids", UNPROCESSABLE }, { "from", "2026-01-02T00:00:00Z", "from", BAD_REQUEST },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct series_end end;
        struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T00:00:00Z", cases[i].name, cases[i].text);
        assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), cases[i].verdict);
        assert_string_equal(probe_fault(w->probe).field, cases[i].field);
    }
    struct series_end end;
    struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T00:00:00Z", "step", "1h", "points", "5");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), BAD_REQUEST);
    ask = ASK("ids", "sensor.power", "from", "2015-12-31T00:00:00Z", "step", "15m");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "step");
    ask = ASK("ids", "sensor.power", "from", "2015-12-31T00:00:00Z", "points", "5");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "points");
}

static void two_hundred_entities_and_no_more(void **state)
{
    struct world *w = *state;
    char ids[3000] = "";
    for (size_t i = 0; i < 200; i++)
        strcat(ids, i ? ",sensor.x" : "sensor.x");
    struct series_end end;
    struct series_part part;
    struct series_ask ask = ASK("ids", ids, "from", "2025-12-31T00:00:00Z");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), OK);
    assert_int_equal(probe_rows(w->probe), 200);
    assert_int_equal(probe_row(w->probe, 199, &part), 0);
    assert_false(part.known);
    assert_int_equal(part.count, 0);
    assert_false(end.has_tier);
    strcat(ids, ",sensor.x");
    ask = ASK("ids", ids, "from", "2025-12-31T00:00:00Z");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), UNPROCESSABLE);
    assert_string_equal(probe_fault(w->probe).field, "ids");
}

static void a_name_longer_than_any_is_refused_as_such(void **state)
{
    struct world *w = *state;
    char ids[1026];
    struct series_end end;
    memset(ids, 'x', sizeof ids);
    ids[1025] = '\0';
    struct series_ask ask = ASK("ids", ids, "from", "2025-12-31T00:00:00Z");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), UNPROCESSABLE);
    assert_string_equal(probe_fault(w->probe).field, "ids");
    ids[1024] = '\0';
    ask = ASK("ids", ids, "from", "2025-12-31T00:00:00Z");
    assert_int_equal(probe_call(w->probe, &series_read_contract, &ask, &end), OK);
}

static void local_days_have_the_hours_that_they_had(void **state)
{
    struct world *w = *state;
    static const struct { const char *zone, *from, *to; int64_t first, seconds; } days[] = {
        { "Europe/Berlin", "2025-03-30T10:00:00Z", "2025-03-30T11:00:00Z", INT64_C(1743289200), 23 * 3600 },
        { "Europe/Berlin", "2025-10-26T10:00:00Z", "2025-10-26T11:00:00Z", INT64_C(1761429600), 25 * 3600 },
        { "Asia/Kathmandu", "2025-10-26T10:00:00Z", "2025-10-26T11:00:00Z", INT64_C(1761416100), 24 * 3600 }, /* 18:15 of the day before */
    };
    SAY(w, "sensor.a", NOW_US - 365 * DAY, "1", .unit = NULL);
    commit(w);
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct series_end end;
        struct series_ask ask = ASK("ids", "sensor.a", "from", days[i].from, "to", days[i].to, "step", "1d", "tz", days[i].zone, "stat", "seconds");
        struct series_part part = one_part(w, &ask, &end);
        assert_int_equal(part.count, 1);
        assert_int_equal(int_at(part.start, 0), days[i].first * SECOND);
        assert_true(real_at(part.numbers, 0) == (double)days[i].seconds);
        assert_int_equal(end.step_us, 0);
    }
}

static void a_step_that_is_not_over_is_open_and_none_begins_later(void **state)
{
    struct world *w = *state;
    struct series_end end;
    a_power(w);
    probe_set_now(w->probe, NOW_US + 10 * MINUTE);
    struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T23:00:00Z", "to", "2026-02-01T00:00:00Z", "step", "1h", "stat", "seconds,mean");
    struct series_part part = one_part(w, &ask, &end);
    assert_int_equal(part.count, 2);
    assert_int_equal(part.open_from, NOW_US);
    assert_true(real_at(part.numbers, 2) == 600 && real_at(part.numbers, 3) == 50);
    assert_int_equal(end.now, NOW_US + 10 * MINUTE);
}

static void a_time_to_ask_up_to_may_be_as_late_as_there_is(void **state)
{
    struct world *w = *state;
    static const char *const steps[] = { "5m", "1h", "1d", "1mo" };
    a_power(w);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct series_end end;
        struct series_ask ask = ASK("ids", "sensor.power", "from", "2025-12-31T20:00:00Z", "to", "9999-12-31T23:59:59Z", "step", steps[i], "tz", "UTC");
        struct series_part part = one_part(w, &ask, &end);
        assert_int_equal(part.count, i == 0 ? 48 : i == 1 ? 4 : 1);
        ask = ASK("ids", "sensor.power", "from", "2999-01-01T00:00:00Z", "to", "9999-12-31T23:59:59Z", "step", steps[i]);
        part = one_part(w, &ask, &end);
        assert_int_equal(part.count, 0);
    }
}

static void numbers_come_in_the_unit_that_is_wanted(void **state)
{
    struct world *w = *state;
    struct series_end end;
    SAY(w, "sensor.t", NOW_US - 5 * HOUR, "50", .unit = "\u00b0F");
    SAY(w, "sensor.t", NOW_US - 4 * HOUR, "20", .unit = "\u00b0C");
    commit(w);
    struct series_ask ask = ASK("ids", "sensor.t", "from", "2025-12-31T19:00:00Z", "to", "2025-12-31T21:00:00Z", "step", "raw", "unit", "\u00b0C");
    struct series_part part = one_part(w, &ask, &end);
    assert_true(fabs(real_at(part.numbers, 0) - 10) < 1e-9 && real_at(part.numbers, 1) == 20);
    assert_text(part.texts, "\"50\",\"20\"");
    ask = ASK("ids", "sensor.t", "from", "2025-12-31T19:00:00Z", "to", "2025-12-31T21:00:00Z", "step", "1h", "stat", "mean", "unit", "\u00b0F");
    part = one_part(w, &ask, &end);
    assert_true(fabs(real_at(part.numbers, 0) - 50) < 1e-9 && fabs(real_at(part.numbers, 1) - 68) < 1e-9);
    assert_text(part.unit, "\u00b0F");
}

static void of_texts_the_time_in_each_is_told(void **state)
{
    struct world *w = *state;
    struct series_end end;
    SAY(w, "light.a", NOW_US - 3 * HOUR, "off", .unit = NULL);
    SAY(w, "light.a", NOW_US - 2 * HOUR + 15 * MINUTE, "on", .unit = NULL);
    commit(w);
    struct series_ask ask = ASK("ids", "light.a", "from", "2025-12-31T21:00:00Z", "to", "2025-12-31T23:00:00Z", "step", "1h", "stat", "first,durations,last,count");
    struct series_part part = one_part(w, &ask, &end);
    assert_true(part.is_states);
    assert_text(part.texts, "{\"off\":3600},{\"off\":900,\"on\":2700}");
    assert_text(part.first_states, "\"off\",\"off\"");
    assert_text(part.last_states, "\"off\",\"on\"");
    assert_true(real_at(part.numbers, 2) == 1 && real_at(part.numbers, 5) == 1); /* three numbers a row: first and last are none */
    assert_true(isnan(real_at(part.numbers, 0)));
}

static void an_export_tells_the_time_of_more_states_than_it_names(void **state)
{
    struct world *w = *state;
    struct points_query q;
    struct point point;
    struct page end;
    for (int i = 0; i < STATES_MAX + 100; i++) {
        char text[24];
        snprintf(text, sizeof text, "word %d", i);
        SAY(w, "sensor.word", NOW_US - HOUR + i * SECOND, text, .unit = NULL);
    }
    commit(w);
    schema_clear(points_query_schema(), &q);
    SET_TEXT(&q, ids, "sensor.word", 11);
    SET(&q, from, NOW_US - HOUR);
    SET_TEXT(&q, step, "1h", 2);
    SET_TEXT(&q, stat, "durations", 9);
    assert_int_equal(probe_call(w->probe, &points_find_contract, &q, &end), OK);
    assert_int_equal(probe_row(w->probe, 0, &point), 0);
    static const char others[] = ",\"(others)\":2576}"; /* 99 seconds, and the last one until the hour was over */
    assert_true(point.durations.size > sizeof others);
    assert_memory_equal((const char *)point.durations.data + point.durations.size - sizeof others + 1, others, sizeof others - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_step_tells_of_all_that_was_in_force_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(samples_begin_with_the_one_in_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_removed_is_not_in_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_a_page_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_step_is_chosen_by_points, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_meant_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_hundred_entities_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_longer_than_any_is_refused_as_such, set_up, tear_down),
        cmocka_unit_test_setup_teardown(local_days_have_the_hours_that_they_had, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_that_is_not_over_is_open_and_none_begins_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_time_to_ask_up_to_may_be_as_late_as_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_come_in_the_unit_that_is_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_export_tells_the_time_of_more_states_than_it_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_texts_the_time_in_each_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
