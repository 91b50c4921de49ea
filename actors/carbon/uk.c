/* uk.c - Great Britain's Carbon Intensity: the whole, or a region; half-hours, two days ahead. */
#include "carbon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t half_hour_us = INT64_C(1800000000);

static const struct { const char *fuel, *member; bool is_fossil, is_renewable; } fuels[] = {
    { "gas", "gas_percent", true, false }, { "coal", "coal_percent", true, false }, { "oil", "oil_percent", true, false },
    { "nuclear", "nuclear_percent", false, false }, { "wind", "wind_percent", false, true }, { "solar", "solar_percent", false, true },
    { "hydro", "hydro_percent", false, true }, { "biomass", "biomass_percent", false, true }, { "imports", "imports_percent", false, false },
    { "storage", "storage_percent", false, false }, { "other", "other_percent", false, false },
};

/* --- asking ------------------------------------------------------------------------------------------- */

static bool is_number(const char *zone)
{
    return *zone && strspn(zone, "0123456789") == strlen(zone);
}

/* From the half-hour before this one on: its answers may begin one earlier or later than asked. */
static int ask_intensity(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    const char *zone = source_setting(source, "zone");
    char from[TIME_TEXT], place[80];
    (void)fetch;
    time_text(source_now_us(source) / half_hour_us * half_hour_us - half_hour_us, from);
    snprintf(place, sizeof place, "/%s/%s", is_number(zone) ? "regionid" : "postcode", zone);
    snprintf(path, size, "%s/intensity/%.16sZ/fw48h%s", *zone ? "/regional" : "", from, *zone ? place : "");
    return 0;
}

static int ask_mix(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    (void)fetch;
    snprintf(path, size, "/generation");
    return *source_setting(source, "zone") ? 1 : 0; /* a region's is in each of its half-hours */
}

bool uk_zone_is_good(const char *zone)
{
    int number = is_number(zone) ? atoi(zone) : 1;
    return number >= 1 && number <= 17 && strlen(zone) <= 4
        && strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == strlen(zone);
}

/* --- the mix ------------------------------------------------------------------------------------------ */

struct mix { source_t *source; double fossil, renewable; bool has_any; };

static int take_fuel(void *owner, struct json_value item)
{
    struct mix *self = owner;
    json_t *json = source_json(self->source);
    char name[24];
    double percent;
    if (item.kind != JSON_OBJECT || !pick_text(json, item.raw, "fuel", name, sizeof name) || !pick_number(json, item.raw, "perc", &percent))
        return 0;
    for (size_t i = 0; i < sizeof fuels / sizeof *fuels; i++)
        if (strcmp(fuels[i].fuel, name) == 0) {
            if (!pick_put(carbon_reading_schema(), fuels[i].member, percent, source_draft(self->source)))
                break;
            self->fossil += fuels[i].is_fossil ? percent : 0;
            self->renewable += fuels[i].is_renewable ? percent : 0;
            self->has_any = true;
            return 0;
        }
    source_odd(self->source, 1);
    return 0;
}

/* The parts of a region may not add up to 100: each is told as it is. */
static void read_mix(source_t *source, struct json_value list)
{
    struct mix mix = { .source = source };
    if (list.kind != JSON_ARRAY)
        return;
    json_each_item(source_json(source), list.raw, take_fuel, &mix);
    if (mix.has_any) {
        pick_put(carbon_reading_schema(), "fossil_percent", mix.fossil, source_draft(source));
        pick_put(carbon_reading_schema(), "renewable_percent", mix.renewable, source_draft(source));
    }
}

/* `data` is an object; the documentation shows an array. */
static int read_generation(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct json_value data = json_at(json, root.raw, "data");
    *fault = (struct fault){ "data.generationmix", "is missing" };
    if (data.kind == JSON_ARRAY)
        data = json_at(json, data.raw, "0");
    if (data.kind != JSON_OBJECT)
        return -1;
    struct json_value list = json_at(json, data.raw, "generationmix");
    read_mix(source, list);
    return list.kind == JSON_ARRAY ? 0 : -1;
}

/* --- the intensity --------------------------------------------------------------------------------------- */

static int take_half_hour(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    struct carbon_reading *reading = source_draft(source);
    struct carbon_slot slot = { .has_from = false }, *kept;
    double grams;
    bool is_measured = item.kind == JSON_OBJECT && pick_number(json, item.raw, "intensity.actual", &grams);
    if (item.kind != JSON_OBJECT || !pick_time(json, item.raw, "from", &slot.from) || !pick_time(json, item.raw, "to", &slot.to)
            || (!is_measured && !pick_number(json, item.raw, "intensity.forecast", &grams))
            || !pick_put(carbon_slot_schema(), "intensity_g_kwh", grams, &slot)) {
        source_odd(source, 1);
        return 0;
    }
    slot.has_from = slot.has_to = true;
    if (pick_text(json, item.raw, "intensity.index", slot.index, sizeof slot.index))
        SET_TEXT(&slot, index, slot.index, strlen(slot.index));
    if (slot_at(&slot, 1, source_now_us(source))) {
        SET(reading, as_of, slot.from);
        SET(reading, valid_to, slot.to);
        SET(reading, intensity_g_kwh, grams);
        SET(reading, is_estimated, !is_measured);
        SET_TEXT(reading, index, slot.index, slot.has_index ? slot.index_size : 0);
        reading->has_index = slot.has_index;
        read_mix(source, json_at(json, item.raw, "generationmix"));
    }
    kept = source_slot(source);
    if (kept)
        *kept = slot;
    return kept == NULL;
}

static void say_where(source_t *source, struct json_value region)
{
    struct carbon_reading *reading = source_draft(source);
    char name[64] = "Great Britain";
    if (region.kind == JSON_OBJECT)
        pick_text(source_json(source), region.raw, "shortname", name, sizeof name);
    SET_TEXT(reading, zone, name, strlen(name));
    SET_TEXT(reading, kind, "average", 7);
    SET_TEXT(reading, scope, "direct", 6);
}

/* A region's `data` is the region with its own data in it, or an array of one. An outage is {} with 200. */
static int read_intensity(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct json_value data = json_at(json, root.raw, "data"), region = { .kind = JSON_NOTHING };
    if (data.kind == JSON_ARRAY && json_at(json, data.raw, "0.data").kind == JSON_ARRAY)
        data = json_at(json, data.raw, "0");
    if (data.kind == JSON_OBJECT) {
        region = data;
        data = json_at(json, region.raw, "data");
    }
    *fault = (struct fault){ "data", "is missing" };
    if (data.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, data.raw, take_half_hour, source);
    say_where(source, region);
    *fault = (struct fault){ "data", "has no half-hour of now" };
    return ((struct carbon_reading *)source_draft(source))->has_as_of ? 0 : -1;
}

const struct step uk_steps[] = {
    { .ask = ask_intensity, .read = read_intensity },
    { .ask = ask_mix, .read = read_generation, .may_fail = true },
    { .read = NULL },
};
