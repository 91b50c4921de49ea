/* series_columns.c - what an entity was becomes columns: step after step, or sample after sample. */
#include "series_inside.h"

#include "absent.h"
#include "spans.h"
#include "units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- steps --------------------------------------------------------------------------------------------- */

static double stat_of(const struct bucket *b, enum series_class class, enum stat stat)
{
    double mean;
    switch (stat) {
    case STAT_COUNT: return (double)b->count;
    case STAT_MEAN: return bucket_mean(b, class, &mean) ? mean : NAN;
    case STAT_MIN: return b->has_range ? b->min : NAN;
    case STAT_MAX: return b->has_range ? b->max : NAN;
    case STAT_FIRST: return b->has_first && class != CLASS_STATES ? b->first : NAN;
    case STAT_LAST: return b->has_last && class != CLASS_STATES ? b->last : NAN;
    case STAT_INCREASE: return b->has_increase ? b->increase : NAN;
    case STAT_RESETS: return class_counts(class) ? (double)b->resets : NAN;
    case STAT_SECONDS: return (double)b->value_us / 1e6;
    case STAT_SECONDS_UNAVAILABLE: return (double)b->unavailable_us / 1e6;
    case STAT_SECONDS_GAP: return (double)b->gap_us / 1e6;
    case STAT_DURATIONS: case STATS: break;
    }
    return NAN;
}

/* Runs of steps are looked up when all have been read: the reading must not be disturbed. */
static void note_lack(msgpack_sbuffer *lacking, const struct bucket *b)
{
    if (b->unavailable_us > 0)
        piece_stretch(lacking, b->from, b->to);
}

static enum store_result find_absences(series_reader_t *self)
{
    const msgpack_sbuffer *lacking = &self->piece.lacking;
    enum store_result result = STORE_OK;
    for (size_t at = 0; at < lacking->size && result == STORE_OK; at += 2 * sizeof(int64_t)) {
        int64_t run[2];
        memcpy(run, lacking->data + at, sizeof run);
        result = store_absent(self->store, self->spans, self->spans_count, self->facts.class == CLASS_STATES, run[0], run[1], piece_stretch,
                              &self->piece.unavailable);
    }
    return result;
}

static int take_bucket(void *owner, const struct bucket *b)
{
    series_reader_t *self = owner;
    struct piece *p = &self->piece;
    bool states = self->facts.class == CLASS_STATES;
    if (series_is_full(self)) {
        p->is_full = true;
        p->next = b->from;
        return 1;
    }
    double numbers[STATS];
    size_t count = 0;
    piece_int(&p->start, b->from);
    for (size_t i = 0; i < self->plan.stats_count; i++) {
        enum stat stat = self->plan.stats[i];
        if (stat != STAT_DURATIONS)
            numbers[count++] = stat_of(b, self->facts.class, stat);
        if (states && stat == STAT_FIRST)
            piece_text(&p->first_states, b->has_first, b->first_state);
        if (states && stat == STAT_LAST)
            piece_text(&p->last_states, b->has_last, b->last_state);
        if (stat == STAT_DURATIONS) {
            piece_comma(&p->texts);
            bucket_durations(b, &p->texts);
        }
        for (int64_t k = 0; stat == STAT_RESETS && k < b->resets && k < RESETS_MAX && b->reset_at; k++)
            piece_int(&p->resets, b->reset_at[k]);
    }
    piece_reals(&p->numbers, numbers, count);
    p->count++;
    p->tier = b->tier < p->tier ? b->tier : p->tier;
    p->open_from = b->is_open ? b->from : 0;
    note_lack(&p->lacking, b);
    return 0;
}

enum store_result series_steps(series_reader_t *self, int64_t from)
{
    const struct plan *plan = &self->plan;
    int64_t to = plan->to < plan->now ? plan->to : from < plan->now ? plan->now : from + 1; /* none begins later than now */
    struct bucket_question q = { .from_us = from, .to_us = to, .now_us = plan->now, .step = plan->step, .has_unit = plan->has_unit,
        .unit = plan->unit, .told = &self->facts };
    enum store_result result = store_buckets_of(self->store, self->spans, self->spans_count, &q, take_bucket, self);
    return result == STORE_OK ? find_absences(self) : result;
}

/* --- samples --------------------------------------------------------------------------------------------- */

static enum store_result put_sample(series_reader_t *self, const struct sample *s)
{
    struct piece *p = &self->piece;
    const struct unit_name *unit;
    double number = NAN;
    p->lacks |= s->kind != SAMPLE_NUMBER && (s->kind != SAMPLE_TEXT || self->facts.class != CLASS_STATES);
    if (s->kind == SAMPLE_NUMBER) {
        enum store_result result = facts_unit(facts_of(self->store), s->snapshot, &unit);
        if (result != STORE_OK)
            return result;
        number = s->number;
        if (!units_convert(unit_slice(unit), unit_slice(&self->facts.unit), &number))
            number = NAN;
    }
    piece_int(&p->start, s->at);
    piece_reals(&p->numbers, &number, 1);
    piece_text(&p->texts, s->kind != SAMPLE_REMOVED, s->state);
    p->count++;
    return STORE_OK;
}

/* A stretch of samples ends only where time goes on: those of one moment stay together. */
static bool ends_before(series_reader_t *self, const struct sample *s, int64_t last_at)
{
    struct piece *p = &self->piece;
    if (s->at == last_at)
        return false;
    p->is_cut = self->plan.taken + p->count >= ROWS_MAX;
    p->is_full = !p->is_cut && series_is_full(self);
    if (p->is_cut || p->is_full)
        p->next = s->at;
    return p->is_cut || p->is_full;
}

/* The value in force at the beginning comes first, if there is one and no other at that very moment. */
static enum store_result take_samples(series_reader_t *self, history_t *history, int64_t from)
{
    struct sample s, prior = { 0 };
    bool has_prior = false;
    char *text = NULL;
    int64_t last_at = -1;
    self->piece.lacks = self->plan.position == 0; /* until it is known what was in force at the beginning */
    enum store_result result;
    while ((result = history_next(history, &s)) == STORE_OK) {
        if (s.at < from) {
            prior = s;
            has_prior = s.kind != SAMPLE_REMOVED;
            self->piece.lacks = !has_prior;
            free(text);
            text = malloc(s.state.size + 1);
            assert(text);
            memcpy(text, s.state.size ? s.state.data : "", s.state.size);
            prior.state.data = text;
            continue;
        }
        if (has_prior && s.at > from)
            result = put_sample(self, &prior);
        has_prior = false;
        self->piece.lacks &= s.at > from || last_at >= 0;
        if (result != STORE_OK || ends_before(self, &s, last_at))
            break;
        last_at = s.at;
        result = put_sample(self, &s);
        if (result != STORE_OK)
            break;
    }
    if (result == STORE_MISSING && has_prior)
        result = put_sample(self, &prior);
    free(text);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result series_samples(series_reader_t *self, int64_t from, bool goes_on)
{
    const struct plan *plan = &self->plan;
    int64_t end = plan->to;
    enum store_result result = facts_of_series(facts_of(self->store), self->spans[self->spans_count - 1].series, &self->facts);
    if (result != STORE_OK)
        return result;
    if (plan->has_unit) {
        self->facts.unit.size = plan->unit.size < UNIT_BYTES ? plan->unit.size : UNIT_BYTES;
        memcpy(self->facts.unit.text, plan->unit.data, self->facts.unit.size);
    }
    self->piece.tier = TIER_RAW;
    history_t *history = history_open(self->store, self->spans, self->spans_count, from, end, !goes_on);
    result = take_samples(self, history, from);
    history_close(&history);
    if (result == STORE_OK && self->piece.lacks)
        result = store_absent(self->store, self->spans, self->spans_count, self->facts.class == CLASS_STATES, from,
                              self->piece.next ? self->piece.next : end < plan->now ? end : plan->now, piece_stretch, &self->piece.unavailable);
    return result;
}
