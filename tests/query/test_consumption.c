/* test_consumption.c - homes whose every kilowatt-hour is known by a formula: what the table says of them is right to a thousandth. */
#include "consumption_world.h"

#define METER "energy_meter", "sensor.meter"

/* A meter of 1,500 W, an oven of 1,000 W, a fridge of 100 W that tells its power alone. */
static void a_constant_home(struct world *w, int64_t from, int64_t to, int64_t every)
{
    count(w, "sensor.meter", "kWh", 1, 4000, 1500, from - 2 * HOUR, to + 2 * HOUR, every);
    count(w, "sensor.oven_energy", "Wh", 1000, 12, 1000, from - 2 * HOUR, to + 2 * HOUR, every);
    for (int64_t at = from - 2 * HOUR; at < to + 2 * HOUR; at += 10 * MINUTE)
        say_power(w, "sensor.fridge_power", at, (at / (10 * MINUTE)) % 2 ? "100" : "100.0");
}

static void a_day_of_a_constant_home(struct world *w, const char *zone, const char *from, const char *to, double hours)
{
    int64_t begin = moment(from), end = moment(to);
    a_constant_home(w, begin, end, 3 * MINUTE);
    rates_every(w, begin - DAY, end + DAY, HOUR, "0.30", "200");
    SETTLE(w, zone, end + 2 * DAY, METER);
    struct told t = TELL(w, from, to, "1d");
    assert_int_equal(t.count, 4);
    assert_int_equal(t.rows[0].start, begin);
    assert_int_equal(t.rows[0].end, end);
    assert_near((double)(end - begin) / (double)HOUR, hours);
    const struct told_row *oven = nth(&t, "device", "sensor.oven_energy", 0), *fridge = nth(&t, "device", "sensor.fridge_power", 0);
    assert_near(oven->kwh, hours);
    assert_near(oven->cost, hours * 0.30);
    assert_near(oven->carbon, hours * 200);
    assert_string_equal(oven->basis, "measured");
    assert_string_equal(oven->cost_basis, "measured");
    assert_near(fridge->kwh, hours * 0.1);
    assert_string_equal(fridge->basis, "estimated");
    assert_near(fridge->covered, hours * 3600);
    assert_near(nth(&t, "meter", NULL, 0)->kwh, hours * 1.5);
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, hours * 0.4);
    assert_string_equal(nth(&t, "untracked", NULL, 0)->basis, "estimated");
    assert_sums_hold(&t);
    assert_string_equal(t.end.currency, "EUR");
    free(t.rows);
}

static void an_ordinary_day_has_24_hours_of_everything(void **state)
{
    a_day_of_a_constant_home(*state, "Europe/Berlin", "2025-11-10T00:00:00+01:00", "2025-11-11T00:00:00+01:00", 24);
}

static void the_day_in_spring_has_23(void **state)
{
    a_day_of_a_constant_home(*state, "Europe/Berlin", "2025-03-30T00:00:00+01:00", "2025-03-31T00:00:00+02:00", 23);
}

static void the_day_in_autumn_has_25(void **state)
{
    a_day_of_a_constant_home(*state, "Europe/Berlin", "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00", 25);
}

static void a_zone_of_three_quarters_of_an_hour_has_its_own_days(void **state)
{
    a_day_of_a_constant_home(*state, "Asia/Kathmandu", "2025-11-10T00:00:00+05:45", "2025-11-11T00:00:00+05:45", 24);
}

static void a_zone_that_changes_by_half_an_hour_has_days_of_that(void **state)
{
    a_day_of_a_constant_home(*state, "Australia/Lord_Howe", "2025-04-06T00:00:00+11:00", "2025-04-07T00:00:00+10:30", 24.5);
}

static void assert_hours(const struct told *t, size_t count, double seconds)
{
    size_t meters = 0;
    double sum = 0;
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].kind, "meter") == 0) {
            meters++;
            sum += (double)(t->rows[i].end - t->rows[i].start) / 1e6;
            assert_near(t->rows[i].kwh, 1.5 * (double)(t->rows[i].end - t->rows[i].start) / (double)HOUR);
        }
    assert_int_equal(meters, count);
    assert_near(sum, seconds);
    assert_sums_hold(t);
}

static void hours_are_those_of_the_clock_on_the_wall(void **state)
{
    struct world *w = *state;
    int64_t begin = moment("2025-10-26T00:00:00+02:00"), end = moment("2025-10-27T00:00:00+01:00");
    a_constant_home(w, begin - 2 * DAY, end, 5 * MINUTE);
    SETTLE(w, "Europe/Berlin", end + DAY, METER);
    struct told t = TELL(w, "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00", "1h");
    assert_hours(&t, 25, 25 * 3600);
    free(t.rows);
    t = TELL(w, "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00", "15m");
    assert_hours(&t, 100, 25 * 3600);
    free(t.rows);
    t = TELL(w, "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00", "6h");
    assert_hours(&t, 4, 25 * 3600);
    assert_int_equal(nth(&t, "meter", NULL, 0)->end - begin, 7 * HOUR);
    free(t.rows);
    t = tell(w, (const char *const[]){ "from", "2025-10-25T12:00:00Z", "to", "2025-10-25T15:00:00Z", "step", "1h", "tz", "Asia/Kathmandu", NULL });
    assert_int_equal(t.rows[0].start, moment("2025-10-25T17:00:00+05:45")); /* 11:15 UTC */
    assert_hours(&t, 4, 4 * 3600);
    free(t.rows);
}

static void a_counter_that_is_reset_loses_nothing_but_what_it_never_said(void **state)
{
    struct world *w = *state;
    int64_t noon = NOW_US - 2 * DAY + 12 * HOUR;
    count(w, "sensor.meter", "kWh", 1, 500, 1200, noon - DAY, noon, MINUTE);
    count(w, "sensor.meter", "kWh", 1, 0.02, 1200, noon + MINUTE, noon + DAY, MINUTE);
    SETTLE(w, "UTC", NOW_US, METER, "energy_price", "0.25");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 1.2 * 24);
    assert_near(nth(&t, "meter", NULL, 0)->cost, 1.2 * 24 * 0.25);
    assert_string_equal(t.end.price, "QUERY_ENERGY_PRICE");
    assert_false(t.end.has_currency);
    assert_sums_hold(&t);
    free(t.rows);
}

static void a_counter_that_says_when_it_began_anew_is_believed(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 3 * DAY;
    char text[40], attributes[160];
    for (int64_t at = begin; at < NOW_US; at += 5 * MINUTE) { /* of every day from 0 */
        snprintf(text, sizeof text, "%.4f", 0.5 * (double)((at - begin) % DAY) / (double)HOUR);
        snprintf(attributes, sizeof attributes, "{\"device_class\":\"energy\",\"state_class\":\"total\",\"last_reset\":\"2025-12-%02dT00:00:00+00:00\"}",
            29 + (int)((at - begin) / DAY));
        SAY(w, "sensor.meter", at, text, .unit = "kWh", .attributes = attributes);
    }
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-29T01:00:00Z", "2025-12-31T23:00:00Z", "1h");
    for (size_t i = 1; i < 70; i++)
        if (i % 24 != 23 && i % 24 != 22) /* what was counted after the last number of a day was never said */
            assert_near(nth(&t, "meter", NULL, i)->kwh, 0.5);
    free(t.rows);
}

static void a_price_that_changes_within_an_hour_counts_from_its_minute(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 2000, begin - HOUR, begin + DAY + HOUR, MINUTE);
    price(w, begin - 5 * HOUR, "0.20");
    price(w, begin + 7 * HOUR + 20 * MINUTE, "0.50"); /* within a quarter, too */
    price(w, begin + 21 * HOUR + 30 * MINUTE, "-0.10");
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->cost, 2 * (0.20 * (7 + 1 / 3.0) + 0.50 * (14 + 1 / 6.0) - 0.10 * 2.5));
    free(t.rows);
    t = TELL(w, "2025-12-30T07:00:00Z", "2025-12-30T08:00:00Z", "1h");
    assert_near(nth(&t, "meter", NULL, 0)->cost, 2 * (0.20 / 3 + 0.50 * 2 / 3));
    assert_true(isnan(nth(&t, "meter", NULL, 0)->carbon));
    free(t.rows);
}

static void power_is_not_carried_over_a_time_of_which_nothing_is_known(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    say_power(w, "sensor.heater_power", begin - HOUR, "600");
    say_power(w, "sensor.heater_power", begin + 6 * HOUR, "unavailable");
    say_power(w, "sensor.heater_power", begin + 9 * HOUR, "1000");
    say_power(w, "sensor.heater_power", begin + 30 * HOUR, "0");
    struct gap_said gap = { .id = "g", .from = begin + 12 * HOUR, .to = begin + 14 * HOUR };
    assert_int_equal(store_set_gaps(w->store, &gap, 1), STORE_OK);
    commit(w);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_int_equal(t.count, 1); /* no meter: nothing is called untracked */
    assert_near(t.rows[0].kwh, 0.6 * 6 + 1.0 * 13);
    assert_near(t.rows[0].uncovered, 5 * 3600);
    assert_near(t.rows[0].covered, 19 * 3600);
    free(t.rows);
    t = TELL(w, "2025-12-30T07:00:00Z", "2025-12-30T08:00:00Z", "1h");
    assert_true(isnan(t.rows[0].kwh) && isnan(t.rows[0].cost));
    assert_near(t.rows[0].uncovered, 3600);
    assert_string_equal(t.rows[0].basis, "estimated");
    free(t.rows);
}

static void what_a_counter_grew_by_while_nobody_heard_it_is_not_lost_but_spread_and_called_a_guess(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 1000, begin - HOUR, begin + 6 * HOUR, MINUTE);
    SAY(w, "sensor.meter", begin + 6 * HOUR + 30 * SECOND, "unavailable", .unit = "kWh", .attributes = COUNTER);
    count(w, "sensor.meter", "kWh", 1, 511, 1000, begin + 10 * HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24);
    assert_near(nth(&t, "meter", NULL, 0)->estimated, 4);
    assert_near(nth(&t, "meter", NULL, 0)->uncovered, 0);
    assert_string_equal(nth(&t, "meter", NULL, 0)->basis, "estimated");
    free(t.rows);
    t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "15m");
    for (size_t i = 0; i < 96; i++)
        assert_true(fabs(nth(&t, "meter", NULL, i)->kwh - 0.25) < 0.02); /* the minute at an edge belongs to the later quarter */
    assert_string_equal(nth(&t, "meter", NULL, 8)->basis, "measured");
    assert_string_equal(nth(&t, "meter", NULL, 30)->basis, "estimated");
    free(t.rows);
}

static void a_counter_that_speaks_once_an_hour_is_known_by_quarters(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 800, begin - DAY, begin + 30 * HOUR, HOUR);
    price(w, begin, "0.20");
    price(w, begin + 7 * HOUR + 15 * MINUTE, "0.40");
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "15m");
    for (size_t i = 0; i < 96; i++) {
        assert_near(nth(&t, "meter", NULL, i)->kwh, 0.2);
        assert_string_equal(nth(&t, "meter", NULL, i)->basis, "measured");
    }
    free(t.rows);
    t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "all");
    assert_near(nth(&t, "meter", NULL, 0)->cost, 0.8 * (0.20 * 7.25 + 0.40 * 16.75));
    free(t.rows);
    t = TELL(w, "2025-12-30T06:15:00Z", "2025-12-30T06:30:00Z", "15m"); /* a page of its own says the same */
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 0.2);
    free(t.rows);
}

static void a_counter_that_is_silent_since_long_has_used_nothing_until_it_says_so(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    SAY(w, "sensor.meter", begin - 40 * DAY, "10", .unit = "kWh", .attributes = COUNTER);
    SAY(w, "sensor.meter", begin + 40 * HOUR, "12", .unit = "kWh", .attributes = COUNTER);
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 2.0 * 24 / (40 * 24 + 40));
    assert_string_equal(nth(&t, "meter", NULL, 0)->basis, "estimated");
    free(t.rows);
    t = TELL(w, "2025-11-10T00:00:00Z", "2025-11-19T00:00:00Z", "1d"); /* before it was ever heard of */
    assert_true(isnan(nth(&t, "meter", NULL, 0)->kwh));
    assert_near(nth(&t, "meter", NULL, 0)->uncovered, 86400);
    free(t.rows);
}

static void devices_that_say_more_than_the_meter_leave_less_than_nothing_and_it_is_told(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 1000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.boiler_energy", "MJ", 3.6, 9, 1250, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, METER, "energy_price", "0.4");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "device", "sensor.boiler_energy", 0)->kwh, 30);
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, -6);
    assert_near(nth(&t, "untracked", NULL, 0)->cost, -6 * 0.4);
    assert_true(nth(&t, "untracked", NULL, 0)->is_negative);
    assert_sums_hold(&t);
    free(t.rows);
}

static void what_is_left_of_a_meter_that_says_nothing_is_not_known(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 1000, begin + DAY, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.oven_energy", "kWh", 1, 500, 700, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "device", NULL, 0)->kwh, 16.8);
    assert_true(isnan(nth(&t, "meter", NULL, 0)->kwh) && isnan(nth(&t, "untracked", NULL, 0)->kwh));
    assert_false(nth(&t, "untracked", NULL, 0)->is_negative);
    free(t.rows);
}

static void where_no_price_is_known_nothing_is_made_up(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 3 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 1000, begin - HOUR, NOW_US, MINUTE);
    for (int64_t at = begin; at < begin + 12 * HOUR; at += HOUR)
        price(w, at, "0.30"); /* the last one holds for 25 hours, and not for ever */
    price(w, begin + 60 * HOUR, "0.10");
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-29T00:00:00Z", "2025-12-31T00:00:00Z", "all");
    const struct told_row *meter = nth(&t, "meter", NULL, 0);
    assert_near(meter->kwh, 48);
    assert_near(meter->cost_share, 36.0 / 48);
    assert_near(meter->cost, 36 * 0.30);
    assert_string_equal(meter->cost_basis, "estimated");
    free(t.rows);
    t = TELL(w, "2025-12-30T18:00:00Z", "2025-12-30T19:00:00Z", "1h");
    meter = nth(&t, "meter", NULL, 0);
    assert_near(meter->kwh, 1);
    assert_true(isnan(meter->cost) && meter->cost_share == 0);
    assert_true(isnan(meter->carbon) && meter->carbon_share == 0);
    free(t.rows);
}

static void what_is_made_at_home_and_given_away_is_part_of_what_is_used(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 300, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.sold", "kWh", 1, 100, 500, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.sun", "kWh", 1, 200, 900, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.oven_energy", "kWh", 1, 200, 650, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, METER, "energy_export", "sensor.sold", "energy_production", "sensor.sun", "energy_price", "0.4");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24 * 0.7);
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, 24 * 0.05);
    assert_near(nth(&t, "export", "sensor.sold", 0)->kwh, 24 * 0.5);
    assert_true(isnan(nth(&t, "export", NULL, 0)->cost)); /* what it is sold for is not known */
    assert_near(nth(&t, "import", "sensor.meter", 0)->cost, 24 * 0.3 * 0.4);
    assert_sums_hold(&t);
    free(t.rows);
}

static void a_table_of_many_pages_is_that_of_one(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 8 * DAY;
    a_constant_home(w, begin, NOW_US - DAY, 5 * MINUTE);
    rates_every(w, begin - DAY, NOW_US, 6 * HOUR, "0.30", "200");
    SETTLE(w, "UTC", NOW_US, METER);
    struct told whole = TELL(w, "2025-12-24T00:00:00Z", "2025-12-31T00:00:00Z", "15m");
    assert_int_equal(whole.count, 7 * 96 * 4);
    assert_true(whole.pages > 3);
    assert_hours(&whole, 7 * 96, 7 * 86400);
    probe_set_rows_room(w->probe, 500); /* a step is cut in its middle, too */
    struct told cut = TELL(w, "2025-12-24T00:00:00Z", "2025-12-25T00:00:00Z", "15m");
    assert_int_equal(cut.count, 96 * 4);
    assert_true(cut.pages > 60);
    for (size_t i = 0; i < cut.count; i++) {
        assert_int_equal(cut.rows[i].start, whole.rows[i].start);
        assert_string_equal(cut.rows[i].kind, whole.rows[i].kind);
        assert_true(fabs(cut.rows[i].kwh - whole.rows[i].kwh) < 2e-6);
    }
    free(cut.rows);
    probe_set_rows_room(w->probe, 4194304);
    struct told all = TELL(w, "2025-12-24T00:00:00Z", "2025-12-31T00:00:00Z", "all");
    double sum = 0, cost = 0;
    for (size_t i = 0; i < whole.count; i++)
        if (strcmp(whole.rows[i].entity, "sensor.oven_energy") == 0) {
            sum += whole.rows[i].kwh;
            cost += whole.rows[i].cost;
        }
    assert_near(sum, 7 * 24);
    assert_true(fabs(nth(&all, "device", "sensor.oven_energy", 0)->kwh - sum) < 1e-3);
    assert_true(fabs(nth(&all, "device", "sensor.oven_energy", 0)->cost - cost) < 1e-3);
    free(all.rows);
    free(whole.rows);
}

static void what_is_rolled_up_says_the_same(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 6 * DAY;
    a_constant_home(w, begin, NOW_US - DAY, 3 * MINUTE);
    count(w, "sensor.washer_energy", "kWh", 1, 3, 500, begin + 5 * HOUR, begin + 7 * HOUR, 30 * SECOND);
    count(w, "sensor.washer_energy", "kWh", 1, 4.01, 500, begin + 30 * HOUR, begin + 32 * HOUR, 30 * SECOND);
    rates_every(w, begin - DAY, NOW_US, HOUR, "0.30", "200");
    SETTLE(w, "Europe/Berlin", NOW_US, METER);
    struct told before = TELL(w, "2025-12-26T00:00:00Z", "2025-12-31T00:00:00Z", "1h");
    roll_up(w, NOW_US);
    struct told after = TELL(w, "2025-12-26T00:00:00Z", "2025-12-31T00:00:00Z", "1h");
    assert_int_equal(before.count, after.count);
    for (size_t i = 0; i < before.count; i++) {
        bool is_null = isnan(before.rows[i].kwh);
        assert_true(is_null == isnan(after.rows[i].kwh) && (is_null || fabs(before.rows[i].kwh - after.rows[i].kwh) < 1e-5));
        assert_string_equal(before.rows[i].basis, after.rows[i].basis);
    }
    free(before.rows);
    free(after.rows);
}

/* --- who counts ----------------------------------------------------------------------------------------------------- */

static void say_prefs(struct world *w, const char *prefs)
{
    struct ingest_session session;
    struct ha_result result = { .has_success = true, .success = true };
    schema_clear(ingest_session_schema(), &session);
    SET(&session, session, 7);
    SET(&session, registry_changes, 0);
    SET_TEXT(&session, state, "live", 4);
    assert_int_equal(probe_deliver(w->probe, &ingest_session_contract, &session), OK);
    const struct ha_command *asked = probe_asked(w->probe, &ingest_ask_contract);
    assert_non_null(asked);
    assert_true(asked->command.size == 27 && memcmp(asked->command.data, "{\"type\":\"energy/get_prefs\"}", 27) == 0);
    SET(&result, result, slice_of(prefs));
    SET(&result, session, 7);
    assert_int_equal(probe_answer(w->probe, &ingest_ask_contract, OK, &result), 0);
}

static void the_energy_dashboard_says_who_counts_and_who_is_behind_whom(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.grid", "kWh", 1, 500, 2000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.kitchen", "kWh", 1, 500, 1000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.oven", "kWh", 1, 500, 700, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.lamp", "kWh", 1, 500, 50, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.not_named", "kWh", 1, 500, 50, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    say_prefs(w, "{\"energy_sources\":[{\"type\":\"grid\",\"flow_from\":[{\"stat_energy_from\":\"sensor.grid\"}],\"flow_to\":[]},{\"type\":\"gas\","
        "\"stat_energy_from\":\"sensor.gas\"}],\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\",\"included_in_stat\":\"sensor.kitchen\"},"
        "{\"stat_consumption\":\"sensor.kitchen\",\"name\":\"All of the kitchen\"},{\"stat_consumption\":\"sensor.lamp\",\"included_in_stat\":\"sensor.gone\"},"
        "{\"stat_consumption\":\"sensor.gone\",\"included_in_stat\":\"sensor.kitchen\"},{\"stat_consumption\":\"other:thing\"}]}");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_string_equal(t.end.devices_by, "energy dashboard");
    assert_int_equal(t.count, 6);
    assert_near(nth(&t, "device", "sensor.oven", 0)->kwh, 24 * 0.7);
    assert_string_equal(nth(&t, "device", "sensor.oven", 0)->inside, "sensor.kitchen");
    assert_near(nth(&t, "device", "sensor.kitchen", 0)->kwh, 24 * 0.25); /* without oven, and the lamp behind what says nothing */
    assert_true(nth(&t, "device", "sensor.kitchen", 0)->is_rest);
    assert_string_equal(nth(&t, "device", "sensor.gone", 0)->basis, "no meter");
    assert_true(isnan(nth(&t, "device", "sensor.gone", 0)->kwh));
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, 24);
    assert_near(nth(&t, "untracked", NULL, 0)->cost, 12);
    assert_sums_hold(&t);
    assert_non_null(strstr(t.skipped, "other:thing"));
    free(t.rows);
    SETTLE(w, "UTC", NOW_US, METER, "energy_devices", "sensor.lamp, sensor.oven"); /* settings come first */
    t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_string_equal(t.end.devices_by, "settings");
    assert_near(nth(&t, "device", "sensor.lamp", 0)->kwh, 24 * 0.05);
    free(t.rows);
}

/* What real ones answer to energy/get_prefs (2024.3.3, 2026.2.3); and, by the code of its newest version, a grid without lists, several of them, wind. */
static const char *const preferences[] = {
    "{\"energy_sources\":[{\"type\":\"grid\",\"cost_adjustment_day\":0.0,\"flow_from\":[{\"stat_energy_from\":\"sensor.grid\","
    "\"stat_cost\":null,\"entity_energy_price\":null,\"number_energy_price\":0.3}],\"flow_to\":[{\"stat_energy_to\":\"sensor.back\","
    "\"stat_compensation\":null,\"entity_energy_price\":null,\"number_energy_price\":null}]},{\"type\":\"solar\","
    "\"stat_energy_from\":\"sensor.roof\",\"config_entry_solar_forecast\":null},{\"type\":\"battery\",\"stat_energy_from\":\"sensor.out\","
    "\"stat_energy_to\":\"sensor.in\"},{\"type\":\"gas\",\"stat_energy_from\":\"sensor.gas\",\"stat_cost\":null,\"entity_energy_price\":null,"
    "\"number_energy_price\":null},{\"type\":\"water\",\"stat_energy_from\":\"sensor.water\",\"stat_cost\":null,"
    "\"entity_energy_price\":null,\"number_energy_price\":null}],\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\"}]}",
    "{\"energy_sources\":[{\"type\":\"grid\",\"cost_adjustment_day\":0.0,\"flow_from\":[{\"stat_energy_from\":\"sensor.grid\","
    "\"stat_cost\":null,\"entity_energy_price\":null,\"number_energy_price\":0.3}],\"flow_to\":[{\"stat_energy_to\":\"sensor.back\","
    "\"stat_compensation\":null,\"entity_energy_price\":null,\"number_energy_price\":null}],"
    "\"power\":[{\"stat_rate\":\"sensor.grid_power\"}]},{\"type\":\"solar\",\"stat_energy_from\":\"sensor.roof\","
    "\"config_entry_solar_forecast\":null},{\"type\":\"battery\",\"stat_energy_from\":\"sensor.out\",\"stat_energy_to\":\"sensor.in\"},"
    "{\"type\":\"gas\",\"stat_energy_from\":\"sensor.gas\",\"stat_cost\":null,\"entity_energy_price\":null,\"number_energy_price\":null}],"
    "\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\",\"name\":\"All\"}],"
    "\"device_consumption_water\":[{\"stat_consumption\":\"sensor.gas\"}]}",
    "{\"energy_sources\":[{\"type\":\"grid\",\"stat_energy_from\":\"sensor.grid\",\"stat_energy_to\":null,\"stat_cost\":null,\"entity_energy_price\":null,"
    "\"number_energy_price\":0.3,\"stat_compensation\":null,\"entity_energy_price_export\":null,\"number_energy_price_export\":null,\"cost_adjustment_day\":0.0},"
    "{\"type\":\"grid\",\"stat_energy_from\":null,\"stat_energy_to\":\"sensor.back\",\"stat_cost\":null,\"cost_adjustment_day\":0.0},"
    "{\"type\":\"grid\",\"stat_energy_from\":null,\"stat_energy_to\":null,\"stat_rate\":\"sensor.grid_power\",\"cost_adjustment_day\":0.0},"
    "{\"type\":\"wind\",\"stat_energy_from\":\"sensor.roof\",\"stat_rate\":\"sensor.roof_power\",\"config_entry_wind_forecast\":null},"
    "{\"type\":\"battery\",\"stat_energy_from\":\"sensor.out\",\"stat_energy_to\":\"sensor.in\",\"power_config\":{\"stat_rate_from\":\"sensor.a\",\"stat_rate_to\":"
    "\"sensor.b\"},\"stat_rate\":\"sensor.battery_power\"},{\"type\":\"water\",\"stat_energy_from\":\"sensor.gas\",\"stat_cost\":null}],"
    "\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\",\"stat_rate\":\"sensor.oven_power\",\"name\":\"The oven\"}],"
    "\"device_consumption_water\":[{\"stat_consumption\":\"sensor.gas\"}]}",
};

static void the_energy_dashboard_of_every_version_is_read(void **state)
{
    struct world *w = *state;
    static const struct { const char *kind, *entity; double watt; } wanted[] = { { "import", "sensor.grid", 2000 }, { "export", "sensor.back", 300 },
        { "production", "sensor.roof", 700 }, { "discharge", "sensor.out", 200 }, { "charge", "sensor.in", 100 }, { "device", "sensor.oven", 900 } };
    int64_t begin = NOW_US - 2 * DAY;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        count(w, wanted[i].entity, "kWh", 1, 500, wanted[i].watt, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.gas", "kWh", 1, 500, 5000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    for (size_t version = 0; version < sizeof preferences / sizeof *preferences; version++) {
        if (version > 0)
            SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
        say_prefs(w, preferences[version]);
        struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
        assert_string_equal(t.end.devices_by, "energy dashboard");
        assert_int_equal(t.count, 8);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            assert_near(nth(&t, wanted[i].kind, wanted[i].entity, 0)->kwh, 24 * wanted[i].watt / 1000);
        assert_near(nth(&t, "meter", NULL, 0)->kwh, 24 * 2.5);
        assert_sums_hold(&t);
        free(t.rows);
    }
}

static void say_no_prefs(struct world *w, int verdict, const char *error)
{
    struct ha_result result = { .has_success = true, .success = false };
    SET(&result, session, 7);
    SET(&result, error, slice_of(error));
    assert_non_null(probe_asked(w->probe, &ingest_ask_contract));
    assert_int_equal(probe_answer(w->probe, &ingest_ask_contract, verdict, verdict == OK ? &result : NULL), 0);
}

/* As one that is still starting says, or nobody; ten seconds later it is asked again. */
static void what_the_energy_dashboard_said_holds_until_it_says_something_else(void **state)
{
    struct world *w = *state;
    static const struct { int verdict; const char *error, *by; int again_ms; } answers[] = {
        { OK, "{\"code\":\"unknown_command\",\"message\":\"Unknown command.\"}", "energy dashboard", 10000 },
        { UNAVAILABLE, "", "energy dashboard", 10000 },
        { OK, "{\"code\":\"not_found\",\"message\":\"No prefs\"}", "found", 300000 },
    };
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.oven", "kWh", 1, 500, 900, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    say_prefs(w, preferences[0]);
    probe_advance(w->probe, 300001);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
        free(t.rows);
        say_no_prefs(w, answers[i].verdict, answers[i].error);
        probe_advance(w->probe, answers[i].again_ms - 1000);
        t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
        assert_string_equal(t.end.devices_by, answers[i].by);
        assert_null(probe_asked(w->probe, &ingest_ask_contract));
        free(t.rows);
        probe_advance(w->probe, 1001);
    }
}

/* The kitchen's counter begins at noon: until then the oven is a device of its own. */
static void what_an_outer_meter_does_not_tell_of_is_no_part_of_it(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.grid", "kWh", 1, 500, 2000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.kitchen", "kWh", 1, 500, 1000, begin + 12 * HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.oven", "kWh", 1, 500, 700, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "0.5");
    say_prefs(w, "{\"energy_sources\":[{\"type\":\"grid\",\"flow_from\":[{\"stat_energy_from\":\"sensor.grid\"}],\"flow_to\":[]}],"
        "\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\",\"included_in_stat\":\"sensor.kitchen\"},{\"stat_consumption\":\"sensor.kitchen\"}]}");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "12h");
    assert_near(nth(&t, "device", "sensor.oven", 0)->kwh, 12 * 0.7);
    assert_true(isnan(nth(&t, "device", "sensor.kitchen", 0)->kwh));
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, 12 * 1.3);
    assert_near(nth(&t, "device", "sensor.kitchen", 1)->kwh, (12 * HOUR - MINUTE) * 0.3 / HOUR); /* nobody knows what it grew by until its first number */
    assert_near(nth(&t, "device", "sensor.kitchen", 1)->uncovered, 60);
    assert_near(nth(&t, "untracked", NULL, 1)->kwh, 12 + 0.3 / 60);
    assert_sums_hold(&t);
    free(t.rows);
    t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, 12 * 2.3 + 0.3 / 60);
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 48);
    assert_sums_hold(&t);
    free(t.rows);
}

/* The kitchen's power is known for five minutes of each quarter, the oven behind it always, the toaster behind that oven for ten. */
static void an_outer_meter_counts_for_what_it_tells_of_in_a_quarter(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 2000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.oven", "kWh", 1, 500, 1000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    for (int64_t at = begin - HOUR; at < begin + 30 * HOUR; at += 15 * MINUTE) {
        say_power(w, "sensor.kitchen", at, "1100");
        say_power(w, "sensor.kitchen", at + 5 * MINUTE, "unavailable");
        say_power(w, "sensor.toaster", at, "600");
        say_power(w, "sensor.toaster", at + 10 * MINUTE, "unavailable");
    }
    rates_every(w, begin - HOUR, begin + 30 * HOUR, HOUR, "0.5", "100");
    SETTLE(w, "UTC", NOW_US, METER);
    say_prefs(w, "{\"energy_sources\":[],\"device_consumption\":[{\"stat_consumption\":\"sensor.oven\",\"included_in_stat\":\"sensor.kitchen\"},"
        "{\"stat_consumption\":\"sensor.kitchen\"},{\"stat_consumption\":\"sensor.toaster\",\"included_in_stat\":\"sensor.oven\"}]}");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "device", "sensor.toaster", 0)->kwh, 24 * 0.6 * 2 / 3);
    assert_near(nth(&t, "device", "sensor.oven", 0)->kwh, 24 * (1 - 0.6 * 2 / 3));
    assert_near(nth(&t, "device", "sensor.kitchen", 0)->kwh, 24 * 0.1 / 3);
    assert_near(nth(&t, "untracked", NULL, 0)->kwh, 24 * (2 - 1 - 0.1 / 3));
    assert_true(nth(&t, "untracked", NULL, 0)->unmetered == 0);
    assert_sums_hold(&t);
    free(t.rows);
}

/* Twice as much is used by the device as by what the meter knows of nothing: its power comes and goes. */
static void what_devices_use_while_the_meter_says_nothing_is_told_beside_it(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    for (int64_t at = begin - HOUR; at < begin + 30 * HOUR; at += HOUR) {
        say_power(w, "sensor.meter", at, "1500");
        say_power(w, "sensor.meter", at + 10 * MINUTE, "unavailable");
    }
    count(w, "sensor.oven", "kWh", 1, 500, 1000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    rates_every(w, begin - HOUR, begin + 30 * HOUR, HOUR, "0.5", "100");
    SETTLE(w, "UTC", NOW_US, METER, "energy_devices", "sensor.oven");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "device", "sensor.oven", 0)->kwh, 24);
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24 * 1.5 / 6);
    const struct told_row *rest = nth(&t, "untracked", NULL, 0);
    assert_near(rest->kwh, 24 * 0.5 / 6);
    assert_false(rest->is_negative);
    assert_near(rest->unmetered, 20);
    assert_near(rest->unmetered_cost, 10);
    assert_near(rest->unmetered_carbon, 2000);
    assert_near(rest->uncovered, 20 * 3600);
    assert_sums_hold(&t);
    free(t.rows);
    t = TELL(w, "2025-12-30T00:15:00Z", "2025-12-30T00:30:00Z", "15m");
    assert_true(isnan(nth(&t, "untracked", NULL, 0)->kwh) && isnan(nth(&t, "meter", NULL, 0)->kwh));
    free(t.rows);
}

/* The number before the time that is asked for is where it counts from, however long ago that was; only the very first of all has none before it. */
static void a_counter_counts_from_the_number_before_the_time_that_is_asked_for(void **state)
{
    struct world *w = *state;
    const int64_t begin = NOW_US - 5 * DAY;
    count(w, "sensor.meter", "kWh", 1, 500, 1000, begin, begin + 3 * DAY, MINUTE);
    SAY(w, "sensor.rare", begin, "10", .unit = "kWh", .attributes = COUNTER);
    SAY(w, "sensor.rare", begin + 3 * DAY + 30 * MINUTE, "34.5", .unit = "kWh", .attributes = COUNTER);
    SETTLE(w, "UTC", NOW_US, METER, "energy_devices", "sensor.rare");
    struct told t = TELL(w, "2025-12-27T00:00:00Z", "2025-12-28T00:00:00Z", "15m"); /* the day of its first number */
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 0.25 - 1 / 60.0);
    for (size_t i = 1; i < 96; i++)
        assert_near(nth(&t, "meter", NULL, i)->kwh, 0.25);
    free(t.rows);
    for (int hour = 1; hour < 24; hour += 5) {
        char from[40], to[40];
        snprintf(from, sizeof from, "2025-12-28T%02d:15:00Z", hour);
        snprintf(to, sizeof to, "2025-12-28T%02d:30:00Z", hour);
        t = TELL(w, from, to, "15m");
        assert_near(nth(&t, "meter", NULL, 0)->kwh, 0.25);
        assert_near(nth(&t, "device", "sensor.rare", 0)->kwh, 24.5 / 72.5 / 4);
        free(t.rows);
    }
    t = TELL(w, "2025-12-27T00:00:00Z", "2025-12-31T00:00:00Z", "all");
    assert_near(nth(&t, "device", "sensor.rare", 0)->kwh, 24.5);
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 72);
    free(t.rows);
}

static void of_what_is_found_each_device_counts_once(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "sensor.plug_energy", "kWh", 1, 90, 100, begin - HOUR, begin + 30 * HOUR, MINUTE);
    say_power(w, "sensor.plug_power", begin, "100"); /* the same plug */
    SAY(w, "sensor.outdoor", begin, "5", .unit = "°C", .attributes = "{\"device_class\":\"temperature\"}");
    SAY(w, "sensor.yesterday", begin, "5", .unit = "kWh", .attributes = "{\"device_class\":\"energy\"}"); /* counts nothing */
    count(w, "sensor.plug_energy_daily", "kWh", 1, 0, 100, begin, begin + HOUR, MINUTE);
    count(w, "sensor.unwanted", "kWh", 1, 5, 100, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SAY(w, "sensor.net", begin - HOUR, "-5", .unit = "kWh", .attributes = TOTAL);
    SAY(w, "sensor.net", begin + HOUR, "-8", .unit = "kWh", .attributes = TOTAL);
    SETTLE(w, "UTC", NOW_US, "energy_exclude", "sensor.unwanted");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_string_equal(t.end.devices_by, "found");
    assert_int_equal(t.count, 2);
    assert_near(nth(&t, "device", "sensor.plug_energy", 0)->kwh, 2.4);
    assert_near(nth(&t, "device", "sensor.net", 0)->kwh, -1.5); /* half of the two hours is the day's */
    assert_non_null(strstr(t.skipped, "sensor.unwanted"));
    assert_non_null(strstr(t.skipped, "sensor.plug_energy_daily"));
    free(t.rows);
}

static void the_smart_meters_series_are_the_meter(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    count(w, "_smartmeter.import_kwh", "kWh", 1, 90, 1000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "_smartmeter.export_kwh", "kWh", 1, 90, 200, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "1");
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24 * 0.8);
    assert_near(nth(&t, "import", "_smartmeter.import_kwh", 0)->kwh, 24);
    free(t.rows);
}

/* The roof gives 2 kW, of which half a kilowatt goes away: the meter's power says so by itself, and so does the dashboard's counter. */
static void the_smart_meters_power_is_less_what_goes_away_which_no_dashboard_takes_off_again(void **state)
{
    struct world *w = *state;
    int64_t begin = NOW_US - 2 * DAY;
    say_power(w, "_smartmeter.power_w", begin - HOUR, "-500");
    count(w, "sensor.back", "kWh", 1, 500, 500, begin - HOUR, begin + 30 * HOUR, MINUTE);
    count(w, "sensor.roof", "kWh", 1, 500, 2000, begin - HOUR, begin + 30 * HOUR, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "1");
    say_prefs(w, preferences[0]);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24 * 1.5);
    for (size_t i = 0; i < t.count; i++)
        assert_string_not_equal(t.rows[i].kind, "export");
    free(t.rows);
}

/* The dashboard's grid goes on being the meter of a time that begins before the smart meter did. */
static void a_smart_meter_that_is_new_takes_nothing_from_the_time_before_it(void **state)
{
    struct world *w = *state;
    count(w, "sensor.grid", "kWh", 1, 500, 1000, NOW_US - 4 * DAY, NOW_US, MINUTE);
    count(w, "sensor.back", "kWh", 1, 500, 0, NOW_US - 4 * DAY, NOW_US, MINUTE);
    count(w, "_smartmeter.import_kwh", "kWh", 1, 90, 1000, NOW_US - 3 * DAY / 2, NOW_US, MINUTE);
    SETTLE(w, "UTC", NOW_US, "energy_price", "1");
    say_prefs(w, preferences[0]);
    struct told t = TELL(w, "2025-12-29T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    assert_near(nth(&t, "meter", NULL, 0)->kwh, 24);
    assert_near(nth(&t, "meter", NULL, 1)->kwh, 24);
    assert_non_null(nth(&t, "import", "sensor.grid", 0));
    free(t.rows);
    t = TELL(w, "2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "1d");
    assert_non_null(nth(&t, "import", "_smartmeter.import_kwh", 0));
    free(t.rows);
}

/* --- refusals ---------------------------------------------------------------------------------------------------------- */

static void what_cannot_be_answered_names_its_field(void **state)
{
    struct world *w = *state;
    static const struct { const char *pairs[7]; const char *field; } cases[] = {
        { { "from", "2025-12-30T00:00:00Z", "step", "2d" }, "step" },
        { { "from", "2025-12-30T00:00:00Z", "tz", "Mars/Olympus" }, "tz" },
        { { "from", "2025-12-30T00:00:00Z", "to", "2025-12-30T00:00:00Z" }, "to" },
        { { "from", "2027-12-30T00:00:00Z" }, "from" },
        { { "from", "1970-01-30T00:00:00Z" }, "from" },
        { { "from", "2015-12-30T00:00:00Z", "step", "15m" }, "step" },
        { { "from", "2015-12-30T00:00:00Z", "step", "all" }, "step" },
        { { "from", "2025-12-30T00:00:00Z", "cursor", "1 2" }, "cursor" },
        { { "from", "2025-12-30T00:00:00Z", "cursor", "1 2 3" }, "cursor" },
    };
    SETTLE(w, "UTC", NOW_US, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct told t;
        assert_int_equal(ask_table(w, &t, cases[i].pairs), BAD_REQUEST);
        assert_string_equal(probe_fault(w->probe).field, cases[i].field);
    }
}

static void an_empty_store_knows_nothing(void **state)
{
    struct world *w = *state;
    SETTLE(w, "UTC", NOW_US, METER);
    struct told t = TELL(w, "2025-12-30T00:00:00Z", "2025-12-31T00:00:00Z", "1d");
    for (size_t i = 0; i < t.count; i++)
        assert_true(isnan(t.rows[i].kwh));
    free(t.rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_ordinary_day_has_24_hours_of_everything),
        TEST(the_day_in_spring_has_23),
        TEST(the_day_in_autumn_has_25),
        TEST(a_zone_of_three_quarters_of_an_hour_has_its_own_days),
        TEST(a_zone_that_changes_by_half_an_hour_has_days_of_that),
        TEST(hours_are_those_of_the_clock_on_the_wall),
        TEST(a_counter_that_is_reset_loses_nothing_but_what_it_never_said),
        TEST(a_counter_that_says_when_it_began_anew_is_believed),
        TEST(a_price_that_changes_within_an_hour_counts_from_its_minute),
        TEST(what_is_left_of_a_meter_that_says_nothing_is_not_known),
        TEST(power_is_not_carried_over_a_time_of_which_nothing_is_known),
        TEST(what_a_counter_grew_by_while_nobody_heard_it_is_not_lost_but_spread_and_called_a_guess),
        TEST(a_counter_that_speaks_once_an_hour_is_known_by_quarters),
        TEST(a_counter_that_is_silent_since_long_has_used_nothing_until_it_says_so),
        TEST(devices_that_say_more_than_the_meter_leave_less_than_nothing_and_it_is_told),
        TEST(where_no_price_is_known_nothing_is_made_up),
        TEST(what_is_made_at_home_and_given_away_is_part_of_what_is_used),
        TEST(a_table_of_many_pages_is_that_of_one),
        TEST(what_is_rolled_up_says_the_same),
        TEST(the_energy_dashboard_says_who_counts_and_who_is_behind_whom),
        TEST(the_energy_dashboard_of_every_version_is_read),
        TEST(what_the_energy_dashboard_said_holds_until_it_says_something_else),
        TEST(what_an_outer_meter_does_not_tell_of_is_no_part_of_it),
        TEST(an_outer_meter_counts_for_what_it_tells_of_in_a_quarter),
        TEST(what_devices_use_while_the_meter_says_nothing_is_told_beside_it),
        TEST(a_counter_counts_from_the_number_before_the_time_that_is_asked_for),
        TEST(of_what_is_found_each_device_counts_once),
        TEST(the_smart_meters_series_are_the_meter),
        TEST(the_smart_meters_power_is_less_what_goes_away_which_no_dashboard_takes_off_again),
        TEST(a_smart_meter_that_is_new_takes_nothing_from_the_time_before_it),
        TEST(what_cannot_be_answered_names_its_field),
        TEST(an_empty_store_knows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
