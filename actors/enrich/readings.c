/* readings.c - what one source has said, in the order of time: the reading in force at a moment. */
#include "readings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entry { int64_t as_of_us, until_us; size_t size; char *json; };
struct readings { struct entry *entries; size_t count, room, last; int64_t gone_until_us; };

readings_t *readings_new(void)
{
    readings_t *self = calloc(1, sizeof *self);
    assert(self);
    return self;
}

static void drop(readings_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(self->entries[i].json);
    self->count -= count;
    if (self->count > 0)
        memmove(self->entries, self->entries + count, self->count * sizeof *self->entries);
    self->last = 0;
}

void readings_destroy(readings_t **self_p)
{
    readings_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    drop(self, self->count);
    free(self->entries);
    free(self);
}

/* How many begin at this moment or before. */
static size_t count_until(const readings_t *self, int64_t at_us)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->entries[middle].as_of_us <= at_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *insert(readings_t *self, size_t at)
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 16;
        self->entries = realloc(self->entries, self->room * sizeof *self->entries);
        assert(self->entries);
    }
    memmove(self->entries + at + 1, self->entries + at, (self->count++ - at) * sizeof *self->entries);
    self->entries[at].json = NULL;
    return &self->entries[at];
}

void readings_add(readings_t *self, int64_t as_of_us, int64_t until_us, struct slice json)
{
    size_t at = count_until(self, as_of_us);
    struct entry *entry = at > 0 && self->entries[at - 1].as_of_us == as_of_us ? &self->entries[at - 1] : insert(self, at);
    free(entry->json);
    *entry = (struct entry){ as_of_us, until_us, json.size, malloc(json.size + 1) };
    assert(entry->json);
    memcpy(entry->json, json.data, json.size);
    self->last = 0;
    if (self->count > READINGS_MAX) {
        self->gone_until_us = self->entries[1].as_of_us;
        drop(self, 1);
    }
}

struct slice readings_at(readings_t *self, int64_t at_us, int64_t lasts_us)
{
    const struct slice none = { NULL, 0 };
    size_t last = self->last; /* events come in the order of time, as good as */
    bool is_last = last > 0 && self->entries[last - 1].as_of_us <= at_us && (last == self->count || self->entries[last].as_of_us > at_us);
    if (!is_last)
        self->last = last = count_until(self, at_us);
    if (last == 0)
        return none;
    const struct entry *entry = &self->entries[last - 1];
    bool is_over = entry->until_us == READING_OPEN ? at_us - entry->as_of_us > lasts_us : at_us >= entry->until_us;
    return is_over ? none : (struct slice){ entry->json, entry->size };
}

void readings_drop(readings_t *self, int64_t before_us)
{
    drop(self, count_until(self, before_us - 1));
}

void readings_cut(readings_t *self, int64_t after_us)
{
    size_t keep = count_until(self, after_us);
    while (self->count > keep)
        free(self->entries[--self->count].json);
    self->last = 0;
}

void readings_forget(readings_t *self, int64_t before_us)
{
    size_t count = count_until(self, before_us);
    if (count > 1)
        drop(self, count - 1);
}

int64_t readings_gone_until(const readings_t *self)
{
    return self->gone_until_us;
}
