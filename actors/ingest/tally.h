/* tally.h - how many events were ever appended before each segment of the capture log.
 *
 * <data>/capture/tally, written anew whenever a segment begins and never synced: a kill -9 loses
 * nothing of it, a power cut perhaps all. Then what the log still holds is counted anew, from 0.
 * Only capture.c uses this. */
#ifndef TALLY_H
#define TALLY_H

#include "crc32c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally_row { int64_t start, before; }; /* a segment; the events before it */
struct tally {
    int64_t given_up;
    struct tally_row *rows;     /* oldest first */
    size_t count;
};

bool tally_read(struct tally *, const char *directory, const struct crc32c *); /* false: there is none that can be read */
int tally_write(const struct tally *, const char *directory, const struct crc32c *);
const struct tally_row *tally_find(const struct tally *, int64_t start); /* or NULL */
void tally_free(struct tally *);

#endif
