/* test_past.c - the readings in force at an event's own time: heard, loaded, asked for; the time of day. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "here.h"
#include "probe.h"
#include "readings.h"

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z, where the probe begins */
#define MINUTE_US INT64_C(60000000)
#define HOUR_US INT64_C(3600000000)
#define DAY_US INT64_C(86400000000)

/* --- saying things ---------------------------------------------------------------------------------- */

static probe_t *open_probe(void)
{
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_non_null(probe);
    probe_connected(probe, true);
    struct registry_mark m = { .has_session = true, .session = 1, .has_registry_changes = true, .has_partial = true, .has_at = true };
    assert_int_equal(probe_deliver(probe, &registry_mark_contract, &m), OK);
    return probe;
}

static void say_weather(probe_t *probe, int64_t as_of_us, double temperature)
{
    struct weather_reading m = { .has_temperature_c = true, .temperature_c = temperature, .has_as_of = true, .as_of = as_of_us,
        .has_fetched_at = true, .fetched_at = as_of_us + MINUTE_US };
    SET_TEXT(&m, sky, "rain", 4);
    SET_TEXT(&m, attribution, "Somebody", 8);
    assert_int_equal(probe_deliver(probe, &reading_weather_contract, &m), OK);
}

static void say_price(probe_t *probe, int64_t as_of_us, int64_t valid_to_us, double price)
{
    struct electricity_reading m = { .has_price = true, .price = price, .has_as_of = true, .as_of = as_of_us, .has_valid_to = true, .valid_to = valid_to_us };
    SET_TEXT(&m, currency, "EUR", 3);
    assert_int_equal(probe_deliver(probe, &reading_electricity_contract, &m), OK);
}

static int deliver(probe_t *probe, const char *entity, int64_t at_us, const char *provenance)
{
    static int64_t place;
    char when[TIME_TEXT], text[1000];
    time_text(at_us, when);
    snprintf(text, sizeof text, "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"%s\",\"old_state\":null,\"new_state\":{\"entity_id\":\"%s\","
        "\"state\":\"1\",\"attributes\":{},\"last_changed\":\"%s\",\"last_updated\":\"%s\"}},\"origin\":\"LOCAL\",\"time_fired\":\"%s\"}", entity, entity, when, when, when);
    struct event_raw raw = { .has_event = true, .event = slice_of(text), .has_place = true, .place = ++place, .has_received_at = true,
        .received_at = NOW_US, .has_session = true, .session = 1 };
    SET_TEXT(&raw, provenance, provenance, strlen(provenance));
    probe_clear(probe);
    return probe_deliver(probe, &event_raw_contract, &raw);
}

static const struct event_full *last(probe_t *probe)
{
    size_t count = probe_published_count(probe, &event_full_contract);
    return count > 0 ? probe_published(probe, &event_full_contract, count - 1) : NULL;
}

static const struct event_full *enrich(probe_t *probe, int64_t at_us)
{
    assert_int_equal(deliver(probe, "sensor.a", at_us, "backfill"), OK);
    assert_non_null(last(probe));
    return last(probe);
}

static void assert_json(bool has, struct slice json, const char *expected)
{
    if (!expected) {
        assert_false(has);
        return;
    }
    assert_true(has);
    if (json.size != strlen(expected) || memcmp(json.data, expected, json.size))
        fail_msg("%.*s is not %s", (int)json.size, (const char *)json.data, expected);
}
#define ASSERT_JSON(event, member, expected) \
    do { \
        const struct event_full *full = (event); \
        assert_json(full->has_##member, full->member, expected); \
    } while (0)

/* --- what query says ------------------------------------------------------------------------------------ */

static const char *asked(probe_t *probe)
{
    const struct points_query *q = probe_asked(probe, &points_find_contract);
    return q ? q->ids : NULL;
}

static void answer(probe_t *probe, int verdict)
{
    struct page end = { .has_count = true, .has_limit = true };
    assert_int_equal(probe_answer(probe, &points_find_contract, verdict, verdict == OK ? &end : NULL), 0);
}

static void add_number(probe_t *probe, const char *entity, int64_t at_us, double value, const char *unit)
{
    struct point point = { .has_time = true, .time = at_us, .has_value = true, .value = value };
    SET(&point, entity_id, slice_of(entity));
    if (unit)
        SET(&point, unit, slice_of(unit));
    probe_add_row(probe, &points_find_contract, &point);
}

static void add_text(probe_t *probe, const char *entity, int64_t at_us, const char *text)
{
    struct point point = { .has_time = true, .time = at_us };
    SET(&point, entity_id, slice_of(entity));
    SET(&point, state, slice_of(text));
    probe_add_row(probe, &points_find_contract, &point);
}

#define METER "_smartmeter.power_w,_smartmeter.import_kwh,_smartmeter.export_kwh"

/* Nothing is stored but the weather (and, where it is wanted, prices) from `first_us` on. */
static void answer_firsts(probe_t *probe, int64_t first_us, bool has_prices)
{
    assert_string_equal(asked(probe), "_weather.temperature_c");
    add_number(probe, "_weather.temperature_c", first_us, 1, "°C");
    answer(probe, OK);
    assert_string_equal(asked(probe), "_carbon.intensity_g_kwh");
    answer(probe, OK);
    assert_string_equal(asked(probe), "_electricity.price");
    if (has_prices)
        add_number(probe, "_electricity.price", first_us, 0.1, "EUR/kWh");
    answer(probe, OK);
    assert_string_equal(asked(probe), "_airquality.aqi");
    answer(probe, OK);
    assert_string_equal(asked(probe), "_calendar.confidence");
    answer(probe, OK);
    assert_string_equal(asked(probe), METER);
    answer(probe, OK);
}

static void answer_weather(probe_t *probe, int64_t at_us, double temperature)
{
    assert_non_null(strstr(asked(probe), "_weather.sky,_weather.temperature_c,"));
    add_text(probe, "_weather.sky", at_us, "snow");
    add_number(probe, "_weather.temperature_c", at_us, temperature, "°C");
    answer(probe, OK);
}

static size_t hand_over_again(probe_t *probe)
{
    assert_int_equal(probe_again_due(probe), 0);
    probe_clear(probe);
    probe_advance(probe, 1);
    return probe_published_count(probe, &event_full_contract);
}

/* --- heard --------------------------------------------------------------------------------------------------- */

static void an_event_carries_what_was_in_force_at_its_own_time(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    ASSERT_JSON(enrich(probe, NOW_US), weather, NULL);
    say_weather(probe, NOW_US - 20 * MINUTE_US, -3.25);
    say_weather(probe, NOW_US, 6);
    const struct event_full *e = enrich(probe, NOW_US - 1);
    ASSERT_JSON(e, weather, "{\"sky\":\"rain\",\"temperature_c\":-3.25,\"as_of\":\"2025-12-31T23:40:00.000000Z\"}");
    ASSERT_JSON(e, carbon, NULL);
    ASSERT_JSON(e, price, NULL);
    ASSERT_JSON(e, air, NULL);
    ASSERT_JSON(enrich(probe, NOW_US), weather, "{\"sky\":\"rain\",\"temperature_c\":6,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    probe_destroy(&probe);
}

static void what_is_too_old_is_missing(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    say_weather(probe, NOW_US, 6);
    assert_true(enrich(probe, NOW_US + 90 * MINUTE_US)->has_weather);
    assert_false(enrich(probe, NOW_US + 90 * MINUTE_US + 1)->has_weather);
    struct source_row row = { .has_as_of = true, .as_of = NOW_US, .has_stale_at = true, .stale_at = NOW_US + 2 * HOUR_US };
    SET_TEXT(&row, source, "weather", 7);
    SET_TEXT(&row, provider, "x", 1);
    SET_TEXT(&row, status, "ok", 2);
    assert_int_equal(probe_deliver(probe, &source_status_contract, &row), OK);
    assert_true(enrich(probe, NOW_US + 2 * HOUR_US)->has_weather);
    assert_false(enrich(probe, NOW_US + 2 * HOUR_US + 1)->has_weather);
    say_price(probe, NOW_US, NOW_US + 15 * MINUTE_US, -0.012);
    ASSERT_JSON(enrich(probe, NOW_US + 15 * MINUTE_US - 1), price, "{\"price\":-0.012,\"currency\":\"EUR\",\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    assert_false(enrich(probe, NOW_US + 15 * MINUTE_US)->has_price);
    probe_destroy(&probe);
}

static void a_sources_own_series_and_other_events_go_without(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    say_weather(probe, NOW_US, 6);
    assert_int_equal(deliver(probe, "_weather.temperature_c", NOW_US, "live"), OK);
    assert_false(last(probe)->has_weather);
    assert_int_equal(deliver(probe, "_weather.temperature_c", NOW_US - 9 * DAY_US, "live"), OK);
    assert_false(last(probe)->has_weather);
    assert_int_equal(deliver(probe, "weather.home", NOW_US, "live"), OK);
    assert_true(last(probe)->has_weather);
    probe_destroy(&probe);
}

/* --- loaded, asked for ------------------------------------------------------------------------------------------ */

static void the_day_before_is_loaded_at_the_start_and_who_needs_it_waits(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    assert_int_equal(deliver(probe, "sensor.a", NOW_US - 3 * HOUR_US, "backfill"), HOLD);
    assert_int_equal(deliver(probe, "sensor.b", NOW_US - 2 * MINUTE_US, "live"), HOLD);
    assert_int_equal(deliver(probe, "sensor.c", NOW_US - MINUTE_US, "live"), OK); /* of now: it waits for nobody */
    answer_firsts(probe, NOW_US - 30 * DAY_US, false);
    assert_int_equal(((const struct points_query *)probe_asked(probe, &points_find_contract))->from, NOW_US - DAY_US - 90 * MINUTE_US);
    answer_weather(probe, NOW_US - 3 * HOUR_US - 15 * MINUTE_US, 2.5);
    assert_int_equal(hand_over_again(probe), 2);
    ASSERT_JSON((const struct event_full *)probe_published(probe, &event_full_contract, 0), weather,
        "{\"sky\":\"snow\",\"temperature_c\":2.5,\"as_of\":\"2025-12-31T20:45:00.000000Z\"}");
    assert_false(last(probe)->has_weather); /* it is too old by then */
    assert_int_equal(probe_held(probe), 0);
    assert_null(asked(probe));
    assert_true(enrich(probe, NOW_US - 3 * HOUR_US)->has_weather);
    probe_destroy(&probe);
}

static probe_t *open_loaded(bool has_prices)
{
    probe_t *probe = open_probe();
    answer_firsts(probe, NOW_US - 30 * DAY_US, has_prices);
    answer_weather(probe, NOW_US - MINUTE_US, 2.5);
    if (has_prices)
        answer(probe, OK);
    probe_advance(probe, 1);
    assert_null(asked(probe));
    return probe;
}

static void a_day_of_long_ago_is_asked_for_once(void **state)
{
    (void)state;
    probe_t *probe = open_loaded(true);
    int64_t noon_us = NOW_US - 5 * DAY_US - 12 * HOUR_US;
    assert_int_equal(deliver(probe, "sensor.a", noon_us, "import"), HOLD);
    assert_int_equal(deliver(probe, "sensor.b", noon_us + 20 * MINUTE_US, "import"), HOLD);
    assert_int_equal(deliver(probe, "sensor.c", NOW_US, "live"), OK);
    assert_int_equal(deliver(probe, "sensor.d", NOW_US - 31 * DAY_US, "import"), OK); /* before there was anything: nobody is asked */
    assert_false(last(probe)->has_weather);
    answer_weather(probe, noon_us, 8);
    assert_int_equal(probe_again_due(probe), -1); /* the prices are not there yet */
    add_number(probe, "_electricity.price", noon_us - 15 * MINUTE_US, 0.2, "EUR/kWh");
    add_number(probe, "_electricity.price", noon_us, 0.3, "EUR/kWh");
    answer(probe, OK);
    assert_int_equal(hand_over_again(probe), 2);
    const struct event_full *first = probe_published(probe, &event_full_contract, 0);
    ASSERT_JSON(first, weather, "{\"sky\":\"snow\",\"temperature_c\":8,\"as_of\":\"2025-12-26T12:00:00.000000Z\"}");
    ASSERT_JSON(first, price, "{\"price\":0.3,\"currency\":\"EUR\",\"as_of\":\"2025-12-26T12:00:00.000000Z\"}");
    assert_true(last(probe)->has_weather && !last(probe)->has_price); /* its slot is over */
    assert_null(asked(probe));
    assert_true(enrich(probe, noon_us + HOUR_US)->has_weather); /* the same day: it is known */
    assert_null(asked(probe));
    probe_destroy(&probe);
}

/* Who is at home changes a few times a day: it holds until something else is said, which may be that nothing is known. */
static void who_was_at_home_comes_out_of_the_series(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    for (int i = 0; i < 4; i++)
        answer(probe, OK);
    int64_t morning_us = NOW_US - 5 * DAY_US - 16 * HOUR_US;
    assert_string_equal(asked(probe), "_calendar.confidence");
    add_number(probe, "_calendar.confidence", NOW_US - 30 * DAY_US, 0.5, NULL);
    answer(probe, OK);
    answer(probe, OK); /* the meter has never said anything */
    answer(probe, OK); /* of the day before: nothing */
    assert_int_equal(deliver(probe, "sensor.a", morning_us + 4 * HOUR_US, "import"), HOLD);
    assert_int_equal(deliver(probe, "sensor.b", morning_us + 8 * HOUR_US, "import"), HOLD);
    assert_non_null(strstr(asked(probe), "_calendar.state,_calendar.occupied,"));
    add_text(probe, "_calendar.state", morning_us, "away");
    add_number(probe, "_calendar.occupied", morning_us, 0, NULL);
    add_text(probe, "_calendar.state", morning_us + 5 * HOUR_US, "unknown");
    add_text(probe, "_calendar.occupied", morning_us + 5 * HOUR_US, "unknown");
    add_number(probe, "_calendar.confidence", morning_us + 5 * HOUR_US, 0.5, NULL);
    answer(probe, OK);
    assert_int_equal(hand_over_again(probe), 2);
    ASSERT_JSON((const struct event_full *)probe_published(probe, &event_full_contract, 0), occupancy,
        "{\"state\":\"away\",\"occupied\":false,\"as_of\":\"2025-12-26T08:00:00.000000Z\"}");
    ASSERT_JSON(last(probe), occupancy, "{\"confidence\":0.5,\"as_of\":\"2025-12-26T13:00:00.000000Z\"}");
    probe_destroy(&probe);
}

/* --- the meter ----------------------------------------------------------------------------------------------------- */

static void say_meter(probe_t *probe, int64_t as_of_us, double watts)
{
    struct smartmeter_reading m = { .has_power_w = watts >= 0, .power_w = watts, .has_as_of = true, .as_of = as_of_us, .has_phantom_w = true, .phantom_w = 50 };
    assert_int_equal(probe_deliver(probe, &reading_smartmeter_contract, &m), OK);
}

static void say_meter_lasts(probe_t *probe, int64_t as_of_us, int64_t lasts_us)
{
    struct source_row row = { .has_as_of = true, .as_of = as_of_us, .has_stale_at = true, .stale_at = as_of_us + lasts_us };
    SET_TEXT(&row, source, "smartmeter", 10);
    SET_TEXT(&row, provider, "p1", 2);
    SET_TEXT(&row, status, "ok", 2);
    assert_int_equal(probe_deliver(probe, &source_status_contract, &row), OK);
}

static void of_the_meter_counts_what_was_in_force_when_the_five_minutes_began(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    const int64_t step_us = 5 * MINUTE_US, second_us = MINUTE_US / 60;
    say_meter_lasts(probe, NOW_US, MINUTE_US);
    for (int second = -70; second <= 290; second++)
        say_meter(probe, NOW_US + second * second_us, 500 + second);
    ASSERT_JSON(enrich(probe, NOW_US - 1), meter, NULL); /* nothing had been said when those five minutes began */
    ASSERT_JSON(enrich(probe, NOW_US), meter, "{\"power_w\":500,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US + step_us - 1), meter, "{\"power_w\":500,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US + step_us), meter, "{\"power_w\":790,\"as_of\":\"2026-01-01T00:05:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US + 2 * step_us), meter, NULL); /* it is stale by then */
    say_meter_lasts(probe, NOW_US, HOUR_US);
    ASSERT_JSON(enrich(probe, NOW_US + 2 * step_us), meter, "{\"power_w\":790,\"as_of\":\"2026-01-01T00:10:00.000000Z\"}");
    say_meter(probe, NOW_US + step_us - MINUTE_US, 1); /* the source has begun anew, with what was on the disk */
    ASSERT_JSON(enrich(probe, NOW_US + step_us), meter, "{\"power_w\":790,\"as_of\":\"2026-01-01T00:05:00.000000Z\"}");
    say_meter(probe, NOW_US + step_us + second_us, -1); /* power is not known any more */
    ASSERT_JSON(enrich(probe, NOW_US + step_us), meter, "{\"power_w\":790,\"as_of\":\"2026-01-01T00:05:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US + 2 * step_us), meter, NULL);
    assert_int_equal(deliver(probe, "_smartmeter.power_w", NOW_US, "live"), OK);
    assert_false(last(probe)->has_meter);
    probe_destroy(&probe);
}

static void add_step(probe_t *probe, const char *entity, int64_t at_us, double value)
{
    struct point point = { .has_start = true, .start = at_us, .has_first = value >= 0, .first = value };
    SET(&point, entity_id, slice_of(entity));
    probe_add_row(probe, &points_find_contract, &point);
}

static void the_meter_says_the_same_whether_it_was_heard_or_comes_out_of_its_series(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    const int64_t step_us = 5 * MINUTE_US;
    for (int i = 0; i < 5; i++)
        answer(probe, OK);
    assert_string_equal(asked(probe), METER);
    add_number(probe, "_smartmeter.power_w", NOW_US - 30 * DAY_US, 0.5, NULL);
    answer(probe, OK);
    const struct points_query *q = probe_asked(probe, &points_find_contract);
    assert_true(q->from == NOW_US - DAY_US && strcmp(q->ids, METER) == 0 && strcmp(q->step, "5m") == 0 && strcmp(q->stat, "first") == 0);
    say_meter(probe, NOW_US - step_us - 1, 321); /* as it stands when we come */
    for (int i = 3; i >= 0; i--)
        add_step(probe, "_smartmeter.power_w", NOW_US - i * step_us, i == 2 ? -1 : 100 + i);
    for (int i = 3; i >= 0; i--)
        add_step(probe, "_smartmeter.import_kwh", NOW_US - i * step_us, i == 2 ? -1 : 7.5);
    answer(probe, OK);
    ASSERT_JSON(enrich(probe, NOW_US - 3 * step_us), meter, "{\"power_w\":103,\"import_kwh\":7.5,\"as_of\":\"2025-12-31T23:45:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US - 2 * step_us + 7), meter, NULL); /* it was not there */
    ASSERT_JSON(enrich(probe, NOW_US - step_us + 7), meter, "{\"power_w\":321,\"as_of\":\"2025-12-31T23:55:00.000000Z\"}");
    ASSERT_JSON(enrich(probe, NOW_US + 7), meter, "{\"power_w\":321,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    int64_t noon_us = NOW_US - 5 * DAY_US - 12 * HOUR_US;
    assert_int_equal(deliver(probe, "sensor.a", noon_us + step_us + 1, "import"), HOLD);
    q = probe_asked(probe, &points_find_contract);
    assert_true(q->from == noon_us - 12 * HOUR_US && q->to == noon_us + 12 * HOUR_US && strcmp(q->step, "5m") == 0);
    add_step(probe, "_smartmeter.power_w", noon_us + step_us, 4);
    answer(probe, OK);
    assert_int_equal(hand_over_again(probe), 1);
    ASSERT_JSON(last(probe), meter, "{\"power_w\":4,\"as_of\":\"2025-12-26T12:05:00.000000Z\"}");
    assert_false(enrich(probe, noon_us + 2 * step_us)->has_meter);
    probe_destroy(&probe);
}

static void more_days_than_are_kept_come_one_after_the_other(void **state)
{
    (void)state;
    probe_t *probe = open_loaded(false);
    enum { DAYS = 12 };
    size_t published = 0;
    for (int i = 0; i < DAYS; i++)
        assert_int_equal(deliver(probe, "sensor.a", NOW_US - (20 - i) * DAY_US, "import"), HOLD);
    for (int i = 0; i < DAYS; i++) {
        answer_weather(probe, ((const struct points_query *)probe_asked(probe, &points_find_contract))->to - DAY_US, i);
        published += hand_over_again(probe);
        assert_true(last(probe)->has_weather);
    }
    assert_int_equal(published, DAYS);
    assert_int_equal(probe_held(probe), 0);
    probe_destroy(&probe);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    probe_t *probe = open_loaded(false);
    int64_t then_us = NOW_US - 5 * DAY_US;
    assert_int_equal(deliver(probe, "sensor.a", then_us, "import"), HOLD);
    answer(probe, NO_OWNER);
    for (int i = 0; i < 3; i++) { /* asked again and again, and sooner than it could matter */
        probe_advance(probe, 3000);
        assert_non_null(asked(probe));
        answer(probe, TOO_LATE);
    }
    probe_clear(probe);
    probe_advance(probe, 1001);
    probe_advance(probe, 1);
    assert_int_equal(probe_held(probe), 0);
    assert_int_equal(probe_published_count(probe, &event_full_contract), 1);
    assert_false(last(probe)->has_weather);
    assert_int_equal(deliver(probe, "sensor.b", then_us, "import"), OK); /* it is known that nobody answers */
    assert_true(probe_logged(probe, "stored without them"));
    probe_advance(probe, 3000);
    answer_weather(probe, then_us, 4);
    assert_true(enrich(probe, then_us)->has_weather);
    probe_destroy(&probe);
}

static void after_a_loss_of_the_broker_the_day_before_is_loaded_anew(void **state)
{
    (void)state;
    probe_t *probe = open_loaded(false);
    probe_connected(probe, false);
    probe_advance(probe, 2 * 3600 * 1000);
    probe_connected(probe, true);
    assert_int_equal(deliver(probe, "sensor.a", NOW_US + HOUR_US, "backfill"), HOLD);
    answer_weather(probe, NOW_US + HOUR_US - MINUTE_US, 7);
    assert_int_equal(hand_over_again(probe), 1);
    assert_true(last(probe)->has_weather);
    probe_destroy(&probe);
}

static void many_that_wait_leave_room_for_others(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "window_messages", "8", NULL });
    assert_non_null(probe);
    probe_connected(probe, true);
    struct registry_mark m = { .has_session = true, .session = 1, .has_registry_changes = true, .has_partial = true, .has_at = true };
    assert_int_equal(probe_deliver(probe, &registry_mark_contract, &m), OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(deliver(probe, "sensor.a", NOW_US - 9 * DAY_US + i, "import"), i < 4 ? HOLD : OK);
    assert_int_equal(probe_held(probe), 4);
    probe_destroy(&probe);
}

/* --- the ring ------------------------------------------------------------------------------------------------ */

static void of_readings_the_newest_are_kept_and_each_is_found(void **state)
{
    (void)state;
    readings_t *readings = readings_new();
    char text[16];
    assert_null(readings_at(readings, 5, 100).data);
    for (int i = READINGS_MAX + 99; i >= 0; i--) { /* in any order */
        int at = (i * 7) % (READINGS_MAX + 100);
        snprintf(text, sizeof text, "%d", at);
        readings_add(readings, at * 10, READING_OPEN, slice_of(text));
    }
    assert_null(readings_at(readings, readings_gone_until(readings) - 1, 5).data);
    for (int i = (int)(readings_gone_until(readings) / 10); i < READINGS_MAX + 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_json(true, readings_at(readings, i * 10 + 9, 9), text);
    }
    assert_null(readings_at(readings, (READINGS_MAX + 100) * 10, 9).data);
    readings_add(readings, (READINGS_MAX + 99) * 10, READING_OPEN, slice_of("again"));
    assert_json(true, readings_at(readings, (READINGS_MAX + 99) * 10, 9), "again");
    readings_forget(readings, (READINGS_MAX + 98) * 10 + 1);
    assert_json(true, readings_at(readings, (READINGS_MAX + 98) * 10, 9), "610");
    readings_destroy(&readings);
}

/* --- the home's place ------------------------------------------------------------------------------------------- */

static const char *time_of_day(const char *zone, const char *when)
{
    struct here here;
    struct home_place home = { .has_latitude = true, .latitude = 52.37, .has_longitude = true, .longitude = 4.89 };
    int64_t at_us;
    SET_TEXT(&home, time_zone, zone, strlen(zone));
    here_open(&here);
    assert_null(here_time_of_day(&here, 0));
    assert_null(here_set(&here, &home));
    assert_int_equal(time_read(slice_of(when), &at_us), 0);
    const char *name = here_time_of_day(&here, at_us);
    here_close(&here);
    return name;
}

static void the_time_of_day_is_by_the_homes_clock(void **state)
{
    (void)state;
    static const struct { const char *zone, *when, *name; } cases[] = {
        { "UTC", "2026-01-01T05:59:59.999999Z", "night" }, { "UTC", "2026-01-01T06:00:00Z", "morning" }, { "UTC", "2026-01-01T12:00:00Z", "afternoon" },
        { "UTC", "2026-01-01T18:00:00Z", "evening" }, { "UTC", "2026-01-01T00:00:00Z", "night" }, { "UTC", "1970-01-01T00:00:00Z", "night" },
        { "Europe/Amsterdam", "2026-03-28T05:00:00Z", "morning" }, /* the day before summer time: UTC+1 */
        { "Europe/Amsterdam", "2026-03-28T04:59:59Z", "night" }, { "Europe/Amsterdam", "2026-03-29T04:00:00Z", "morning" }, { "Europe/Amsterdam", "2026-03-29T03:59:59Z", "night" },
        { "Europe/Amsterdam", "2026-10-25T04:59:59Z", "night" }, { "Europe/Amsterdam", "2026-10-25T05:00:00Z", "morning" },
        { "Asia/Kathmandu", "2026-01-01T00:14:59Z", "night" }, { "Asia/Kathmandu", "2026-01-01T00:15:00Z", "morning" }, /* +05:45 */
        { "America/New_York", "2026-01-01T04:59:59Z", "evening" }, { "America/New_York", "1970-01-01T00:00:00Z", "evening" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(time_of_day(cases[i].zone, cases[i].when), cases[i].name))
            fail_msg("%s in %s is not %s", cases[i].when, cases[i].zone, cases[i].name);
}

static void an_event_says_the_time_of_day_and_where_the_sun_stands(void **state)
{
    (void)state;
    probe_t *probe = open_probe();
    const struct event_full *e = enrich(probe, NOW_US);
    assert_false(e->has_time_of_day || e->has_sun_elevation);
    struct home_place home = { .has_latitude = true, .latitude = 39.742476, .has_longitude = true, .longitude = -105.1786 };
    SET_TEXT(&home, time_zone, "America/Denver", 14);
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    e = enrich(probe, NOW_US + 12 * HOUR_US + 30 * MINUTE_US + 7 * HOUR_US);
    assert_string_equal(e->time_of_day, "afternoon");
    assert_in_range((int64_t)(e->sun_elevation * 100), 2600, 2800); /* in January, half past noon: 90 - 39.7 - 23 */
    assert_true(e->home_latitude == 3974 && e->home_longitude == -10518);
    assert_int_equal(deliver(probe, "_carbon.index", NOW_US, "live"), OK);
    assert_false(last(probe)->has_time_of_day || last(probe)->has_sun_elevation || last(probe)->has_home_latitude);
    SET_TEXT(&home, time_zone, "Mars/Olympus", 12);
    assert_int_equal(probe_deliver(probe, &registry_home_contract, &home), OK);
    assert_true(probe_logged(probe, "Mars/Olympus"));
    assert_true(enrich(probe, NOW_US + HOUR_US)->has_time_of_day); /* as it was */
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_carries_what_was_in_force_at_its_own_time),
        cmocka_unit_test(what_is_too_old_is_missing),
        cmocka_unit_test(a_sources_own_series_and_other_events_go_without),
        cmocka_unit_test(the_day_before_is_loaded_at_the_start_and_who_needs_it_waits),
        cmocka_unit_test(a_day_of_long_ago_is_asked_for_once),
        cmocka_unit_test(who_was_at_home_comes_out_of_the_series),
        cmocka_unit_test(of_the_meter_counts_what_was_in_force_when_the_five_minutes_began),
        cmocka_unit_test(the_meter_says_the_same_whether_it_was_heard_or_comes_out_of_its_series),
        cmocka_unit_test(more_days_than_are_kept_come_one_after_the_other),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(after_a_loss_of_the_broker_the_day_before_is_loaded_anew),
        cmocka_unit_test(many_that_wait_leave_room_for_others),
        cmocka_unit_test(of_readings_the_newest_are_kept_and_each_is_found),
        cmocka_unit_test(the_time_of_day_is_by_the_homes_clock),
        cmocka_unit_test(an_event_says_the_time_of_day_and_where_the_sun_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
