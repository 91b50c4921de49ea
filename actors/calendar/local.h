/* local.h - local time in a zone, and the moments that it means. Local times are microseconds since
 * 1970-01-01T00:00 of the wall clock, dates are days since then. */
#ifndef LOCAL_H
#define LOCAL_H

#include "zone.h"

/* RFC 5545: a time that the clock leaves out is counted with the offset before; of one that comes twice it is the first. */
int64_t moment_of_local(const zone_t *, int64_t local_us);

/* The first moment of a day. */
int64_t moment_of_date(const zone_t *, int64_t day);

/* "2026-11-23". */
bool date_of_text(struct slice text, int64_t *day);

/* RFC 3339; without a zone it is local. Or a date: then *is_day, and its first moment. */
bool moment_of_text(const zone_t *, struct slice text, int64_t *at_us, bool *is_day);

#endif
