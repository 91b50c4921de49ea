/* energy_quarters.h - energy by quarters of an hour, what it costs, and its sums over steps of the clock on the home's wall.
 *
 * Pure: no I/O, no clock. Times are microseconds UTC. Quarters are cut in UTC: every zone's hours and days begin
 * where one does. A quarter belongs to the step that it begins in. */
#ifndef ENERGY_QUARTERS_H
#define ENERGY_QUARTERS_H

#include "step.h"

#include <stddef.h>

/* guessed_kwh: how much of it is no difference of a counter within this time: integrated from power, or spread over it. */
struct quarter { double kwh, guessed_kwh; int64_t covered_us; };

enum { SPREAD_KNOWN_S = 3600 }; /* what a counter grew by within so long is not called a guess where it is spread */

/* What went through a meter between two moments, evenly; what lies outside of the quarters is left out. */
void quarters_spread(struct quarter *, size_t count, int64_t from_us, int64_t begin_us, int64_t end_us, double kwh);

/* What a kWh costs, or weighs, on the mean of a quarter; share: of its time in which that is known. */
struct rate { double value, share; };

/* moved, priced, weighed: kWh whatever their sign, all of them and those of which price and carbon are known. */
struct energy_sum {
    double kwh, guessed_kwh, cost, carbon_g, moved_kwh, priced_kwh, weighed_kwh;
    int64_t us, covered_us;
    double priced_us, weighed_us;
};
void energy_add(struct energy_sum *, const struct quarter *, const struct rate *price, const struct rate *carbon, int64_t length_us);
void energy_less(struct energy_sum *, const struct energy_sum *part); /* what is told elsewhere */
double energy_priced(const struct energy_sum *), energy_weighed(const struct energy_sum *); /* 0 .. 1 */
bool energy_is_guess(const struct energy_sum *); /* more than a hundredth of it is */

/* --- steps: 15m, 30m, 1h, 2h, 3h, 6h, 12h by the clock on the wall, 1d, 1mo, all ------------------------- */

/* A step begins where that clock shows a whole number of them: a day of 25 hours has 25, one of 23 has 23. */
struct clock_step { const char *name; int64_t us; /* 0: days, -1: months, -2: all */ };
const struct clock_step *clock_step_find(const char *name); /* NULL: there is none */
int64_t clock_step_start(const struct clock_step *, const zone_t *, int64_t at_us); /* of the one that the moment lies in */
int64_t clock_step_next(const struct clock_step *, const zone_t *, int64_t start_us);
int64_t quarter_start(int64_t at_us), quarter_end(int64_t at_us); /* at or before it; at or after it */

#endif
