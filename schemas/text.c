/* text.c - one member from text and back: settings, query strings, fallbacks. */
#include "row.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const struct field *schema_field(const struct schema *schema, const char *name, size_t name_size)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (strlen(f->name) == name_size && memcmp(f->name, name, name_size) == 0)
            return f;
    return NULL;
}

/* Decimal digits with an optional sign; saturates and says so in *over, so that CLAMP sees what
 * was meant. */
static const char *read_integer(const char *text, size_t size, int64_t *number, bool *over)
{
    const char *at = text, *end = text + size;
    bool negative = size > 0 && *at == '-';
    at += size > 0 && (*at == '-' || *at == '+');
    if (at == end)
        return "is no integer";
    uint64_t sum = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    for (*over = false; at < end; at++) {
        if (*at < '0' || *at > '9')
            return "is no integer";
        uint64_t digit = (uint64_t)(*at - '0');
        *over = *over || sum > (limit - digit) / 10;
        sum = *over ? limit : sum * 10 + digit;
    }
    *number = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return NULL;
}

static const char *set_int(const struct field *f, const char *text, size_t size, void *msg)
{
    int64_t number;
    bool over;
    const char *why = read_integer(text, size, &number, &over);
    if (why)
        return why;
    if ((f->flags & CLAMP) && (number > f->high || (over && number > 0)))
        return row_put_int(f, f->high, msg);
    if (over)
        return number < 0 ? "is below its range" : "is above its range";
    return row_put_int(f, number, msg);
}

static const char *set_time(const struct field *f, const char *text, size_t size, void *msg)
{
    int64_t at_us;
    double seconds;
    if (time_read((struct slice){ text, size }, &at_us) == 0)
        return row_put_int(f, at_us, msg);
    if (!number_read((struct slice){ text, size }, &seconds) || (at_us = time_from_seconds(seconds)) < 0)
        return "is no time (RFC 3339 with a zone, or seconds since the epoch)";
    return row_put_int(f, at_us, msg);
}

static const char *set_real(const struct field *f, const char *text, size_t size, void *msg)
{
    double number;
    return number_read((struct slice){ text, size }, &number) ? row_put_real(f, number, msg) : "is no number";
}

static const char *set_flag(const struct field *f, const char *text, size_t size, void *msg)
{
    static const struct { const char *word; bool flag; } words[] = {
        { "true", true }, { "false", false }, { "1", true }, { "0", false },
        { "yes", true }, { "no", false }, { "on", true }, { "off", false },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == size && memcmp(words[i].word, text, size) == 0)
            return row_put_flag(f, words[i].flag, msg);
    return "is neither true nor false";
}

static const char *set_by_kind(const struct field *f, const char *text, size_t size, void *msg)
{
    switch (f->kind) {
    case TEXT_KIND: case VIEW_KIND: return row_put_bytes(f, (struct slice){ text, size }, msg);
    case INT_KIND:  return f->flags & TIME ? set_time(f, text, size, msg) : set_int(f, text, size, msg);
    case REAL_KIND: return set_real(f, text, size, msg);
    case FLAG_KIND: return set_flag(f, text, size, msg);
    case JSON_KIND: case BLOB_KIND: return "cannot be given as text";
    }
    return "cannot be given as text";
}

int schema_set_text(const struct field *f, const char *text, size_t size, void *msg, struct fault *fault)
{
    const char *why = set_by_kind(f, text, size, msg);
    return why ? refuse(fault, f->name, why) : 0;
}

size_t schema_get_text(const struct field *f, const void *msg, char *to, size_t size)
{
    char own[NUMBER_TEXT + TIME_TEXT];
    struct slice text = { "", 0 };
    if (row_is_set(f, msg)) {
        text = (struct slice){ own, 0 };
        if (f->flags & SECRET)
            text = slice_of("***");
        else if (f->kind == FLAG_KIND)
            text = slice_of(*(const bool *)row_in(f, msg) ? "true" : "false");
        else if (f->kind == REAL_KIND)
            text.size = number_write(*(const double *)row_in(f, msg), own);
        else if (f->kind == INT_KIND && (f->flags & TIME))
            time_text(*(const int64_t *)row_in(f, msg), own), text.size = TIME_TEXT - 1;
        else if (f->kind == INT_KIND)
            text.size = (size_t)snprintf(own, sizeof own, "%" PRId64, *(const int64_t *)row_in(f, msg));
        else
            text = row_bytes(f, msg);
    }
    if (size > 0) {
        size_t fits = text.size < size ? text.size : size - 1;
        if (fits > 0)
            memcpy(to, text.data, fits);
        to[fits] = '\0';
    }
    return text.size;
}

static const double powers_of_ten[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
    1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 }; /* all of them exact */

/* Backwards, the last digit before `end`; with the point before the last `decimals`. Its first character. */
static char *digits_before(char *end, uint64_t left, int decimals)
{
    for (int written = 0; left > 0 || written <= decimals; written++, left /= 10) {
        if (written == decimals && decimals > 0)
            *--end = '.';
        *--end = (char)('0' + left % 10);
    }
    return end;
}

/* A number of at most six decimals, as nearly all are: an exact integer over an exact power of
 * ten, so that their quotient is the one double that the text means; below 1e9 no other such text
 * means it. 0 if it is no such number: one division tells. */
static size_t write_decimal(double number, char *to)
{
    enum { MOST = 6 };
    int decimals = MOST;
    if (!(fabs(number) < 1e9) || (number == 0 && signbit(number)))
        return 0;
    int64_t scaled = llrint(number * powers_of_ten[MOST]);
    if ((double)scaled / powers_of_ten[MOST] != number)
        return 0;
    for (; decimals > 0 && scaled % 10 == 0; scaled /= 10)
        decimals--;
    char digits[24], *end = digits + sizeof digits, *at = digits_before(end, (uint64_t)(scaled < 0 ? -scaled : scaled), decimals);
    if (scaled < 0)
        *--at = '-';
    memcpy(to, at, (size_t)(end - at));
    return (size_t)(end - at);
}

size_t number_write(double number, char to[NUMBER_TEXT])
{
    size_t decimal = write_decimal(number, to);
    if (decimal > 0)
        return decimal;
    return number_shortest(number, to);
}

static size_t digits_at(const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - from);
}

/* Plain decimals of up to 15 digits are exact integers over exact powers of ten. */
static bool read_decimal(struct slice text, double *number)
{
    const char *at = text.data, *end = at + text.size;
    bool negative = *at == '-', point = false;
    int64_t whole = 0;
    size_t digits = 0, decimals = 0;
    for (at += negative; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        if (*at < '0' || *at > '9' || ++digits > 15)
            return false;
        whole = whole * 10 + (*at - '0');
        decimals += point;
    }
    if (digits == 0)
        return false;
    *number = (negative ? -1.0 : 1.0) * (double)whole / powers_of_ten[decimals];
    return true;
}

/* strtod would take "inf", hexadecimal and blanks as well, and stop where it likes. */
bool number_read(struct slice text, double *number)
{
    char own[128];
    const char *at = text.data, *end = at + text.size;
    if (text.size == 0 || text.size >= sizeof own)
        return false;
    if (read_decimal(text, number))
        return true;
    at += *at == '-' || *at == '+';
    size_t whole = digits_at(at, end), fraction = 0;
    at += whole;
    if (at < end && *at == '.')
        fraction = digits_at(at + 1, end), at += 1 + fraction;
    if (whole + fraction == 0)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '-' || *at == '+');
        size_t exponent = digits_at(at, end);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    if (at != end)
        return false;
    memcpy(own, text.data, text.size);
    own[text.size] = '\0';
    *number = strtod(own, NULL);
    return isfinite(*number);
}
