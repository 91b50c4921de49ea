/* shapes.c - the JSON of what Home Assistant says, as each version says it. */
#include "shapes.h"

#include <stdio.h>

const char *const version_names[3] = {"2024.3.3", "2025.4.4", "2026.2.3"};

const struct domain domains[] = {{"homeassistant", {"turn_on", "turn_off", "toggle", "restart", "stop"}},
    {"automation", {"trigger", "toggle", "turn_on", "turn_off", "reload"}}, {"zone", {"reload"}},
    {"person", {"reload"}}, {"sun", {NULL}}, {"binary_sensor", {NULL}}, {"sensor", {NULL}},
    {"input_boolean", {"reload", "turn_on", "turn_off", "toggle"}},
    {"counter", {"increment", "decrement", "reset", "set_value"}}, {"device_tracker", {"see"}}, {"button", {"press"}},
    {"climate", {"turn_on", "turn_off", "set_hvac_mode", "set_preset_mode", "set_temperature"}},
    {"light", {"turn_on", "turn_off", "toggle"}},
    {"media_player", {"turn_on", "turn_off", "media_play", "media_pause", "volume_set"}}, {"number", {"set_value"}},
    {"select", {"select_first", "select_last", "select_next", "select_option", "select_previous"}},
    {"switch", {"turn_off", "turn_on", "toggle"}}, {"update", {"install", "skip", "clear_skipped"}},
    {"weather", {"get_forecasts"}}, {NULL, {NULL}}};

void shape_context(struct text *text, const struct context *context)
{
    text_say(text, "{\"id\":\"");
    text_add(text, context->id, ULID_SIZE);
    if (context->parent[0]) {
        text_say(text, "\",\"parent_id\":\"");
        text_add(text, context->parent, ULID_SIZE);
        text_say(text, "\",\"user_id\":");
    } else {
        text_say(text, "\",\"parent_id\":null,\"user_id\":");
    }
    if (context->user[0]) {
        text_say(text, "\"");
        text_say(text, context->user);
        text_say(text, "\"}");
    } else {
        text_say(text, "null}");
    }
}

static void shape_time(struct world *world, struct text *text, const char *key, int64_t us)
{
    char iso[ISO_ROOM];

    text_say(text, key);
    text_add(text, iso, moment_iso(&world->calendar, iso, us));
}

void shape_state(struct world *world, struct text *text, const struct entity *entity)
{
    text_say(text, "{\"entity_id\":\"");
    text_say(text, entity->id);
    text_say(text, "\",\"state\":");
    text_json(text, text_view(&entity->state));
    text_say(text, ",\"attributes\":");
    text_slice(text, text_view(&entity->attributes));
    shape_time(world, text, ",\"last_changed\":\"", entity->changed_us);
    if (world->version > HA_2024_3)
        shape_time(world, text, "\",\"last_reported\":\"", entity->reported_us);
    shape_time(world, text, "\",\"last_updated\":\"", entity->updated_us);
    text_say(text, "\",\"context\":");
    shape_context(text, &entity->context);
    text_say(text, "}");
}

/* A list of what `next` writes, with its commas. */
static void begin_item(struct text *text)
{
    if (text->data[text->size - 1] != '[')
        text_say(text, ",");
}

void shape_states(struct world *world, struct text *text)
{
    text_say(text, "[");
    for (size_t i = 0; i < world->count; i++) {
        if (!world->entities[i]->present || !world->entities[i]->json.size)
            continue;
        begin_item(text);
        shape_state(world, text, world->entities[i]);
    }
    text_say(text, "]");
}

static void shape_components(struct text *text)
{
    text_say(text, "[\"websocket_api\",\"http\",\"api\",\"recorder\",\"history\",\"config\"");
    for (const struct domain *domain = domains; domain->name; domain++)
        text_printf(text, ",\"%s\"", domain->name);
    text_say(text, "]");
}

void shape_config(struct world *world, struct text *text, const char *state)
{
    bool new = world->version > HA_2024_3;

    text_say(text,
        "{\"allowlist_external_dirs\":[\"/config/www\",\"/media\"],\"allowlist_external_urls\":[],\"components\":");
    shape_components(text);
    text_say(
        text, ",\"config_dir\":\"/config\",\"config_source\":\"storage\",\"country\":\"NL\",\"currency\":\"EUR\",");
    if (new)
        text_say(text, "\"debug\":false,\"radius\":100,");
    text_printf(text,
        "\"elevation\":2,\"external_url\":null,\"internal_url\":null,\"language\":\"en\",\"latitude\":%.2f,"
        "\"location_name\":\"Simulated home\",\"longitude\":%.2f,\"recovery_mode\":false,\"safe_mode\":false,"
        "\"state\":\"%s\",\"time_zone\":\"" HOME_ZONE "\",",
        HOME_LATITUDE, HOME_LONGITUDE, state);
    text_printf(text,
        "\"unit_system\":{\"length\":\"km\",\"accumulated_precipitation\":\"mm\",%s\"mass\":\"g\",\"pressure\":\"Pa\","
        "\"temperature\":\"°C\",\"volume\":\"L\",\"wind_speed\":\"m/s\"},\"version\":\"%s\","
        "\"whitelist_external_dirs\":[\"/config/www\",\"/media\"]}",
        new ? "\"area\":\"m²\"," : "", version_names[world->version]);
}

void shape_services(struct text *text)
{
    text_say(text, "{");
    for (const struct domain *domain = domains; domain->name; domain++) {
        text_printf(text, "%s\"%s\":{", domain == domains ? "" : ",", domain->name);
        for (int i = 0; domain->services[i]; i++)
            text_printf(text, "%s\"%s\":{\"name\":\"%s\",\"description\":\"\",\"fields\":{}}", i ? "," : "",
                domain->services[i], domain->services[i]);
        text_say(text, "}");
    }
    text_say(text, "}");
}

static void shape_seconds(struct text *text, const char *key, int64_t us)
{
    text_printf(text, ",\"%s\":", key);
    moment_float(text, us);
}

void shape_entity_entry(struct world *world, struct text *text, const struct entity *entity)
{
    const struct device *device = entity->device >= 0 ? &world->devices[entity->device] : NULL;
    const struct breed *breed = entity->breed;
    bool new = world->version > HA_2024_3;

    text_say(text, "{\"area_id\":");
    text_json_or_null(text, entity->area >= 0 ? world->areas[entity->area].id : NULL);
    if (new)
        text_say(text, ",\"categories\":{}");
    text_say(text, ",\"config_entry_id\":");
    text_json_or_null(text, device ? world->entries[device->entry].id : NULL);
    if (new) {
        text_say(text, ",\"config_subentry_id\":null");
        shape_seconds(text, "created_at", entity->created_us);
    }
    text_say(text, ",\"device_id\":");
    text_json_or_null(text, device ? device->id : NULL);
    text_printf(text, ",\"disabled_by\":%s,\"entity_category\":", entity->disabled ? "\"integration\"" : "null");
    text_json_or_null(text, breed->category);
    text_printf(text,
        ",\"entity_id\":\"%s\",\"has_entity_name\":%s,\"hidden_by\":null,\"icon\":null,\"id\":\"%s\",\"labels\":%s",
        entity->id, device ? "true" : "false", entity->uuid,
        breed->unit && strcmp(breed->unit, "kWh") == 0 ? "[\"energy\"]" : "[]");
    if (new)
        shape_seconds(text, "modified_at", entity->modified_us);
    text_say(text, ",\"name\":");
    text_json_or_null(text, entity->name);
    text_say(text, ",\"options\":{\"conversation\":{\"should_expose\":false}},\"original_name\":");
    text_json_or_null(text, breed->name);
    text_printf(text, ",\"platform\":\"%s\",\"translation_key\":", device ? device->platform : breed->domain);
    text_json_or_null(text, breed->translation_key);
    text_printf(text, ",\"unique_id\":\"%s\"}", entity->unique_id);
}

void shape_entity_extended(struct world *world, struct text *text, const struct entity *entity)
{
    shape_entity_entry(world, text, entity);
    text->size--;
    text_say(text, ",\"aliases\":[],\"capabilities\":");
    if (strcmp(entity->breed->domain, "light") == 0)
        text_say(text,
            "{\"min_color_temp_kelvin\":2000,\"max_color_temp_kelvin\":6535,\"min_mireds\":153,\"max_mireds\":500,"
            "\"supported_color_modes\":[\"color_temp\",\"hs\"]}");
    else if (entity->breed->state_class)
        text_printf(text, "{\"state_class\":\"%s\"}", entity->breed->state_class);
    else
        text_say(text, "null");
    text_say(text, ",\"device_class\":null,\"original_device_class\":");
    text_json_or_null(text, entity->breed->device_class);
    text_say(text, ",\"original_icon\":null}");
}

/* Entities that an integration left disabled: they make the reply as large as asked. */
static void shape_padding(struct world *world, struct text *text, size_t bytes)
{
    struct entity entity = {.breed = &plain_breed,
        .device = -1,
        .area = -1,
        .disabled = true,
        .created_us = world->began_us,
        .modified_us = world->began_us};
    char id[64];

    for (int n = 0; text->size < bytes; n++) {
        snprintf(id, sizeof id, "sensor.disabled_diagnostic_%d", n);
        snprintf(entity.uuid, sizeof entity.uuid, "%032d", n);
        entity.id = entity.unique_id = id;
        begin_item(text);
        shape_entity_entry(world, text, &entity);
    }
}

void shape_entities(struct world *world, struct text *text)
{
    size_t began = text->size;

    text_say(text, "[");
    for (size_t i = 0; i < world->count; i++) {
        if (!world->entities[i]->registered)
            continue;
        begin_item(text);
        shape_entity_entry(world, text, world->entities[i]);
    }
    if (world->padding_bytes)
        shape_padding(world, text, began + world->padding_bytes);
    text_say(text, "]");
}

static void shape_device(struct world *world, struct text *text, const struct device *device)
{
    const char *entry = world->entries[device->entry].id;
    bool new = world->version > HA_2024_3;

    text_say(text, "{\"area_id\":");
    text_json_or_null(text, device->area >= 0 ? world->areas[device->area].id : NULL);
    text_printf(text, ",\"configuration_url\":null,\"config_entries\":[\"%s\"],", entry);
    if (new)
        text_printf(text, "\"config_entries_subentries\":{\"%s\":[null]},", entry);
    text_say(text, "\"connections\":[]");
    if (new)
        shape_seconds(text, "created_at", device->created_us);
    text_printf(text,
        ",\"disabled_by\":null,\"entry_type\":null,\"hw_version\":null,\"id\":\"%s\",\"identifiers\":[[\"%s\",\"%."
        "12s\"]],",
        device->id, device->platform, device->id);
    if (new)
        text_say(text, "\"labels\":[],");
    text_say(text, "\"manufacturer\":");
    text_json_or_null(text, device->manufacturer);
    text_say(text, ",\"model\":");
    text_json_or_null(text, device->model);
    if (new) {
        text_say(text, ",\"model_id\":");
        text_json_or_null(text, device->model_id);
        shape_seconds(text, "modified_at", device->created_us);
    }
    text_say(text, ",\"name_by_user\":null,\"name\":");
    text_json_or_null(text, device->name);
    if (new)
        text_printf(text, ",\"primary_config_entry\":\"%s\"", entry);
    text_say(text, ",\"serial_number\":null,\"sw_version\":");
    text_json_or_null(text, device->version);
    text_say(text, ",\"via_device_id\":null}");
}

void shape_devices(struct world *world, struct text *text)
{
    text_say(text, "[");
    for (size_t i = 0; i < world->device_count; i++) {
        begin_item(text);
        shape_device(world, text, &world->devices[i]);
    }
    text_say(text, "]");
}

void shape_area(struct world *world, struct text *text, const struct area *area)
{
    bool new = world->version > HA_2024_3;

    text_say(text, "{\"aliases\":[],\"area_id\":");
    text_json_or_null(text, area->id);
    if (new) {
        text_say(text, ",\"floor_id\":");
        text_json_or_null(text, area->floor);
        text_say(text, ",\"humidity_entity_id\":null");
    }
    text_say(text, ",\"icon\":");
    text_json_or_null(text, area->icon);
    if (new)
        text_say(text, ",\"labels\":[]");
    text_say(text, ",\"name\":");
    text_json_or_null(text, area->name);
    text_say(text, ",\"picture\":null");
    if (new) {
        text_say(text, ",\"temperature_entity_id\":null");
        shape_seconds(text, "created_at", area->created_us);
        shape_seconds(text, "modified_at", area->created_us);
    }
    text_say(text, "}");
}

void shape_areas(struct world *world, struct text *text)
{
    text_say(text, "[");
    for (size_t i = 0; i < world->area_count; i++) {
        begin_item(text);
        shape_area(world, text, &world->areas[i]);
    }
    text_say(text, "]");
}

static void shape_floor(struct world *world, struct text *text, const char *id, const char *name, int level)
{
    begin_item(text);
    text_printf(
        text, "{\"aliases\":[],\"floor_id\":\"%s\",\"icon\":null,\"level\":%d,\"name\":\"%s\"", id, level, name);
    if (world->version > HA_2024_3) {
        shape_seconds(text, "created_at", world->began_us);
        shape_seconds(text, "modified_at", world->began_us);
    }
    text_say(text, "}");
}

void shape_floors(struct world *world, struct text *text)
{
    text_say(text, "[");
    shape_floor(world, text, "ground", "Ground floor", 0);
    shape_floor(world, text, "first", "First floor", 1);
    shape_floor(world, text, "outside", "Outside", 0);
    text_say(text, "]");
}

/* The energy dashboard: the house's counter is the grid's, the roof's is the sun's, all others are devices. */
static void shape_counters(struct world *world, struct text *text, const char *begins, const char *but, const char *format)
{
    bool is_first = true;

    for (size_t i = 0; i < world->count; i++) {
        const struct entity *entity = world->entities[i];
        bool fits = strncmp(entity->id, begins, strlen(begins)) == 0 && (!but || (strncmp(entity->id, "sensor.house_", 13) && strncmp(entity->id, but, strlen(but))));

        if (!fits || !entity->breed->device_class || strcmp(entity->breed->device_class, "energy") != 0)
            continue;
        text_say(text, is_first ? "" : ",");
        text_printf(text, format, entity->id);
        is_first = false;
    }
}

void shape_energy_prefs(struct world *world, struct text *text)
{
    text_say(text, "{\"energy_sources\":[{\"type\":\"grid\",\"flow_from\":[");
    shape_counters(world, text, "sensor.house_", NULL,
        "{\"stat_energy_from\":\"%s\",\"stat_cost\":null,\"entity_energy_price\":null,\"number_energy_price\":null}");
    text_say(text, "],\"flow_to\":[],\"cost_adjustment_day\":0.0},{\"type\":\"solar\",");
    shape_counters(world, text, "sensor.solar_", NULL, "\"stat_energy_from\":\"%s\",\"config_entry_solar_forecast\":null");
    text_say(text, "}],\"device_consumption\":[");
    shape_counters(world, text, "sensor.", "sensor.solar_", "{\"stat_consumption\":\"%s\"}");
    text_say(text, "]}");
}

static void shape_label(struct world *world, struct text *text, const char *id, const char *name, const char *color)
{
    begin_item(text);
    text_printf(text, "{\"color\":\"%s\",\"description\":null,\"icon\":null,\"label_id\":\"%s\",\"name\":\"%s\"", color,
        id, name);
    if (world->version > HA_2024_3) {
        shape_seconds(text, "created_at", world->began_us);
        shape_seconds(text, "modified_at", world->began_us);
    }
    text_say(text, "}");
}

void shape_labels(struct world *world, struct text *text)
{
    text_say(text, "[");
    shape_label(world, text, "energy", "Energy", "yellow");
    shape_label(world, text, "critical", "Critical", "red");
    text_say(text, "]");
}

void shape_config_entries(struct world *world, struct text *text)
{
    bool new = world->version > HA_2024_3;

    text_say(text, "[");
    for (size_t i = 0; i < world->entry_count; i++) {
        const struct entry *entry = &world->entries[i];
        begin_item(text);
        text_say(text, "{");
        if (new) {
            text_say(text, "\"created_at\":");
            moment_float(text, entry->created_us);
            shape_seconds(text, "modified_at", entry->created_us);
            text_say(text, ",");
        }
        text_printf(text,
            "\"entry_id\":\"%s\",\"domain\":\"%s\",\"title\":\"%s\",\"source\":\"user\",\"state\":\"loaded\","
            "\"supports_options\":false,\"supports_remove_device\":false,\"supports_unload\":true,%s"
            "\"pref_disable_new_entities\":false,\"pref_disable_polling\":false,\"disabled_by\":null,\"reason\":null%"
            "s}",
            entry->id, entry->domain, entry->title,
            new ? "\"supports_reconfigure\":false,\"supported_subentry_types\":{}," : "",
            new ? ",\"error_reason_translation_key\":null,\"error_reason_translation_placeholders\":null,\"num_"
                  "subentries\":0"
                : "");
    }
    text_say(text, "]");
}

/* As subscribe_entities gives a state: short keys, times as floats, lu only where it differs. */
void shape_compressed(struct text *text, const struct entity *entity, bool with_attributes)
{
    text_say(text, "{\"s\":");
    text_json(text, text_view(&entity->state));
    if (with_attributes) {
        text_say(text, ",\"a\":");
        text_slice(text, text_view(&entity->attributes));
    }
    text_say(text, ",\"c\":");
    if (entity->context.parent[0] || entity->context.user[0])
        shape_context(text, &entity->context);
    else
        text_json(text, slice_of(entity->context.id));
    text_say(text, ",\"lc\":");
    moment_float(text, entity->changed_us);
    if (entity->updated_us != entity->changed_us) {
        text_say(text, ",\"lu\":");
        moment_float(text, entity->updated_us);
    }
    text_say(text, "}");
}
