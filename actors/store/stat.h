/* stat.h - what can be asked of a bucket, by name; bucket.h says what each means. */
#ifndef STORE_STAT_H
#define STORE_STAT_H

#include "schema.h"

enum stat { STAT_COUNT, STAT_MEAN, STAT_MIN, STAT_MAX, STAT_FIRST, STAT_LAST, STAT_INCREASE, STAT_RESETS, STAT_SECONDS,
    STAT_SECONDS_UNAVAILABLE, STAT_SECONDS_GAP, STAT_DURATIONS, STATS };
extern const char *const stat_names[STATS];
#define STAT_KNOWN "knows count, mean, min, max, first, last, increase, resets, seconds, seconds_unavailable, seconds_gap, durations"

bool stat_read(struct slice name, enum stat *); /* false: there is none of that name */

#endif
