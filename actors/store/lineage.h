/* lineage.h - which series make up the history of an entity.
 *
 * A series is a name's; a device may have had several, one after the other, and a name may have
 * been several devices'. By default history is the device's. Nothing is ever rewritten for that:
 * lineage is a table of spans. */
#ifndef LINEAGE_H
#define LINEAGE_H

#include "store.h"

enum { FOREVER_US = INT64_MAX };

/* The states of a series with from <= at < to. */
struct lineage_span { int64_t series, from_us, to_us; };

/* Returns 0 to go on. Spans come oldest first and do not overlap in time. */
typedef int lineage_fn(void *owner, const struct lineage_span *);

/* The spans that are the history of that name: 0 .. FOREVER_US of its one series as a rule. by_role: whoever
 * had the name. STORE_MISSING: no such name. Inside a read or on its own. */
enum store_result store_lineage(store_t *, struct slice entity_id, bool by_role, lineage_fn *, void *owner);

#endif
