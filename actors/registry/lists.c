/* lists.c - the lists that Home Assistant gives of its registries, and the rows they become. */
#include "lists.h"

#include <assert.h>
#include <string.h>

const struct list lists[LISTS] = {
    [ENTRY_LIST] = { "config_entries/get", "", ENTRIES },
    [AREA_LIST] = { "config/area_registry/list", "area", AREAS },
    [FLOOR_LIST] = { "config/floor_registry/list", "floor", AREAS },
    [LABEL_LIST] = { "config/label_registry/list", "label", AREAS },
    [DEVICE_LIST] = { "config/device_registry/list", "", DEVICES },
    [ENTITY_LIST] = { "config/entity_registry/list", "", ENTITIES },
};

/* Home Assistant's key and our field; of several keys for a field the first that says something. */
struct rule { const char *key, *field; };
enum { MOST_RULES = 20 };

static const struct rule entry_rules[MOST_RULES] = {
    { "entry_id", "entry_id" }, { "domain", "domain" }, { "title", "title" }, { "state", "state" },
    { "source", "source" }, { "disabled_by", "disabled_by" },
};
static const struct rule area_rules[MOST_RULES] = {
    { "area_id", "area_id" }, { "name", "name" }, { "floor_id", "floor_id" }, { "icon", "icon" },
    { "aliases", "aliases" }, { "labels", "labels" },
};
static const struct rule floor_rules[MOST_RULES] = {
    { "floor_id", "area_id" }, { "name", "name" }, { "level", "level" }, { "icon", "icon" }, { "aliases", "aliases" },
};
static const struct rule label_rules[MOST_RULES] = {
    { "label_id", "area_id" }, { "name", "name" }, { "icon", "icon" }, { "color", "color" },
};
static const struct rule device_rules[MOST_RULES] = {
    { "id", "device_id" }, { "name_by_user", "name" }, { "name", "name" }, { "manufacturer", "manufacturer" },
    { "model", "model" }, { "sw_version", "sw_version" }, { "hw_version", "hw_version" }, { "area_id", "area_id" },
    { "primary_config_entry", "config_entry_id" }, { "config_entry_id", "config_entry_id" },
    { "via_device_id", "via_device_id" }, { "parent_device_id", "parent_device_id" },
    { "disabled_by", "disabled_by" }, { "labels", "labels" },
};
static const struct rule entity_rules[MOST_RULES] = {
    { "entity_id", "entity_id" }, { "id", "registry_id" }, { "device_id", "device_id" }, { "platform", "platform" },
    { "unique_id", "unique_id" }, { "name", "name" }, { "original_name", "name" }, { "area_id", "area_id" },
    { "entity_category", "entity_category" }, { "config_entry_id", "config_entry_id" },
    { "disabled_by", "disabled_by" }, { "hidden_by", "hidden_by" }, { "labels", "labels" },
};
static const struct rule *const rules[LISTS] = {
    [ENTRY_LIST] = entry_rules, [AREA_LIST] = area_rules, [FLOOR_LIST] = floor_rules, [LABEL_LIST] = label_rules,
    [DEVICE_LIST] = device_rules, [ENTITY_LIST] = entity_rules,
};

/* A list on its way. */
struct taking {
    const struct list *list;
    const struct rule *rules;
    const struct taker *taker;
    const struct schema *schema;
    json_t *items, *item;       /* one walks the list, the other reads in a row */
    const char *keys[MOST_RULES];
    size_t count;
    union {
        struct config_entry_row entry;
        struct area_row area;
        struct device_row device;
        struct entity_row entity;
    } row;
};

/* Text as it is, a number as it is written: integrations have given versions and ids as numbers. */
static bool read_text(json_t *json, struct json_value value, struct slice *text)
{
    if (value.kind == JSON_NUMBER) {
        *text = value.raw;
        return true;
    }
    return json_text(json, value, text);
}

/* 0, or -1 if the value is not what the field holds. */
static int set_field(json_t *json, const struct field *f, struct json_value value, void *row)
{
    char *base = row;
    bool *has = (bool *)(void *)(base + f->has_at);
    struct slice text;
    int64_t number;
    switch (f->kind) {
    case TEXT_KIND:
        return read_text(json, value, &text)
            ? text_store(base + f->at, f->max + 1, (uint32_t *)(void *)(base + f->size_at), has, text.data, text.size)
            : -1;
    case JSON_KIND:
        if (value.raw.size > f->max)
            return -1;
        *(struct slice *)(void *)(base + f->at) = value.raw;
        *has = true;
        return 0;
    case INT_KIND:
        if (!json_int(value, &number) || number < f->low || number > f->high)
            return -1;
        *(int64_t *)(void *)(base + f->at) = number;
        *has = true;
        return 0;
    case VIEW_KIND:
    case BLOB_KIND:
    case REAL_KIND:
    case FLAG_KIND: break;
    }
    return -1;
}

/* NULL, or what is wrong with the row. What is wrong in an optional field is left out of it. */
static const char *fill(struct taking *t, const struct json_value values[])
{
    schema_clear(t->schema, &t->row);
    for (size_t i = 0; i < t->count; i++) {
        const struct field *f = schema_field(t->schema, t->rules[i].field, strlen(t->rules[i].field));
        assert(f);
        bool has = *(bool *)(void *)((char *)&t->row + f->has_at);
        if (has || values[i].kind == JSON_NOTHING || values[i].kind == JSON_NULL)
            continue;
        if (set_field(t->item, f, values[i], &t->row) && f->flags & REQUIRED)
            return t->rules[i].key;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct field *f = schema_field(t->schema, t->rules[i].field, strlen(t->rules[i].field));
        if (f->flags & REQUIRED && !*(bool *)(void *)((char *)&t->row + f->has_at))
            return t->rules[i].key;
    }
    return NULL;
}

static int first_text(void *owner, struct json_value item)
{
    *(struct json_value *)owner = item;
    return 1;
}

/* Before there was one primary entry a device had a list of them: the first made it. */
static void finish_device(struct taking *t, struct slice item)
{
    struct device_row *row = &t->row.device;
    struct json_value first = { .kind = JSON_NOTHING }, all = json_at(t->item, item, "config_entries");
    struct slice text;
    if (!row->has_config_entry_id && all.kind == JSON_ARRAY &&
        json_each_item(t->item, all.raw, first_text, &first) == 1 && json_text(t->item, first, &text))
        SET_TEXT(row, config_entry_id, text.data, text.size);
    char domain[256];
    if (row->has_config_entry_id && metadata_entry_domain(t->taker->metadata, row->config_entry_id, domain))
        SET_TEXT(row, integration, domain, strlen(domain));
}

static const char *finish_entity(struct entity_row *row)
{
    const char *dot = strchr(row->entity_id, '.');
    if (!dot || SET_TEXT(row, domain, row->entity_id, (size_t)(dot - row->entity_id)))
        return "entity_id";
    SET(row, disabled, row->has_disabled_by);
    return NULL;
}

/* NULL, or the key at fault. */
static const char *read_row(struct taking *t, struct json_value item)
{
    struct json_value values[MOST_RULES];
    if (item.kind != JSON_OBJECT || json_pick(t->item, item.raw, t->keys, t->count, values))
        return "the row itself";
    const char *wrong = fill(t, values);
    if (wrong)
        return wrong;
    if (t->list->table == AREAS)
        SET_TEXT(&t->row.area, kind, t->list->kind, strlen(t->list->kind));
    if (t->list->table == DEVICES)
        finish_device(t, item.raw);
    return t->list->table == ENTITIES ? finish_entity(&t->row.entity) : NULL;
}

/* The row's key, as far as it could be read, for whoever reads the log. */
static const char *key_of(const struct taking *t)
{
    switch (t->list->table) {
    case DEVICES: return t->row.device.device_id;
    case ENTITIES: return t->row.entity.entity_id;
    case AREAS: return t->row.area.area_id;
    case ENTRIES: return t->row.entry.entry_id;
    case TABLES: break;
    }
    return "";
}

static int take_row(void *owner, struct json_value item)
{
    struct taking *t = owner;
    const struct taker *taker = t->taker;
    struct json_value root;
    const char *why;
    schema_clear(t->schema, &t->row);
    const char *wrong = json_read(t->item, item.raw, &root, &why) ? "the row itself" : read_row(t, root);
    if (wrong) {
        if (t->list->table == AREAS)
            SET_TEXT(&t->row.area, kind, t->list->kind, strlen(t->list->kind));
        metadata_keep(taker->metadata, t->list->table, &t->row);
        taker->refused(taker->owner, key_of(t), wrong);
        return 0;
    }
    int rc = metadata_put(taker->metadata, t->list->table, &t->row, taker->now_us);
    if (rc < 0)
        taker->refused(taker->owner, key_of(t), metadata_why(taker->metadata));
    if (rc > 0)
        taker->changed(taker->owner, t->list->table, &t->row);
    return 0;
}

static int walk(struct taking *t, struct slice result, const char **why)
{
    struct json_value root;
    if (!result.size)
        return 0;
    if (json_read(t->items, result, &root, why))
        return -1;
    *why = "not a list";
    return root.kind == JSON_ARRAY ? json_each_item(t->items, root.raw, take_row, t) : -1;
}

int list_take(const struct list *list, struct slice result, const struct taker *taker, const char **why)
{
    struct taking t = { .list = list, .rules = rules[list - lists], .taker = taker, .items = json_new(),
        .item = json_new(), .schema = metadata_schema(list->table) };
    while (t.count < MOST_RULES && t.rules[t.count].key) {
        t.keys[t.count] = t.rules[t.count].key;
        t.count++;
    }
    int rc = metadata_begin(taker->metadata, list->table, list->kind);
    *why = metadata_why(taker->metadata);
    if (!rc && (rc = walk(&t, result, why)))
        metadata_abort(taker->metadata);
    else if (!rc && (rc = metadata_end(taker->metadata, list->table, list->kind, taker->now_us, taker->changed,
                         taker->owner)))
        *why = metadata_why(taker->metadata);
    json_destroy(&t.items);
    json_destroy(&t.item);
    return rc ? -1 : 0;
}
