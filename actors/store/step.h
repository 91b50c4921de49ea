/* step.h - how time is cut into buckets: a number of microseconds (counted from the epoch), local days or months. */
#ifndef STORE_STEP_H
#define STORE_STEP_H

#include "zone.h"

enum step_kind { STEP_FIXED, STEP_DAY, STEP_MONTH };
struct step { enum step_kind kind; int64_t us /* of STEP_FIXED: >= 1 */; const zone_t *zone; /* of the others; borrowed */ };

#define SECOND_US  INT64_C(1000000)
#define QUARTER_US (INT64_C(900) * SECOND_US)
#define HOUR_US    (INT64_C(3600) * SECOND_US)
#define DAY_US     (INT64_C(86400) * SECOND_US)

int64_t step_start(const struct step *, int64_t at_us); /* of the bucket that a moment lies in */
int64_t step_next(const struct step *, int64_t start_us); /* where the bucket that begins there ends */
bool step_same(const struct step *, const struct step *);

#endif
