/* zone.h - the time zones of the world: where a local day or month begins.
 *
 * Out of /usr/share/zoneinfo (TZif, package tzdata), with the rule at the end of the file for years
 * beyond its table; the process has no zone of its own, so any number may be open. Times are
 * microseconds UTC. A local day begins at its first moment: where midnight is left out, at the
 * moment after; where it comes twice, at the first. So days follow each other without a hole, and
 * most have 24 hours, some 23 or 25, and one that the zone has left out has none. */
#ifndef ZONE_H
#define ZONE_H

#include "schema.h"

typedef struct zone zone_t;

enum { ZONE_NAME = 64, ZONE_BYTES = 256 * 1024 };

/* NULL: *why (static text). `UTC` is there without a file. */
zone_t *zone_open(const char *name, const char **why);
void zone_destroy(zone_t **);
const char *zone_name(const zone_t *);

int32_t zone_offset_s(const zone_t *, int64_t at_us);   /* local time - UTC */

/* The day or month that a moment lies in begins; and the next one does. */
int64_t zone_day_start(const zone_t *, int64_t at_us), zone_day_next(const zone_t *, int64_t at_us);
int64_t zone_month_start(const zone_t *, int64_t at_us), zone_month_next(const zone_t *, int64_t at_us);

/* The bytes of a file; name is copied. NULL: they are no zone. */
zone_t *zone_read(const char *name, struct slice file);

/* What the machine says its zone is (TZ, /etc/timezone, /etc/localtime), else UTC. */
void zone_of_machine(char name[ZONE_NAME]);

#endif
