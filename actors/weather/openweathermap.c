/* openweathermap.c - OpenWeatherMap: a key, current weather, and a forecast in steps of three hours. */
#include "weather.h"

#include <stdio.h>
#include <string.h>

static const struct pick now[] = {
    { "temperature_c", "main.temp", 0 }, { "feels_like_c", "main.feels_like", 0 }, { "humidity_percent", "main.humidity", 0 },
    { "pressure_hpa", "main.pressure", 0 }, { "wind_ms", "wind.speed", 0 }, { "gust_ms", "wind.gust", 0 },
    { "wind_degrees", "wind.deg", 0 }, { "cloud_percent", "clouds.all", 0 }, { "visibility_m", "visibility", 0 },
    { "code", "weather.0.id", 0 },
};

static const struct pick later[] = {
    { "temperature_c", "main.temp", 0 }, { "humidity_percent", "main.humidity", 0 }, { "wind_ms", "wind.speed", 0 },
    { "cloud_percent", "clouds.all", 0 }, { "precipitation_percent", "pop", 100 }, { "code", "weather.0.id", 0 },
};

/* OpenWeather's condition numbers: up to which. */
static const struct { int to; const char *sky; } skies[] = {
    { 199, "unknown" }, { 299, "thunderstorm" }, { 399, "drizzle" }, { 499, "unknown" }, { 504, "rain" }, { 511, "freezing_rain" },
    { 599, "showers" }, { 602, "snow" }, { 619, "snow" }, { 699, "snow_showers" }, { 721, "fog" }, { 731, "dust" }, { 741, "fog" },
    { 762, "dust" }, { 771, "showers" }, { 799, "unknown" }, { 800, "clear" }, { 802, "partly_cloudy" }, { 804, "cloudy" },
};

static const char *sky_of(int64_t code)
{
    for (size_t i = 0; i < sizeof skies / sizeof *skies; i++)
        if (code <= skies[i].to)
            return skies[i].sky;
    return "unknown";
}

static int ask(source_t *source, struct fetch *fetch)
{
    fetch->query[0] = (struct pair){ "lat", source_latitude(source) };
    fetch->query[1] = (struct pair){ "lon", source_longitude(source) };
    fetch->query[2] = (struct pair){ "units", "metric" };
    fetch->query[3] = (struct pair){ "appid", source_setting(source, "api_key") };
    return 0;
}

static int ask_now(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/data/2.5/weather");
    return ask(source, fetch);
}

static int ask_later(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/data/2.5/forecast");
    return ask(source, fetch);
}

/* `cod` is a number, or in errors a text; 200 means well whatever the status says. */
static int check(source_t *source, struct json_value root, struct fault *fault)
{
    double code = 200;
    *fault = (struct fault){ "cod", "is not 200" };
    if (root.kind != JSON_OBJECT)
        return -1;
    pick_number(source_json(source), root.raw, "cod", &code);
    return code == 200 ? 0 : code == 401 ? STEP_REFUSED : -1;
}

/* Rain and snow are told only while they fall. */
static bool read_fall(json_t *json, struct slice object, const char *hours, double *mm)
{
    static const char *const kinds[] = { "rain", "snow" };
    char path[16];
    double sum = 0, one;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s.%s", kinds[i], hours);
        sum += pick_number(json, object, path, &one) && one >= 0 ? one : 0;
    }
    *mm = sum;
    return sum >= 0 && sum < 1000;
}

static int read_now(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct weather_reading *reading = source_draft(source);
    int64_t at_us, sunrise_us, sunset_us;
    double mm;
    int rc = check(source, root, fault);
    if (rc)
        return rc;
    *fault = (struct fault){ "dt", "is missing" };
    if (!pick_time(json, root.raw, "dt", &at_us))
        return -1;
    SET(reading, as_of, at_us);
    source_odd(source, pick_members(json, root.raw, now, sizeof now / sizeof *now, weather_reading_schema(), reading));
    if (reading->has_code)
        SET_TEXT(reading, sky, sky_of(reading->code), strlen(sky_of(reading->code)));
    if (reading->has_temperature_c && read_fall(json, root.raw, "1h", &mm))
        SET(reading, precipitation_mm, mm);
    if (pick_time(json, root.raw, "sys.sunrise", &sunrise_us) && pick_time(json, root.raw, "sys.sunset", &sunset_us))
        SET(reading, is_day, at_us >= sunrise_us && at_us < sunset_us);
    return 0;
}

static int take_slot(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    int64_t at_us;
    double mm;
    if (item.kind != JSON_OBJECT || !pick_time(json, item.raw, "dt", &at_us)) {
        source_odd(source, 1);
        return 0;
    }
    struct weather_slot *slot = source_slot(source);
    if (!slot)
        return 1;
    SET(slot, from, at_us);
    SET(slot, to, at_us + INT64_C(3) * 3600 * 1000000);
    source_odd(source, pick_members(json, item.raw, later, sizeof later / sizeof *later, weather_slot_schema(), slot));
    if (slot->has_code)
        SET_TEXT(slot, sky, sky_of(slot->code), strlen(sky_of(slot->code)));
    if (read_fall(json, item.raw, "3h", &mm))
        SET(slot, precipitation_mm, mm);
    return 0;
}

static int read_later(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    if (check(source, root, fault))
        return -1;
    struct json_value list = json_at(json, root.raw, "list");
    *fault = (struct fault){ "list", "is no array" };
    if (list.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, list.raw, take_slot, source);
    return 0;
}

const struct step openweathermap_steps[] = {
    { .ask = ask_now, .read = read_now },
    { .ask = ask_later, .read = read_later, .may_fail = true },
    { .read = NULL },
};
