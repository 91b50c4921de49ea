/* row.h - one row at work: where its member lies, what it may hold. Outside of schemas only
 * the runtime's source.c and its parts need it. Functions that can refuse return NULL, or why as static text. */
#ifndef ROW_H
#define ROW_H

#include "schema.h"
#include <assert.h>
#include <string.h>

static inline bool *row_has(const struct field *f, void *msg)
{
    return (bool *)((char *)msg + f->has_at);
}

static inline bool row_is_set(const struct field *f, const void *msg)
{
    return *(const bool *)((const char *)msg + f->has_at);
}

static inline const void *row_in(const struct field *f, const void *msg)
{
    return (const char *)msg + f->at;
}

static inline void *row_at(const struct field *f, void *msg)
{
    return (char *)msg + f->at;
}

/* The bytes of a TEXT, VIEW, JSON or BLOB. */
static inline struct slice row_bytes(const struct field *f, const void *msg)
{
    if (f->kind != TEXT_KIND)
        return *(const struct slice *)row_in(f, msg);
    return (struct slice){ row_in(f, msg), *(const uint32_t *)((const char *)msg + f->size_at) };
}

/* Whether what is set keeps to the row. */
const char *row_check(const struct field *, const void *msg);

/* Set a member; the slice of a VIEW, JSON or BLOB is kept as it is, TEXT is copied. */
const char *row_put_bytes(const struct field *, struct slice, void *msg);
const char *row_put_int(const struct field *, int64_t, void *msg);
const char *row_put_real(const struct field *, double, void *msg);
const char *row_put_flag(const struct field *, bool, void *msg);

/* Fill fallbacks in where a message read from outside is absent; -1 naming a REQUIRED row
 * that stays so. */
int message_finish(const struct schema *, void *msg, struct fault *);

static inline int refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

static inline void append(msgpack_sbuffer *out, const void *data, size_t size)
{
    if (size == 0) /* an empty slice may point nowhere */
        return;
    int rc = msgpack_sbuffer_write(out, data, size);
    assert(rc == 0);
    (void)rc;
}

/* Whether one of the columns asked for, see schema_json_columns(). */
static inline bool has_column(const struct schema *schema, uint64_t columns, const struct field *f)
{
    size_t at = (size_t)(f - schema->fields);
    return at >= 64 || (columns >> at & 1) != 0;
}

/* The length of the well-formed UTF-8 sequence there, 0 if there is none; a surrogate is none. */
size_t text_sequence(const uint8_t *at, size_t left);

/* Base64 both ways (RFC 4648, padded). Reading writes at most size / 4 * 3 bytes and returns
 * how many, or -1. */
void base64_write(struct slice bytes, msgpack_sbuffer *out);
int64_t base64_read(struct slice text, uint8_t *to);

/* The name of a row in JSON. */
struct slice row_json_name(const struct field *);

#endif
