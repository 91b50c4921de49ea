/* cleanest.h - the cleanest time for something that runs for a while in one go. */
#ifndef CLEANEST_H
#define CLEANEST_H

#include "schemas.h"

/* Mean over [from, to) in *mean; false: the slots do not cover it without a hole. Slots are in order. */
bool mean_over(const struct carbon_slot *, size_t count, int64_t from_us, int64_t to_us, double *mean);

/* The start of the best window of `for_us` inside [not_before, done_by], the earliest of several
 * that are as good; false: none fits. */
bool cleanest_window(const struct carbon_slot *, size_t count, int64_t for_us, int64_t not_before_us, int64_t done_by_us, int64_t *from_us, double *mean);

#endif
