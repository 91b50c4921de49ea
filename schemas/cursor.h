/* cursor.h - a place in a msgpack frame, moving forward; nothing outside schemas needs it. */
#ifndef CURSOR_H
#define CURSOR_H

#include "schema.h"

struct cursor { const uint8_t *at, *end; };

enum { MAX_DEPTH = 32 }; /* of what is skipped unread: later rows, unknown names */

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* Read a big-endian number of `width` bytes. */
static inline bool cursor_number(struct cursor *c, size_t width, uint64_t *n)
{
    if (cursor_left(c) < width)
        return false;
    for (*n = 0; width > 0; width--)
        *n = *n << 8 | *c->at++;
    return true;
}

/* Step over one object of any type, at most `depth` deep. */
bool cursor_skip(struct cursor *, int depth);

#endif
