/* energy_table.h - what everybody used in each of some steps, what it cost and weighed; and what nobody was seen to use. */
#ifndef ENERGY_TABLE_H
#define ENERGY_TABLE_H

#include "energy_quarters.h"
#include "energy_series.h"
#include "energy_who.h"

/* What a kWh costs and weighs, where it comes from. */
struct energy_rates {
    bool has_fixed;
    double fixed;                  /* where the series says nothing */
    bool has_price, has_carbon;    /* there is a series */
    char currency[9];              /* of the series; "": not known */
};

enum { ENERGY_STEPS_MAX = 4000, ENERGY_QUARTERS_MAX = 40000 };

struct energy_table {
    const struct energy_who *who;
    const int64_t *edges;          /* steps + 1, quarters' beginnings */
    size_t steps;
    int64_t now_us;
    bool meters_only;              /* devices are left out */
    struct energy_rates rates;
    enum energy_kind *kinds;       /* of each of who */
    struct energy_sum *sums;       /* [step * who->count + one]; of a device with others behind it: the rest */
    bool *is_rest;                 /* of each of who */
    struct energy_sum *meter, *untracked; /* of each step; untracked: while the meter tells of it */
    struct energy_sum *unmetered;  /* what devices used of each step while it did not */
    bool has_meter;
    enum energy_kind meter_kind, untracked_kind;
};

/* Inside a read; what is set: who, edges, steps, now_us, meters_only, rates.has_fixed and .fixed. */
enum store_result energy_table_read(store_t *, struct energy_table *);
void energy_table_close(struct energy_table *);

static inline const struct energy_sum *energy_table_sum(const struct energy_table *t, size_t step, size_t one)
{
    return &t->sums[step * t->who->count + one];
}

#endif
