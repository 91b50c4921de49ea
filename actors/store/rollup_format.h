/* rollup_format.h - what the columns of a rollup chunk are; for rollup_write.c and rollup_read.c. */
#ifndef STORE_ROLLUP_FORMAT_H
#define STORE_ROLLUP_FORMAT_H

#include "pack.h"
#include "rollup_chunk.h"

enum { ROLLUP_FORMAT = 1, DECIMALS_MAX = 9 };

/* Flags of a bucket. QUIET: nothing happened in it; what follows says what was all the time. */
enum {
    ROLLUP_WHOLE = 1,             /* a value was in force all the time */
    ROLLUP_FIRST = 2, ROLLUP_LAST = 4,
    ROLLUP_FIRST_IS_BEFORE = 8,   /* first is the last of the bucket before */
    ROLLUP_RANGE = 16, ROLLUP_RESETS = 32,
    ROLLUP_QUIET = 64,            /* with QUIET_VALUE: the last of the bucket before */
    QUIET_VALUE = 0, QUIET_UNAVAILABLE = 1, QUIET_GAP = 2
};

enum column { COLUMN_FLAGS, COLUMN_COUNT, COLUMN_FIRST, COLUMN_LAST, COLUMN_MIN, COLUMN_MAX, COLUMN_SUM, COLUMN_TIME, COLUMN_INCREASE,
    COLUMN_RESET, COLUMN_ANGLE, COLUMN_STATE, COLUMN_TEXT, COLUMNS };

static const double powers_of_ten[DECIMALS_MAX + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };

/* What a sum is expected to be, in parts of the last decimal: it varies least around the middle. */
static inline int64_t expected_sum(int64_t min, int64_t max, int64_t us)
{
    return (int64_t)(((uint64_t)min + (uint64_t)max) * (uint64_t)us) / 2;
}

#endif
