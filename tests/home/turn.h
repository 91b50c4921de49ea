/* turn.h - turn the clock of all processes that run under tests/shim/clock.c. */
#ifndef HOME_TURN_H
#define HOME_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* Forward by so much. False: this process does not run under it (CLOCK_FILE is not set). */
bool turn_clock(int64_t us);

#endif
