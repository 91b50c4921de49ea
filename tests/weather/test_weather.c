/* test_weather.c - the weather source: its providers, and all that a source does for any provider. */
#include "off.h"
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "../upstream/upstream.h"

static const int64_t begin_us = INT64_C(1767225600000000), hour_us = INT64_C(3600000000);
#define PLACE "latitude", "52.5211", "longitude", "13.4049"
static const char *const open_meteo[] = { PLACE, NULL };
static const char *const openweathermap[] = { "provider", "openweathermap", "api_key", "k", PLACE, NULL };

static const struct weather_reading *last(probe_t *probe)
{
    size_t count = probe_published_count(probe, &reading_weather_contract);
    return count ? probe_published(probe, &reading_weather_contract, count - 1) : NULL;
}

static int current(probe_t *probe, struct weather_reading *reading)
{
    struct nothing nothing = { 0 };
    return probe_call(probe, &weather_current_contract, &nothing, reading);
}

static size_t forecast(probe_t *probe, struct source_query query, struct weather_slot slots[], size_t room)
{
    struct source_end end;
    assert_int_equal(probe_call(probe, &weather_forecast_contract, &query, &end), OK);
    assert_string_equal(end.provider, "open-meteo");
    size_t count = probe_rows(probe);
    for (size_t i = 0; i < count && i < room; i++)
        assert_int_equal(probe_row(probe, i, &slots[i]), 0);
    return count;
}

/* --- Open-Meteo ------------------------------------------------------------------------------------ */

static void tells_what_open_meteo_says(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    assert_string_equal(probe_fetch_url(probe), "https://api.open-meteo.com/v1/forecast");
    assert_string_equal(probe_fetching(probe, "latitude"), "52.52"); /* no house number */
    answer(probe, "open-meteo");
    const struct weather_reading *r = last(probe);
    assert_non_null(r);
    assert_true(r->temperature_c == 6.4 && r->feels_like_c == 3.1 && r->wind_ms == 4.6 && r->cloud_percent == 75);
    assert_string_equal(r->sky, "rain");
    assert_false(r->is_day);
    assert_int_equal(r->as_of, begin_us - 900 * 1000000);
    assert_int_equal(r->valid_to, begin_us);
    assert_string_equal(r->provider, "open-meteo");
    assert_non_null(strstr(r->attribution, "CC BY 4.0"));
    assert_string_equal(status(probe)->status, "ok");
    probe_destroy(&probe);
}

static void gives_the_forecast_from_now_on_in_spans(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_slot slots[6];
    answer(probe, "open-meteo");
    assert_int_equal(forecast(probe, (struct source_query){ .has_limit = true, .limit = 1000 }, slots, 6), 5);
    assert_int_equal(slots[0].from, begin_us);
    assert_int_equal(slots[0].to, begin_us + hour_us);
    assert_true(slots[0].temperature_c == 6.4);
    assert_false(slots[2].has_temperature_c); /* null stays null */
    assert_string_equal(slots[4].sky, "clear");
    struct source_query two = { .has_start_time = true, .start_time = begin_us + hour_us, .has_end_time = true, .end_time = begin_us + 3 * hour_us };
    assert_int_equal(forecast(probe, two, slots, 6), 2);
    assert_int_equal(slots[0].from, begin_us + hour_us);
    probe_destroy(&probe);
}

static void a_day_of_25_hours_has_25_spans(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_slot slots[25];
    answer(probe, "open-meteo-25h");
    struct source_query all = { .has_start_time = true, .start_time = 0 };
    assert_int_equal(forecast(probe, all, slots, 25), 25);
    for (int i = 1; i < 25; i++)
        assert_true(slots[i].from == slots[i - 1].to && slots[i].temperature_c == i);
    probe_destroy(&probe);
}

static const struct { const char *fixture; bool is_taken; double temperature; int64_t as_of_us; } table[] = {
    { "open-meteo-array", true, 6.4, -900000000 },
    { "open-meteo-local", true, 6.4, -900000000 },          /* 00:45 an hour east of UTC */
    { "open-meteo-nulls", true, 6.4, -900000000 },
    { "open-meteo-odd", true, 6.4, -900000000 },            /* a number as text; a humidity of 940 % */
    { "open-meteo-no-temperature", false, 0, 0 },
    { "open-meteo-error", false, 0, 0 },
    { "openweathermap", false, 0, 0 },
};

static void takes_what_is_right_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        probe_t *probe = begin(open_meteo);
        answer(probe, table[i].fixture);
        const struct weather_reading *r = last(probe);
        assert_int_equal(r != NULL, table[i].is_taken);
        if (r) {
            assert_true(r->temperature_c == table[i].temperature);
            assert_int_equal(r->as_of, begin_us + table[i].as_of_us);
            assert_true(!r->has_humidity_percent || r->humidity_percent == 87);
        }
        probe_destroy(&probe);
    }
}

/* --- OpenWeatherMap ---------------------------------------------------------------------------------- */

static void tells_what_openweathermap_says(void **state)
{
    (void)state;
    probe_t *probe = begin(openweathermap);
    assert_string_equal(probe_fetch_url(probe), "https://api.openweathermap.org/data/2.5/weather");
    assert_string_equal(probe_fetching(probe, "appid"), "k");
    answer(probe, "openweathermap");
    assert_string_equal(probe_fetch_url(probe), "https://api.openweathermap.org/data/2.5/forecast");
    answer(probe, "openweathermap-forecast");
    const struct weather_reading *r = last(probe);
    assert_non_null(r);
    assert_true(r->temperature_c == 6.4 && r->precipitation_mm == 0.31 && r->visibility_m == 10000 && !r->has_gust_ms && !r->is_day);
    assert_string_equal(r->sky, "rain");
    struct weather_slot slot;
    struct source_query query = { .has_limit = true, .limit = 1000 };
    assert_int_equal(probe_call(probe, &weather_forecast_contract, &query, NULL), OK);
    assert_int_equal(probe_rows(probe), 3);
    assert_int_equal(probe_row(probe, 2, &slot), 0);
    assert_true(slot.to - slot.from == 3 * hour_us && slot.precipitation_mm == 0.4 && slot.precipitation_percent == 50);
    assert_string_equal(slot.sky, "snow");
    probe_destroy(&probe);
}

static void a_forecast_that_is_not_had_costs_no_reading(void **state)
{
    (void)state;
    probe_t *probe = begin(openweathermap);
    answer(probe, "openweathermap-sparse");
    probe_fetched(probe, 500, "");
    assert_non_null(last(probe));
    assert_true(last(probe)->precipitation_mm == 0);
    assert_string_equal(status(probe)->status, "ok");
    probe_destroy(&probe);
}

static void an_error_that_comes_as_200_is_one(void **state)
{
    (void)state;
    probe_t *probe = begin(openweathermap);
    answer(probe, "openweathermap-cod-text");
    assert_null(last(probe));
    assert_string_equal(status(probe)->status, "failing");
    assert_string_equal(status(probe)->why, "cod is not 200");
    probe_destroy(&probe);
}

/* --- any provider --------------------------------------------------------------------------------------- */

struct spoiling { probe_t *probe; const char *const *settings; const char *before, *behind; };

static void take_spoilt(void *owner, const char *text)
{
    struct spoiling *self = owner;
    probe_clear(self->probe);
    assert_int_equal(probe_reload(self->probe, self->settings), 0);
    probe_tick(self->probe);
    if (self->before)
        probe_fetched(self->probe, 200, self->before);
    probe_fetched(self->probe, 200, text);
    if (self->behind && probe_fetch_url(self->probe))
        probe_fetched(self->probe, 200, self->behind);
    const struct weather_reading *r = last(self->probe); /* decoded, so within its rows */
    assert_true(!r || (r->temperature_c >= -100 && r->as_of > 0));
    assert_null(probe_fetch_url(self->probe));
}

static void spoil_all(const char *const settings[], const char *name, const char *before, const char *behind)
{
    probe_t *probe = probe_new(settings);
    char *text = fixture(name);
    struct spoiling spoiling = { probe, settings, before, behind };
    assert_true(spoil(text, take_spoilt, &spoiling) > 100);
    each_bad_body(take_spoilt, &spoiling);
    free(text);
    probe_destroy(&probe);
}

static void no_spoilt_value_becomes_a_reading_or_a_crash(void **state)
{
    (void)state;
    char *now = fixture("openweathermap");
    spoil_all(open_meteo, "open-meteo", NULL, NULL);
    spoil_all(openweathermap, "openweathermap", NULL, "{}");
    spoil_all(openweathermap, "openweathermap-forecast", now, NULL);
    free(now);
}

static void a_bad_answer_leaves_the_last_good_reading_and_tells_when_it_is_stale(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_reading r;
    char why[200];
    answer(probe, "open-meteo");
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_advance(probe, 1000 * 1000);
    probe_fetched(probe, 503, "");
    assert_int_equal(current(probe, &r), OK);
    assert_true(r.temperature_c == 6.4 && r.has_stale && !r.stale);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    for (int i = 0; i < 8; i++) {
        probe_advance(probe, 1000 * 1000);
        if (probe_fetch_url(probe))
            probe_fetch_failed(probe, "Timeout was reached");
    }
    assert_int_equal(current(probe, &r), OK);
    assert_true(r.stale);
    assert_int_equal(r.as_of, begin_us - 900 * 1000000);
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "Timeout"));
    probe_destroy(&probe);
}

static void says_unavailable_while_nothing_is_known(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_reading r;
    struct source_query query = { .has_limit = true, .limit = 1 };
    assert_int_equal(current(probe, &r), UNAVAILABLE);
    assert_int_equal(probe_call(probe, &weather_forecast_contract, &query, NULL), UNAVAILABLE);
    probe_destroy(&probe);
}

static void a_restart_asks_nobody_before_it_is_due(void **state)
{
    (void)state;
    char data[] = "/tmp/test-weather-XXXXXX";
    assert_non_null(mkdtemp(data));
    const char *const settings[] = { "data", data, PLACE, NULL }, *const elsewhere[] = { "data", data, "latitude", "1", "longitude", "1", NULL };
    probe_t *probe = begin(settings);
    answer(probe, "open-meteo");
    probe_destroy(&probe);
    probe = begin(settings);
    assert_null(probe_fetch_url(probe));
    assert_non_null(last(probe)); /* said again, to whoever has started since */
    struct weather_reading r;
    struct weather_slot slots[5];
    assert_int_equal(current(probe, &r), OK);
    assert_int_equal(forecast(probe, (struct source_query){ .has_limit = true, .limit = 9 }, slots, 5), 5);
    probe_advance(probe, 960 * 1000);
    assert_non_null(probe_fetch_url(probe));
    probe_destroy(&probe);
    probe = begin(elsewhere);
    assert_non_null(probe_fetch_url(probe)); /* it is of another place */
    assert_int_equal(current(probe, &r), UNAVAILABLE);
    probe_destroy(&probe);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void waits_until_it_is_said_where_the_home_is(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ NULL });
    assert_null(probe_fetch_url(probe));
    assert_string_equal(status(probe)->status, "waiting");
    struct home_place home = { .has_latitude = true, .latitude = -33.8688, .has_longitude = true, .longitude = 151.2093 };
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    probe_advance(probe, 1);
    assert_string_equal(probe_fetching(probe, "latitude"), "-33.87");
    assert_string_equal(probe_fetching(probe, "longitude"), "151.21");
    probe_destroy(&probe);
}

static void a_refusal_is_final_until_the_settings_change(void **state)
{
    (void)state;
    static const long refusals[] = { 400, 401, 403, 404 };
    for (size_t i = 0; i < 4; i++) {
        probe_t *probe = begin(openweathermap);
        char why[240];
        probe_fetched(probe, refusals[i], "{\"cod\":401,\"message\":\"Invalid API key\"}");
        assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
        assert_non_null(strstr(why, "weather.api_key"));
        probe_advance(probe, 7 * 86400 * 1000);
        assert_null(probe_fetch_url(probe));
        assert_false(status(probe)->has_next_poll_at);
        assert_int_equal(probe_reload(probe, openweathermap), 0);
        probe_tick(probe);
        assert_non_null(probe_fetch_url(probe));
        probe_destroy(&probe);
    }
}

static void waits_longer_after_each_failure_and_as_long_as_it_is_told(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    int64_t waits_s[4] = { 60, 120, 240, 480 };
    for (size_t i = 0; i < 4; i++) {
        probe_fetched(probe, 500, "");
        int due_ms = probe_tick_due(probe);
        assert_in_range(due_ms, waits_s[i] * 950 - 1, waits_s[i] * 1050 + 1);
        probe_advance(probe, due_ms + 1);
    }
    probe_fetched_as(probe, &(struct fetched){ .status = 429, .attempts = 1, .retry_after_s = 7200 });
    assert_in_range(probe_tick_due(probe), 7200 * 1000, 7980 * 1000);
    probe_advance(probe, 7199 * 1000);
    assert_null(probe_fetch_url(probe));
    probe_advance(probe, 800 * 1000);
    assert_non_null(probe_fetch_url(probe));
    probe_destroy(&probe);
}

static void another_provider_is_asked_at_once_and_nothing_is_known_until_it_answers(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_reading r;
    answer(probe, "open-meteo");
    assert_int_equal(probe_reload(probe, open_meteo), 0); /* the same: what is known is of it */
    probe_tick(probe);
    assert_int_equal(current(probe, &r), OK);
    assert_int_equal(probe_reload(probe, openweathermap), 0); /* while the first is being asked */
    assert_int_equal(current(probe, &r), UNAVAILABLE);
    assert_string_equal(status(probe)->status, "starting");
    answer(probe, "open-meteo"); /* its answer is not taken for the other's */
    probe_tick(probe);
    assert_string_equal(probe_fetch_url(probe), "https://api.openweathermap.org/data/2.5/weather");
    answer(probe, "openweathermap");
    answer(probe, "openweathermap-forecast");
    assert_int_equal(current(probe, &r), OK);
    assert_string_equal(r.provider, "openweathermap");
    probe_destroy(&probe);
}

static void what_has_not_changed_is_fresh_again(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    struct weather_reading r;
    answer(probe, "open-meteo");
    probe_advance(probe, 960 * 1000);
    probe_fetched(probe, 304, "");
    assert_int_equal(current(probe, &r), OK);
    assert_true(r.temperature_c == 6.4);
    assert_int_equal(r.fetched_at, begin_us + 960 * 1000000LL);
    assert_string_equal(status(probe)->status, "ok");
    probe_destroy(&probe);
}

/* --- series -------------------------------------------------------------------------------------------------- */

static void each_reading_is_handed_to_the_capture_log_once(void **state)
{
    (void)state;
    probe_t *probe = begin(open_meteo);
    answer(probe, "open-meteo");
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    assert_non_null(query);
    char *frame = strndup(query->bytes.data, query->bytes.size);
    assert_non_null(strstr(frame, "\"entity_id\":\"_weather.temperature_c\",\"state\":\"6.4\",\"attributes\":{\"unit_of_measurement\":\"°C\""));
    assert_non_null(strstr(frame, "\"last_updated\":\"2025-12-31T23:45:00.000000Z\""));
    assert_non_null(strstr(frame, "_weather.sky"));
    probe_answer(probe, &ingest_again_contract, UNAVAILABLE, NULL);
    assert_null(probe_asked(probe, &ingest_again_contract));
    probe_advance(probe, 5001);
    query = probe_asked(probe, &ingest_again_contract);
    assert_non_null(query);
    assert_int_equal(query->bytes.size, strlen(frame)); /* the same to the last byte: the same identity */
    assert_memory_equal(query->bytes.data, frame, query->bytes.size);
    probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 12 });
    probe_advance(probe, 1000 * 1000);
    answer(probe, "open-meteo");
    assert_null(probe_asked(probe, &ingest_again_contract));
    free(frame);
    probe_destroy(&probe);
}

static bool frame_says(probe_t *probe, const char *text)
{
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    return query && memmem(query->bytes.data, query->bytes.size, text, strlen(text));
}

static void store(probe_t *probe)
{
    assert_int_equal(probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 1 }), 0);
}

static void what_the_series_hold_ends_when_it_is_stale_and_where_it_is_told_no_more(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ PLACE, "stale_s", "3600", NULL });
    probe_fetched(probe, 200, "{\"current\":{\"time\":1767225600,\"temperature_2m\":6.5,\"wind_gusts_10m\":12.5}}");
    assert_true(frame_says(probe, "_weather.temperature_c\",\"state\":\"6.5\""));
    assert_true(frame_says(probe, "_weather.gust_ms\",\"state\":\"12.5\""));
    store(probe);
    probe_advance(probe, 1000 * 1000);
    probe_fetched(probe, 200, "{\"current\":{\"time\":1767226500,\"temperature_2m\":6.5}}");
    assert_true(frame_says(probe, "_weather.temperature_c\",\"state\":\"6.5\""));
    assert_true(frame_says(probe, "_weather.gust_ms\",\"state\":\"unavailable\""));
    store(probe);
    probe_advance(probe, 1000 * 1000);
    probe_fetched(probe, 500, "");
    assert_null(probe_asked(probe, &ingest_again_contract));
    probe_advance(probe, 2500 * 1000 + 1);
    assert_true(frame_says(probe, "_weather.temperature_c\",\"state\":\"unavailable\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T01:15:00.000000Z\"")); /* an hour after its moment */
    assert_false(frame_says(probe, "_weather.gust_ms"));
    store(probe);
    probe_advance(probe, 7200 * 1000);
    assert_null(probe_asked(probe, &ingest_again_contract)); /* once */
    probe_destroy(&probe);
}

/* An answer of Open-Meteo's: so many hours from the current one on; each temperature is the hour's number and `tenths`. */
static void answer_hours(probe_t *probe, int64_t now_us, int hours, int tenths)
{
    static const struct { const char *name, *form; } columns[] = {
        { "time", "%lld" }, { "temperature_2m", "%d.%d" }, { "relative_humidity_2m", "87" }, { "precipitation", "0.25" }, { "precipitation_probability", "60" },
        { "wind_speed_10m", "4.625" }, { "cloud_cover", "75.5" }, { "shortwave_radiation", "12.25" }, { "weather_code", "61" },
    };
    static char text[1 << 18];
    int64_t from_s = now_us / hour_us * 3600;
    size_t n = (size_t)sprintf(text, "{\"current\":{\"time\":%lld,\"temperature_2m\":6.4},\"hourly\":{", (long long)(now_us / 1000000));
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        n += (size_t)sprintf(text + n, "%s\"%s\":[", c ? "," : "", columns[c].name);
        for (int i = 0; i < hours; i++)
            n += c == 0 ? (size_t)sprintf(text + n, "%s%lld", i ? "," : "", (long long)(from_s + i * 3600))
                : c == 1 ? (size_t)sprintf(text + n, "%s%d.%d", i ? "," : "", (int)(from_s / 3600 - begin_us / hour_us + i) % 50, tenths)
                : (size_t)sprintf(text + n, "%s%s", i ? "," : "", columns[c].form);
        n += (size_t)sprintf(text + n, "]");
    }
    sprintf(text + n, "}}");
    probe_fetched(probe, 200, text);
}

static void a_forecast_is_kept_whole_however_long_it_is(void **state)
{
    (void)state;
    char data[] = "/tmp/test-weather-XXXXXX", command[100];
    assert_non_null(mkdtemp(data));
    const char *const settings[] = { "data", data, PLACE, NULL };
    static struct weather_slot slots[600];
    probe_t *probe = begin(settings);
    answer_hours(probe, begin_us, 600, 5);
    probe_destroy(&probe);
    probe = begin(settings);
    assert_null(probe_fetch_url(probe));
    assert_int_equal(forecast(probe, (struct source_query){ .has_limit = true, .limit = 1000 }, slots, 600), 600);
    assert_true(slots[599].temperature_c == 599 % 50 + 0.5 && slots[599].radiation_w_m2 == 12.25);
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

/* Forecasts made later than four o'clock have other tenths: which one was stored is seen. */
static void what_was_forecast_a_day_before_is_stored_when_its_time_has_come(void **state)
{
    (void)state;
    char data[] = "/tmp/test-weather-XXXXXX", command[100], states[9][40];
    assert_non_null(mkdtemp(data));
    const char *const settings[] = { "data", data, "every_s", "3600", PLACE, NULL };
    probe_t *probe = begin(settings);
    int64_t passed_ms = 0;
    int seen = 0;
    for (int i = 0; seen < 9 && passed_ms < 34 * 3600 * 1000; i++) {
        int64_t now_us = begin_us + passed_ms * 1000;
        if (probe_fetch_url(probe))
            answer_hours(probe, now_us, 72, now_us <= begin_us + 4 * hour_us ? 1 : 9);
        for (const struct again_query *query; (query = probe_asked(probe, &ingest_again_contract));) {
            char *frame = strndup(query->bytes.data, query->bytes.size);
            static const char key[] = "\"entity_id\":\"_weather.temperature_c_forecast_24h\",\"state\":\"";
            for (char *at = frame; (at = strstr(at, key)) && seen < 9; at++) {
                assert_true(passed_ms >= 24 * 3600 * 1000LL); /* not before its time */
                snprintf(states[seen++], sizeof *states, "%.4s %.13s", strstr(at, "\"state\":\"") + 9, strstr(at, "last_updated") + 15);
                assert_non_null(strstr(at, "\"unit_of_measurement\":\"°C\""));
                assert_null(strstr(frame, "humidity_percent_forecast")); /* not all of it is of use */
            }
            free(frame);
            probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 1 });
        }
        if (i == 20) { /* what has been set aside survives a kill */
            probe_destroy(&probe);
            probe = probe_new(settings);
            probe_set_now(probe, now_us);
            probe_tick(probe);
        }
        probe_advance(probe, 900 * 1000);
        passed_ms += 900 * 1000;
    }
    assert_int_equal(seen, 9);
    assert_string_equal(states[0], "24.1 2026-01-02T00");
    assert_string_equal(states[1], "25.1 2026-01-02T01");
    assert_string_equal(states[4], "28.1 2026-01-02T04"); /* a day before that hour nothing newer had been said */
    assert_string_equal(states[8], "32.9 2026-01-02T08");
    bool is_over[2] = { false, false };
    assert_int_equal(probe_reload(probe, (const char *const[]){ "data", data, "provider", "off", PLACE, NULL }), 0);
    while (probe_asked(probe, &ingest_again_contract)) { /* switched off, it stands nowhere for ever */
        is_over[0] = is_over[0] || frame_says(probe, "_weather.temperature_c\",\"state\":\"unavailable\"");
        is_over[1] = is_over[1] || frame_says(probe, "_weather.temperature_c_forecast_24h\",\"state\":\"unavailable\"");
        assert_int_equal(probe_stopped(probe), -1);
        store(probe);
        probe_advance(probe, 0);
    }
    assert_true(is_over[0] && is_over[1]);
    assert_int_equal(probe_stopped(probe), 101);
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

/* --- settings -------------------------------------------------------------------------------------------------- */

/* Nobody could be asked for a while: the value of before is not that of now. */
static void a_forecast_that_no_other_one_follows_ends_with_its_hour(void **state)
{
    (void)state;
    probe_t *probe = begin((const char *const[]){ "every_s", "3600", PLACE, NULL });
    int64_t passed_ms = 0;
    bool is_told = false, is_over = false;
    answer_hours(probe, begin_us, 25, 5); /* of it one hour is a day off */
    for (; !is_over && passed_ms < 27 * 3600 * 1000; passed_ms += 600 * 1000) {
        if (probe_fetch_url(probe))
            probe_fetched(probe, 500, "");
        while (probe_asked(probe, &ingest_again_contract)) {
            is_told = is_told || frame_says(probe, "_weather.temperature_c_forecast_24h\",\"state\":\"24.5\"");
            is_over = is_over || (frame_says(probe, "_weather.temperature_c_forecast_24h\",\"state\":\"unavailable\"")
                && frame_says(probe, "\"last_updated\":\"2026-01-02T01:00:00.000000Z\""));
            store(probe);
        }
        probe_advance(probe, 600 * 1000);
    }
    assert_true(is_told && is_over);
    probe_destroy(&probe);
}

static void settings_that_cannot_be_are_told_with_their_key(void **state)
{
    (void)state;
    static const struct { const char *const settings[5], *why; } wrong[] = {
        { { "provider", "openweathermap", NULL }, "weather.api_key" },
        { { "provider", "accuweather", NULL }, "weather.provider: \"accuweather\" is none of open-meteo, openweathermap, off" },
        { { "latitude", "52", NULL }, "weather.longitude" },
        { { "latitude", "91", NULL }, "weather.latitude" },
        { { "every_s", "1", NULL }, "weather.every_s" },
        { { "provider", "off", NULL }, "open returned 101" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(probe_new(wrong[i].settings));
        if (!strstr(probe_refused(), wrong[i].why))
            fail_msg("%s: %s", wrong[i].why, probe_refused());
    }
}

static void switched_off_it_ends_and_leaves_a_note_until_it_is_on_again(void **state)
{
    (void)state;
    char data[] = "/tmp/test-weather-XXXXXX", why[OFF_WHY], command[100];
    assert_non_null(mkdtemp(data));
    const char *const on[] = { "data", data, PLACE, NULL }, *const off[] = { "data", data, PLACE, "provider", "off", NULL };
    probe_t *probe = begin(on);
    assert_false(off_is(data, "weather", why));
    assert_int_equal(probe_reload(probe, off), 0);
    assert_int_equal(probe_stopped(probe), 101);
    assert_true(off_is(data, "weather", why));
    assert_string_equal(why, "is off: WEATHER_PROVIDER (weather.provider) turns it on at the next start, as one of: open-meteo, openweathermap");
    probe_destroy(&probe);
    probe = begin(on);
    assert_false(off_is(data, "weather", NULL));
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

/* The end was taken after that, of which nobody was told. */
static void killed_while_it_ends_and_on_again_it_is_told_again(void **state)
{
    (void)state;
    char data[] = "/tmp/test-weather-XXXXXX", command[100];
    assert_non_null(mkdtemp(data));
    const char *const on[] = { "data", data, PLACE, NULL }, *const off[] = { "data", data, PLACE, "provider", "off", NULL };
    probe_t *probe = begin(on);
    answer(probe, "open-meteo");
    store(probe);
    assert_int_equal(probe_reload(probe, off), 0);
    assert_true(frame_says(probe, "_weather.temperature_c\",\"state\":\"unavailable\""));
    probe_destroy(&probe);
    probe = begin(on);
    assert_non_null(probe_fetch_url(probe));
    probe_advance(probe, 1000);
    answer(probe, "open-meteo");
    assert_true(frame_says(probe, "_weather.temperature_c\",\"state\":\"6.4\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T00:00:01.000000Z\""));
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_open_meteo_says),
        cmocka_unit_test(gives_the_forecast_from_now_on_in_spans),
        cmocka_unit_test(a_day_of_25_hours_has_25_spans),
        cmocka_unit_test(takes_what_is_right_of_it),
        cmocka_unit_test(tells_what_openweathermap_says),
        cmocka_unit_test(a_forecast_that_is_not_had_costs_no_reading),
        cmocka_unit_test(an_error_that_comes_as_200_is_one),
        cmocka_unit_test(no_spoilt_value_becomes_a_reading_or_a_crash),
        cmocka_unit_test(a_bad_answer_leaves_the_last_good_reading_and_tells_when_it_is_stale),
        cmocka_unit_test(says_unavailable_while_nothing_is_known),
        cmocka_unit_test(a_restart_asks_nobody_before_it_is_due),
        cmocka_unit_test(waits_until_it_is_said_where_the_home_is),
        cmocka_unit_test(a_refusal_is_final_until_the_settings_change),
        cmocka_unit_test(waits_longer_after_each_failure_and_as_long_as_it_is_told),
        cmocka_unit_test(another_provider_is_asked_at_once_and_nothing_is_known_until_it_answers),
        cmocka_unit_test(what_has_not_changed_is_fresh_again),
        cmocka_unit_test(each_reading_is_handed_to_the_capture_log_once),
        cmocka_unit_test(what_the_series_hold_ends_when_it_is_stale_and_where_it_is_told_no_more),
        cmocka_unit_test(a_forecast_is_kept_whole_however_long_it_is),
        cmocka_unit_test(what_was_forecast_a_day_before_is_stored_when_its_time_has_come),
        cmocka_unit_test(a_forecast_that_no_other_one_follows_ends_with_its_hour),
        cmocka_unit_test(settings_that_cannot_be_are_told_with_their_key),
        cmocka_unit_test(switched_off_it_ends_and_leaves_a_note_until_it_is_on_again),
        cmocka_unit_test(killed_while_it_ends_and_on_again_it_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
