/* by_hand.h - what series.md says of a series, worked out the slow way from all of its states in memory.
 *
 * Nothing of the store's is used but the names of its types: time is cut by the C library's zones,
 * and every stretch between two edges is looked at on its own. */
#ifndef BY_HAND_H
#define BY_HAND_H

#include "bucket.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STATE_BYTES = 24, EDGES = 40000 };

/* number: in the unit of the answer, where it can be brought to that. */
struct fact { int64_t at, order; bool is_removed, is_number, is_text, is_foreign; double number; int64_t last_reset; const char *unit; char state[STATE_BYTES]; };
struct life { const char *entity; enum series_class class; struct fact *facts; size_t count, room; };
struct hole { int64_t from, to; const struct life *of; /* NULL: of all */ };
struct holes { struct hole items[64]; size_t count; };

/* Of the same time, the one that arrived last comes last. */
static inline void life_add(struct life *life, const struct fact *fact)
{
    if (life->count == life->room) {
        life->room = life->room ? life->room * 2 : 256;
        life->facts = realloc(life->facts, life->room * sizeof *life->facts);
        assert(life->facts);
    }
    size_t at = life->count++;
    while (at > 0 && (life->facts[at - 1].at > fact->at || (life->facts[at - 1].at == fact->at && life->facts[at - 1].order > fact->order))) {
        life->facts[at] = life->facts[at - 1];
        at--;
    }
    life->facts[at] = *fact;
}

/* How many are older than `at`. */
static inline size_t life_before(const struct life *life, int64_t at)
{
    size_t low = 0, high = life->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (life->facts[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline bool is_value(const struct fact *fact, enum series_class class)
{
    return (fact->is_number && !fact->is_foreign) || (class == CLASS_STATES && fact->is_text);
}

/* --- the local day -------------------------------------------------------------------------------------- */

static inline int64_t floor_second(int64_t at_us)
{
    return at_us / 1000000 - (at_us % 1000000 < 0);
}

static inline int local_date(int64_t second, enum step_kind kind)
{
    struct tm tm;
    time_t t = (time_t)second;
    localtime_r(&t, &tm);
    return (tm.tm_year * 100 + tm.tm_mon) * 100 + (kind == STEP_DAY ? tm.tm_mday : 0);
}

/* The first second within (low, high] whose date is `date` or later; low's is earlier, high's is not. */
static inline int64_t first_second(int64_t low, int64_t high, int date, enum step_kind kind)
{
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (local_date(middle, kind) >= date)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static inline int64_t start_by_hand(const struct step *step, int64_t at)
{
    if (step->kind == STEP_FIXED)
        return at / step->us * step->us;
    int64_t second = floor_second(at), reach = step->kind == STEP_DAY ? 50 * 3600 : 33 * 86400;
    return first_second(second - reach, second, local_date(second, step->kind), step->kind) * 1000000;
}

static inline int64_t next_by_hand(const struct step *step, int64_t start)
{
    if (step->kind == STEP_FIXED)
        return start + step->us;
    int64_t second = floor_second(start), reach = step->kind == STEP_DAY ? 50 * 3600 : 33 * 86400;
    return first_second(second, second + reach, local_date(second, step->kind) + 1, step->kind) * 1000000;
}

/* --- one bucket ------------------------------------------------------------------------------------------- */

struct duration { const char *state; int64_t us; };
struct by_hand {
    int64_t from, to, count, value_us, unavailable_us, gap_us, resets, reset_at[256];
    bool is_open;
    const struct fact *first, *last; /* NULL: nothing was in force */
    bool has_range;
    double min, max, increase;
    long double integral, sine, cosine;
    struct duration durations[64];
    size_t states;
};

static inline const struct hole *hole_at(const struct holes *holes, const struct life *life, int64_t at, const struct fact *in_force)
{
    for (size_t i = 0; i < holes->count; i++) {
        const struct hole *h = &holes->items[i];
        if ((!h->of || h->of == life) && h->from <= at && at < h->to && !(in_force && in_force->at >= h->from))
            return h;
    }
    return NULL;
}

static inline int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static inline size_t cut(const struct life *life, const struct holes *holes, int64_t from, int64_t to, int64_t *edges)
{
    size_t count = 0;
    edges[count++] = from;
    edges[count++] = to;
    for (size_t i = life_before(life, from); i < life->count && life->facts[i].at < to; i++) {
        assert(count < EDGES - 200);
        edges[count++] = life->facts[i].at;
    }
    for (size_t i = 0; i < holes->count; i++) {
        const int64_t ends[2] = { holes->items[i].from, holes->items[i].to };
        for (size_t j = 0; j < 2; j++)
            if (ends[j] > from && ends[j] < to)
                edges[count++] = ends[j];
    }
    qsort(edges, count, sizeof *edges, compare_times);
    return count;
}

static inline void add_duration(struct by_hand *b, const char *state, int64_t us)
{
    size_t i = 0;
    while (i < b->states && strcmp(b->durations[i].state, state) != 0)
        i++;
    assert(i < 64);
    if (i == b->states)
        b->durations[b->states++] = (struct duration){ state, 0 };
    b->durations[i].us += us;
}

static inline void add_stretch(struct by_hand *b, const struct fact *fact, enum series_class class, int64_t us)
{
    b->value_us += us;
    if (class == CLASS_STATES) {
        add_duration(b, fact->state, us);
        return;
    }
    long double angle = (long double)fact->number * 3.14159265358979323846L / 180;
    b->min = b->has_range ? fmin(b->min, fact->number) : fact->number;
    b->max = b->has_range ? fmax(b->max, fact->number) : fact->number;
    b->has_range = true;
    b->integral += (long double)fact->number * (long double)us;
    b->sine += sinl(angle) * (long double)us;
    b->cosine += cosl(angle) * (long double)us;
}

static inline void look_at_time(struct by_hand *b, const struct life *life, enum series_class class, const struct holes *holes)
{
    static int64_t edges[EDGES];
    size_t count = cut(life, holes, b->from, b->to, edges);
    for (size_t i = 0; i + 1 < count; i++) {
        int64_t at = edges[i], us = edges[i + 1] - at;
        if (us == 0)
            continue;
        size_t before = life_before(life, at + 1);
        const struct fact *fact = before ? &life->facts[before - 1] : NULL;
        bool is_gap = hole_at(holes, life, at, fact) != NULL;
        const struct fact *value = !is_gap && fact && is_value(fact, class) ? fact : NULL;
        if (at == b->from)
            b->first = value;
        b->last = value;
        if (value)
            add_stretch(b, value, class, us);
        else if (is_gap)
            b->gap_us += us;
        else
            b->unavailable_us += us;
    }
}

/* --- counters: from the first number of all ------------------------------------------------------------------ */

static inline void look_at_growth(struct by_hand *b, const struct life *life, enum series_class class)
{
    bool has = false, has_reset = false;
    double previous = 0, highest = 0;
    int64_t last_reset = 0;
    for (size_t i = 0; i < life->count && life->facts[i].at < b->to; i++) {
        const struct fact *f = &life->facts[i];
        if (!is_value(f, class) || (class == CLASS_INCREASING && f->number < 0))
            continue;
        bool is_reset = has && (class == CLASS_TOTAL ? f->last_reset != 0 && (!has_reset || f->last_reset != last_reset) : f->number < 0.9 * previous);
        double growth = !has ? 0 : is_reset ? f->number : class == CLASS_TOTAL ? f->number - previous : fmax(0, f->number - highest);
        if (f->last_reset) {
            last_reset = f->last_reset;
            has_reset = true;
        }
        highest = !has || is_reset ? f->number : fmax(highest, f->number);
        previous = f->number;
        has = true;
        if (f->at < b->from)
            continue;
        b->increase += growth;
        if (is_reset && b->resets++ < 256)
            b->reset_at[b->resets - 1] = f->at;
    }
}

/* [from, to), or as much of it as is over at `now`. */
static inline void bucket_by_hand(struct by_hand *b, const struct life *life, enum series_class class, const struct holes *holes, int64_t from,
                                  int64_t to, int64_t now)
{
    *b = (struct by_hand){ .from = from, .to = to < now ? to : now, .is_open = to > now };
    for (size_t i = life_before(life, from); i < life->count && life->facts[i].at < b->to; i++)
        b->count += is_value(&life->facts[i], class);
    look_at_time(b, life, class, holes);
    if (class == CLASS_TOTAL || class == CLASS_INCREASING)
        look_at_growth(b, life, class);
}

#endif
