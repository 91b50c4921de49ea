/* source_kept.c - the last good answer on the disk: a restart asks nobody before it is due. */
#include "source_inside.h"
#include "row.h"
#include "small_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int file_path(const struct source *self, char *to, size_t size)
{
    char name[80];
    snprintf(name, sizeof name, "sources/%s", actor_spec.name);
    return actor_path(self->actor, to, size, name);
}

/* Keys do not belong there. */
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

bool kept_is_other(struct source *self)
{
    char query[QUERY_BYTES];
    tell_query(self, query);
    bool is_other = strcmp(query, self->query) != 0;
    memcpy(self->query, query, sizeof query);
    return is_other;
}

enum { SLOTS_BYTES = 400000 }; /* as source_kept allows */

/* All of them; where they are so large that they do not fit, the first ones. */
static struct slice put_slots(const struct source *self, const struct slots *slots, msgpack_sbuffer *to)
{
    struct fault fault;
    size_t size = 0, count = 0;
    for (; count < slots->count; count++) {
        schema_encode(self->slot_schema, slots->bytes + count * self->slot_schema->size, to, &fault);
        if (to->size > SLOTS_BYTES)
            break;
        size = to->size;
    }
    if (count < slots->count)
        actor_warn(self->actor, "of %zu slots %zu are kept on the disk: the others do not fit", slots->count, count);
    return (struct slice){ to->data, size };
}

/* What a live source says is on the disk a minute later: flash wears. */
static bool is_too_soon(struct source *self)
{
    enum { SAVE_US = 60 * 1000000 };
    int64_t clock_us = actor_clock_us(self->actor);
    if (source_spec.is_live && self->saved_us && clock_us - self->saved_us < SAVE_US)
        return true;
    self->saved_us = clock_us + 1;
    return false;
}

/* What is somewhere else. */
static void drop_pointers(const struct schema *schema, void *row)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (f->kind == JSON_KIND || f->kind == VIEW_KIND || f->kind == BLOB_KIND)
            *row_has(f, row) = false;
}

/* What points elsewhere is not kept, as long as it may be: a reading that comes tells it anew. */
static bool put_row(const struct schema *schema, const void *row, msgpack_sbuffer *to)
{
    struct fault fault;
    char *copy = malloc(schema->size);
    assert(copy);
    memcpy(copy, row, schema->size);
    drop_pointers(schema, copy);
    bool is_good = schema_encode(schema, copy, to, &fault) == 0;
    free(copy);
    return is_good;
}

void kept_save(struct source *self)
{
    if (is_too_soon(self))
        return;
    struct source_kept kept = { .has_provider = false };
    msgpack_sbuffer reading, slots, ahead, told, ahead_told;
    char path[600];
    msgpack_sbuffer_init(&told);
    msgpack_sbuffer_init(&ahead_told);
    msgpack_sbuffer_init(&reading);
    msgpack_sbuffer_init(&slots);
    msgpack_sbuffer_init(&ahead);
    SET_TEXT(&kept, provider, self->provider->name, strlen(self->provider->name));
    SET_TEXT(&kept, query, self->query, strlen(self->query));
    SET(&kept, due_at, self->due_us);
    SET(&kept, failures, self->failures);
    SET(&kept, quota_day, self->quota_day);
    SET(&kept, quota_used, self->quota_used);
    SET(&kept, stored, self->stored);
    if (self->has_place) {
        SET(&kept, latitude, self->place_latitude);
        SET(&kept, longitude, self->place_longitude);
    }
    if (self->has_told && put_row(self->schema, self->told, &told))
        SET(&kept, told, (struct slice){ told.data, told.size });
    if (self->has_ahead_told && put_row(self->slot_schema, self->ahead_told, &ahead_told))
        SET(&kept, ahead_told, (struct slice){ ahead_told.data, ahead_told.size });
    if (self->ended_us)
        SET(&kept, ended_at, self->ended_us);
    if (self->has_reading && put_row(self->schema, self->reading, &reading)) {
        SET(&kept, fetched_at, self->fetched_us);
        SET(&kept, reading, (struct slice){ reading.data, reading.size });
        SET(&kept, slots, put_slots(self, &self->slots, &slots));
        SET(&kept, ahead, put_slots(self, &self->ahead, &ahead));
        SET(&kept, ahead_until, self->ahead_until_us);
    }
    if (file_path(self, path, sizeof path) || small_file_save(path, source_kept_schema(), &kept))
        actor_warn(self->actor, "what was read cannot be kept on the disk: %s", strerror(errno));
    msgpack_sbuffer_destroy(&reading);
    msgpack_sbuffer_destroy(&slots);
    msgpack_sbuffer_destroy(&ahead);
    msgpack_sbuffer_destroy(&told);
    msgpack_sbuffer_destroy(&ahead_told);
}

/* All of them, or none. */
static void take_slots(struct source *self, struct slice rest, struct slots *to)
{
    struct slice one;
    struct fault fault;
    to->count = 0;
    while (self->slot_schema && frame_next(&rest, &one)) {
        void *slot = slots_at(to, self->slot_schema->size, to->count, true);
        if (!slot || schema_decode(self->slot_schema, one, slot, &fault)) {
            to->count = 0;
            return;
        }
    }
}

/* A reading of which it is not known whether it is told may be. What is known too long already, or is another's, has ended by now. */
static void take_told(struct source *self, const struct source_kept *kept)
{
    struct fault fault;
    self->ended_us = kept->has_ended_at ? kept->ended_at : 0;
    self->has_told = (kept->has_told || kept->has_reading)
        && schema_decode(self->schema, kept->has_told ? kept->told : kept->reading, self->told, &fault) == 0
        && (kept->has_told || source_as_of(self->told) >= self->ended_us);
    drop_pointers(self->schema, self->told);
    self->is_old = source_spec.is_live;
    self->is_sure = false;
    self->has_ahead_told = self->slot_schema && kept->has_ahead_told && schema_decode(self->slot_schema, kept->ahead_told, self->ahead_told, &fault) == 0;
}

/* What was told ends when the reading of him who told it is stale, or now. */
static void end_told(struct source *self, const struct source_kept *kept)
{
    const struct provider *his = source_provider(kept->provider);
    int64_t fetched_us = kept->has_fetched_at ? kept->fetched_at : source_as_of(self->told);
    if (!self->has_told)
        return;
    if (!self->has_reading)
        self->end_us = series_end_of(self, self->told, source_stale_of(self, his ? his : self->provider, self->told, fetched_us));
    else if (source_is_stale(self) && !series_is_behind(self))
        self->end_us = series_end(self);
}

static void take(struct source *self, const struct source_kept *kept)
{
    struct fault fault;
    self->due_us = kept->due_at;
    self->failures = kept->failures;
    self->stored = kept->stored;
    if (!kept->has_reading || schema_decode(self->schema, kept->reading, self->reading, &fault))
        return;
    drop_pointers(self->schema, self->reading); /* the file is closed soon */
    self->has_reading = true;
    self->fetched_us = kept->fetched_at;
    take_slots(self, kept->slots, &self->slots);
    if (kept->has_ahead)
        take_slots(self, kept->ahead, &self->ahead);
    self->ahead_until_us = kept->has_ahead_until ? kept->ahead_until : 0;
}

/* Where the home is and how much was asked today holds for any provider of this source. */
void kept_load(struct source *self)
{
    struct source_kept kept;
    msgpack_sbuffer pool;
    char path[600];
    msgpack_sbuffer_init(&pool);
    kept_is_other(self);
    if (file_path(self, path, sizeof path) == 0 && small_file_load(path, source_kept_schema(), &kept, &pool) == 0) {
        bool is_same = strcmp(kept.provider, self->provider->name) == 0;
        if (is_same) {
            self->quota_day = kept.quota_day;
            self->quota_used = kept.quota_used;
        }
        if (!self->config.has_latitude && kept.has_latitude && kept.has_longitude)
            source_move(self, &(struct home_place){ .latitude = kept.latitude, .longitude = kept.longitude });
        take_told(self, &kept);
        if (is_same && strcmp(kept.query, self->query) == 0)
            take(self, &kept);
        end_told(self, &kept);
    } else if (errno != ENOENT) {
        actor_warn(self->actor, "what was kept on the disk cannot be read: %s; asking anew", strerror(errno));
    }
    msgpack_sbuffer_destroy(&pool);
}

void kept_load_told(struct source *self)
{
    struct source_kept kept;
    msgpack_sbuffer pool;
    char path[600];
    msgpack_sbuffer_init(&pool);
    if (file_path(self, path, sizeof path) == 0 && small_file_load(path, source_kept_schema(), &kept, &pool) == 0) {
        take_told(self, &kept);
        self->quota_day = kept.quota_day;
        self->quota_used = kept.quota_used;
        if (source_provider(kept.provider))
            self->provider = source_provider(kept.provider);
        end_told(self, &kept);
    }
    msgpack_sbuffer_destroy(&pool);
}
