/* numbers.c - what is measured: temperatures, light, power and the energy that follows from it. */
#include "rhythm.h"

#include <math.h>

void begin_number(struct world *world, struct entity *entity)
{
    const struct breed *breed = entity->breed;
    struct text *attributes = &world->attributes, *state = &world->scratch;

    entity->value = breed->low + chance_below(&world->chance, breed->high - breed->low + 1);
    entity->since_us = world->now_us;
    attributes->size = state->size = 0;
    text_say(attributes, "{");
    if (breed->state_class)
        text_printf(attributes, "\"state_class\":\"%s\",", breed->state_class);
    text_printf(attributes, "\"unit_of_measurement\":\"%s\",\"device_class\":\"%s\"", breed->unit, breed->device_class);
    say_friendly_name(attributes, entity);
    text_decimal(state, entity->value, breed->decimals);
    world_write(world, entity, text_view(state), text_view(attributes), NULL);
}

static void write_number(struct world *world, struct entity *entity, int64_t value)
{
    struct text *state = &world->scratch;

    entity->value = value;
    state->size = 0;
    text_decimal(state, value, entity->breed->decimals);
    world_write(world, entity, text_view(state), text_view(&entity->attributes), NULL);
}

/* A step towards `target` with some noise. */
static int64_t drift(struct world *world, int64_t value, int64_t target, int64_t noise)
{
    return value + (target - value) / 16 + chance_below(&world->chance, 2 * noise + 1) - noise;
}

static int64_t bounded(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void live_temperature(struct world *world, struct entity *entity)
{
    int64_t target = local_hour(world->now_us) < 6.5 || local_hour(world->now_us) > 22.5 ? 1750 : 2080;

    write_number(world, entity, drift(world, entity->value, target, 9));
}

void live_outdoor(struct world *world, struct entity *entity)
{
    int64_t target = 900 + (int64_t)(600 * sin((local_hour(world->now_us) - 9) / 24 * 2 * M_PI));

    write_number(world, entity, drift(world, entity->value, target, 12));
}

void live_humidity(struct world *world, struct entity *entity)
{
    write_number(world, entity, bounded(drift(world, entity->value, 520, 4), 50, 990));
}

void live_illuminance(struct world *world, struct entity *entity)
{
    double elevation = sun_elevation(world->now_us);
    int64_t daylight = elevation > -6 ? (int64_t)((elevation + 6) * 9) : 0;
    bool lit = entity->partner >= 0 && world->entities[entity->partner]->on;

    write_number(world, entity, bounded(drift(world, entity->value, daylight + (lit ? 140 : 0), 2), 0, 100000));
}

void live_battery(struct world *world, struct entity *entity)
{
    if (chance_one_in(&world->chance, 40))
        write_number(world, entity, entity->value > 5 ? entity->value - 1 : 100);
}

void live_voltage(struct world *world, struct entity *entity)
{
    write_number(world, entity, bounded(drift(world, entity->value, 2305, 9), 2100, 2500));
}

/* The counter beside a power sensor (its partner) takes what was drawn since the last look:
 * `other` holds tenths of a watt times microseconds that do not make 0.1 Wh yet. */
static void count_energy(struct world *world, struct entity *power)
{
    const int64_t tenth_wh = INT64_C(360) * 10 * SECOND_US;
    struct entity *energy = power->partner >= 0 ? world->entities[power->partner] : NULL;

    if (!energy || world->now_us <= power->since_us)
        return;
    energy->other += power->value * (world->now_us - power->since_us);
    energy->value += energy->other / tenth_wh;
    energy->other %= tenth_wh;
    power->since_us = world->now_us;
}

static void set_power(struct world *world, struct entity *entity, int64_t tenths)
{
    count_energy(world, entity);
    write_number(world, entity, tenths);
}

void live_plug_power(struct world *world, struct entity *entity)
{
    bool on = world->entities[entity->second]->on;
    int64_t before = entity->value;
    int64_t base = 300 + (int64_t)(entity->device % 7) * 260;

    set_power(world, entity, on ? bounded(drift(world, before ? before : base, base, 25), 1, 36800) : 0);
    world->load += entity->value - before;
}

void live_house_power(struct world *world, struct entity *entity)
{
    int64_t people = activity(world->now_us) * 60;

    set_power(world, entity, bounded(drift(world, entity->value, 1500 + world->load + people, 60), 500, 172500));
}

void live_solar_power(struct world *world, struct entity *entity)
{
    double elevation = sun_elevation(world->now_us);
    double clear = elevation > 0 ? sin(elevation * M_PI / 180) * 42000 : 0;
    int64_t target = (int64_t)(clear * (100 - world->clouds) / 100);

    set_power(world, entity, target ? bounded(drift(world, entity->value, target, 80), 0, 42000) : 0);
}

void begin_energy(struct world *world, struct entity *entity)
{
    begin_number(world, entity);
}

void live_energy(struct world *world, struct entity *entity)
{
    if (entity->partner >= 0)
        count_energy(world, world->entities[entity->partner]);
    write_number(world, entity, entity->value);
}
