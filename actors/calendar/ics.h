/* ics.h - events out of an iCalendar file (RFC 5545), repeated ones among them.
 *
 * Behind it stands libical, which is given one component after the other, so that a file of
 * megabytes costs no memory of its size. Zones are those of the machine where they are known by name,
 * else the file's own VTIMEZONE; a time without a zone, and one whose zone nobody knows, is of the home. */
#ifndef ICS_H
#define ICS_H

#include "zone.h"

enum {
    ICS_BYTES = 4 * 1024 * 1024,     /* of a file */
    ICS_COMPONENT = 256 * 1024,      /* of an event; longer ones are left out */
    ICS_STEPS = 200000               /* occurrences that are counted through, of all rules of a file together */
};

struct ics_event {
    int64_t from_us, to_us;          /* to_us is not included, and may be from_us */
    bool is_all_day;
    struct slice summary, location, description; /* die when the callback returns */
};
typedef void ics_event_fn(void *owner, const struct ics_event *);

/* Tells what touches [from, to), in no order. Cancelled events are not told. 0, or -1 and *why
 * (static text): it is no calendar. *odd counts what could not be read and was left out. */
int ics_read(struct slice text, const zone_t *home, int64_t from_us, int64_t to_us, ics_event_fn *, void *owner, size_t *odd, const char **why);

#endif
