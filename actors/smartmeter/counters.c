/* counters.c - whether a counter can be what it says. */
#include "counters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TIMES = 3 };
static const double most_an_hour = 200, slack = 2, rounding = 0.0011; /* kWh or cubic metres: a house's fuse is 100 kW at the most */

static const char *const names[COUNTERS] = { "import_kwh", "export_kwh", "import_t1_kwh", "import_t2_kwh", "export_t1_kwh", "export_t2_kwh",
    "gas_m3", "water_m3", "heat_gj" };

static double *counter_in(struct smartmeter_reading *reading, int which, bool **has)
{
    double *values[COUNTERS] = { &reading->import_kwh, &reading->export_kwh, &reading->import_t1_kwh, &reading->import_t2_kwh, &reading->export_t1_kwh,
        &reading->export_t2_kwh, &reading->gas_m3, &reading->water_m3, &reading->heat_gj };
    bool *known[COUNTERS] = { &reading->has_import_kwh, &reading->has_export_kwh, &reading->has_import_t1_kwh, &reading->has_import_t2_kwh,
        &reading->has_export_t1_kwh, &reading->has_export_t2_kwh, &reading->has_gas_m3, &reading->has_water_m3, &reading->has_heat_gj };
    *has = known[which];
    return values[which];
}

void counters_begin(struct meter_counters *self, const struct smartmeter_reading *reading)
{
    struct smartmeter_reading copy = *reading;
    bool *has;
    for (int i = 0; i < COUNTERS; i++) {
        double *value = counter_in(&copy, i, &has);
        self->each[i] = (struct counter){ .value = *value, .at_us = reading->as_of, .is_known = *has };
    }
}

static bool can_be(const struct counter *before, double value, int64_t at_us)
{
    double hours = (double)(at_us > before->at_us ? at_us - before->at_us : 0) / 3600e6;
    return !before->is_known || (value >= before->value - rounding && value <= before->value + slack + most_an_hour * hours);
}

/* Near what it said the last time that it was odd, and not back from there. */
static bool is_again(const struct counter *counter, double value)
{
    return counter->odd_times > 0 && value >= counter->odd - rounding && value <= counter->odd + slack;
}

static void tell_reset(struct meter_counters *self, int which, double value, int64_t at_us)
{
    char when[TIME_TEXT];
    time_text(at_us, when);
    snprintf(self->reset, sizeof self->reset, "%s: from %.3f to %.3f, %.19sZ", names[which], self->each[which].value, value, when);
    self->resets++;
}

/* Whether it is left out. */
static bool look(struct meter_counters *self, int which, double value, int64_t at_us, bool *is_news)
{
    struct counter *counter = &self->each[which];
    if (!can_be(counter, value, at_us)) {
        counter->odd_times = is_again(counter, value) ? counter->odd_times + 1 : 1;
        counter->odd = value;
        if (counter->odd_times < TIMES)
            return true;
        tell_reset(self, which, value, at_us);
        *is_news = true;
    }
    *counter = (struct counter){ .value = value, .at_us = at_us, .is_known = true };
    return false;
}

size_t counters_check(struct meter_counters *self, struct smartmeter_reading *reading, bool *is_news)
{
    size_t left_out = 0;
    bool *has;
    *is_news = false;
    for (int i = 0; i < COUNTERS; i++) {
        double *value = counter_in(reading, i, &has);
        if (!*has || !look(self, i, *value, reading->as_of, is_news))
            continue;
        *has = false;
        left_out++;
    }
    if (*self->reset)
        SET_TEXT(reading, reset, self->reset, strlen(self->reset));
    return left_out;
}
