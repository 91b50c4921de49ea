/* circuits.h - parts of the house, or channels of the meter, with the power that each takes. */
#ifndef CIRCUITS_H
#define CIRCUITS_H

#include "schemas.h"

enum { CIRCUITS_MAX = 100, CIRCUITS_SERIES = 8 };

/* 250 bytes of name each. */
struct circuits {
    struct smartmeter_circuit *rows;
    size_t count;
};

void circuits_clear(struct circuits *);    /* none; what they were in is freed */

/* `series` NULL: one of the first eight becomes circuit_<n>_w of the reading. `power_w` NULL: not known now. */
void circuits_add(struct circuits *, const char *name, const char *series, const double *power_w);

/* Shares of what the house takes, members circuit_<n>_w, and the list as JSON in `to`. */
void circuits_tell(struct circuits *, struct smartmeter_reading *, char *to, size_t size);

#endif
