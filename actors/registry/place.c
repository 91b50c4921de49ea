/* place.c - where the home is, as Home Assistant's configuration says. */
#include "place.h"

#include "json.h"

static void take_text(json_t *json, struct slice root, const char *key, char *to, size_t room, uint32_t *size, bool *has)
{
    struct slice text;
    if (json_text(json, json_at(json, root, key), &text))
        text_store(to, room, size, has, text.data, text.size);
}

static bool read_place(json_t *json, struct slice config, struct home_place *place)
{
    struct json_value root;
    struct fault fault;
    const char *why;
    schema_clear(home_place_schema(), place);
    if (json_read(json, config, &root, &why) || root.kind != JSON_OBJECT)
        return false;
    place->has_latitude = json_real(json_at(json, root.raw, "latitude"), &place->latitude);
    place->has_longitude = json_real(json_at(json, root.raw, "longitude"), &place->longitude);
    place->has_elevation_m = json_real(json_at(json, root.raw, "elevation"), &place->elevation_m);
    take_text(json, root.raw, "time_zone", place->time_zone, sizeof place->time_zone, &place->time_zone_size, &place->has_time_zone);
    take_text(json, root.raw, "country", place->country, sizeof place->country, &place->country_size, &place->has_country);
    take_text(json, root.raw, "currency", place->currency, sizeof place->currency, &place->currency_size, &place->has_currency);
    return schema_check(home_place_schema(), place, &fault) == 0;
}

static void on_config(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct ha_result *result)
{
    struct home_place place;
    (void)self, (void)tag;
    if (answer->verdict != OK || !result->success || !result->has_result)
        return;
    json_t *json = json_new();
    if (read_place(json, result->result, &place))
        publish_registry_home(actor, &place);
    else
        actor_warn(actor, "Home Assistant does not say where the home is");
    json_destroy(&json);
}

void place_ask(actor_t *actor, int deadline_ms)
{
    struct ha_command query = { .has_command = false };
    SET(&query, command, slice_of("{\"type\":\"get_config\"}"));
    ask_ingest_ask(actor, &query, deadline_ms, on_config, 0);
}
