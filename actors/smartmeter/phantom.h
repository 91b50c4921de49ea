/* phantom.h - what a house takes when nobody wants anything of it: the base load.
 *
 * Of every night (1 to 5 o'clock, local) the lowest quarter of an hour, of which all must be known; the base
 * load is the median of the last seven nights of which two and a half hours or more are known, so that neither a
 * fridge that happens to rest nor one feast counts. A night in which the house gave power away tells nothing:
 * a battery hides what is taken. */
#ifndef PHANTOM_H
#define PHANTOM_H

#include "schemas.h"
#include "zone.h"

enum { NIGHTS = 8 };

struct phantom {
    struct smartmeter_night nights[NIGHTS]; /* newest last; the newest may not be over */
    size_t count;
    int64_t last_us, quarter_us;            /* the last reading; the quarter that it lies in; 0: none */
    double last_w, known_s, watt_s;         /* of that quarter so far */
};

/* Power as of a moment; it holds until the next one, for so long at the most. true: another night is known now. */
bool phantom_take(struct phantom *, const zone_t *, int64_t at_us, double power_w, int holds_s);
/* From then on nobody knows the power. */
bool phantom_lose(struct phantom *, const zone_t *, int64_t at_us, int holds_s);

/* The mean power of a span. */
bool phantom_span(struct phantom *, const zone_t *, int64_t from_us, int64_t to_us, double mean_w);
void phantom_forget(struct phantom *);      /* for who tells all nights again */

/* As of now: how many nights there are, and the median of them. */
int phantom_base(const struct phantom *, int64_t now_us, double *watts);

#endif
