/* ics_zones.h - the zones of one iCalendar file, by the names that it gives them. */
#ifndef ICS_ZONES_H
#define ICS_ZONES_H

#include "zone.h"

struct zones;
struct place; /* a zone; NULL is UTC */

struct zones *zones_new(const zone_t *home); /* borrowed */
void zones_destroy(struct zones **);

/* A VTIMEZONE, BEGIN and END included. -1: it is none that could be read in a moment. */
int zones_add(struct zones *, const char *text);

/* "" or an unknown name: the home's. The same name is the same place. */
const struct place *zones_find(struct zones *, const char *name);

/* Local time and moments: see local.h. */
int64_t place_moment(const struct place *, int64_t local_us);
int64_t place_local(const struct place *, int64_t at_us);
int64_t place_date(const struct place *, int64_t day); /* the first moment of a day */

#endif
