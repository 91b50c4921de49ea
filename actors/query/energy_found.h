/* energy_found.h - what the house has of energy and power: the counters and power sensors of a time. */
#ifndef ENERGY_FOUND_H
#define ENERGY_FOUND_H

#include "store.h"

struct energy_found { char *entity_id, *name, *area, *device_id; /* all but the first may be NULL */ bool is_counter; double value; /* kWh or W */ };
struct energy_house { struct energy_found *items; size_t count, room; };

/* As it was at the end of the time, and what was there at its beginning alone. */
enum store_result energy_house_read(store_t *, int64_t from_us, int64_t to_us, int64_t now_us, struct energy_house *);
void energy_house_close(struct energy_house *);
const struct energy_found *energy_house_find(const struct energy_house *, struct slice entity_id); /* NULL: there is none */

/* Whether two are of one device: the same id; without any, the same name but for its ending. */
bool energy_is_same_device(const struct energy_found *, const struct energy_found *);
/* Whether the one counts in the other's place: a counter before power, the one that stands higher, the first by name. */
bool energy_is_better(const struct energy_found *, const struct energy_found *);

/* Texts that are owned, and lists that grow. */
char *energy_copy(struct slice);
bool energy_is(const char *text, struct slice); /* the same; NULL: nothing is */
void *energy_one_more(void *items, size_t count, size_t *room, size_t size);

#endif
