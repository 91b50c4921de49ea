/* small_file.h - a few bytes kept in a file of their own: read whole, written whole or not at all. */
#ifndef SMALL_FILE_H
#define SMALL_FILE_H

#include "schema.h"

enum { SMALL_FILE_MAX = 1048576 };

/* Appends what is in it to `to`. 0, or -1 with errno; EFBIG: it has more than SMALL_FILE_MAX. */
int small_file_read(const char *path, msgpack_sbuffer *to);

/* A new file takes the place of the old one, once what it holds is on the disk: after a power cut one of the two is there.
 * Tens of milliseconds. 0, or -1 with errno: the old one stands. */
int small_file_write(const char *path, struct slice);

/* The same with a message as what it holds. -1 as well if that does not decode: errno is EILSEQ.
 * Slices of the message point into `pool`. */
int small_file_load(const char *path, const struct schema *, void *message, msgpack_sbuffer *pool);
int small_file_save(const char *path, const struct schema *, const void *message);

#endif
