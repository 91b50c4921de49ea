/* airnow.c - AirNow: what the stations of the USA report. */
#include "airquality.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Wall time comes with an abbreviation and no offset. */
static const struct { const char *name; int hours; } zones[] = {
    { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
    { "AKST", -9 }, { "AKDT", -8 }, { "HST", -10 }, { "AST", -4 }, { "ADT", -3 }, { "SST", -11 }, { "ChST", 10 }, { "GST", 10 },
    { "NST", -3 }, { "GMT", 0 }, { "UTC", 0 },
};

static const struct { const char *name; enum pollutant pollutant; } parameters[] = {
    { "OZONE", OZONE }, { "O3", OZONE }, { "PM2.5", PM2_5 }, { "PM10", PM10 }, { "NO2", NO2 }, { "SO2", SO2 }, { "CO", CO },
};

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/aq/observation/current/ziplatlong/");
    fetch->query[0] = (struct pair){ "format", "application/json" };
    fetch->query[1] = (struct pair){ "latitude", source_latitude(source) };
    fetch->query[2] = (struct pair){ "longitude", source_longitude(source) };
    fetch->query[3] = (struct pair){ "API_KEY", source_setting(source, "api_key") };
    return 0;
}

/* The rows of before September 2026 have names of their own. */
static bool either(json_t *json, struct slice row, const char *now, const char *before, char *to, size_t size)
{
    return pick_text(json, row, now, to, size) || pick_text(json, row, before, to, size);
}

/* "15:00", or 15. */
static bool read_hour(json_t *json, struct slice row, int *hour)
{
    char text[16];
    double number;
    if (either(json, row, "hourObserved", "HourObserved", text, sizeof text))
        number = strtod(text, NULL);
    else if (!pick_number(json, row, "hourObserved", &number) && !pick_number(json, row, "HourObserved", &number))
        return false;
    *hour = (int)number;
    return number >= 0 && number <= 24;
}

static bool read_time(json_t *json, struct slice row, int64_t *at_us)
{
    char day[24], zone[16], text[40];
    int hour;
    if (!either(json, row, "dateObserved", "DateObserved", day, sizeof day) || !read_hour(json, row, &hour)
            || !either(json, row, "localTimeZone", "LocalTimeZone", zone, sizeof zone))
        return false;
    snprintf(text, sizeof text, "%.10sT00:00Z", day);
    if (!time_of_text(slice_of(text), at_us))
        return false;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (strcmp(zones[i].name, zone) == 0) {
            *at_us += (hour - zones[i].hours) * INT64_C(3600000000);
            return *at_us >= 0;
        }
    return false;
}

static bool read_pollutant(json_t *json, struct slice row, enum pollutant *pollutant)
{
    char name[16];
    if (!either(json, row, "parameterName", "ParameterName", name, sizeof name))
        return false;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (strcmp(parameters[i].name, name) == 0) {
            *pollutant = parameters[i].pollutant;
            return true;
        }
    return false;
}

/* -1 is AirNow's word for unknown. */
static int take_row(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    struct airquality_reading *reading = source_draft(source);
    enum pollutant pollutant;
    int64_t at_us;
    double index;
    char name[96];
    bool is_whole = item.kind == JSON_OBJECT && read_pollutant(json, item.raw, &pollutant) && read_time(json, item.raw, &at_us)
        && (pick_number(json, item.raw, "nowcastAQI", &index) || pick_number(json, item.raw, "AQI", &index));
    if (!is_whole || index < 0 || !pick_put(airquality_reading_schema(), pollutant_names[pollutant].index, fmin(index, 500), reading)) {
        source_odd(source, !is_whole);
        return 0;
    }
    if (!reading->has_as_of || at_us > reading->as_of)
        SET(reading, as_of, at_us);
    if (either(json, item.raw, "reportingAreaName", "ReportingArea", name, sizeof name))
        SET_TEXT(reading, station, name, strlen(name));
    return 0;
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    char message[200];
    if (root.kind == JSON_OBJECT && pick_text(json, root.raw, "WebServiceError.0.Message", message, sizeof message)) {
        *fault = (struct fault){ "WebServiceError", "is told instead of an answer" };
        return strcasestr(message, "api key") ? STEP_REFUSED : -1;
    }
    *fault = (struct fault){ "", "no station within reach says anything that can be read" };
    if (root.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, root.raw, take_row, source);
    return aqi_conclude(source_draft(source), "reported") ? 0 : -1;
}

const struct step airnow_steps[] = { { .ask = ask, .read = read_answer }, { .read = NULL } };
