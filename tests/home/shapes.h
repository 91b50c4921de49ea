/* shapes.h - the JSON of what Home Assistant says, as each version says it. */
#ifndef HOME_SHAPES_H
#define HOME_SHAPES_H

#include "world.h"

extern const char *const version_names[3];

void shape_context(struct text *, const struct context *);
void shape_state(struct world *, struct text *, const struct entity *);
void shape_states(struct world *, struct text *);
void shape_config(struct world *, struct text *, const char *state);
void shape_services(struct text *);
void shape_entities(struct world *, struct text *);
void shape_entity_entry(struct world *, struct text *, const struct entity *);
void shape_entity_extended(struct world *, struct text *, const struct entity *);
void shape_devices(struct world *, struct text *);
void shape_areas(struct world *, struct text *);
void shape_area(struct world *, struct text *, const struct area *);
void shape_floors(struct world *, struct text *);
void shape_labels(struct world *, struct text *);
void shape_config_entries(struct world *, struct text *);
void shape_energy_prefs(struct world *, struct text *);
void shape_compressed(struct text *, const struct entity *, bool with_attributes);

/* Domains with their services, for the start-up and get_services; the last has no domain. */
struct domain {
    const char *name;
    const char *services[8];
};
extern const struct domain domains[];

#endif
