/* watttime.c - WattTime: what one more kilowatt hour would cost, in steps of five minutes, a day ahead. */
#include "carbon.h"

#include <stdio.h>
#include <string.h>

#define GRAMS_PER_POUND 453.59237
static const int64_t token_us = INT64_C(25) * 60 * 1000000; /* it holds for 30 minutes */

static int ask_login(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/login");
    fetch->user = source_setting(source, "username");
    fetch->password = source_setting(source, "password");
    return 0;
}

static int read_login(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    *fault = (struct fault){ "token", "is missing" };
    if (!pick_text(source_json(source), root.raw, "token", self->token, sizeof self->token))
        return -1;
    source_login(source, source_now_us(source) + token_us);
    return 0;
}

static int ask_forecast(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    snprintf(path, size, "/v3/forecast");
    snprintf(self->header, sizeof self->header, "Bearer %s", self->token);
    fetch->query[0] = (struct pair){ "region", source_setting(source, "zone") };
    fetch->query[1] = (struct pair){ "signal_type", "co2_moer" };
    fetch->query[2] = (struct pair){ "horizon_hours", "48" };
    fetch->headers[0] = (struct pair){ "Authorization", self->header };
    return 0;
}

struct walk { source_t *source; int64_t period_us; };

/* Points may be missing: each says its own time. Pounds a megawatt hour are grams a kilowatt hour times this. */
static int take_point(void *owner, struct json_value item)
{
    struct walk *self = owner;
    json_t *json = source_json(self->source);
    struct carbon_slot slot = { .has_from = false }, *kept;
    double pounds;
    if (item.kind != JSON_OBJECT || !pick_time(json, item.raw, "point_time", &slot.from) || !pick_number(json, item.raw, "value", &pounds)
            || !pick_put(carbon_slot_schema(), "intensity_g_kwh", pounds * GRAMS_PER_POUND / 1000, &slot)) {
        source_odd(self->source, 1);
        return 0;
    }
    slot.has_from = true;
    SET(&slot, to, slot.from + self->period_us);
    kept = source_slot(self->source);
    if (kept)
        *kept = slot;
    return kept == NULL;
}

/* The step of now, or the first where the forecast begins only then. */
static const struct carbon_slot *find_now(source_t *source)
{
    const struct carbon_slot *slots = source_slot_at(source, 0, false), *first = slots;
    size_t count = source_draft_slots(source);
    const struct carbon_slot *now = slots ? slot_at(slots, count, source_now_us(source)) : NULL;
    for (size_t i = 1; i < count; i++)
        first = slots[i].from < first->from ? &slots[i] : first;
    return now || !slots || first->from - source_now_us(source) > INT64_C(600000000) || first->from < source_now_us(source) ? now : first;
}

static int read_forecast(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct carbon_reading *reading = source_draft(source);
    struct json_value data = json_at(json, root.raw, "data");
    char text[64] = "";
    double period_s = 300;
    pick_text(json, root.raw, "meta.units", text, sizeof text);
    *fault = (struct fault){ "meta.units", "are not lbs_co2_per_mwh" };
    if (strcmp(text, "lbs_co2_per_mwh") != 0)
        return -1;
    if (!pick_number(json, root.raw, "meta.data_point_period_seconds", &period_s) || period_s < 60 || period_s > 86400)
        period_s = 300;
    struct walk walk = { source, (int64_t)period_s * 1000000 };
    *fault = (struct fault){ "data", "is no array" };
    if (data.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, data.raw, take_point, &walk);
    const struct carbon_slot *now = find_now(source);
    *fault = (struct fault){ "data", "has no step of now" };
    if (!now)
        return -1;
    SET(reading, as_of, now->from);
    SET(reading, valid_to, now->to);
    SET(reading, intensity_g_kwh, now->intensity_g_kwh);
    SET(reading, is_estimated, true);
    SET_TEXT(reading, kind, "marginal", 8);
    SET_TEXT(reading, scope, "direct", 6);
    if (pick_text(json, root.raw, "meta.region", text, sizeof text))
        SET_TEXT(reading, zone, text, strlen(text));
    return 0;
}

const struct step watttime_steps[] = {
    { .ask = ask_login, .read = read_login, .is_login = true },
    { .ask = ask_forecast, .read = read_forecast },
    { .read = NULL },
};
