/* source_kept.c - the last good answer on the disk: a restart asks nobody before it is due. */
#include "source_inside.h"
#include "row.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int file_path(const struct source *self, char *to, size_t size)
{
    char name[80];
    snprintf(name, sizeof name, "sources/%s", actor_spec.name);
    return actor_path(self->actor, to, size, name);
}

enum { QUERY_BYTES = 1200 };

/* What an answer depends on, in words. Keys do not belong there. */
static void tell_query(const struct source *self, char to[QUERY_BYTES])
{
    int n = snprintf(to, QUERY_BYTES, "%s", self->config.has_url ? self->config.url : self->provider->base);
    if (self->config.has_latitude)
        n += snprintf(to + n, (size_t)(QUERY_BYTES - n), " %s,%s", self->latitude, self->longitude);
    for (size_t i = 0; i < SETTINGS_MAX && source_spec.chosen[i] && n < QUERY_BYTES - 2; i++) {
        to[n++] = ' ';
        n += (int)source_setting_text(self, source_spec.chosen[i], to + n, (size_t)(QUERY_BYTES - n));
    }
}

static void put_slots(const struct source *self, msgpack_sbuffer *to)
{
    struct fault fault;
    for (size_t i = 0; i < self->slots.count && to->size < 55000; i++)
        schema_encode(self->slot_schema, self->slots.bytes + i * self->slot_schema->size, to, &fault);
}

void kept_save(struct source *self)
{
    struct source_kept kept = { .has_provider = false };
    msgpack_sbuffer reading, slots;
    struct fault fault;
    char path[600], query[QUERY_BYTES];
    msgpack_sbuffer_init(&reading);
    msgpack_sbuffer_init(&slots);
    tell_query(self, query);
    SET_TEXT(&kept, provider, self->provider->name, strlen(self->provider->name));
    SET_TEXT(&kept, query, query, strlen(query));
    SET(&kept, due_at, self->due_us);
    SET(&kept, failures, self->failures);
    SET(&kept, quota_day, self->quota_day);
    SET(&kept, quota_used, self->quota_used);
    SET(&kept, stored, self->stored);
    if (self->has_place) {
        SET(&kept, latitude, self->place_latitude);
        SET(&kept, longitude, self->place_longitude);
    }
    if (self->has_reading && schema_encode(self->schema, self->reading, &reading, &fault) == 0) {
        put_slots(self, &slots);
        SET(&kept, fetched_at, self->fetched_us);
        SET(&kept, reading, (struct slice){ reading.data, reading.size });
        SET(&kept, slots, (struct slice){ slots.data, slots.size });
    }
    if (file_path(self, path, sizeof path) || small_file_save(path, source_kept_schema(), &kept))
        actor_warn(self->actor, "what was read cannot be kept on the disk: %s", strerror(errno));
    msgpack_sbuffer_destroy(&reading);
    msgpack_sbuffer_destroy(&slots);
}

static void take_slots(struct source *self, struct slice rest)
{
    struct slice one;
    struct fault fault;
    source_drop_slots(self);
    while (self->slot_schema && frame_next(&rest, &one)) {
        void *slot = source_slot(self);
        if (!slot || schema_decode(self->slot_schema, one, slot, &fault))
            return;
    }
    struct slots slots = self->slots;
    self->slots = self->drafts;
    self->drafts = slots;
}

static void take(struct source *self, const struct source_kept *kept)
{
    struct fault fault;
    self->due_us = kept->due_at;
    self->failures = kept->failures;
    self->stored = kept->stored;
    if (!kept->has_reading || schema_decode(self->schema, kept->reading, self->draft, &fault))
        return;
    memcpy(self->reading, self->draft, self->schema->size);
    self->has_reading = true;
    self->fetched_us = kept->fetched_at;
    take_slots(self, kept->slots);
}

/* Where the home is and how much was asked today holds for any provider of this source. */
void kept_load(struct source *self)
{
    struct source_kept kept;
    msgpack_sbuffer pool;
    char path[600], query[QUERY_BYTES];
    msgpack_sbuffer_init(&pool);
    tell_query(self, query);
    if (file_path(self, path, sizeof path) == 0 && small_file_load(path, source_kept_schema(), &kept, &pool) == 0) {
        bool is_same = strcmp(kept.provider, self->provider->name) == 0;
        if (is_same) {
            self->quota_day = kept.quota_day;
            self->quota_used = kept.quota_used;
        }
        if (!self->config.has_latitude && kept.has_latitude && kept.has_longitude)
            source_move(self, &(struct home_place){ .latitude = kept.latitude, .longitude = kept.longitude });
        if (is_same && strcmp(kept.query, query) == 0)
            take(self, &kept);
    } else if (errno != ENOENT) {
        actor_warn(self->actor, "what was kept on the disk cannot be read: %s; asking anew", strerror(errno));
    }
    msgpack_sbuffer_destroy(&pool);
}
