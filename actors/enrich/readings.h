/* readings.h - what one source has said, in the order of time: the reading in force at a moment. */
#ifndef READINGS_H
#define READINGS_H

#include "schema.h"

typedef struct readings readings_t;

enum { READINGS_MAX = 512 };
#define READING_OPEN MAX_INT /* no end is known: it is in force for as long as `lasts_us` says */

readings_t *readings_new(void);
void readings_destroy(readings_t **);

/* In force from `as_of_us` on until `until_us` or the next one, whichever comes first. The text is copied. Of two of
 * the same moment the later said counts; where there are too many the oldest goes. */
void readings_add(readings_t *, int64_t as_of_us, int64_t until_us, struct slice json);

/* The one in force, which is never longer ago than `lasts_us` where it has no end of its own; no data: none is.
 * Lives until the next call that changes something. */
struct slice readings_at(readings_t *, int64_t at_us, int64_t lasts_us);

/* All that began before this moment, or after it, go. */
void readings_drop(readings_t *, int64_t before_us);
void readings_cut(readings_t *, int64_t after_us);

/* All that ended before this moment go. */
void readings_forget(readings_t *, int64_t before_us);
int64_t readings_gone_until(const readings_t *); /* what was in force before this moment is not known any more; 0: all that was added is */

#endif
