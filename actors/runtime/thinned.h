/* thinned.h - of what says something each second, that which goes with events: what was in force when a step of time began.
 *
 * A step is five minutes, UTC. The source sees to it that its series say what was in force then, so that who heard it and who
 * asks for it later know the same. */
#ifndef THINNED_H
#define THINNED_H

#include <stdint.h>

#define THINNED_STEP_US INT64_C(300000000)

/* The last beginning of a step at or before a moment, and the last one before it. */
static inline int64_t thinned_step(int64_t at_us) { return at_us - at_us % THINNED_STEP_US; }
static inline int64_t thinned_before(int64_t at_us) { return thinned_step(at_us > 0 ? at_us - 1 : 0); }

#endif
