/* decimal.c - numbers that are written as decimals, as whole numbers. */
#include "decimal.h"

const int64_t powers_of_ten[DECIMALS_MAX + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, INT64_C(10000000000), INT64_C(100000000000),
    INT64_C(1000000000000), INT64_C(10000000000000), INT64_C(100000000000000), INT64_C(1000000000000000),
};

bool decimal_read(struct slice text, int64_t *whole, unsigned *decimals)
{
    const char *at = text.data, *end = at + text.size;
    bool minus = text.size > 0 && *at == '-', has_point = false;
    int64_t number = 0;
    size_t digits = 0, before = 0;
    at += minus;
    if (end - at > DECIMALS_MAX + 2)
        return false;
    for (const char *begin = at; at < end; at++) {
        if (*at == '.' && !has_point && digits > 0) {
            has_point = true;
            before = digits;
            continue;
        }
        if (*at < '0' || *at > '9' || (digits == 1 && !has_point && *begin == '0'))
            return false;
        number = number * 10 + (*at - '0');
        digits++;
    }
    *decimals = has_point ? (unsigned)(digits - before) : 0;
    *whole = minus ? -number : number;
    return digits > 0 && !(has_point && *decimals == 0) && *decimals <= DECIMALS_MAX && !(minus && number == 0) && number < DECIMAL_LIMIT;
}

char *decimal_write(int64_t whole, unsigned decimals, char to[DECIMAL_TEXT])
{
    char *at = to + DECIMAL_TEXT;
    uint64_t left = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
    for (unsigned i = 0; i < decimals; i++, left /= 10)
        *--at = (char)('0' + left % 10);
    if (decimals > 0)
        *--at = '.';
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (whole < 0)
        *--at = '-';
    return at;
}
