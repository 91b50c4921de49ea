/* snapshot.c - read get_states in steps, and keep what backfill must know of each entity. */
#include "snapshot.h"

#include "json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTITIES = 200000, MAX_ID = 1024 };

enum { STATE_ENTITY, STATE_UPDATED, STATE_CONTEXT, STATE_TEXT, STATE_KEYS };
static const char *const state_keys[STATE_KEYS] = { [STATE_ENTITY] = "entity_id", [STATE_UPDATED] = "last_updated",
    [STATE_CONTEXT] = "context", [STATE_TEXT] = "state" };

struct snapshot {
    int64_t keep_from_us;
    char *text;
    json_t *json, *state_json;
    struct slice *states;      /* of the answer, not read yet from `at` on */
    size_t state_count, state_room, at;
    struct seen_entity *list;
    size_t count, room;
    size_t sorted;             /* of the list: those of get_states */
};

snapshot_t *snapshot_new(int64_t keep_from_us)
{
    struct snapshot *self = calloc(1, sizeof *self);
    assert(self);
    self->keep_from_us = keep_from_us;
    self->json = json_new();
    self->state_json = json_new();
    assert(self->json && self->state_json);
    return self;
}

static void forget_answer(struct snapshot *self)
{
    free(self->text);
    free(self->states);
    self->text = NULL;
    self->states = NULL;
    self->state_count = self->state_room = self->at = 0;
}

void snapshot_forget_state(struct seen_entity *entity)
{
    free(entity->state);
    free(entity->context);
    entity->state = entity->context = NULL;
}

void snapshot_destroy(snapshot_t **self_p)
{
    struct snapshot *self = *self_p;
    if (!self)
        return;
    forget_answer(self);
    for (size_t i = 0; i < self->count; i++) {
        snapshot_forget_state(&self->list[i]);
        free(self->list[i].id);
    }
    free(self->list);
    json_destroy(&self->json);
    json_destroy(&self->state_json);
    free(self);
    *self_p = NULL;
}

static int on_state(void *owner, struct json_value value)
{
    struct snapshot *self = owner;
    if (self->state_count == MAX_ENTITIES)
        return -1;
    if (self->state_count == self->state_room) {
        self->state_room = self->state_room ? 2 * self->state_room : 256;
        self->states = realloc(self->states, self->state_room * sizeof *self->states);
        assert(self->states);
    }
    self->states[self->state_count++] = value.raw;
    return 0;
}

int snapshot_take(snapshot_t *self, struct slice answer, const char **why)
{
    struct json_value root;
    forget_answer(self);
    self->text = malloc(answer.size + 1);
    assert(self->text);
    memcpy(self->text, answer.data ? answer.data : "", answer.size);
    if (json_read_levels(self->json, (struct slice){ self->text, answer.size }, 1, &root, why))
        return -1;
    *why = "is no array, or one of too many states";
    return root.kind == JSON_ARRAY ? json_each_item(self->json, root.raw, on_state, self) : -1;
}

static char *copy(struct slice text)
{
    char *to = malloc(text.size + 1);
    assert(to);
    memcpy(to, text.data ? text.data : "", text.size);
    to[text.size] = '\0';
    return to;
}

static struct seen_entity *push(struct snapshot *self, struct slice id)
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 256;
        self->list = realloc(self->list, self->room * sizeof *self->list);
        assert(self->list);
    }
    struct seen_entity *entity = &self->list[self->count++];
    *entity = (struct seen_entity){ .id = copy(id) };
    return entity;
}

/* The wall clock of Home Assistant, or 0. */
static int64_t read_updated(struct snapshot *self, struct json_value value)
{
    struct slice text;
    int64_t at_us;
    return json_text(self->state_json, value, &text) && time_read(text, &at_us) == 0 ? at_us : 0;
}

/* What has no id or time that can be read is left out: it could not be compared. */
static int read_state(struct snapshot *self, struct slice state, const char **why)
{
    struct json_value root, part[STATE_KEYS];
    struct slice id;
    if (json_read(self->state_json, state, &root, why))
        return -1;
    *why = "a state is no object";
    if (root.kind != JSON_OBJECT || json_pick(self->state_json, root.raw, state_keys, STATE_KEYS, part))
        return -1;
    int64_t updated_us = read_updated(self, part[STATE_UPDATED]);
    if (!json_text(self->state_json, part[STATE_ENTITY], &id) || id.size == 0 || id.size > MAX_ID
        || memchr(id.data, '\0', id.size) || updated_us == 0 || part[STATE_TEXT].kind != JSON_TEXT)
        return 0;
    struct seen_entity *entity = push(self, id);
    entity->updated_us = updated_us;
    if (updated_us < self->keep_from_us)
        return 0;
    entity->state = copy(root.raw);
    if (part[STATE_CONTEXT].kind == JSON_OBJECT)
        entity->context = copy(part[STATE_CONTEXT].raw);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct seen_entity *one = a, *other = b;
    return strcmp(one->id, other->id);
}

static void sort(struct snapshot *self)
{
    if (self->count > 0)
        qsort(self->list, self->count, sizeof *self->list, by_id);
    self->sorted = self->count;
}

int snapshot_step(snapshot_t *self, size_t states, const char **why)
{
    for (; states > 0 && self->at < self->state_count; states--)
        if (read_state(self, self->states[self->at++], why))
            return -1;
    if (self->at < self->state_count)
        return 1;
    forget_answer(self);
    sort(self);
    return 0;
}

static struct seen_entity *find(const struct snapshot *self, struct slice id)
{
    char text[MAX_ID + 1];
    if (id.size > MAX_ID || memchr(id.data, '\0', id.size))
        return NULL;
    memcpy(text, id.data, id.size);
    text[id.size] = '\0';
    struct seen_entity key = { .id = text };
    return self->sorted == 0 ? NULL : bsearch(&key, self->list, self->sorted, sizeof *self->list, by_id);
}

void snapshot_stored(snapshot_t *self, struct slice id, struct slice state, int64_t at_us)
{
    if (id.size == 0 || id.size > MAX_ID || memchr(id.data, '\0', id.size))
        return;
    struct seen_entity *entity = find(self, id);
    if (entity)
        entity->stored_us = at_us;
    if (entity || self->count >= MAX_ENTITIES)
        return;
    entity = push(self, id);
    entity->stored_us = state.data ? at_us : 0;
    entity->is_absent = true;
    entity->updated_us = at_us;
    if (!state.data)
        return;
    msgpack_sbuffer text;
    msgpack_sbuffer_init(&text);
    json_write_text(state, &text);
    entity->state = copy((struct slice){ text.data, text.size });
    msgpack_sbuffer_destroy(&text);
}

void snapshot_close(snapshot_t *self)
{
    sort(self);
}

size_t snapshot_count(const snapshot_t *self)
{
    return self->count;
}

struct seen_entity *snapshot_at(const snapshot_t *self, size_t index)
{
    assert(index < self->count);
    return &self->list[index];
}

struct seen_entity *snapshot_find(const snapshot_t *self, struct slice id)
{
    return find(self, id);
}
