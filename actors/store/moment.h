/* moment.h - the state of every entity that was in force at a moment, with everything that was known of it then. */
#ifndef STORE_MOMENT_H
#define STORE_MOMENT_H

#include "store.h"

/* One moment, or two to compare: then only entities are told whose row is not the same at both. Times are
 * microseconds UTC; a row is in force from its own time on. */
struct moment_question {
    int64_t at_us[2];
    size_t moments;          /* 1 or 2 */
    bool whole;              /* rows with all that is known; else without id, place, contexts, old state and whatever else states do not tell */
    bool is_now;             /* what a clock that was wrong has dated later is told as well, where there is nothing else */
    struct slice entities;   /* with commas between; empty: all */
    struct slice domains;    /* likewise */
    int64_t series;          /* go on with this one; 0: from the first */
};

/* The row of an entity at moment `which`; NULL: none. A row without a state says that it had been removed. With two
 * moments both are told, 0 before 1. It dies when the function returns. in_gap: the moment lies in a gap, of this entity or
 * of all, that began after the row; of whole rows it is not looked for. Anything but 0 stops: no room. */
typedef int store_moment_fn(void *owner, size_t which, bool in_gap, const struct event_full *);

/* In the order in which entities came to be known. STORE_OK, STORE_TROUBLE, STORE_LATE. *next: the series that
 * was stopped at, 0 at the end. */
enum store_result store_moment(store_t *, const struct moment_question *, store_moment_fn *, void *owner, int64_t *next);

#endif
