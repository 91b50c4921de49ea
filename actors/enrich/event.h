/* event.h - one event of Home Assistant's: read, checked, typed and joined. */
#ifndef EVENT_H
#define EVENT_H

#include "json.h"
#include "known.h"
#include "value.h"

struct reader {
    json_t *json;
    known_t *known;
    struct value value;     /* of the event read last; its text may lie here */
    struct { struct slice text; int64_t at_us; } times[2]; /* read last: most of an event's are the same */
    bool is_odd;            /* something about that event is a warning */
    bool is_unregistered;   /* a state of an entity that the registry does not know */
};

/* Fill an event_full from an event_raw. 0, or -1 with the fault that sends it to quarantine.
 * Slices point into the raw event, the reader and its registry; nothing is allocated.
 * `future_us`: an event later than that is odd. */
int event_read(struct reader *, const struct event_raw *, int64_t future_us, struct event_full *, struct fault *);

#endif
