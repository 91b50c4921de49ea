/* table.c - a message as a row of a file: JSON lines, CSV, InfluxDB's line protocol. */
#include "table.h"

#include "row.h"

#include <inttypes.h>
#include <stdio.h>

enum { VALUE_TEXT = 64 };

static void append_text(msgpack_sbuffer *out, const char *text)
{
    append(out, text, strlen(text));
}

static bool is_shown(const struct table *t, const struct field *f)
{
    return !(f->flags & (INTERNAL | SELECTOR)) && has_column(t->schema, t->columns, f);
}

static bool is_bytes(const struct field *f)
{
    return f->kind == TEXT_KIND || f->kind == VIEW_KIND || f->kind == JSON_KIND;
}

/* What is no bytes, as a short text. */
static struct slice short_text(const struct field *f, const void *msg, char to[VALUE_TEXT])
{
    if (f->flags & SECRET)
        return slice_of("***");
    if (f->kind == INT_KIND && f->flags & TIME) {
        time_text(*(const int64_t *)row_in(f, msg), to);
        return (struct slice){ to, TIME_TEXT - 1 };
    }
    if (f->kind == INT_KIND)
        return (struct slice){ to, (size_t)snprintf(to, VALUE_TEXT, "%" PRId64, *(const int64_t *)row_in(f, msg)) };
    if (f->kind == REAL_KIND)
        return (struct slice){ to, number_write(*(const double *)row_in(f, msg), to) };
    return slice_of(*(const bool *)row_in(f, msg) ? "true" : "false");
}

/* The next character of a text; what is none becomes U+FFFD, and all three bytes of a surrogate one. */
static struct slice next_character(struct slice *rest)
{
    const uint8_t *at = rest->data;
    size_t size = text_sequence(at, rest->size), took = size;
    if (size == 0)
        took = rest->size >= 3 && at[0] == 0xed && at[1] >= 0xa0 && (at[2] & 0xc0) == 0x80 ? 3 : 1;
    *rest = (struct slice){ at + took, rest->size - took };
    return size > 0 ? (struct slice){ at, size } : slice_of("\xef\xbf\xbd");
}

/* --- CSV ----------------------------------------------------------------------------------------- */

static void csv_text(struct slice text, msgpack_sbuffer *out)
{
    const char *bytes = text.data;
    bool quoted = text.size == 0 || bytes[0] == ' ' || bytes[text.size - 1] == ' ';
    for (size_t i = 0; i < text.size && !quoted; i++)
        quoted = bytes[i] == ',' || bytes[i] == '"' || bytes[i] == '\r' || bytes[i] == '\n';
    if (quoted)
        append_text(out, "\"");
    while (text.size > 0) {
        struct slice one = next_character(&text);
        append(out, one.data, one.size);
        if (*(const char *)one.data == '"')
            append_text(out, "\"");
    }
    if (quoted)
        append_text(out, "\"");
}

static void csv_value(const struct field *f, const void *msg, msgpack_sbuffer *out)
{
    char text[VALUE_TEXT];
    if (is_bytes(f) && !(f->flags & SECRET)) {
        csv_text(row_bytes(f, msg), out);
    } else if (f->kind == BLOB_KIND) {
        base64_write(row_bytes(f, msg), out);
    } else {
        struct slice value = short_text(f, msg, text);
        append(out, value.data, value.size);
    }
}

static void csv_line(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    const char *comma = "";
    for (const struct field *f = t->schema->fields; f < t->schema->fields + t->schema->count; f++) {
        if (!is_shown(t, f))
            continue;
        append_text(out, comma);
        comma = ",";
        if (!msg)
            csv_text(row_json_name(f), out);
        else if (row_is_set(f, msg))
            csv_value(f, msg, out);
    }
    append_text(out, "\r\n");
}

/* --- line protocol --------------------------------------------------------------------------------- */

static void lines_character(struct slice one, const char *escaped, msgpack_sbuffer *out)
{
    char c = *(const char *)one.data;
    if (c == '\n' || c == '\r') {
        append_text(out, c == '\n' ? "\\n" : "\\r");
        return;
    }
    if (c != '\0' && strchr(escaped, c))
        append_text(out, "\\");
    append(out, one.data, one.size);
}

static void lines_tag(struct slice name, struct slice value, msgpack_sbuffer *out)
{
    while (value.size > 0 && ((const char *)value.data)[value.size - 1] == '\\')
        value.size--;
    if (value.size == 0)
        return;
    append_text(out, ",");
    append(out, name.data, name.size);
    append_text(out, "=");
    while (value.size > 0)
        lines_character(next_character(&value), ", =", out);
}

static void lines_string(struct slice text, msgpack_sbuffer *out)
{
    append_text(out, "\"");
    while (text.size > 0)
        lines_character(next_character(&text), "\"\\", out);
    append_text(out, "\"");
}

/* JSON that stands for one number. */
static bool json_number(struct slice json, double *number)
{
    bool yes = json.size == 4 && memcmp(json.data, "true", 4) == 0, no = json.size == 5 && memcmp(json.data, "false", 5) == 0;
    *number = yes ? 1.0 : 0.0;
    return yes || no || number_read(json, number);
}

static void lines_field(const struct field *f, const void *msg, msgpack_sbuffer *out)
{
    char text[VALUE_TEXT];
    double number;
    struct slice value;
    if (f->kind == JSON_KIND && json_number(row_bytes(f, msg), &number)) {
        append(out, text, number_write(number, text));
        return;
    }
    if (is_bytes(f)) {
        lines_string(row_bytes(f, msg), out);
        return;
    }
    value = short_text(f, msg, text);
    if (f->flags & TIME)
        append_text(out, "\"");
    append(out, value.data, value.size);
    append_text(out, f->flags & TIME ? "\"" : f->kind == INT_KIND ? "i" : "");
}

static const struct field *time_field(const struct table *t, const void *msg)
{
    for (const struct field *f = t->schema->fields; f < t->schema->fields + t->schema->count; f++)
        if (f->kind == INT_KIND && f->flags & TIME && row_is_set(f, msg))
            return f;
    return NULL;
}

static void lines_tags(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    char text[VALUE_TEXT];
    for (const struct field *f = t->schema->fields; f < t->schema->fields + t->schema->count; f++)
        if (f->flags & TAG && row_is_set(f, msg) && is_shown(t, f))
            lines_tag(row_json_name(f), is_bytes(f) ? row_bytes(f, msg) : short_text(f, msg, text), out);
}

/* A line that no reader takes for a point. */
static void lines_remark(const struct table *t, const void *msg, const char *moment, msgpack_sbuffer *out)
{
    append_text(out, "# ");
    append_text(out, t->measurement);
    lines_tags(t, msg, out);
    append_text(out, " has no place in nanoseconds: ");
    append_text(out, moment);
    append_text(out, "\n");
}

static size_t lines_fields(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    size_t count = 0;
    for (const struct field *f = t->schema->fields; f < t->schema->fields + t->schema->count; f++) {
        if (!(f->flags & FIELD) || !row_is_set(f, msg) || !is_shown(t, f))
            continue;
        struct slice name = row_json_name(f);
        append_text(out, count++ ? "," : " ");
        append(out, name.data, name.size);
        append_text(out, "=");
        lines_field(f, msg, out);
    }
    return count;
}

static void lines_row(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    const struct field *time = time_field(t, msg);
    char text[VALUE_TEXT];
    size_t begin = out->size;
    assert(time);
    int64_t at = *(const int64_t *)row_in(time, msg);
    if (!t->in_us && at > MAX_INT / 1000) {
        time_text(at, text);
        lines_remark(t, msg, text, out);
        return;
    }
    append_text(out, t->measurement);
    lines_tags(t, msg, out);
    if (lines_fields(t, msg, out) > 0)
        append(out, text, (size_t)snprintf(text, sizeof text, " %" PRId64 "%s\n", at, t->in_us ? "" : "000"));
    else
        out->size = begin;
}

/* --- each form ------------------------------------------------------------------------------------- */

/* What was passed on as it came may have line breaks between its tokens, and only there. */
static void json_line(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    size_t begin = out->size;
    schema_json_columns(t->schema, msg, t->columns, out);
    for (size_t i = begin; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    append_text(out, "\n");
}

void table_head(const struct table *t, msgpack_sbuffer *out)
{
    if (t->form == TABLE_CSV)
        csv_line(t, NULL, out);
}

void table_row(const struct table *t, const void *msg, msgpack_sbuffer *out)
{
    switch (t->form) {
    case TABLE_JSON_LINES: json_line(t, msg, out); break;
    case TABLE_CSV:        csv_line(t, msg, out); break;
    case TABLE_LINES:      lines_row(t, msg, out); break;
    }
}
