/* events.h - what a full event says of power, or of a device. */
#ifndef ENERGY_EVENTS_H
#define ENERGY_EVENTS_H

#include "flow.h"
#include "json.h"
#include "schemas.h"

/* Watts. False: none is in force any more (unavailable, removed, no number, another unit). */
bool event_power(const struct event_full *, double *w);

/* Whether it says that one of the domains (with commas between) did something that could be a step of power:
 * not what came back with Home Assistant's start, and no groups, whose members say it themselves. */
bool event_change(json_t *, const char *domains, const struct event_full *, struct change *);

/* Whether `word` is one of the words with commas between; an empty list has none. */
bool is_listed(const char *list, const void *word, size_t size);

#endif
