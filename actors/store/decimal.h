/* decimal.h - numbers that are written as decimals, as whole numbers: "21.50" is 2150 with two decimals. */
#ifndef STORE_DECIMAL_H
#define STORE_DECIMAL_H

#include "schema.h"

enum { DECIMALS_MAX = 15, DECIMAL_TEXT = 24 };
#define DECIMAL_LIMIT (INT64_C(1) << 53) /* of what is below, a real is exact */

extern const int64_t powers_of_ten[DECIMALS_MAX + 1];

/* Only of a text that decimal_write() gives back to the byte: no "+1", "01", "1.", ".5", "-0", "1e3". */
bool decimal_read(struct slice text, int64_t *whole, unsigned *decimals);
char *decimal_write(int64_t whole, unsigned decimals, char to[DECIMAL_TEXT]); /* to the end of `to`; returns where it begins */

/* As number_read() reads the text of it. */
static inline double decimal_number(int64_t whole, unsigned decimals)
{
    return (double)whole / (double)powers_of_ten[decimals];
}

#endif
