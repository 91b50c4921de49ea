/* value.h - what a state's text means: a number, true or false, or nothing but text.
 *
 * A number is the whole text, decimal, C locale, finite ("0x10", "1_000", " 12 ", "nan" are
 * text). The words for true and false count only in domains whose states say yes or no. */
#ifndef VALUE_H
#define VALUE_H

#include "schema.h"

enum { VALUE_TEXT = 64 };

struct value {
    bool is_number;
    struct slice json;  /* JSON text: in the state itself, in `room`, or static; size 0: none */
    char room[VALUE_TEXT];
};

void value_read(struct slice domain, struct slice state, struct value *to);

/* The number of a value that is one. */
double value_number(const struct value *);

#endif
