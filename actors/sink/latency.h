/* latency.h - how long rows took, of late: percentiles from a histogram of fixed size. */
#ifndef SINK_LATENCY_H
#define SINK_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { LATENCY_BINS = 256, LATENCY_ROWS = 32768, LATENCY_US = 30000000 };

/* Two histograms that take turns, so what is told is of the last 32,768 to 65,536 rows, or of
 * the last half to whole minute. */
struct latency { uint32_t bins[2][LATENCY_BINS], rows[2]; int64_t begun_us; int now; };

void latency_add(struct latency *, int64_t us);
void latency_turn(struct latency *, int64_t clock_us);  /* once in a while: lets what is old go */
bool latency_tell(const struct latency *, int percent, int64_t *us); /* false: nothing is known; at most an eighth too much */

#endif
