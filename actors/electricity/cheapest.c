/* cheapest.c - when to run something: at one go, or spread over the cheapest slots. */
#include "electricity.h"

#include <stdlib.h>

static const double same = 1e-9; /* prices nearer than this are equal */

int64_t slot_end(const struct electricity_slot *slots, size_t count, size_t index)
{
    return index + 1 < count && slots[index + 1].from < slots[index].to ? slots[index + 1].from : slots[index].to;
}

size_t spans_cut(const struct electricity_slot *slots, size_t count, int64_t from_us, int64_t to_us, struct span *spans)
{
    size_t found = 0;
    for (size_t i = 0; i < count && found < SLOTS_MAX; i++) {
        int64_t begin_us = slots[i].from, end_us = slot_end(slots, count, i);
        begin_us = begin_us > from_us ? begin_us : from_us;
        end_us = end_us < to_us ? end_us : to_us;
        if (begin_us < end_us)
            spans[found++] = (struct span){ begin_us, end_us, slots[i].price };
    }
    return found;
}

double spans_mean(const struct span *spans, size_t count)
{
    double sum = 0, us = 0;
    for (size_t i = 0; i < count; i++) {
        double length = (double)(spans[i].to_us - spans[i].from_us);
        sum += spans[i].price * length;
        us += length;
    }
    return sum / us;
}

/* --- at one go ------------------------------------------------------------------------------------ */

static int64_t cut(const struct span *span, int64_t from_us, int64_t to_us, struct span *part)
{
    *part = (struct span){ span->from_us > from_us ? span->from_us : from_us, span->to_us < to_us ? span->to_us : to_us, span->price };
    return part->to_us > part->from_us ? part->to_us - part->from_us : 0;
}

/* False: something in it is not known. */
static bool mean_of_window(const struct span *spans, size_t count, int64_t from_us, int64_t length_us, double *mean)
{
    struct span part;
    int64_t known_us = 0;
    double sum = 0;
    for (size_t i = 0; i < count && spans[i].from_us < from_us + length_us; i++) {
        int64_t us = cut(&spans[i], from_us, from_us + length_us, &part);
        known_us += us;
        sum += part.price * (double)us;
    }
    *mean = sum / (double)length_us;
    return known_us == length_us;
}

struct best { bool is_found; int64_t from_us; double mean; };

static void try_window(const struct span *spans, size_t count, int64_t from_us, int64_t length_us, struct best *best)
{
    double mean;
    if (!mean_of_window(spans, count, from_us, length_us, &mean))
        return;
    if (best->is_found && (mean > best->mean + same || (mean > best->mean - same && from_us >= best->from_us)))
        return;
    *best = (struct best){ true, from_us, mean };
}

/* The sum over a window is linear between the places where one of its ends meets an edge: the
 * least lies at one of them. */
size_t cheapest_window(struct span *spans, size_t count, int64_t length_us)
{
    struct best best = { .is_found = false };
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        try_window(spans, count, spans[i].from_us, length_us, &best);
        try_window(spans, count, spans[i].to_us - length_us, length_us, &best);
    }
    for (size_t i = 0; best.is_found && i < count; i++) {
        struct span part;
        if (cut(&spans[i], best.from_us, best.from_us + length_us, &part) > 0)
            spans[found++] = part;
    }
    return found;
}

/* --- spread --------------------------------------------------------------------------------------- */

static int by_price(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    if (one->price != other->price)
        return one->price < other->price ? -1 : 1;
    return (one->from_us > other->from_us) - (one->from_us < other->from_us);
}

static int by_time(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    return (one->from_us > other->from_us) - (one->from_us < other->from_us);
}

/* Which end of a slot is left out is all the same to the price: the one that makes no gap. */
static void shorten(struct span *spans, size_t last, int64_t length_us)
{
    bool has_before = false, has_behind = false;
    for (size_t i = 0; i < last; i++) {
        has_before = has_before || spans[i].to_us == spans[last].from_us;
        has_behind = has_behind || spans[i].from_us == spans[last].to_us;
    }
    if (has_behind && !has_before)
        spans[last].from_us = spans[last].to_us - length_us;
    else
        spans[last].to_us = spans[last].from_us + length_us;
}

size_t cheapest_spread(struct span *spans, size_t count, int64_t length_us)
{
    size_t found = 0;
    qsort(spans, count, sizeof *spans, by_price);
    while (found < count && length_us > 0) {
        int64_t us = spans[found].to_us - spans[found].from_us;
        if (us > length_us)
            shorten(spans, found, length_us);
        length_us -= us < length_us ? us : length_us;
        found++;
    }
    if (length_us > 0)
        return 0;
    qsort(spans, found, sizeof *spans, by_time);
    return found;
}
