/* energy_who.c - which series count: the home's meters, and the devices behind them, none of them twice. */
#include "energy_who.h"

#include "energy_series.h"
#include "json.h"

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
    bool has[ROLES];
};

/* --- texts --------------------------------------------------------------------------------------------------- */

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

/* --- those that count ------------------------------------------------------------------------------------------ */

static size_t place_of(const struct energy_who *who, struct slice entity_id)
{
    size_t i = 0;
    while (i < who->count && !energy_is(who->items[i].entity_id, entity_id))
        i++;
    return i;
}

static void add(struct choosing *c, struct slice entity_id, enum energy_role role, struct slice name)
{
    struct energy_who *who = c->who;
    if (entity_id.size == 0 || entity_id.size > 255 || place_of(who, entity_id) < who->count || who->count == DEVICES_MAX)
        return;
    const struct energy_found *found = energy_house_find(&who->house, entity_id);
    who->items = energy_one_more(who->items, who->count, &who->room, sizeof *who->items);
    struct energy_one *one = &who->items[who->count];
    *one = (struct energy_one){ .entity_id = energy_copy(entity_id), .role = role, .parent = who->count++,
        .name = name.size ? energy_copy(name) : found && found->name ? energy_copy(slice_of(found->name)) : NULL };
    if (found && found->area)
        one->area = energy_copy(slice_of(found->area));
    if (found && found->device_id)
        one->device_id = energy_copy(slice_of(found->device_id));
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
        if (energy_is(entity_id, name))
            return true;
    return false;
}

/* The smart meter's, of a time in which it was on. */
static enum store_result add_if_there(struct choosing *c, const char *entity_id, enum energy_role role)
{
    const struct energy_wishes *w = c->wishes;
    bool had = false;
    if (c->has[role])
        return STORE_OK;
    enum store_result result = energy_had_value(c->store, slice_of(entity_id), w->from_us, w->to_us < w->now_us ? w->to_us : w->now_us, &had);
    if (result == STORE_OK && had)
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

/* A grid has lists of flows, or since 2026 both directions itself, and there are several; what is not counted is null. */
static int take_supply(void *owner, struct json_value item)
{
    struct flows *f = owner;
    struct choosing *c = f->c;
    struct slice type = text_at(c, item.raw, "type");
    bool is_grid = energy_is("grid", type), is_made = energy_is("solar", type) || energy_is("wind", type);
    if (!is_grid && !is_made && !energy_is("battery", type))
        return 0;
    enum energy_role in = is_grid ? ROLE_IMPORT : is_made ? ROLE_PRODUCTION : ROLE_DISCHARGE, out = is_grid ? ROLE_EXPORT : ROLE_CHARGE;
    struct flows from = { c, f->taken, "stat_energy_from", in }, to = { c, f->taken, "stat_energy_to", out };
    json_each_item(c->json, json_at(c->json, item.raw, "flow_from").raw, take_flow, &from);
    json_each_item(c->json, json_at(c->json, item.raw, "flow_to").raw, take_flow, &to);
    take_flow(&from, item);
    if (!is_made)
        take_flow(&to, item);
    return 0;
}

static int take_device(void *owner, struct json_value item)
{
    struct choosing *c = owner;
    char *id = energy_copy(text_at(c, item.raw, "stat_consumption")), *name = energy_copy(text_at(c, item.raw, "name"));
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
    char *id = energy_copy(text_at(c, item.raw, "stat_consumption")), *parent = energy_copy(text_at(c, item.raw, "included_in_stat"));
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

/* Helpers that count for a day, a month ... what another one counts. */
static bool counts_a_period(const char *entity_id)
{
    static const char *const endings[] = { "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "today", "yesterday" };
    const char *last = strrchr(entity_id, '_');
    for (size_t i = 0; last && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(last + 1, endings[i]) == 0)
            return true;
    return false;
}

static const char *why_not(const struct choosing *c, const struct energy_found *f)
{
    const struct query_config *config = c->wishes->config;
    const struct energy_who *who = c->who;
    if (is_named(config->has_energy_exclude, config->energy_exclude, config->energy_exclude_size, f->entity_id))
        return "is excluded by QUERY_ENERGY_EXCLUDE";
    if (f->is_counter && counts_a_period(f->entity_id))
        return "has the name of what another one counts, by the day, the month ...";
    for (size_t i = 0; i < who->count; i++)
        if (who->items[i].role != ROLE_DEVICE && who->items[i].device_id && f->device_id && strcmp(who->items[i].device_id, f->device_id) == 0)
            return "belongs to the home's meter or to what produces";
    for (size_t i = 0; i < who->house.count; i++)
        if (&who->house.items[i] != f && energy_is_same_device(&who->house.items[i], f) && energy_is_better(&who->house.items[i], f)
                && !is_named(config->has_energy_exclude, config->energy_exclude, config->energy_exclude_size, who->house.items[i].entity_id))
            return f->is_counter ? "is another counter of its device: QUERY_ENERGY_DEVICES names all that shall count" : "";
    return NULL;
}

static void add_found(struct choosing *c)
{
    for (size_t i = 0; i < c->who->house.count; i++) {
        const struct energy_found *f = &c->who->house.items[i];
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

/* --- the smart meter ------------------------------------------------------------------------------------------------ */

/* Whether it had a value in the first day of the time asked for and in the last one. */
static enum store_result was_on_throughout(struct choosing *c, bool *was_on)
{
    static const char *const names[] = { "_smartmeter.import_kwh", "_smartmeter.power_w" };
    const int64_t day_us = INT64_C(86400000000), from_us = c->wishes->from_us;
    int64_t to_us = c->wishes->to_us < c->wishes->now_us ? c->wishes->to_us : c->wishes->now_us;
    int64_t first_us = from_us + day_us < to_us ? from_us + day_us : to_us, last_us = to_us - day_us > from_us ? to_us - day_us : from_us;
    enum store_result result = STORE_OK;
    *was_on = false;
    for (size_t i = 0; result == STORE_OK && !*was_on && i < sizeof names / sizeof *names; i++) {
        bool was_first = false, was_last = false;
        result = energy_had_value(c->store, slice_of(names[i]), from_us, first_us, &was_first);
        if (result == STORE_OK && was_first)
            result = energy_had_value(c->store, slice_of(names[i]), last_us, to_us, &was_last);
        *was_on = was_last;
    }
    return result;
}

static enum store_result add_smart_meter(struct choosing *c)
{
    enum store_result result = add_if_there(c, "_smartmeter.import_kwh", ROLE_IMPORT);
    if (result != STORE_OK)
        return result;
    if (c->has[ROLE_IMPORT])
        return add_if_there(c, "_smartmeter.export_kwh", ROLE_EXPORT);
    result = add_if_there(c, "_smartmeter.power_w", ROLE_IMPORT);
    c->has[ROLE_EXPORT] |= c->has[ROLE_IMPORT]; /* it is less what goes away */
    return result;
}

/* --- all --------------------------------------------------------------------------------------------------------- */

static enum store_result choose(struct choosing *c)
{
    const struct query_config *config = c->wishes->config;
    const struct energy_wishes *w = c->wishes;
    enum store_result result = energy_house_read(c->store, w->from_us, w->to_us, w->now_us, &c->who->house);
    add_all(c, config->has_energy_meter, config->energy_meter, config->energy_meter_size, ROLE_IMPORT);
    add_all(c, config->has_energy_export, config->energy_export, config->energy_export_size, ROLE_EXPORT);
    add_all(c, config->has_energy_production, config->energy_production, config->energy_production_size, ROLE_PRODUCTION);
    bool is_set = c->has[ROLE_IMPORT];
    bool is_throughout = false;
    if (result == STORE_OK && !is_set)
        result = was_on_throughout(c, &is_throughout);
    if (result == STORE_OK && is_throughout)
        result = add_smart_meter(c);
    add_supply(c);
    if (result == STORE_OK && !c->has[ROLE_IMPORT])
        result = add_smart_meter(c);
    if (result != STORE_OK)
        return result;
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
    free(who->items);
    energy_house_close(&who->house);
    msgpack_sbuffer_destroy(&who->skipped);
    *who = (struct energy_who){ .count = 0 };
}
