/* home.c - a meter that Home Assistant knows already: its entities, as their events go by on the bus.
 *
 * What is in force is asked for once; from then on each state counts as it comes, older ones (history that is
 * filled in) do not. `unavailable` and `unknown` are no values. */
#include "smartmeter.h"
#include "units.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000, GATHER_MS = 100, ASK_MS = 10000, AGAIN_MS = 10000, GUESSES = 4, NAME = 251 };
enum role { POWER, IMPORT, EXPORT, GAS, ROLES, CIRCUIT };

struct known { char entity[NAME], name[NAME]; double value; int64_t at_us; bool is_known; };

struct home {
    source_t *source;
    struct known roles[ROLES], guesses[GUESSES];
    struct known *circuits;
    size_t circuits_count;
    bool is_gathering, had_value;
};

static const char *const guesses[GUESSES] = { "sensor.total_power", "sensor.power_total", "sensor.home_power", "sensor.power_consumption" };
static const char *const units[ROLES] = { "W", "kWh", "kWh", "m³" };

/* --- which entity is what -------------------------------------------------------------------------- */

static bool is_same(struct slice text, const char *name)
{
    return *name && strlen(name) == text.size && memcmp(text.data, name, text.size) == 0;
}

static bool has_part(struct slice text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static bool is_listed(const char *list, struct slice entity)
{
    for (const char *at = list; *at;) {
        size_t skip = strspn(at, ", "), size = strcspn(at + skip, ", ");
        if (size == entity.size && memcmp(at + skip, entity.data, size) == 0)
            return true;
        at += skip + size;
    }
    return false;
}

/* Where no circuits are named, all that measure power are, but those that are of the whole house by their name. */
static bool is_circuit(const struct self *self, const struct event_full *event)
{
    double watts = 0;
    if (self->config.has_circuit_entities)
        return is_listed(self->config.circuit_entities, event->entity_id);
    return is_same(event->domain, "sensor") && event->has_unit && units_convert(event->unit, slice_of("W"), &watts)
        && !has_part(event->entity_id, "total") && !has_part(event->entity_id, "home") && !has_part(event->entity_id, "consumption");
}

static struct known *find_circuit(struct home *self, struct slice entity, bool may_add)
{
    for (size_t i = 0; i < self->circuits_count; i++)
        if (is_same(entity, self->circuits[i].entity))
            return &self->circuits[i];
    if (!may_add || self->circuits_count >= CIRCUITS_MAX || entity.size >= NAME)
        return NULL;
    self->circuits = realloc(self->circuits, (self->circuits_count + 1) * sizeof *self->circuits);
    assert(self->circuits);
    struct known *circuit = &self->circuits[self->circuits_count++];
    *circuit = (struct known){ .at_us = -1 };
    memcpy(circuit->entity, entity.data, entity.size);
    return circuit;
}

static struct known *find(struct self *self, const struct event_full *event, const char **unit)
{
    struct home *home = self->home;
    *unit = "W";
    for (int i = 0; i < ROLES; i++)
        if (is_same(event->entity_id, home->roles[i].entity)) {
            *unit = units[i];
            return &home->roles[i];
        }
    for (int i = 0; i < GUESSES; i++)
        if (!self->config.has_power_entity && is_same(event->entity_id, home->guesses[i].entity))
            return &home->guesses[i];
    return is_circuit(self, event) ? find_circuit(home, event->entity_id, true) : NULL;
}

/* --- a reading ----------------------------------------------------------------------------------------- */

static const struct known *power_of(const struct home *self)
{
    const struct known *best = &self->roles[POWER];
    for (int i = 0; i < GUESSES && !best->is_known; i++)
        if (self->guesses[i].is_known)
            best = &self->guesses[i];
    return best;
}

static void add_circuits(struct self *self)
{
    circuits_clear(&self->circuits);
    for (size_t i = 0; i < self->home->circuits_count; i++) {
        const struct known *circuit = &self->home->circuits[i];
        circuits_add(&self->circuits, *circuit->name ? circuit->name : circuit->entity, circuit->entity, circuit->is_known ? &circuit->value : NULL);
    }
}

static void on_gathered(struct self *self, actor_t *actor, int64_t tag)
{
    static const char *const names[ROLES] = { "power_w", "import_kwh", "export_kwh", "gas_m3" };
    struct home *home = self->home;
    (void)actor, (void)tag;
    if (!home)
        return;
    struct smartmeter_reading *reading = source_draft(home->source);
    int64_t as_of = -1;
    bool has_value = false;
    home->is_gathering = false;
    for (int i = 0; i < ROLES; i++) {
        const struct known *known = i == POWER ? power_of(home) : &home->roles[i];
        as_of = known->at_us > as_of ? known->at_us : as_of;
        if (!known->is_known)
            continue;
        source_odd(home->source, !pick_put(smartmeter_reading_schema(), names[i], known->value, reading));
        has_value = true;
    }
    if (has_value || home->had_value) { /* where it has none any more, that is its reading */
        SET(reading, as_of, as_of);
        add_circuits(self);
        meter_push(home->source);
        home->had_value = has_value;
    }
    if (!has_value)
        source_trouble(home->source, "none of the entities of the meter has a value: see smartmeter.power_entity, smartmeter.import_entity");
}

static void gather(struct self *self, actor_t *actor)
{
    if (!self->home->is_gathering)
        actor_after(actor, GATHER_MS, on_gathered, 0);
    self->home->is_gathering = true;
}

static void take_name(struct home *self, const struct event_full *event, struct known *known)
{
    json_t *json = source_json(self->source);
    struct json_value root;
    const char *why;
    if (event->has_attributes && json_read(json, event->attributes, &root, &why) == 0 && root.kind == JSON_OBJECT)
        pick_text(json, root.raw, "friendly_name", known->name, sizeof known->name);
}

static bool read_value(struct home *self, const struct event_full *event, const char *unit, double *value)
{
    if (!event->has_value || !event->has_unit || !json_real((struct json_value){ JSON_NUMBER, event->value }, value))
        return false;
    bool is_good = units_convert(event->unit, slice_of(unit), value);
    source_odd(self->source, !is_good);
    return is_good;
}

static void take(struct self *self, actor_t *actor, const struct event_full *event)
{
    const char *unit;
    if (!event->is_state || !event->has_entity_id || !event->has_domain)
        return;
    struct known *known = find(self, event, &unit);
    if (!known || event->timestamp < known->at_us)
        return;
    known->at_us = event->timestamp;
    known->is_known = read_value(self->home, event, unit, &known->value);
    take_name(self->home, event, known);
    gather(self, actor);
}

int home_event(struct self *self, actor_t *actor, const struct event_full *event)
{
    if (self->home)
        take(self, actor, event);
    return OK;
}

/* What it says while Home Assistant cannot be heard is not known: the next state counts again. */
int home_session(struct self *self, actor_t *actor, const struct ingest_session *session)
{
    if (self->home && strcmp(session->state, "live") != 0)
        meter_lose_power(self, actor);
    return OK;
}

/* --- what is in force at the start ------------------------------------------------------------------------ */

static void ask_states(struct self *, actor_t *, int64_t tag);

static void on_states(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    struct slice rest = answer->rows, one;
    struct event_full event;
    struct fault fault;
    (void)tag, (void)end;
    if (!self->home)
        return;
    if (answer->verdict != OK) {
        actor_cancel(actor, ask_states, 0);
        actor_after(actor, AGAIN_MS, ask_states, 0);
        return;
    }
    while (frame_next(&rest, &one))
        if (schema_decode(event_full_schema(), one, &event, &fault) == 0)
            take(self, actor, &event);
}

static void ask_states(struct self *self, actor_t *actor, int64_t tag)
{
    struct latest_query query = { .has_limit = true, .limit = MOST };
    (void)tag;
    if (!self->home)
        return;
    SET_TEXT(&query, domain, "sensor", 6);
    if (ask_events_latest(actor, &query, ASK_MS, on_states, 0))
        actor_after(actor, AGAIN_MS, ask_states, 0);
}

void home_connected(struct self *self, actor_t *actor, bool up)
{
    if (up && self->home)
        ask_states(self, actor, 0);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void set_entity(struct known *known, const char *entity)
{
    snprintf(known->entity, sizeof known->entity, "%s", entity);
    known->at_us = -1;
}

int home_listen(source_t *source)
{
    struct self *owner = source_self(source);
    const struct smartmeter_config *config = &owner->config;
    struct home *self = calloc(1, sizeof *self);
    assert(self && !owner->home);
    self->source = source;
    set_entity(&self->roles[POWER], config->has_power_entity ? config->power_entity : "");
    set_entity(&self->roles[IMPORT], config->has_import_entity ? config->import_entity : "");
    set_entity(&self->roles[EXPORT], config->has_export_entity ? config->export_entity : "");
    set_entity(&self->roles[GAS], config->has_gas_entity ? config->gas_entity : "");
    for (int i = 0; i < GUESSES; i++)
        set_entity(&self->guesses[i], guesses[i]);
    owner->home = self;
    actor_resume(source_actor(source), &event_full_contract, 0, 0);
    actor_after(source_actor(source), 0, ask_states, 0);
    return 0;
}

void home_hush(source_t *source)
{
    struct self *owner = source_self(source);
    if (!owner->home)
        return;
    actor_pause(source_actor(source), &event_full_contract);
    actor_cancel(source_actor(source), on_gathered, 0);
    actor_cancel(source_actor(source), ask_states, 0);
    free(owner->home->circuits);
    free(owner->home);
    owner->home = NULL;
}
