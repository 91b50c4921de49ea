/* strict_json.h - RFC 8259 read letter by letter: slow, plain, and nobody's library. */
#ifndef STRICT_JSON_H
#define STRICT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct strict { const uint8_t *at, *end; };

static inline int strict_peek(const struct strict *s)
{
    return s->at < s->end ? *s->at : -1;
}

static inline void strict_blanks(struct strict *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static inline bool strict_one(struct strict *s, int c)
{
    bool is = strict_peek(s) == c;
    s->at += is;
    return is;
}

static inline bool strict_tail(struct strict *s, int count, int low, int high)
{
    for (; count > 0; count--, low = 0x80, high = 0xbf) {
        if (strict_peek(s) < low || strict_peek(s) > high)
            return false;
        s->at++;
    }
    return true;
}

/* One character of UTF-8 that is not ASCII (Unicode, table 3-7). */
static inline bool strict_utf8(struct strict *s)
{
    int c = *s->at++;
    if (c >= 0xc2 && c <= 0xdf)
        return strict_tail(s, 1, 0x80, 0xbf);
    if (c >= 0xe0 && c <= 0xef)
        return strict_tail(s, 2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    if (c >= 0xf0 && c <= 0xf4)
        return strict_tail(s, 3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    return false;
}

static inline bool strict_escape(struct strict *s)
{
    int c = strict_peek(s);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return false;
    s->at++;
    for (int i = 0; c == 'u' && i < 4; i++) {
        int digit = strict_peek(s);
        if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F')))
            return false;
        s->at++;
    }
    return true;
}

static inline bool strict_text(struct strict *s)
{
    if (!strict_one(s, '"'))
        return false;
    while (strict_peek(s) >= 0x20) {
        if (strict_one(s, '"'))
            return true;
        bool good = strict_one(s, '\\') ? strict_escape(s) : *s->at < 0x80 ? (s->at++, true) : strict_utf8(s);
        if (!good)
            return false;
    }
    return false;
}

static inline bool strict_digits(struct strict *s)
{
    const uint8_t *from = s->at;
    while (strict_peek(s) >= '0' && strict_peek(s) <= '9')
        s->at++;
    return s->at > from;
}

static inline bool strict_number(struct strict *s)
{
    strict_one(s, '-');
    if (!strict_one(s, '0') && !strict_digits(s))
        return false;
    if (strict_one(s, '.') && !strict_digits(s))
        return false;
    if (strict_one(s, 'e') || strict_one(s, 'E')) {
        if (!strict_one(s, '+'))
            strict_one(s, '-');
        return strict_digits(s);
    }
    return true;
}

static inline bool strict_word(struct strict *s, const char *word)
{
    for (; *word; word++)
        if (!strict_one(s, *word))
            return false;
    return true;
}

static inline bool strict_value(struct strict *s, int depth);

static inline bool strict_items(struct strict *s, int depth, bool object)
{
    int end = object ? '}' : ']';
    s->at++;
    strict_blanks(s);
    if (strict_one(s, end))
        return true;
    for (;;) {
        if (object) {
            strict_blanks(s);
            if (!strict_text(s))
                return false;
            strict_blanks(s);
            if (!strict_one(s, ':'))
                return false;
        }
        if (!strict_value(s, depth))
            return false;
        if (strict_one(s, end))
            return true;
        if (!strict_one(s, ','))
            return false;
    }
}

static inline bool strict_value(struct strict *s, int depth)
{
    bool good;
    strict_blanks(s);
    switch (strict_peek(s)) {
    case '{': case '[': good = depth > 0 && strict_items(s, depth - 1, *s->at == '{'); break;
    case '"': good = strict_text(s); break;
    case 't': good = strict_word(s, "true"); break;
    case 'f': good = strict_word(s, "false"); break;
    case 'n': good = strict_word(s, "null"); break;
    default: good = strict_number(s); break;
    }
    strict_blanks(s);
    return good;
}

/* Whether the bytes are one JSON value, at most `depth` brackets deep. */
static inline bool is_strict_json(const void *data, size_t size, int depth)
{
    struct strict s = { data, (const uint8_t *)data + size };
    return size > 0 && strict_value(&s, depth) && s.at == s.end;
}

#endif
