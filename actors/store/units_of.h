/* units_of.h - in which units the numbers of a series were.
 *
 * Every row refers to a snapshot, and that has the unit: so a unit may change at any row, and
 * nothing stops there. Who reads converts (units.h), or says each unit's time apart. */
#ifndef UNITS_OF_H
#define UNITS_OF_H

#include "store.h"

/* The unit that a snapshot names, into `room` (UNIT_ROOM); size 0: none. Inside a read. */
enum { UNIT_ROOM = 255 };
enum store_result store_unit(store_t *, int64_t snapshot, char room[UNIT_ROOM], struct slice *unit);

/* Numbers from `from` (of the first: its own time, if there is one in the span) until the first with another
 * unit, or the end of the span. States that are no numbers have no unit. */
struct unit_span { int64_t from_us, to_us; struct slice unit; };
typedef int unit_fn(void *owner, const struct unit_span *); /* 0 to go on */

/* Oldest first. Where the series has always had one unit nothing is read but its first number. Inside a read. */
enum store_result store_units(store_t *, int64_t series, int64_t from_us, int64_t to_us, unit_fn *, void *owner);

/* The same of an entity's history, over all its names. */
typedef int unit_row_fn(void *owner, const struct unit_row *);
enum store_result store_unit_rows(store_t *, const struct units_query *, unit_row_fn *, void *owner, struct page *end, struct fault *);

#endif
