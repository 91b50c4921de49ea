/* frame.c - refuse hostile msgpack before any library allocates for it. */
#include "cursor.h"

static bool take(struct cursor *c, uint64_t n) /* 64 bits: a sum of sizes wraps in fewer */
{
    if (cursor_left(c) < n)
        return false;
    c->at += n;
    return true;
}

/* A length of `width` bytes, then as many bytes as it says, and `more`. */
static bool take_counted(struct cursor *c, size_t width, size_t more)
{
    uint64_t n;
    return cursor_number(c, width, &n) && take(c, n + more);
}

static bool skip_type(struct cursor *c, uint8_t type, int depth);

/* Most are nothing, a small number or a short text. */
static inline bool skip_one(struct cursor *c, int depth)
{
    if (cursor_left(c) == 0)
        return false;
    uint8_t type = *c->at++;
    if (type <= 0x7f || type >= 0xe0 || type == 0xc0)
        return true;
    if (type >= 0xa0 && type <= 0xbf)
        return take(c, type & 0x1fu);
    return skip_type(c, type, depth);
}

static bool skip_items(struct cursor *c, uint64_t n, int depth)
{
    if (n > cursor_left(c) || depth == 0) /* every item takes at least one byte */
        return false;
    while (n-- > 0)
        if (!skip_one(c, depth - 1))
            return false;
    return true;
}

static bool skip_counted_items(struct cursor *c, size_t width, uint64_t each, int depth)
{
    uint64_t n;
    return cursor_number(c, width, &n) && skip_items(c, each * n, depth);
}

/* Types 0xc0 to 0xdf, by the width of their length and what the length counts. */
static bool skip_sized(struct cursor *c, uint8_t type, int depth)
{
    static const uint8_t fixed[] = { /* 0xca..0xd8: payload bytes of fixed-size types */
        [0xca - 0xca] = 4, [0xcb - 0xca] = 8, [0xcc - 0xca] = 1, [0xcd - 0xca] = 2,
        [0xce - 0xca] = 4, [0xcf - 0xca] = 8, [0xd0 - 0xca] = 1, [0xd1 - 0xca] = 2,
        [0xd2 - 0xca] = 4, [0xd3 - 0xca] = 8, [0xd4 - 0xca] = 2, [0xd5 - 0xca] = 3,
        [0xd6 - 0xca] = 5, [0xd7 - 0xca] = 9, [0xd8 - 0xca] = 17,
    };
    switch (type) {
    case 0xc0: case 0xc2: case 0xc3: return true;
    case 0xc1: return false;
    case 0xc4: case 0xd9: return take_counted(c, 1, 0);
    case 0xc5: case 0xda: return take_counted(c, 2, 0);
    case 0xc6: case 0xdb: return take_counted(c, 4, 0);
    case 0xc7: return take_counted(c, 1, 1); /* an extension has a byte for its type */
    case 0xc8: return take_counted(c, 2, 1);
    case 0xc9: return take_counted(c, 4, 1);
    case 0xdc: return skip_counted_items(c, 2, 1, depth);
    case 0xdd: return skip_counted_items(c, 4, 1, depth);
    case 0xde: return skip_counted_items(c, 2, 2, depth);
    case 0xdf: return skip_counted_items(c, 4, 2, depth);
    default:   return take(c, fixed[type - 0xca]);
    }
}

static bool skip_type(struct cursor *c, uint8_t type, int depth)
{
    if (type <= 0x8f)
        return skip_items(c, 2 * (type & 0x0fu), depth);
    if (type <= 0x9f)
        return skip_items(c, type & 0x0fu, depth);
    return skip_sized(c, type, depth);
}

bool cursor_skip(struct cursor *c, int depth)
{
    return skip_one(c, depth);
}

int frame_check(struct slice frame, int depth)
{
    if (frame.size == 0)
        return -1;
    struct cursor c = { frame.data, (const uint8_t *)frame.data + frame.size };
    return cursor_skip(&c, depth) && cursor_left(&c) == 0 ? 0 : -1;
}

bool frame_next(struct slice *rest, struct slice *one)
{
    if (rest->size == 0)
        return false;
    struct cursor c = { rest->data, (const uint8_t *)rest->data + rest->size };
    if (!cursor_skip(&c, MAX_DEPTH))
        return false;
    *one = (struct slice){ rest->data, rest->size - cursor_left(&c) };
    *rest = (struct slice){ c.at, cursor_left(&c) };
    return true;
}
