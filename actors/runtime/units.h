/* units.h - units of measurement and the one of each kind that they are brought to. */
#ifndef UNITS_H
#define UNITS_H

#include "schema.h"

struct unit {
    const char *name;      /* as Home Assistant or an integration spells it */
    const char *canonical;
    double shift;          /* canonical = (value - shift) * times / over */
    double times, over;
};

/* NULL if it is not known. */
const struct unit *unit_find(struct slice name);
double unit_convert(const struct unit *, double value);

/* Any unit into any other of its kind, `*value` in place; the same text into itself, known or not
 * ("" is having no unit). false: it cannot be, and the value is as it was. */
bool units_convert(struct slice from, struct slice to, double *value);

#endif
