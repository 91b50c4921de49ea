/* thin.h - of a stretch of numbers the first, the least, the greatest and the last are enough.
 *
 * A stretch ends when its interval is over *and* the value has left its deadband; where a rule has
 * only one of the two, that one decides. Intervals are those of the clock (of 60 s: its minutes),
 * a deadband lies around the stretch's first value. Whatever is no number ends a stretch and stays.
 *
 * A value stays when it comes, and then takes those with it that it makes superfluous: so what is
 * there is right at any moment, and when it is forgotten what a stretch was, a new one begins. */
#ifndef THIN_H
#define THIN_H

#include "store.h"

struct thinning { int64_t interval_us; double deadband; }; /* 0: has none */
struct kept { double value; struct store_row row; };
struct stretch { bool is_open; uint64_t unit; struct kept first, least, greatest, last; };

/* The number of a live state; false: it is never thinned. What came from a history is stored as it
 * is: brought in once more, what had been taken back of it would be there again. */
bool thin_number(const struct event_full *, double *number, uint64_t *unit);

/* A value newer than all before. How many rows may go now, and which. */
size_t stretch_add(struct stretch *, const struct thinning *, struct kept, uint64_t unit, struct store_row gone[2]);

#endif
