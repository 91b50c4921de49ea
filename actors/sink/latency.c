/* latency.c - a histogram with eight steps between a number and its double. */
#include "latency.h"

#include <string.h>

/* 0 to 15 each have one; above that the highest set bit and the three below it choose. */
static unsigned bin_of(uint64_t us)
{
    if (us < 16)
        return (unsigned)us;
    unsigned high = 63 - (unsigned)__builtin_clzll(us);
    unsigned bin = 16 + (high - 4) * 8 + (unsigned)(us >> (high - 3) & 7);
    return bin < LATENCY_BINS ? bin : LATENCY_BINS - 1;
}

/* The largest that falls into it. */
static int64_t bin_end(unsigned bin)
{
    if (bin < 16)
        return bin;
    unsigned high = 4 + (bin - 16) / 8;
    return ((int64_t)(9 + (bin - 16) % 8) << (high - 3)) - 1;
}

void latency_add(struct latency *latency, int64_t us)
{
    latency->bins[latency->now][bin_of(us > 0 ? (uint64_t)us : 0)]++;
    latency->rows[latency->now]++;
}

void latency_turn(struct latency *latency, int64_t clock_us)
{
    if (latency->begun_us == 0)
        latency->begun_us = clock_us;
    if (latency->rows[latency->now] < LATENCY_ROWS && clock_us - latency->begun_us < LATENCY_US)
        return;
    latency->now ^= 1;
    memset(latency->bins[latency->now], 0, sizeof latency->bins[latency->now]);
    latency->rows[latency->now] = 0;
    latency->begun_us = clock_us;
}

bool latency_tell(const struct latency *latency, int percent, int64_t *us)
{
    uint64_t rows = (uint64_t)latency->rows[0] + latency->rows[1], seen = 0;
    if (rows == 0)
        return false;
    uint64_t wanted = (rows * (uint64_t)percent + 99) / 100;
    unsigned bin = 0;
    for (; bin < LATENCY_BINS - 1; bin++) {
        seen += (uint64_t)latency->bins[0][bin] + latency->bins[1][bin];
        if (seen >= wanted)
            break;
    }
    *us = bin_end(bin);
    return true;
}
