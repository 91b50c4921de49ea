/* late.h - the writer's memory of what no longer is as it was rolled up: it is marked in the very transaction.
 *
 * A state that comes, is replaced or goes says something else of all up to the next one of its series. */
#ifndef STORE_LATE_H
#define STORE_LATE_H

#include "inside.h"

struct late_span { int64_t series /* 0: all */, from, to; bool is_gap; };
struct late {
    int64_t below;             /* nothing at or after this is rolled up, being so, or was looked for to be */
    struct late_span *spans;
    size_t count, room;
    uint64_t transaction;
    struct late_span watched;  /* what a chunk in the making is made of; to 0: nothing */
    bool is_touched;           /* something of it changed */
    uint64_t news;             /* grows with each late state */
};

static inline bool is_late(const store_t *store, int64_t at)
{
    return at < store->late->below;
}

/* One that is_late. */
void late_note(store_t *, int64_t series, struct series * /* or NULL */, int64_t at);
void late_gap(store_t *, int64_t series, int64_t from, int64_t to); /* more or less is missing there */

int  late_open(store_t *);                 /* -1: why is set */
enum store_result late_write(store_t *);   /* before the commit, when all rows are in the file */
void late_forget(store_t *);
void late_close(store_t *);

#endif
