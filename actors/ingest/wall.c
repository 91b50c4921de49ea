/* wall.c - moments of the monotonic clock as UTC, while somebody may set the wall clock. */
#include "wall.h"

enum { SLEW_US = 50000 }; /* a clock that is only drawn near to the true time moves by less between two looks */

void wall_look(struct wall *self, int64_t clock_us, int64_t now_us, int64_t known_us)
{
    int64_t offset_us = now_us - clock_us;
    if (offset_us - self->offset_us > SLEW_US && self->offset_us != 0) {
        if (self->since_us == 0)
            self->since_us = clock_us;
        if (known_us < self->since_us)
            return;
    }
    self->offset_us = offset_us;
    self->since_us = 0;
}

int64_t wall_at(const struct wall *self, int64_t clock_us)
{
    return clock_us + self->offset_us;
}
