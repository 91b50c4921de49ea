/* test_aqi.c - the index, against the EPA's own examples and the edges of its bands. */
#include "aqi.h"
#include "probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void every_band_has_the_edges_of_the_regulation(void **state)
{
    (void)state;
    static const struct { enum pollutant pollutant; double ug_m3; int index; } edges[] = {
        { PM2_5, 0, 0 }, { PM2_5, 9.0, 50 }, { PM2_5, 9.1, 51 }, { PM2_5, 35.4, 100 }, { PM2_5, 35.5, 101 }, { PM2_5, 35.9, 102 },
        { PM2_5, 55.4, 150 }, { PM2_5, 55.5, 151 }, { PM2_5, 125.4, 200 }, { PM2_5, 125.5, 201 }, { PM2_5, 225.4, 300 }, { PM2_5, 225.5, 301 },
        { PM2_5, 325.4, 500 }, { PM2_5, 4000, 500 }, { PM2_5, 9.09, 50 } /* cut, not rounded */, { PM2_5, -1, -1 },
        { PM10, 54, 50 }, { PM10, 54.9, 50 }, { PM10, 55, 51 }, { PM10, 154, 100 }, { PM10, 155, 101 }, { PM10, 424, 300 }, { PM10, 604, 500 },
    };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        if (aqi_of_latest(edges[i].pollutant, edges[i].ug_m3) != edges[i].index)
            fail_msg("%d %g: %d", edges[i].pollutant, edges[i].ug_m3, aqi_of_latest(edges[i].pollutant, edges[i].ug_m3));
}

static void gases_are_counted_in_parts(void **state)
{
    (void)state;
    static const struct { enum pollutant pollutant; double ppb; int index; } gases[] = {
        { OZONE, 54, 50 }, { OZONE, 55, 51 }, { OZONE, 78.53333, 126 }, { OZONE, 70, 100 }, { OZONE, 201, 205 /* the hour's bands by now */ },
        { CO, 8400, 90 }, { CO, 9400, 100 }, { NO2, 53, 50 }, { NO2, 100, 100 }, { NO2, 101, 101 }, { SO2, 75, 100 }, { SO2, 400, 200 },
    };
    for (size_t i = 0; i < sizeof gases / sizeof *gases; i++) {
        double ug_m3 = gases[i].ppb * aqi_ug_per_ppb(gases[i].pollutant);
        if (gases[i].pollutant == OZONE && gases[i].ppb == 201)
            assert_in_range(aqi_of_latest(OZONE, ug_m3), 200, 300);
        else if (aqi_of_latest(gases[i].pollutant, ug_m3) != gases[i].index)
            fail_msg("%d %g: %d", gases[i].pollutant, gases[i].ppb, aqi_of_latest(gases[i].pollutant, ug_m3));
    }
}

static void dust_is_weighted_by_how_steady_it_was(void **state)
{
    (void)state;
    double hours[AIR_HOURS];
    for (int i = 0; i < AIR_HOURS; i++)
        hours[i] = NAN;
    hours[0] = 20;
    assert_int_equal(aqi_of_hours(PM2_5, hours), -1); /* two of the last three hours at least */
    hours[1] = 10;
    assert_int_equal(aqi_of_hours(PM2_5, hours), aqi_of_latest(PM2_5, (20 + 0.5 * 10) / 1.5));
    for (int i = 0; i < 12; i++)
        hours[i] = i < 6 ? 20 : 16; /* weight 0.8 */
    double sum = 0, weights = 0, power = 1;
    for (int i = 0; i < 12; i++, power *= 0.8) {
        sum += power * hours[i];
        weights += power;
    }
    assert_int_equal(aqi_of_hours(PM2_5, hours), aqi_of_latest(PM2_5, sum / weights));
}

static void ozone_is_the_mean_of_eight_hours(void **state)
{
    (void)state;
    double hours[AIR_HOURS];
    for (int i = 0; i < AIR_HOURS; i++)
        hours[i] = i < 4 ? 80 * aqi_ug_per_ppb(OZONE) : 60 * aqi_ug_per_ppb(OZONE);
    assert_int_equal(aqi_of_hours(OZONE, hours), aqi_of_latest(OZONE, 70 * aqi_ug_per_ppb(OZONE)));
    hours[0] = hours[1] = hours[2] = NAN;
    assert_int_equal(aqi_of_hours(OZONE, hours), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_band_has_the_edges_of_the_regulation),
        cmocka_unit_test(gases_are_counted_in_parts),
        cmocka_unit_test(dust_is_weighted_by_how_steady_it_was),
        cmocka_unit_test(ozone_is_the_mean_of_eight_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
