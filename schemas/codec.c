/* codec.c - messages to msgpack and back, by name or by place. */
#include "cursor.h"
#include "row.h"

/* --- encode ---------------------------------------------------------------------------- */

static void pack_bytes(msgpack_packer *packer, const struct field *f, struct slice bytes)
{
    if (f->kind == BLOB_KIND) {
        msgpack_pack_bin(packer, bytes.size);
        msgpack_pack_bin_body(packer, bytes.data, bytes.size);
    } else {
        msgpack_pack_str(packer, bytes.size);
        msgpack_pack_str_body(packer, bytes.data, bytes.size);
    }
}

static void pack_row(msgpack_packer *packer, const struct field *f, const void *msg)
{
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: case JSON_KIND: case BLOB_KIND:
        pack_bytes(packer, f, row_bytes(f, msg));
        break;
    case INT_KIND:
        msgpack_pack_int64(packer, *(const int64_t *)row_in(f, msg));
        break;
    case REAL_KIND:
        msgpack_pack_double(packer, *(const double *)row_in(f, msg));
        break;
    case FLAG_KIND:
        if (*(const bool *)row_in(f, msg))
            msgpack_pack_true(packer);
        else
            msgpack_pack_false(packer);
        break;
    }
}

/* Up to the last row that is set. */
static void pack_by_place(msgpack_packer *packer, const struct schema *schema, const void *msg)
{
    size_t count = schema->count;
    while (count > 0 && !row_is_set(&schema->fields[count - 1], msg))
        count--;
    msgpack_pack_array(packer, count);
    for (const struct field *f = schema->fields; f < schema->fields + count; f++) {
        if (row_is_set(f, msg))
            pack_row(packer, f, msg);
        else
            msgpack_pack_nil(packer);
    }
}

static void pack_by_name(msgpack_packer *packer, const struct schema *schema, const void *msg)
{
    size_t count = 0;
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        count += row_is_set(f, msg);
    msgpack_pack_map(packer, count);
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (!row_is_set(f, msg))
            continue;
        size_t size = strlen(f->name);
        msgpack_pack_str(packer, size);
        msgpack_pack_str_body(packer, f->name, size);
        pack_row(packer, f, msg);
    }
}

static int append_packed(void *out, const char *data, size_t size)
{
    append(out, data, size);
    return 0;
}

int schema_encode(const struct schema *schema, const void *msg, msgpack_sbuffer *out, struct fault *fault)
{
    if (schema_check(schema, msg, fault))
        return -1;
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, append_packed);
    if (schema->form == BY_PLACE)
        pack_by_place(&packer, schema, msg);
    else
        pack_by_name(&packer, schema, msg);
    return 0;
}

/* --- decode ---------------------------------------------------------------------------- */

static const char wrong_type[] = "has the wrong type";
static const char cut_short[] = "is cut short or broken";

/* The sizes that head a string, a binary, an array or a map: `fix` is the range of one-byte
 * heads, `small` the type whose size takes one byte (0: there is none), `medium` two, `large` four. */
struct head { uint8_t fix, fix_mask, small, medium, large; };

static const struct head text_head  = { .fix = 0xa0, .fix_mask = 0x1f, .small = 0xd9, .medium = 0xda, .large = 0xdb };
static const struct head bytes_head = { .small = 0xc4, .medium = 0xc5, .large = 0xc6 };
static const struct head array_head = { .fix = 0x90, .fix_mask = 0x0f, .medium = 0xdc, .large = 0xdd };
static const struct head map_head   = { .fix = 0x80, .fix_mask = 0x0f, .medium = 0xde, .large = 0xdf };

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
