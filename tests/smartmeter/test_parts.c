/* test_parts.c - the base load of nights, and topics by the settings. */
#include "mapping.h"
#include "phantom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const int64_t second_us = 1000000, midnight_us = INT64_C(1767222000000000); /* 2026-01-01T00:00 in Amsterdam */

static zone_t *amsterdam(void)
{
    const char *why;
    zone_t *zone = zone_open("Europe/Amsterdam", &why);
    assert_non_null(zone);
    return zone;
}

/* A night from 0 to 6 o'clock with a reading each ten seconds; `low` for the quarter after 3, `usual` else. */
static void live_a_night(struct phantom *phantom, const zone_t *zone, int night, double usual, double low)
{
    int64_t day_us = zone_day_start(zone, midnight_us + night * 86400 * second_us + 12 * 3600 * second_us);
    for (int s = 0; s < 6 * 3600; s += 10)
        phantom_take(phantom, zone, day_us + s * second_us, s >= 3 * 3600 && s < 3 * 3600 + 900 ? low : usual, 120);
}

static int base(const struct phantom *phantom, int night, double *watts)
{
    return phantom_base(phantom, midnight_us + (night + 1) * 86400 * second_us, watts);
}

static void no_night_no_base_load(void **state)
{
    struct phantom phantom = { .count = 0 };
    double watts = -1;
    zone_t *zone = amsterdam();
    (void)state;
    assert_int_equal(base(&phantom, 0, &watts), 0);
    for (int s = 12 * 3600; s < 24 * 3600; s += 10) /* a day is none */
        phantom_take(&phantom, zone, midnight_us + s * second_us, 50, 120);
    assert_int_equal(base(&phantom, 0, &watts), 0);
    live_a_night(&phantom, zone, 1, 300, 120);
    assert_int_equal(phantom_base(&phantom, midnight_us + (86400 + 3 * 3600) * second_us, &watts), 0); /* it is not over */
    assert_int_equal(base(&phantom, 1, &watts), 1);
    assert_true(watts == 120);
    zone_destroy(&zone);
}

static void one_odd_night_of_seven_does_not_count(void **state)
{
    struct phantom phantom = { .count = 0 };
    double watts;
    zone_t *zone = amsterdam();
    (void)state;
    for (int night = 0; night < 10; night++)
        live_a_night(&phantom, zone, night, 400, night == 8 ? 5 : 100 + night);
    assert_int_equal(base(&phantom, 9, &watts), 7);
    assert_true(watts == 105); /* of 103 104 105 106 107 5 109 */
    zone_destroy(&zone);
}

static void a_night_of_which_little_is_known_or_that_gave_power_away_tells_nothing(void **state)
{
    struct phantom phantom = { .count = 0 };
    double watts;
    zone_t *zone = amsterdam();
    (void)state;
    for (int s = 0; s < 6 * 3600; s += 300) /* a reading each five minutes: nobody knows what was in between */
        phantom_take(&phantom, zone, midnight_us + s * second_us, 90, 120);
    assert_int_equal(base(&phantom, 0, &watts), 0);
    live_a_night(&phantom, zone, 1, 300, -20);
    assert_int_equal(base(&phantom, 1, &watts), 0);
    zone_destroy(&zone);
}

/* As Home Assistant says it: what has changed, and nothing else. */
static void a_quiet_night_of_few_changes_has_a_base_load(void **state)
{
    static const struct { int minute; double watts; } said[] = { { 20, 300 }, { 65, 140 }, { 110, 260 }, { 125, 85 }, { 175, 90 }, { 230, 120 }, { 285, 110 }, { 340, 400 } };
    struct phantom phantom = { .count = 0 };
    double watts;
    zone_t *zone = amsterdam();
    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        phantom_take(&phantom, zone, midnight_us + said[i].minute * 60 * second_us, said[i].watts, 3600);
    assert_int_equal(base(&phantom, 0, &watts), 1);
    assert_true(watts == 85);
    zone_destroy(&zone);
}

static void what_is_unavailable_or_was_said_too_long_ago_is_no_base_load(void **state)
{
    struct phantom phantom = { .count = 0 };
    double watts;
    zone_t *zone = amsterdam();
    (void)state;
    phantom_take(&phantom, zone, midnight_us + 3600 * second_us, 40, 3600);
    phantom_lose(&phantom, zone, midnight_us + (3600 + 600) * second_us, 3600); /* no whole quarter */
    phantom_take(&phantom, zone, midnight_us + 2 * 3600 * second_us, 100, 3600);
    phantom_take(&phantom, zone, midnight_us + 6 * 3600 * second_us, 100, 3600); /* of these four hours one is known */
    assert_int_equal(phantom.count, 1);
    assert_true(phantom.nights[0].low_w == 100 && phantom.nights[0].known_s == 3600);
    assert_int_equal(base(&phantom, 0, &watts), 0);
    zone_destroy(&zone);
}

static void the_night_without_an_hour_counts_too(void **state)
{
    struct phantom phantom = { .count = 0 };
    double watts;
    zone_t *zone = amsterdam();
    (void)state;
    live_a_night(&phantom, zone, 87, 250, 200); /* 29 March 2026 */
    assert_int_equal(base(&phantom, 87, &watts), 1);
    assert_true(watts == 200);
    zone_destroy(&zone);
}

/* --- topics -------------------------------------------------------------------------------------------- */

static double value;

static size_t take(struct mappings *mappings, const char *topic, const char *payload, int64_t at_us, size_t *odd)
{
    json_t *json = json_new();
    size_t count = mappings_take(mappings, json, topic, slice_of(payload), at_us, odd);
    json_destroy(&json);
    return count;
}

static void glow_is_known_by_its_name(void **state)
{
    struct mappings mappings;
    char why[200];
    size_t odd;
    (void)state;
    assert_int_equal(mappings_read("glow", "", &mappings, why, sizeof why), 0);
    assert_int_equal(take(&mappings, "glow/AABBCC/SENSOR/electricitymeter", "{\"electricitymeter\":{\"timestamp\":\"2026-01-01T09:26:52Z\",\"energy\":{\"export\":{\"cumulative\":0.5},"
        "\"import\":{\"cumulative\":6613.405,\"units\":\"kWh\"}},\"power\":{\"value\":-0.951,\"units\":\"kW\"}}}", 100, &odd), 4);
    assert_int_equal(odd, 0);
    assert_true(mappings_value(&mappings, "power_w", 0, &value) && value == -951);
    assert_true(mappings_value(&mappings, "import_kwh", 0, &value) && value == 6613.405);
    assert_true(mappings_value(&mappings, "as_of", 0, &value) && value == 1767259612e6);
    assert_false(mappings_value(&mappings, "gas_m3", 0, &value));
    assert_false(mappings_value(&mappings, "power_w", 101, &value)); /* too long ago */
    assert_int_equal(take(&mappings, "glow/AABBCC/SENSOR/electricitymeter", "{\"electricitymeter\":{\"power\":null}}", 200, &odd), 4);
    assert_false(mappings_value(&mappings, "power_w", 0, &value)); /* what it was before is not what it is */
    assert_int_equal(take(&mappings, "glow/A/B/SENSOR/electricitymeter", "{}", 200, &odd), 0);
}

static void rows_of_one_member_are_added_when_all_are_known(void **state)
{
    struct mappings mappings;
    char why[200];
    size_t odd;
    (void)state;
    assert_int_equal(mappings_read("shelly-3em", "shellies/x", &mappings, why, sizeof why), 0);
    take(&mappings, "shellies/x/emeter/0/power", "100.5", 1, &odd);
    take(&mappings, "shellies/x/emeter/1/power", "-50", 1, &odd);
    assert_false(mappings_value(&mappings, "power_w", 0, &value));
    assert_true(mappings_value(&mappings, "power_l2_w", 0, &value) && value == -50);
    take(&mappings, "shellies/x/emeter/2/power", "20", 1, &odd);
    assert_true(mappings_value(&mappings, "power_w", 0, &value) && value == 70.5);
    take(&mappings, "shellies/x/emeter/2/power", "nan", 1, &odd);
    assert_int_equal(odd, 2);
    assert_false(mappings_value(&mappings, "power_w", 0, &value));
}

static void a_row_that_cannot_be_is_named(void **state)
{
    static const char *const wrong[] = { "", ";;", "power_w", "power_w=", "=x", "power=x", "tariff=x", "phantom_w=x", "circuit:=x", "circuit_1_w=x", "power_w=a#", "power_w=a*", "power_w=a*2x", "power_w=%/a", "power_w=#p" };
    struct mappings mappings;
    char why[200];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mappings_read(wrong[i], "", &mappings, why, sizeof why), -1);
    assert_int_equal(mappings_read(" power_w=a/b#x.y*1000 ;\n circuit:My oven = x; as_of=a/b#t", "", &mappings, why, sizeof why), -1);
    assert_int_equal(mappings_read(" power_w=a/b#x.y*1000 ;\n circuit:My oven=x; as_of=a/b#t", "", &mappings, why, sizeof why), 0);
    assert_int_equal(mappings.count, 3);
    assert_string_equal(mappings.rows[0].path, "x.y");
    assert_true(mappings.rows[0].factor == 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_night_no_base_load),
        cmocka_unit_test(one_odd_night_of_seven_does_not_count),
        cmocka_unit_test(a_night_of_which_little_is_known_or_that_gave_power_away_tells_nothing),
        cmocka_unit_test(a_quiet_night_of_few_changes_has_a_base_load),
        cmocka_unit_test(what_is_unavailable_or_was_said_too_long_ago_is_no_base_load),
        cmocka_unit_test(the_night_without_an_hour_counts_too),
        cmocka_unit_test(glow_is_known_by_its_name),
        cmocka_unit_test(rows_of_one_member_are_added_when_all_are_known),
        cmocka_unit_test(a_row_that_cannot_be_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
