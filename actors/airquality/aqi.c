/* aqi.c - the air quality index of the US EPA, from concentrations. */
#include "aqi.h"

#include "pick.h"

#include <math.h>
#include <string.h>

const struct pollutant_names pollutant_names[POLLUTANTS] = {
    [PM2_5] = { "pm2_5", "pm2_5_aqi", "pm2_5_ug_m3" }, [PM10] = { "pm10", "pm10_aqi", "pm10_ug_m3" },
    [OZONE] = { "ozone", "ozone_aqi", "ozone_ug_m3" }, [NO2] = { "no2", "no2_aqi", "no2_ug_m3" },
    [SO2] = { "so2", "so2_aqi", "so2_ug_m3" }, [CO] = { "co", "co_aqi", "co_ug_m3" },
};

enum { BANDS = 7 };
static const int index_from[BANDS] = { 0, 51, 101, 151, 201, 301, 401 }, index_to[BANDS] = { 50, 100, 150, 200, 300, 400, 500 };

/* Up to where each band goes, in steps: a concentration is cut to whole steps first. Where the
 * regulation has one band from 301 to 500, it is cut in the middle. */
struct scale { double step, to[BANDS]; };
static const struct scale scales[POLLUTANTS] = {
    [PM2_5] = { 0.1, { 9.0, 35.4, 55.4, 125.4, 225.4, 275.4, 325.4 } },        /* ug/m3 */
    [PM10] = { 1, { 54, 154, 254, 354, 424, 514, 604 } },                       /* ug/m3 */
    [OZONE] = { 0.001, { 0.054, 0.070, 0.085, 0.105, 0.200, 0.504, 0.604 } },   /* ppm, 8 hours; from 301 on 1 hour */
    [NO2] = { 1, { 53, 100, 360, 649, 1249, 1649, 2049 } },                     /* ppb, 1 hour */
    [SO2] = { 1, { 35, 75, 185, 304, 604, 804, 1004 } },                        /* ppb, 1 hour; from 201 on 24 hours */
    [CO] = { 0.1, { 4.4, 9.4, 12.4, 15.4, 30.4, 40.4, 50.4 } },                 /* ppm, 8 hours */
};
static const struct scale ozone_hour = { 0.001, { -1, -1, 0.164, 0.204, 0.404, 0.504, 0.604 } }; /* from 0.125 ppm on */

static const double molar_mass[POLLUTANTS] = { [OZONE] = 48.0, [NO2] = 46.0055, [SO2] = 64.066, [CO] = 28.010 };

double aqi_ug_per_ppb(enum pollutant p)
{
    return molar_mass[p] / 24.45;
}

/* In the unit of its scale. */
static double of_scale(enum pollutant p, double ug_m3)
{
    double ppb = molar_mass[p] > 0 ? ug_m3 / aqi_ug_per_ppb(p) : ug_m3;
    return p == OZONE || p == CO ? ppb / 1000 : ppb;
}

/* Half a step up of nothing: 9.0 that was computed as 8.9999999 is 9.0. */
static int on_scale(const struct scale *scale, double from, double concentration)
{
    double steps = floor(concentration / scale->step + 1e-6), low = from / scale->step;
    if (!(concentration >= 0) || steps < low)
        return -1;
    for (size_t band = 0; band < BANDS; band++) {
        double high = round(scale->to[band] / scale->step);
        if (high < 0)
            continue;
        if (steps <= high)
            return (int)lround(index_from[band] + (steps - low) * (index_to[band] - index_from[band]) / (high - low));
        low = high + 1;
    }
    return 500;
}

/* The mean of the first `hours`, of which `least` must be known. */
static double mean_of(const double values[], int hours, int least)
{
    double sum = 0;
    int known = 0;
    for (int i = 0; i < hours; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            known++;
        }
    return known >= least ? sum / known : NAN;
}

/* The steadier the air, the more the older hours count. */
static double nowcast(const double values[])
{
    double least = INFINITY, most = 0, sum = 0, weights = 0;
    if (isnan(values[0]) + isnan(values[1]) + isnan(values[2]) > 1)
        return NAN;
    for (int i = 0; i < 12; i++)
        if (!isnan(values[i])) {
            least = fmin(least, values[i]);
            most = fmax(most, values[i]);
        }
    double weight = most > 0 ? fmax(least / most, 0.5) : 1, power = 1;
    for (int i = 0; i < 12; i++, power *= weight)
        if (!isnan(values[i])) {
            sum += power * values[i];
            weights += power;
        }
    return sum / weights;
}

static int larger(int a, int b) { return a > b ? a : b; }

/* The bands of 8 hours end at 300: beyond, the hour decides. */
static int ozone(double eight_hours, double hour)
{
    int index = isnan(eight_hours) ? -1 : on_scale(&scales[OZONE], 0, eight_hours);
    if (index > 300)
        index = 300;
    return larger(index, isnan(hour) ? -1 : on_scale(&ozone_hour, 0.125, hour));
}

/* Those of an hour end at 200: beyond, the day decides. */
static int sulphur(double hour, double day)
{
    int index = isnan(hour) ? -1 : on_scale(&scales[SO2], 0, hour);
    if (index <= 200)
        return index;
    return isnan(day) ? 200 : larger(200, on_scale(&scales[SO2], 0, day));
}

int aqi_of_hours(enum pollutant p, const double ug_m3[AIR_HOURS])
{
    double in[AIR_HOURS];
    for (int i = 0; i < AIR_HOURS; i++)
        in[i] = ug_m3[i] >= 0 ? of_scale(p, ug_m3[i]) : NAN;
    if (p == OZONE)
        return ozone(mean_of(in, 8, 6), in[0]);
    if (p == SO2)
        return sulphur(in[0], mean_of(in, 24, 18));
    double value = p == PM2_5 || p == PM10 ? nowcast(in) : p == CO ? mean_of(in, 8, 6) : in[0];
    return isnan(value) ? -1 : on_scale(&scales[p], 0, value);
}

int aqi_of_latest(enum pollutant p, double ug_m3)
{
    if (!(ug_m3 >= 0))
        return -1;
    double value = of_scale(p, ug_m3);
    return p == OZONE ? ozone(value, value) : p == SO2 ? sulphur(value, NAN) : on_scale(&scales[p], 0, value);
}

/* --- a reading -------------------------------------------------------------------------------------- */

static const char *const categories[] = { "Good", "Moderate", "Unhealthy for Sensitive Groups", "Unhealthy", "Very Unhealthy", "Hazardous" };

static bool index_of(const struct airquality_reading *r, enum pollutant p, int64_t *index)
{
    const bool has[POLLUTANTS] = { r->has_pm2_5_aqi, r->has_pm10_aqi, r->has_ozone_aqi, r->has_no2_aqi, r->has_so2_aqi, r->has_co_aqi };
    const int64_t all[POLLUTANTS] = { r->pm2_5_aqi, r->pm10_aqi, r->ozone_aqi, r->no2_aqi, r->so2_aqi, r->co_aqi };
    *index = all[p];
    return has[p];
}

bool aqi_conclude(struct airquality_reading *r, const char *basis)
{
    int64_t worst = -1, index;
    size_t category = 0;
    for (enum pollutant p = PM2_5; p < POLLUTANTS; p++)
        if (index_of(r, p, &index) && index > worst) {
            worst = index;
            SET_TEXT(r, pollutant, pollutant_names[p].name, strlen(pollutant_names[p].name));
        }
    if (worst < 0)
        return false;
    while (category < 5 && worst > index_to[category])
        category++;
    SET(r, aqi, worst);
    SET(r, category_number, (int64_t)category + 1);
    SET_TEXT(r, category, categories[category], strlen(categories[category]));
    SET_TEXT(r, basis, basis, strlen(basis));
    return true;
}
