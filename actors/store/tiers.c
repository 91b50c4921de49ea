/* tiers.c - a stretch of a question is put together: rollups of the coarsest tier that fits, then of finer ones, then samples. */
#include "buckets.h"

#include "inside.h"
#include "rollup_chunk.h"
#include "units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- is it of use ---------------------------------------------------------------------------------- */

/* A row of `rolled`. */
struct chunk { int64_t number, until, dirty_from, dirty_to; int class; bool kept, doubt; };
struct chunks { struct chunk *items; size_t count, room; };

static enum store_result list_chunks(store_t *store, int64_t series, enum tier tier, int64_t first, int64_t last, struct chunks *to)
{
    sqlite3_stmt *list = statement(store, ROLLED_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, series);
    sqlite3_bind_int(list, 2, (int)tier);
    sqlite3_bind_int64(list, 3, first);
    sqlite3_bind_int64(list, 4, last);
    int rc;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        if (to->count == to->room) {
            to->room = to->room ? to->room * 2 : 8;
            to->items = realloc(to->items, to->room * sizeof *to->items);
            assert(to->items);
        }
        to->items[to->count++] = (struct chunk){ sqlite3_column_int64(list, 0), sqlite3_column_int64(list, 1), sqlite3_column_int64(list, 4),
            sqlite3_column_int64(list, 5), sqlite3_column_int(list, 2), sqlite3_column_int(list, 3) != 0, sqlite3_column_int(list, 6) != 0 };
    }
    sqlite3_reset(list);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read what is rolled up");
}

enum store_result rollup_get(store_t *store, int64_t series, enum tier tier, int64_t chunk, rollup_reader_t **reader)
{
    *reader = NULL;
    sqlite3_stmt *get = statement(store, ROLLUP_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, series);
    sqlite3_bind_int(get, 2, (int)tier);
    sqlite3_bind_int64(get, 3, chunk);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW)
        *reader = rollup_reader_new(column_bytes(get, 0)); /* a damaged one is none: samples say the same */
    sqlite3_reset(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read a rollup");
}

/* What makes a chunk's numbers the question's: times and plus. */
struct scale { double times, plus; };

static bool find_scale(const struct asked *self, const struct unit_name *unit, struct scale *scale)
{
    double zero = 0.0, one = 1.0;
    *scale = (struct scale){ 1.0, 0.0 };
    if (self->what.class == CLASS_STATES || slice_equal(unit_slice(unit), unit_slice(&self->what.unit)))
        return true;
    if (!units_convert(unit_slice(unit), unit_slice(&self->what.unit), &zero) || !units_convert(unit_slice(unit), unit_slice(&self->what.unit), &one))
        return false;
    *scale = (struct scale){ one - zero, zero };
    return scale->times > 0.0 && self->what.class != CLASS_ANGLE && (scale->plus == 0.0 || !class_counts(self->what.class));
}

static void apply(const struct scale *scale, struct bucket *b)
{
    b->first = b->first * scale->times + scale->plus;
    b->last = b->last * scale->times + scale->plus;
    b->min = b->min * scale->times + scale->plus;
    b->max = b->max * scale->times + scale->plus;
    b->integral = b->integral * scale->times + scale->plus * (double)b->value_us;
    b->increase *= scale->times;
}

static bool fits(const struct asked *self, const struct rollup_head *head, enum tier tier, int64_t from, int64_t until, struct scale *scale)
{
    return head->tier == tier && head->class == self->what.class && head->from == from && head->until == until && head->buckets > 0
        && (tier != TIER_DAY || strcmp(head->zone, zone_name(self->step.zone)) == 0) && find_scale(self, &head->unit, scale);
}

/* --- feeding ---------------------------------------------------------------------------------------------- */

static enum store_result feed_tier(struct asked *self, size_t span, enum tier tier, int64_t from, int64_t to);

static enum store_result feed_hole(struct asked *self, size_t span, enum tier tier, int64_t to)
{
    int64_t at = bucketer_at(self->bucketer);
    return at < to && self->stopped == 0 ? feed_tier(self, span, tier - 1, at, to) : STORE_OK;
}

/* The next edge of the question's step behind a moment, from one call to the next. */
static int64_t edge_behind(struct asked *self, int64_t at)
{
    if (at < self->edge_before || at >= self->edge) { /* holes are filled from before */
        self->edge_before = step_start(&self->step, at);
        self->edge = step_next(&self->step, self->edge_before);
    }
    return self->edge;
}

static enum store_result feed_bucket(struct asked *self, size_t span, enum tier tier, const struct bucket *b, const struct scale *scale)
{
    enum store_result result = feed_hole(self, span, tier, b->from);
    if (result != STORE_OK || self->stopped)
        return result;
    struct bucket part = *b;
    apply(scale, &part);
    self->goes_on = false;
    self->stopped = bucketer_part(self->bucketer, &part);
    return STORE_OK;
}

static enum store_result feed_chunk(struct asked *self, size_t span, enum tier tier, const struct chunk *chunk, int64_t end)
{
    struct scale scale;
    rollup_reader_t *reader;
    struct step step = tier_step(tier, self->step.zone);
    int64_t start = tier_chunk_start(tier, self->step.zone, chunk->number);
    enum store_result result = rollup_get(self->store, self->spans[span].series, tier, chunk->number, &reader);
    if (!reader || !fits(self, rollup_reader_head(reader), tier, start, chunk->until, &scale)) {
        rollup_reader_destroy(&reader);
        return result;
    }
    const struct bucket *b;
    for (int64_t to = step_next(&step, start); result == STORE_OK && !self->stopped && to <= end; to = step_next(&step, start)) {
        if (!(b = rollup_reader_next(reader, start, to)))
            break;
        bool is_dirty = chunk->dirty_to > 0 && start < chunk->dirty_to && to > chunk->dirty_from;
        if (!is_dirty && start >= bucketer_at(self->bucketer) && to <= edge_behind(self, start))
            result = feed_bucket(self, span, tier, b, &scale);
        start = to;
    }
    rollup_reader_destroy(&reader);
    return result;
}

static bool may_use(const struct asked *self, enum tier tier)
{
    if (tier == TIER_DAY)
        return self->step.kind != STEP_FIXED;
    return self->step.kind != STEP_FIXED || self->step.us >= (tier == TIER_HOUR ? HOUR_US : QUARTER_US);
}

static enum store_result feed_tier(struct asked *self, size_t span, enum tier tier, int64_t from, int64_t to)
{
    if (tier == TIER_RAW)
        return feed_samples(self, span, from, to);
    if (!may_use(self, tier))
        return feed_tier(self, span, tier - 1, from, to);
    struct chunks chunks = { 0 };
    enum store_result result = list_chunks(self->store, self->spans[span].series, tier, tier_chunk(tier, self->step.zone, from),
                                           tier_chunk(tier, self->step.zone, to - 1), &chunks);
    for (size_t i = 0; i < chunks.count && result == STORE_OK && !self->stopped; i++) {
        const struct chunk *c = &chunks.items[i];
        if (c->kept && c->class == (int)self->what.class && !(c->doubt && class_counts(self->what.class)))
            result = feed_chunk(self, span, tier, c, to);
    }
    free(chunks.items);
    return result == STORE_OK ? feed_hole(self, span, tier, to) : result;
}

/* Of a history of several series what is before the first sample of a later one depends on an earlier one. */
static enum store_result first_edge(struct asked *self, size_t span, int64_t from, int64_t to, int64_t *edge)
{
    const struct lineage_span *s = &self->spans[span];
    *edge = from;
    if (span == 0 && s->from_us == 0)
        return STORE_OK;
    *edge = to;
    if (class_counts(self->what.class))
        return STORE_OK;
    samples_t *samples = samples_open(self->store, s->series, s->from_us, to, false);
    struct sample sample;
    enum store_result result = samples ? samples_next(samples, &sample) : STORE_TROUBLE;
    samples_close(&samples);
    if (result == STORE_OK && sample.at < from)
        *edge = from;
    else if (result == STORE_OK)
        *edge = step_next(&self->step, step_start(&self->step, sample.at));
    *edge = *edge < to ? *edge : to;
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result feed_span(struct asked *self, size_t span, int64_t from, int64_t to)
{
    int64_t edge = to;
    enum store_result result = self->has_rollups ? first_edge(self, span, from, to, &edge) : STORE_OK;
    if (result == STORE_OK && from < edge)
        result = feed_samples(self, span, from, edge);
    if (result == STORE_OK && !self->stopped && bucketer_at(self->bucketer) < to)
        result = feed_tier(self, span, self->has_rollups ? TIER_DAY : TIER_RAW, bucketer_at(self->bucketer), to);
    return result;
}

/* --- counters ------------------------------------------------------------------------------------------------ */

static bool in_unit_of(const struct asked *self, const struct rollup_head *head, struct counter *counter)
{
    struct scale scale;
    if (head->class != self->what.class || !find_scale(self, &head->unit, &scale))
        return false;
    counter->previous *= scale.times;
    counter->highest *= scale.times;
    return true;
}

enum store_result counter_before(struct asked *self, int64_t series, int64_t at, struct counter *counter, int64_t *since)
{
    *counter = (struct counter){ 0 };
    *since = 0;
    sqlite3_stmt *before = self->has_rollups ? statement(self->store, ROLLED_BEFORE) : NULL;
    if (!before)
        return self->has_rollups ? STORE_TROUBLE : STORE_OK;
    sqlite3_bind_int64(before, 1, series);
    sqlite3_bind_int(before, 2, TIER_QUARTER);
    sqlite3_bind_int64(before, 3, tier_chunk(TIER_QUARTER, NULL, at));
    sqlite3_bind_int(before, 4, (int)self->what.class);
    int rc = sqlite3_step(before);
    int64_t number = sqlite3_column_int64(before, 0), until = sqlite3_column_int64(before, 1);
    bool is_clean = rc == SQLITE_ROW && sqlite3_column_int64(before, 3) == 0;
    sqlite3_reset(before);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? STORE_OK : trouble(self->store, "cannot look for a counter");
    rollup_reader_t *reader;
    enum store_result result = rollup_get(self->store, series, TIER_QUARTER, number, &reader);
    if (reader) {
        const struct rollup_head *head = rollup_reader_head(reader);
        bool is_after = is_clean && until <= at && head->until == until;
        struct counter known = is_after ? head->after : head->before;
        if (in_unit_of(self, head, &known)) {
            *counter = known;
            *since = is_after ? until : head->from;
        }
    }
    rollup_reader_destroy(&reader);
    return result;
}
