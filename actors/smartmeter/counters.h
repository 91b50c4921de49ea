/* counters.h - counters that only rise: what goes back is a reset or a fault, and never taken for news at once. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include "schemas.h"

enum { COUNTERS = 9 };

struct counter { double value; int64_t at_us; double odd; int odd_times; bool is_known; };

/* All zero: nothing is known. */
struct meter_counters {
    struct counter each[COUNTERS];
    char reset[161];              /* the last one, in words */
    int64_t resets;
};

/* What is known is the last good reading, of the disk. */
void counters_begin(struct meter_counters *, const struct smartmeter_reading *);

/* Looks at every counter of a reading. One that went back, or forward faster than any house could, is left out until it has
 * said so three times in a row: then it is taken, and `reset` says it. Returns how many were left out; *is_news: there is a new reset. */
size_t counters_check(struct meter_counters *, struct smartmeter_reading *, bool *is_news);

#endif
