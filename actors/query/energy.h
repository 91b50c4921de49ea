/* energy.h - what the home and its devices use, what it costs and weighs: the services consumption.* of query. */
#ifndef ENERGY_H
#define ENERGY_H

#include "actor.h"
#include "energy_who.h"
#include "store.h"

typedef struct energy energy_t;

energy_t *energy_new(store_t *, const struct query_config *, size_t page_bytes); /* both borrowed */
void energy_destroy(energy_t **);

/* What Home Assistant says of its energy dashboard, as JSON (empty: nothing), and of its currency. */
void energy_set_prefs(energy_t *, struct slice prefs);
void energy_set_currency(energy_t *, const char *currency);

/* STORE_BAD: *fault names the field. Rows until the page is full; the end has a cursor then. */
enum store_result energy_devices(energy_t *, const struct consumption_query *, const char *home_zone, int64_t now_us, rows_t *,
                                 struct consumption_end *, struct fault *);
enum store_result energy_current(energy_t *, const char *home_zone, int64_t now_us, struct consumption_now *, struct fault *);
enum store_result energy_summary(energy_t *, const char *home_zone, int64_t hours, int64_t now_us, struct consumption_totals *, struct fault *);
enum store_result energy_circuits(energy_t *, int64_t hours, int64_t now_us, rows_t *, struct page *);
enum store_result energy_impact(energy_t *, const struct impact_query *, int64_t now_us, rows_t *, struct page *);
enum store_result energy_top(energy_t *, int64_t days, int64_t limit, int64_t now_us, rows_t *, struct page *);

#endif
