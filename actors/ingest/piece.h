/* piece.h - records of the capture log that came together, as one compressed piece (zstd, RFC 8878).
 *
 * Events resemble each other: a flood takes a tenth of the disk. A piece is a header of
 * 12 bytes, little-endian: bit 31 set and the bytes that follow it u32, CRC-32C of the rest u32, bytes that
 * they unpack to u32; then a zstd frame. A record's length never has bit 31 set.
 * Buffers are made when they are needed first, and given back with pack_rest(). */
#ifndef PIECE_H
#define PIECE_H

#include "crc32c.h"
#include "schema.h"

enum { PACK_HEADER = 12, PACK_LEAST = 16 * 1024, PACK_MOST = 256 * 1024 }; /* bytes that are worth it, and that are taken */
#define PACK_BIT UINT32_C(0x80000000)

struct pack {
    struct crc32c crc;
    void *compressor, *decompressor;
    char *plain, *packed;        /* PACK_MOST; what they compress to at the most */
};

void pack_open(struct pack *);
void pack_close(struct pack *);
void pack_rest(struct pack *);   /* a flood is over */

/* Room for what is to be packed: PACK_MOST bytes. */
char *pack_room(struct pack *);
/* The first `bytes` of it as a piece, header and all, until the next call; size 0: not worth it. */
struct slice pack_piece(struct pack *, size_t bytes);
/* Looks at a header alone: -1 if it cannot be one. `size`: of all of the piece. */
int pack_look(const unsigned char header[PACK_HEADER], size_t *size, size_t *plain);
/* The whole piece, unpacked to `to` (its plain bytes); -1: it is damaged. */
int pack_unpack(struct pack *, struct slice piece, char *to, size_t plain);

#endif
