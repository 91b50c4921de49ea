/* absent.c - when an entity had no value, although it was recorded; and when it was not. */
#include "absent.h"

#include "spans.h"
#include "inside.h"

#include <assert.h>
#include <stdlib.h>

struct stretches { struct span *items; size_t count, room; bool open; };

static void add_stretch(struct stretches *list, int64_t from, int64_t to)
{
    struct span *last = list->count ? &list->items[list->count - 1] : NULL;
    if (last && from <= last->to) {
        last->to = to > last->to ? to : last->to;
        return;
    }
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->items = realloc(list->items, list->room * sizeof *list->items);
        assert(list->items);
    }
    list->items[list->count++] = (struct span){ from, to };
}

/* --- gaps ------------------------------------------------------------------------------------------ */

struct gathering { const struct lineage_span *spans; size_t count; struct stretches *gaps; };

static int gather_gap(void *owner, const struct store_gap *gap)
{
    struct gathering *g = owner;
    bool is_ours = gap->series == 0;
    for (size_t i = 0; i < g->count && !is_ours; i++)
        is_ours = g->spans[i].series == gap->series;
    if (!is_ours)
        return 0;
    g->gaps->open |= gap->is_open;
    add_stretch(g->gaps, gap->from, gap->to);
    return 0;
}

/* Whole, as they are, also where they reach beyond. */
static enum store_result read_gaps(store_t *store, const struct lineage_span *spans, size_t count, int64_t from_us, int64_t to_us,
                                   struct stretches *gaps)
{
    return store_gaps(store, from_us, to_us, gather_gap, &(struct gathering){ spans, count, gaps });
}

enum store_result store_gaps_of(store_t *store, const struct lineage_span *spans, size_t count, int64_t from_us, int64_t to_us, bool *open,
                                stretch_fn *fn, void *owner)
{
    struct stretches gaps = { 0 };
    enum store_result result = read_gaps(store, spans, count, from_us, to_us, &gaps);
    for (size_t i = 0; i < gaps.count && result == STORE_OK; i++) {
        int64_t from = gaps.items[i].from > from_us ? gaps.items[i].from : from_us, to = gaps.items[i].to < to_us ? gaps.items[i].to : to_us;
        if (from < to && fn(owner, from, to) != 0)
            break;
    }
    *open = gaps.open;
    free(gaps.items);
    return result;
}

/* --- no value -------------------------------------------------------------------------------------- */

struct looking { const struct stretches *gaps; size_t gap; int64_t from, to; stretch_fn *fn; void *owner; int stopped; };

static void tell(struct looking *l, int64_t from, int64_t to)
{
    from = from > l->from ? from : l->from;
    to = to < l->to ? to : l->to;
    if (from < to && !l->stopped)
        l->stopped = l->fn(l->owner, from, to);
}

/* Nothing was in force from .. to. A gap that begins in there is a gap as far as it goes; one that had begun before
 * has ended with the sample at `from`. */
static void tell_without_gaps(struct looking *l, int64_t from, int64_t to)
{
    while (l->gap < l->gaps->count && l->gaps->items[l->gap].from < from)
        l->gap++;
    for (; l->gap < l->gaps->count && l->gaps->items[l->gap].from < to; l->gap++) {
        tell(l, from, l->gaps->items[l->gap].from);
        from = l->gaps->items[l->gap].to < to ? l->gaps->items[l->gap].to : to;
    }
    tell(l, from, to);
}

static bool is_value(const struct sample *s, bool is_states)
{
    return s->kind == SAMPLE_NUMBER || (is_states && s->kind == SAMPLE_TEXT);
}

static enum store_result look_through(history_t *history, bool is_states, struct looking *l)
{
    int64_t since = INT64_MIN;
    bool had = false;
    struct sample s;
    enum store_result result;
    while (!l->stopped && (result = history_next(history, &s)) == STORE_OK) {
        if (!had)
            tell_without_gaps(l, since, s.at);
        since = s.at;
        had = is_value(&s, is_states);
    }
    if (!l->stopped && result == STORE_MISSING && !had)
        tell_without_gaps(l, since, INT64_MAX);
    return l->stopped || result == STORE_MISSING ? STORE_OK : result;
}

/* Gaps that begin while a value is in force are none of our concern: the value before is in force again after them. */
enum store_result store_absent(store_t *store, const struct lineage_span *spans, size_t count, bool is_states, int64_t from_us, int64_t to_us,
                               stretch_fn *fn, void *owner)
{
    struct stretches gaps = { 0 };
    struct looking l = { .gaps = &gaps, .from = from_us, .to = to_us, .fn = fn, .owner = owner };
    bool empty = false, is_inside = store->db && !sqlite3_get_autocommit(store->db);
    enum store_result result = is_inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = read_gaps(store, spans, count, from_us, to_us, &gaps);
    history_t *history = history_open(store, spans, count, from_us, to_us, true);
    if (result == STORE_OK)
        result = look_through(history, is_states, &l);
    history_close(&history);
    free(gaps.items);
    if (!is_inside)
        read_end(store);
    return result;
}
