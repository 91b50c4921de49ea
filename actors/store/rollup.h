/* rollup.h - buckets of a series, whatever they are made of: rollups where these are valid, samples elsewhere.
 *
 * What is asked for is exact, at any moment: rollups are a cache that is never wrong. Definitions: bucket.h. */
#ifndef STORE_ROLLUP_H
#define STORE_ROLLUP_H

#include "facts.h"
#include "lineage.h"

/* Whole buckets, from the one that `from` lies in to the one that the moment before `to` lies in; none that begins
 * at `now` or later, and one that is not over then is open. */
struct bucket_question {
    int64_t from_us, to_us, now_us;
    struct step step;
    enum series_class class;    /* CLASS_AUTO: what its newest value says */
    bool has_unit;
    struct slice unit;          /* of numbers; default: that of its newest value. What cannot be brought to it is no value */
    struct series_facts *told;  /* NULL, or where class and unit of the answer go, before the first bucket */
};

enum { BUCKETS_MAX = 1000000 }; /* STORE_BAD for a question of more */

/* Inside a read or on its own. STORE_OK also where the function ended it. */
enum store_result store_buckets(store_t *, int64_t series, const struct bucket_question *, bucket_fn *, void *owner);

/* Of several series, one after the other (lineage.h): sorted by time. Class and unit are the last one's. */
enum store_result store_buckets_of(store_t *, const struct lineage_span *, size_t count, const struct bucket_question *, bucket_fn *, void *owner);

/* --- gaps ----------------------------------------------------------------------------------------- */

/* A time of which states are missing, of all series or of one. */
struct store_gap { int64_t from, to; int64_t series; /* 0: of all */ bool is_open; /* to: MAX_TIME_US */ };
typedef int gap_fn(void *owner, const struct store_gap *); /* 0: go on */
/* Each as it is now; what is in the store and not among them goes. Of the writer: joins the transaction, and begins
 * one only where something has changed. They are sorted here. STORE_DUPLICATE: nothing has. */
struct gap_said { char id[41]; struct slice entity_id; /* size 0: of all */ int64_t series; /* found here */ int64_t from, to; /* 0: it goes on */ };
enum store_result store_set_gaps(store_t *, struct gap_said *, size_t count);
enum store_result store_gaps(store_t *, int64_t from_us, int64_t to_us, gap_fn *, void *owner); /* that touch the span, by their beginning */

#endif
