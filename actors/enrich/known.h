/* known.h - what the registry has said, ready to be joined to events.
 *
 * Rows are kept packed. An entity's join (its device, area, ...) is worked out at its first
 * event after something changed, so that one look-up does for all the others. */
#ifndef KNOWN_H
#define KNOWN_H

#include "schemas.h"

typedef struct known known_t;

/* Slices without data are absent. All point into the known_t and die at its next row. */
struct joined {
    struct slice device_id, area_id, area, integration, manufacturer, model, sw_version, labels, entity_category;
};

known_t *known_new(void);
void known_destroy(known_t **self_p);

/* Take a row over; a later one of the same key replaces it. */
void known_device(known_t *, const struct device_row *);
void known_entity(known_t *, const struct entity_row *);
void known_area(known_t *, const struct area_row *);

/* The join of an entity for an event of that time, or NULL if the registry does not know it.
 * An entity that was removed or renamed is known for what happened before that. */
const struct joined *known_join(known_t *, struct slice entity_id, int64_t at_us);

size_t known_entities(const known_t *); /* removed ones included, as in registry_mark */
size_t known_devices(const known_t *);

#endif
