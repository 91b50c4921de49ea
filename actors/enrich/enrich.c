/* enrich.c - the worker that makes full events of raw ones: it checks, types and joins them. */
#include "actor.h"

#include <stdio.h>
#include <string.h>

#include "event.h"

/* A session of Home Assistant may know entities that the one before did not: how long its
 * registry is waited for before events are joined with what was known. */
enum { REGISTRY_WAIT_MS = 10000 };

struct self {
    struct enrich_config config;
    struct enrich_stats stats;
    struct reader reader;
    bool has_mark;          /* some registry, whole, has been heard */
    int64_t mark_session;   /* the session it was read in */
    int64_t wanted_session; /* the session whose registry is waited for; 0: none */
    bool is_open;           /* event.raw flows */
    bool is_late;           /* the wait was given up */
    struct event_full full; /* the event in hand; too large for a stack frame */
};

/* --- the gate: no event before the registry it belongs to ----------------------------------- */

static void set_gate(struct self *self, actor_t *actor)
{
    bool is_open = self->has_mark && (self->is_late || self->mark_session >= self->wanted_session);
    if (is_open == self->is_open)
        return;
    self->is_open = is_open;
    if (is_open)
        actor_resume(actor, &event_raw_contract, (size_t)self->config.window_messages,
            (size_t)self->config.window_bytes);
    else
        actor_pause(actor, &event_raw_contract);
}

static void on_late(struct self *self, actor_t *actor, int64_t tag)
{
    if (tag != self->wanted_session || (self->has_mark && self->mark_session >= tag))
        return;
    actor_warn(actor, "the registry of session %lld has not come within %d s: joining with what is known",
        (long long)tag, REGISTRY_WAIT_MS / 1000);
    self->is_late = true;
    set_gate(self, actor);
}

static void want_session(struct self *self, actor_t *actor, int64_t session)
{
    self->wanted_session = session;
    self->is_late = false;
    if (!self->has_mark || self->mark_session < session)
        actor_after(actor, REGISTRY_WAIT_MS, on_late, session);
    set_gate(self, actor);
}

static int on_session(struct self *self, actor_t *actor, const struct ingest_session *m)
{
    if (!strcmp(m->state, "live") && m->session != self->wanted_session)
        want_session(self, actor, m->session);
    return OK;
}

/* A mark of session 0 says what registry had on disk; it does not undo a later one. */
static int on_mark(struct self *self, actor_t *actor, const struct registry_mark *m)
{
    if (m->session || !self->has_mark)
        self->mark_session = m->session;
    self->has_mark = true;
    actor_info(actor, "registry of session %lld%s: %zu entities, %zu devices", (long long)m->session,
        m->partial ? ", in part" : "", known_entities(self->reader.known), known_devices(self->reader.known));
    set_gate(self, actor);
    return OK;
}

static int on_device(struct self *self, actor_t *actor, const struct device_row *m)
{
    (void)actor;
    known_device(self->reader.known, m);
    SET(&self->stats, devices, (int64_t)known_devices(self->reader.known));
    return OK;
}

static int on_entity(struct self *self, actor_t *actor, const struct entity_row *m)
{
    (void)actor;
    known_entity(self->reader.known, m);
    SET(&self->stats, entities, (int64_t)known_entities(self->reader.known));
    return OK;
}

static int on_area(struct self *self, actor_t *actor, const struct area_row *m)
{
    (void)actor;
    known_area(self->reader.known, m);
    return OK;
}

/* --- events ---------------------------------------------------------------------------------- */

static void count(bool *has, int64_t *counter)
{
    *has = true;
    ++*counter;
}

static int quarantine(struct self *self, actor_t *actor, struct slice bytes, const struct event_raw *raw,
    const struct fault *fault)
{
    struct event_bad bad = { .has_bytes = false };
    SET(&bad, bytes, bytes);
    SET_TEXT(&bad, stage, "enrich", 6);
    SET_TEXT(&bad, field, fault->field, strlen(fault->field));
    SET_TEXT(&bad, why, fault->why, strlen(fault->why));
    SET(&bad, received_at, raw ? raw->received_at : actor_now_us(actor));
    if (raw)
        SET(&bad, place, raw->place);
    actor_warn(actor, "an event goes to quarantine: %s: %s", fault->field, fault->why);
    count(&self->stats.has_quarantined, &self->stats.quarantined);
    return publish_event_bad(actor, &bad) ? BROKEN : OK;
}

/* The first event of a session may be here before the word that the session began. */
static bool must_wait(struct self *self, actor_t *actor, const struct event_raw *raw)
{
    if (self->mark_session && raw->session > self->mark_session && raw->session > self->wanted_session)
        want_session(self, actor, raw->session);
    return !self->is_open;
}

static int on_raw(struct self *self, actor_t *actor, const struct event_raw *raw)
{
    struct fault fault;
    if (must_wait(self, actor, raw))
        return UNAVAILABLE;
    int64_t future_us = actor_now_us(actor) + self->config.future_s * 1000000;
    count(&self->stats.has_received, &self->stats.received);
    if (event_read(&self->reader, raw, future_us, &self->full, &fault))
        return quarantine(self, actor, raw->event, raw, &fault);
    if (self->reader.is_odd)
        count(&self->stats.has_warnings, &self->stats.warnings);
    if (self->reader.is_unregistered)
        count(&self->stats.has_unregistered, &self->stats.unregistered);
    if (publish_event_full(actor, &self->full)) {
        if (!schema_check(event_full_schema(), &self->full, &fault))
            return BROKEN;
        return quarantine(self, actor, raw->event, raw, &fault);
    }
    count(&self->stats.has_enriched, &self->stats.enriched);
    return OK;
}

static void on_poison(struct self *self, actor_t *actor, const struct contract *topic, struct slice bytes,
    const struct fault *fault)
{
    (void)topic;
    count(&self->stats.has_received, &self->stats.received);
    quarantine(self, actor, bytes, NULL, fault);
}

/* --- life ------------------------------------------------------------------------------------ */

static int open_enrich(struct self *self, actor_t *actor)
{
    self->reader.json = json_new();
    self->reader.known = known_new();
    actor_pause(actor, &event_raw_contract);
    return 0;
}

static enum health tell_health(struct self *self, actor_t *actor, char *why, size_t size)
{
    (void)actor;
    if (self->is_open && !self->is_late)
        return HEALTHY;
    snprintf(why, size, "%s", self->is_open ? "joining with a registry from before" : "waiting for the registry");
    return DEGRADED;
}

static void close_enrich(struct self *self, actor_t *actor)
{
    (void)actor;
    json_destroy(&self->reader.json);
    known_destroy(&self->reader.known);
}

/* The mark comes last: what is said again to a newcomer is said in this order. */
static const struct handler handlers[] = {
    ON(registry_device, on_device),
    ON(registry_entity, on_entity),
    ON(registry_area, on_area),
    ON(ingest_session, on_session),
    ON(registry_mark, on_mark),
    ON(event_raw, on_raw),
    { NULL, NULL },
};

const struct actor_spec actor_spec = {
    .name = "enrich",
    .doc = "Checks, types and joins events with the registry",
    .state = sizeof(struct self),
    .config = SECTION(config, enrich_config),
    .stats = SECTION(stats, enrich_stats),
    .handlers = handlers,
    .open = open_enrich,
    .poison = on_poison,
    .health = tell_health,
    .close = close_enrich,
};
