/* series.h - answers series.read: columns of many entities, in pieces that fit into a page. */
#ifndef SERIES_H
#define SERIES_H

#include "plan.h"

typedef struct series_reader series_reader_t;

series_reader_t *series_reader_new(store_t *, size_t page_bytes);
void series_reader_destroy(series_reader_t **);

/* The verdict where the question is refused, with *fault; else OK, and *result says how it went. *rows: how many were given. */
int series_answer(series_reader_t *, const struct series_ask *, const char *home_zone, int64_t now_us, rows_t *,
                  struct series_end *, enum store_result *result, int64_t *rows, struct fault *);

#endif
