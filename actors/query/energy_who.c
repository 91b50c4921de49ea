/* energy_who.c - which series count: the home's meters, and the devices behind them, none of them twice. */
#include "energy_who.h"

#include "energy_series.h"
#include "json.h"
#include "moment.h"
#include "units.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED_MAX = 200, DEVICES_MAX = 500 };

const char *const energy_role_names[ROLES] = { "device", "import", "export", "production", "charge", "discharge" };

double energy_sign(enum energy_role role)
{
    return role == ROLE_EXPORT || role == ROLE_CHARGE ? -1.0 : role == ROLE_DEVICE ? 0.0 : 1.0;
}

struct choosing {
    store_t *store;
    json_t *json;
    const struct energy_wishes *wishes;
    struct energy_who *who;
    struct slice list;             /* that the dashboard's walk looks at */
    bool has[ROLES];
};

/* --- texts --------------------------------------------------------------------------------------------------- */

static char *copy(struct slice s)
{
    char *text = malloc(s.size + 1);
    assert(text);
    memcpy(text, s.size ? s.data : "", s.size);
    text[s.size] = '\0';
    return text;
}

static bool is(const char *text, struct slice s)
{
    return text && strlen(text) == s.size && memcmp(text, s.data, s.size) == 0;
}

bool energy_next_name(struct slice *rest, struct slice *name)
{
    const char *at = rest->data, *end = at + rest->size;
    while (at < end && (*at == ',' || *at == ' '))
        at++;
    const char *stop = at;
    while (stop < end && *stop != ',')
        stop++;
    *rest = (struct slice){ stop, (size_t)(end - stop) };
    while (stop > at && stop[-1] == ' ')
        stop--;
    *name = (struct slice){ at, (size_t)(stop - at) };
    return stop > at;
}

static void *one_more(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 32;
    items = realloc(items, *room * size);
    assert(items);
    return items;
}

static void skip(struct energy_who *who, const char *entity_id, const char *why)
{
    msgpack_sbuffer *to = &who->skipped;
    if (who->skipped_count++ >= SKIPPED_MAX)
        return;
    to->size -= to->size > 1; /* the bracket that closed it */
    msgpack_sbuffer_write(to, who->skipped_count > 1 ? ",{\"entity_id\":" : "{\"entity_id\":", who->skipped_count > 1 ? 14 : 13);
    json_write_text(slice_of(entity_id), to);
    msgpack_sbuffer_write(to, ",\"why\":", 7);
    json_write_text(slice_of(why), to);
    msgpack_sbuffer_write(to, "}]", 2);
}

/* --- what the house has --------------------------------------------------------------------------------------- */

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

static void find_one(struct choosing *c, const struct event_full *e, bool is_counter, struct json_value name)
{
    struct energy_who *who = c->who;
    struct slice text = { "", 0 };
    who->found = one_more(who->found, who->found_count, &who->found_room, sizeof *who->found);
    who->found[who->found_count++] = (struct energy_found){
        .entity_id = copy(e->entity_id), .is_counter = is_counter, .value = in_unit(e, is_counter ? "kWh" : "W"),
        .name = json_text(c->json, name, &text) && text.size ? copy(text) : NULL,
        .area = e->has_area ? copy(e->area) : NULL, .device_id = e->has_device_id ? copy(e->device_id) : NULL,
    };
}

const struct energy_found *energy_who_found(const struct energy_who *who, struct slice entity_id)
{
    for (size_t i = 0; i < who->found_count; i++)
        if (is(who->found[i].entity_id, entity_id))
            return &who->found[i];
    return NULL;
}

/* Energy is what says that it counts it; power what says that it is that. */
static int look_at(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    static const char *const keys[] = { "friendly_name", "state_class", "device_class" };
    struct choosing *c = owner;
    struct json_value root, values[3] = { { 0 } };
    struct slice class = { "", 0 }, kind = { "", 0 };
    const char *why;
    (void)which, (void)in_gap;
    if (!e->has_state || !e->has_unit || !e->has_attributes || energy_who_found(c->who, e->entity_id))
        return 0;
    bool is_energy = converts(e->unit, "kWh");
    if ((!is_energy && !converts(e->unit, "W")) || json_read(c->json, e->attributes, &root, &why) || root.kind != JSON_OBJECT)
        return 0;
    json_pick(c->json, root.raw, keys, 3, values);
    json_text(c->json, values[2], &kind);
    bool fits = is(is_energy ? "energy" : "power", kind) || (e->has_device_class && is(is_energy ? "energy" : "power", e->device_class));
    if (fits && is_energy)
        fits = json_text(c->json, values[1], &class) && (is("total", class) || is("total_increasing", class));
    if (fits)
        find_one(c, e, is_energy, values[0]);
    return 0;
}

static enum store_result look_around(struct choosing *c)
{
    const struct energy_wishes *w = c->wishes;
    int64_t at[] = { w->to_us < w->now_us ? w->to_us : w->now_us, w->from_us };
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < 2 && result == STORE_OK; i++) {
        struct moment_question q = { .at_us = { at[i] }, .moments = 1, .is_now = at[i] == w->now_us, .domains = slice_of("sensor") };
        int64_t next;
        result = store_moment(c->store, &q, look_at, c, &next);
    }
    return result;
}

/* --- those that count ------------------------------------------------------------------------------------------ */

static size_t place_of(const struct energy_who *who, struct slice entity_id)
{
    size_t i = 0;
    while (i < who->count && !is(who->items[i].entity_id, entity_id))
        i++;
    return i;
}

static void add(struct choosing *c, struct slice entity_id, enum energy_role role, struct slice name)
{
    struct energy_who *who = c->who;
    if (entity_id.size == 0 || entity_id.size > 255 || place_of(who, entity_id) < who->count || who->count == DEVICES_MAX)
        return;
    const struct energy_found *found = energy_who_found(who, entity_id);
    who->items = one_more(who->items, who->count, &who->room, sizeof *who->items);
    struct energy_one *one = &who->items[who->count];
    *one = (struct energy_one){ .entity_id = copy(entity_id), .role = role, .parent = who->count++,
        .name = name.size ? copy(name) : found && found->name ? copy(slice_of(found->name)) : NULL };
    if (found && found->area)
        one->area = copy(slice_of(found->area));
    if (found && found->device_id)
        one->device_id = copy(slice_of(found->device_id));
    c->has[role] = true;
}

static void add_all(struct choosing *c, bool has, const char *names, size_t size, enum energy_role role)
{
    struct slice rest = { names, size }, name;
    while (has && energy_next_name(&rest, &name))
        add(c, name, role, (struct slice){ "", 0 });
}

static bool is_named(bool has, const char *names, size_t size, const char *entity_id)
{
    struct slice rest = { names, size }, name;
    while (has && energy_next_name(&rest, &name))
        if (is(entity_id, name))
            return true;
    return false;
}

static enum store_result add_if_there(struct choosing *c, const char *entity_id, enum energy_role role)
{
    struct energy_spans spans;
    if (c->has[role])
        return STORE_OK;
    enum store_result result = energy_spans(c->store, slice_of(entity_id), &spans);
    if (result == STORE_OK && spans.count)
        add(c, slice_of(entity_id), role, (struct slice){ "", 0 });
    return result;
}

/* --- Home Assistant's dashboard --------------------------------------------------------------------------------- */

static struct slice text_at(struct choosing *c, struct slice object, const char *key)
{
    struct slice text = { "", 0 };
    return json_text(c->json, json_at(c->json, object, key), &text) ? text : (struct slice){ "", 0 };
}

/* A statistic of somebody else's (with a colon) is no entity. */
static void add_statistic(struct choosing *c, struct slice id, enum energy_role role, const bool *taken)
{
    if (id.size && !taken[role] && !memchr(id.data, ':', id.size))
        add(c, id, role, (struct slice){ "", 0 });
}

struct flows { struct choosing *c; const bool *taken; const char *key; enum energy_role role; };

static int take_flow(void *owner, struct json_value item)
{
    struct flows *f = owner;
    add_statistic(f->c, text_at(f->c, item.raw, f->key), f->role, f->taken);
    return 0;
}

static int take_supply(void *owner, struct json_value item)
{
    struct flows *f = owner;
    struct choosing *c = f->c;
    struct slice type = text_at(c, item.raw, "type");
    bool is_grid = is("grid", type), is_solar = is("solar", type);
    if (!is_grid && !is_solar && !is("battery", type))
        return 0;
    enum energy_role in = is_grid ? ROLE_IMPORT : is_solar ? ROLE_PRODUCTION : ROLE_DISCHARGE, out = is_grid ? ROLE_EXPORT : ROLE_CHARGE;
    struct flows from = { c, f->taken, "stat_energy_from", in }, to = { c, f->taken, "stat_energy_to", out };
    json_each_item(c->json, json_at(c->json, item.raw, "flow_from").raw, take_flow, &from);
    json_each_item(c->json, json_at(c->json, item.raw, "flow_to").raw, take_flow, &to);
    take_flow(&from, item);
    if (!is_solar)
        take_flow(&to, item);
    return 0;
}

static int take_device(void *owner, struct json_value item)
{
    struct choosing *c = owner;
    char *id = copy(text_at(c, item.raw, "stat_consumption")), *name = copy(text_at(c, item.raw, "name"));
    if (strchr(id, ':'))
        skip(c->who, id, "is a statistic of an integration, and no entity");
    else
        add(c, slice_of(id), ROLE_DEVICE, slice_of(name));
    free(id);
    free(name);
    return 0;
}

/* Whose consumption is part of another's. What leads back to itself is left as it is. */
static int take_parent(void *owner, struct json_value item)
{
    struct choosing *c = owner;
    char *id = copy(text_at(c, item.raw, "stat_consumption")), *parent = copy(text_at(c, item.raw, "included_in_stat"));
    size_t at = place_of(c->who, slice_of(id)), of = place_of(c->who, slice_of(parent)), up = of;
    for (size_t i = 0; i < c->who->count && up < c->who->count && up != at && c->who->items[up].parent != up; i++)
        up = c->who->items[up].parent;
    if (at < c->who->count && of < c->who->count && up != at && c->who->items[of].role == ROLE_DEVICE && c->who->items[at].role == ROLE_DEVICE)
        c->who->items[at].parent = of;
    free(id);
    free(parent);
    return 0;
}

static bool read_prefs(struct choosing *c, struct json_value *root)
{
    const char *why;
    return c->wishes->prefs.size > 0 && json_read(c->json, c->wishes->prefs, root, &why) == 0 && root->kind == JSON_OBJECT;
}

static void add_supply(struct choosing *c)
{
    struct json_value root;
    bool taken[ROLES];
    memcpy(taken, c->has, sizeof taken);
    struct flows flows = { c, taken, NULL, ROLE_IMPORT };
    if (read_prefs(c, &root))
        json_each_item(c->json, json_at(c->json, root.raw, "energy_sources").raw, take_supply, &flows);
}

static void add_prefs_devices(struct choosing *c)
{
    struct json_value root;
    if (!read_prefs(c, &root))
        return;
    struct slice list = json_at(c->json, root.raw, "device_consumption").raw;
    json_each_item(c->json, list, take_device, c);
    json_each_item(c->json, list, take_parent, c);
}

/* --- found ------------------------------------------------------------------------------------------------------- */

/* One of a device: the same id; without any, the same name but for its ending. */
static bool same_device(const struct energy_found *a, const struct energy_found *b)
{
    if (a->device_id || b->device_id)
        return a->device_id && b->device_id && strcmp(a->device_id, b->device_id) == 0;
    const char *left = strrchr(a->entity_id, '_'), *right = strrchr(b->entity_id, '_');
    return left && right && left - a->entity_id == right - b->entity_id
        && strncmp(a->entity_id, b->entity_id, (size_t)(left - a->entity_id)) == 0 && a->is_counter != b->is_counter;
}

/* Whether the other one counts in its place: a counter before power, the one that stands higher, the first by name. */
static bool is_better(const struct energy_found *a, const struct energy_found *b)
{
    if (a->is_counter != b->is_counter)
        return a->is_counter;
    return a->is_counter && a->value != b->value ? a->value > b->value : strcmp(a->entity_id, b->entity_id) < 0;
}

static const char *why_not(const struct choosing *c, const struct energy_found *f)
{
    const struct query_config *config = c->wishes->config;
    const struct energy_who *who = c->who;
    if (is_named(config->has_energy_exclude, config->energy_exclude, config->energy_exclude_size, f->entity_id))
        return "is excluded by QUERY_ENERGY_EXCLUDE";
    for (size_t i = 0; i < who->count; i++)
        if (who->items[i].role != ROLE_DEVICE && who->items[i].device_id && f->device_id && strcmp(who->items[i].device_id, f->device_id) == 0)
            return "belongs to the home's meter or to what produces";
    for (size_t i = 0; i < who->found_count; i++)
        if (&who->found[i] != f && same_device(&who->found[i], f) && is_better(&who->found[i], f)
                && !is_named(config->has_energy_exclude, config->energy_exclude, config->energy_exclude_size, who->found[i].entity_id))
            return f->is_counter ? "is another counter of its device: QUERY_ENERGY_DEVICES names all that shall count" : "";
    return NULL;
}

static void add_found(struct choosing *c)
{
    for (size_t i = 0; i < c->who->found_count; i++) {
        const struct energy_found *f = &c->who->found[i];
        struct slice id = slice_of(f->entity_id);
        if (place_of(c->who, id) < c->who->count)
            continue; /* a meter of the home */
        const char *why = why_not(c, f);
        if (!why)
            add(c, id, ROLE_DEVICE, (struct slice){ "", 0 });
        else if (*why)
            skip(c->who, f->entity_id, why);
    }
}

/* --- all --------------------------------------------------------------------------------------------------------- */

static enum store_result choose(struct choosing *c)
{
    const struct query_config *config = c->wishes->config;
    enum store_result result = look_around(c);
    add_all(c, config->has_energy_meter, config->energy_meter, config->energy_meter_size, ROLE_IMPORT);
    add_all(c, config->has_energy_export, config->energy_export, config->energy_export_size, ROLE_EXPORT);
    add_all(c, config->has_energy_production, config->energy_production, config->energy_production_size, ROLE_PRODUCTION);
    bool is_set = c->has[ROLE_IMPORT];
    if (result == STORE_OK && !is_set)
        result = add_if_there(c, "_smartmeter.import_kwh", ROLE_IMPORT);
    if (result == STORE_OK && !is_set && c->has[ROLE_IMPORT])
        result = add_if_there(c, "_smartmeter.export_kwh", ROLE_EXPORT);
    if (result == STORE_OK && !is_set)
        result = add_if_there(c, "_smartmeter.power_w", ROLE_IMPORT);
    if (result != STORE_OK)
        return result;
    add_supply(c);
    c->who->chosen_by = "settings";
    add_all(c, config->has_energy_devices, config->energy_devices, config->energy_devices_size, ROLE_DEVICE);
    if (!c->has[ROLE_DEVICE]) {
        c->who->chosen_by = "energy dashboard";
        add_prefs_devices(c);
    }
    if (!c->has[ROLE_DEVICE]) {
        c->who->chosen_by = "found";
        add_found(c);
    }
    return STORE_OK;
}

enum store_result energy_who_read(store_t *store, const struct energy_wishes *wishes, struct energy_who *who)
{
    struct choosing c = { .store = store, .json = json_new(), .wishes = wishes, .who = who };
    *who = (struct energy_who){ .chosen_by = "found" };
    msgpack_sbuffer_init(&who->skipped);
    msgpack_sbuffer_write(&who->skipped, "[]", 2);
    enum store_result result = choose(&c);
    json_destroy(&c.json);
    return result;
}

void energy_who_close(struct energy_who *who)
{
    for (size_t i = 0; i < who->count; i++) {
        free(who->items[i].entity_id);
        free(who->items[i].name);
        free(who->items[i].area);
        free(who->items[i].device_id);
    }
    for (size_t i = 0; i < who->found_count; i++) {
        free(who->found[i].entity_id);
        free(who->found[i].name);
        free(who->found[i].area);
        free(who->found[i].device_id);
    }
    free(who->items);
    free(who->found);
    msgpack_sbuffer_destroy(&who->skipped);
    *who = (struct energy_who){ .count = 0 };
}
