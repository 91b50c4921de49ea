/* stat.c - what can be asked of a bucket, by name. */
#include "stat.h"

#include <string.h>

const char *const stat_names[STATS] = {
    [STAT_COUNT] = "count", [STAT_MEAN] = "mean", [STAT_MIN] = "min", [STAT_MAX] = "max", [STAT_FIRST] = "first", [STAT_LAST] = "last",
    [STAT_INCREASE] = "increase", [STAT_RESETS] = "resets", [STAT_SECONDS] = "seconds", [STAT_SECONDS_UNAVAILABLE] = "seconds_unavailable",
    [STAT_SECONDS_GAP] = "seconds_gap", [STAT_DURATIONS] = "durations",
};

bool stat_read(struct slice name, enum stat *stat)
{
    for (int i = 0; i < STATS; i++)
        if (name.size == strlen(stat_names[i]) && memcmp(name.data, stat_names[i], name.size) == 0) {
            *stat = (enum stat)i;
            return true;
        }
    return false;
}
