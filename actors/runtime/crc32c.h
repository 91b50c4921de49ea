/* crc32c.h - the checksum of capture records: CRC-32C (Castagnoli, RFC 3720 appendix B.4).
 *
 * With SSE 4.2 the processor does it, eight bytes at a time; anywhere else eight tables do. A
 * struct crc32c is filled once and then only read. */
#ifndef CRC32C_H
#define CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crc32c {
    bool hardware;
    uint32_t table[8][256];
};

void crc32c_open(struct crc32c *);

/* Go on from `crc` (0 to begin) over more bytes. */
uint32_t crc32c_add(const struct crc32c *, uint32_t crc, const void *data, size_t size);

#endif
