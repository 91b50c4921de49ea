/* energy_series.c - a series of the store by quarters of an hour: what went through a meter, what a kWh cost. */
#include "energy_series.h"

#include "rollup.h"
#include "spans.h"
#include "units.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DENSE = 4 /* numbers a quarter */, WALK_MAX = 512 /* numbers that are passed over rather than looked for anew */ };
static const double us_per_kwh = 3600e6 * 1000; /* W * us */

/* --- buckets ------------------------------------------------------------------------------------------------ */

struct seen { int64_t from, us, value_us, count; double increase, integral; };
struct bag { struct seen *items; size_t count, room; };

static int keep(void *owner, const struct bucket *b)
{
    struct bag *bag = owner;
    if (bag->count == bag->room)
        return 1;
    bag->items[bag->count++] = (struct seen){ b->from, b->to - b->from, b->value_us, b->count, b->has_increase ? b->increase : 0.0, b->integral };
    return 0;
}

static int note_span(void *owner, const struct lineage_span *span)
{
    struct energy_spans *spans = owner;
    if (spans->count == ENERGY_SPANS)
        memmove(spans->items, spans->items + 1, --spans->count * sizeof *spans->items);
    spans->items[spans->count++] = *span;
    return 0;
}

enum store_result energy_spans(store_t *store, struct slice entity_id, struct energy_spans *spans)
{
    spans->count = 0;
    enum store_result result = store_lineage(store, entity_id, false, note_span, spans);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* All buckets from..to of 15 minutes, as far as there are. */
static enum store_result fill(store_t *store, const struct energy_spans *spans, int64_t from, int64_t to, int64_t now, enum series_class class,
                              const struct unit_name *unit, struct bag *bag)
{
    struct bucket_question q = { .from_us = from, .to_us = to < now ? to : now, .now_us = now, .step = { STEP_FIXED, QUARTER_US, NULL },
        .class = class, .has_unit = true, .unit = unit_slice(unit) };
    *bag = (struct bag){ .room = (size_t)((to - from) / QUARTER_US) };
    if (q.from_us >= q.to_us)
        return STORE_OK;
    bag->items = malloc(bag->room * sizeof *bag->items);
    assert(bag->items);
    return store_buckets_of(store, spans->items, spans->count, &q, keep, bag);
}

/* --- the numbers around a moment ------------------------------------------------------------------------------ */

struct number { bool is; int64_t at; double value; uint64_t last_reset; };

struct counted {
    store_t *store;
    const struct energy_spans *spans;
    enum series_class class;
    struct bag bag;
    int64_t now_us;
    history_t *history;
    struct number last, next;   /* last before, first at or after where the history stands */
    size_t stands;              /* at the beginning of this bucket */
    struct { bool is; size_t bucket; int64_t at; } begin; /* its very first number, where that lies in these */
    int64_t from_us;
    size_t quarters_count;
    struct quarter *quarters;
};

static enum store_result read_number(struct counted *self, const struct sample *s, struct number *to)
{
    const struct unit_name *unit;
    double value = s->number;
    to->is = false;
    if (s->kind != SAMPLE_NUMBER)
        return STORE_OK;
    enum store_result result = facts_unit(facts_of(self->store), s->snapshot, &unit);
    if (result != STORE_OK || !units_convert(unit_slice(unit), slice_of("kWh"), &value) || (self->class == CLASS_INCREASING && value < 0.0))
        return result;
    *to = (struct number){ true, s->at, value, 0 };
    return self->class == CLASS_TOTAL ? facts_last_reset(facts_of(self->store), s->attributes, &to->last_reset) : STORE_OK;
}

static enum store_result take_next(struct counted *self)
{
    struct sample s;
    enum store_result result;
    self->next.is = false;
    while ((result = history_next(self->history, &s)) == STORE_OK)
        if ((result = read_number(self, &s, &self->next)) != STORE_OK || self->next.is)
            break;
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result walk_to(struct counted *self, int64_t at)
{
    enum store_result result = STORE_OK;
    while (result == STORE_OK && self->next.is && self->next.at < at) {
        self->last = self->next;
        result = take_next(self);
    }
    return result;
}

static enum store_result open_history(struct counted *self, int64_t from, int64_t to, bool with_prior)
{
    history_close(&self->history);
    self->history = history_open(self->store, self->spans->items, self->spans->count, from, to, with_prior);
    return take_next(self);
}

/* The last number before `at`, of which the buckets know nothing: farther and farther back. */
static enum store_result look_back(struct counted *self, int64_t at)
{
    static const int64_t back[] = { 0, DAY_US, 16 * DAY_US, 256 * DAY_US, MAX_TIME_US };
    enum store_result result = STORE_OK;
    self->last.is = false;
    for (size_t i = 0; i < sizeof back / sizeof *back && result == STORE_OK && !self->last.is; i++) {
        result = open_history(self, at > back[i] ? at - back[i] : 0, at, i == 0);
        if (result == STORE_OK)
            result = walk_to(self, at);
    }
    return result;
}

/* To the beginning of a bucket; `spoke`: the last before it in which there was a number, or none. */
static enum store_result seek(struct counted *self, size_t bucket, int64_t at, const size_t *spoke)
{
    int64_t between = 0;
    for (size_t i = self->stands; self->history && i < bucket && between <= WALK_MAX; i++)
        between += self->bag.items[i].count;
    enum store_result result = STORE_OK;
    bool is_far = !self->history || between > WALK_MAX;
    if (is_far && spoke) {
        self->last.is = false;
        result = open_history(self, self->bag.items[*spoke].from, self->now_us, false);
    } else if (is_far) {
        result = look_back(self, at);
        if (result == STORE_OK)
            result = open_history(self, at, self->now_us, false);
    }
    self->stands = bucket;
    return result == STORE_OK ? walk_to(self, at) : result;
}

/* --- a counter ------------------------------------------------------------------------------------------------ */

/* What it grew by from the last number before to the first at or after where the history stands. */
static double growth_across(const struct counted *self)
{
    struct counter counter = { .has = true, .has_reset = self->last.last_reset != 0, .previous = self->last.value, .highest = self->last.value,
        .last_reset = self->last.last_reset };
    bool is_reset;
    return self->last.is && self->next.is ? counter_take(&counter, self->class, self->next.value, self->next.last_reset, &is_reset) : 0.0;
}

static struct quarter *quarter_of(struct counted *self, const struct seen *b)
{
    int64_t at = (b->from - self->from_us) / QUARTER_US;
    return b->from >= self->from_us && at < (int64_t)self->quarters_count ? &self->quarters[at] : NULL;
}

/* What is known of the bucket of its very first number: from there on, and where the next one is not looked at for what is across
 * its beginning, up to its last number: what it grew by after that belongs to the next one. */
static int64_t known_of_first(const struct counted *self, const struct seen *b, bool is_dense)
{
    int64_t us = b->from + b->us - self->begin.at;
    return is_dense ? us - us / b->count : us;
}

/* Between two numbers nothing is missing. */
static void bridge(struct counted *self, size_t from, size_t to, bool is_dense)
{
    for (size_t i = from; i < to; i++) {
        const struct seen *b = &self->bag.items[i];
        struct quarter *q = quarter_of(self, b);
        if (q)
            q->covered_us = self->begin.is && self->begin.bucket == i ? known_of_first(self, b, is_dense) : b->us;
    }
}

static void begin_at(struct counted *self, size_t bucket)
{
    self->begin.is = true;
    self->begin.bucket = bucket;
    self->begin.at = self->next.at;
}

/* most: what it grew by in all where the later number is; of two that fell in between it may look like more. */
static enum store_result cross(struct counted *self, size_t bucket, int64_t at, const size_t *spoke, double most, double *growth, bool *is_known)
{
    enum store_result result = seek(self, bucket, at, spoke);
    *growth = growth_across(self);
    if (self->class == CLASS_INCREASING && *growth > most)
        *growth = most;
    *is_known = self->last.is && self->next.is;
    if (result == STORE_OK && *is_known)
        quarters_spread(self->quarters, self->quarters_count, self->from_us, self->last.at, self->next.at, *growth);
    return result;
}

/* The first bucket lies before the quarters, the last one may lie behind them: both only say how the edges are crossed. */
static enum store_result count_all(struct counted *self)
{
    enum store_result result = STORE_OK;
    size_t spoke = 0, bridged = 0, n = self->bag.count;
    bool has_spoken = false, is_dense, is_known;
    double across;
    for (size_t i = 0; i < n && result == STORE_OK; i++) {
        const struct seen *b = &self->bag.items[i];
        struct quarter *q = quarter_of(self, b);
        if (q)
            q->covered_us = b->value_us;
        if (b->count == 0)
            continue;
        across = 0.0;
        is_known = is_dense = i > 0 && b->count >= DENSE && self->bag.items[i - 1].count >= DENSE;
        if (i > 0 && !is_dense)
            result = cross(self, i, b->from, has_spoken ? &spoke : NULL, b->increase, &across, &is_known);
        if (q)
            q->kwh += b->increase - across;
        if (is_known)
            bridge(self, bridged, i, is_dense);
        else if (i > 0 && !self->last.is && self->next.is)
            begin_at(self, i);
        bridged = spoke = i;
        has_spoken = true;
    }
    if (result != STORE_OK || n == 0 || self->bag.items[n - 1].count > 0)
        return result;
    int64_t end = self->bag.items[n - 1].from + self->bag.items[n - 1].us;
    if (end < self->now_us) /* it may speak again later, and tell of what was meanwhile */
        result = cross(self, n, end, has_spoken ? &spoke : NULL, INFINITY, &across, &is_known);
    else
        is_known = false;
    if (is_known)
        bridge(self, bridged, n, false);
    return result;
}

static enum store_result read_counter(store_t *store, const struct energy_spans *spans, enum series_class class, int64_t from, size_t count,
                                      int64_t now, struct quarter *quarters)
{
    struct counted self = { .store = store, .spans = spans, .now_us = now, .from_us = from, .quarters_count = count, .quarters = quarters,
        .class = class == CLASS_TOTAL ? CLASS_TOTAL : CLASS_INCREASING };
    const struct unit_name unit = { "kWh", 3 };
    int64_t to = from + ((int64_t)count + 1) * QUARTER_US;
    enum store_result result = fill(store, spans, from - QUARTER_US, to, now, class_counts(class) ? CLASS_AUTO : CLASS_INCREASING, &unit, &self.bag);
    if (result == STORE_OK)
        result = count_all(&self);
    history_close(&self.history);
    free(self.bag.items);
    return result;
}

/* --- power ----------------------------------------------------------------------------------------------------- */

static enum store_result read_power(store_t *store, const struct energy_spans *spans, int64_t from, size_t count, int64_t now, struct quarter *quarters)
{
    const struct unit_name unit = { "W", 1 };
    struct bag bag;
    enum store_result result = fill(store, spans, from, from + (int64_t)count * QUARTER_US, now, CLASS_PLAIN, &unit, &bag);
    for (size_t i = 0; i < bag.count && result == STORE_OK; i++) {
        struct quarter *q = &quarters[(bag.items[i].from - from) / QUARTER_US];
        double kwh = bag.items[i].value_us > 0 ? bag.items[i].integral / us_per_kwh : 0.0;
        q->kwh += kwh;
        q->guessed_kwh += fabs(kwh);
        q->covered_us += bag.items[i].value_us;
    }
    free(bag.items);
    return result;
}

static bool is_of(const struct unit_name *unit, const char *kind)
{
    double number = 1;
    return unit->size > 0 && units_convert(unit_slice(unit), slice_of(kind), &number);
}

static enum store_result look_up(store_t *store, struct slice entity_id, struct energy_spans *spans, enum series_class *class, enum energy_kind *kind)
{
    struct series_facts facts;
    *kind = ENERGY_NONE;
    enum store_result result = energy_spans(store, entity_id, spans);
    if (result != STORE_OK || spans->count == 0)
        return result;
    result = facts_of_series(facts_of(store), spans->items[spans->count - 1].series, &facts);
    if (result != STORE_OK || facts.class == CLASS_STATES)
        return result;
    *class = facts.class;
    *kind = is_of(&facts.unit, "kWh") ? ENERGY_COUNTER : is_of(&facts.unit, "W") ? ENERGY_POWER : ENERGY_NONE;
    return STORE_OK;
}

enum store_result energy_kind_of(store_t *store, struct slice entity_id, enum energy_kind *kind)
{
    struct energy_spans spans;
    enum series_class class;
    return look_up(store, entity_id, &spans, &class, kind);
}

enum store_result energy_read(store_t *store, struct slice entity_id, int64_t from_us, size_t count, int64_t now_us, struct quarter *quarters,
                              enum energy_kind *kind)
{
    struct energy_spans spans;
    enum series_class class = CLASS_PLAIN;
    enum store_result result = look_up(store, entity_id, &spans, &class, kind);
    if (result != STORE_OK || *kind == ENERGY_NONE)
        return result;
    if (*kind == ENERGY_COUNTER)
        return read_counter(store, &spans, class, from_us, count, now_us, quarters);
    return read_power(store, &spans, from_us, count, now_us, quarters);
}

/* --- whether there is anything ------------------------------------------------------------------------------------ */

struct having { struct slice entity_id; int64_t from_us, to_us; bool had; };

static enum store_result look_for_value(store_t *store, void *owner)
{
    struct having *h = owner;
    struct energy_spans spans;
    struct sample s;
    enum store_result result = energy_spans(store, h->entity_id, &spans);
    if (result != STORE_OK || spans.count == 0)
        return result;
    history_t *history = history_open(store, spans.items, spans.count, h->from_us, h->to_us, true);
    while (!h->had && (result = history_next(history, &s)) == STORE_OK)
        h->had = s.kind == SAMPLE_NUMBER;
    history_close(&history);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result energy_had_value(store_t *store, struct slice entity_id, int64_t from_us, int64_t to_us, bool *had)
{
    struct having h = { entity_id, from_us, to_us, false };
    enum store_result result = store_look(store, look_for_value, &h);
    *had = h.had;
    return result;
}

/* --- rates ----------------------------------------------------------------------------------------------------- */

enum store_result energy_rates(store_t *store, struct slice entity_id, int64_t from_us, size_t count, int64_t now_us, int64_t holds_us,
                               struct rate *rates, struct unit_name *unit, bool *is_known)
{
    struct energy_spans spans;
    struct series_facts facts;
    struct bag bag;
    *is_known = false;
    enum store_result result = energy_spans(store, entity_id, &spans);
    if (result != STORE_OK || spans.count == 0)
        return result;
    result = facts_of_series(facts_of(store), spans.items[spans.count - 1].series, &facts);
    if (result != STORE_OK || facts.class == CLASS_STATES)
        return result;
    *is_known = true;
    *unit = facts.unit;
    int64_t begin = from_us - quarter_end(holds_us), said = begin - holds_us;
    result = fill(store, &spans, begin, from_us + (int64_t)count * QUARTER_US, now_us, CLASS_PLAIN, &facts.unit, &bag);
    for (size_t i = 0; i < bag.count && result == STORE_OK; i++) {
        const struct seen *b = &bag.items[i];
        if (b->count > 0)
            said = b->from;
        if (b->from < from_us || b->value_us == 0 || b->from - said >= holds_us)
            continue;
        rates[(b->from - from_us) / QUARTER_US] = (struct rate){ b->integral / (double)b->value_us, (double)b->value_us / (double)b->us };
    }
    free(bag.items);
    return result;
}
