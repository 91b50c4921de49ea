/* read.c - pick values out of the small JSON that clients send, without copying. */
#include "read.h"

#include <stdlib.h>

#define DEPTH 64

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : NULL;
}

static const char *skip_value(const char *at, const char *end, int depth);

/* Items up to the closing bracket; an object's have a key each. */
static const char *skip_items(const char *at, const char *end, char close, int depth)
{
    at = skip_space(at + 1, end);
    if (at < end && *at == close)
        return at + 1;
    while (at) {
        if (close == '}') {
            if (at >= end || *at != '"' || !(at = skip_string(at, end)))
                return NULL;
            at = skip_space(at, end);
            if (at >= end || *at++ != ':')
                return NULL;
        }
        at = skip_value(skip_space(at, end), end, depth + 1);
        if (!at)
            return NULL;
        at = skip_space(at, end);
        if (at < end && *at == close)
            return at + 1;
        if (at >= end || *at++ != ',')
            return NULL;
        at = skip_space(at, end);
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end, int depth)
{
    const char *begin = at;

    if (at >= end || depth > DEPTH)
        return NULL;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_items(at, end, *at == '{' ? '}' : ']', depth);
    while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' || *at == '+' ||
                           *at == '.' || *at == 'E'))
        at++;
    return at > begin ? at : NULL;
}

bool read_valid(struct slice text)
{
    const char *end = (const char *)text.data + text.size;
    const char *at = skip_value(skip_space(text.data, end), end, 0);

    return at && skip_space(at, end) == end;
}

bool read_next(struct slice *rest, struct slice *key, struct slice *value)
{
    const char *end = (const char *)rest->data + rest->size;
    const char *at = skip_space(rest->data, end);

    if (at < end && (*at == '{' || *at == '[' || *at == ','))
        at = skip_space(at + 1, end);
    if (at >= end || *at == '}' || *at == ']')
        return false;
    const char *begin = at;
    if (!(at = skip_value(at, end, 0)))
        return false;
    *key = (struct slice){begin, (size_t)(at - begin)};
    *value = *key;
    const char *colon = skip_space(at, end);
    if (colon < end && *colon == ':') {
        begin = skip_space(colon + 1, end);
        if (!(at = skip_value(begin, end, 0)))
            return false;
        *value = (struct slice){begin, (size_t)(at - begin)};
    }
    at = skip_space(at, end);
    *rest = (struct slice){at, (size_t)(end - at)};
    return true;
}

struct slice read_member(struct slice object, const char *key)
{
    struct slice name, value, found = {0};
    size_t size = strlen(key);

    if (object.size == 0 || *(const char *)object.data != '{')
        return found;
    while (read_next(&object, &name, &value))
        if (name.size == size + 2 && memcmp((const char *)name.data + 1, key, size) == 0)
            found = value;
    return found;
}

bool read_int(struct slice raw, int64_t *number)
{
    char digits[24], *end;

    if (raw.size == 0 || raw.size >= sizeof digits)
        return false;
    memcpy(digits, raw.data, raw.size);
    digits[raw.size] = 0;
    *number = strtoll(digits, &end, 10);
    return *end == 0;
}

static unsigned hex4(const char *at)
{
    char digits[5] = {at[0], at[1], at[2], at[3], 0};

    return (unsigned)strtoul(digits, NULL, 16);
}

static void add_utf8(struct text *out, unsigned code)
{
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    char bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = size; i > 1; i--, code >>= 6)
        bytes[i - 1] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(lead[size] | code);
    text_add(out, bytes, size);
}

/* One escape; returns where it ends. */
static const char *unescape(const char *at, const char *end, struct text *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *plain = strchr(from, *at);

    if (*at != 'u' || end - at < 5) {
        text_add(out, plain && *at ? &to[plain - from] : at, 1);
        return at + 1;
    }
    unsigned code = hex4(at + 1);
    at += 5;
    if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        code = 0x10000 + ((code - 0xd800) << 10) + ((hex4(at + 2) - 0xdc00) & 0x3ff);
        at += 6;
    }
    add_utf8(out, code);
    return at;
}

bool read_text(struct slice raw, struct text *out)
{
    const char *at = raw.data;

    out->size = 0;
    if (raw.size < 2 || *at != '"')
        return false;
    const char *end = at + raw.size - 1;
    for (at++; at < end;) {
        if (*at == '\\' && at + 1 < end)
            at = unescape(at + 1, end, out);
        else
            text_add(out, at++, 1);
    }
    text_add(out, "", 1);
    out->size--;
    return true;
}
