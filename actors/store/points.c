/* points.c - series as rows, a page at a time: samples or buckets, entity after entity. */
#include "points.h"

#include "inside.h"
#include "rolling.h"
#include "rollup.h"
#include "stat.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_US = 1000000, LOOK_EVERY = 256, SPANS_MAX = 256, AHEAD = 2000 /* buckets that are asked for at a time */ };

static const struct { const char *name; struct step step; } steps[] = {
    { "5m", { STEP_FIXED, 300 * SECOND_US, NULL } }, { "15m", { STEP_FIXED, QUARTER_US, NULL } }, { "1h", { STEP_FIXED, HOUR_US, NULL } },
    { "1d", { STEP_DAY, 0, NULL } }, { "1mo", { STEP_MONTH, 0, NULL } },
};

/* Where a page goes on: the place in the list of ids (or the series), the time, and how many of that time were given. */
struct place { int64_t which, at, skip; bool has_at; };

struct reading {
    store_t *store;
    const struct points_query *query;
    zone_t *zone;
    struct step step;
    bool is_raw;
    unsigned stats;
    int64_t from, to, now, deadline;
    uint64_t looked;
    uint32_t mark;
    store_point_fn *row;
    void *owner;
    struct page *end;
    struct place place;          /* of the next row */
    struct slice entity;
    struct lineage_span spans[SPANS_MAX];
    size_t span_count;
    struct series_facts facts;
    msgpack_sbuffer durations;
    bool is_full;
};

static int bad(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

/* --- the question --------------------------------------------------------------------------------- */

static bool asks(const struct reading *r, enum stat stat)
{
    return r->stats >> stat & 1;
}

static int read_stats(struct reading *r, const struct points_query *q, struct fault *fault)
{
    struct slice rest = q->has_stat ? (struct slice){ q->stat, q->stat_size } : slice_of("min,mean,max"), item;
    enum stat stat;
    for (r->stats = 0; list_next(&rest, &item); r->stats |= 1U << stat)
        if (!stat_read(item, &stat))
            return bad(fault, "stat", STAT_KNOWN);
    return 0;
}

static int read_step(struct reading *r, const struct points_query *q, struct fault *fault)
{
    char home[ZONE_NAME];
    const char *why = "";
    r->is_raw = !q->has_step || strcmp(q->step, "raw") == 0;
    if (r->is_raw)
        return 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(q->step, steps[i].name) == 0)
            r->step = steps[i].step;
    if (r->step.kind == STEP_FIXED && r->step.us == 0)
        return bad(fault, "step", "is none of raw, 5m, 15m, 1h, 1d, 1mo");
    bool is_set = false;
    if (store_zone(r->store, home, &is_set) != STORE_OK || !is_set)
        zone_of_machine(home);
    r->zone = zone_open(q->has_tz ? q->tz : home, &why);
    r->step.zone = r->zone;
    return r->zone ? 0 : bad(fault, "tz", why);
}

bool points_ids_are_too_many(const struct points_query *q)
{
    struct slice rest = { q->ids, q->has_ids ? q->ids_size : 0 }, item;
    int count = 0;
    while (list_next(&rest, &item))
        count++;
    return count > POINTS_IDS_MAX;
}

static int read_query(struct reading *r, const struct points_query *q, struct fault *fault)
{
    struct row_key key;
    r->mark = points_mark(q);
    r->from = q->has_from ? q->from : 0;
    r->to = q->has_to ? q->to : r->now;
    if (r->from >= r->to)
        return bad(fault, "from", "is not before `to`");
    if (read_stats(r, q, fault) != 0 || read_step(r, q, fault) != 0)
        return -1;
    if (!q->has_cursor)
        return 0;
    if (cursor_check((struct slice){ q->cursor, q->cursor_size }, r->mark, &key, fault) != 0)
        return -1;
    r->place = (struct place){ .which = key.series, .at = key.time, .skip = key.place, .has_at = key.rest != 0 };
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------------- */

static void end_page(struct reading *r)
{
    cursor_write(&(struct row_key){ .series = r->place.which, .time = r->place.at, .place = r->place.skip, .rest = r->place.has_at }, r->mark, r->end);
    r->is_full = true;
}

static bool is_late(struct reading *r)
{
    return ++r->looked % LOOK_EVERY == 0 && clock_us() > r->deadline;
}

/* -1: the page has ended before it. */
static int give(struct reading *r, const struct point *point)
{
    if (r->end->count == r->end->limit || r->row(r->owner, point) != 0) {
        end_page(r);
        return -1;
    }
    r->end->count++;
    return 0;
}

static void begin_point(const struct reading *r, struct point *point, const struct unit_name *unit)
{
    schema_clear(point_schema(), point);
    SET(point, entity_id, r->entity);
    if (unit->size > 0)
        SET(point, unit, unit_slice(unit));
}

static enum store_result give_sample(struct reading *r, const struct sample *s)
{
    const struct unit_name *unit;
    struct point point;
    enum store_result result = facts_unit(facts_of(r->store), s->snapshot, &unit);
    if (result != STORE_OK)
        return result;
    begin_point(r, &point, unit);
    SET(&point, time, s->at);
    SET(&point, removed, s->kind == SAMPLE_REMOVED);
    if (s->kind == SAMPLE_NUMBER)
        SET(&point, value, s->number);
    if (s->kind != SAMPLE_REMOVED)
        SET(&point, state, s->state);
    r->place.skip = r->place.has_at && r->place.at == s->at ? r->place.skip : 0;
    r->place.at = s->at;
    r->place.has_at = true;
    if (give(r, &point) == 0)
        r->place.skip++;
    return STORE_OK;
}

static enum store_result give_samples(struct reading *r, const struct lineage_span *span, bool with_prior)
{
    int64_t from = r->place.has_at ? r->place.at : r->from, skip = r->place.has_at ? r->place.skip : 0, at = from;
    struct sample sample;
    enum store_result result = STORE_OK;
    from = from > span->from_us ? from : span->from_us;
    int64_t to = r->to < span->to_us ? r->to : span->to_us;
    samples_t *samples = from < to ? samples_open(r->store, span->series, from, to, with_prior) : NULL;
    if (!samples)
        return from < to ? STORE_TROUBLE : STORE_OK;
    while (!r->is_full && (result = samples_next(samples, &sample)) == STORE_OK) {
        if (skip > 0 && sample.at == at) {
            skip--;
            continue;
        }
        result = give_sample(r, &sample);
        if (result != STORE_OK)
            break;
        if (!r->is_full && is_late(r))
            end_page(r);
    }
    samples_close(&samples);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* The value in force at `from` comes first, with its own time. */
static enum store_result give_raw(struct reading *r)
{
    enum store_result result = STORE_OK;
    bool fresh = !r->place.has_at && r->from > 0;
    for (size_t i = 0; i < r->span_count && !r->is_full && result == STORE_OK; i++) {
        if (r->spans[i].to_us <= r->from)
            continue;
        result = give_samples(r, &r->spans[i], fresh && r->spans[i].from_us < r->from);
        fresh = false;
    }
    return result;
}

/* --- buckets ---------------------------------------------------------------------------------------- */

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

static void put_durations(struct reading *r, const struct bucket *b, struct point *point)
{
    msgpack_sbuffer_clear(&r->durations);
    bucket_durations(b, &r->durations);
    SET(point, durations, (struct slice){ r->durations.data, r->durations.size });
}

static void put_numbers(const struct reading *r, const struct bucket *b, struct point *point)
{
    double mean;
    if (asks(r, STAT_MEAN) && bucket_mean(b, r->facts.class, &mean))
        SET(point, mean, mean);
    if (asks(r, STAT_MIN) && b->has_range)
        SET(point, min, b->min);
    if (asks(r, STAT_MAX) && b->has_range)
        SET(point, max, b->max);
    if (asks(r, STAT_FIRST) && b->has_first)
        SET(point, first, b->first);
    if (asks(r, STAT_LAST) && b->has_last)
        SET(point, last, b->last);
    if (asks(r, STAT_INCREASE) && b->has_increase)
        SET(point, increase, b->increase);
    if (asks(r, STAT_RESETS) && class_counts(r->facts.class))
        SET(point, resets, b->resets);
}

static void put_states(struct reading *r, const struct bucket *b, struct point *point)
{
    if (asks(r, STAT_FIRST) && b->has_first)
        SET(point, first_state, b->first_state);
    if (asks(r, STAT_LAST) && b->has_last)
        SET(point, last_state, b->last_state);
    if (asks(r, STAT_DURATIONS))
        put_durations(r, b, point);
}

static int on_bucket(void *owner, const struct bucket *b)
{
    struct reading *r = owner;
    struct point point;
    begin_point(r, &point, &r->facts.unit);
    SET(&point, start, b->from);
    if (r->facts.class == CLASS_STATES)
        put_states(r, b, &point);
    else
        put_numbers(r, b, &point);
    if (asks(r, STAT_COUNT))
        SET(&point, count, b->count);
    if (asks(r, STAT_SECONDS))
        SET(&point, seconds, seconds(b->value_us));
    if (asks(r, STAT_SECONDS_UNAVAILABLE))
        SET(&point, seconds_unavailable, seconds(b->unavailable_us));
    if (asks(r, STAT_SECONDS_GAP))
        SET(&point, seconds_gap, seconds(b->gap_us));
    r->place = (struct place){ .which = r->place.which, .at = b->from, .has_at = true };
    if (give(r, &point) != 0)
        return -1;
    r->place.at = step_next(&r->step, b->from);
    return 0;
}

/* Where nobody says from when: with the first of its samples. MAX_TIME_US: there is none. */
static enum store_result find_first(struct reading *r, int64_t *first)
{
    struct sample sample;
    enum store_result result = STORE_MISSING;
    *first = MAX_TIME_US;
    for (size_t i = 0; i < r->span_count && result == STORE_MISSING; i++) {
        samples_t *samples = samples_open(r->store, r->spans[i].series, r->spans[i].from_us, r->spans[i].to_us, false);
        if (!samples)
            return STORE_TROUBLE;
        result = samples_next(samples, &sample);
        if (result == STORE_OK)
            *first = sample.at;
        samples_close(&samples);
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

/* So many at a time that a page does not take long. */
static int64_t some_steps_on(const struct reading *r, int64_t at)
{
    for (int i = 0; i < AHEAD && at < r->to; i++)
        at = step_next(&r->step, at);
    return at < r->to ? at : r->to;
}

static enum store_result give_buckets(struct reading *r)
{
    int64_t at = r->place.has_at ? r->place.at : r->from;
    enum store_result result = STORE_OK;
    if (!r->place.has_at && !r->query->has_from)
        result = find_first(r, &at);
    while (result == STORE_OK && !r->is_full && at < r->to) {
        at = step_start(&r->step, at);
        int64_t to = some_steps_on(r, at);
        struct bucket_question question = { .from_us = at, .to_us = to, .now_us = r->now, .step = r->step, .told = &r->facts };
        result = store_buckets_of(r->store, r->spans, r->span_count, &question, on_bucket, r);
        at = to;
        if (!r->is_full && at < r->to && clock_us() > r->deadline) {
            r->place = (struct place){ .which = r->place.which, .at = at, .has_at = true };
            end_page(r);
        }
    }
    return result;
}

/* --- entities --------------------------------------------------------------------------------------- */

static int on_span(void *owner, const struct lineage_span *span)
{
    struct reading *r = owner;
    if (r->span_count < SPANS_MAX)
        r->spans[r->span_count++] = *span;
    return 0;
}

static enum store_result give_entity(struct reading *r)
{
    return r->is_raw ? give_raw(r) : give_buckets(r);
}

static void begin_entity(struct reading *r, int64_t which)
{
    if (which != r->place.which)
        r->place = (struct place){ .which = which };
    r->span_count = 0;
    if (clock_us() > r->deadline)
        end_page(r);
}

static enum store_result give_named(struct reading *r)
{
    struct slice rest = { r->query->ids, r->query->ids_size };
    int64_t first = r->place.which;
    enum store_result result = STORE_OK;
    for (int64_t which = 0; result == STORE_OK && !r->is_full && list_next(&rest, &r->entity); which++) {
        if (which < first)
            continue;
        begin_entity(r, which);
        if (r->is_full)
            break;
        result = store_lineage(r->store, r->entity, false, on_span, r);
        if (result == STORE_OK)
            result = give_entity(r);
        if (result == STORE_MISSING)
            result = STORE_OK; /* nobody knows it */
    }
    return result;
}

static enum store_result give_every(struct reading *r)
{
    const struct series_list *list = &r->store->series;
    int64_t first = r->place.which;
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < list->count && result == STORE_OK && !r->is_full; i++) {
        const struct series *series = &list->items[i];
        if (!series->is_state || series->id < first)
            continue;
        begin_entity(r, series->id);
        if (r->is_full)
            break;
        r->entity = (struct slice){ series->name, series->name_size };
        on_span(r, &(struct lineage_span){ series->id, 0, FOREVER_US });
        result = give_entity(r);
    }
    return result;
}

enum store_result store_points(store_t *store, const struct points_query *q, int64_t now_us, store_point_fn *row, void *owner, struct page *end, struct fault *fault)
{
    struct reading *r = calloc(1, sizeof *r);
    bool empty;
    assert(r);
    *r = (struct reading){ .store = store, .query = q, .now = now_us, .row = row, .owner = owner, .end = end, .deadline = clock_us() + PAGE_US };
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 2000);
    enum store_result result = read_query(r, q, fault) ? STORE_BAD : read_begin(store, &empty);
    if (result == STORE_OK && !empty) {
        msgpack_sbuffer_init(&r->durations);
        result = q->has_ids ? give_named(r) : give_every(r);
        msgpack_sbuffer_destroy(&r->durations);
        read_end(store);
    }
    zone_destroy(&r->zone);
    free(r);
    return result;
}
