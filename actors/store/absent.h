/* absent.h - when an entity had no value, although it was recorded; and when it was not. */
#ifndef STORE_ABSENT_H
#define STORE_ABSENT_H

#include "rollup.h"

/* What bucket.h calls unavailable, as stretches of time, and gaps; both within from .. to, sorted. For `is_states`
 * every text is a value, else numbers alone are. Returns 0 to go on. */
typedef int stretch_fn(void *owner, int64_t from_us, int64_t to_us);

/* Inside a read or on its own. The spans are those of lineage.h. */
enum store_result store_absent(store_t *, const struct lineage_span *, size_t count, bool is_states, int64_t from_us, int64_t to_us,
                               stretch_fn *, void *owner);
enum store_result store_gaps_of(store_t *, const struct lineage_span *, size_t count, int64_t from_us, int64_t to_us, bool *open,
                                stretch_fn *, void *owner);

#endif
