/* text.c - a growing run of bytes, and the JSON that the home writes into one. */
#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void text_reserve(struct text *self, size_t more)
{
    size_t room = self->room ? self->room : 64;

    while (room - self->size < more)
        room *= 2;
    if (room != self->room) {
        self->data = realloc(self->data, room);
        assert(self->data);
        self->room = room;
    }
}

void text_free(struct text *self)
{
    free(self->data);
    *self = (struct text){0};
}

void text_printf(struct text *self, const char *format, ...)
{
    va_list arguments, again;

    text_reserve(self, 256);
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(self->data + self->size, self->room - self->size, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    if ((size_t)size >= self->room - self->size) {
        text_reserve(self, (size_t)size + 1);
        vsnprintf(self->data + self->size, (size_t)size + 1, format, again);
    }
    va_end(again);
    self->size += (size_t)size;
}

void text_int(struct text *self, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        digits[--at] = '-';
    text_add(self, digits + at, sizeof digits - at);
}

void text_decimal(struct text *self, int64_t scaled, int decimals)
{
    char digits[28];
    size_t at = sizeof digits;
    uint64_t rest = scaled < 0 ? 0 - (uint64_t)scaled : (uint64_t)scaled;

    for (int i = 0; i < decimals; i++, rest /= 10)
        digits[--at] = (char)('0' + rest % 10);
    if (decimals)
        digits[--at] = '.';
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (scaled < 0)
        digits[--at] = '-';
    text_add(self, digits + at, sizeof digits - at);
}

void text_float(struct text *self, double number)
{
    char digits[40];

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    text_say(self, digits);
    if (!strpbrk(digits, ".en"))
        text_say(self, ".0");
}

static void escape(struct text *self, unsigned char byte)
{
    switch (byte) {
    case '"': text_say(self, "\\\""); break;
    case '\\': text_say(self, "\\\\"); break;
    case '\n': text_say(self, "\\n"); break;
    case '\r': text_say(self, "\\r"); break;
    case '\t': text_say(self, "\\t"); break;
    case '\b': text_say(self, "\\b"); break;
    case '\f': text_say(self, "\\f"); break;
    default: text_printf(self, "\\u%04x", byte); break;
    }
}

void text_json(struct text *self, struct slice value)
{
    const unsigned char *bytes = value.data;
    size_t plain = 0;

    text_add(self, "\"", 1);
    for (size_t i = 0; i < value.size; i++) {
        if (bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\')
            continue;
        text_add(self, bytes + plain, i - plain);
        escape(self, bytes[i]);
        plain = i + 1;
    }
    if (value.size > plain)
        text_add(self, bytes + plain, value.size - plain);
    text_add(self, "\"", 1);
}

void text_json_or_null(struct text *self, const char *value)
{
    if (value)
        text_json(self, slice_of(value));
    else
        text_say(self, "null");
}
