/* bucket_truth.h - histories of every shape, and what a bucket of theirs must be: looked up moment by moment, from the definitions. */
#ifndef BUCKET_TRUTH_H
#define BUCKET_TRUTH_H

#include "event_id.h"
#include "rollup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US INT64_C(1774569600000000) /* 27 March 2026, 00:00 UTC: two days before the clocks change */

struct truth_point { int64_t at; const char *text; /* NULL: removed */ const char *unit, *class, *last_reset; int64_t place; bool is_gone; };
struct history {
    const char *name;
    struct truth_point *points;      /* in the order in which they come */
    size_t count, stored;
    char pool[1 << 17];
    size_t used;
    uint64_t seed;
    struct span gaps[8];
    size_t gap_count;
    int64_t place;
    bool is_dense;
    const struct lineage_span *spans; /* the names it had; NULL: one */
    size_t span_count;
};

static inline int64_t roll(struct history *h, int64_t of)
{
    h->seed ^= h->seed << 13;
    h->seed ^= h->seed >> 7;
    h->seed ^= h->seed << 17;
    return (int64_t)(h->seed % (uint64_t)of);
}

static inline const char *print(struct history *h, const char *format, double number)
{
    char *at = h->pool + h->used;
    h->used += (size_t)snprintf(at, sizeof h->pool - h->used, format, number) + 1;
    assert_true(h->used < sizeof h->pool);
    return at;
}

static inline void history_add(struct history *h, struct truth_point p)
{
    h->points = realloc(h->points, (h->count + 1) * sizeof *h->points);
    p.place = ++h->place;
    h->points[h->count++] = p;
}

static inline void history_clear(struct history *h)
{
    free(h->points);
}

static inline int by_time(const void *a, const void *b)
{
    const struct truth_point *l = a, *r = b;
    return l->at != r->at ? (l->at < r->at ? -1 : 1) : l->place < r->place ? -1 : l->place > r->place;
}

/* --- making ---------------------------------------------------------------------------------------- */

enum shape { SHAPE_NUMBERS, SHAPE_COUNTER, SHAPE_TOTAL, SHAPE_ANGLE, SHAPE_STATES, SHAPES };

static inline const char *a_number(struct history *h, enum shape shape, double *level)
{
    switch (shape) {
    case SHAPE_COUNTER:
        *level = roll(h, 40) == 0 ? 0.0 : roll(h, 20) == 0 ? *level * 0.95 : *level + (double)roll(h, 30) / 10;
        return print(h, "%.1f", *level);
    case SHAPE_TOTAL:
        *level += (double)(roll(h, 400) - 150) / 100;
        return print(h, "%.2f", *level);
    case SHAPE_ANGLE:
        return print(h, "%.0f", (double)roll(h, 360));
    default:
        return roll(h, 30) == 0 ? print(h, "%.9g", (double)roll(h, 1000000007) / 7919) : print(h, "%.1f", (double)(roll(h, 400) - 150) / 10);
    }
}

static inline struct truth_point a_point(struct history *h, enum shape shape, int64_t at, double *level)
{
    static const char *const states[] = { "on", "off", "heat", "", "unavailable", "idle", "12" };
    static const char *const units[] = { "W", "kW", "apples" };
    static const char *const classes[SHAPES] = { "measurement", "total_increasing", "total", "measurement_angle", NULL };
    static const char *const resets[] = { "2026-03-27T00:00:00+00:00", "2026-03-28T00:00:00+00:00", NULL };
    struct truth_point p = { .at = at, .class = classes[shape] };
    if (shape == SHAPE_STATES) {
        p.text = states[roll(h, 7)];
        return p;
    }
    p.unit = shape == SHAPE_ANGLE || roll(h, 10) ? "W" : units[roll(h, 3)];
    p.last_reset = shape == SHAPE_TOTAL && roll(h, 3) == 0 ? resets[roll(h, 3)] : NULL;
    p.text = roll(h, 12) == 0 ? "unavailable" : roll(h, 25) == 0 ? "broken" : a_number(h, shape, level);
    p.text = roll(h, 60) == 0 ? NULL : p.text;
    return p;
}

static inline int64_t a_pace(struct history *h)
{
    static const int64_t paces[] = { 30, 120, 300, 900, 3600, 20000 };
    return paces[h->is_dense ? roll(h, 4) : roll(h, 6)];
}

static inline void history_fill(struct history *h, enum shape shape, size_t count)
{
    int64_t at = START_US - roll(h, 86400) * SECOND_US, pace = a_pace(h);
    double level = (double)roll(h, 1000);
    for (size_t i = 0; i < count; i++) {
        at += roll(h, 5) == 0 ? roll(h, pace) * SECOND_US : roll(h, pace * SECOND_US);
        if (roll(h, 30) == 0)
            pace = a_pace(h);
        history_add(h, a_point(h, shape, at + 1, &level));
    }
}

static inline enum shape history_make(struct history *h, uint64_t seed)
{
    static char names[512][24];
    *h = (struct history){ .seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1, .name = names[seed % 512] };
    snprintf(names[seed % 512], sizeof names[0], "sensor.made_%llu", (unsigned long long)seed);
    roll(h, 2);
    enum shape shape = (enum shape)roll(h, SHAPES);
    history_fill(h, shape, 20 + (size_t)roll(h, 300));
    return shape;
}

static inline enum shape history_make_dense(struct history *h, uint64_t seed)
{
    enum shape shape = history_make(h, seed);
    history_clear(h);
    h->points = NULL;
    h->count = h->used = 0;
    h->is_dense = true;
    history_fill(h, shape, 500 + (size_t)roll(h, 4000));
    return shape;
}

/* --- storing -------------------------------------------------------------------------------------------- */

static inline enum store_result history_append(const struct history *h, const struct truth_point *p, store_t *writer)
{
    struct event_full e;
    struct fault fault = { "", "" };
    char attributes[256], context[40];
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of(h->name));
    SET(&e, timestamp, p->at);
    SET(&e, received_at, p->at);
    SET(&e, place, (int64_t)(hash_bytes(1, slice_of(h->name)) % 1000000) * 1000000 + p->place);
    SET_TEXT(&e, provenance, "live", 4);
    int size = snprintf(context, sizeof context, "of %lld", (long long)p->place);
    SET(&e, context_id, ((struct slice){ context, (size_t)size }));
    if (p->text) {
        SET(&e, last_updated, p->at);
        SET(&e, state, slice_of(p->text));
        size = snprintf(attributes, sizeof attributes, "{\"x\":1%s%s%s%s%s%s}", p->class ? ",\"state_class\":\"" : "", p->class ? p->class : "",
            p->class ? "\"" : "", p->last_reset ? ",\"last_reset\":\"" : "", p->last_reset ? p->last_reset : "", p->last_reset ? "\"" : "");
        SET(&e, attributes, ((struct slice){ attributes, (size_t)size }));
    }
    if (p->unit)
        SET(&e, unit, slice_of(p->unit));
    enum store_result result = store_append(writer, &e, &fault);
    if (result != STORE_OK && result != STORE_TROUBLE)
        fail_msg("not stored: %d %s %s", (int)result, fault.field, fault.why);
    return result;
}

static inline void history_store(struct history *h, store_t *writer)
{
    for (; h->stored < h->count; h->stored++)
        assert_int_equal(history_append(h, &h->points[h->stored], writer), STORE_OK);
}

/* --- what must be ------------------------------------------------------------------------------------------ */

struct truth {
    int64_t count, value_us, unavailable_us, gap_us, resets, reset_at[4096];
    bool has_first, has_last, has_range;
    long double integral, sine, cosine, increase;
    double first, last, min, max;
    const char *first_text, *last_text;
    struct { const char *text; int64_t us; } states[STATES_MAX + 1];
    size_t state_count;
};

/* A point as it counts: its number in the unit of the answer. */
struct reading { int64_t at; bool has_value, has_number; double number; const char *text; long double growth; bool is_reset; };

static inline bool as_number(const struct truth_point *p, const char *unit, double *number)
{
    char *end;
    if (!p->text || *p->text == '\0')
        return false;
    *number = strtod(p->text, &end);
    if (*end != '\0')
        return false;
    const char *own = p->unit ? p->unit : "";
    if (strcmp(own, unit) == 0)
        return true;
    if (strcmp(own, "kW") == 0 && strcmp(unit, "W") == 0)
        *number *= 1000;
    else if (strcmp(own, "W") == 0 && strcmp(unit, "kW") == 0)
        *number /= 1000;
    else
        return false;
    return true;
}

static inline void growths(struct reading *r, size_t count, const struct truth_point *points, enum series_class class)
{
    double before = 0, highest = 0;
    bool any = false;
    const char *reset = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!r[i].has_number || (class == CLASS_INCREASING && r[i].number < 0))
            continue;
        double n = r[i].number;
        if (any && class == CLASS_INCREASING) {
            r[i].is_reset = n < 0.9 * before;
            r[i].growth = r[i].is_reset ? n : n > highest ? (long double)n - highest : 0;
        } else if (any) {
            r[i].is_reset = points[i].last_reset && (!reset || strcmp(reset, points[i].last_reset) != 0);
            r[i].growth = r[i].is_reset ? n : (long double)n - before;
        }
        highest = !any || r[i].is_reset || n > highest ? n : highest;
        before = n;
        any = true;
        reset = points[i].last_reset ? points[i].last_reset : reset;
    }
}

/* In the order of time, without those that are gone. */
static inline size_t readings(const struct history *h, enum series_class class, const char *unit, struct reading **out)
{
    struct truth_point *points = malloc((h->count + 1) * sizeof *points);
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++)
        if (!h->points[i].is_gone)
            points[count++] = h->points[i];
    qsort(points, count, sizeof *points, by_time);
    struct reading *r = calloc(count + 1, sizeof *r);
    for (size_t i = 0; i < count; i++) {
        const char *text = points[i].text;
        bool is_none = !text || strcmp(text, "unavailable") == 0 || strcmp(text, "unknown") == 0 || *text == '\0';
        r[i] = (struct reading){ .at = points[i].at, .text = text };
        r[i].has_number = class != CLASS_STATES && as_number(&points[i], unit, &r[i].number);
        r[i].has_value = class == CLASS_STATES ? !is_none : r[i].has_number;
    }
    growths(r, count, points, class);
    free(points);
    *out = r;
    return count;
}

static inline const struct span *gap_at(const struct history *h, int64_t at, int64_t since)
{
    for (size_t i = 0; i < h->gap_count; i++)
        if (h->gaps[i].from <= at && at < h->gaps[i].to && since < h->gaps[i].from)
            return &h->gaps[i];
    return NULL;
}

static inline void add_state_time(struct truth *t, const char *text, int64_t us)
{
    size_t i = 0;
    while (i < t->state_count && strcmp(t->states[i].text, text) != 0)
        i++;
    if (i > STATES_MAX)
        return;
    if (i == t->state_count)
        t->states[t->state_count++].text = text;
    t->states[i].us += us;
}

static inline void add_moment(struct truth *t, const struct reading *r, int64_t us, bool is_first)
{
    t->value_us += us;
    t->integral += (long double)r->number * us;
    t->sine += sinl((long double)r->number * M_PIl / 180) * us;
    t->cosine += cosl((long double)r->number * M_PIl / 180) * us;
    t->min = t->has_range && t->min < r->number ? t->min : r->number;
    t->max = t->has_range && t->max > r->number ? t->max : r->number;
    t->has_range = true;
    if (!r->has_number) /* a state */
        add_state_time(t, r->text, us);
    if (is_first) {
        t->has_first = true;
        t->first = r->number;
        t->first_text = r->text;
    }
    t->last = r->number;
    t->last_text = r->text;
}

static inline struct truth truth_of(const struct history *h, const struct reading *r, size_t count, int64_t from, int64_t to)
{
    struct truth t = { 0 };
    size_t next = 0, low = 0, high = count; /* next: the first that is later than `at` */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r[middle].at < from)
            low = middle + 1;
        else
            high = middle;
    }
    next = low;
    for (int64_t at = from; at < to;) {
        while (next < count && r[next].at <= at)
            next++;
        int64_t until = next < count && r[next].at < to ? r[next].at : to, since = next ? r[next - 1].at : INT64_MIN;
        for (size_t i = 0; i < h->gap_count; i++) {
            until = h->gaps[i].from > at && h->gaps[i].from < until ? h->gaps[i].from : until;
            until = h->gaps[i].to > at && h->gaps[i].to < until ? h->gaps[i].to : until;
        }
        bool is_gap = gap_at(h, at, since) != NULL;
        t.has_last = !is_gap && next > 0 && r[next - 1].has_value;
        if (t.has_last)
            add_moment(&t, &r[next - 1], until - at, at == from);
        else if (is_gap)
            t.gap_us += until - at;
        else
            t.unavailable_us += until - at;
        at = until;
    }
    for (size_t i = low; i < count && r[i].at < to; i++)
        if (from <= r[i].at) {
            t.count += r[i].has_value;
            t.increase += r[i].growth;
            if (r[i].is_reset && t.resets < 4096)
                t.reset_at[t.resets++] = r[i].at;
        }
    return t;
}

/* --- comparing ------------------------------------------------------------------------------------------------ */

struct check {
    const struct history *h;
    const struct reading *readings;
    size_t count;
    struct bucket_question q;
    struct series_facts told;
    int64_t at, end, seed, buckets, from_rollups;
};

static inline bool near(long double a, long double b, long double scale)
{
    return fabsl(a - b) <= 1e-9L * (1 + fabsl(scale));
}

#define MUST(what, condition)                                                                                                   \
    do {                                                                                                                        \
        if (!(condition))                                                                                                       \
            fail_msg("%s: seed %lld, class %d, step %d/%lld, tier %d, bucket %lld + %lld us", what, (long long)c->seed, (int)c->told.class, \
                (int)c->q.step.kind, (long long)c->q.step.us, (int)b->tier, (long long)b->from, (long long)(b->to - b->from));      \
    } while (0)

static inline bool is_text(struct slice s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

static inline void check_states(const struct check *c, const struct bucket *b, const struct truth *t)
{
    MUST("first", !t->has_first || is_text(b->first_state, t->first_text));
    MUST("last", !t->has_last || is_text(b->last_state, t->last_text));
    if (t->state_count > STATES_MAX)
        return; /* the rest is told as one */
    MUST("number of states", b->states == t->state_count && b->other_us == 0);
    for (size_t i = 0; i < b->states; i++) {
        int64_t us = 0;
        for (size_t k = 0; k < t->state_count; k++)
            us += is_text(b->durations[i].state, t->states[k].text) ? t->states[k].us : 0;
        MUST("duration", us == b->durations[i].us);
    }
}

static inline void check_numbers(const struct check *c, const struct bucket *b, const struct truth *t)
{
    double mean;
    long double scale = fabsl(t->min) + fabsl(t->max);
    MUST("first", !t->has_first || near(b->first, t->first, t->first));
    MUST("last", !t->has_last || near(b->last, t->last, t->last));
    MUST("range", b->has_range == t->has_range && (!t->has_range || (near(b->min, t->min, t->min) && near(b->max, t->max, t->max))));
    MUST("mean or none", bucket_mean(b, c->told.class, &mean) == (t->value_us > 0));
    if (t->value_us > 0 && c->told.class != CLASS_ANGLE)
        MUST("mean", near(mean, t->integral / t->value_us, scale));
    if (t->value_us > 0 && c->told.class == CLASS_ANGLE && hypotl(t->sine, t->cosine) > 1e-6L * t->value_us) {
        long double turn = fabsl(mean - (long double)(atan2l(t->sine, t->cosine) * 180 / M_PIl));
        MUST("direction", turn < 1e-6L || fabsl(turn - 360) < 1e-6L);
    }
    bool counts = c->told.class == CLASS_TOTAL || c->told.class == CLASS_INCREASING;
    MUST("increase or none", b->has_increase == (counts && (t->count > 0 || t->value_us > 0)));
    if (!counts)
        return;
    MUST("increase", near(b->increase, t->increase, fabsl(t->increase) + scale));
    MUST("resets", b->resets == t->resets && (t->resets == 0 || memcmp(b->reset_at, t->reset_at, (size_t)t->resets * sizeof *t->reset_at) == 0));
}

static inline int check_bucket(void *owner, const struct bucket *b)
{
    struct check *c = owner;
    int64_t next = step_next(&c->q.step, b->from);
    struct truth t = truth_of(c->h, c->readings, c->count, b->from, b->to);
    MUST("beginning", b->from == c->at);
    MUST("end", b->to == (next < c->q.now_us ? next : c->q.now_us) && b->is_open == (next > c->q.now_us));
    MUST("times", b->value_us == t.value_us && b->unavailable_us == t.unavailable_us && b->gap_us == t.gap_us);
    MUST("count", b->count == t.count);
    MUST("first or none", b->has_first == t.has_first && b->has_last == t.has_last);
    if (c->told.class == CLASS_STATES)
        check_states(c, b, &t);
    else
        check_numbers(c, b, &t);
    c->at = next;
    c->buckets++;
    c->from_rollups += b->tier != TIER_RAW;
    return 0;
}

static inline int keep_bucket(void *owner, const struct bucket *b)
{
    *(struct bucket *)owner = *b;
    return 0;
}

static const char *const zone_names[] = { "UTC", "Europe/Vienna", "Asia/Kathmandu", "Australia/Lord_Howe" };
static inline const zone_t *a_zone(size_t i)
{
    static zone_t *zones[4];
    const char *why;
    if (!zones[i])
        zones[i] = zone_open(zone_names[i], &why);
    assert_non_null(zones[i]);
    return zones[i];
}

static inline struct step a_step(struct history *h)
{
    static const int64_t steps[] = { 300, 900, 900, 3600, 3600, 7200, 86400, 1000 };
    switch (roll(h, 4)) {
    case 0: return (struct step){ .kind = STEP_DAY, .zone = a_zone((size_t)roll(h, 4)) };
    case 1: return (struct step){ .kind = roll(h, 3) ? STEP_DAY : STEP_MONTH, .zone = a_zone(1) };
    default: return (struct step){ .us = steps[roll(h, 8)] * SECOND_US };
    }
}

static inline enum store_result history_buckets(const struct history *h, store_t *reader, int64_t series, const struct bucket_question *q, bucket_fn *give, void *owner)
{
    return h->spans ? store_buckets_of(reader, h->spans, h->span_count, q, give, owner) : store_buckets(reader, series, q, give, owner);
}

/* One question of a random step and range. How many buckets came from rollups. */
static inline int64_t history_check_of(struct history *h, store_t *reader, int64_t series, int64_t seed, int64_t now_us)
{
    struct check c = { .h = h, .seed = seed };
    int64_t days = 1 + roll(h, 12), first = START_US + (roll(h, 20) - 3) * DAY_US + roll(h, DAY_US);
    c.q = (struct bucket_question){ .from_us = first, .to_us = first + days * DAY_US - roll(h, DAY_US), .now_us = now_us, .step = a_step(h), .told = &c.told };
    if (c.q.step.kind == STEP_FIXED && c.q.step.us < QUARTER_US)
        c.q.to_us = first + DAY_US;
    char unit[UNIT_BYTES + 1] = "";
    if (roll(h, 5) == 0) {
        c.q.has_unit = true;
        c.q.unit = slice_of(roll(h, 2) ? "kW" : "W");
    }
    if (roll(h, 8) == 0)
        c.q.class = (enum series_class)(1 + roll(h, 5));
    /* What it says of itself first, so that the truth is of the same class and unit. */
    struct bucket_question look = c.q;
    look.to_us = look.from_us + 1;
    struct bucket ignored;
    assert_int_equal(history_buckets(h, reader, series, &look, keep_bucket, &ignored), STORE_OK);
    memcpy(unit, c.told.unit.text, c.told.unit.size);
    struct reading *r;
    c.count = readings(h, c.told.class, unit, &r);
    c.readings = r;
    int64_t end = step_next(&c.q.step, step_start(&c.q.step, c.q.to_us - 1));
    enum store_result result;
    do { /* a machine that is busy with something else makes it late */
        c.at = step_start(&c.q.step, c.q.from_us);
        result = history_buckets(h, reader, series, &c.q, check_bucket, &c);
    } while (result == STORE_LATE);
    assert_int_equal(result, STORE_OK);
    end = end < now_us ? end : now_us;
    if (c.at < end)
        fail_msg("seed %lld: buckets are missing at the end", (long long)seed);
    free(r);
    return c.from_rollups;
}

static inline void history_check(struct history *h, store_t *reader, int64_t series)
{
    int64_t now = START_US + roll(h, 40) * DAY_US + roll(h, DAY_US);
    history_check_of(h, reader, series, series, now);
}

#endif
