/* coverage.h - every moment since the first start, and what is known of it. */
#ifndef COVERAGE_H
#define COVERAGE_H

#include "backfill.h"
#include "ledger.h"
#include "schemas.h"

enum { COVERAGE_LABELS = 6 };

struct edge { int64_t at_us; int label; bool is_compared; int step; };

/* Walks the edges of all gaps in the order of time, and knows how many of each kind it is in. */
struct coverage {
    struct edge *edges;
    size_t count, next;
    int64_t at_us, end_us;
    int open[COVERAGE_LABELS];     /* gaps, by what became of them */
    int asked[COVERAGE_LABELS];    /* requests, likewise */
    int uncompared;
};

struct coverage coverage_of(const ledger_t *, const backfill_t *, int64_t now_us, int64_t clock_us);
void coverage_free(struct coverage *);

/* The next span inside the asked time; spans join without holes. False: that was all. */
bool coverage_next(struct coverage *, const struct coverage_query *, struct coverage_span *);

#endif
