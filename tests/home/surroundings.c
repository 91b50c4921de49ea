/* surroundings.c - the sky, the people, and the odds and ends of a house. */
#include "rhythm.h"
#include "shapes.h"

#include <math.h>
#include <stdio.h>

void say_friendly_name(struct text *text, const struct entity *entity)
{
    text_say(text, text->size > 1 ? ",\"friendly_name\":" : "\"friendly_name\":");
    text_json(text, slice_of(entity->name ? entity->name : entity->full_name));
    text_say(text, "}");
}

double local_hour(int64_t us)
{
    return (double)((us + HOUR_US) % DAY_US) / (double)HOUR_US;
}

int activity(int64_t us)
{
    static const int percent[24] = {
        6, 4, 3, 3, 4, 12, 40, 80, 70, 45, 40, 45, 60, 50, 45, 45, 55, 80, 100, 95, 90, 75, 45, 18};

    return percent[(int)local_hour(us)];
}

/* --- the sun: good to some minutes ---------------------------------------------------------- */

static double declination(int64_t us)
{
    double day = (double)us / (double)DAY_US;

    return -23.44 * M_PI / 180 * cos(2 * M_PI * (fmod(day, 365.2425) + 10) / 365.2425);
}

static double noon_hour(void)
{
    return 12 - HOME_LONGITUDE / 15;
}

static double hour_angle(int64_t us)
{
    return ((double)(us % DAY_US) / (double)HOUR_US - noon_hour()) * M_PI / 12;
}

double sun_elevation(int64_t us)
{
    double latitude = HOME_LATITUDE * M_PI / 180, tilt = declination(us);

    return asin(sin(latitude) * sin(tilt) + cos(latitude) * cos(tilt) * cos(hour_angle(us))) * 180 / M_PI;
}

/* When the sun next passes `elevation` degrees, rising or setting. */
static int64_t next_passage(int64_t now_us, double elevation, int direction)
{
    double latitude = HOME_LATITUDE * M_PI / 180, tilt = declination(now_us);
    double cosine = (sin(elevation * M_PI / 180) - sin(latitude) * sin(tilt)) / (cos(latitude) * cos(tilt));
    double hours = noon_hour() + direction * acos(fmax(-1, fmin(1, cosine))) * 12 / M_PI;
    int64_t at_us = now_us - now_us % DAY_US + (int64_t)(hours * (double)HOUR_US);

    return at_us > now_us ? at_us : at_us + DAY_US;
}

static void say_passage(struct world *world, struct text *text, const char *key, int64_t us)
{
    char iso[ISO_ROOM];

    text_printf(text, "\"%s\":\"%.*s\",", key, (int)moment_iso(&world->calendar, iso, us), iso);
}

void begin_sun(struct world *world, struct entity *entity)
{
    live_sun(world, entity);
}

void live_sun(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;
    int64_t now_us = world->now_us;
    double elevation = sun_elevation(now_us);
    int64_t noon = now_us - now_us % DAY_US + (int64_t)(noon_hour() * (double)HOUR_US);

    if (entity->present && now_us - entity->updated_us < 30 * SECOND_US)
        return;
    text->size = 0;
    text_say(text, "{");
    say_passage(world, text, "next_dawn", next_passage(now_us, -6, -1));
    say_passage(world, text, "next_dusk", next_passage(now_us, -6, 1));
    say_passage(world, text, "next_midnight",
        noon > now_us - DAY_US / 2 && noon < now_us + DAY_US / 2 ? noon + DAY_US / 2 : noon + DAY_US * 3 / 2);
    say_passage(world, text, "next_noon", noon > now_us ? noon : noon + DAY_US);
    say_passage(world, text, "next_rising", next_passage(now_us, -0.833, -1));
    say_passage(world, text, "next_setting", next_passage(now_us, -0.833, 1));
    double azimuth = fmod(180 + hour_angle(now_us) * 180 / M_PI + 360, 360);
    text_printf(text, "\"elevation\":%.2f,\"azimuth\":%.2f,\"rising\":%s", elevation, azimuth,
        hour_angle(now_us) < 0 ? "true" : "false");
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of(elevation > -0.833 ? "above_horizon" : "below_horizon"), text_view(text), NULL);
}

static void write_weather(struct world *world, struct entity *entity)
{
    static const char *const conditions[] = {"sunny", "partlycloudy", "cloudy", "rainy"};
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, "{\"temperature\":");
    text_decimal(text, entity->value, 1);
    text_printf(text, ",\"temperature_unit\":\"°C\",\"humidity\":%d,\"pressure\":", (int)(60 + world->clouds / 4));
    text_decimal(text, entity->other, 1);
    text_printf(text,
        ",\"pressure_unit\":\"hPa\",\"wind_speed\":%d.%d,\"wind_speed_unit\":\"km/h\",\"visibility_unit\":\"km\","
        "\"precipitation_unit\":\"mm\",\"attribution\":\"Simulated weather\"",
        world->clouds / 5, (int)(entity->other % 10));
    say_friendly_name(text, entity);
    text->size--;
    text_say(text, ",\"supported_features\":1}");
    world_write(world, entity, slice_of(conditions[world->clouds / 26]), text_view(text), NULL);
}

void begin_weather(struct world *world, struct entity *entity)
{
    entity->value = 90;
    entity->other = 10132;
    world->clouds = 40;
    write_weather(world, entity);
}

void live_weather(struct world *world, struct entity *entity)
{
    int64_t target = 90 + (int64_t)(60 * sin((local_hour(world->now_us) - 9) / 24 * 2 * M_PI));
    int clouds = world->clouds + (int)chance_below(&world->chance, 7) - 3;

    world->clouds = clouds < 0 ? 0 : clouds > 100 ? 100 : clouds;
    entity->value += (target - entity->value) / 8 + chance_below(&world->chance, 3) - 1;
    entity->other += chance_below(&world->chance, 5) - 2;
    write_weather(world, entity);
}

/* --- people ------------------------------------------------------------------------------------ */

static void say_place(struct text *text, const struct entity *tracker)
{
    text_printf(text, "\"latitude\":%.6f,\"longitude\":%.6f,\"gps_accuracy\":%d",
        HOME_LATITUDE + (double)tracker->value / 1e5, HOME_LONGITUDE + (double)tracker->value / 2e5,
        (int)(10 + tracker->other % 40));
}

static void write_person(struct world *world, struct entity *person, const struct entity *tracker)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_printf(text, "{\"editable\":true,\"id\":\"%s\",\"device_trackers\":[\"%s\"],", person->id + strlen("person."),
        tracker->id);
    say_place(text, tracker);
    text_printf(text, ",\"source\":\"%s\",\"user_id\":\"%s\"", tracker->id, world->user_id);
    say_friendly_name(text, person);
    world_write(world, person, slice_of(tracker->on ? "home" : "not_home"), text_view(text), &tracker->context);
}

static void write_tracker(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, "{\"source_type\":\"gps\",");
    say_place(text, entity);
    text_printf(text, ",\"battery\":%d", (int)(20 + entity->other % 80));
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of(entity->on ? "home" : "not_home"), text_view(text), NULL);
    if (entity->partner >= 0)
        write_person(world, world->entities[entity->partner], entity);
}

void begin_tracker(struct world *world, struct entity *entity)
{
    entity->on = true;
    entity->other = 60;
    write_tracker(world, entity);
}

void live_tracker(struct world *world, struct entity *entity)
{
    double hour = local_hour(world->now_us);
    bool away = hour > 8.5 && hour < 17;

    if (!chance_one_in(&world->chance, 4))
        return;
    entity->other--;
    if (entity->other < 0)
        entity->other = 79;
    if (away == entity->on && chance_one_in(&world->chance, 10))
        entity->on = !entity->on;
    entity->value = entity->on ? chance_below(&world->chance, 20) : 500 + chance_below(&world->chance, 4000);
    write_tracker(world, entity);
}

void begin_person(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_printf(text, "{\"editable\":true,\"id\":\"%s\",\"device_trackers\":[],\"user_id\":\"%s\"",
        entity->id + strlen("person."), world->user_id);
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of("unknown"), text_view(text), NULL);
}

void begin_zone(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_printf(text,
        "{\"latitude\":%.2f,\"longitude\":%.2f,\"radius\":100,\"passive\":false,\"persons\":[\"person.anna\",\"person."
        "bram\"],"
        "\"editable\":true,\"icon\":\"mdi:home\"",
        HOME_LATITUDE, HOME_LONGITUDE);
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of("2"), text_view(text), NULL);
}

/* --- odds and ends --------------------------------------------------------------------------------- */

static void write_update(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;
    bool new = world->version > HA_2024_3;

    text->size = 0;
    text_printf(text,
        "{\"auto_update\":false,%s\"installed_version\":\"1.%d.0\",\"in_progress\":false,\"latest_version\":\"1.%d.0\","
        "\"release_summary\":null,\"release_url\":\"https://www.example.com/"
        "release\",\"skipped_version\":null,\"title\":\"Firmware\"%s,"
        "\"entity_picture\":\"https://brands.home-assistant.io/_/hue/icon.png\"",
        new ? "\"display_precision\":0," : "", (int)entity->value, (int)(entity->value + entity->on),
        new ? ",\"update_percentage\":null" : "");
    say_friendly_name(text, entity);
    text->size--;
    text_say(text, ",\"supported_features\":1}");
    world_write(world, entity, slice_of(entity->on ? "on" : "off"), text_view(text), NULL);
}

void begin_update(struct world *world, struct entity *entity)
{
    entity->value = 3;
    write_update(world, entity);
}

void live_update(struct world *world, struct entity *entity)
{
    if (!chance_one_in(&world->chance, 200))
        return;
    if (entity->on)
        entity->value++;
    entity->on = !entity->on;
    write_update(world, entity);
}

static const char *const modes[] = {"home", "away", "night", "holiday"};

void begin_select(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, "{\"options\":[\"home\",\"away\",\"night\",\"holiday\"]");
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of(modes[0]), text_view(text), NULL);
}

void live_select(struct world *world, struct entity *entity)
{
    if (chance_below(&world->chance, 1000) >= activity(world->now_us))
        return;
    struct context context = world_context(world, NULL, true);
    entity->value = (entity->value + 1) % 4;
    world_write(world, entity, slice_of(modes[entity->value]), text_view(&entity->attributes), &context);
}

void begin_button(struct world *world, struct entity *entity)
{
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, "{");
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of("unknown"), text_view(text), NULL);
}

void live_button(struct world *world, struct entity *entity)
{
    char iso[ISO_ROOM];

    if (chance_below(&world->chance, 1000) >= activity(world->now_us))
        return;
    struct context context = world_context(world, NULL, true);
    size_t size = moment_iso(&world->calendar, iso, world->now_us);
    world_write(world, entity, (struct slice){iso, size}, text_view(&entity->attributes), &context);
}

/* input_boolean.guest_mode and counter.doorbell. */
void begin_helper(struct world *world, struct entity *entity)
{
    bool counter = strcmp(entity->breed->domain, "counter") == 0;
    struct text *text = &world->attributes;

    text->size = 0;
    text_say(text, counter ? "{\"editable\":true,\"initial\":0,\"step\":1" : "{\"editable\":true");
    say_friendly_name(text, entity);
    world_write(world, entity, slice_of(counter ? "0" : "off"), text_view(text), NULL);
}

void live_helper(struct world *world, struct entity *entity)
{
    struct text *state = &world->scratch;

    if (chance_below(&world->chance, 2000) >= activity(world->now_us))
        return;
    struct context context = world_context(world, NULL, true);
    entity->value++;
    state->size = 0;
    if (strcmp(entity->breed->domain, "counter") == 0)
        text_int(state, entity->value);
    else
        text_say(state, entity->value % 2 ? "on" : "off");
    world_write(world, entity, text_view(state), text_view(&entity->attributes), &context);
}

/* --- what real homes do to those who read them --------------------------------------------------------- */

static const char long_state[] =
    "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

static const char *const odd_states[] = {"unavailable", "unknown", "", " 12 ", "1E5", "1e5", "inf", "NaN", "0x10",
    "21,5", "007", "+3", "-0", "1_000", "on", "2026-11-24T00:00:00+00:00", "273395.36405975325", "9223372036854775808",
    "\"quoted\" \\ / \n\t", "日本語 🏠", "12.50", long_state};

static const char *const odd_attributes[] = {"{}", "{\"unit_of_measurement\":\"°F\",\"device_class\":\"temperature\"}",
    "{\"list\":[1,2.5,null,true,{\"a\":[]}],\"nested\":{\"é\":\"\\u0000x\",\"big\":9223372036854775808,\"f\":1e-7}}",
    "{\"friendly_name\":\"Ödd \\\"quoted\\\" \\\\ /\"}",
    "{\"friendly_name\":null,\"device_class\":7,\"unit_of_measurement\":[]}",
    "{\"deep\":[[[[[[[[[[null]]]]]]]]]],\"empty\":{},\"\":\"no key\",\"minus\":-0.0,\"tiny\":5e-324,\"huge\":1.7976931348623157e308}",
    "{\"unit_of_measurement\":\"kWh\",\"device_class\":\"energy\",\"state_class\":\"total_increasing\"}"};

void begin_odd(struct world *world, struct entity *entity)
{
    world_write(world, entity, slice_of("0"), slice_of("{}"), NULL);
}

void live_odd(struct world *world, struct entity *entity)
{
    if (chance_one_in(&world->chance, 3))
        return;
    if (entity->present && chance_one_in(&world->chance, 8)) {
        world_remove(world, entity);
        return;
    }
    const char *state = odd_states[chance_below(&world->chance, (int64_t)(sizeof odd_states / sizeof *odd_states))];
    const char *attributes =
        odd_attributes[chance_below(&world->chance, (int64_t)(sizeof odd_attributes / sizeof *odd_attributes))];
    world_write(world, entity, slice_of(state), slice_of(attributes), NULL);
}
