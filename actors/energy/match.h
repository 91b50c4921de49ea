/* match.h - who may have caused a step: how likely is it each of the devices that changed, two of them, or none.
 *
 * Bayes, with what is known: how often a change of a device is a step at all, how large its steps
 * were, which way its change must go, how far apart the two were seen, and how many steps of this
 * size come by themselves (the refrigerator, the sun). A step is never given to whoever was last. */
#ifndef MATCH_H
#define MATCH_H

#include "meter.h"

enum { CANDIDATES = 8 };

enum direction { DOWN = -1, EITHER = 0, UP = 1 };

struct candidate {
    int64_t at_us;             /* when the device changed */
    enum direction direction;  /* what the change must do to power */
    double share;              /* how likely such a change is a step */
    double watts, spread_w;    /* of its steps; watts 0: not known */
    double times;              /* ... seen so often */
    double confidence;         /* out: that it had a part in the step */
};

struct judgement {
    int cause;                 /* the candidate that caused it alone; -1: none is sure enough */
    double confidence;         /* of that; else of the likeliest of all, one or two of them */
    double unexplained;        /* how likely it is none of them */
};

/* `expected`: steps of this size that come by themselves in the time in which candidates were looked for. */
struct judgement match(const struct step *, struct candidate *, size_t count, double expected, int64_t window_us, double sure);

#endif
