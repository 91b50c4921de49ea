/* meter.c - how much a counter has grown within a span of time. */
#include "meter.h"

#include <string.h>

static void mark(struct meter *self, int64_t value, int64_t clock_us)
{
    if (self->count == MARKS)
        memmove(self->marks, self->marks + 1, --self->count * sizeof *self->marks);
    self->marks[self->count].at_us = clock_us;
    self->marks[self->count++].value = value;
}

int64_t meter_growth(struct meter *self, int64_t value, int64_t clock_us, int64_t span_us)
{
    if (self->count > 0 && value < self->marks[self->count - 1].value)
        self->count = 0;
    if (self->count == 0 || clock_us - self->marks[self->count - 1].at_us >= span_us / (MARKS - 2))
        mark(self, value, clock_us);
    while (self->count > 1 && self->marks[1].at_us <= clock_us - span_us)
        memmove(self->marks, self->marks + 1, --self->count * sizeof *self->marks);
    return value - self->marks[0].value;
}
