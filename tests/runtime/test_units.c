/* test_units.c - units that can be converted into each other, and those that cannot. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "units.h"

enum { KINDS_MAX = 32, NAMES_MAX = 32 };

/* Home Assistant's units, kind by kind, as its converters have them. */
static const char *const kinds[KINDS_MAX][NAMES_MAX] = {
    { "J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal" },
    { "mW", "W", "kW", "MW", "GW", "TW", "BTU/h" },
    { "°C", "°F", "K", "celsius", "Fahrenheit" },
    { "Pa", "hPa", "kPa", "MPa", "bar", "cbar", "mbar", "mmHg", "inHg", "inH₂O", "psi" },
    { "m/s", "km/h", "mph", "kn", "ft/s", "mm/s", "in/s", "m/min" },
    { "mm/h", "mm/d", "in/h", "in/d" },
    { "L", "mL", "m³", "ft³", "CCF", "MCF", "gal", "fl. oz." },
    { "m³/h", "m³/min", "m³/s", "ft³/min", "L/h", "L/min", "L/s", "mL/s", "gal/min", "gal/h", "gal/d" },
    { "m", "km", "cm", "mm", "mi", "nmi", "yd", "ft", "in" },
    { "m²", "cm²", "km²", "mm²", "in²", "ft²", "yd²", "mi²", "ac", "ha" },
    { "g", "kg", "mg", "µg", "μg", "oz", "lb", "st" },
    { "bit", "kbit", "Mbit", "Gbit", "B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" },
    { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s", "GB/s", "KiB/s", "MiB/s", "GiB/s" },
    { "s", "ms", "µs", "μs", "min", "h", "d", "w" },
    { "A", "mA", "µA" },
    { "V", "mV", "µV", "kV", "MV" },
    { "VA", "kVA", "mVA" },
    { "var", "kvar", "mvar" },
    { "varh", "kvarh" },
    { "Hz", "kHz", "MHz", "GHz", "mHz" },
    { "µg/m³", "μg/m³", "mg/m³", "g/m³" },
    { "ppm", "ppb" },
    { "mg/dL", "mmol/L" },
    { "µS/cm", "mS/cm", "S/cm" },
    { "W/m²", "BTU/(h⋅ft²)" },
    { "%" }, { "lx" }, { "°" }, { "dB" }, { "dBm" }, { "pH" },
};

static bool is_near(double one, double other)
{
    return fabs(one - other) <= 4e-15 * fmax(fabs(one), fabs(other)) + 1e-12;
}

static void every_unit_goes_into_any_of_its_kind_and_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS_MAX; k++)
        for (size_t a = 0; a < NAMES_MAX && kinds[k][a]; a++)
            for (size_t b = 0; b < NAMES_MAX && kinds[k][b]; b++) {
                double value = 21.3, back;
                assert_true(units_convert(slice_of(kinds[k][a]), slice_of(kinds[k][b]), &value));
                assert_true(isfinite(value));
                back = value;
                assert_true(units_convert(slice_of(kinds[k][b]), slice_of(kinds[k][a]), &back));
                if (!is_near(back, 21.3))
                    fail_msg("21.3 %s to %s and back is %.17g", kinds[k][a], kinds[k][b], back);
            }
}

static void a_unit_goes_into_none_of_another_kind(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS_MAX; k++)
        for (size_t other = 0; other < KINDS_MAX; other++)
            for (size_t a = 0; k != other && a < NAMES_MAX && kinds[k][a]; a++)
                for (size_t b = 0; b < NAMES_MAX && kinds[other][b]; b++) {
                    double value = 7;
                    assert_false(units_convert(slice_of(kinds[k][a]), slice_of(kinds[other][b]), &value));
                    assert_true(value == 7);
                }
}

static void assert_is(double value, const char *from, double expected, const char *to)
{
    double got = value;
    assert_true(units_convert(slice_of(from), slice_of(to), &got));
    if (got != expected)
        fail_msg("%.17g %s is %.17g %s, not %.17g", value, from, got, to, expected);
}

static void what_the_definition_says_is_exact(void **state)
{
    (void)state;
    assert_is(212, "°F", 100, "°C");
    assert_is(100, "°C", 212, "°F");
    assert_is(0, "K", -273.15, "°C");
    assert_is(0, "°C", 273.15, "K");
    assert_is(3.6, "MJ", 1000, "Wh");
    assert_is(1, "kWh", 3.6, "MJ");
    assert_is(1.5, "kW", 1500, "W");
    assert_is(1500, "W", 1.5, "kW");
    assert_is(36, "km/h", 10, "m/s");
    assert_is(1, "bar", 100000, "Pa");
    assert_is(1, "in", 2.54, "cm");
    assert_is(1, "mi", 5280, "ft");
    assert_is(1, "MiB", 1048576, "B");
    assert_is(1, "MB", 8, "Mbit");
    assert_is(100, "Mbit/s", 12.5, "MB/s");
    assert_is(90, "min", 1.5, "h");
    assert_is(1, "gal", 128, "fl. oz.");
    assert_is(1, "ha", 10000, "m²");
    assert_is(5, "mmol/L", 90, "mg/dL");
    assert_is(0.1, "kvarh", 100, "varh");
}

static void a_unit_that_nobody_knows_goes_into_itself_alone(void **state)
{
    double value = 3;
    (void)state;
    assert_true(units_convert(slice_of("EUR/kWh"), slice_of("EUR/kWh"), &value));
    assert_true(units_convert(slice_of(""), slice_of(""), &value));
    assert_true(units_convert(slice_of("°C"), slice_of("℃"), &value));
    assert_true(value == 3);
    assert_false(units_convert(slice_of("EUR/kWh"), slice_of("USD/kWh"), &value));
    assert_false(units_convert(slice_of(""), slice_of("W"), &value));
    assert_false(units_convert(slice_of("W"), slice_of(""), &value));
    assert_false(units_convert(slice_of("KW"), slice_of("W"), &value));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_goes_into_any_of_its_kind_and_back),
        cmocka_unit_test(a_unit_goes_into_none_of_another_kind),
        cmocka_unit_test(what_the_definition_says_is_exact),
        cmocka_unit_test(a_unit_that_nobody_knows_goes_into_itself_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
