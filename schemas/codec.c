/* codec.c - messages to msgpack and back, by name or by place. */
#include "cursor.h"
#include "row.h"

#include <stdlib.h>

/* The sizes that head a string, a binary, an array or a map: `fix` is the range of one-byte
 * heads, `small` the type whose size takes one byte (0: there is none), `medium` two, `large` four. */
struct head { uint8_t fix, fix_mask, small, medium, large; };

static const struct head text_head  = { .fix = 0xa0, .fix_mask = 0x1f, .small = 0xd9, .medium = 0xda, .large = 0xdb };
static const struct head bytes_head = { .small = 0xc4, .medium = 0xc5, .large = 0xc6 };
static const struct head array_head = { .fix = 0x90, .fix_mask = 0x0f, .medium = 0xdc, .large = 0xdd };
static const struct head map_head   = { .fix = 0x80, .fix_mask = 0x0f, .medium = 0xde, .large = 0xdf };

/* --- encode ---------------------------------------------------------------------------- */

/* Where `size` bytes may be written; out->size is moved by whoever has written them. */
static uint8_t *room(msgpack_sbuffer *out, size_t size)
{
    if (out->alloc - out->size < size) {
        size_t want = 2 * (out->size + size);
        out->data = realloc(out->data, want);
        assert(out->data);
        out->alloc = want;
    }
    return (uint8_t *)out->data + out->size;
}

/* A type and a big-endian number of `width` bytes. */
static uint8_t *put_typed(uint8_t *to, uint8_t type, uint64_t n, size_t width)
{
    *to++ = type;
    for (size_t i = width; i-- > 0; n >>= 8)
        to[i] = (uint8_t)n;
    return to + width;
}

enum { HEAD_MAX = 9 }; /* bytes of a number, or before text, an array, a map */

static uint8_t *put_head(uint8_t *to, const struct head *head, uint64_t size)
{
    if (head->fix && size <= head->fix_mask)
        *to++ = (uint8_t)(head->fix | size);
    else if (head->small && size <= UINT8_MAX)
        to = put_typed(to, head->small, size, 1);
    else if (size <= UINT16_MAX)
        to = put_typed(to, head->medium, size, 2);
    else
        to = put_typed(to, head->large, size, 4);
    return to;
}

static void pack_head(msgpack_sbuffer *out, const struct head *head, uint64_t size)
{
    uint8_t *to = room(out, HEAD_MAX);
    out->size += (size_t)(put_head(to, head, size) - to);
}

static void pack_bytes(msgpack_sbuffer *out, const struct head *head, struct slice bytes)
{
    uint8_t *begin = room(out, HEAD_MAX + bytes.size), *to = put_head(begin, head, bytes.size);
    if (bytes.size > 0) /* an empty slice may point nowhere */
        memcpy(to, bytes.data, bytes.size);
    out->size += (size_t)(to - begin) + bytes.size;
}

/* In the fewest bytes. */
static uint8_t *put_int(uint8_t *to, int64_t n)
{
    uint64_t bits = (uint64_t)n;
    if (n >= -32 && n <= 127)
        return put_typed(to, (uint8_t)bits, 0, 0);
    if (n < 0)
        return n >= INT8_MIN ? put_typed(to, 0xd0, bits, 1) : n >= INT16_MIN ? put_typed(to, 0xd1, bits, 2)
            : n >= INT32_MIN ? put_typed(to, 0xd2, bits, 4) : put_typed(to, 0xd3, bits, 8);
    return n <= UINT8_MAX ? put_typed(to, 0xcc, bits, 1) : n <= UINT16_MAX ? put_typed(to, 0xcd, bits, 2)
        : n <= UINT32_MAX ? put_typed(to, 0xce, bits, 4) : put_typed(to, 0xcf, bits, 8);
}

static uint8_t *put_real(uint8_t *to, double n)
{
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    return put_typed(to, 0xcb, bits, sizeof bits);
}

static void pack_row(msgpack_sbuffer *out, const struct field *f, const void *msg)
{
    uint8_t *begin, *to;
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: case JSON_KIND: case BLOB_KIND:
        pack_bytes(out, f->kind == BLOB_KIND ? &bytes_head : &text_head, row_bytes(f, msg));
        return;
    case INT_KIND: case REAL_KIND: case FLAG_KIND:
        begin = room(out, HEAD_MAX);
        if (f->kind == INT_KIND)
            to = put_int(begin, *(const int64_t *)row_in(f, msg));
        else if (f->kind == REAL_KIND)
            to = put_real(begin, *(const double *)row_in(f, msg));
        else
            to = put_typed(begin, *(const bool *)row_in(f, msg) ? 0xc3 : 0xc2, 0, 0);
        out->size += (size_t)(to - begin);
        return;
    }
}

/* Up to the last row that is set. */
static void pack_by_place(msgpack_sbuffer *out, const struct schema *schema, const void *msg)
{
    size_t count = schema->count;
    while (count > 0 && !row_is_set(&schema->fields[count - 1], msg))
        count--;
    pack_head(out, &array_head, count);
    for (const struct field *f = schema->fields; f < schema->fields + count; f++) {
        if (row_is_set(f, msg)) {
            pack_row(out, f, msg);
        } else {
            *room(out, 1) = 0xc0;
            out->size++;
        }
    }
}

static void pack_by_name(msgpack_sbuffer *out, const struct schema *schema, const void *msg)
{
    size_t count = 0;
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        count += row_is_set(f, msg);
    pack_head(out, &map_head, count);
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (!row_is_set(f, msg))
            continue;
        pack_bytes(out, &text_head, slice_of(f->name));
        pack_row(out, f, msg);
    }
}

int schema_encode(const struct schema *schema, const void *msg, msgpack_sbuffer *out, struct fault *fault)
{
    if (schema_check(schema, msg, fault))
        return -1;
    if (schema->form == BY_PLACE)
        pack_by_place(out, schema, msg);
    else
        pack_by_name(out, schema, msg);
    return 0;
}

/* --- decode ---------------------------------------------------------------------------- */

static const char wrong_type[] = "has the wrong type";
static const char cut_short[] = "is cut short or broken";

static const char *read_head(struct cursor *c, const struct head *head, uint64_t *size)
{
    if (cursor_left(c) == 0)
        return cut_short;
    uint8_t type = *c->at;
    size_t width = 0;
    if (head->fix && (type & ~head->fix_mask & 0xff) == head->fix)
        *size = type & head->fix_mask;
    else if (type == head->small && head->small)
        width = 1;
    else if (type == head->medium)
        width = 2;
    else if (type == head->large)
        width = 4;
    else
        return wrong_type;
    c->at++;
    return width == 0 || cursor_number(c, width, size) ? NULL : cut_short;
}

static const char *read_bytes(struct cursor *c, const struct head *head, struct slice *bytes)
{
    uint64_t size;
    const char *why = read_head(c, head, &size);
    if (why)
        return why;
    if (size > cursor_left(c))
        return cut_short;
    *bytes = (struct slice){ c->at, (size_t)size };
    c->at += size;
    return NULL;
}

static int64_t widen(uint64_t bits, size_t width)
{
    unsigned unused = (unsigned)(64 - 8 * width);
    return (int64_t)(bits << unused) >> unused;
}

static const char *read_int(struct cursor *c, int64_t *n)
{
    if (cursor_left(c) == 0)
        return cut_short;
    uint8_t type = *c->at;
    if (type <= 0x7f || type >= 0xe0) {
        c->at++;
        *n = (int8_t)type;
        return NULL;
    }
    if (type < 0xcc || type > 0xd3)
        return wrong_type;
    size_t width = (size_t)1 << (type & 3);
    uint64_t bits;
    c->at++;
    if (!cursor_number(c, width, &bits))
        return cut_short;
    *n = type >= 0xd0 ? widen(bits, width) : (int64_t)bits;
    return type == 0xcf && bits > INT64_MAX ? "is above its range" : NULL;
}

static const char *read_real(struct cursor *c, double *n)
{
    if (cursor_left(c) == 0)
        return cut_short;
    uint8_t type = *c->at;
    uint64_t bits;
    if (type != 0xca && type != 0xcb) {
        int64_t whole = 0;
        const char *why = read_int(c, &whole);
        *n = (double)whole;
        return why;
    }
    c->at++;
    if (!cursor_number(c, type == 0xca ? 4 : 8, &bits))
        return cut_short;
    if (type == 0xca) {
        float narrow;
        uint32_t half = (uint32_t)bits;
        memcpy(&narrow, &half, sizeof narrow);
        *n = (double)narrow;
    } else {
        memcpy(n, &bits, sizeof *n);
    }
    return NULL;
}

static const char *decode_row(struct cursor *c, const struct field *f, void *msg)
{
    const char *why;
    struct slice bytes;
    int64_t whole;
    double real;
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: case JSON_KIND: case BLOB_KIND:
        why = read_bytes(c, f->kind == BLOB_KIND ? &bytes_head : &text_head, &bytes);
        return why ? why : row_put_bytes(f, bytes, msg);
    case INT_KIND:
        why = read_int(c, &whole);
        return why ? why : row_put_int(f, whole, msg);
    case REAL_KIND:
        why = read_real(c, &real);
        return why ? why : row_put_real(f, real, msg);
    case FLAG_KIND:
        if ((*c->at & 0xfe) != 0xc2)
            return wrong_type;
        return row_put_flag(f, *c->at++ == 0xc3, msg);
    }
    return wrong_type;
}

/* One value: nil leaves the row absent. */
static int decode_value(struct cursor *c, const struct field *f, void *msg, struct fault *fault)
{
    if (cursor_left(c) == 0)
        return refuse(fault, f->name, cut_short);
    if (*c->at == 0xc0) {
        c->at++;
        return 0;
    }
    const char *why = decode_row(c, f, msg);
    return why ? refuse(fault, f->name, why) : 0;
}

static int decode_places(struct cursor *c, uint64_t count, const struct schema *schema, void *msg, struct fault *fault)
{
    const struct field *f = schema->fields, *end = schema->fields + schema->count;
    for (; count > 0 && f < end; count--, f++)
        if (decode_value(c, f, msg, fault))
            return -1;
    for (; count > 0; count--) /* rows of a later version */
        if (!cursor_skip(c, MAX_DEPTH))
            return refuse(fault, "", cut_short);
    return 0;
}

/* Names mostly come in the order of the rows, so the search begins at the next one. */
static const struct field *find_row(const struct schema *schema, struct slice name, size_t next)
{
    for (size_t i = 0; i < schema->count; i++, next++) {
        const struct field *f = &schema->fields[next < schema->count ? next : next - schema->count];
        if (strlen(f->name) == name.size && memcmp(f->name, name.data, name.size) == 0)
            return f;
    }
    return NULL;
}

/* nil counts as said, too: a name comes once or not at all. */
enum { MAX_ROWS = 256 };
struct said { uint64_t bits[MAX_ROWS / 64]; };

static bool say(struct said *said, size_t row)
{
    uint64_t bit = UINT64_C(1) << (row % 64), *word = &said->bits[row / 64];
    bool before = *word & bit;
    *word |= bit;
    return !before;
}

static int decode_names(struct cursor *c, uint64_t count, const struct schema *schema, void *msg, struct fault *fault)
{
    struct said said = { { 0 } };
    size_t next = 0;
    assert(schema->count <= MAX_ROWS);
    for (; count > 0; count--) {
        struct slice name;
        if (read_bytes(c, &text_head, &name))
            return refuse(fault, "", "has a key that is no text");
        const struct field *f = find_row(schema, name, next);
        if (!f) {
            if (!cursor_skip(c, MAX_DEPTH))
                return refuse(fault, "", cut_short);
            continue;
        }
        next = (size_t)(f - schema->fields) + 1;
        if (!say(&said, next - 1))
            return refuse(fault, f->name, "is given twice");
        if (decode_value(c, f, msg, fault))
            return -1;
    }
    return 0;
}

int schema_decode(const struct schema *schema, struct slice frame, void *msg, struct fault *fault)
{
    struct cursor c = { frame.data, (const uint8_t *)frame.data + frame.size };
    uint64_t count;
    schema_clear(schema, msg);
    if (frame.size == 0)
        return refuse(fault, "", "is empty");
    const char *why = read_head(&c, &array_head, &count);
    bool by_name = why == wrong_type;
    if (by_name)
        why = read_head(&c, &map_head, &count);
    if (why)
        return refuse(fault, "", why);
    if (by_name ? decode_names(&c, count, schema, msg, fault) : decode_places(&c, count, schema, msg, fault))
        return -1;
    if (cursor_left(&c) > 0)
        return refuse(fault, "", "has bytes after its end");
    return message_finish(schema, msg, fault);
}
