/* test_airquality.c - what each provider's answer becomes. */
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "../upstream/upstream.h"

static const int64_t begin_us = INT64_C(1767225600000000), hour_us = INT64_C(3600000000);
#define PLACE "latitude", "52.5211", "longitude", "13.4049"
static const char *const model[] = { PLACE, NULL };
static const char *const airnow[] = { "provider", "airnow", "api_key", "k", PLACE, NULL };
static const char *const openaq[] = { "provider", "openaq", "api_key", "k", PLACE, NULL };

static const struct airquality_reading *last(probe_t *probe)
{
    size_t count = probe_published_count(probe, &reading_airquality_contract);
    return count ? probe_published(probe, &reading_airquality_contract, count - 1) : NULL;
}

struct expected {
    const char *const *settings, *fixtures[2];
    int aqi; /* -1: no reading */
    const char *category, *pollutant, *basis;
    int64_t as_of_hours;
    const char *status;
};
static const struct expected table[] = {
    { model, { "air" }, 71, "Moderate", "pm2_5", "nowcast", 0, "ok" },
    { model, { "air-no-hours" }, 71, "Moderate", "pm2_5", "latest", 0, "ok" },
    { model, { "air-nothing" }, -1, "", "", "", 0, "failing" },
    { model, { "open-meteo-error" }, -1, "", "", "", 0, "failing" },
    { airnow, { "airnow" }, 58, "Moderate", "pm2_5", "reported", 0, "ok" },
    { airnow, { "airnow-old" }, 44, "Good", "ozone", "reported", -1, "ok" },
    { airnow, { "airnow-unknown" }, -1, "", "", "", 0, "failing" }, /* -1 and null are not zero */
    { airnow, { "airnow-zone" }, -1, "", "", "", 0, "failing" },    /* no moment can be told */
    { airnow, { "airnow-empty" }, -1, "", "", "", 0, "failing" },
    { airnow, { "airnow-error" }, -1, "", "", "", 0, "refused" },
    { airnow, { "airnow-trouble" }, -1, "", "", "", 0, "failing" },
    { openaq, { "openaq-locations", "openaq-latest" }, 55, "Moderate", "pm2_5", "latest", -1, "ok" },
    { openaq, { "openaq-locations", "openaq-stale" }, -1, "", "", "", 0, "failing" },
};

static void every_fixture_becomes_what_it_should(void **state)
{
    (void)state;
    for (const struct expected *e = table; e < table + sizeof table / sizeof *table; e++) {
        probe_t *probe = begin(e->settings);
        for (size_t i = 0; i < 2 && e->fixtures[i]; i++)
            answer(probe, e->fixtures[i]);
        const struct airquality_reading *r = last(probe);
        if ((r ? (int)r->aqi : -1) != e->aqi || strcmp(status(probe)->status, e->status))
            fail_msg("%s: %d, %s", e->fixtures[0], r ? (int)r->aqi : -1, status(probe)->status);
        if (r) {
            assert_string_equal(r->category, e->category);
            assert_string_equal(r->pollutant, e->pollutant);
            assert_string_equal(r->basis, e->basis);
            assert_int_equal(r->as_of, begin_us + e->as_of_hours * hour_us);
        }
        probe_destroy(&probe);
    }
}

static void the_model_is_asked_and_answers_by_the_hour(void **state)
{
    (void)state;
    probe_t *probe = begin(model);
    assert_string_equal(probe_fetch_url(probe), "https://air-quality-api.open-meteo.com/v1/air-quality");
    answer(probe, "air");
    const struct airquality_reading *r = last(probe);
    assert_true(r->ozone_ug_m3 == 60 && r->european_aqi == 38 && !r->has_station && r->has_co_aqi);
    assert_non_null(strstr(r->attribution, "CAMS"));
    struct source_query query = { .has_limit = true, .limit = 1000 };
    struct airquality_slot slot;
    assert_int_equal(probe_call(probe, &airquality_forecast_contract, &query, NULL), OK);
    assert_int_equal(probe_rows(probe), 3);
    assert_int_equal(probe_row(probe, 2, &slot), 0);
    assert_true(slot.from == begin_us + 2 * hour_us && !slot.has_aqi && slot.pm2_5_ug_m3 == 20);
    probe_destroy(&probe);
}

static void airnow_says_indices_of_stations(void **state)
{
    (void)state;
    probe_t *probe = begin(airnow);
    assert_string_equal(probe_fetch_url(probe), "https://www.airnowapi.org/aq/observation/current/ziplatlong/");
    answer(probe, "airnow");
    const struct airquality_reading *r = last(probe);
    assert_true(r->pm2_5_aqi == 58 && r->ozone_aqi == 31 && !r->has_pm10_aqi && !r->has_pm2_5_ug_m3);
    assert_string_equal(r->station, "Las Vegas");
    probe_destroy(&probe);
}

static void openaq_is_the_nearest_station_that_is_alive(void **state)
{
    (void)state;
    probe_t *probe = begin(openaq);
    assert_string_equal(probe_fetching(probe, "X-API-Key"), "k");
    answer(probe, "openaq-locations");
    assert_string_equal(probe_fetch_url(probe), "https://api.openaq.org/v3/locations/42/latest");
    answer(probe, "openaq-latest");
    const struct airquality_reading *r = last(probe);
    assert_string_equal(r->station, "Mitte");
    assert_true(r->pm2_5_ug_m3 == 11.3 && !r->has_no2_ug_m3 && !r->has_pm10_ug_m3); /* -999, and one of 2021 */
    assert_true(r->ozone_ug_m3 > 68.7 && r->ozone_ug_m3 < 68.8);                    /* 0.035 ppm */
    probe_advance(probe, 1900 * 1000);
    assert_string_equal(probe_fetch_url(probe), "https://api.openaq.org/v3/locations/42/latest"); /* known by now */
    probe_destroy(&probe);
}

static void the_brief_answer_is_for_automations(void **state)
{
    (void)state;
    probe_t *probe = begin(model);
    struct nothing nothing = { 0 };
    struct aqi_brief brief;
    assert_int_equal(probe_call(probe, &airquality_brief_contract, &nothing, &brief), UNAVAILABLE);
    answer(probe, "air");
    assert_int_equal(probe_call(probe, &airquality_brief_contract, &nothing, &brief), OK);
    assert_true(brief.aqi == 71 && brief.timestamp == begin_us && !brief.stale);
    assert_string_equal(brief.category, "Moderate");
    probe_destroy(&probe);
}

struct spoiling { probe_t *probe; const char *const *settings; const char *before, *behind; };

static void take_spoilt(void *owner, const char *text)
{
    struct spoiling *self = owner;
    probe_clear(self->probe);
    assert_int_equal(probe_reload(self->probe, self->settings), 0);
    probe_tick(self->probe);
    if (self->before && strstr(probe_fetch_url(self->probe), "locations") && !strstr(probe_fetch_url(self->probe), "latest"))
        probe_fetched(self->probe, 200, self->before);
    probe_fetched(self->probe, 200, text);
    if (self->behind && probe_fetch_url(self->probe))
        probe_fetched(self->probe, 200, self->behind);
    if (probe_fetch_url(self->probe))
        probe_fetched(self->probe, 200, "{}");
    const struct airquality_reading *r = last(self->probe);
    assert_true(!r || (r->aqi >= 0 && r->aqi <= 500 && r->as_of > 0));
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
    char *stations = fixture("openaq-locations"), *latest = fixture("openaq-latest");
    spoil_all(model, "air-no-hours", NULL, NULL);
    spoil_all(airnow, "airnow", NULL, NULL);
    spoil_all(openaq, "openaq-locations", NULL, latest);
    spoil_all(openaq, "openaq-latest", stations, NULL);
    free(stations);
    free(latest);
}

static void a_key_that_is_missing_is_named(void **state)
{
    (void)state;
    assert_null(probe_new((const char *const[]){ "provider", "airnow", NULL }));
    assert_non_null(strstr(probe_refused(), "airquality.api_key"));
    assert_null(probe_new((const char *const[]){ "provider", "openaq", NULL }));
    assert_non_null(strstr(probe_refused(), "airquality.api_key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fixture_becomes_what_it_should),
        cmocka_unit_test(the_model_is_asked_and_answers_by_the_hour),
        cmocka_unit_test(airnow_says_indices_of_stations),
        cmocka_unit_test(openaq_is_the_nearest_station_that_is_alive),
        cmocka_unit_test(the_brief_answer_is_for_automations),
        cmocka_unit_test(no_spoilt_value_becomes_a_reading_or_a_crash),
        cmocka_unit_test(a_key_that_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
