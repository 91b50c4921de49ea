/* energy_series.h - a series of the store by quarters of an hour: what went through a meter, what a kWh cost.
 *
 * A counter's growth belongs to the quarter of the later number where it says four or more in each of the two; else it is spread
 * evenly over the time between the two numbers, whatever was between. So it is whole, over outages too. Of power, the integral
 * over the time in which there was a value, and nothing elsewhere. */
#ifndef ENERGY_SERIES_H
#define ENERGY_SERIES_H

#include "energy_quarters.h"
#include "facts.h"
#include "lineage.h"

enum energy_kind { ENERGY_NONE, ENERGY_COUNTER, ENERGY_POWER };

/* Inside a read. Adds to `count` quarters from `from_us` on; what is not over at now_us counts until then. ENERGY_NONE: there is
 * no such series, or it is none of energy or power. */
enum store_result energy_read(store_t *, struct slice entity_id, int64_t from_us, size_t count, int64_t now_us, struct quarter *,
                              enum energy_kind *);

enum store_result energy_kind_of(store_t *, struct slice entity_id, enum energy_kind *);

/* The mean of numbers in `unit` (NULL: the newest's, which is told); one holds until the next, but for no longer than holds_us. */
enum store_result energy_rates(store_t *, struct slice entity_id, int64_t from_us, size_t count, int64_t now_us, int64_t holds_us,
                               struct rate *, struct unit_name *unit, bool *is_known);

/* The history of a name, as lineage.h gives it; the newest spans where there are more. */
enum { ENERGY_SPANS = 64 };
struct energy_spans { struct lineage_span items[ENERGY_SPANS]; size_t count; };
enum store_result energy_spans(store_t *, struct slice entity_id, struct energy_spans *);

/* On its own: whether it had a number at any time from .. to; one that was switched off before has none. */
enum store_result energy_had_value(store_t *, struct slice entity_id, int64_t from_us, int64_t to_us, bool *had);

#endif
