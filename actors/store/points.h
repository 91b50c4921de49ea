/* points.h - series as rows, a page at a time: samples or buckets, entity after entity, each oldest first.
 *
 * Each page is one read of about a second at most; its cursor goes on with the very next row, in any
 * process. A row function returns 0 to go on, anything else to end the page before that row. Without ids every
 * name is its own; an id is followed through its lineage. A page without rows may have a cursor. */
#ifndef POINTS_H
#define POINTS_H

#include "store.h"

enum { POINTS_IDS_MAX = 200 };

typedef int store_point_fn(void *owner, const struct point *);
enum store_result store_points(store_t *, const struct points_query *, int64_t now_us, store_point_fn *, void *owner, struct page *end, struct fault *);

bool points_ids_are_too_many(const struct points_query *);

#endif
