/* actions.c - what is switched, opened and played, by people and by automations. */
#include "rhythm.h"

static struct slice on_off(bool on)
{
    return slice_of(on ? "on" : "off");
}

/* --- lights -------------------------------------------------------------------------- */

static void say_color(struct text *text, const struct entity *light)
{
    int64_t warm = 6535 - light->other;

    text_printf(text, "\"color_mode\":\"color_temp\",\"brightness\":%d,\"color_temp_kelvin\":%d,\"color_temp\":%d,",
        (int)light->value, (int)light->other, (int)(1000000 / light->other));
    text_printf(text, "\"hs_color\":[%d.%03d,%d.%03d],\"rgb_color\":[255,%d,%d],\"xy_color\":[0.%03d,0.%03d]",
        (int)(20 + warm / 400), (int)(warm % 1000), (int)(warm / 70), (int)(warm % 997), (int)(255 - warm / 40),
        (int)(255 - warm / 22), (int)(330 + warm / 23), (int)(340 + warm / 90));
}

void light_set(
    struct world *world, struct entity *light, bool on, int64_t brightness, int64_t kelvin, const struct context *cause)
{
    struct text *text = &world->attributes;

    light->on = on;
    light->value = brightness;
    light->other = kelvin;
    text->size = 0;
    text_say(text,
        "{\"min_color_temp_kelvin\":2000,\"max_color_temp_kelvin\":6535,\"min_mireds\":153,\"max_mireds\":500,"
        "\"supported_color_modes\":[\"color_temp\",\"hs\"],");
    if (on)
        say_color(text, light);
    else
        text_say(text,
            "\"color_mode\":null,\"brightness\":null,\"color_temp_kelvin\":null,\"color_temp\":null,\"hs_color\":null,"
            "\"rgb_color\":null,\"xy_color\":null");
    say_friendly_name(text, light);
    text->size--;
    text_say(text, ",\"supported_features\":0}");
    world_write(world, light, on_off(on), text_view(text), cause);
}

void begin_light(struct world *world, struct entity *entity)
{
    light_set(world, entity, chance_below(&world->chance, 100) < activity(world->now_us) / 2, 180, 2703, NULL);
}

static void say_call(struct world *world, const char *domain, const char *service, const struct entity *entity,
    const struct context *context)
{
    struct text *data = &world->scratch;

    data->size = 0;
    text_printf(data, "{\"domain\":\"%s\",\"service\":\"%s\",\"service_data\":{\"entity_id\":[\"%s\"]}}", domain,
        service, entity->id);
    world_fire(world, "call_service", text_view(data), "LOCAL", context);
}

/* Somebody turns a knob in the app. */
void live_light(struct world *world, struct entity *entity)
{
    if (!entity->on || chance_below(&world->chance, 100) >= activity(world->now_us))
        return;
    struct context context = world_context(world, NULL, true);
    say_call(world, "light", "turn_on", entity, &context);
    light_set(world, entity, true, 20 + chance_below(&world->chance, 236), 2000 + chance_below(&world->chance, 4500),
        &context);
}

/* --- switches and contacts --------------------------------------------------------------- */

static void write_simple(
    struct world *world, struct entity *entity, struct slice state, const char *extra, const struct context *cause)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, "{");
    text_say(text, extra);
    if (entity->breed->device_class)
        text_printf(text, "\"device_class\":\"%s\"", entity->breed->device_class);
    else if (text->size > 1)
        text->size--;
    say_friendly_name(text, entity);
    world_write(world, entity, state, text_view(text), cause);
}

void switch_set(struct world *world, struct entity *entity, bool on, const struct context *cause)
{
    entity->on = on;
    write_simple(world, entity, on_off(on), "", cause);
}

void begin_switch(struct world *world, struct entity *entity)
{
    switch_set(world, entity, chance_below(&world->chance, 4) > 0, NULL);
}

void live_switch(struct world *world, struct entity *entity)
{
    if (chance_below(&world->chance, 400) >= activity(world->now_us))
        return;
    struct context context = world_context(world, NULL, true);
    say_call(world, "switch", entity->on ? "turn_off" : "turn_on", entity, &context);
    switch_set(world, entity, !entity->on, &context);
}

void begin_binary(struct world *world, struct entity *entity)
{
    write_simple(world, entity, on_off(entity->on), "", NULL);
}

void live_door(struct world *world, struct entity *entity)
{
    if (chance_below(&world->chance, 100) >= (entity->on ? 60 : activity(world->now_us) / 3))
        return;
    entity->on = !entity->on;
    write_simple(world, entity, on_off(entity->on), "", NULL);
}

/* --- motion and the automation behind it --------------------------------------------------- */

static void automation_write(struct world *world, struct entity *entity, const struct context *cause)
{
    struct text *text = &world->attributes;
    char iso[ISO_ROOM];

    text->size = 0;
    text_printf(text, "{\"id\":\"%.13s\",\"last_triggered\":", entity->uuid);
    if (entity->since_us)
        text_printf(text, "\"%.*s\"", (int)moment_iso(&world->calendar, iso, entity->since_us), iso);
    else
        text_say(text, "null");
    text_say(text, ",\"mode\":\"single\",\"current\":0");
    say_friendly_name(text, entity);
    world_write(world, entity, on_off(entity->on), text_view(text), cause);
}

void begin_automation(struct world *world, struct entity *entity)
{
    entity->on = true;
    automation_write(world, entity, NULL);
}

/* The chain that HA makes: one context, whose parent is the sensor's, for the automation, the
 * service it calls and the light. */
static void run_automation(struct world *world, struct entity *automation, struct entity *sensor, struct entity *light)
{
    struct text *data = &world->scratch;
    struct context context = world_context(world, &sensor->context, false);

    data->size = 0;
    text_say(data, "{\"name\":");
    text_json(data, slice_of(automation->full_name));
    text_printf(data, ",\"entity_id\":\"%s\",\"source\":\"state of %s\"}", automation->id, sensor->id);
    world_fire(world, "automation_triggered", text_view(data), "LOCAL", &context);
    automation->since_us = world->now_us;
    automation_write(world, automation, &context);
    say_call(world, "light", light->on ? "turn_off" : "turn_on", light, &context);
    light_set(world, light, !light->on, 180, 2703, &context);
}

void live_motion(struct world *world, struct entity *entity)
{
    int odds = entity->on ? 50 : activity(world->now_us) / 3;

    if (chance_below(&world->chance, 100) >= odds)
        return;
    entity->on = !entity->on;
    write_simple(world, entity, on_off(entity->on), "", NULL);
    struct entity *light = entity->partner >= 0 ? world->entities[entity->partner] : NULL;
    struct entity *automation = entity->second >= 0 ? world->entities[entity->second] : NULL;
    if (!light || !automation || !light->present || !automation->on || light->on == entity->on)
        return;
    if (light->on || sun_elevation(world->now_us) < 4)
        run_automation(world, automation, entity, light);
}

/* --- heating and media ----------------------------------------------------------------------- */

void climate_set(struct world *world, struct entity *entity, int64_t target, bool heat, const struct context *cause)
{
    struct text *text = &world->attributes;

    entity->other = target;
    entity->on = heat;
    const char *action = !heat ? "off" : entity->value < target ? "heating" : "idle";
    text->size = 0;
    text_say(text, "{\"hvac_modes\":[\"heat\",\"off\"],\"min_temp\":7.0,\"max_temp\":35.0,\"current_temperature\":");
    text_decimal(text, entity->value, 1);
    text_say(text, ",\"temperature\":");
    text_decimal(text, target, 1);
    text_printf(text, ",\"hvac_action\":\"%s\"", action);
    say_friendly_name(text, entity);
    text->size--;
    text_say(text, ",\"supported_features\":385}");
    world_write(world, entity, slice_of(heat ? "heat" : "off"), text_view(text), cause);
}

void begin_climate(struct world *world, struct entity *entity)
{
    entity->value = 190 + chance_below(&world->chance, 20);
    climate_set(world, entity, 205, true, NULL);
}

void live_climate(struct world *world, struct entity *entity)
{
    double hour = local_hour(world->now_us);
    int64_t target = hour < 6.5 || hour > 22.5 ? 175 : 205;

    entity->value += chance_below(&world->chance, 5) - 2 + (entity->value < entity->other ? 1 : -1);
    climate_set(world, entity, target, entity->on, NULL);
}

void media_set(struct world *world, struct entity *entity, bool playing, const struct context *cause)
{
    static const char *const titles[] = {
        "Clair de lune", "Blue in Green", "♥♥ Jóga", "Canção do Mar", "What's Going On \\/ \"live\""};
    struct text *text = &world->attributes;
    char iso[ISO_ROOM];

    entity->on = playing;
    text->size = 0;
    text_say(text, "{\"volume_level\":");
    text_decimal(text, entity->value, 2);
    text_say(text, ",\"is_volume_muted\":false,\"sound_mode\":\"Music\",\"shuffle\":false");
    if (playing) {
        text_say(
            text, ",\"media_content_id\":\"x-sonos:track\",\"media_content_type\":\"music\",\"media_duration\":237,");
        text_printf(text, "\"media_position\":%d,\"media_position_updated_at\":\"%.*s\",\"media_title\":",
            (int)(entity->other * 7 % 237), (int)moment_iso(&world->calendar, iso, world->now_us), iso);
        text_json(text, slice_of(titles[entity->other % 5]));
        text_say(text, ",\"media_artist\":\"Various\",\"repeat\":\"off\"");
    }
    say_friendly_name(text, entity);
    text->size--;
    text_say(text, ",\"supported_features\":64063}");
    world_write(world, entity, slice_of(playing ? "playing" : "idle"), text_view(text), cause);
}

void begin_media(struct world *world, struct entity *entity)
{
    entity->value = 10 + chance_below(&world->chance, 60);
    media_set(world, entity, false, NULL);
}

void live_media(struct world *world, struct entity *entity)
{
    if (chance_below(&world->chance, 200) >= activity(world->now_us))
        return;
    entity->other++;
    if (chance_one_in(&world->chance, 3))
        entity->value = 5 + chance_below(&world->chance, 80);
    media_set(world, entity, !chance_one_in(&world->chance, 5), NULL);
}
