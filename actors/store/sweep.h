/* sweep.h - keys in the order of lists whose rows were sealed lead nowhere, and go, many at a time. */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H

#include "inside.h"

/* How far it has come: through `time`, then through the runs. */
struct sweeping { int64_t to, run; struct row_key late; bool in_runs; };

void sweep_begin(struct sweeping *, int64_t to_us); /* of all keys before that time */
/* Some milliseconds of it; commits. STORE_MISSING: it is done. */
enum store_result sweep_some(store_t *, struct sweeping *);

#endif
