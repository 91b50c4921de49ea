/* electricitymaps.c - Electricity Maps: one zone, an hour or two late; no forecast without paying. */
#include "carbon.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *fuel, *member; } fuels[] = {
    { "nuclear", "nuclear_percent" }, { "geothermal", "geothermal_percent" }, { "biomass", "biomass_percent" }, { "coal", "coal_percent" },
    { "wind", "wind_percent" }, { "solar", "solar_percent" }, { "hydro", "hydro_percent" }, { "gas", "gas_percent" }, { "oil", "oil_percent" },
    { "unknown", "other_percent" },
};
static const char *const storages[] = { "hydro discharge", "battery discharge" };

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size, const char *what)
{
    snprintf(path, size, "/v3/%s/latest", what);
    fetch->query[0] = (struct pair){ "zone", source_setting(source, "zone") };
    fetch->headers[0] = (struct pair){ "auth-token", source_setting(source, "api_key") };
    return 0;
}

static int ask_intensity(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    return ask(source, fetch, path, size, "carbon-intensity");
}

static int ask_mix(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    return ask(source, fetch, path, size, "power-breakdown");
}

static int64_t granularity_us(json_t *json, struct slice root)
{
    char text[24] = "";
    pick_text(json, root, "temporalGranularity", text, sizeof text);
    return INT64_C(60000000) * (strcmp(text, "5_minutes") == 0 ? 5 : strcmp(text, "15_minutes") == 0 ? 15 : 60);
}

static int read_intensity(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct carbon_reading *reading = source_draft(source);
    int64_t at_us;
    double grams, is_estimated;
    char text[64];
    *fault = (struct fault){ "carbonIntensity", "is not known" };
    if (root.kind != JSON_OBJECT || !pick_number(json, root.raw, "carbonIntensity", &grams))
        return -1;
    *fault = (struct fault){ "datetime", "is missing" };
    if (!pick_time(json, root.raw, "datetime", &at_us))
        return -1;
    *fault = (struct fault){ "carbonIntensity", "is out of range" };
    if (!pick_put(carbon_reading_schema(), "intensity_g_kwh", grams, reading))
        return -1;
    SET(reading, as_of, at_us);
    SET(reading, valid_to, at_us + granularity_us(json, root.raw));
    SET_TEXT(reading, kind, "average", 7);
    if (pick_number(json, root.raw, "isEstimated", &is_estimated))
        SET(reading, is_estimated, is_estimated != 0);
    if (pick_text(json, root.raw, "zone", text, sizeof text))
        SET_TEXT(reading, zone, text, strlen(text));
    if (pick_text(json, root.raw, "emissionFactorType", text, sizeof reading->scope))
        SET_TEXT(reading, scope, text, strlen(text));
    return 0;
}

/* Megawatts into parts of all; null is not reported, what goes into storage is negative. */
static int read_mix(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct carbon_reading *reading = source_draft(source);
    const struct schema *schema = carbon_reading_schema();
    double megawatts[sizeof fuels / sizeof *fuels] = { 0 }, stored = 0, all = 0, one;
    struct json_value mix = json_at(json, root.raw, "powerConsumptionBreakdown");
    *fault = (struct fault){ "powerConsumptionBreakdown", "is missing" };
    if (mix.kind != JSON_OBJECT)
        return -1;
    for (size_t i = 0; i < sizeof fuels / sizeof *fuels; i++)
        if (pick_number(json, mix.raw, fuels[i].fuel, &one) && one > 0 && one < 1e7)
            all += megawatts[i] = one;
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
        if (pick_number(json, mix.raw, storages[i], &one) && one > 0 && one < 1e7)
            stored += one;
    all += stored;
    for (size_t i = 0; i < sizeof fuels / sizeof *fuels && all > 0; i++)
        if (pick_number(json, mix.raw, fuels[i].fuel, &one))
            pick_put(schema, fuels[i].member, 100 * megawatts[i] / all, reading);
    if (stored > 0)
        pick_put(schema, "storage_percent", 100 * stored / all, reading);
    if (pick_number(json, root.raw, "fossilFreePercentage", &one))
        pick_put(schema, "fossil_percent", 100 - one, reading);
    if (pick_number(json, root.raw, "renewablePercentage", &one))
        pick_put(schema, "renewable_percent", one, reading);
    return 0;
}

const struct step electricitymaps_steps[] = {
    { .ask = ask_intensity, .read = read_intensity },
    { .ask = ask_mix, .read = read_mix, .may_fail = true },
    { .read = NULL },
};
