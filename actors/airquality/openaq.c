/* openaq.c - OpenAQ: the nearest station that is alive, wherever it is. */
#include "airquality.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t old_us = INT64_C(3) * 3600 * 1000000, find_again_us = INT64_C(24) * 3600 * 1000000;

static const struct { const char *name; enum pollutant pollutant; } parameters[] = {
    { "pm25", PM2_5 }, { "pm10", PM10 }, { "o3", OZONE }, { "no2", NO2 }, { "so2", SO2 }, { "co", CO },
};

static void set_key(source_t *source, struct fetch *fetch)
{
    fetch->headers[0] = (struct pair){ "X-API-Key", source_setting(source, "api_key") };
}

static void tell_place(source_t *source, char to[40])
{
    snprintf(to, 40, "%s,%s", source_latitude(source), source_longitude(source));
}

/* --- which station ------------------------------------------------------------------------------------ */

static int ask_stations(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    const struct station *station = &source_self(source)->station;
    char place[40];
    tell_place(source, place);
    if (station->id && strcmp(station->place, place) == 0 && source_now_us(source) - station->found_us < find_again_us)
        return 1;
    snprintf(path, size, "/v3/locations?coordinates=%s", place);
    fetch->query[0] = (struct pair){ "radius", "25000" };
    fetch->query[1] = (struct pair){ "limit", "100" };
    set_key(source, fetch);
    return 0;
}

/* Into micrograms per cubic metre: times this; 0: not known. */
static double times_of(enum pollutant p, const char *unit)
{
    if (strcmp(unit, "µg/m³") == 0 || strcmp(unit, "ug/m3") == 0)
        return 1;
    if (strcmp(unit, "mg/m³") == 0)
        return 1000;
    double ppb = aqi_ug_per_ppb(p);
    return strcmp(unit, "ppb") == 0 ? ppb : strcmp(unit, "ppm") == 0 ? ppb * 1000 : 0;
}

struct search { source_t *source; struct station *best, next; double best_distance; };

static int take_sensor(void *owner, struct json_value item)
{
    struct search *self = owner;
    json_t *json = source_json(self->source);
    char name[16], unit[16];
    double id;
    if (item.kind != JSON_OBJECT || self->next.sensor_count == STATION_SENSORS || !pick_number(json, item.raw, "id", &id) || fabs(id) > 1e15
            || !pick_text(json, item.raw, "parameter.name", name, sizeof name) || !pick_text(json, item.raw, "parameter.units", unit, sizeof unit))
        return 0;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (strcmp(parameters[i].name, name) == 0 && times_of(parameters[i].pollutant, unit) > 0) {
            size_t at = self->next.sensor_count++;
            self->next.sensors[at].id = (int64_t)id;
            self->next.sensors[at].pollutant = parameters[i].pollutant;
            self->next.sensors[at].times = times_of(parameters[i].pollutant, unit);
        }
    return 0;
}

static bool is_alive(source_t *source, struct slice location)
{
    int64_t at_us;
    return !pick_time(source_json(source), location, "datetimeLast.utc", &at_us) || source_now_us(source) - at_us < old_us;
}

/* In degrees, those of longitude as wide as they are here: enough to know the nearest. */
static bool read_distance(source_t *source, struct slice location, double *distance)
{
    double latitude, longitude, here[2] = { 0, 0 };
    number_read(slice_of(source_latitude(source)), &here[0]);
    number_read(slice_of(source_longitude(source)), &here[1]);
    if (!pick_number(source_json(source), location, "coordinates.latitude", &latitude) || !pick_number(source_json(source), location, "coordinates.longitude", &longitude))
        return false;
    *distance = hypot(latitude - here[0], (longitude - here[1]) * cos(here[0] * M_PI / 180));
    return isfinite(*distance);
}

static int take_station(void *owner, struct json_value item)
{
    struct search *self = owner;
    json_t *json = source_json(self->source);
    double id, distance;
    if (item.kind != JSON_OBJECT || !pick_number(json, item.raw, "id", &id) || id < 1 || id > 1e15 || !read_distance(self->source, item.raw, &distance)
            || distance >= self->best_distance || !is_alive(self->source, item.raw))
        return 0;
    self->next = (struct station){ .id = (int64_t)id, .found_us = source_now_us(self->source) };
    tell_place(self->source, self->next.place);
    pick_text(json, item.raw, "name", self->next.name, sizeof self->next.name);
    struct json_value sensors = json_at(json, item.raw, "sensors");
    if (sensors.kind == JSON_ARRAY)
        json_each_item(json, sensors.raw, take_sensor, self);
    if (self->next.sensor_count > 0) {
        *self->best = self->next;
        self->best_distance = distance;
    }
    return 0;
}

static int read_stations(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct station *station = &source_self(source)->station;
    struct search search = { .source = source, .best = station, .best_distance = INFINITY };
    struct json_value results = json_at(json, root.raw, "results");
    *fault = (struct fault){ "results", "has no station that is alive within 25 km" };
    *station = (struct station){ .id = 0 };
    if (results.kind == JSON_ARRAY)
        json_each_item(json, results.raw, take_station, &search);
    return station->id ? 0 : -1;
}

/* --- what it says ------------------------------------------------------------------------------------------ */

static int ask_latest(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/v3/locations/%lld/latest", (long long)source_self(source)->station.id);
    set_key(source, fetch);
    return 0;
}

/* Negative values occur, and sensors that ended years ago. */
static int take_latest(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    const struct station *station = &source_self(source)->station;
    struct airquality_reading *reading = source_draft(source);
    double id, value;
    int64_t at_us;
    if (item.kind != JSON_OBJECT || !pick_number(json, item.raw, "sensorsId", &id) || !pick_number(json, item.raw, "value", &value)
            || !pick_time(json, item.raw, "datetime.utc", &at_us)) {
        source_odd(source, 1);
        return 0;
    }
    if (source_now_us(source) - at_us > old_us || value < 0)
        return 0;
    for (size_t i = 0; i < station->sensor_count; i++) {
        enum pollutant p = station->sensors[i].pollutant;
        double ug_m3 = value * station->sensors[i].times;
        if ((double)station->sensors[i].id != id || !pick_put(airquality_reading_schema(), pollutant_names[p].concentration, ug_m3, reading))
            continue;
        pick_put(airquality_reading_schema(), pollutant_names[p].index, aqi_of_latest(p, ug_m3), reading);
        if (!reading->has_as_of || at_us > reading->as_of)
            SET(reading, as_of, at_us);
    }
    return 0;
}

static int read_latest(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct station *station = &source_self(source)->station;
    struct airquality_reading *reading = source_draft(source);
    struct json_value results = json_at(json, root.raw, "results");
    *fault = (struct fault){ "results", "has nothing that was measured within three hours" };
    if (results.kind == JSON_ARRAY)
        json_each_item(json, results.raw, take_latest, source);
    if (!aqi_conclude(reading, "latest")) {
        station->id = 0; /* another one the next time */
        return -1;
    }
    SET_TEXT(reading, station, station->name, strlen(station->name));
    return 0;
}

const struct step openaq_steps[] = {
    { .ask = ask_stations, .read = read_stations },
    { .ask = ask_latest, .read = read_latest },
    { .read = NULL },
};
