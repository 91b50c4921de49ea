/* buckets.h - a question for buckets while it is answered; for the files of the store. */
#ifndef STORE_BUCKETS_H
#define STORE_BUCKETS_H

#include "rollup.h"
#include "rollup_chunk.h"

struct asked {
    store_t *store;
    const struct lineage_span *spans;
    size_t count;
    facts_t *facts;
    struct series_facts what;      /* class and unit of the answer */
    struct step step;
    bucketer_t *bucketer;
    struct span *gaps;
    size_t gap_count, gap_room;
    int64_t snapshot;              /* the last sample's */
    bool is_same_unit, has_mixed_units;
    bool goes_on;                  /* the bucketer knows what is in force where it stands */
    bool has_rollups;              /* the tables are there */
    int64_t edge_before, edge;     /* of the step, those that were looked for last */
    int stopped;                   /* what the caller's function returned */
};

enum store_result feed_span(struct asked *, size_t span, int64_t from, int64_t to);
enum store_result feed_samples(struct asked *, size_t span, int64_t from, int64_t to);
/* What is in force at `from`, and what a counter knows there (NULL: nobody asks). */
enum store_result feed_before(struct asked *, size_t span, int64_t from, struct counter *);
enum store_result asked_sample(struct asked *, samples_t *, struct sample *, uint64_t *last_reset); /* its number in the unit of the answer */
int asked_gap(struct asked *, const struct store_gap *);

/* What a counter knew at *since, the latest moment not after `at` of which a rollup says it; else nothing, at 0. */
enum store_result counter_before(struct asked *, int64_t series, int64_t at, struct counter *, int64_t *since);
/* NULL: there is none, or a damaged one. */
enum store_result rollup_get(store_t *, int64_t series, enum tier, int64_t chunk, rollup_reader_t **);

/* What a span's numbers with from <= at < to add to a counter. */
enum store_result count_on(struct asked *, const struct lineage_span *, int64_t from, int64_t to, struct counter *);

#endif
