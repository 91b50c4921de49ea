/* json_read.c - a message from a JSON object. */
#include "json.h"
#include "row.h"

#include <stdlib.h>

struct reading {
    json_t *json;
    const struct schema *schema;
    void *msg;
    uint8_t *pool;     /* reserved whole at the start, so that slices into it stay */
    size_t pool_used;
    struct fault *fault;
};

/* A copy in the pool: no copy is longer than the JSON it came from. */
static struct slice keep(struct reading *r, struct slice bytes)
{
    struct slice kept = { r->pool + r->pool_used, bytes.size };
    if (bytes.size > 0)
        memcpy(r->pool + r->pool_used, bytes.data, bytes.size);
    r->pool_used += bytes.size;
    return kept;
}

static const char *read_text(struct reading *r, const struct field *f, struct json_value value)
{
    struct slice text;
    if (!json_text(r->json, value, &text))
        return "is no text";
    return row_put_bytes(f, f->kind == TEXT_KIND ? text : keep(r, text), r->msg);
}

static const char *read_blob(struct reading *r, const struct field *f, struct json_value value)
{
    struct slice text;
    if (!json_text(r->json, value, &text))
        return "is no base64 text";
    uint8_t *to = r->pool + r->pool_used;
    int64_t size = base64_read(text, to);
    if (size < 0)
        return "is no base64 text";
    r->pool_used += (size_t)size;
    return row_put_bytes(f, (struct slice){ to, (size_t)size }, r->msg);
}

static const char *read_int(struct reading *r, const struct field *f, struct json_value value)
{
    int64_t number;
    struct slice text;
    if (f->flags & TIME) {
        if (!json_text(r->json, value, &text) || time_read(text, &number))
            return "is no RFC 3339 time";
        return row_put_int(f, number, r->msg);
    }
    if (!json_int(value, &number))
        return "is no integer";
    return row_put_int(f, f->flags & CLAMP && number > f->high ? f->high : number, r->msg);
}

static const char *read_real(struct reading *r, const struct field *f, struct json_value value)
{
    double number;
    return json_real(value, &number) ? row_put_real(f, number, r->msg) : "is no number";
}

static const char *read_flag(struct reading *r, const struct field *f, struct json_value value)
{
    if (value.kind != JSON_TRUE && value.kind != JSON_FALSE)
        return "is neither true nor false";
    return row_put_flag(f, value.kind == JSON_TRUE, r->msg);
}

static const char *read_value(struct reading *r, const struct field *f, struct json_value value)
{
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: return read_text(r, f, value);
    case JSON_KIND: return row_put_bytes(f, keep(r, value.raw), r->msg);
    case BLOB_KIND: return read_blob(r, f, value);
    case INT_KIND:  return read_int(r, f, value);
    case REAL_KIND: return read_real(r, f, value);
    case FLAG_KIND: return read_flag(r, f, value);
    }
    return "cannot be read";
}

static const struct field *field_of_key(const struct schema *schema, struct slice key)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        struct slice name = row_json_name(f);
        if (name.size == key.size && memcmp(name.data, key.data, key.size) == 0)
            return f;
    }
    return NULL;
}

static int on_member(void *owner, struct slice key, struct json_value value)
{
    struct reading *r = owner;
    const struct field *f = field_of_key(r->schema, key);
    if (!f || f->flags & INTERNAL || value.kind == JSON_NULL)
        return 0;
    if (row_is_set(f, r->msg))
        return refuse(r->fault, f->name, "is given twice");
    const char *why = read_value(r, f, value);
    return why ? refuse(r->fault, f->name, why) : 0;
}

static int read_object(struct reading *r, struct slice text)
{
    struct json_value root;
    const char *why;
    if (json_read(r->json, text, &root, &why))
        return refuse(r->fault, "", why);
    if (root.kind != JSON_OBJECT)
        return refuse(r->fault, "", "is no JSON object");
    return json_each_member(r->json, root.raw, on_member, r) ? -1 : message_finish(r->schema, r->msg, r->fault);
}

int schema_from_json(const struct schema *schema, struct slice text, void *msg, msgpack_sbuffer *pool, struct fault *fault)
{
    schema_clear(schema, msg);
    if (text.size > MAX_FRAME)
        return refuse(fault, "", "is too large");
    uint8_t *room = malloc(text.size + 1);
    assert(room);
    msgpack_sbuffer_destroy(pool);
    *pool = (msgpack_sbuffer){ .data = (char *)room, .alloc = text.size + 1 };
    struct reading r = { .json = json_new(), .schema = schema, .msg = msg, .pool = room, .fault = fault };
    int rc = read_object(&r, text);
    pool->size = r.pool_used;
    json_destroy(&r.json);
    return rc;
}

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int64_t base64_read(struct slice text, uint8_t *to)
{
    const uint8_t *at = text.data;
    const uint8_t *begin = to;
    if (text.size % 4 != 0)
        return -1;
    for (size_t i = 0; i < text.size; i += 4, at += 4) {
        bool last = i + 4 == text.size;
        int pads = last ? (at[3] == '=') + (at[3] == '=' && at[2] == '=') : 0;
        uint32_t bits = 0;
        for (int j = 0; j < 4; j++) {
            int digit = j >= 4 - pads ? 0 : digit_value(at[j]);
            if (digit < 0)
                return -1;
            bits = bits << 6 | (uint32_t)digit;
        }
        *to++ = (uint8_t)(bits >> 16);
        if (pads < 2)
            *to++ = (uint8_t)(bits >> 8);
        if (pads < 1)
            *to++ = (uint8_t)bits;
    }
    return to - begin;
}
