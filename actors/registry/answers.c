/* answers.c - the services of registry: what is there, from metadata.db. */
#include "answers.h"

#include <stdio.h>
#include <string.h>

/* The area that t's device is in: its own, else that of what it is a part of. */
#define AREA_OF_DEVICE                                                                        \
    "(WITH RECURSIVE up(area, parent, n) AS (SELECT area_id, parent_device_id, 0 FROM device" \
    " WHERE device_id = t.device_id UNION ALL SELECT d.area_id, d.parent_device_id, n + 1 FROM device d JOIN up" \
    " ON d.device_id = up.parent WHERE up.area IS NULL AND n < 8) SELECT area FROM up WHERE area IS NOT NULL LIMIT 1)"

static struct param text_param(bool has, const char *text, size_t size)
{
    return (struct param){ .has = has, .text = text, .size = size };
}

static int broken(metadata_t *m, actor_t *actor)
{
    actor_error(actor, "metadata.db: %s", metadata_why(m));
    return actor_refuse(actor, BROKEN, "", "the registry's database cannot be read");
}

/* Rows of a listing: it ends when the answer is full. */
struct listing { rows_t *rows; int64_t count; };

static int give_device(void *owner, const void *row)
{
    struct listing *l = owner;
    int full = row_registry_devices(l->rows, row);
    l->count += !full;
    return full;
}

static int give_entity(void *owner, const void *row)
{
    struct listing *l = owner;
    int full = row_registry_entities(l->rows, row);
    l->count += !full;
    return full;
}

static int give_area(void *owner, const void *row)
{
    struct listing *l = owner;
    int full = row_registry_areas(l->rows, row);
    l->count += !full;
    return full;
}

static int give_entry(void *owner, const void *row)
{
    struct listing *l = owner;
    int full = row_registry_entries(l->rows, row);
    l->count += !full;
    return full;
}

static int end_listing(struct page *end, const struct listing *l, int64_t limit, int64_t total)
{
    SET(end, count, l->count);
    SET(end, limit, limit);
    SET(end, total, total);
    return OK;
}

int answer_devices(metadata_t *m, actor_t *actor, const struct devices_query *q, rows_t *rows, struct page *end)
{
    static const char where[] = "(?2 IS NULL OR t.device_id = ?2) AND (?3 IS NULL OR t.manufacturer = ?3)"
        " AND (?4 IS NULL OR t.model = ?4) AND (?5 IS NULL OR " AREA_OF_DEVICE " = ?5)"
        " AND (?1 IS NULL OR EXISTS (SELECT 1 FROM entity e WHERE e.device_id = t.device_id AND e.platform = ?1"
        " AND e.removed_at IS NULL))";
    const struct param params[] = {
        text_param(q->has_platform, q->platform, q->platform_size),
        text_param(q->has_device_id, q->device_id, q->device_id_size),
        text_param(q->has_manufacturer, q->manufacturer, q->manufacturer_size),
        text_param(q->has_model, q->model, q->model_size),
        text_param(q->has_area_id, q->area_id, q->area_id_size),
    };
    struct listing l = { rows, 0 };
    int64_t total = 0;
    if (metadata_find(m, DEVICES, where, params, sizeof params / sizeof *params, q->limit, q->offset, &total,
            give_device, &l))
        return broken(m, actor);
    return end_listing(end, &l, q->limit, total);
}

int answer_entities(metadata_t *m, actor_t *actor, const struct entities_query *q, rows_t *rows, struct page *end)
{
    static const char where[] = "(?1 IS NULL OR t.domain = ?1) AND (?2 IS NULL OR t.platform = ?2)"
        " AND (?3 IS NULL OR t.device_id = ?3) AND (?4 IS NULL OR coalesce(t.area_id, " AREA_OF_DEVICE
        ") = ?4) AND (?5 IS NULL OR t.disabled = ?5)";
    const struct param params[] = {
        text_param(q->has_domain, q->domain, q->domain_size),
        text_param(q->has_platform, q->platform, q->platform_size),
        text_param(q->has_device_id, q->device_id, q->device_id_size),
        text_param(q->has_area_id, q->area_id, q->area_id_size),
        { .has = q->has_disabled, .number = q->disabled },
    };
    struct listing l = { rows, 0 };
    int64_t total = 0;
    if (metadata_find(m, ENTITIES, where, params, sizeof params / sizeof *params, q->limit, q->offset, &total,
            give_entity, &l))
        return broken(m, actor);
    return end_listing(end, &l, q->limit, total);
}

int answer_areas(metadata_t *m, actor_t *actor, const struct areas_query *q, rows_t *rows, struct page *end)
{
    const struct param params[] = { text_param(q->has_kind, q->kind, q->kind_size) };
    struct listing l = { rows, 0 };
    int64_t total = 0;
    if (strcmp(q->kind, "area") && strcmp(q->kind, "floor") && strcmp(q->kind, "label"))
        return actor_refuse(actor, BAD_REQUEST, "kind", "neither area nor floor nor label");
    if (metadata_find(m, AREAS, "t.kind = ?1", params, 1, q->limit, q->offset, &total, give_area, &l))
        return broken(m, actor);
    return end_listing(end, &l, q->limit, total);
}

int answer_entries(metadata_t *m, actor_t *actor, const struct entries_query *q, rows_t *rows, struct page *end)
{
    const struct param params[] = { text_param(q->has_domain, q->domain, q->domain_size) };
    struct listing l = { rows, 0 };
    int64_t total = 0;
    if (metadata_find(m, ENTRIES, "?1 IS NULL OR t.domain = ?1", params, 1, q->limit, q->offset, &total, give_entry,
            &l))
        return broken(m, actor);
    return end_listing(end, &l, q->limit, total);
}

/* --- one -------------------------------------------------------------------------------------- */

/* The labels of a row found would die with the statement: they move to the actor's pool. */
struct found { void *to; size_t size; size_t labels_at; msgpack_sbuffer *pool; bool is_there; };

static int keep_row(void *owner, const void *row)
{
    struct found *f = owner;
    memcpy(f->to, row, f->size);
    struct slice *labels = (struct slice *)(void *)((char *)f->to + f->labels_at);
    if (labels->data) {
        f->pool->size = 0;
        msgpack_sbuffer_write(f->pool, labels->data, labels->size);
        labels->data = f->pool->data;
    }
    f->is_there = true;
    return 1;
}

int answer_device(metadata_t *m, actor_t *actor, const struct device_query *q, struct device_row *reply,
    msgpack_sbuffer *pool)
{
    const struct param params[] = { { .has = false }, text_param(true, q->device_id, q->device_id_size) };
    struct found f = { reply, sizeof *reply, offsetof(struct device_row, labels), pool, false };
    if (metadata_find(m, DEVICES, "t.device_id = ?2", params, 2, 1, 0, NULL, keep_row, &f))
        return broken(m, actor);
    return f.is_there ? OK : actor_refuse(actor, NOT_FOUND, "device_id", "no such device");
}

int answer_entity(metadata_t *m, actor_t *actor, const struct entity_query *q, struct entity_row *reply,
    msgpack_sbuffer *pool)
{
    const struct param params[] = { text_param(true, q->entity_id, q->entity_id_size) };
    struct found f = { reply, sizeof *reply, offsetof(struct entity_row, labels), pool, false };
    if (metadata_find(m, ENTITIES, "t.entity_id = ?1", params, 1, 1, 0, NULL, keep_row, &f))
        return broken(m, actor);
    return f.is_there ? OK : actor_refuse(actor, NOT_FOUND, "entity_id", "no such entity");
}

/* --- an integration ----------------------------------------------------------------------------- */

struct breakdown { msgpack_sbuffer *pool; int64_t entities; };

static void write_count(void *owner, const char *domain, int64_t count)
{
    struct breakdown *b = owner;
    char text[64];
    const char *before = b->entities ? ",{\"domain\":" : "{\"domain\":";
    msgpack_sbuffer_write(b->pool, before, strlen(before));
    json_write_text(slice_of(domain), b->pool);
    int n = snprintf(text, sizeof text, ",\"count\":%lld}", (long long)count);
    msgpack_sbuffer_write(b->pool, text, (size_t)n);
    b->entities += count;
}

int answer_analytics(metadata_t *m, actor_t *actor, const struct platform_query *q, struct platform_analytics *reply,
    msgpack_sbuffer *pool)
{
    struct breakdown b = { pool, 0 };
    int64_t devices = 0;
    pool->size = 0;
    msgpack_sbuffer_write(pool, "[", 1);
    if (metadata_platform(m, q->platform, write_count, &b, &devices))
        return broken(m, actor);
    msgpack_sbuffer_write(pool, "]", 1);
    SET_TEXT(reply, platform, q->platform, q->platform_size);
    SET(reply, device_count, devices);
    SET(reply, entity_count, b.entities);
    SET(reply, entity_breakdown, (struct slice){ pool->data, pool->size });
    SET(reply, timestamp, actor_now_us(actor));
    return OK;
}
