/* bytes.h - integers in files: little-endian. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>

static inline void put32(unsigned char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(n >> 8 * i);
}

static inline void put64(unsigned char *to, int64_t n)
{
    put32(to, (uint32_t)((uint64_t)n & UINT32_MAX));
    put32(to + 4, (uint32_t)((uint64_t)n >> 32));
}

static inline uint32_t get32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline int64_t get64(const unsigned char *from)
{
    return (int64_t)((uint64_t)get32(from) | (uint64_t)get32(from + 4) << 32);
}

#endif
