/* gather.h - sealed rows in the order of lists: of one series or of all that a list wants, a stretch of time at once.
 *
 * What is gathered is bounded: a stretch is as short as it must be. */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

#include "sealed.h"

struct gathered { struct row_key key; size_t body; uint32_t size; };
struct gather {
    bool descending;
    int64_t series;            /* 0: those that `merge` wants */
    const struct merge *merge;
    int64_t from, to;          /* what is left */
    int64_t width;             /* of the stretch before, and its rows */
    size_t count_before;
    struct gathered *rows;
    size_t count, next, room, target;
    msgpack_sbuffer bodies;
};

/* Rows with from <= time < to; where series is 0, the merge must stay. */
struct gather *gather_new(const struct merge *, int64_t series, int64_t from, int64_t to, bool descending);
void gather_destroy(struct gather **);
enum store_result gather_next(store_t *, struct gather *); /* STORE_MISSING: the end */
static inline const struct gathered *gather_row(const struct gather *g)
{
    return &g->rows[g->next - 1];
}

#endif
