/* energy_inside.h - what the files of energy.h share; nobody else includes it. */
#ifndef ENERGY_INSIDE_H
#define ENERGY_INSIDE_H

#include "energy.h"
#include "energy_table.h"

struct energy {
    store_t *store;
    const struct query_config *config;
    size_t page_bytes;
    msgpack_sbuffer prefs;
    char currency[9];
    struct energy_who kept;        /* of the last table: its next page has the same */
    int64_t kept_from, kept_to, kept_now;
    bool has_kept;
};

#define SAY(message, member, text) SET_TEXT(message, member, (text), strlen(text))

/* --- energy.c --- */
enum store_result energy_ask_who(energy_t *, int64_t from_us, int64_t to_us, int64_t now_us, struct energy_who *);
/* Of who, steps as they are cut by `edges`; meters_only: without devices. To be closed. */
enum store_result energy_ask_table(energy_t *, const struct energy_who *, const int64_t *edges, size_t steps, bool meters_only, int64_t now_us,
                                   struct energy_table *);
const char *energy_basis(enum energy_kind, const struct energy_sum *); /* measured, estimated, no meter */
const char *energy_currency(const energy_t *, const struct energy_rates *); /* NULL: not known */
double energy_rounded(double, double parts); /* to so many parts of one */

#endif
