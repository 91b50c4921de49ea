/* crc32c.c - CRC-32C by instruction where there is one, by tables elsewhere. */
#include "crc32c.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

void crc32c_open(struct crc32c *self)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        self->table[0][i] = crc;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t i = 0; i < 256; i++)
            self->table[k][i] = (self->table[k - 1][i] >> 8) ^ self->table[0][self->table[k - 1][i] & 255];
#if defined __x86_64__
    self->hardware = __builtin_cpu_supports("sse4.2");
#else
    self->hardware = false;
#endif
}

#if defined __x86_64__
__attribute__((target("sse4.2")))
static uint32_t add_by_instruction(uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t sum = crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    crc = (uint32_t)sum;
    for (; size > 0; at++, size--)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}
#endif

static uint32_t add_by_table(const struct crc32c *self, uint32_t crc, const unsigned char *at, size_t size)
{
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = self->table[7][low & 255] ^ self->table[6][low >> 8 & 255] ^ self->table[5][low >> 16 & 255]
            ^ self->table[4][low >> 24] ^ self->table[3][at[4]] ^ self->table[2][at[5]] ^ self->table[1][at[6]]
            ^ self->table[0][at[7]];
    }
    for (; size > 0; at++, size--)
        crc = (crc >> 8) ^ self->table[0][(crc ^ *at) & 255];
    return crc;
}

uint32_t crc32c_add(const struct crc32c *self, uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
#if defined __x86_64__
    if (self->hardware)
        return ~add_by_instruction(crc, data, size);
#endif
    return ~add_by_table(self, crc, data, size);
}
