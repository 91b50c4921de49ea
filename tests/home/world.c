/* world.c - entities and their states: written, removed, renamed, moved, each with its event. */
#include "shapes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct world *world_new(enum version version, uint64_t seed, size_t entities, int64_t now_us)
{
    struct world *self = calloc(1, sizeof *self);

    assert(self);
    self->version = version;
    self->chance.state = seed;
    self->began_us = now_us;
    self->calendar.second = self->calendar.millisecond = -1;
    self->registry_due_us = now_us + 5 * 60 * SECOND_US;
    world_set_time(self, now_us);
    chance_hex(&self->chance, self->user_id, 32);
    world_build(self, entities);
    return self;
}

static void entity_destroy(struct entity **self_p)
{
    struct entity *self = *self_p;

    free(self->id);
    free(self->unique_id);
    free(self->full_name);
    free(self->name);
    text_free(&self->state);
    text_free(&self->attributes);
    text_free(&self->json);
    text_free(&self->held_state);
    text_free(&self->held_attributes);
    free(self);
    *self_p = NULL;
}

void world_destroy(struct world **self_p)
{
    struct world *self = *self_p;

    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        entity_destroy(&self->entities[i]);
    for (size_t i = 0; i < self->device_count; i++)
        free(self->devices[i].name);
    for (size_t i = 0; i < self->area_count; i++) {
        free(self->areas[i].id);
        free(self->areas[i].name);
    }
    free(self->entities);
    free(self->devices);
    free(self->areas);
    free(self->entries);
    free(self->round);
    text_free(&self->scratch);
    text_free(&self->event);
    text_free(&self->attributes);
    free(self);
    *self_p = NULL;
}

void world_set_time(struct world *self, int64_t now_us)
{
    self->now_us = now_us;
}

/* Every event has a microsecond of its own, also when the clock stands still or steps back. */
static int64_t next_moment(struct world *self)
{
    self->last_us = self->now_us > self->last_us ? self->now_us : self->last_us + 1;
    return self->last_us;
}

struct context world_context(struct world *self, const struct context *parent, bool by_user)
{
    struct context context = {0};

    moment_ulid(&self->calendar, &self->chance, context.id, self->now_us);
    if (parent)
        memcpy(context.parent, parent->id, sizeof context.parent);
    if (by_user)
        memcpy(context.user, self->user_id, sizeof context.user);
    return context;
}

struct entity *world_find(const struct world *self, struct slice entity_id)
{
    for (size_t i = 0; i < self->count; i++)
        if (slice_is(entity_id, self->entities[i]->id))
            return self->entities[i];
    return NULL;
}

int world_index(const struct world *self, const struct entity *entity)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->entities[i] == entity)
            return (int)i;
    return -1;
}

struct entity *world_add(struct world *self, const char *entity_id, const char *name, const struct breed *breed)
{
    struct entity *entity = calloc(1, sizeof *entity);

    assert(entity && entity_id && name);
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 128;
        self->entities = realloc(self->entities, self->room * sizeof *self->entities);
        assert(self->entities);
    }
    self->entities[self->count++] = entity;
    entity->id = strdup(entity_id);
    entity->full_name = strdup(name);
    entity->unique_id = strdup(entity_id);
    assert(entity->id && entity->full_name && entity->unique_id);
    entity->breed = breed;
    entity->device = entity->area = entity->partner = entity->second = -1;
    entity->created_us = entity->modified_us = self->now_us;
    chance_hex(&self->chance, entity->uuid, 32);
    text_set(&entity->attributes, "{}", 2);
    self->stale = true;
    return entity;
}

struct entity *world_add_plain(struct world *self, struct slice entity_id, struct slice state, struct slice attributes)
{
    char id[256];

    snprintf(id, sizeof id, "%.*s", (int)entity_id.size, (const char *)entity_id.data);
    struct entity *entity = world_add(self, id, id, &plain_breed);
    world_write(self, entity, state, attributes.size ? attributes : slice_of("{}"), NULL);
    return entity;
}

/* The part of an event after its data. */
static void finish_event(
    struct world *self, struct text *event, const char *origin, int64_t t_us, const struct context *context)
{
    char iso[ISO_ROOM];

    text_say(event, ",\"origin\":\"");
    text_say(event, origin);
    text_say(event, "\",\"time_fired\":\"");
    text_add(event, iso, moment_iso(&self->calendar, iso, t_us));
    text_say(event, "\",\"context\":");
    shape_context(event, context);
    text_say(event, "}");
}

/* state_changed from what the entity's json says to what the entity says now. */
static void fire_change(
    struct world *self, struct entity *entity, bool was_present, const struct context *context, int64_t t_us)
{
    struct text *event = &self->event;
    size_t old_at, old_size, new_at = 0, new_size = 0;

    event->size = 0;
    text_say(event, "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"");
    text_say(event, entity->id);
    text_say(event, "\",\"old_state\":");
    old_at = event->size;
    if (was_present)
        text_slice(event, text_view(&entity->json));
    else
        text_say(event, "null");
    old_size = event->size - old_at;
    text_say(event, ",\"new_state\":");
    new_at = event->size;
    if (entity->present) {
        shape_state(self, event, entity);
        new_size = event->size - new_at;
        text_set(&entity->json, event->data + new_at, new_size);
    } else {
        text_say(event, "null");
    }
    text_say(event, "}");
    finish_event(self, event, "LOCAL", t_us, context);
    if (!self->happen)
        return;
    struct happening happening = {.t_us = t_us, .type = "state_changed", .json = text_view(event), .entity = entity};
    if (was_present)
        happening.old_json = (struct slice){event->data + old_at, old_size};
    if (entity->present)
        happening.new_json = (struct slice){event->data + new_at, new_size};
    self->happen(self->owner, &happening);
}

bool world_write(
    struct world *self, struct entity *entity, struct slice state, struct slice attributes, const struct context *cause)
{
    bool was_present = entity->present && entity->json.size; /* else: not since the last start */
    bool same_state = was_present && slice_same(state, text_view(&entity->state));
    bool same_attributes = was_present && slice_same(attributes, text_view(&entity->attributes));

    if (same_state && same_attributes) {
        entity->reported_us = self->now_us;
        return false;
    }
    int64_t t_us = next_moment(self);
    if (!same_state) {
        text_set(&entity->state, state.data, state.size);
        entity->changed_us = t_us;
    }
    if (!same_attributes)
        text_set(&entity->attributes, attributes.data, attributes.size);
    entity->updated_us = entity->reported_us = t_us;
    entity->context = cause ? *cause : world_context(self, NULL, false);
    entity->present = true;
    fire_change(self, entity, was_present, &entity->context, t_us);
    return true;
}

void world_remove(struct world *self, struct entity *entity)
{
    if (!entity->present || !entity->json.size)
        return;
    struct context context = world_context(self, NULL, false);
    entity->present = false;
    fire_change(self, entity, true, &context, next_moment(self));
    entity->json.size = 0;
}

void world_fire(
    struct world *self, const char *type, struct slice data, const char *origin, const struct context *cause)
{
    struct text *event = &self->event;
    int64_t t_us = next_moment(self);
    struct context context = cause ? *cause : world_context(self, NULL, false);

    event->size = 0;
    text_say(event, "{\"event_type\":");
    text_json(event, slice_of(type));
    text_say(event, ",\"data\":");
    text_slice(event, data);
    finish_event(self, event, origin, t_us, &context);
    if (self->happen)
        self->happen(self->owner, &(struct happening){.t_us = t_us, .type = type, .json = text_view(event)});
}

/* --- the registries -------------------------------------------------------------------- */

/* What changed, as its old value: HA's `changes`. */
static void fire_entity_updated(
    struct world *self, struct entity *entity, const char *changed, const char *old, const char *old_id)
{
    struct text *data = &self->scratch;

    entity->modified_us = self->now_us;
    data->size = 0;
    text_printf(data, "{\"action\":\"update\",\"entity_id\":\"%s\",\"changes\":{\"%s\":", entity->id, changed);
    text_json_or_null(data, old);
    text_say(data, "}");
    if (old_id)
        text_printf(data, ",\"old_entity_id\":\"%s\"", old_id);
    text_say(data, "}");
    world_fire(self, "entity_registry_updated", text_view(data), "LOCAL", NULL);
}

bool world_rename(struct world *self, struct entity *entity, struct slice entity_id)
{
    char *old = entity->id;

    if (!entity->registered || entity_id.size == 0 || entity_id.size > 255 || world_find(self, entity_id))
        return false;
    bool was_present = entity->present;
    world_remove(self, entity);
    entity->id = strndup(entity_id.data, entity_id.size);
    assert(entity->id);
    fire_entity_updated(self, entity, "entity_id", old, old);
    free(old);
    if (was_present) {
        struct slice state = text_view(&entity->state), attributes = text_view(&entity->attributes);
        world_write(self, entity, state, attributes, NULL);
    }
    return true;
}

/* The friendly name within the attributes follows the name. */
static void rewrite_friendly_name(struct world *self, struct entity *entity, const char *name)
{
    static const char key[] = "\"friendly_name\":";
    struct slice before = text_view(&entity->attributes);
    const char *at = memmem(before.data, before.size, key, sizeof key - 1);
    struct text after = {0};

    if (!at || !entity->present)
        return;
    at += sizeof key - 1;
    const char *end = at + 1;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    text_add(&after, before.data, (size_t)(at - (const char *)before.data));
    text_json(&after, slice_of(name));
    text_add(&after, end + 1, before.size - (size_t)(end + 1 - (const char *)before.data));
    world_write(self, entity, text_view(&entity->state), text_view(&after), NULL);
    text_free(&after);
}

bool world_name(struct world *self, struct entity *entity, const char *name)
{
    char *old = entity->name;

    if (!entity->registered)
        return false;
    entity->name = name ? strdup(name) : NULL;
    rewrite_friendly_name(self, entity, name ? name : entity->full_name);
    fire_entity_updated(self, entity, "name", old, NULL);
    free(old);
    return true;
}

int world_area(const struct world *self, struct slice area_id)
{
    for (size_t i = 0; i < self->area_count; i++)
        if (slice_is(area_id, self->areas[i].id))
            return (int)i;
    return -1;
}

bool world_move(struct world *self, struct entity *entity, struct slice area_id)
{
    int area = area_id.size ? world_area(self, area_id) : -1;

    if (!entity->registered || (area < 0 && area_id.size))
        return false;
    const char *old = entity->area >= 0 ? self->areas[entity->area].id : NULL;
    entity->area = area;
    fire_entity_updated(self, entity, "area_id", old, NULL);
    return true;
}

struct area *world_add_area(struct world *self, struct slice name)
{
    struct text id = {0};

    for (size_t i = 0; i < name.size; i++) {
        char c = ((const char *)name.data)[i];
        bool upper = c >= 'A' && c <= 'Z', plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        text_add(&id, &(char){upper ? (char)(c + 32) : plain ? c : '_'}, 1);
    }
    if (name.size == 0 || world_area(self, text_view(&id)) >= 0) {
        text_free(&id);
        return NULL;
    }
    self->areas = realloc(self->areas, (self->area_count + 1) * sizeof *self->areas);
    assert(self->areas);
    struct area *area = &self->areas[self->area_count++];
    *area = (struct area){
        .id = strndup(id.data, id.size), .name = strndup(name.data, name.size), .created_us = self->now_us};
    text_free(&id);
    return area;
}

/* --- the round --------------------------------------------------------------------------- */

static void new_round(struct world *self)
{
    size_t size = 0;

    for (size_t i = 0; i < self->count; i++)
        size += (size_t)self->entities[i]->breed->weight;
    if (size > self->round_room) {
        self->round = realloc(self->round, size * sizeof *self->round);
        assert(self->round);
        self->round_room = size;
    }
    self->round_size = 0;
    for (size_t i = 0; i < self->count; i++)
        for (int n = 0; n < self->entities[i]->breed->weight; n++)
            self->round[self->round_size++] = (uint32_t)i;
    for (size_t i = self->round_size; i > 1; i--) {
        size_t j = (size_t)chance_below(&self->chance, (int64_t)i);
        uint32_t other = self->round[i - 1];
        self->round[i - 1] = self->round[j];
        self->round[j] = other;
    }
    self->round_at = 0;
    self->stale = false;
}

/* Now and then somebody tidies up the registry. */
static void tidy_up(struct world *self)
{
    self->registry_due_us = self->now_us + (5 + chance_below(&self->chance, 10)) * 60 * SECOND_US;
    struct entity *entity = self->entities[chance_below(&self->chance, (int64_t)self->count)];
    if (!entity->registered || entity->disabled)
        return;
    if (self->area_count && chance_one_in(&self->chance, 2))
        world_move(self, entity, slice_of(self->areas[chance_below(&self->chance, (int64_t)self->area_count)].id));
    else
        world_name(self, entity, entity->name ? NULL : "Ünï \"quoted\" name");
}

void world_step(struct world *self, int64_t now_us)
{
    world_set_time(self, now_us);
    if (now_us >= self->registry_due_us)
        tidy_up(self);
    if (self->stale || self->round_at == self->round_size)
        new_round(self);
    if (self->round_size == 0)
        return;
    struct entity *entity = self->entities[self->round[self->round_at++]];
    if (entity->breed->live && !entity->held)
        entity->breed->live(self, entity);
}
