/* buckets.h - a question for buckets while it is answered; for the files of the store. */
#ifndef STORE_BUCKETS_H
#define STORE_BUCKETS_H

#include "rollup.h"

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
    int stopped;                   /* what the caller's function returned */
};

enum store_result feed_span(struct asked *, size_t span, int64_t from, int64_t to);
enum store_result feed_samples(struct asked *, size_t span, int64_t from, int64_t to);

/* What a span's numbers with from <= at < to add to a counter. */
enum store_result count_on(struct asked *, const struct lineage_span *, int64_t from, int64_t to, struct counter *);

#endif
