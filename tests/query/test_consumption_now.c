/* test_consumption_now.c - the home's power and day, its circuits, the device that is asked for, and those that use most. */
#include "consumption_world.h"

static int ask(struct world *w, const struct contract *service, const void *query, void *reply)
{
    return probe_call(w->probe, service, query, reply);
}

static struct consumption_now now_of(struct world *w)
{
    struct nothing nothing = { 0 };
    struct consumption_now reply;
    assert_int_equal(ask(w, &consumption_current_contract, &nothing, &reply), OK);
    return reply;
}

static struct consumption_totals totals_of(struct world *w, int64_t hours)
{
    struct consumption_hours query = { .has_hours = true, .hours = hours };
    struct consumption_totals reply;
    assert_int_equal(ask(w, &consumption_summary_contract, &query, &reply), OK);
    return reply;
}

/* Since its midnight, 10 hours ago, 900 W; 30 cents, 250 grams. */
static void a_morning(struct world *w)
{
    int64_t midnight = NOW_US - DAY, at = midnight + 10 * HOUR;
    count(w, "_smartmeter.import_kwh", "kWh", 1, 100, 900, midnight - HOUR, at, MINUTE);
    for (int64_t t = midnight - HOUR; t < at; t += MINUTE)
        say_power(w, "_smartmeter.power_w", t, t == midnight + 7 * HOUR + 3 * MINUTE ? "3300" : "900");
    rates_every(w, midnight, at, HOUR, "0.30", "250");
    SETTLE(w, "UTC", at, NULL);
}

static void the_day_so_far_and_the_power_of_now(void **state)
{
    struct world *w = *state;
    a_morning(w);
    struct consumption_now now = now_of(w);
    assert_near(now.daily_kwh, 9);
    assert_string_equal(now.daily_basis, "measured");
    assert_near(now.daily_cost, 2.7);
    assert_near(now.daily_carbon_g, 9 * 250);
    assert_near(now.total_power_w, 900);
    assert_near(now.age_s, 60);
    assert_string_equal(now.power_entity, "_smartmeter.power_w");
    assert_near(now.price, 0.30);
    assert_near(now.carbon_g_kwh, 250);
    assert_string_equal(now.currency, "EUR");
}

static void a_power_of_long_ago_is_none_of_now(void **state)
{
    struct world *w = *state;
    a_morning(w);
    probe_set_now(w->probe, NOW_US - DAY + 10 * HOUR + 10 * MINUTE);
    struct consumption_now now = now_of(w);
    assert_false(now.has_total_power_w);
    assert_near(now.age_s, 660);
    assert_false(totals_of(w, 24).has_current_power_w);
}

static void nothing_is_known_of_a_home_without_a_meter(void **state)
{
    struct world *w = *state;
    SETTLE(w, "UTC", NOW_US, NULL);
    struct consumption_now now = now_of(w);
    assert_false(now.has_total_power_w || now.has_daily_kwh || now.has_daily_cost || now.has_price || now.has_age_s || now.has_currency);
    assert_string_equal(now.daily_basis, "no meter");
    struct consumption_totals totals = totals_of(w, 24);
    assert_false(totals.has_peak_power_w || totals.has_average_power_w || totals.has_daily_kwh || totals.has_total_correlations);
}

static void the_peak_and_the_mean_of_some_hours(void **state)
{
    struct world *w = *state;
    a_morning(w);
    struct consumption_totals totals = totals_of(w, 5);
    assert_near(totals.peak_power_w, 3300);
    assert_int_equal(totals.peak_time, NOW_US - DAY + 7 * HOUR + 3 * MINUTE);
    assert_near(totals.average_power_w, 900 + 2400.0 / 300);
    assert_near(totals.covered_s, 5 * 3600);
    assert_near(totals.current_power_w, 900);
    assert_near(totals.daily_kwh, 9);
    totals = totals_of(w, 2);
    assert_near(totals.peak_power_w, 900);
    assert_int_equal(totals.peak_time, NOW_US - DAY + 8 * HOUR); /* what was in force when they began */
}

/* Its device's id is of the registry; here it is said by hand. */
static void say_of(struct world *w, const char *device, struct said said)
{
    struct event_full e;
    struct fault fault;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(said.entity_id));
    SET(&e, domain, ((struct slice){ said.entity_id, strcspn(said.entity_id, ".") }));
    SET(&e, timestamp, said.at);
    SET(&e, last_updated, said.at);
    SET(&e, received_at, said.at);
    SET(&e, place, ++w->place);
    SET_TEXT(&e, provenance, "live", 4);
    SET(&e, state, slice_of(said.state));
    SET(&e, value, slice_of(said.state));
    if (!said.unit)
        e.has_value = false;
    SET(&e, attributes, slice_of(said.attributes ? said.attributes : "{}"));
    SET(&e, device_id, slice_of(device));
    if (said.unit)
        SET(&e, unit, slice_of(said.unit));
    assert_int_equal(store_append(w->store, &e, &fault), STORE_OK);
}
#define SAY_OF(w, device, name, when, text, ...) say_of((w), (device), (struct said){ .entity_id = (name), .at = (when), .state = (text), __VA_ARGS__ })

/* A lamp that is on for six hours of each day, with 50 W, and takes 2 W else. */
static void a_lamp(struct world *w, int64_t days)
{
    double kwh = 10;
    char text[40];
    for (int64_t day = NOW_US - days * DAY; day < NOW_US; day += DAY) {
        SAY_OF(w, "d1", "light.lamp", day, "off", .unit = NULL);
        SAY_OF(w, "d1", "sensor.lamp_power", day, "2", .unit = "W", .attributes = POWER);
        SAY_OF(w, "d1", "light.lamp", day + 18 * HOUR, "on", .unit = NULL);
        SAY_OF(w, "d1", "sensor.lamp_power", day + 18 * HOUR, "50", .unit = "W", .attributes = POWER);
        for (int64_t at = day; at < day + DAY; at += 5 * MINUTE) {
            snprintf(text, sizeof text, "%.6f", kwh);
            SAY_OF(w, "d1", "sensor.lamp_energy", at, text, .unit = "kWh", .attributes = COUNTER);
            kwh += (at < day + 18 * HOUR ? 2 : 50) / 12000.0;
        }
    }
    snprintf(text, sizeof text, "%.6f", kwh);
    SAY_OF(w, "d1", "sensor.lamp_energy", NOW_US, text, .unit = "kWh", .attributes = COUNTER);
}

static struct impact_row impact_of(struct world *w, const char *entity, int64_t days, size_t rows)
{
    struct impact_query query = { .has_days = true, .days = days };
    struct page end;
    struct impact_row row = { .has_kwh = false };
    SET_TEXT(&query, entity_id, entity, strlen(entity));
    int verdict = ask(w, &consumption_impact_contract, &query, &end);
    assert_int_equal(verdict, rows ? OK : NOT_FOUND);
    if (rows)
        assert_int_equal(probe_row(w->probe, 0, &row), 0);
    return row;
}

static void a_device_is_known_by_its_switch_on_and_off(void **state)
{
    struct world *w = *state;
    a_lamp(w, 7);
    SETTLE(w, "UTC", NOW_US + SECOND, "energy_price", "0.4");
    struct impact_row row = impact_of(w, "light.lamp", 7, 1);
    const double daily = 0.002 * 18 + 0.05 * 6;
    assert_near(row.kwh, 7 * daily);
    assert_near(row.cost, 7 * daily * 0.4);
    assert_string_equal(row.basis, "measured");
    assert_near(row.average_power_on_w, 50);
    assert_near(row.average_power_off_w, 2);
    assert_near(row.hours_on, 42);
    assert_int_equal(row.total_state_changes, 13);
    assert_near(row.estimated_daily_kwh, daily);
    assert_near(row.estimated_monthly_cost, 30 * daily * 0.4);
    assert_true(row.meter.size == strlen("sensor.lamp_energy"));
    row = impact_of(w, "sensor.lamp_energy", 2, 1); /* its meter itself is never on */
    assert_near(row.kwh, 2 * daily);
    assert_false(row.has_hours_on || row.has_total_state_changes);
}

static void a_device_without_a_meter_has_hours_and_no_energy(void **state)
{
    struct world *w = *state;
    SAY(w, "switch.pump", NOW_US - 3 * DAY, "on", .unit = NULL);
    SAY(w, "switch.pump", NOW_US - 20 * HOUR, "unavailable", .unit = NULL);
    SAY(w, "switch.pump", NOW_US - 10 * HOUR, "off", .unit = NULL);
    commit(w);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.4");
    struct impact_row row = impact_of(w, "switch.pump", 1, 1);
    assert_string_equal(row.basis, "no meter");
    assert_false(row.has_kwh || row.has_cost || row.has_average_power_on_w || row.has_estimated_monthly_cost || row.has_meter);
    assert_near(row.hours_on, 4);
    impact_of(w, "switch.nobody", 1, 0);
}

/* From now on it is switched off: what it said last is not the power of now, and of a day in which it was off all the time it is no meter. */
static void a_meter_that_is_off_is_none(void **state)
{
    struct world *w = *state;
    int64_t off = NOW_US - 2 * DAY;
    count(w, "_smartmeter.import_kwh", "kWh", 1, 100, 900, off - DAY, off, 10 * MINUTE);
    say_power(w, "_smartmeter.power_w", off - DAY, "642");
    SAY(w, "_smartmeter.import_kwh", off + SECOND, "unavailable", .unit = "kWh", .attributes = COUNTER);
    say_power(w, "_smartmeter.power_w", off, "unavailable");
    SETTLE(w, "UTC", NOW_US, NULL);
    struct consumption_now now = now_of(w);
    assert_false(now.has_total_power_w || now.has_power_entity || now.has_daily_kwh);
    assert_string_equal(now.daily_basis, "no meter");
    struct consumption_totals day = totals_of(w, 24);
    assert_false(day.has_current_power_w || day.has_peak_power_w || day.has_average_power_w);
    assert_near(totals_of(w, 72).average_power_w, 642); /* in the hours in which it was on */
    struct told t = TELL(w, "2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "1d");
    for (size_t i = 0; i < t.count; i++)
        assert_true(strcmp(t.rows[i].kind, "meter") != 0 && strcmp(t.rows[i].kind, "import") != 0);
    free(t.rows);
}

static void the_meter_of_the_house_is_a_device_as_well(void **state)
{
    struct world *w = *state;
    int64_t from = NOW_US - DAY;
    say_power(w, "_smartmeter.power_w", from - HOUR, "850");
    say_power(w, "_smartmeter.circuit_2_w", from - HOUR, "120");
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.4");
    struct impact_row row = impact_of(w, "_smartmeter.power_w", 1, 1);
    assert_string_equal(row.basis, "estimated");
    assert_near(row.kwh, 0.85 * 24);
    assert_near(row.cost, 0.85 * 24 * 0.4);
    assert_false(row.has_hours_on || row.has_total_state_changes); /* it is never off */
    assert_near(impact_of(w, "_smartmeter.circuit_2_w", 1, 1).kwh, 0.12 * 24);
    count(w, "_smartmeter.import_kwh", "kWh", 1, 100, 1000, from - HOUR, NOW_US, MINUTE);
    count(w, "_smartmeter.export_kwh", "kWh", 1, 100, 200, from - HOUR, NOW_US, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.4");
    row = impact_of(w, "_smartmeter.power_w", 1, 1); /* what it counts is better than what it says */
    assert_string_equal(row.basis, "measured");
    assert_near(row.kwh, 0.8 * 24);
    assert_true(row.meter.size == strlen("_smartmeter.import_kwh"));
}

static void however_many_gaps_there_are_none_is_time_on(void **state)
{
    struct world *w = *state;
    SAY(w, "switch.pump", NOW_US - 3 * DAY, "on", .unit = NULL);
    commit(w);
    static struct gap_said gaps[600];
    for (int i = 0; i < 600; i++) {
        gaps[i] = (struct gap_said){ .from = NOW_US - DAY + i * 2 * MINUTE, .to = NOW_US - DAY + i * 2 * MINUTE + MINUTE };
        snprintf(gaps[i].id, sizeof gaps[i].id, "g%d", i);
    }
    assert_int_equal(store_set_gaps(w->store, gaps, 600), STORE_OK);
    SETTLE(w, "UTC", NOW_US, NULL);
    assert_near(impact_of(w, "switch.pump", 1, 1).hours_on, 24 - 10);
}

static void a_month_is_not_told_from_an_hour(void **state)
{
    struct world *w = *state;
    count(w, "sensor.a_energy", "kWh", 1, 5, 100, NOW_US - HOUR, NOW_US - MINUTE, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    struct impact_row row = impact_of(w, "sensor.a_energy", 7, 1);
    assert_near(row.kwh, 0.1 * 59 / 60);
    assert_false(row.has_estimated_daily_kwh || row.has_estimated_monthly_cost);
}

static void those_that_use_most_come_first(void **state)
{
    struct world *w = *state;
    struct top_query query = { .has_days = true, .days = 1, .has_limit = true, .limit = 2 };
    struct page end;
    struct impact_row row;
    count(w, "sensor.a_energy", "kWh", 1, 5, 100, NOW_US - 2 * DAY, NOW_US - MINUTE, MINUTE);
    count(w, "sensor.b_energy", "kWh", 1, 5, 300, NOW_US - 2 * DAY, NOW_US - MINUTE, MINUTE);
    count(w, "sensor.c_energy", "kWh", 1, 5, 200, NOW_US - 2 * DAY, NOW_US - MINUTE, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    assert_int_equal(ask(w, &consumption_top_contract, &query, &end), OK);
    assert_int_equal(end.count, 2);
    assert_int_equal(probe_row(w->probe, 0, &row), 0);
    assert_true(memcmp(row.entity_id.data, "sensor.b_energy", 15) == 0);
    assert_near(row.kwh, 7.2);
    assert_near(row.estimated_monthly_cost, 7.2 * 0.5 * 30);
    assert_int_equal(probe_row(w->probe, 1, &row), 0);
    assert_true(memcmp(row.entity_id.data, "sensor.c_energy", 15) == 0);
}

static void circuits_are_told_with_their_share(void **state)
{
    struct world *w = *state;
    struct circuits_query query = { .has_hours = true, .hours = 1 };
    struct page end;
    struct circuit_row row;
    say_power(w, "_smartmeter.power_w", NOW_US - MINUTE, "2450");
    SAY(w, "sensor.heating_power", NOW_US - 30 * SECOND, "1.2", .unit = "kW", .area = "Cellar",
        .attributes = "{\"device_class\":\"power\",\"friendly_name\":\"Heating\"}");
    say_power(w, "sensor.gone_power", NOW_US - 20 * MINUTE, "unavailable");
    say_power(w, "sensor.old_power", NOW_US - 2 * HOUR, "5");
    say_power(w, "_smartmeter.circuit_2_w", NOW_US - MINUTE, "245");
    SETTLE(w, "UTC", NOW_US, NULL);
    assert_int_equal(ask(w, &consumption_circuits_contract, &query, &end), OK);
    assert_int_equal(end.count, 3);
    assert_int_equal(probe_row(w->probe, 2, &row), 0);
    assert_near(row.percentage, 10);
    assert_int_equal(probe_row(w->probe, 0, &row), 0);
    assert_near(row.power_w, 1200);
    assert_near(row.percentage, 48.98);
    assert_true(row.circuit_name.size == 7 && memcmp(row.circuit_name.data, "Heating", 7) == 0);
    assert_int_equal(probe_row(w->probe, 1, &row), 0);
    assert_false(row.has_power_w || row.has_percentage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_day_so_far_and_the_power_of_now),
        TEST(a_power_of_long_ago_is_none_of_now),
        TEST(nothing_is_known_of_a_home_without_a_meter),
        TEST(the_peak_and_the_mean_of_some_hours),
        TEST(a_device_is_known_by_its_switch_on_and_off),
        TEST(a_device_without_a_meter_has_hours_and_no_energy),
        TEST(a_meter_that_is_off_is_none),
        TEST(the_meter_of_the_house_is_a_device_as_well),
        TEST(however_many_gaps_there_are_none_is_time_on),
        TEST(a_month_is_not_told_from_an_hour),
        TEST(those_that_use_most_come_first),
        TEST(circuits_are_told_with_their_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
