/* test_carbon.c - what each provider's answer becomes, and the cleanest time. */
#include "cleanest.h"
#include "probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "../upstream/upstream.h"

static const int64_t begin_us = INT64_C(1767225600000000), minute_us = INT64_C(60000000);
static const char *const uk[] = { "provider", "uk", NULL }, *const london[] = { "provider", "uk", "zone", "13", NULL };
static const char *const maps[] = { "provider", "electricitymaps", "api_key", "k", "zone", "DE", NULL };
static const char *const watttime[] = { "provider", "watttime", "username", "me", "password", "secret", "zone", "CAISO_NORTH", NULL };

static const struct carbon_reading *last(probe_t *probe)
{
    size_t count = probe_published_count(probe, &reading_carbon_contract);
    return count ? probe_published(probe, &reading_carbon_contract, count - 1) : NULL;
}

struct expected {
    const char *const *settings, *fixtures[2];
    double grams; /* -1: no reading */
    int64_t as_of_minutes, length_minutes;
    bool is_estimated;
    size_t slots; /* from now on */
    const char *status;
};
static const struct expected table[] = {
    { uk, { "uk-intensity", "uk-generation" }, 142, 0, 30, true, 7, "ok" },
    { uk, { "uk-actual", "uk-generation-array" }, 139, 0, 30, false, 1, "ok" },
    { uk, { "uk-duplicate", "uk-empty" }, 144, 0, 30, true, 3, "ok" },
    { uk, { "uk-empty" }, -1, 0, 0, false, 0, "failing" },
    { uk, { "uk-400" }, -1, 0, 0, false, 0, "failing" },
    { uk, { "uk-past" }, -1, 0, 0, false, 0, "failing" },
    { london, { "uk-regional" }, 77, 0, 30, true, 2, "ok" },
    { london, { "uk-regional-array" }, 77, 0, 30, true, 2, "ok" },
    { maps, { "electricitymaps", "electricitymaps-mix" }, 302, -60, 60, true, 0, "ok" },
    { maps, { "electricitymaps-null" }, -1, 0, 0, false, 0, "failing" },
    { watttime, { "watttime-login", "watttime" }, 453.59237, 0, 5, true, 24, "ok" },
    { watttime, { "watttime-login", "watttime-288" }, 408.233133, 0, 5, true, 288, "ok" },
    { watttime, { "watttime-login", "watttime-units" }, -1, 0, 0, false, 0, "failing" },
    { watttime, { "watttime-login", "watttime-empty" }, -1, 0, 0, false, 0, "failing" },
};

static size_t slots_of(probe_t *probe)
{
    struct source_query query = { .has_limit = true, .limit = 1000 };
    return probe_call(probe, &carbon_forecast_contract, &query, NULL) == OK ? probe_rows(probe) : 0;
}

static void every_fixture_becomes_what_it_should(void **state)
{
    (void)state;
    for (const struct expected *e = table; e < table + sizeof table / sizeof *table; e++) {
        probe_t *probe = begin(e->settings);
        for (size_t i = 0; i < 2 && e->fixtures[i]; i++)
            answer(probe, e->fixtures[i]);
        const struct carbon_reading *r = last(probe);
        const char *name = e->fixtures[1] ? e->fixtures[1] : e->fixtures[0];
        if (fabs((r ? r->intensity_g_kwh : -1) - e->grams) > 1e-6 || strcmp(status(probe)->status, e->status) || slots_of(probe) != e->slots)
            fail_msg("%s: %g, %s, %zu slots", name, r ? r->intensity_g_kwh : -1, status(probe)->status, slots_of(probe));
        if (r) {
            assert_int_equal(r->as_of, begin_us + e->as_of_minutes * minute_us);
            assert_int_equal(r->valid_to - r->as_of, e->length_minutes * minute_us);
            assert_int_equal(r->is_estimated, e->is_estimated);
        }
        assert_null(probe_fetch_url(probe));
        probe_destroy(&probe);
    }
}

static void the_whole_of_britain_has_a_mix(void **state)
{
    (void)state;
    probe_t *probe = begin(uk);
    assert_string_equal(probe_fetch_url(probe), "https://api.carbonintensity.org.uk/intensity/2025-12-31T23:30Z/fw48h");
    answer(probe, "uk-intensity");
    assert_string_equal(probe_fetch_url(probe), "https://api.carbonintensity.org.uk/generation");
    answer(probe, "uk-generation");
    const struct carbon_reading *r = last(probe);
    assert_true(r->gas_percent == 30.2 && r->wind_percent == 34 && r->imports_percent == 12.3 && !r->has_geothermal_percent);
    assert_true(fabs(r->fossil_percent - 30.2) < 1e-9 && fabs(r->renewable_percent - 41.7) < 1e-9);
    assert_string_equal(r->kind, "average");
    assert_string_equal(r->scope, "direct");
    assert_string_equal(r->index, "moderate");
    probe_destroy(&probe);
}

static void a_region_is_asked_for_by_number_or_postcode(void **state)
{
    (void)state;
    probe_t *probe = begin(london);
    assert_string_equal(probe_fetch_url(probe), "https://api.carbonintensity.org.uk/regional/intensity/2025-12-31T23:30Z/fw48h/regionid/13");
    answer(probe, "uk-regional");
    assert_null(probe_fetch_url(probe));
    assert_string_equal(last(probe)->zone, "London");
    assert_true(last(probe)->gas_percent == 40.5 && !last(probe)->has_coal_percent); /* the parts do not add up, and are not made to */
    probe_destroy(&probe);
    probe = begin((const char *const[]){ "provider", "uk", "zone", "SW1", NULL });
    assert_string_equal(probe_fetch_url(probe), "https://api.carbonintensity.org.uk/regional/intensity/2025-12-31T23:30Z/fw48h/postcode/SW1");
    probe_destroy(&probe);
}

static void electricity_maps_has_no_forecast_but_a_mix(void **state)
{
    (void)state;
    probe_t *probe = begin(maps);
    assert_string_equal(probe_fetching(probe, "auth-token"), "k");
    assert_string_equal(probe_fetching(probe, "zone"), "DE");
    answer(probe, "electricitymaps");
    answer(probe, "electricitymaps-mix");
    const struct carbon_reading *r = last(probe);
    assert_true(fabs(r->fossil_percent - 45.2) < 1e-9 && r->renewable_percent == 53 && r->wind_percent == 40 && r->storage_percent == 2);
    assert_true(!r->has_other_percent); /* null: not reported */
    assert_string_equal(r->scope, "lifecycle");
    struct cleanest_query query = { .has_hours = true, .hours = 1 };
    assert_int_equal(probe_call(probe, &carbon_cleanest_contract, &query, NULL), UNAVAILABLE);
    probe_destroy(&probe);
}

static void a_mix_that_is_unknown_is_left_out(void **state)
{
    (void)state;
    probe_t *probe = begin(maps);
    answer(probe, "electricitymaps");
    probe_fetched(probe, 403, "{}");
    const struct carbon_reading *r = last(probe);
    assert_true(r && !r->has_fossil_percent && !r->has_renewable_percent);
    probe_destroy(&probe);
}

/* --- WattTime's login ------------------------------------------------------------------------------------ */

static void logs_in_and_keeps_its_token_for_half_an_hour(void **state)
{
    (void)state;
    probe_t *probe = begin(watttime);
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/login");
    answer(probe, "watttime-login");
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/v3/forecast");
    assert_string_equal(probe_fetching(probe, "Authorization"), "Bearer a.b.c");
    assert_string_equal(probe_fetching(probe, "signal_type"), "co2_moer");
    answer(probe, "watttime");
    assert_string_equal(last(probe)->kind, "marginal");
    assert_false(last(probe)->has_renewable_percent);
    probe_advance(probe, 950 * 1000);
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/v3/forecast");
    answer(probe, "watttime");
    probe_advance(probe, 950 * 1000);
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/login");
    probe_destroy(&probe);
}

static void a_token_that_has_run_out_is_asked_for_again_once(void **state)
{
    (void)state;
    probe_t *probe = begin(watttime);
    answer(probe, "watttime-login");
    probe_fetched(probe, 401, "{}");
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/login");
    answer(probe, "watttime-login");
    answer(probe, "watttime");
    assert_non_null(last(probe));
    probe_destroy(&probe);
    probe = begin(watttime);
    answer(probe, "watttime-login");
    probe_fetched(probe, 401, "{}");
    answer(probe, "watttime-login");
    probe_fetched(probe, 401, "{}");
    assert_string_equal(status(probe)->status, "refused");
    assert_non_null(strstr(status(probe)->why, "carbon.password"));
    probe_destroy(&probe);
}

static void a_login_that_fails_once_is_tried_again(void **state)
{
    (void)state;
    probe_t *probe = begin(watttime);
    probe_fetched(probe, 503, "");
    assert_string_equal(status(probe)->status, "failing");
    probe_advance(probe, 70 * 1000);
    assert_string_equal(probe_fetch_url(probe), "https://api.watttime.org/login");
    probe_destroy(&probe);
}

/* --- the cleanest time --------------------------------------------------------------------------------------- */

static int cleanest(probe_t *probe, double hours, int64_t done_by_minutes, struct cleanest_reply *reply)
{
    struct cleanest_query query = { .has_hours = true, .hours = hours };
    if (done_by_minutes)
        SET(&query, end_time, begin_us + done_by_minutes * minute_us);
    return probe_call(probe, &carbon_cleanest_contract, &query, reply);
}

static void finds_the_cleanest_time_that_is_long_enough(void **state)
{
    (void)state;
    probe_t *probe = begin(uk);
    struct cleanest_reply reply;
    answer(probe, "uk-intensity"); /* from 00:00 on by half-hours: 142 120 80 60 60 90 200 */
    answer(probe, "uk-generation");
    assert_int_equal(cleanest(probe, 1, 0, &reply), OK);
    assert_int_equal(reply.from, begin_us + 90 * minute_us);
    assert_true(reply.intensity_g_kwh == 60 && reply.now_g_kwh == 131);
    assert_int_equal(cleanest(probe, 1.25, 0, &reply), OK); /* a quarter more at its cheaper end */
    assert_int_equal(reply.from, begin_us + 75 * minute_us);
    assert_true(fabs(reply.intensity_g_kwh - 64) < 1e-9);
    assert_int_equal(cleanest(probe, 1, 90, &reply), OK); /* done by 01:30 */
    assert_int_equal(reply.to, begin_us + 90 * minute_us);
    assert_true(reply.intensity_g_kwh == 100);
    assert_string_equal(reply.provider, "uk");
    assert_int_equal(cleanest(probe, 4, 0, &reply), NOT_FOUND);
    probe_destroy(&probe);
}

static void a_hole_in_the_forecast_is_in_no_window(void **state)
{
    (void)state;
    probe_t *probe = begin(watttime);
    struct cleanest_reply reply;
    answer(probe, "watttime-login");
    answer(probe, "watttime"); /* one hour, an hour of nothing, one hour of 500 lb */
    assert_int_equal(cleanest(probe, 1, 0, &reply), OK);
    assert_int_equal(reply.from, begin_us + 120 * minute_us);
    assert_true(fabs(reply.intensity_g_kwh - 226.796185) < 1e-6);
    assert_int_equal(cleanest(probe, 1.5, 0, &reply), NOT_FOUND);
    probe_destroy(&probe);
}

/* --- the rest ------------------------------------------------------------------------------------------------------- */

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
    const struct carbon_reading *r = last(self->probe);
    assert_true(!r || (r->intensity_g_kwh >= 0 && r->as_of > 0));
    assert_null(probe_fetch_url(self->probe));
}

static void spoil_all(const char *const settings[], const char *name, const char *before, const char *behind)
{
    probe_t *probe = probe_new(settings);
    char *text = fixture(name), *first = before ? fixture(before) : NULL, *second = behind ? fixture(behind) : NULL;
    struct spoiling spoiling = { probe, settings, first, second };
    assert_true(spoil(text, take_spoilt, &spoiling) > 10);
    each_bad_body(take_spoilt, &spoiling);
    free(text), free(first), free(second);
    probe_destroy(&probe);
}

static void no_spoilt_value_becomes_a_reading_or_a_crash(void **state)
{
    (void)state;
    spoil_all(uk, "uk-intensity", NULL, "uk-generation");
    spoil_all(uk, "uk-generation", "uk-intensity", NULL);
    spoil_all(london, "uk-regional", NULL, NULL);
    spoil_all(maps, "electricitymaps", NULL, "electricitymaps-mix");
    spoil_all(maps, "electricitymaps-mix", "electricitymaps", NULL);
    spoil_all(watttime, "watttime", "watttime-login", NULL);
    spoil_all(watttime, "watttime-login", NULL, "watttime");
}

static void settings_that_cannot_be_are_told_with_their_key(void **state)
{
    (void)state;
    static const struct { const char *const settings[9], *why; } wrong[] = {
        { { "provider", "electricitymaps", "zone", "DE", NULL }, "carbon.api_key" },
        { { "provider", "electricitymaps", "api_key", "k", NULL }, "carbon.zone" },
        { { "provider", "watttime", "username", "me", "zone", "X", NULL }, "carbon.password" },
        { { "provider", "uk", "zone", "18", NULL }, "carbon.zone" },
        { { "provider", "uk", "zone", "SW1/..", NULL }, "carbon.zone" },
        { { NULL }, "open returned 101" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(probe_new(wrong[i].settings));
        if (!strstr(probe_refused(), wrong[i].why))
            fail_msg("%s: %s", wrong[i].why, probe_refused());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fixture_becomes_what_it_should),
        cmocka_unit_test(the_whole_of_britain_has_a_mix),
        cmocka_unit_test(a_region_is_asked_for_by_number_or_postcode),
        cmocka_unit_test(electricity_maps_has_no_forecast_but_a_mix),
        cmocka_unit_test(a_mix_that_is_unknown_is_left_out),
        cmocka_unit_test(logs_in_and_keeps_its_token_for_half_an_hour),
        cmocka_unit_test(a_token_that_has_run_out_is_asked_for_again_once),
        cmocka_unit_test(a_login_that_fails_once_is_tried_again),
        cmocka_unit_test(finds_the_cleanest_time_that_is_long_enough),
        cmocka_unit_test(a_hole_in_the_forecast_is_in_no_window),
        cmocka_unit_test(no_spoilt_value_becomes_a_reading_or_a_crash),
        cmocka_unit_test(settings_that_cannot_be_are_told_with_their_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
