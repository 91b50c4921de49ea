/* catalog.c - what the house is made of: breeds, devices, rooms; and how it is put together. */
#include "rhythm.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum breed_name {
    LIGHT,
    MOTION,
    ILLUMINANCE,
    TEMPERATURE,
    HUMIDITY,
    BATTERY,
    SWITCH,
    POWER,
    ENERGY,
    VOLTAGE,
    DOOR,
    CLIMATE,
    MEDIA,
    UPDATE,
    AUTOMATION,
    OUTDOOR,
    HOUSE_POWER,
    HOUSE_ENERGY,
    SOLAR_POWER,
    SOLAR_ENERGY,
    SUN,
    WEATHER,
    TRACKER,
    PERSON,
    ZONE,
    SELECT,
    BUTTON,
    INPUT_BOOLEAN,
    COUNTER,
    ODD,
    BREEDS
};

static const struct breed breeds[BREEDS] = {
    [LIGHT] = {.domain = "light", .suffix = "", .begin = begin_light, .live = live_light, .weight = 1},
    [MOTION] = {.domain = "binary_sensor",
        .suffix = "",
        .name = "Motion",
        .device_class = "motion",
        .begin = begin_binary,
        .live = live_motion,
        .weight = 3},
    [ILLUMINANCE] = {.domain = "sensor",
        .suffix = "_illuminance",
        .name = "Illuminance",
        .device_class = "illuminance",
        .unit = "lx",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_illuminance,
        .weight = 2,
        .high = 40},
    [TEMPERATURE] = {.domain = "sensor",
        .suffix = "_temperature",
        .name = "Temperature",
        .device_class = "temperature",
        .unit = "°C",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_temperature,
        .weight = 4,
        .decimals = 2,
        .low = 1850,
        .high = 2150},
    [HUMIDITY] = {.domain = "sensor",
        .suffix = "_humidity",
        .name = "Humidity",
        .device_class = "humidity",
        .unit = "%",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_humidity,
        .weight = 2,
        .decimals = 1,
        .low = 400,
        .high = 600},
    [BATTERY] = {.domain = "sensor",
        .suffix = "_battery",
        .name = "Battery",
        .device_class = "battery",
        .unit = "%",
        .state_class = "measurement",
        .category = "diagnostic",
        .begin = begin_number,
        .live = live_battery,
        .weight = 1,
        .low = 20,
        .high = 100},
    [SWITCH] = {.domain = "switch",
        .suffix = "",
        .device_class = "outlet",
        .begin = begin_switch,
        .live = live_switch,
        .weight = 1},
    [POWER] = {.domain = "sensor",
        .suffix = "_power",
        .name = "Power",
        .device_class = "power",
        .unit = "W",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_plug_power,
        .weight = 8,
        .decimals = 1},
    [ENERGY] = {.domain = "sensor",
        .suffix = "_energy",
        .name = "Energy",
        .device_class = "energy",
        .unit = "kWh",
        .state_class = "total_increasing",
        .begin = begin_energy,
        .live = live_energy,
        .weight = 2,
        .decimals = 4,
        .low = 10000,
        .high = 9990000},
    [VOLTAGE] = {.domain = "sensor",
        .suffix = "_voltage",
        .name = "Voltage",
        .device_class = "voltage",
        .unit = "V",
        .state_class = "measurement",
        .category = "diagnostic",
        .begin = begin_number,
        .live = live_voltage,
        .weight = 2,
        .decimals = 1,
        .low = 2280,
        .high = 2330},
    [DOOR] = {.domain = "binary_sensor",
        .suffix = "",
        .name = "Door",
        .device_class = "door",
        .begin = begin_binary,
        .live = live_door,
        .weight = 1},
    [CLIMATE] = {.domain = "climate", .suffix = "", .begin = begin_climate, .live = live_climate, .weight = 2},
    [MEDIA] = {.domain = "media_player", .suffix = "", .begin = begin_media, .live = live_media, .weight = 1},
    [UPDATE] = {.domain = "update",
        .suffix = "_firmware",
        .name = "Firmware",
        .device_class = "firmware",
        .category = "config",
        .begin = begin_update,
        .live = live_update,
        .weight = 1},
    [AUTOMATION] = {.domain = "automation", .suffix = "", .begin = begin_automation},
    [OUTDOOR] = {.domain = "sensor",
        .suffix = "_temperature",
        .name = "Temperature",
        .device_class = "temperature",
        .unit = "°C",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_outdoor,
        .weight = 3,
        .decimals = 2,
        .low = 500,
        .high = 1100},
    [HOUSE_POWER] = {.domain = "sensor",
        .suffix = "_power",
        .name = "Power",
        .device_class = "power",
        .unit = "W",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_house_power,
        .weight = 10,
        .low = 300,
        .high = 900},
    [HOUSE_ENERGY] = {.domain = "sensor",
        .suffix = "_energy",
        .name = "Energy",
        .device_class = "energy",
        .unit = "kWh",
        .state_class = "total_increasing",
        .begin = begin_energy,
        .live = live_energy,
        .weight = 2,
        .decimals = 4,
        .low = 100000000,
        .high = 200000000},
    [SOLAR_POWER] = {.domain = "sensor",
        .suffix = "_power",
        .name = "Power",
        .device_class = "power",
        .unit = "W",
        .state_class = "measurement",
        .begin = begin_number,
        .live = live_solar_power,
        .weight = 4,
        .decimals = 1},
    [SOLAR_ENERGY] = {.domain = "sensor",
        .suffix = "_energy",
        .name = "Energy",
        .device_class = "energy",
        .unit = "kWh",
        .state_class = "total_increasing",
        .begin = begin_energy,
        .live = live_energy,
        .weight = 2,
        .decimals = 4,
        .low = 30000000,
        .high = 60000000},
    [SUN] = {.domain = "sun", .suffix = "", .begin = begin_sun, .live = live_sun, .weight = 1},
    [WEATHER] = {.domain = "weather", .suffix = "", .begin = begin_weather, .live = live_weather, .weight = 1},
    [TRACKER] = {.domain = "device_tracker", .suffix = "", .begin = begin_tracker, .live = live_tracker, .weight = 1},
    [PERSON] = {.domain = "person", .suffix = "", .begin = begin_person},
    [ZONE] = {.domain = "zone", .suffix = "", .begin = begin_zone},
    [SELECT] = {.domain = "select",
        .suffix = "_mode",
        .name = "Mode",
        .translation_key = "mode",
        .begin = begin_select,
        .live = live_select,
        .weight = 1},
    [BUTTON] = {.domain = "button",
        .suffix = "_restart",
        .name = "Restart",
        .device_class = "restart",
        .category = "config",
        .begin = begin_button,
        .live = live_button,
        .weight = 1},
    [INPUT_BOOLEAN] =
        {.domain = "input_boolean", .suffix = "", .begin = begin_helper, .live = live_helper, .weight = 1},
    [COUNTER] = {.domain = "counter", .suffix = "", .begin = begin_helper, .live = live_helper, .weight = 1},
    [ODD] = {.domain = "sensor", .suffix = "", .begin = begin_odd, .live = live_odd, .weight = 2},
};

const struct breed plain_breed = {.domain = "sensor", .suffix = ""};

static const struct {
    const char *domain, *title;
} integrations[] = {
    {"hue", "Philips Hue"},
    {"zha", "Zigbee Home Automation"},
    {"shelly", "Shelly"},
    {"tado", "Tado"},
    {"sonos", "Sonos"},
    {"mobile_app", "Phones"},
    {"dsmr", "Smart meter"},
    {"solaredge", "SolarEdge"},
    {"met", "Met.no"},
};

/* A device and its entities. first and last entity are partners where that makes sense. */
struct model {
    const char *slug, *name, *manufacturer, *model, *model_id, *version;
    int entry;
    enum breed_name breeds[5];
    int count;
};

static const struct model room_models[] = {
    {"light", "Light", "Signify Netherlands B.V.", "Hue white ambiance", "LTA001", "1.108.7", 0, {LIGHT, UPDATE}, 2},
    {"motion", "Motion", "Aqara", "Motion and light sensor P1", "RTCGQ14LM", "0.0.0_0028", 1,
        {MOTION, ILLUMINANCE, TEMPERATURE, BATTERY}, 4},
    {"plug", "Plug", "Shelly", "Plus Plug S", "SNPL-00112EU", "1.4.4", 2, {SWITCH, POWER, ENERGY, VOLTAGE, BUTTON}, 5},
    {"sensor", "Sensor", "SONOFF", "Temperature and humidity sensor", "SNZB-02P", NULL, 1,
        {TEMPERATURE, HUMIDITY, BATTERY}, 3},
    {"thermostat", "Thermostat", "tado°", "Smart radiator thermostat X", "VA04", "215.2", 3, {CLIMATE}, 1},
    {"door", "Door", "Aqara", "Door and window sensor", "MCCGQ11LM", NULL, 1, {DOOR, BATTERY}, 2},
    {"speaker", "Speaker", "Sonos", "Era 100", "S39", "79.1-56030", 4, {MEDIA}, 1},
};

static const struct model house_models[] = {
    {"outdoor", "Outdoor", "SONOFF", "Temperature and humidity sensor", "SNZB-02LD", NULL, 1,
        {OUTDOOR, HUMIDITY, BATTERY}, 3},
    {"house", "House", "Landis+Gyr", "E360", NULL, "5.0", 6, {HOUSE_POWER, HOUSE_ENERGY}, 2},
    {"solar", "Solar", "SolarEdge", "SE3680H", NULL, "4.18.32", 7, {SOLAR_POWER, SOLAR_ENERGY, SELECT}, 3},
};

static const struct {
    const char *name, *floor, *icon;
} rooms[] = {
    {"Living Room", "ground", "mdi:sofa"},
    {"Kitchen", "ground", "mdi:stove"},
    {"Bedroom", "first", "mdi:bed"},
    {"Bathroom", "first", "mdi:shower"},
    {"Study", "first", "mdi:desk"},
    {"Garden", "outside", "mdi:flower"},
    {"Hall", "ground", NULL},
    {"Attic", "first", NULL},
};

static void add_entries(struct world *world)
{
    world->entry_count = sizeof integrations / sizeof *integrations;
    world->entries = calloc(world->entry_count, sizeof *world->entries);
    assert(world->entries);
    for (size_t i = 0; i < world->entry_count; i++) {
        struct entry *entry = &world->entries[i];
        *entry = (struct entry){
            .domain = integrations[i].domain, .title = integrations[i].title, .created_us = world->now_us};
        if (world->version == HA_2024_3)
            chance_hex(&world->chance, entry->id, 32);
        else
            moment_ulid(&world->calendar, &world->chance, entry->id, world->now_us);
    }
}

static int add_device(struct world *world, const struct model *model, int area, const char *name)
{
    if ((world->device_count & (world->device_count - 1)) == 0) {
        world->devices =
            realloc(world->devices, (world->device_count ? world->device_count * 2 : 1) * sizeof *world->devices);
        assert(world->devices);
    }
    struct device *device = &world->devices[world->device_count];
    *device = (struct device){.name = strdup(name),
        .manufacturer = model->manufacturer,
        .model = model->model,
        .model_id = model->model_id,
        .version = model->version,
        .platform = integrations[model->entry].domain,
        .area = area,
        .entry = model->entry,
        .created_us = world->now_us};
    assert(device->name);
    chance_hex(&world->chance, device->id, 32);
    return (int)world->device_count++;
}

static int add_entity(struct world *world, enum breed_name name, const char *slug, const char *title, int device)
{
    const struct breed *breed = &breeds[name];
    char id[160], full_name[160];

    snprintf(id, sizeof id, "%s.%s%s", breed->domain, slug, breed->suffix);
    snprintf(full_name, sizeof full_name, breed->name && breed->suffix[0] ? "%s %s" : "%s", title, breed->name);
    struct entity *entity = world_add(world, id, full_name, breed);
    entity->device = device;
    entity->registered = device >= 0;
    return (int)world->count - 1;
}

/* Whose state follows from whose: an energy counter from its power, power from its switch. */
static void join(struct world *world, const struct model *model, int first)
{
    for (int i = 0; i < model->count; i++) {
        struct entity *entity = world->entities[first + i];
        switch (model->breeds[i]) {
        case POWER: entity->second = first + i - 1; /* fall through */
        case HOUSE_POWER:
        case SOLAR_POWER: entity->partner = first + i + 1; break;
        case ENERGY:
        case HOUSE_ENERGY:
        case SOLAR_ENERGY: entity->partner = first + i - 1; break;
        default: break;
        }
    }
}

/* The first of the new entities, or -1 if they would be too many. */
static int install(
    struct world *world, const struct model *model, size_t most, int area, const char *area_id, const char *area_name)
{
    char slug[128], title[128];
    int first = (int)world->count;

    if (world->count + (size_t)model->count > most)
        return -1;
    snprintf(slug, sizeof slug, "%s%s%s", area_id, area_id[0] ? "_" : "", model->slug);
    snprintf(title, sizeof title, "%s%s%s", area_name, area_name[0] ? " " : "", model->name);
    int device = add_device(world, model, area, title);
    for (int i = 0; i < model->count; i++)
        add_entity(world, model->breeds[i], slug, title, device);
    join(world, model, first);
    return first;
}

/* Motion in a room switches its light, by an automation. */
static void automate(struct world *world, int light, int motion, const char *area_id, const char *area_name)
{
    char slug[128], title[128];

    snprintf(slug, sizeof slug, "%s_light_on_motion", area_id);
    snprintf(title, sizeof title, "%s: light on motion", area_name);
    int automation = add_entity(world, AUTOMATION, slug, title, -1);
    world->entities[automation]->registered = true;
    world->entities[motion]->partner = light;
    world->entities[motion]->second = automation;
    world->entities[motion + 1]->partner = light;
}

static void furnish(struct world *world, int number, size_t most)
{
    const int known = sizeof rooms / sizeof *rooms;
    const size_t models = sizeof room_models / sizeof *room_models;
    char name[40];
    int light = -1, motion = -1;

    if (number < known)
        snprintf(name, sizeof name, "%s", rooms[number].name);
    else
        snprintf(name, sizeof name, "Room %d", number + 1);
    struct area *area = world_add_area(world, slice_of(name));
    assert(area);
    if (number < known) {
        area->floor = rooms[number].floor;
        area->icon = rooms[number].icon;
    }
    char *id = area->id;
    for (size_t i = 0; i < models; i++) {
        int first = install(world, &room_models[i], most, number, id, name);
        if (i == 0)
            light = first;
        else if (i == 1)
            motion = first;
    }
    if (light >= 0 && motion >= 0 && world->count < most)
        automate(world, light, motion, id, name);
}

static void add_people(struct world *world)
{
    static const struct model phone = {"phone", "Phone", "Google", "Pixel 8", NULL, "34", 5, {TRACKER, BATTERY}, 2};
    static const char *const people[][2] = {{"anna", "Anna"}, {"bram", "Bram"}};

    for (int i = 0; i < 2; i++) {
        int person = add_entity(world, PERSON, people[i][0], people[i][1], -1);
        int tracker = install(world, &phone, SIZE_MAX, -1, people[i][0], people[i][1]);
        world->entities[tracker]->partner = person;
    }
}

static void add_surroundings(struct world *world)
{
    static const struct model met = {"forecast_home", "Home", "Met.no", "Forecast", NULL, NULL, 8, {WEATHER}, 1};
    char slug[16], title[16];

    add_entity(world, SUN, "sun", "Sun", -1);
    add_entity(world, ZONE, "home", "Simulated home", -1);
    install(world, &met, SIZE_MAX, -1, "", "");
    add_people(world);
    for (size_t i = 0; i < sizeof house_models / sizeof *house_models; i++)
        install(world, &house_models[i], SIZE_MAX, -1, "", "");
    add_entity(world, INPUT_BOOLEAN, "guest_mode", "Guest mode", -1);
    add_entity(world, COUNTER, "doorbell", "Doorbell", -1);
    for (int i = 0; i < 4; i++) {
        snprintf(slug, sizeof slug, "odd_%d", i);
        snprintf(title, sizeof title, "Odd %d", i);
        add_entity(world, ODD, slug, title, -1);
    }
}

void world_build(struct world *world, size_t entities)
{
    add_entries(world);
    add_surroundings(world);
    for (int number = 0; world->count < entities; number++) {
        size_t before = world->count;
        furnish(world, number, entities);
        if (world->count == before)
            break;
    }
    for (size_t i = 0; i < world->count; i++)
        world->entities[i]->breed->begin(world, world->entities[i]);
}
