/* wall.h - moments of the monotonic clock as UTC, while somebody may set the wall clock.
 *
 * What is known to be there was known by the wall clock of its own time: where that clock has been
 * set forward since (or the machine slept, and only the wall clock ran on), the moment keeps its old
 * date, so that a gap begins before the jump and not after it. Times are microseconds. */
#ifndef WALL_H
#define WALL_H

#include <stdint.h>

struct wall {
    int64_t offset_us;  /* UTC minus monotonic, when the known moment was */
    int64_t next_us;    /* another offset, */
    int64_t since_us;   /* ... seen since, monotonic; 0: there is none */
};

/* Look at both clocks, at least once a second. `known_us` (monotonic): nothing is missing up to there. */
void wall_look(struct wall *, int64_t clock_us, int64_t now_us, int64_t known_us);

/* UTC of a moment that is not later than what was known at the last look. */
int64_t wall_at(const struct wall *, int64_t clock_us);

#endif
