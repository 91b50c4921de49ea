/* tally.h - how many events were ever appended before each segment of the capture log.
 *
 * <data>/capture/tally.0 and tally.1, written in turns, in place and never synced: a kill -9 in the middle of one leaves
 * the other, a power cut perhaps none. Then what the log still holds is counted anew, from 0. (A file that takes another's
 * place has the old one's blocks freed, which a disk that is told of it takes 45 ms for.) Where there is neither, the one
 * file "tally" of an older version is read.
 * Only the log itself (log.h) uses this. */
#ifndef TALLY_H
#define TALLY_H

#include "crc32c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally_row { int64_t start, before; }; /* a segment; the events before it */
struct tally {
    int64_t number;             /* of those ever written; 0: none */
    int64_t given_up;
    struct tally_row *rows;     /* oldest first */
    size_t count;
};

bool tally_read(struct tally *, const char *directory, const struct crc32c *); /* false: there is none that can be read */
/* The number must be the one read or written last, and one. 0, or -1: the one from before is still there. */
int tally_write(const struct tally *, const char *directory, const struct crc32c *);
const struct tally_row *tally_find(const struct tally *, int64_t start); /* or NULL */
void tally_free(struct tally *);

#endif
