/* activity.h - who has said how much, and what it takes on disk. Each is one read, at most READ_MS
 * (STORE_LATE); a row function returns 0 to go on. STORE_BAD: *fault names the field of the query. */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include "store.h"

typedef int store_activity_fn(void *owner, const struct activity_row *);
enum store_result store_activity(store_t *, const struct activity_query *, int64_t now_us, store_activity_fn *, void *owner, struct page *end, struct fault *);

typedef int store_storage_fn(void *owner, const struct storage_row *);
enum store_result store_storage(store_t *, const struct storage_query *, store_storage_fn *, void *owner, struct page *end, struct fault *);

#endif
