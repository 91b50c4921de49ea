/* electricity.h - what the files of the electricity source share; a file for each provider.
 *
 * Prices are per kWh in the currency's main unit. What is to be paid is
 *
 *     (market * factor + fee) * (1 + vat_percent / 100) + fee_after_vat     exchanges
 *     what the provider says + fee_after_vat                                the others
 *
 * A slot whose price is not known is none. */
#ifndef ELECTRICITY_H
#define ELECTRICITY_H

#include "source.h"
#include "tariff.h"
#include "zone.h"

struct self {
    struct electricity_config config;
    struct source_stats stats;
    source_t *source;
    struct tariff tariff;
    zone_t *zone;                /* the home's; NULL: not known */
    char home_zone[65], home_currency[9]; /* as Home Assistant says; "": it has not */
    bool has_more;               /* octopus: another page */
    char words[3][64], header[240]; /* of a request */
};

extern const struct step awattar_steps[], energy_charts_steps[], octopus_steps[], tibber_steps[], entsoe_steps[], tariff_steps[];

/* --- prices.c: for the providers */

/* The span to ask for: from the day (UTC) before this one, for four days. */
void prices_span(const source_t *, int64_t *from_us, int64_t *to_us);

void price_of_market(source_t *, struct electricity_slot *, double market);
void price_of_bill(source_t *, struct electricity_slot *, double gross);
void slot_currency(struct electricity_slot *, const char *currency);

/* The draft's slots have no end: it is where the next one begins, and the last is as long as the
 * one before; where one is missing, both of its neighbours keep their length. */
void prices_end_slots(source_t *);

/* --- day.c: source_spec.make */
int price_make(source_t *, const void *slots, size_t count, int64_t now_us, void *reading, int64_t *until_us);

/* --- cheapest.c */
struct span { int64_t from_us, to_us; double price; };

/* A slot's end, or where the next one begins before that. */
int64_t slot_end(const struct electricity_slot *, size_t count, size_t index);

/* What lies in [from, to), cut at its edges, in order and without an overlap; room for SLOTS_MAX. */
size_t spans_cut(const struct electricity_slot *, size_t count, int64_t from_us, int64_t to_us, struct span *);
double spans_mean(const struct span *, size_t count); /* over their time; there is at least one */

/* Leaves in `spans` the cheapest of them that are `length_us` long in all, in order of time: at one
 * go, of which the earliest of equals, or spread. Returns how many; 0: there are not so many. */
size_t cheapest_window(struct span *spans, size_t count, int64_t length_us);
size_t cheapest_spread(struct span *spans, size_t count, int64_t length_us);

/* --- entsoe.c: the code of a bidding zone; NULL: neither a name that is known nor a code */
const char *entsoe_code(const char *area);

#endif
