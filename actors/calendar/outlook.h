/* outlook.h - who is at home at a moment, by the events that are known. The rules, in this order:
 *
 *   an event is on that says where somebody is: wfh, home, vacation, away
 *   an event of the rest of the home's day says that somebody works at home: wfh
 *   nothing is known
 *
 * Confidence: at home it is that of the next event at home, without one 0.85 on a day of working at
 * home and 0.7 on another, and at least 0.9 on such a day, 0.85 while an event at home is on; away
 * it is the event's own; 0.5 where nothing is known. */
#ifndef OUTLOOK_H
#define OUTLOOK_H

#include "schemas.h"
#include "zone.h"

struct outlook {
    const char *state;                       /* of an event; NULL: not known */
    double confidence;
    bool has_day, wfh_today;                 /* has_day: the zone is known, so it is known which day it is */
    size_t current;                          /* events that are on */
    const struct calendar_event *event;      /* the one that is on and counts most; NULL: none is */
    const struct calendar_event *next_home;  /* the next that begins at home; NULL: none is known */
};

/* `zone` may be NULL. */
struct outlook outlook_at(const struct calendar_event *, size_t count, const zone_t *, int64_t at_us);

/* The first moment after this one at which something begins or ends, the home's day among it; INT64_MAX: none. */
int64_t outlook_next(const struct calendar_event *, size_t count, const zone_t *, int64_t at_us);
/* ... and the last that is not after it; 0: none. */
int64_t outlook_last(const struct calendar_event *, size_t count, const zone_t *, int64_t at_us);

/* From `from_us` on, until when is the state what it is there? At most `to_us`. */
int64_t outlook_until(const struct calendar_event *, size_t count, const zone_t *, int64_t from_us, int64_t to_us);

#endif
