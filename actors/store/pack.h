/* pack.h - small numbers in few bytes, for the rows of the store. */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "schema.h"

#include <assert.h>
#include <string.h>

static inline void pack_bytes(msgpack_sbuffer *out, const void *data, size_t size)
{
    if (size == 0) /* an empty slice may point nowhere */
        return;
    if (out->alloc - out->size >= size) {
        memcpy(out->data + out->size, data, size);
        out->size += size;
        return;
    }
    int rc = msgpack_sbuffer_write(out, data, size);
    assert(rc == 0);
    (void)rc;
}

/* Seven bits a byte, the lowest first. */
static inline void pack_number(msgpack_sbuffer *out, uint64_t n)
{
    uint8_t bytes[10];
    bool has_room = out->alloc - out->size >= sizeof bytes;
    uint8_t *at = has_room ? (uint8_t *)out->data + out->size : bytes;
    size_t size = 0;
    for (; n >= 0x80; n >>= 7)
        at[size++] = (uint8_t)(n | 0x80);
    at[size++] = (uint8_t)n;
    if (has_room)
        out->size += size;
    else
        pack_bytes(out, bytes, size);
}

static inline void pack_signed(msgpack_sbuffer *out, int64_t n)
{
    pack_number(out, (uint64_t)n << 1 ^ (uint64_t)(n < 0 ? -1 : 0));
}

static inline void pack_slice(msgpack_sbuffer *out, struct slice s)
{
    pack_number(out, s.size);
    pack_bytes(out, s.data, s.size);
}

/* Reading: `bad` stays set after the first thing that is not there. */
struct unpack { const uint8_t *at, *end; bool bad; };

static inline struct unpack unpack_of(struct slice s)
{
    return (struct unpack){ s.data, s.data ? (const uint8_t *)s.data + s.size : s.data, false };
}

/* A number of two to eight bytes, all of them at once; 0 bytes: it is longer. */
static inline uint64_t unpack_at_once(const uint8_t *at, unsigned *bytes)
{
    uint64_t word, ends;
    memcpy(&word, at, sizeof word);
    ends = ~word & UINT64_C(0x8080808080808080);
    *bytes = ends ? (unsigned)__builtin_ctzll(ends) / 8 + 1 : 0;
    word &= ends ^ (ends - 1); /* up to the byte that ends it */
    word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
    return (word & UINT64_C(0x0fffffff)) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
}

static inline uint64_t unpack_number(struct unpack *in)
{
    uint64_t n = 0;
    unsigned bytes;
    if (in->end - in->at >= 8) {
        if (*in->at < 0x80)
            return *in->at++;
        n = unpack_at_once(in->at, &bytes);
        in->at += bytes;
        if (bytes)
            return n;
        n = 0;
    }
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end)
            break;
        uint8_t byte = *in->at++;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return n;
    }
    in->bad = true;
    return 0;
}

static inline int64_t unpack_signed(struct unpack *in)
{
    uint64_t n = unpack_number(in);
    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

static inline const void *unpack_bytes(struct unpack *in, size_t size)
{
    static const uint8_t none[16];
    if ((size_t)(in->end - in->at) < size) {
        in->bad = true;
        in->at = in->end;
        return size <= sizeof none ? none : NULL;
    }
    const void *bytes = in->at;
    in->at += size;
    return bytes;
}

static inline struct slice unpack_slice(struct unpack *in)
{
    size_t size = (size_t)unpack_number(in);
    const void *bytes = unpack_bytes(in, size);
    return in->bad ? (struct slice){ NULL, 0 } : (struct slice){ bytes, size };
}

/* The size stands here, the bytes at the front of another. */
static inline struct slice unpack_slice_from(struct unpack *in, struct unpack *bytes)
{
    size_t size = (size_t)unpack_number(in);
    if (in->bad || bytes->bad || (size_t)(bytes->end - bytes->at) < size) {
        in->bad = true;
        return (struct slice){ "", 0 };
    }
    bytes->at += size;
    return (struct slice){ bytes->at - size, size };
}

#endif
