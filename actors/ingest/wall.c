/* wall.c - moments of the monotonic clock as UTC, while somebody may set the wall clock. */
#include "wall.h"

#include <stdbool.h>

enum { SLEW_US = 50000 }; /* a clock that is only drawn near to the true time moves by less between two looks */

static bool is_ahead(int64_t offset_us, int64_t than_us)
{
    return offset_us - than_us > SLEW_US;
}

void wall_look(struct wall *self, int64_t clock_us, int64_t now_us, int64_t known_us)
{
    int64_t offset_us = now_us - clock_us;
    if (self->since_us != 0 && known_us >= self->since_us) {
        self->offset_us = self->next_us;
        self->since_us = 0;
    }
    if (self->offset_us == 0 || !is_ahead(offset_us, self->offset_us)) {
        self->offset_us = offset_us;
        self->since_us = 0;
    } else if (self->since_us == 0 || is_ahead(offset_us, self->next_us)) {
        self->next_us = offset_us;
        self->since_us = clock_us;
        if (known_us >= clock_us)
            wall_look(self, clock_us, now_us, known_us);
    }
}

int64_t wall_at(const struct wall *self, int64_t clock_us)
{
    return clock_us + self->offset_us;
}
