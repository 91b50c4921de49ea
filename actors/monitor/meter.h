/* meter.h - how much a counter has grown within a span of time. */
#ifndef METER_H
#define METER_H

#include <stddef.h>
#include <stdint.h>

enum { MARKS = 32 };
struct meter { struct { int64_t at_us, value; } marks[MARKS]; size_t count; };

/* The counter's value now: what it has grown by since `span_us` ago, or since it was first seen. One
 * that falls has begun anew. To a thirtieth of the span. */
int64_t meter_growth(struct meter *, int64_t value, int64_t clock_us, int64_t span_us);

#endif
