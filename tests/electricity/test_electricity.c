/* test_electricity.c - the electricity source: its providers, taxes, slots and tariffs. */
#include "probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "../upstream/upstream.h"
#include "electricity.h"

static const int64_t begin_us = INT64_C(1767225600000000), hour_us = INT64_C(3600000000), minute_us = INT64_C(60000000);
static const char *const awattar[] = { "provider", "awattar", "time_zone", "Europe/Berlin", NULL };
static const char *const energy_charts[] = { "provider", "energy-charts", "area", "DE-LU", NULL };
static const char *const octopus[] = { "provider", "octopus", "product", "AGILE-24-10-01", "area", "C", NULL };
static const char *const tibber[] = { "provider", "tibber", "token", "t0ken", NULL };
static const char *const entsoe[] = { "provider", "entsoe", "token", "t0ken", "area", "DE-LU", NULL };

static probe_t *begin_at(const char *const settings[], int64_t now_us)
{
    probe_t *probe = probe_new(settings);
    if (!probe)
        fail_msg("%s", probe_refused());
    probe_set_now(probe, now_us);
    probe_tick(probe);
    return probe;
}

static probe_t *begin_then(const char *const settings[]) { return begin_at(settings, begin_us); }

static const struct electricity_reading *last(probe_t *probe)
{
    size_t count = probe_published_count(probe, &reading_electricity_contract);
    return count ? probe_published(probe, &reading_electricity_contract, count - 1) : NULL;
}

/* All that is known, from the first on. */
static size_t slots_of(probe_t *probe, struct electricity_slot slots[SLOTS_MAX])
{
    struct source_query query = { .has_start_time = true, .start_time = 0, .has_limit = true, .limit = 1000 };
    struct source_end end;
    if (probe_call(probe, &electricity_forecast_contract, &query, &end) != OK)
        return 0;
    for (size_t i = 0; i < probe_rows(probe); i++)
        assert_int_equal(probe_row(probe, i, &slots[i]), 0);
    return probe_rows(probe);
}

static void assert_near(double number, double wanted)
{
    if (!(fabs(number - wanted) < 1e-9))
        fail_msg("%.12g is not %.12g", number, wanted);
}

/* --- what providers say --------------------------------------------------------------------------- */

static const double none = NAN;
static const struct fixture_case {
    const char *const *settings, *fixture;
    bool is_taken;
    double price, net, market;
    const char *currency;
    int minutes;      /* of the slot in force */
    size_t slots;
    const char *why;  /* of the status, where it is not taken */
} table[] = {
    { awattar, "awattar", true, 0.08531, 0.08531, 0.08531, "EUR", 60, 48, NULL },
    { awattar, "awattar-odd", true, 0.08531, 0.08531, 0.08531, "EUR", 60, 2, NULL },
    { awattar, "awattar-empty", false, 0, 0, 0, NULL, 0, 0, "no slot of the answer is in force now" },
    { awattar, "open-meteo-error", false, 0, 0, 0, NULL, 0, 0, "data is no array" },
    { energy_charts, "energy-charts", true, 0.07215, 0.07215, 0.07215, "EUR", 15, 99, NULL },
    { energy_charts, "energy-charts-mixed", true, 0.07215, 0.07215, 0.07215, "EUR", 15, 6, NULL },
    { energy_charts, "energy-charts-missing-row", true, 0.07215, 0.07215, 0.07215, "PLN", 15, 5, NULL },
    { energy_charts, "energy-charts-unit", false, 0, 0, 0, NULL, 0, 0, "unit is none that is known" },
    { octopus, "octopus", true, 0.22155, 0.211, none, "GBP", 30, 48, NULL },
    { octopus, "octopus-open", true, 0.25725, 0.245, none, "GBP", 73 * 60, 1, NULL },
    { octopus, "octopus-detail", false, 0, 0, 0, NULL, 0, 0, "results is no array" },
    { tibber, "tibber", true, 0.2853, none, 0.1012, "EUR", 15, 96, NULL },
    { tibber, "tibber-no-contract", false, 0, 0, 0, NULL, 0, 0, "homes have none with a contract" },
    { tibber, "tibber-errors", false, 0, 0, 0, NULL, 0, 0, "errors are told instead of prices" },
    { entsoe, "entsoe.xml", true, 0.06905, 0.06905, 0.06905, "EUR", 15, 96, NULL },
    { entsoe, "entsoe-two.xml", true, 0.06905, 0.06905, 0.06905, "EUR", 15, 48 + 12, NULL },
    { entsoe, "entsoe-prefix.xml", true, 0.06905, 0.06905, 0.06905, "EUR", 60, 3, NULL },
    { entsoe, "entsoe-acknowledgement.xml", false, 0, 0, 0, NULL, 0, 0, "says that there are no prices" },
    { entsoe, "entsoe-doctype.xml", false, 0, 0, 0, NULL, 0, 0, "is no XML that can be read" },
    { entsoe, "entsoe-currency.xml", false, 0, 0, 0, NULL, 0, 0, "no slot of the answer is in force now" },
};

static void check_price(bool has, double number, double wanted)
{
    assert_int_equal(has, !isnan(wanted));
    if (has)
        assert_near(number, wanted);
}

static void takes_from_each_provider_what_is_right(void **state)
{
    (void)state;
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    for (const struct fixture_case *c = table; c < table + sizeof table / sizeof *table; c++) {
        probe_t *probe = begin_then(c->settings);
        answer(probe, c->fixture);
        const struct electricity_reading *r = last(probe);
        if (!r != !c->is_taken || (!r && strcmp(status(probe)->why, c->why) != 0))
            fail_msg("%s: %s", c->fixture, r ? "taken" : status(probe)->why);
        assert_int_equal(slots_of(probe, slots), c->slots);
        if (r) {
            check_price(r->has_price, r->price, c->price);
            check_price(r->has_net, r->net, c->net);
            check_price(r->has_market, r->market, c->market);
            assert_string_equal(r->currency, c->currency);
            assert_int_equal(r->valid_to - r->as_of, c->minutes * minute_us);
            assert_true(r->as_of <= begin_us && r->valid_to > begin_us);
        }
        probe_destroy(&probe);
    }
    free(slots);
}

static void asks_each_provider_as_it_wants_to_be_asked(void **state)
{
    (void)state;
    probe_t *probe = begin_then(awattar);
    assert_string_equal(probe_fetch_url(probe), "https://api.awattar.de/v1/marketdata");
    assert_string_equal(probe_fetching(probe, "start"), "1767139200000");
    assert_string_equal(probe_fetching(probe, "end"), "1767484800000");
    probe_destroy(&probe);
    probe = begin_then(energy_charts);
    assert_string_equal(probe_fetching(probe, "start"), "2025-12-31");
    assert_string_equal(probe_fetching(probe, "end"), "2026-01-03");
    probe_destroy(&probe);
    probe = begin_then(octopus);
    assert_string_equal(probe_fetch_url(probe), "https://api.octopus.energy/v1/products/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C/standard-unit-rates/");
    assert_string_equal(probe_fetching(probe, "period_from"), "2025-12-31T00:00Z");
    probe_destroy(&probe);
    probe = begin_then(tibber);
    assert_string_equal(probe_fetch_url(probe), "https://api.tibber.com/v1-beta/gql");
    assert_string_equal(probe_fetching(probe, "Authorization"), "Bearer t0ken");
    assert_non_null(strstr(probe_fetch_body(probe), "QUARTER_HOURLY"));
    probe_destroy(&probe);
    probe = begin_then(entsoe);
    assert_string_equal(probe_fetching(probe, "periodStart"), "202512310000");
    assert_string_equal(probe_fetching(probe, "in_Domain"), "10Y1001A1001A82H");
    assert_string_equal(probe_fetching(probe, "securityToken"), "t0ken");
    probe_destroy(&probe);
}

static void a_step_is_what_it_is_and_a_hole_is_no_price(void **state)
{
    (void)state;
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    probe_t *probe = begin_then(energy_charts);
    answer(probe, "energy-charts-mixed");
    assert_int_equal(slots_of(probe, slots), 6);
    static const int minutes[] = { 60, 60, 15, 15, 15, 15 };
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(slots[i].to - slots[i].from, minutes[i] * minute_us);
    assert_near(slots[3].price, -0.04);
    probe_destroy(&probe);
    probe = begin_then(energy_charts);
    answer(probe, "energy-charts-missing-row"); /* 00:15 is not there */
    assert_int_equal(slots_of(probe, slots), 5);
    assert_int_equal(slots[2].to, begin_us + 15 * minute_us);
    assert_int_equal(slots[3].from, begin_us + 30 * minute_us);
    probe_destroy(&probe);
    probe = begin_then(energy_charts);
    answer(probe, "energy-charts"); /* 00:15 is null */
    slots_of(probe, slots);
    assert_int_equal(slots[4].to, begin_us + 15 * minute_us);
    assert_int_equal(slots[5].from, begin_us + 30 * minute_us);
    assert_non_null(strstr(last(probe)->licence, "SMARD"));
    probe_destroy(&probe);
    free(slots);
}

static void what_entsoe_leaves_out_is_as_before(void **state)
{
    (void)state;
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    probe_t *probe = begin_then(entsoe);
    answer(probe, "entsoe.xml");
    assert_int_equal(slots_of(probe, slots), 96);
    static const double begin_prices[] = { 0.0712, 0.0712, 0.0712, 0.06905, 0.06905, 0.06905, 0.06905, -0.0031, 0.08 };
    for (size_t i = 0; i < 96; i++)
        assert_near(slots[i].price, i < 9 ? begin_prices[i] : 0.08);
    probe_destroy(&probe);
    probe = begin_then(entsoe);
    answer(probe, "entsoe-two.xml"); /* quarters until 11:00, hours from there */
    assert_int_equal(slots_of(probe, slots), 60);
    assert_int_equal(slots[48].from, begin_us + 11 * hour_us);
    assert_int_equal(slots[48].to, begin_us + 12 * hour_us);
    assert_near(slots[48].price, 0.011);
    probe_destroy(&probe);
    free(slots);
}

static void octopus_is_asked_for_a_second_page(void **state)
{
    (void)state;
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    probe_t *probe = begin_then(octopus);
    answer(probe, "octopus-first");
    assert_string_equal(probe_fetching(probe, "page"), "2");
    answer(probe, "octopus-second");
    assert_near(last(probe)->price, 0.22155);
    assert_int_equal(slots_of(probe, slots), 6);
    probe_destroy(&probe);
    free(slots);
}

static void a_token_that_is_not_valid_is_a_refusal_also_with_200(void **state)
{
    (void)state;
    probe_t *probe = begin_then(tibber);
    answer(probe, "tibber-unauthenticated");
    assert_string_equal(status(probe)->status, "refused");
    assert_non_null(strstr(status(probe)->why, "electricity.token"));
    probe_advance(probe, 86400 * 1000);
    assert_null(probe_fetch_url(probe));
    probe_destroy(&probe);
    probe = begin_then(tibber);
    probe_fetched(probe, 200, "Too many requests, you are blocked for a while");
    assert_string_equal(status(probe)->status, "failing");
    probe_destroy(&probe);
}

static void no_data_is_no_refusal(void **state)
{
    (void)state;
    probe_t *probe = begin_then(entsoe);
    probe_fetched(probe, 400, "<Acknowledgement_MarketDocument/>");
    assert_string_equal(status(probe)->status, "failing");
    probe_advance(probe, 3700 * 1000);
    assert_non_null(probe_fetch_url(probe));
    probe_fetched(probe, 401, "");
    assert_string_equal(status(probe)->status, "refused");
    probe_destroy(&probe);
}

/* Each by a new one, which has asked nobody yet: there are quotas. */
static void take_spoilt(void *owner, const char *text)
{
    const char *const *settings = owner;
    probe_t *probe = begin_then(settings);
    probe_fetched(probe, 200, text);
    if (probe_fetch_url(probe)) /* octopus: the next page */
        probe_fetched(probe, 200, text);
    const struct electricity_reading *r = last(probe);
    assert_true(!r || (r->as_of <= begin_us && r->valid_to > begin_us));
    assert_null(probe_fetch_url(probe));
    probe_destroy(&probe);
}

static void no_spoilt_value_becomes_a_reading_or_a_crash(void **state)
{
    (void)state;
    static const struct { const char *const *settings; const char *name; } all[] = {
        { awattar, "awattar-odd" }, { energy_charts, "energy-charts-mixed" }, { octopus, "octopus-first" }, { tibber, "tibber-unauthenticated" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *text = fixture(all[i].name);
        assert_true(spoil(text, take_spoilt, (void *)all[i].settings) > 20);
        each_bad_body(take_spoilt, (void *)all[i].settings);
        free(text);
    }
}

static void no_cut_or_spoilt_xml_is_a_crash(void **state)
{
    (void)state;
    char *text = fixture("entsoe-two.xml");
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i += 7) { /* cut, and with another letter in it */
        char kept = text[i];
        text[i] = '9';
        take_spoilt((void *)entsoe, text);
        text[i] = '\0';
        take_spoilt((void *)entsoe, text);
        text[i] = kept;
    }
    each_bad_body(take_spoilt, (void *)entsoe);
    free(text);
}

/* --- the price of now ------------------------------------------------------------------------------ */

static void taxes_and_fees_make_what_is_to_be_paid_of_what_the_exchange_says(void **state)
{
    (void)state;
    const char *const settings[] = { "provider", "awattar", "factor", "1.03", "fee", "0.15", "vat_percent", "19", "fee_after_vat", "0.01", NULL };
    probe_t *probe = begin_then(settings);
    answer(probe, "awattar");
    const struct electricity_reading *r = last(probe);
    assert_near(r->market, 0.08531);
    assert_near(r->net, round((0.08531 * 1.03 + 0.15) * 1e8) / 1e8);
    assert_near(r->price, round(((0.08531 * 1.03 + 0.15) * 1.19 + 0.01) * 1e8) / 1e8);
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    slots_of(probe, slots);
    assert_near(slots[4].market, -0.0125); /* a price below nothing pays a part of the fees */
    assert_near(slots[4].price, round(((-0.0125 * 1.03 + 0.15) * 1.19 + 0.01) * 1e8) / 1e8);
    free(slots);
    probe_destroy(&probe);
}

static void the_price_changes_where_a_slot_begins_and_nobody_is_asked(void **state)
{
    (void)state;
    probe_t *probe = begin_at(awattar, begin_us + 40 * minute_us);
    answer(probe, "awattar");
    assert_int_equal(probe_published_count(probe, &reading_electricity_contract), 1);
    struct electricity_reading before = *last(probe);
    assert_int_equal(before.as_of, begin_us);
    assert_int_equal(before.next_from, begin_us + hour_us);
    assert_int_equal(before.next_to, begin_us + 2 * hour_us);
    probe_advance(probe, 20 * 60 * 1000 - 1);
    assert_int_equal(probe_published_count(probe, &reading_electricity_contract), 1);
    probe_advance(probe, 1);
    assert_int_equal(probe_published_count(probe, &reading_electricity_contract), 2);
    assert_int_equal(last(probe)->as_of, begin_us + hour_us);
    assert_near(last(probe)->price, before.next_price);
    assert_null(probe_fetch_url(probe));
    probe_destroy(&probe);
}

static void the_price_of_now_stands_in_the_homes_day(void **state)
{
    (void)state;
    probe_t *probe = begin_then(awattar);
    answer(probe, "awattar");
    const struct electricity_reading *r = last(probe);
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    slots_of(probe, slots);
    double least = 1e9, most = -1e9, sum = 0;
    int64_t rank = 1;
    for (size_t i = 0; i < 24; i++) { /* 23:00 UTC is midnight in Berlin */
        least = fmin(least, slots[i].price);
        most = fmax(most, slots[i].price);
        sum += slots[i].price;
        rank += slots[i].price < r->price;
    }
    assert_near(r->today_min, least);
    assert_near(r->today_max, most);
    assert_near(r->today_mean, sum / 24);
    assert_true(r->today_hours == 24 && r->today_known_hours == 24);
    assert_int_equal(r->rank, rank);
    assert_int_equal(r->rank_of, 24);
    probe_destroy(&probe);
    const char *const nowhere[] = { "provider", "awattar", NULL };
    probe = begin_then(nowhere);
    answer(probe, "awattar");
    assert_false(last(probe)->has_today_mean || last(probe)->has_rank); /* whose day? */
    struct home_place home = { .has_latitude = true, .latitude = 1, .has_longitude = true, .longitude = 1, .has_time_zone = true, .time_zone = "Europe/Berlin", .time_zone_size = 13 };
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    probe_advance(probe, 1);
    assert_near(last(probe)->today_mean, sum / 24);
    assert_null(probe_fetch_url(probe));
    free(slots);
    probe_destroy(&probe);
}

static void where_no_price_is_known_any_more_the_last_is_stale(void **state)
{
    (void)state;
    probe_t *probe = begin_then(entsoe);
    struct nothing nothing = { 0 };
    struct electricity_reading r;
    char why[240];
    answer(probe, "entsoe-prefix.xml"); /* 00:00 to 01:00 UTC, and an hour much later */
    assert_int_equal(probe_call(probe, &electricity_current_contract, &nothing, &r), OK);
    assert_false(r.stale);
    probe_advance(probe, 3600 * 1000 + 1);
    assert_int_equal(probe_call(probe, &electricity_current_contract, &nothing, &r), OK);
    assert_true(r.stale && r.as_of == begin_us);
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    for (int i = 0; i < 21 * 6 + 3; i++) {
        if (probe_fetch_url(probe))
            probe_fetched(probe, 500, "");
        probe_advance(probe, 600 * 1000);
    }
    assert_int_equal(probe_call(probe, &electricity_current_contract, &nothing, &r), OK);
    assert_true(!r.stale && r.as_of == begin_us + 22 * hour_us); /* it comes back with the slot */
    probe_destroy(&probe);
}

static void other_taxes_ask_again_after_a_restart(void **state)
{
    (void)state;
    char data[] = "/tmp/test-electricity-XXXXXX", command[100];
    assert_non_null(mkdtemp(data));
    const char *const settings[] = { "data", data, "provider", "awattar", "fee", "0.1", NULL }, *const others[] = { "data", data, "provider", "awattar", "fee", "0.2", NULL };
    probe_t *probe = begin_then(settings);
    answer(probe, "awattar");
    probe_destroy(&probe);
    probe = begin_then(settings);
    assert_null(probe_fetch_url(probe));
    assert_near(last(probe)->price, 0.18531);
    probe_destroy(&probe);
    probe = begin_then(others);
    assert_non_null(probe_fetch_url(probe));
    assert_null(last(probe));
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void a_price_is_a_series_in_its_currency(void **state)
{
    (void)state;
    probe_t *probe = begin_then(octopus);
    answer(probe, "octopus");
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    assert_non_null(query);
    char *frame = strndup(query->bytes.data, query->bytes.size);
    assert_non_null(strstr(frame, "\"entity_id\":\"_electricity.price\",\"state\":\"0.22155\",\"attributes\":{\"unit_of_measurement\":\"GBP/kWh\""));
    assert_null(strstr(frame, "_electricity.market"));
    free(frame);
    probe_destroy(&probe);
}

/* --- days with an hour less or more ------------------------------------------------------------------ */

static int64_t at(const char *text)
{
    int64_t at_us;
    assert_int_equal(time_read(slice_of(text), &at_us), 0);
    return at_us;
}

static void put_day(probe_t *probe, int64_t from_us, int64_t to_us)
{
    char *text = malloc(100000);
    int n = sprintf(text, "{\"data\":[");
    for (int64_t us = from_us; us < to_us; us += hour_us)
        n += sprintf(text + n, "%s{\"start_timestamp\":%lld,\"end_timestamp\":%lld,\"marketprice\":%d}", us > from_us ? "," : "",
            (long long)(us / 1000), (long long)((us + hour_us) / 1000), (int)((us - from_us) / hour_us));
    sprintf(text + n, "]}");
    probe_fetched(probe, 200, text);
    free(text);
}

static bool frame_says(probe_t *probe, const char *text)
{
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    return query && memmem(query->bytes.data, query->bytes.size, text, strlen(text));
}

static void take_frame(probe_t *probe)
{
    assert_int_equal(probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 1 }), 0);
}

/* The price of an hour is told when it has begun: it follows the one before, and nothing is unavailable in between. */
static void a_price_ends_with_its_slot_and_one_that_is_told_late_begins_with_its_own(void **state)
{
    (void)state;
    probe_t *probe = begin_then(awattar);
    put_day(probe, begin_us, begin_us + hour_us);
    assert_true(frame_says(probe, "_electricity.price"));
    take_frame(probe);
    for (int i = 0; i < 10 && !frame_says(probe, "_electricity.price\",\"state\":\"unavailable\""); i++) {
        probe_advance(probe, 360 * 1000 + 1);
        if (probe_fetch_url(probe))
            probe_fetched(probe, 500, "");
    }
    assert_true(frame_says(probe, "\"state\":\"unavailable\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T01:00:00.000000Z\""));
    take_frame(probe);
    for (int i = 0; i < 60 && !probe_fetch_url(probe); i++)
        probe_advance(probe, 60 * 1000);
    put_day(probe, begin_us, begin_us + 6 * hour_us);
    assert_true(frame_says(probe, "_electricity.price"));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T01:00:00.000001Z\""));
    take_frame(probe);
    probe_advance(probe, 3600 * 1000);
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T02:00:00.000000Z\""));
    probe_destroy(&probe);
}

static const struct { const char *zone, *noon; int hours; } days[] = {
    { "Europe/Berlin", "2026-03-29T12:00:00Z", 23 }, { "Europe/Berlin", "2026-10-25T12:00:00Z", 25 }, { "Europe/Berlin", "2026-06-01T12:00:00Z", 24 },
    { "America/New_York", "2026-03-08T17:00:00Z", 23 }, { "America/New_York", "2026-11-01T17:00:00Z", 25 },
};

static void a_day_has_as_many_hours_as_it_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        const char *const settings[] = { "provider", "awattar", "time_zone", days[i].zone, NULL };
        const char *why;
        zone_t *zone = zone_open(days[i].zone, &why);
        int64_t noon_us = at(days[i].noon), from_us = zone_day_start(zone, noon_us), to_us = zone_day_next(zone, noon_us);
        assert_int_equal(to_us - from_us, days[i].hours * hour_us);
        probe_t *probe = begin_at(settings, noon_us);
        put_day(probe, from_us, to_us);
        const struct electricity_reading *r = last(probe);
        assert_non_null(r);
        assert_int_equal(r->rank_of, days[i].hours);
        assert_true(r->today_hours == days[i].hours && r->today_known_hours == days[i].hours);
        assert_near(r->today_mean, (days[i].hours - 1) / 2000.0);
        assert_near(r->price, (double)((noon_us - from_us) / hour_us) / 1000);
        assert_int_equal(r->rank, 1 + (noon_us - from_us) / hour_us);
        zone_destroy(&zone);
        probe_destroy(&probe);
    }
}

static void a_tariff_by_local_time_keeps_to_it_on_such_days(void **state)
{
    (void)state;
    struct electricity_slot *slots = calloc(SLOTS_MAX, sizeof *slots);
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        const char *const settings[] = { "provider", "tariff", "tariff", "22:00-06:00 0.24; 0.36", "time_zone", days[i].zone, "currency", "EUR", NULL };
        const char *why;
        zone_t *zone = zone_open(days[i].zone, &why);
        int64_t noon_us = at(days[i].noon), from_us = zone_day_start(zone, noon_us), to_us = zone_day_next(zone, noon_us), cheap_us = 0, all_us = 0;
        probe_t *probe = begin_at(settings, noon_us);
        assert_null(probe_fetch_url(probe));
        assert_near(last(probe)->price, 0.36);
        assert_string_equal(last(probe)->currency, "EUR");
        size_t count = slots_of(probe, slots);
        assert_int_equal(count, 12); /* four days of three spans */
        for (size_t k = 0; k < count && slots[k].from < to_us; k++) {
            assert_int_equal(slots[k].from, k ? slots[k - 1].to : from_us);
            all_us += slots[k].to - slots[k].from;
            cheap_us += slots[k].price == 0.24 ? slots[k].to - slots[k].from : 0;
        }
        assert_int_equal(all_us, days[i].hours * hour_us);
        assert_int_equal(cheap_us, (days[i].hours - 16) * hour_us); /* the hour that is missing or doubled is at night */
        assert_near(last(probe)->today_mean, (0.24 * (days[i].hours - 16) + 0.36 * 16) / days[i].hours);
        zone_destroy(&zone);
        probe_destroy(&probe);
    }
    free(slots);
}

/* --- tariffs -------------------------------------------------------------------------------------------- */

static void a_tariff_waits_for_the_homes_zone_unless_it_is_one_price(void **state)
{
    (void)state;
    const char *const by_time[] = { "provider", "tariff", "tariff", "22:00-06:00 0.24; 0.36", NULL }, *const flat[] = { "provider", "tariff", "tariff", "0.32", NULL };
    struct home_place home = { .has_latitude = true, .latitude = 1, .has_longitude = true, .longitude = 1, .has_time_zone = true, .time_zone = "Asia/Tokyo", .time_zone_size = 10,
        .has_currency = true, .currency = "JPY", .currency_size = 3 };
    probe_t *probe = begin_then(by_time);
    assert_null(last(probe));
    assert_non_null(strstr(status(probe)->why, "electricity.time_zone"));
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    probe_advance(probe, 1);
    assert_non_null(last(probe));
    assert_near(last(probe)->price, 0.36); /* nine in the morning */
    assert_string_equal(last(probe)->currency, "JPY");
    for (int i = 0; i < 13; i++)
        probe_advance(probe, 3600 * 1000);
    assert_near(last(probe)->price, 0.24);
    for (int i = 0; i < 24 * 6; i++) /* slots are made anew before they run out */
        probe_advance(probe, 3600 * 1000);
    assert_int_equal(last(probe)->as_of, begin_us + INT64_C(6) * 24 * hour_us + 13 * hour_us);
    probe_destroy(&probe);
    probe = begin_then(flat);
    assert_near(last(probe)->price, 0.32);
    assert_false(last(probe)->has_currency || last(probe)->has_net || last(probe)->has_market);
    probe_destroy(&probe);
}

static void reads_tariffs(void **state)
{
    (void)state;
    static const struct { const char *text; int weekday, minute; double price; } good[] = {
        { "0.32", 3, 700, 0.32 }, { " -0.05 ", 0, 0, -0.05 },
        { "22:00-06:00 0.24; 0.36", 0, 359, 0.24 }, { "22:00-06:00 0.24; 0.36", 0, 360, 0.36 }, { "22:00-06:00 0.24; 0.36;", 6, 1320, 0.24 },
        { "00:00-12:00 1;12:00-24:00 2", 6, 720, 2 }, { "sat-sun 0.2; mon-fri 10:00-14:00 0.4; 0.3", 5, 700, 0.2 },
        { "sat-sun 0.2; mon-fri 10:00-14:00 0.4; 0.3", 4, 700, 0.4 }, { "fri-mon 1; 2", 0, 5, 1 }, { "fri-mon 1; 2", 1, 5, 2 },
        { "fri 22:00-06:00 1; 2", 4, 60, 1 }, { "fri 22:00-06:00 1; 2", 5, 60, 2 }, { "mon-sun 3", 2, 2, 3 },
    };
    static const char *const bad[] = { "", ";", "cheap", "0.3 0.4", "22:00-06:00 0.24", "25:00-06:00 1; 2", "22:00 1; 2", "22:00-22:00 1; 2", "22:60-23:00 1; 2", "24:00-06:00 1; 2",
        "sat- 1; 2", "mon-fri 1; sat 2", "1e9", "0.3,0.4", "1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1" };
    struct tariff tariff;
    const char *why;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (tariff_read(good[i].text, &tariff, &why))
            fail_msg("%s: %s", good[i].text, why);
        assert_near(tariff_price(&tariff, good[i].weekday, good[i].minute), good[i].price);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tariff_read(bad[i], &tariff, &why) == 0)
            fail_msg("%s is taken for a tariff", bad[i]);
}

/* --- settings -------------------------------------------------------------------------------------------- */

static void settings_that_cannot_be_are_told_with_their_key(void **state)
{
    (void)state;
    static const struct { const char *const settings[11], *why; } wrong[] = {
        { { "provider", "tibber", NULL }, "electricity.token" },
        { { "provider", "entsoe", "token", "t", NULL }, "electricity.area" },
        { { "provider", "entsoe", "token", "t", "area", "XX", NULL }, "electricity.area: is neither an EIC code" },
        { { "provider", "energy-charts", NULL }, "electricity.area" },
        { { "provider", "energy-charts", "area", "../x", NULL }, "electricity.area: is no name" },
        { { "provider", "octopus", "area", "C", NULL }, "electricity.product" },
        { { "provider", "octopus", "product", "A", "area", "I", NULL }, "electricity.area: is none of the letters" },
        { { "provider", "octopus", "product", "a/b", "area", "C", NULL }, "electricity.product" },
        { { "provider", "octopus", "product", "A", "area", "C", "vat_percent", "5", NULL }, "electricity.vat_percent" },
        { { "provider", "tariff", NULL }, "electricity.tariff" },
        { { "provider", "tariff", "tariff", "22:00-06:00 0.24", NULL }, "electricity.tariff: leaves a time without a price" },
        { { "provider", "tariff", "tariff", "0.3", "fee", "1", NULL }, "electricity.fee" },
        { { "provider", "awattar", "time_zone", "Europe/Nowhere", NULL }, "electricity.time_zone" },
        { { "provider", "awattar", "vat_percent", "119", NULL }, "electricity.vat_percent" },
        { { "provider", "nordpool", NULL }, "electricity.provider: \"nordpool\" is none of awattar, awattar-at, energy-charts, octopus, tibber, entsoe, tariff, off" },
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
        cmocka_unit_test(takes_from_each_provider_what_is_right),
        cmocka_unit_test(asks_each_provider_as_it_wants_to_be_asked),
        cmocka_unit_test(a_step_is_what_it_is_and_a_hole_is_no_price),
        cmocka_unit_test(what_entsoe_leaves_out_is_as_before),
        cmocka_unit_test(octopus_is_asked_for_a_second_page),
        cmocka_unit_test(a_token_that_is_not_valid_is_a_refusal_also_with_200),
        cmocka_unit_test(no_data_is_no_refusal),
        cmocka_unit_test(no_spoilt_value_becomes_a_reading_or_a_crash),
        cmocka_unit_test(no_cut_or_spoilt_xml_is_a_crash),
        cmocka_unit_test(taxes_and_fees_make_what_is_to_be_paid_of_what_the_exchange_says),
        cmocka_unit_test(the_price_changes_where_a_slot_begins_and_nobody_is_asked),
        cmocka_unit_test(the_price_of_now_stands_in_the_homes_day),
        cmocka_unit_test(where_no_price_is_known_any_more_the_last_is_stale),
        cmocka_unit_test(a_price_ends_with_its_slot_and_one_that_is_told_late_begins_with_its_own),
        cmocka_unit_test(other_taxes_ask_again_after_a_restart),
        cmocka_unit_test(a_price_is_a_series_in_its_currency),
        cmocka_unit_test(a_day_has_as_many_hours_as_it_has),
        cmocka_unit_test(a_tariff_by_local_time_keeps_to_it_on_such_days),
        cmocka_unit_test(a_tariff_waits_for_the_homes_zone_unless_it_is_one_price),
        cmocka_unit_test(reads_tariffs),
        cmocka_unit_test(settings_that_cannot_be_are_told_with_their_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
