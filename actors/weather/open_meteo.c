/* open_meteo.c - Open-Meteo: free of a key, for the whole world. */
#include "weather.h"

#include <stdio.h>
#include <string.h>

static const struct pick now[] = {
    { "temperature_c", "temperature_2m", 0 }, { "feels_like_c", "apparent_temperature", 0 },
    { "humidity_percent", "relative_humidity_2m", 0 }, { "pressure_hpa", "pressure_msl", 0 },
    { "wind_ms", "wind_speed_10m", 0 }, { "gust_ms", "wind_gusts_10m", 0 }, { "wind_degrees", "wind_direction_10m", 0 },
    { "cloud_percent", "cloud_cover", 0 }, { "precipitation_mm", "precipitation", 0 },
    { "radiation_w_m2", "shortwave_radiation", 0 }, { "is_day", "is_day", 0 }, { "code", "weather_code", 0 },
};

static const struct pick hours[] = {
    { "temperature_c", "temperature_2m", 0 }, { "humidity_percent", "relative_humidity_2m", 0 },
    { "precipitation_mm", "precipitation", 0 }, { "precipitation_percent", "precipitation_probability", 0 },
    { "wind_ms", "wind_speed_10m", 0 }, { "cloud_percent", "cloud_cover", 0 },
    { "radiation_w_m2", "shortwave_radiation", 0 }, { "code", "weather_code", 0 },
};

/* WMO's table 4677, as far as Open-Meteo uses it: up to which number. */
static const struct { int to; const char *sky; } skies[] = {
    { 0, "clear" }, { 2, "partly_cloudy" }, { 3, "cloudy" }, { 44, "unknown" }, { 48, "fog" }, { 50, "unknown" }, { 55, "drizzle" },
    { 57, "freezing_rain" }, { 60, "unknown" }, { 65, "rain" }, { 67, "freezing_rain" }, { 70, "unknown" }, { 77, "snow" },
    { 79, "unknown" }, { 82, "showers" }, { 84, "unknown" }, { 86, "snow_showers" }, { 94, "unknown" }, { 95, "thunderstorm" }, { 99, "hail" },
};

static const char *sky_of(int64_t code)
{
    for (size_t i = 0; i < sizeof skies / sizeof *skies; i++)
        if (code <= skies[i].to)
            return skies[i].sky;
    return "unknown";
}

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/v1/forecast");
    fetch->query[0] = (struct pair){ "latitude", source_latitude(source) };
    fetch->query[1] = (struct pair){ "longitude", source_longitude(source) };
    fetch->query[2] = (struct pair){ "current", "temperature_2m,apparent_temperature,relative_humidity_2m,pressure_msl,wind_speed_10m,wind_gusts_10m,"
        "wind_direction_10m,cloud_cover,precipitation,shortwave_radiation,is_day,weather_code" };
    fetch->query[3] = (struct pair){ "hourly", "temperature_2m,relative_humidity_2m,precipitation,precipitation_probability,wind_speed_10m,cloud_cover,"
        "shortwave_radiation,weather_code" };
    fetch->query[4] = (struct pair){ "wind_speed_unit", "ms" };
    fetch->query[5] = (struct pair){ "timeformat", "unixtime" };
    fetch->query[6] = (struct pair){ "forecast_days", "3" };
    return 0;
}

/* Text is local time and has no zone: the answer says how far it is from UTC. */
static bool read_time(json_t *json, struct json_value value, int64_t offset_us, int64_t *at_us)
{
    if (!time_of_value(json, value, at_us))
        return false;
    *at_us -= value.kind == JSON_TEXT ? offset_us : 0;
    return *at_us >= 0;
}

struct hourly { source_t *source; int64_t offset_us; size_t index; };

/* The length of an hour is what lies between it and the next. */
static int take_hour(void *owner, struct json_value item)
{
    struct hourly *self = owner;
    struct weather_slot *slot = source_slot_at(self->source, self->index, true), *before;
    int64_t at_us;
    if (!slot)
        return 1;
    if (read_time(source_json(self->source), item, self->offset_us, &at_us)) {
        SET(slot, from, at_us);
        SET(slot, to, at_us + INT64_C(3600000000));
        before = self->index ? source_slot_at(self->source, self->index - 1, false) : NULL;
        if (before && before->has_from && at_us > before->from && at_us < before->to)
            before->to = at_us;
    }
    self->index++;
    return 0;
}

static void take_value(void *owner, size_t index, const char *member, double number)
{
    struct weather_slot *slot = source_slot_at(owner, index, false);
    if (!slot || !pick_put(weather_slot_schema(), member, number, slot))
        source_odd(owner, 1);
    else if (strcmp(member, "code") == 0)
        SET_TEXT(slot, sky, sky_of(slot->code), strlen(sky_of(slot->code)));
}

static void read_hours(source_t *source, struct slice root, int64_t offset_us)
{
    json_t *json = source_json(source);
    struct json_value hourly = json_at(json, root, "hourly"), times = json_at(json, root, "hourly.time");
    struct hourly walk = { .source = source, .offset_us = offset_us };
    if (times.kind != JSON_ARRAY)
        return;
    json_each_item(json, times.raw, take_hour, &walk);
    pick_columns(json, hourly.raw, hours, sizeof hours / sizeof *hours, take_value, source);
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct weather_reading *reading = source_draft(source);
    double offset_s = 0, interval_s = 900;
    int64_t at_us;
    if (root.kind == JSON_ARRAY)
        root = json_at(json, root.raw, "0");
    if (root.kind != JSON_OBJECT || json_at(json, root.raw, "error").kind == JSON_TRUE) {
        *fault = (struct fault){ "error", "is told instead of an answer" };
        return -1;
    }
    if (!pick_number(json, root.raw, "utc_offset_seconds", &offset_s) || offset_s < -86400 || offset_s > 86400)
        offset_s = 0;
    struct json_value current = json_at(json, root.raw, "current");
    if (current.kind != JSON_OBJECT || !read_time(json, json_at(json, current.raw, "time"), (int64_t)offset_s * 1000000, &at_us)) {
        *fault = (struct fault){ "current.time", "is missing" };
        return -1;
    }
    SET(reading, as_of, at_us);
    if (pick_number(json, current.raw, "interval", &interval_s) && interval_s > 0 && interval_s <= 86400)
        SET(reading, valid_to, at_us + (int64_t)interval_s * 1000000);
    source_odd(source, pick_members(json, current.raw, now, sizeof now / sizeof *now, weather_reading_schema(), reading));
    if (reading->has_code)
        SET_TEXT(reading, sky, sky_of(reading->code), strlen(sky_of(reading->code)));
    read_hours(source, root.raw, (int64_t)offset_s * 1000000);
    return 0;
}

const struct step open_meteo_steps[] = { { .ask = ask, .read = read_answer }, { .read = NULL } };
