/* energy_found.c - what the house has of energy and power: the counters and power sensors of a time. */
#include "energy_found.h"

#include "json.h"
#include "moment.h"
#include "units.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- texts --------------------------------------------------------------------------------------------------- */

char *energy_copy(struct slice s)
{
    char *text = malloc(s.size + 1);
    assert(text);
    memcpy(text, s.size ? s.data : "", s.size);
    text[s.size] = '\0';
    return text;
}

bool energy_is(const char *text, struct slice s)
{
    return text && strlen(text) == s.size && memcmp(text, s.data, s.size) == 0;
}

void *energy_one_more(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 32;
    items = realloc(items, *room * size);
    assert(items);
    return items;
}

/* --- what there is ---------------------------------------------------------------------------------------------- */

struct looking { json_t *json; struct energy_house *house; };

static bool converts(struct slice unit, const char *to)
{
    double number = 1;
    return unit.size > 0 && units_convert(unit, slice_of(to), &number);
}

static double in_unit(const struct event_full *e, const char *unit)
{
    double value = 0.0;
    struct json_value number = { JSON_NUMBER, e->value };
    return e->has_value && json_real(number, &value) && units_convert(e->unit, slice_of(unit), &value) ? value : 0.0;
}

static void find_one(struct looking *c, const struct event_full *e, bool is_counter, struct json_value name)
{
    struct energy_house *house = c->house;
    struct slice text = { "", 0 };
    house->items = energy_one_more(house->items, house->count, &house->room, sizeof *house->items);
    house->items[house->count++] = (struct energy_found){
        .entity_id = energy_copy(e->entity_id), .is_counter = is_counter, .value = in_unit(e, is_counter ? "kWh" : "W"),
        .name = json_text(c->json, name, &text) && text.size ? energy_copy(text) : NULL,
        .area = e->has_area ? energy_copy(e->area) : NULL, .device_id = e->has_device_id ? energy_copy(e->device_id) : NULL,
    };
}

const struct energy_found *energy_house_find(const struct energy_house *house, struct slice entity_id)
{
    for (size_t i = 0; i < house->count; i++)
        if (energy_is(house->items[i].entity_id, entity_id))
            return &house->items[i];
    return NULL;
}

/* Energy is what says that it counts it; power what says that it is that. */
static int look_at(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    static const char *const keys[] = { "friendly_name", "state_class", "device_class" };
    struct looking *c = owner;
    struct json_value root, values[3] = { { 0 } };
    struct slice class = { "", 0 }, kind = { "", 0 };
    const char *why;
    (void)which, (void)in_gap;
    if (!e->has_state || !e->has_unit || !e->has_attributes || energy_house_find(c->house, e->entity_id))
        return 0;
    bool is_energy = converts(e->unit, "kWh");
    if ((!is_energy && !converts(e->unit, "W")) || json_read(c->json, e->attributes, &root, &why) || root.kind != JSON_OBJECT)
        return 0;
    json_pick(c->json, root.raw, keys, 3, values);
    json_text(c->json, values[2], &kind);
    bool fits = energy_is(is_energy ? "energy" : "power", kind) || (e->has_device_class && energy_is(is_energy ? "energy" : "power", e->device_class));
    if (fits && is_energy)
        fits = json_text(c->json, values[1], &class) && (energy_is("total", class) || energy_is("total_increasing", class));
    if (fits)
        find_one(c, e, is_energy, values[0]);
    return 0;
}

enum store_result energy_house_read(store_t *store, int64_t from_us, int64_t to_us, int64_t now_us, struct energy_house *house)
{
    struct looking c = { json_new(), house };
    int64_t at[] = { to_us < now_us ? to_us : now_us, from_us }, next;
    enum store_result result = STORE_OK;
    *house = (struct energy_house){ .count = 0 };
    for (size_t i = 0; i < 2 && result == STORE_OK; i++) {
        struct moment_question q = { .at_us = { at[i] }, .moments = 1, .is_now = at[i] == now_us, .domains = slice_of("sensor") };
        result = store_moment(store, &q, look_at, &c, &next);
    }
    json_destroy(&c.json);
    return result;
}

void energy_house_close(struct energy_house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        free(house->items[i].entity_id);
        free(house->items[i].name);
        free(house->items[i].area);
        free(house->items[i].device_id);
    }
    free(house->items);
    *house = (struct energy_house){ .count = 0 };
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

bool energy_is_same_device(const struct energy_found *a, const struct energy_found *b)
{
    if (a->device_id || b->device_id)
        return a->device_id && b->device_id && strcmp(a->device_id, b->device_id) == 0;
    const char *left = strrchr(a->entity_id, '_'), *right = strrchr(b->entity_id, '_');
    return left && right && left - a->entity_id == right - b->entity_id
        && strncmp(a->entity_id, b->entity_id, (size_t)(left - a->entity_id)) == 0 && a->is_counter != b->is_counter;
}

bool energy_is_better(const struct energy_found *a, const struct energy_found *b)
{
    if (a->is_counter != b->is_counter)
        return a->is_counter;
    return a->is_counter && a->value != b->value ? a->value > b->value : strcmp(a->entity_id, b->entity_id) < 0;
}
