/* json_write.c - a message as a JSON object. */
#include "row.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* The length of the well-formed UTF-8 sequence at `at`, 0 if there is none. A surrogate's
 * three bytes count as none; see surrogate_at. */
size_t text_sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
        : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    bool beyond = (first == 0xed && at[1] >= 0xa0) || (first == 0xf4 && at[1] >= 0x90);
    return overlong || beyond ? 0 : size;
}

bool text_is_plain(struct slice text)
{
    const uint8_t *bytes = text.data;
    for (size_t at = 0, size; at < text.size; at += size) {
        size = text_sequence(bytes + at, text.size - at);
        if (size == 0 || (bytes[at] < 0x20 && !memchr("\t\n\r", bytes[at], 3)))
            return false;
    }
    return true;
}

static bool surrogate_at(const uint8_t *at, size_t left)
{
    return left >= 3 && at[0] == 0xed && at[1] >= 0xa0 && at[1] < 0xc0 && (at[2] & 0xc0) == 0x80;
}

static void write_control(uint8_t byte, msgpack_sbuffer *out)
{
    static const char *const known[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\",
    };
    char text[8];
    if (byte < sizeof known / sizeof *known && known[byte]) {
        append(out, known[byte], 2);
    } else {
        snprintf(text, sizeof text, "\\u%04x", byte);
        append(out, text, 6);
    }
}

/* What cannot be copied as it is; returns how many bytes it took. */
static size_t write_special(const uint8_t *at, size_t left, msgpack_sbuffer *out)
{
    char text[8];
    if (surrogate_at(at, left)) {
        snprintf(text, sizeof text, "\\u%04x", 0xd000u | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu));
        append(out, text, 6);
        return 3;
    }
    if (*at < 0x80)
        write_control(*at, out);
    else
        append(out, "\xef\xbf\xbd", 3);
    return 1;
}

void json_write_text(struct slice text, msgpack_sbuffer *out)
{
    const uint8_t *bytes = text.data;
    size_t at = 0, plain = 0; /* from `plain` on nothing is written yet */
    append(out, "\"", 1);
    while (at < text.size) {
        size_t size = is_plain(bytes[at]) ? 1 : bytes[at] < 0x80 ? 0 : text_sequence(bytes + at, text.size - at);
        at += size;
        if (size > 0)
            continue;
        append(out, bytes + plain, at - plain);
        at += write_special(bytes + at, text.size - at, out);
        plain = at;
    }
    if (at > plain)
        append(out, bytes + plain, at - plain);
    append(out, "\"", 1);
}

struct slice row_json_name(const struct field *f)
{
    size_t size = strlen(f->name);
    bool unit = f->flags & TIME && size > 3 && strcmp(f->name + size - 3, "_us") == 0;
    return (struct slice){ f->name, unit ? size - 3 : size };
}

static void write_int(const struct field *f, int64_t number, msgpack_sbuffer *out)
{
    char text[TIME_TEXT + 2];
    if (f->flags & TIME) {
        text[0] = '"';
        time_text(number, text + 1);
        text[TIME_TEXT] = '"';
        append(out, text, TIME_TEXT + 1);
        return;
    }
    append(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, number));
}

/* A message that nobody has checked may hold what JSON cannot say. */
static void write_real(double number, msgpack_sbuffer *out)
{
    char text[NUMBER_TEXT];
    if (isfinite(number))
        append(out, text, number_write(number, text));
    else
        append(out, "null", 4);
}

static void write_value(const struct field *f, const void *msg, msgpack_sbuffer *out)
{
    struct slice bytes;
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND:
        json_write_text(row_bytes(f, msg), out);
        break;
    case JSON_KIND:
        bytes = row_bytes(f, msg);
        append(out, bytes.size > 0 ? bytes.data : "null", bytes.size > 0 ? bytes.size : 4);
        break;
    case BLOB_KIND:
        append(out, "\"", 1);
        base64_write(row_bytes(f, msg), out);
        append(out, "\"", 1);
        break;
    case INT_KIND:
        write_int(f, *(const int64_t *)row_in(f, msg), out);
        break;
    case REAL_KIND:
        write_real(*(const double *)row_in(f, msg), out);
        break;
    case FLAG_KIND:
        bytes = slice_of(*(const bool *)row_in(f, msg) ? "true" : "false");
        append(out, bytes.data, bytes.size);
        break;
    }
}

/* Whether the message's SELECTOR is set; true where there is none, then nothing is left out. */
static int left_out(const struct schema *schema, const void *msg)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (f->flags & SELECTOR)
            return row_is_set(f, msg) && *(const bool *)row_in(f, msg) ? IF_NOT_SELECTED : IF_SELECTED;
    return 0;
}

void schema_json(const struct schema *schema, const void *msg, msgpack_sbuffer *out)
{
    schema_json_columns(schema, msg, UINT64_MAX, out);
}

void schema_json_columns(const struct schema *schema, const void *msg, uint64_t columns, msgpack_sbuffer *out)
{
    int skip = left_out(schema, msg) | INTERNAL | SELECTOR;
    const char *comma = "{";
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (f->flags & skip || (f->flags & SPARSE && !row_is_set(f, msg)) || !has_column(schema, columns, f))
            continue;
        struct slice name = row_json_name(f);
        append(out, comma, 1);
        append(out, "\"", 1);
        append(out, name.data, name.size);
        append(out, "\":", 2);
        if (!row_is_set(f, msg))
            append(out, "null", 4);
        else if (f->flags & SECRET)
            append(out, "\"***\"", 5);
        else
            write_value(f, msg, out);
        comma = ",";
    }
    append(out, *comma == '{' ? "{}" : "}", *comma == '{' ? 2 : 1);
}

void base64_write(struct slice bytes, msgpack_sbuffer *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.size; left > 0; at += 3) {
        uint32_t three = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0u);
        char four[4] = { digits[three >> 18], digits[three >> 12 & 63], left > 1 ? digits[three >> 6 & 63] : '=',
            left > 2 ? digits[three & 63] : '=' };
        append(out, four, sizeof four);
        left -= left > 3 ? 3 : left;
    }
}
