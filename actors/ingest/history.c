/* history.c - cut an answer into entities and these into rows. */
#include "history.h"

#include "json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_STATE, ROW_ATTRIBUTES, ROW_UPDATED, ROW_CHANGED, ROW_KEYS };
static const char *const row_keys[ROW_KEYS] = { [ROW_STATE] = "s", [ROW_ATTRIBUTES] = "a", [ROW_UPDATED] = "lu",
    [ROW_CHANGED] = "lc" };

/* Slices of the answer, as many as there are. */
struct cuts { struct slice *list; size_t count, room; };

struct history {
    char *text;
    json_t *json, *row_json;
    int64_t start_us;
    struct cuts keys, lists;   /* of the entities: ids (copies of ours), arrays */
    struct cuts rows;          /* of the entity that is being read */
    size_t at, row_at;
    bool has_old;
    struct made_state old;
};

static void cut(struct cuts *cuts, struct slice slice)
{
    if (cuts->count == cuts->room) {
        cuts->room = cuts->room ? 2 * cuts->room : 64;
        cuts->list = realloc(cuts->list, cuts->room * sizeof *cuts->list);
        assert(cuts->list);
    }
    cuts->list[cuts->count++] = slice;
}

history_t *history_new(void)
{
    struct history *self = calloc(1, sizeof *self);
    assert(self);
    self->json = json_new();
    self->row_json = json_new();
    assert(self->json && self->row_json);
    return self;
}

static void forget(struct history *self)
{
    for (size_t i = 0; i < self->keys.count; i++)
        free((void *)(uintptr_t)self->keys.list[i].data);
    free(self->text);
    free(self->keys.list);
    free(self->lists.list);
    free(self->rows.list);
    self->text = NULL;
    self->keys = self->lists = self->rows = (struct cuts){ 0 };
    self->at = self->row_at = 0;
}

void history_destroy(history_t **self_p)
{
    struct history *self = *self_p;
    if (!self)
        return;
    forget(self);
    json_destroy(&self->json);
    json_destroy(&self->row_json);
    free(self);
    *self_p = NULL;
}

/* Keys come unescaped, and that may lie anywhere: each is copied. */
static int on_entity(void *owner, struct slice key, struct json_value value)
{
    struct history *self = owner;
    if (value.kind != JSON_ARRAY || key.size == 0 || key.size > 1024)
        return -1;
    char *copy = malloc(key.size);
    assert(copy);
    memcpy(copy, key.data, key.size);
    cut(&self->keys, (struct slice){ copy, key.size });
    cut(&self->lists, value.raw);
    return 0;
}

int history_take(history_t *self, struct slice answer, int64_t start_us, const char **why)
{
    struct json_value root;
    forget(self);
    self->text = malloc(answer.size + 1);
    assert(self->text);
    memcpy(self->text, answer.data ? answer.data : "", answer.size);
    self->start_us = start_us;
    if (json_read_levels(self->json, (struct slice){ self->text, answer.size }, 1, &root, why))
        return -1;
    *why = "is no object of arrays";
    if (root.kind == JSON_OBJECT && json_each_member(self->json, root.raw, on_entity, self) == 0)
        return 0;
    forget(self);
    return -1;
}

static int on_row(void *owner, struct json_value value)
{
    struct history *self = owner;
    cut(&self->rows, value.raw);
    return 0;
}

static int open_entity(struct history *self, const char **why)
{
    struct json_value root;
    self->rows.count = self->row_at = 0;
    self->has_old = false;
    self->old = (struct made_state){ 0 };
    if (json_read_levels(self->json, self->lists.list[self->at], 1, &root, why))
        return -1;
    *why = "an entity's rows cannot be read";
    return json_each_item(self->json, root.raw, on_row, self);
}

/* Seconds with a fraction: 0 where there are none that make sense. */
static int64_t read_seconds(struct json_value value)
{
    double seconds;
    int64_t at_us = json_real(value, &seconds) ? time_from_seconds(seconds) : -1;
    return at_us > 0 ? at_us : 0;
}

static int read_row(struct history *self, struct slice text, struct made_state *to, const char **why)
{
    struct json_value root, part[ROW_KEYS];
    if (json_read(self->row_json, text, &root, why))
        return -1;
    *why = "a row is no object with a state and a time";
    if (root.kind != JSON_OBJECT || json_pick(self->row_json, root.raw, row_keys, ROW_KEYS, part)
        || (part[ROW_STATE].kind != JSON_TEXT && part[ROW_STATE].kind != JSON_NULL))
        return -1;
    *to = (struct made_state){ .updated_us = read_seconds(part[ROW_UPDATED]) };
    if (part[ROW_STATE].kind == JSON_TEXT)
        to->state = part[ROW_STATE].raw;
    if (part[ROW_ATTRIBUTES].kind == JSON_OBJECT)
        to->attributes = part[ROW_ATTRIBUTES].raw;
    else if (part[ROW_ATTRIBUTES].kind != JSON_NOTHING && part[ROW_ATTRIBUTES].kind != JSON_NULL)
        return -1;
    to->changed_us = part[ROW_CHANGED].kind == JSON_NUMBER ? read_seconds(part[ROW_CHANGED]) : to->updated_us;
    return to->updated_us > 0 && to->changed_us > 0 ? 0 : -1;
}

static int hand_out(struct history *self, history_row_fn *fn, void *owner, const char **why)
{
    struct history_row row = { .entity_id = self->keys.list[self->at], .has_old = self->has_old, .old = self->old };
    if (read_row(self, self->rows.list[self->row_at], &row.now, why))
        return -1;
    if (!row.now.attributes.data) /* as they were */
        row.now.attributes = self->has_old && self->old.attributes.data ? self->old.attributes : slice_of("{}");
    row.is_start = row.now.updated_us <= self->start_us;
    if (row.is_start) /* since when is not told */
        row.now.changed_us = 0;
    fn(owner, &row);
    self->old = row.now;
    self->old.updated_us = 0; /* of an old state that is not asked for */
    self->has_old = row.now.state.data != NULL; /* what comes after a removal is new */
    return 0;
}

int history_step(history_t *self, size_t rows, history_row_fn *fn, void *owner, const char **why)
{
    while (self->at < self->lists.count) {
        if (self->row_at == 0 && self->rows.count == 0 && open_entity(self, why))
            return -1;
        for (; self->row_at < self->rows.count; self->row_at++, rows--) {
            if (rows == 0)
                return 1;
            if (hand_out(self, fn, owner, why))
                return -1;
        }
        self->rows.count = self->row_at = 0;
        self->at++;
    }
    forget(self);
    return 0;
}
