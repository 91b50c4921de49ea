/* carbon.h - who may be asked for the grid's carbon; a file for each. */
#ifndef CARBON_H
#define CARBON_H

#include "source.h"

struct self {
    struct carbon_config config;
    struct source_stats stats;
    source_t *source;
    char token[2048];      /* WattTime's, for half an hour */
    char header[2080];
};

extern const struct step uk_steps[], electricitymaps_steps[], watttime_steps[];

/* Nothing, a region's number, or an outward postcode. */
bool uk_zone_is_good(const char *zone);

/* The slot that a moment lies in; NULL: none does. */
const struct carbon_slot *slot_at(const struct carbon_slot *, size_t count, int64_t at_us);

#endif
