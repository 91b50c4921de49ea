/* known.c - what the registry has said, ready to be joined to events. */
#include "known.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXTS = 7, PARENTS = 8 };

/* A row's texts, packed behind it; the first one is its key. */
enum device_text { DEVICE_ID, DEVICE_AREA, DEVICE_PARENT, DEVICE_MANUFACTURER, DEVICE_MODEL, DEVICE_SW };
enum entity_text { ENTITY_ID, ENTITY_DEVICE, ENTITY_AREA, ENTITY_PLATFORM, ENTITY_CATEGORY, ENTITY_LABELS };
enum area_text { AREA_KEY, AREA_NAME };

struct record {
    struct slice text[MOST_TEXTS];
    int64_t removed_at;        /* of an entity; MAX_INT: it is there */
    uint64_t generation;       /* of an entity: when `joined` was worked out */
    struct joined joined;
    char bytes[];
};

struct known {
    zhashx_t *devices, *entities, *areas;
    uint64_t generation;       /* moves whenever a device or an area does */
};

static size_t hash_slice(const void *key)
{
    const struct slice *text = key;
    const unsigned char *at = text->data;
    size_t hash = 5381;
    for (size_t i = 0; i < text->size; i++)
        hash = hash * 33 ^ at[i];
    return hash;
}

static int compare_slices(const void *one, const void *other)
{
    const struct slice *a = one, *b = other;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return memcmp(a->data, b->data, a->size);
}

static void free_record(void **record)
{
    free(*record);
    *record = NULL;
}

static zhashx_t *new_map(void)
{
    zhashx_t *map = zhashx_new();
    assert(map);
    zhashx_set_key_duplicator(map, NULL);
    zhashx_set_key_destructor(map, NULL);
    zhashx_set_key_hasher(map, hash_slice);
    zhashx_set_key_comparator(map, compare_slices);
    zhashx_set_destructor(map, free_record);
    return map;
}

known_t *known_new(void)
{
    known_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (known_t){ .devices = new_map(), .entities = new_map(), .areas = new_map(), .generation = 1 };
    return self;
}

void known_destroy(known_t **self_p)
{
    if (!*self_p)
        return;
    zhashx_destroy(&(*self_p)->devices);
    zhashx_destroy(&(*self_p)->entities);
    zhashx_destroy(&(*self_p)->areas);
    free(*self_p);
    *self_p = NULL;
}

static struct record *new_record(const struct slice texts[], size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += texts[i].size;
    struct record *record = calloc(1, sizeof *record + total + 1);
    assert(record && count <= MOST_TEXTS);
    char *to = record->bytes;
    for (size_t i = 0; i < count; i++) {
        if (!texts[i].data)
            continue;
        memcpy(to, texts[i].data, texts[i].size);
        record->text[i] = (struct slice){ to, texts[i].size };
        to += texts[i].size;
    }
    record->removed_at = MAX_INT;
    return record;
}

static void put(zhashx_t *map, struct record *record)
{
    zhashx_delete(map, &record->text[0]); /* an update would keep the old record's key */
    int rc = zhashx_insert(map, &record->text[0], record);
    assert(rc == 0);
}

/* An absent text has no data; an empty one has. */
static struct slice text_of(bool has, const char *text, size_t size)
{
    return has ? (struct slice){ text, size } : (struct slice){ NULL, 0 };
}

void known_device(known_t *self, const struct device_row *row)
{
    struct slice texts[] = {
        [DEVICE_ID] = text_of(row->has_device_id, row->device_id, row->device_id_size), [DEVICE_AREA] = text_of(row->has_area_id, row->area_id, row->area_id_size),
        [DEVICE_PARENT] = text_of(row->has_parent_device_id, row->parent_device_id, row->parent_device_id_size), [DEVICE_MANUFACTURER] = text_of(row->has_manufacturer, row->manufacturer, row->manufacturer_size),
        [DEVICE_MODEL] = text_of(row->has_model, row->model, row->model_size), [DEVICE_SW] = text_of(row->has_sw_version, row->sw_version, row->sw_version_size),
    };
    put(self->devices, new_record(texts, sizeof texts / sizeof *texts));
    self->generation++;
}

void known_entity(known_t *self, const struct entity_row *row)
{
    struct slice texts[] = {
        [ENTITY_ID] = text_of(row->has_entity_id, row->entity_id, row->entity_id_size), [ENTITY_DEVICE] = text_of(row->has_device_id, row->device_id, row->device_id_size),
        [ENTITY_AREA] = text_of(row->has_area_id, row->area_id, row->area_id_size), [ENTITY_PLATFORM] = text_of(row->has_platform, row->platform, row->platform_size),
        [ENTITY_CATEGORY] = text_of(row->has_entity_category, row->entity_category, row->entity_category_size),
        [ENTITY_LABELS] = row->has_labels ? row->labels : (struct slice){ NULL, 0 },
    };
    struct record *record = new_record(texts, sizeof texts / sizeof *texts);
    if (row->has_removed_at)
        record->removed_at = row->removed_at;
    put(self->entities, record);
}

/* Areas, floors and labels have ids of their own each: the kind's first letter goes before. */
static struct slice area_key(char kind, struct slice id, char room[256])
{
    assert(id.size < 256);
    room[0] = kind;
    memcpy(room + 1, id.data, id.size);
    return (struct slice){ room, id.size + 1 };
}

void known_area(known_t *self, const struct area_row *row)
{
    char room[256];
    struct slice texts[] = {
        [AREA_KEY] = area_key(row->kind[0], text_of(row->has_area_id, row->area_id, row->area_id_size), room), [AREA_NAME] = text_of(row->has_name, row->name, row->name_size),
    };
    put(self->areas, new_record(texts, sizeof texts / sizeof *texts));
    self->generation++;
}

/* The device's own area, else the nearest one of the devices it is a part of. */
static struct slice device_area(known_t *self, const struct record *device)
{
    for (int i = 0; device && i < PARENTS; i++) {
        if (device->text[DEVICE_AREA].data)
            return device->text[DEVICE_AREA];
        const struct slice *parent = &device->text[DEVICE_PARENT];
        device = parent->data ? zhashx_lookup(self->devices, parent) : NULL;
    }
    return (struct slice){ NULL, 0 };
}

static void join(known_t *self, struct record *entity)
{
    const struct slice *device_id = &entity->text[ENTITY_DEVICE];
    const struct record *device = device_id->data ? zhashx_lookup(self->devices, device_id) : NULL;
    struct joined *j = &entity->joined;
    *j = (struct joined){
        .device_id = *device_id, .area_id = entity->text[ENTITY_AREA], .integration = entity->text[ENTITY_PLATFORM],
        .labels = entity->text[ENTITY_LABELS], .entity_category = entity->text[ENTITY_CATEGORY],
    };
    if (device) {
        j->manufacturer = device->text[DEVICE_MANUFACTURER];
        j->model = device->text[DEVICE_MODEL];
        j->sw_version = device->text[DEVICE_SW];
    }
    if (!j->area_id.data)
        j->area_id = device_area(self, device);
    char room[256];
    if (j->area_id.data) {
        struct slice key = area_key('a', j->area_id, room);
        const struct record *area = zhashx_lookup(self->areas, &key);
        j->area = area ? area->text[AREA_NAME] : (struct slice){ NULL, 0 };
    }
    entity->generation = self->generation;
}

const struct joined *known_join(known_t *self, struct slice entity_id, int64_t at_us)
{
    struct record *entity = zhashx_lookup(self->entities, &entity_id);
    if (!entity || at_us > entity->removed_at)
        return NULL;
    if (entity->generation != self->generation)
        join(self, entity);
    return &entity->joined;
}

size_t known_entities(const known_t *self)
{
    return zhashx_size(self->entities);
}

size_t known_devices(const known_t *self)
{
    return zhashx_size(self->devices);
}
