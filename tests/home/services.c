/* services.c - what call_service does to an entity. */
#include "rhythm.h"

#include <stdlib.h>

/* A number after "key": in the call's data; good enough for what people send to lamps. */
static int64_t number_after(struct slice data, const char *key, int64_t otherwise)
{
    char quoted[40], digits[24] = "";
    const char *at;

    size_t size = 0;
    quoted[size++] = '"';
    for (; *key && size < sizeof quoted - 1; key++)
        quoted[size++] = *key;
    quoted[size++] = '"';
    at = data.size ? memmem(data.data, data.size, quoted, size) : NULL;
    if (!at)
        return otherwise;
    const char *end = (const char *)data.data + data.size;
    for (at += size; at < end && (*at == ':' || *at == ' '); at++)
        ;
    for (size = 0; at < end && size < sizeof digits - 1 && (*at == '-' || (*at >= '0' && *at <= '9')); at++)
        digits[size++] = *at;
    digits[size] = 0;
    return size ? strtoll(digits, NULL, 10) : otherwise;
}

static bool switched(struct slice service, bool was_on, bool *on)
{
    if (slice_is(service, "turn_on"))
        *on = true;
    else if (slice_is(service, "turn_off"))
        *on = false;
    else if (slice_is(service, "toggle"))
        *on = !was_on;
    else
        return false;
    return true;
}

static bool call_light(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    bool on;

    if (!switched(service, entity->on, &on))
        return false;
    int64_t brightness = number_after(data, "brightness", entity->value ? entity->value : 180);
    int64_t kelvin = number_after(data, "color_temp_kelvin", entity->other ? entity->other : 2703);
    if (kelvin < 2000 || kelvin > 6535)
        kelvin = 2703;
    light_set(world, entity, on && brightness > 0, brightness > 255 ? 255 : brightness, kelvin, context);
    return true;
}

static bool call_switch(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    bool on;

    (void)data;
    if (!switched(service, entity->on, &on))
        return false;
    switch_set(world, entity, on, context);
    return true;
}

static bool call_helper(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    bool on;

    (void)data;
    if (!switched(service, entity->on, &on))
        return false;
    entity->on = on;
    world_write(world, entity, slice_of(on ? "on" : "off"), text_view(&entity->attributes), context);
    return true;
}

static bool call_climate(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    if (slice_is(service, "set_temperature"))
        climate_set(world, entity, number_after(data, "temperature", entity->other / 10) * 10, entity->on, context);
    else if (slice_is(service, "set_hvac_mode"))
        climate_set(world, entity, entity->other, data.size && memmem(data.data, data.size, "heat", 4), context);
    else if (slice_is(service, "turn_on") || slice_is(service, "turn_off"))
        climate_set(world, entity, entity->other, slice_is(service, "turn_on"), context);
    else
        return false;
    return true;
}

static bool call_media(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    (void)data;
    if (slice_is(service, "media_play") || slice_is(service, "turn_on"))
        media_set(world, entity, true, context);
    else if (slice_is(service, "media_pause") || slice_is(service, "turn_off"))
        media_set(world, entity, false, context);
    else
        return false;
    return true;
}

static bool call_button(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    char iso[ISO_ROOM];

    (void)data;
    if (!slice_is(service, "press"))
        return false;
    size_t size = moment_iso(&world->calendar, iso, world->now_us);
    world_write(world, entity, (struct slice){iso, size}, text_view(&entity->attributes), context);
    return true;
}

static bool call_counter(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    (void)data;
    if (slice_is(service, "increment"))
        entity->value++;
    else if (slice_is(service, "decrement"))
        entity->value--;
    else if (slice_is(service, "reset"))
        entity->value = 0;
    else
        return false;
    world->scratch.size = 0;
    text_int(&world->scratch, entity->value);
    world_write(world, entity, text_view(&world->scratch), text_view(&entity->attributes), context);
    return true;
}

static const struct {
    const char *domain;
    bool (*call)(struct world *, struct entity *, struct slice service, struct slice data, const struct context *);
} callees[] = {
    {"light", call_light},
    {"switch", call_switch},
    {"input_boolean", call_helper},
    {"automation", call_helper},
    {"climate", call_climate},
    {"media_player", call_media},
    {"button", call_button},
    {"counter", call_counter},
};

bool world_call(
    struct world *world, struct entity *entity, struct slice service, struct slice data, const struct context *context)
{
    if (entity->held)
        return false;
    for (size_t i = 0; i < sizeof callees / sizeof *callees; i++)
        if (strcmp(callees[i].domain, entity->breed->domain) == 0)
            return callees[i].call(world, entity, service, data, context);
    return false;
}
