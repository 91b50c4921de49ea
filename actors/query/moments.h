/* moments.h - answers moment.read, diff.read and history.find: the house at one moment, at two, an entity's events. */
#ifndef MOMENTS_H
#define MOMENTS_H

#include "actor.h"
#include "store.h"

typedef struct moments moments_t;

moments_t *moments_new(store_t *, size_t page_bytes);
void moments_destroy(moments_t **);

/* STORE_BAD with *fault; ends tell the cursor. */
enum store_result moments_read(moments_t *, const struct moment_query *, int64_t now_us, rows_t *, struct moment_end *, struct fault *);
enum store_result moments_compare(moments_t *, const struct diff_query *, int64_t now_us, rows_t *, struct diff_end *, struct fault *);
enum store_result moments_history(moments_t *, const struct history_query *, int64_t now_us, rows_t *, struct page *, struct fault *);

#endif
