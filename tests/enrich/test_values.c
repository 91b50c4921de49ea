/* test_values.c - what a state's text means, and units. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "units.h"
#include "value.h"

/* The JSON text of a state's value, "" for none. */
static const char *value_of(const char *domain, const char *state)
{
    static struct value value;
    static char text[VALUE_TEXT + 1];
    value_read(slice_of(domain), slice_of(state), &value);
    assert_true(value.json.size < sizeof text);
    memcpy(text, value.json.size ? value.json.data : "", value.json.size);
    text[value.json.size] = '\0';
    return text;
}

static void numbers_are_the_whole_text(void **state)
{
    (void)state;
    static const struct { const char *state, *json; } cases[] = {
        { "21.5", "21.5" }, { "0", "0" }, { "1", "1" }, { "-5", "-5" }, { "+5", "5" }, { "007", "7" }, { "00", "0" },
        { "-007.50", "-7.50" }, { "5.0", "5.0" }, { "1.10", "1.10" }, { "5.", "5" }, { ".5", "0.5" },
        { "-.5e3", "-0.5e3" }, { "1e5", "1e5" }, { "1E5", "1E5" }, { "1.5e3", "1.5e3" }, { "1e-7", "1e-7" },
        { "9223372036854775808", "9223372036854775808" },
        { "", "" }, { "-", "" }, { ".", "" }, { "e5", "" }, { "1e", "" }, { "1e+", "" }, { " 12 ", "" }, { "12 ", "" },
        { "1_000", "" }, { "0x10", "" }, { "1,5", "" }, { "12:30", "" }, { "2025-10-13", "" }, { "NaN", "" },
        { "nan", "" }, { "inf", "" }, { "-inf", "" }, { "Infinity", "" }, { "1e400", "" }, { "-1e400", "" },
        { "unavailable", "" }, { "unknown", "" }, { "on", "" }, { "true", "" }, { "\xd9\xa1\xd9\xa2", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(value_of("sensor", cases[i].state), cases[i].json);
}

static void a_long_number_is_rounded_and_an_endless_one_is_text(void **state)
{
    (void)state;
    char digits[400];
    memset(digits, '1', sizeof digits);
    digits[100] = '\0';
    assert_string_equal(value_of("sensor", digits), "1.111111111111111e+99");
    memset(digits, '1', sizeof digits);
    digits[320] = '\0';
    assert_string_equal(value_of("sensor", digits), ""); /* beyond what a double holds */
    digits[320] = '1';
    digits[399] = '\0';
    assert_string_equal(value_of("sensor", digits), "");
}

static void a_zero_byte_ends_no_number(void **state)
{
    (void)state;
    struct value value;
    value_read(slice_of("sensor"), (struct slice){ "12\0", 3 }, &value);
    assert_int_equal(value.json.size, 0);
    value_read(slice_of("light"), (struct slice){ "on\0", 3 }, &value);
    assert_int_equal(value.json.size, 0);
}

static void words_count_only_where_they_mean_yes_and_no(void **state)
{
    (void)state;
    static const char *const yes[] = { "on", "true", "1", "yes", "enabled", "active", "ON", " on " };
    static const char *const no[] = { "off", "false", "0", "no", "disabled", "inactive", "Off" };
    static const char *const boolean[] = { "binary_sensor", "switch", "light", "input_boolean", "fan", "automation",
        "siren", "humidifier", "remote" };
    static const char *const others[] = { "sensor", "climate", "media_player", "select", "cover", "lock", "light2" };
    for (size_t d = 0; d < sizeof boolean / sizeof *boolean; d++) {
        for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
            assert_string_equal(value_of(boolean[d], yes[i]), "true");
        for (size_t i = 0; i < sizeof no / sizeof *no; i++)
            assert_string_equal(value_of(boolean[d], no[i]), "false");
        assert_string_equal(value_of(boolean[d], "unavailable"), "");
    }
    for (size_t d = 0; d < sizeof others / sizeof *others; d++) {
        assert_string_equal(value_of(others[d], "on"), "");
        assert_string_equal(value_of(others[d], "off"), "");
        assert_string_equal(value_of(others[d], "1"), "1");
    }
}

static void assert_converted(const char *unit, double value, const char *canonical, double expected)
{
    const struct unit *u = unit_find(slice_of(unit));
    assert_non_null(u);
    assert_string_equal(u->canonical, canonical);
    double got = unit_convert(u, value);
    if (fabs(got - expected) > 1e-12 * fmax(1, fabs(expected)))
        fail_msg("%g %s is %.17g %s, not %.17g", value, unit, got, canonical, expected);
}

static void units_become_the_canonical_one_of_their_kind(void **state)
{
    (void)state;
    assert_true(unit_convert(unit_find(slice_of("°F")), 212) == 100);
    assert_true(unit_convert(unit_find(slice_of("°F")), -40) == -40);
    assert_converted("fahrenheit", 32, "°C", 0);
    assert_converted("°C", 21.5, "°C", 21.5);
    assert_converted("celsius", 21.5, "°C", 21.5);
    assert_converted("K", 273.15, "°C", 0);
    assert_converted("hPa", 1013.25, "hPa", 1013.25);
    assert_converted("mbar", 1013.25, "hPa", 1013.25);
    assert_converted("Pa", 101325, "hPa", 1013.25);
    assert_converted("kPa", 101.325, "hPa", 1013.25);
    assert_converted("mmHg", 760, "hPa", 1013.25014435400);
    assert_converted("inHg", 1, "hPa", 33.86388640341);
    assert_converted("psi", 1, "hPa", 68.94757293168361);
    assert_converted("Wh", 1500, "kWh", 1.5);
    assert_converted("MWh", 1.5, "kWh", 1500);
    assert_converted("kW", 1.5, "W", 1500);
    assert_converted("MW", 1.5, "W", 1.5e6);
    assert_converted("mW", 1500, "W", 1.5);
    assert_converted("mA", 250, "A", 0.25);
    assert_converted("mV", 250, "V", 0.25);
    assert_true(unit_convert(unit_find(slice_of("km/h")), 36) == 10);
    assert_converted("mph", 1, "m/s", 0.44704);
    assert_converted("kn", 3600, "m/s", 1852);
    assert_converted("ft", 10, "m", 3.048);
    assert_converted("in", 100, "m", 2.54);
    assert_converted("mi", 1, "m", 1609.344);
    assert_converted("cm", 250, "m", 2.5);
    assert_converted("mm", 2500, "m", 2.5);
    assert_converted("km", 2.5, "m", 2500);
    assert_converted("%", 55, "%", 55);
}

static void an_unknown_unit_is_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = { "", "c", "°c", "KWH", "kwh", "EUR/kWh", "steps", "hpa", "mw" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_null(unit_find(slice_of(names[i])));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_whole_text),
        cmocka_unit_test(a_long_number_is_rounded_and_an_endless_one_is_text),
        cmocka_unit_test(a_zero_byte_ends_no_number),
        cmocka_unit_test(words_count_only_where_they_mean_yes_and_no),
        cmocka_unit_test(units_become_the_canonical_one_of_their_kind),
        cmocka_unit_test(an_unknown_unit_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
