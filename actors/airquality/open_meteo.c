/* open_meteo.c - Open-Meteo's air quality: the models of Copernicus, hour by hour. */
#include "airquality.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct pick hours[] = {
    { "pm2_5_ug_m3", "pm2_5", 0 }, { "pm10_ug_m3", "pm10", 0 }, { "ozone_ug_m3", "ozone", 0 }, { "no2_ug_m3", "nitrogen_dioxide", 0 },
    { "so2_ug_m3", "sulphur_dioxide", 0 }, { "co_ug_m3", "carbon_monoxide", 0 }, { "aqi", "us_aqi", 0 }, { "european_aqi", "european_aqi", 0 },
};
enum { CONCENTRATIONS = 6 }; /* of them; now has the same and no index of theirs */

static const int64_t hour_us = INT64_C(3600000000);

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/v1/air-quality");
    fetch->query[0] = (struct pair){ "latitude", source_latitude(source) };
    fetch->query[1] = (struct pair){ "longitude", source_longitude(source) };
    fetch->query[2] = (struct pair){ "current", "pm2_5,pm10,ozone,nitrogen_dioxide,sulphur_dioxide,carbon_monoxide,european_aqi,uv_index" };
    fetch->query[3] = (struct pair){ "hourly", "pm2_5,pm10,ozone,nitrogen_dioxide,sulphur_dioxide,carbon_monoxide,us_aqi,european_aqi" };
    fetch->query[4] = (struct pair){ "timeformat", "unixtime" };
    fetch->query[5] = (struct pair){ "past_hours", "24" };
    fetch->query[6] = (struct pair){ "forecast_hours", "72" };
    return 0;
}

static double concentration(const struct airquality_slot *s, enum pollutant p)
{
    const bool has[POLLUTANTS] = { s->has_pm2_5_ug_m3, s->has_pm10_ug_m3, s->has_ozone_ug_m3, s->has_no2_ug_m3, s->has_so2_ug_m3, s->has_co_ug_m3 };
    const double all[POLLUTANTS] = { s->pm2_5_ug_m3, s->pm10_ug_m3, s->ozone_ug_m3, s->no2_ug_m3, s->so2_ug_m3, s->co_ug_m3 };
    return has[p] ? all[p] : NAN;
}

/* The hour that a moment is in, and those behind it. */
static void behind(source_t *source, int64_t at_us, enum pollutant p, double ug_m3[AIR_HOURS])
{
    for (size_t i = 0; i < AIR_HOURS; i++)
        ug_m3[i] = NAN;
    for (size_t i = 0; i < source_draft_slots(source); i++) {
        const struct airquality_slot *slot = source_slot_at(source, i, false);
        if (slot->has_from && slot->from <= at_us && at_us - slot->from < AIR_HOURS * hour_us)
            ug_m3[(at_us - slot->from) / hour_us] = concentration(slot, p);
    }
}

static bool index_all(source_t *source, struct json_value current, struct airquality_reading *reading)
{
    bool has_hours = false;
    for (enum pollutant p = PM2_5; p < POLLUTANTS; p++) {
        double ug_m3[AIR_HOURS], now;
        behind(source, reading->as_of, p, ug_m3);
        int index = aqi_of_hours(p, ug_m3);
        has_hours |= index >= 0;
        if (index < 0 && pick_number(source_json(source), current.raw, hours[p].path, &now))
            index = aqi_of_latest(p, now);
        if (index >= 0)
            pick_put(airquality_reading_schema(), pollutant_names[p].index, index, reading);
    }
    return aqi_conclude(reading, has_hours ? "nowcast" : "latest");
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    static const struct pick more[] = { { "european_aqi", "european_aqi", 0 }, { "uv_index", "uv_index", 0 } };
    json_t *json = source_json(source);
    struct airquality_reading *reading = source_draft(source);
    const struct schema *schema = airquality_reading_schema();
    double interval_s = 3600;
    int64_t at_us;
    if (root.kind == JSON_ARRAY)
        root = json_at(json, root.raw, "0");
    *fault = (struct fault){ "error", "is told instead of an answer" };
    if (root.kind != JSON_OBJECT || json_at(json, root.raw, "error").kind == JSON_TRUE)
        return -1;
    struct json_value current = json_at(json, root.raw, "current");
    *fault = (struct fault){ "current.time", "is missing" };
    if (current.kind != JSON_OBJECT || !pick_time(json, current.raw, "time", &at_us))
        return -1;
    SET(reading, as_of, at_us);
    if (pick_number(json, current.raw, "interval", &interval_s) && interval_s > 0 && interval_s <= 86400)
        SET(reading, valid_to, at_us + (int64_t)interval_s * 1000000);
    source_odd(source, pick_members(json, current.raw, hours, CONCENTRATIONS, schema, reading));
    source_odd(source, pick_members(json, current.raw, more, sizeof more / sizeof *more, schema, reading));
    source_hours(source, json_at(json, root.raw, "hourly"), hours, sizeof hours / sizeof *hours);
    *fault = (struct fault){ "current", "has no pollutant" };
    return index_all(source, current, reading) ? 0 : -1;
}

const struct step air_model_steps[] = { { .ask = ask, .read = read_answer }, { .read = NULL } };
