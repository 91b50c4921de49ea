/* buckets.c - buckets of a series, made of its samples and the gaps. */
#include "buckets.h"

#include "inside.h"
#include "units.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers in one unit ----------------------------------------------------------------------- */

/* A number in another unit is brought to this one, and is none where that cannot be. */
static enum store_result in_unit(struct asked *self, struct sample *s)
{
    const struct unit_name *unit;
    if (s->snapshot != self->snapshot) {
        enum store_result result = facts_unit(self->facts, s->snapshot, &unit);
        if (result != STORE_OK)
            return result;
        self->snapshot = s->snapshot;
        self->is_same_unit = slice_equal(unit_slice(unit), unit_slice(&self->what.unit));
        self->has_mixed_units |= !self->is_same_unit;
    }
    if (self->is_same_unit)
        return STORE_OK;
    enum store_result result = facts_unit(self->facts, s->snapshot, &unit);
    if (result == STORE_OK && !units_convert(unit_slice(unit), unit_slice(&self->what.unit), &s->number))
        s->kind = SAMPLE_NONE;
    return result;
}

enum store_result asked_sample(struct asked *self, samples_t *samples, struct sample *s, uint64_t *last_reset)
{
    *last_reset = 0;
    enum store_result result = samples_next(samples, s);
    if (result != STORE_OK || s->kind != SAMPLE_NUMBER || self->what.class == CLASS_STATES)
        return result;
    result = in_unit(self, s);
    if (result == STORE_OK && self->what.class == CLASS_TOTAL)
        result = facts_last_reset(self->facts, s->attributes, last_reset);
    return result;
}

/* --- what was before ------------------------------------------------------------------------------ */

/* The newest sample of the history before `at`. */
static enum store_result feed_prior(struct asked *self, size_t span, int64_t at)
{
    for (size_t i = span + 1; i-- > 0;) {
        const struct lineage_span *s = &self->spans[i];
        int64_t to = at < s->to_us ? at : s->to_us;
        samples_t *samples = to > s->from_us ? samples_open(self->store, s->series, to, to, true) : NULL;
        if (!samples && to > s->from_us)
            return STORE_TROUBLE;
        struct sample sample;
        uint64_t last_reset;
        enum store_result result = samples ? asked_sample(self, samples, &sample, &last_reset) : STORE_MISSING;
        if (result == STORE_OK && sample.at >= s->from_us)
            self->stopped = bucketer_sample(self->bucketer, &sample, last_reset);
        samples_close(&samples);
        if (result != STORE_MISSING && (result != STORE_OK || sample.at >= s->from_us))
            return result;
    }
    return STORE_OK;
}

enum store_result count_on(struct asked *self, const struct lineage_span *s, int64_t from, int64_t to, struct counter *counter)
{
    from = from > s->from_us ? from : s->from_us;
    to = to < s->to_us ? to : s->to_us;
    samples_t *samples = from < to ? samples_open(self->store, s->series, from, to, false) : NULL;
    enum store_result result = samples ? STORE_OK : from < to ? STORE_TROUBLE : STORE_MISSING;
    struct sample sample;
    uint64_t last_reset;
    bool is_reset;
    while (result == STORE_OK && (result = asked_sample(self, samples, &sample, &last_reset)) == STORE_OK)
        if (sample.kind == SAMPLE_NUMBER)
            counter_take(counter, self->what.class, sample.number, last_reset, &is_reset);
    samples_close(&samples);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* What the counter knows at `at`. */
static enum store_result find_counter(struct asked *self, size_t span, int64_t at, struct counter *known)
{
    struct counter counter = { 0 };
    int64_t since = 0;
    enum store_result result = STORE_OK;
    if (span == 0 && self->spans[0].from_us == 0)
        result = counter_before(self, self->spans[0].series, at, &counter, &since);
    for (size_t i = 0; i <= span && result == STORE_OK; i++)
        result = count_on(self, &self->spans[i], since, at, &counter);
    bucketer_set_counter(self->bucketer, &counter);
    if (known)
        *known = counter;
    return result;
}

enum store_result feed_before(struct asked *self, size_t span, int64_t from, struct counter *known)
{
    enum store_result result = feed_prior(self, span, from);
    if (result == STORE_OK && class_counts(self->what.class))
        result = find_counter(self, span, from, known);
    self->goes_on = true;
    return result;
}

/* --- samples ---------------------------------------------------------------------------------------- */

enum store_result feed_samples(struct asked *self, size_t span, int64_t from, int64_t to)
{
    const struct lineage_span *s = &self->spans[span];
    enum store_result result = STORE_OK;
    if (!self->goes_on)
        result = feed_before(self, span, from, NULL);
    samples_t *samples = result == STORE_OK ? samples_open(self->store, s->series, from, to, false) : NULL;
    if (!samples)
        return result == STORE_OK ? STORE_TROUBLE : result;
    struct sample sample;
    uint64_t last_reset;
    while (self->stopped == 0 && (result = asked_sample(self, samples, &sample, &last_reset)) == STORE_OK)
        self->stopped = bucketer_sample(self->bucketer, &sample, last_reset);
    samples_close(&samples);
    if (self->stopped == 0 && result == STORE_MISSING)
        self->stopped = bucketer_reach(self->bucketer, to);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- the question ------------------------------------------------------------------------------------ */

static enum store_result choose(struct asked *self, const struct bucket_question *q)
{
    struct series_facts found = { .class = CLASS_PLAIN };
    if (q->has_unit && q->unit.size > UNIT_BYTES)
        return STORE_BAD;
    enum store_result result = STORE_OK;
    if (q->class == CLASS_AUTO || !q->has_unit)
        result = self->count ? facts_of_series(self->facts, self->spans[self->count - 1].series, &found) : STORE_OK;
    if (q->class != CLASS_AUTO)
        found.class = q->class;
    if (q->has_unit) {
        memcpy(found.unit.text, q->unit.data, q->unit.size);
        found.unit.size = q->unit.size;
    }
    self->what = found;
    if (q->told)
        *q->told = found;
    return result;
}

int asked_gap(struct asked *self, const struct store_gap *gap)
{
    bool is_ours = gap->series == 0;
    for (size_t i = 0; i < self->count && !is_ours; i++)
        is_ours = self->spans[i].series == gap->series;
    if (!is_ours)
        return 0;
    struct span *last = self->gap_count ? &self->gaps[self->gap_count - 1] : NULL;
    if (last && gap->from <= last->to) {
        last->to = last->to > gap->to ? last->to : gap->to;
        return 0;
    }
    if (self->gap_count == self->gap_room) {
        self->gap_room = self->gap_room ? self->gap_room * 2 : 16;
        self->gaps = realloc(self->gaps, self->gap_room * sizeof *self->gaps);
        assert(self->gaps);
    }
    self->gaps[self->gap_count++] = (struct span){ gap->from, gap->to };
    return 0;
}

static int add_gap(void *owner, const struct store_gap *gap)
{
    return asked_gap(owner, gap);
}

static enum store_result feed(struct asked *self, int64_t from, int64_t end)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < self->count && result == STORE_OK && self->stopped == 0; i++) {
        const struct lineage_span *s = &self->spans[i];
        int64_t begin = s->from_us > from ? s->from_us : from, to = s->to_us < end ? s->to_us : end;
        if (begin < to)
            result = feed_span(self, i, begin, to);
    }
    return result;
}

static enum store_result rollups_are_there(store_t *store, bool *there)
{
    sqlite3_stmt *look = statement(store, ROLLED_LOOK);
    int rc = look ? sqlite3_step(look) : SQLITE_ERROR;
    *there = rc == SQLITE_ROW;
    if (look)
        sqlite3_reset(look);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for rollups");
}

static bool is_too_much(const struct bucket_question *q)
{
    int64_t us = q->step.kind == STEP_FIXED ? q->step.us : 23 * HOUR_US;
    return q->from_us >= q->to_us || us < 1 || q->from_us < 0 || q->to_us > MAX_TIME_US || (q->to_us - q->from_us) / us >= BUCKETS_MAX;
}

static enum store_result answer(struct asked *self, const struct bucket_question *q, bucket_fn *give, void *owner)
{
    enum store_result result = choose(self, q);
    int64_t from = step_start(&q->step, q->from_us), last = step_start(&q->step, q->to_us - 1);
    int64_t end = step_next(&q->step, last);
    end = end < q->now_us ? end : q->now_us;
    if (result == STORE_OK)
        result = store_gaps(self->store, from, end, add_gap, self);
    if (result != STORE_OK || from >= end)
        return result;
    struct bucketer_options options = {
        .class = self->what.class, .step = q->step, .from = from, .end = end,
        .gaps = self->gaps, .gap_count = self->gap_count, .give = give, .owner = owner,
    };
    self->step = q->step;
    self->edge = from;
    self->bucketer = bucketer_new(&options);
    result = rollups_are_there(self->store, &self->has_rollups);
    if (result == STORE_OK)
        result = feed(self, from, end);
    if (result == STORE_OK && self->stopped == 0)
        bucketer_end(self->bucketer);
    return result;
}

enum store_result store_buckets_of(store_t *store, const struct lineage_span *spans, size_t count, const struct bucket_question *q,
                                   bucket_fn *give, void *owner)
{
    bool empty = false, is_inside = is_reading(store);
    if (is_too_much(q))
        return STORE_BAD;
    enum store_result result = is_inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    struct asked self = { .store = store, .spans = spans, .count = count, .facts = facts_of(store), .snapshot = -1 };
    result = answer(&self, q, give, owner);
    bucketer_destroy(&self.bucketer);
    free(self.gaps);
    if (!is_inside)
        read_end(store);
    return result;
}

enum store_result store_buckets(store_t *store, int64_t series, const struct bucket_question *q, bucket_fn *give, void *owner)
{
    struct lineage_span all = { series, 0, FOREVER_US };
    return store_buckets_of(store, &all, 1, q, give, owner);
}
