/* energy_who.h - which series count: the home's meters, and the devices behind them, none of them twice.
 *
 * Devices are those of the settings; else those of Home Assistant's energy dashboard, where it names any; else one counter
 * or power sensor of every device that there is. Meters: settings, else the smart meter's series, else the dashboard. */
#ifndef ENERGY_WHO_H
#define ENERGY_WHO_H

#include "energy_found.h"
#include "schemas.h"

enum energy_role { ROLE_DEVICE, ROLE_IMPORT, ROLE_EXPORT, ROLE_PRODUCTION, ROLE_CHARGE, ROLE_DISCHARGE, ROLES };
extern const char *const energy_role_names[ROLES];
double energy_sign(enum energy_role); /* of its part in what the home used */

struct energy_one {
    char *entity_id, *name, *area, *device_id; /* all but the first may be NULL */
    enum energy_role role;
    size_t parent;                 /* of a device: the place of the one that it is behind; its own: none */
};

struct energy_who {
    struct energy_one *items;
    size_t count, room;
    struct energy_house house;     /* all that it has of energy and power */
    const char *chosen_by;         /* settings, energy dashboard, or found */
    msgpack_sbuffer skipped;       /* JSON: [{"entity_id", "why"} ...] */
    size_t skipped_count;
};

struct energy_wishes {
    const struct query_config *config;
    struct slice prefs;            /* what Home Assistant says of its dashboard, as JSON; empty: nothing */
    int64_t from_us, to_us, now_us;
};

/* On its own: it asks for moments. */
enum store_result energy_who_read(store_t *, const struct energy_wishes *, struct energy_who *);
void energy_who_close(struct energy_who *);

/* The next of "a, b,c"; false: there is none left. */
bool energy_next_name(struct slice *rest, struct slice *name);

#endif
