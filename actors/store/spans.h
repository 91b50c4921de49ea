/* spans.h - the samples of an entity, one after the other, across the series that make it up. */
#ifndef STORE_SPANS_H
#define STORE_SPANS_H

#include "lineage.h"
#include "samples.h"

typedef struct history history_t;

/* Inside a read. Spans as lineage.h gives them, borrowed until the end. with_prior: the newest sample before `from_us`
 * comes first, if there is one. */
history_t *history_open(store_t *, const struct lineage_span *, size_t count, int64_t from_us, int64_t to_us, bool with_prior);
enum store_result history_next(history_t *, struct sample *); /* STORE_MISSING: the end. What it points to lives until the next call */
void history_close(history_t **);

#endif
