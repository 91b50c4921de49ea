/* world.h - the simulated house: its rooms, devices and entities, and what happens to them.
 *
 * Time is an argument. Whatever happens is told to `happen` as one exact JSON event. */
#ifndef HOME_WORLD_H
#define HOME_WORLD_H

#include "moment.h"

enum version { HA_2024_3, HA_2025_4, HA_2026_2 };

struct context {
    char id[ULID_SIZE + 1], parent[ULID_SIZE + 1], user[33];
};

struct world;
struct entity;

/* What an entity of some kind is and how it behaves. `live` may change it; its weight is its
 * share of the visits. */
struct breed {
    const char *domain, *suffix, *name, *device_class, *unit, *state_class, *category, *translation_key;
    void (*begin)(struct world *, struct entity *);
    void (*live)(struct world *, struct entity *);
    int weight, decimals;
    int64_t low, high; /* where a number begins, scaled by its decimals */
};

struct area {
    char *id, *name;
    const char *icon, *floor;
    int64_t created_us;
};

struct device {
    char id[33], *name;
    const char *manufacturer, *model, *model_id, *version, *platform;
    int area, entry; /* -1: none */
    int64_t created_us;
};

struct entry {
    char id[33];
    const char *domain, *title;
    int64_t created_us;
};

struct entity {
    char *id, *unique_id, *full_name, *name; /* full_name as people see it; name: what the user called it, or NULL */
    char uuid[33];
    const struct breed *breed;
    int device, area; /* -1: none; area is the user's choice for this entity */
    bool registered, present, disabled;
    int64_t created_us, modified_us;
    struct text state, attributes, json; /* json: the whole state object */
    int64_t changed_us, updated_us, reported_us;
    struct context context;
    bool held; /* its integration is not up yet: what it will say then is in held_* */
    struct text held_state, held_attributes;
    /* How it lives: partners are other entities by number, -1 if there is none. */
    int partner, second;
    int64_t value, other, since_us;
    bool on;
};

/* One event. old_json and new_json are the state objects within a state_changed, else empty. */
struct happening {
    int64_t t_us;
    const char *type;
    struct slice json, old_json, new_json;
    const struct entity *entity;
};

struct world {
    enum version version;
    struct chance chance;
    struct calendar calendar;
    int64_t now_us, last_us, began_us;
    struct entity **entities;
    size_t count, room;
    struct device *devices;
    size_t device_count;
    struct area *areas;
    size_t area_count;
    struct entry *entries;
    size_t entry_count;
    uint32_t *round;
    size_t round_size, round_at, round_room; /* whom to visit next */
    struct text scratch, event, attributes;
    char user_id[33];
    bool stale;                    /* entities came or went: make a new round */
    int64_t registry_due_us, load; /* load: what all plugs draw, in tenths of a watt */
    int clouds;                    /* percent */
    size_t padding_bytes;          /* of disabled entities in the registry's reply */
    void *owner;
    void (*happen)(void *owner, const struct happening *);
};

struct world *world_new(enum version, uint64_t seed, size_t entities, int64_t now_us);
void world_destroy(struct world **self_p);
void world_build(struct world *, size_t entities); /* catalog.c */

/* Let the next entity in the round live at now_us: none, one or several events. */
void world_step(struct world *, int64_t now_us);
void world_set_time(struct world *, int64_t now_us);

struct entity *world_find(const struct world *, struct slice entity_id);
struct entity *world_add(struct world *, const char *entity_id, const char *name, const struct breed *);
struct entity *world_add_plain(struct world *, struct slice entity_id, struct slice state, struct slice attributes);
int world_index(const struct world *, const struct entity *);

/* A state is written as HA does it: nothing happens if nothing changed. `cause` NULL: a new
 * context. True if an event was fired. */
bool world_write(
    struct world *, struct entity *, struct slice state, struct slice attributes, const struct context *cause);
void world_remove(struct world *, struct entity *);
void world_fire(struct world *, const char *type, struct slice data, const char *origin, const struct context *cause);

/* Registry: each fires its *_registry_updated. False if there is no such thing. */
bool world_rename(struct world *, struct entity *, struct slice entity_id);
bool world_name(struct world *, struct entity *, const char *name); /* NULL: the original one */
bool world_move(struct world *, struct entity *, struct slice area_id);
struct area *world_add_area(struct world *, struct slice name);
int world_area(const struct world *, struct slice area_id); /* its number, or -1 */

struct context world_context(struct world *, const struct context *parent, bool by_user);

/* services.c: call_service on one entity. False if its domain has no such service. */
bool world_call(struct world *, struct entity *, struct slice service, struct slice data, const struct context *);

extern const struct breed plain_breed; /* whatever was added from outside: it does nothing by itself */

/* Where it stands. */
#define HOME_LATITUDE 52.37
#define HOME_LONGITUDE 4.89
#define HOME_ZONE "Europe/Amsterdam"

#endif
