/* facts.c - what the attributes and snapshots of samples say of numbers: unit, kind of counter, last reset. */
#include "facts.h"

#include "inside.h"
#include "json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct facts {
    store_t *store;
    json_t *json;
    int64_t snapshot, attributes; /* what is remembered is of these; -1: of none */
    struct unit_name unit;
    uint64_t last_reset;
    bool has_class;
    enum series_class class;
};

facts_t *facts_of(store_t *store)
{
    if (!store->facts) {
        store->facts = calloc(1, sizeof *store->facts);
        assert(store->facts);
        *store->facts = (struct facts){ .store = store, .json = json_new(), .snapshot = -1, .attributes = -1 };
    }
    return store->facts;
}

void facts_close(facts_t **self_p)
{
    if (*self_p)
        json_destroy(&(*self_p)->json);
    free(*self_p);
    *self_p = NULL;
}

enum store_result facts_unit(facts_t *self, int64_t snapshot, const struct unit_name **unit)
{
    struct slice bytes;
    struct event_full e;
    *unit = &self->unit;
    if (snapshot == self->snapshot)
        return STORE_OK;
    self->snapshot = -1;
    self->unit.size = 0;
    if (snapshot != 0) {
        enum store_result result = word_get(self->store, SNAPSHOT, snapshot, &bytes);
        if (result != STORE_OK)
            return result;
        schema_clear(event_full_schema(), &e);
        if (snapshot_read(bytes, &e) == 0 && e.has_unit && e.unit.size <= UNIT_BYTES) {
            memcpy(self->unit.text, e.unit.data, e.unit.size);
            self->unit.size = e.unit.size;
        }
    }
    self->snapshot = snapshot;
    return STORE_OK;
}

static enum series_class class_named(struct slice name)
{
    return slice_equal(name, slice_of("total")) ? CLASS_TOTAL : slice_equal(name, slice_of("total_increasing")) ? CLASS_INCREASING
        : slice_equal(name, slice_of("measurement_angle")) ? CLASS_ANGLE : CLASS_PLAIN;
}

static enum store_result read_attributes(facts_t *self, int64_t attributes)
{
    static const char *const keys[] = { "state_class", "last_reset" };
    struct json_value root, values[2] = { { 0 } };
    struct slice bytes, text;
    const char *why;
    if (attributes == self->attributes)
        return STORE_OK;
    self->attributes = -1;
    self->last_reset = 0;
    self->has_class = false;
    self->class = CLASS_PLAIN;
    enum store_result result = attributes ? word_get(self->store, ATTRIBUTE, attributes, &bytes) : STORE_OK;
    if (result != STORE_OK && result != STORE_BAD)
        return result;
    if (attributes && result == STORE_OK && json_read(self->json, bytes, &root, &why) == 0 && root.kind == JSON_OBJECT)
        json_pick(self->json, root.raw, keys, 2, values);
    if (values[0].kind == JSON_TEXT && json_text(self->json, values[0], &text)) {
        self->has_class = true;
        self->class = class_named(text);
    }
    if (values[1].kind == JSON_TEXT)
        self->last_reset = hash_bytes(HASH_SEED, values[1].raw) | 1;
    self->attributes = attributes;
    return STORE_OK;
}

enum store_result facts_last_reset(facts_t *self, int64_t attributes, uint64_t *hash)
{
    enum store_result result = read_attributes(self, attributes);
    *hash = self->last_reset;
    return result;
}

/* --- of a series --------------------------------------------------------------------------------- */

/* The newest within a span that says something. STORE_MISSING: there is none. */
static enum store_result newest_value(store_t *store, int64_t series, int64_t from, int64_t to, struct sample *newest)
{
    samples_t *samples = samples_open(store, series, from, to, false);
    struct sample s;
    bool found = false;
    enum store_result result = samples ? STORE_OK : STORE_TROUBLE;
    while (result == STORE_OK && (result = samples_next(samples, &s)) == STORE_OK)
        if (s.kind == SAMPLE_NUMBER || s.kind == SAMPLE_TEXT) {
            *newest = s;
            found = true;
        }
    samples_close(&samples);
    return result != STORE_MISSING ? result : found ? STORE_OK : STORE_MISSING;
}

/* Mostly the newest of all is one; else farther and farther back. */
static enum store_result find_newest(store_t *store, int64_t series, struct sample *newest)
{
    samples_t *samples = samples_open(store, series, INT64_MAX, INT64_MAX, true);
    if (!samples)
        return STORE_TROUBLE;
    enum store_result result = samples_next(samples, newest);
    samples_close(&samples);
    if (result != STORE_OK || newest->kind == SAMPLE_NUMBER || newest->kind == SAMPLE_TEXT)
        return result;
    int64_t to = newest->at, back = HOUR_US;
    do {
        int64_t from = to > back ? to - back : 0;
        result = newest_value(store, series, from, to, newest);
        to = from;
        back *= 16;
    } while (result == STORE_MISSING && to > 0);
    return result;
}

enum store_result facts_of_series(facts_t *self, int64_t series, struct series_facts *to)
{
    struct sample newest;
    const struct unit_name *unit;
    *to = (struct series_facts){ .class = CLASS_PLAIN };
    enum store_result result = find_newest(self->store, series, &newest);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    result = facts_unit(self, newest.snapshot, &unit);
    if (result == STORE_OK)
        result = read_attributes(self, newest.attributes);
    if (result != STORE_OK)
        return result;
    to->unit = *unit;
    to->class = newest.kind == SAMPLE_TEXT && !self->has_class && unit->size == 0 ? CLASS_STATES : self->class;
    return STORE_OK;
}
