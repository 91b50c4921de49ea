/* row.c - what one row allows, and putting values where it says. */
#include "row.h"
#include <math.h>

static const char *check_bytes(const struct field *f, struct slice bytes)
{
    if (bytes.size > f->max)
        return "is too long";
    if (f->kind == JSON_KIND && bytes.size == 0)
        return "is no JSON value";
    return NULL;
}

static const char *check_int(const struct field *f, int64_t n)
{
    return n < f->low ? "is below its range" : n > f->high ? "is above its range" : NULL;
}

static const char *check_real(const struct field *f, double n)
{
    if (!isfinite(n))
        return "is no finite number";
    return n < f->least ? "is below its range" : n > f->most ? "is above its range" : NULL;
}

const char *row_check(const struct field *f, const void *msg)
{
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: case JSON_KIND: case BLOB_KIND: return check_bytes(f, row_bytes(f, msg));
    case INT_KIND:  return check_int(f, *(const int64_t *)row_in(f, msg));
    case REAL_KIND: return check_real(f, *(const double *)row_in(f, msg));
    case FLAG_KIND: return NULL;
    }
    return "is of no known kind";
}

const char *row_put_bytes(const struct field *f, struct slice bytes, void *msg)
{
    const char *why = check_bytes(f, bytes);
    if (why)
        return why;
    if (f->kind == TEXT_KIND) {
        char *to = row_at(f, msg);
        if (bytes.size > 0)
            memcpy(to, bytes.data, bytes.size);
        to[bytes.size] = '\0';
        *(uint32_t *)((char *)msg + f->size_at) = (uint32_t)bytes.size;
    } else {
        *(struct slice *)row_at(f, msg) = bytes;
    }
    *row_has(f, msg) = true;
    return NULL;
}

const char *row_put_int(const struct field *f, int64_t n, void *msg)
{
    const char *why = check_int(f, n);
    if (why)
        return why;
    *(int64_t *)row_at(f, msg) = n;
    *row_has(f, msg) = true;
    return NULL;
}

const char *row_put_real(const struct field *f, double n, void *msg)
{
    const char *why = check_real(f, n);
    if (why)
        return why;
    *(double *)row_at(f, msg) = n;
    *row_has(f, msg) = true;
    return NULL;
}

const char *row_put_flag(const struct field *f, bool flag, void *msg)
{
    assert(f->kind == FLAG_KIND);
    *(bool *)row_at(f, msg) = flag;
    *row_has(f, msg) = true;
    return NULL;
}

int text_store(char *to, size_t room, uint32_t *size, bool *has, const void *text, size_t length)
{
    *has = length < room;
    *size = *has ? (uint32_t)length : 0;
    if (*has && length > 0)
        memcpy(to, text, length);
    to[*size] = '\0';
    return *has ? 0 : -1;
}

void schema_clear(const struct schema *schema, void *msg)
{
    memset(msg, 0, schema->size);
}

int message_finish(const struct schema *schema, void *msg, struct fault *fault)
{
    int rc = 0;
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (row_is_set(f, msg))
            continue;
        if (f->fallback) {
            struct fault own;
            int broken = schema_set_text(f, f->fallback, strlen(f->fallback), msg, &own);
            assert(broken == 0); /* the row contradicts itself */
            (void)broken;
        } else if ((f->flags & REQUIRED) && rc == 0) {
            rc = refuse(fault, f->name, "is missing");
        }
    }
    return rc;
}

int schema_defaults(const struct schema *schema, void *msg, struct fault *fault)
{
    schema_clear(schema, msg);
    return message_finish(schema, msg, fault);
}

int schema_check(const struct schema *schema, const void *msg, struct fault *fault)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (!row_is_set(f, msg)) {
            if (f->flags & REQUIRED)
                return refuse(fault, f->name, "is missing");
            continue;
        }
        const char *why = row_check(f, msg);
        if (why)
            return refuse(fault, f->name, why);
    }
    return 0;
}
