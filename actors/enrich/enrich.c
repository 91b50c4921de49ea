/* enrich.c - the worker that makes full events of raw ones: it checks, types and joins them. */
#include "actor.h"

#include <stdio.h>
#include <string.h>

#include "event.h"
#include "here.h"
#include "past.h"

/* States of long ago wait for the readings of their time, as many as leave half of the window to others. */
enum { WAITING_PART = 2 };

/* A session of Home Assistant may know entities that the one before did not: how long its
 * registry is waited for before events are joined with what was known. */
enum { REGISTRY_WAIT_MS = 10000 };

/* How far the registry has been heard, or a mark says it goes. */
struct revisions { int64_t device, entity, area; };

struct self {
    struct enrich_config config;
    struct enrich_stats stats;
    struct reader reader;
    bool has_mark;          /* some registry has been announced as whole */
    int64_t mark_session;   /* the session it was read in */
    struct revisions mark;  /* its last rows: they may come after the mark */
    struct revisions heard;
    int64_t wanted_session; /* the session whose registry is waited for; 0: none */
    bool is_waiting;        /* a wait is going on; it ends after REGISTRY_WAIT_MS */
    bool is_late;           /* it did */
    bool is_open;           /* event.raw flows */
    struct here here;
    past_t *past;
    int64_t unread;         /* events that went without, because so many wait already */
    int64_t waiting, waiting_bytes; /* held until the readings of their time are known */
    struct event_full full; /* the event in hand; too large for a stack frame */
};

/* --- the gate: no event before the registry it belongs to ----------------------------------- */

static bool is_ready(const struct self *self)
{
    return self->has_mark && self->mark_session >= self->wanted_session &&
        self->heard.device >= self->mark.device && self->heard.entity >= self->mark.entity &&
        self->heard.area >= self->mark.area;
}

static void set_gate(struct self *, actor_t *);

static void on_late(struct self *self, actor_t *actor, int64_t tag)
{
    (void)tag;
    self->is_waiting = false;
    if (is_ready(self))
        return;
    if (self->has_mark)
        actor_warn(actor, "the registry of session %lld has not come within %d s: joining with what is known",
            (long long)self->wanted_session, REGISTRY_WAIT_MS / 1000);
    else
        actor_error(actor, "registry has said nothing for %lld s: events are stored without device and area",
            (long long)self->config.registry_wait_ms / 1000);
    self->is_late = true;
    set_gate(self, actor);
}

/* Registry gives a mark whatever Home Assistant says. Without any it does not run: it is given
 * time to be started again, but the log of what is captured is not held until it overflows. */
static void set_gate(struct self *self, actor_t *actor)
{
    bool ready = is_ready(self);
    if (ready)
        self->is_late = false;
    else if (!self->is_late && !self->is_waiting) {
        self->is_waiting = true;
        actor_after(actor, self->has_mark ? REGISTRY_WAIT_MS : (int)self->config.registry_wait_ms, on_late, 0);
    }
    bool is_open = ready || self->is_late;
    if (is_open == self->is_open)
        return;
    self->is_open = is_open;
    if (is_open)
        actor_resume(actor, &event_raw_contract, (size_t)self->config.window_messages,
            (size_t)self->config.window_bytes);
    else
        actor_pause(actor, &event_raw_contract);
}

static void wait_anew(struct self *self, actor_t *actor)
{
    actor_cancel(actor, on_late, 0);
    self->is_late = self->is_waiting = false;
}

static void want_session(struct self *self, actor_t *actor, int64_t session)
{
    self->wanted_session = session;
    if (self->has_mark) /* else it is registry itself that is waited for */
        wait_anew(self, actor);
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
    if (!self->has_mark)
        wait_anew(self, actor);
    self->has_mark = true;
    self->mark = (struct revisions){ m->device_revision, m->entity_revision, m->area_revision };
    actor_info(actor, "registry of session %lld%s", (long long)m->session, m->partial ? ", in part" : "");
    set_gate(self, actor);
    return OK;
}

/* A row was taken over: it may be the last one that the mark spoke of. */
static void hear(struct self *self, actor_t *actor, int64_t *heard, int64_t revision)
{
    if (revision > *heard)
        *heard = revision;
    if (self->has_mark && !self->is_open)
        set_gate(self, actor);
}

static int on_device(struct self *self, actor_t *actor, const struct device_row *m)
{
    known_device(self->reader.known, m);
    SET(&self->stats, devices, (int64_t)known_devices(self->reader.known));
    hear(self, actor, &self->heard.device, m->revision);
    return OK;
}

static int on_entity(struct self *self, actor_t *actor, const struct entity_row *m)
{
    known_entity(self->reader.known, m);
    SET(&self->stats, entities, (int64_t)known_entities(self->reader.known));
    hear(self, actor, &self->heard.entity, m->revision);
    return OK;
}

static int on_area(struct self *self, actor_t *actor, const struct area_row *m)
{
    known_area(self->reader.known, m);
    hear(self, actor, &self->heard.area, m->revision);
    return OK;
}

/* --- what goes on outside ------------------------------------------------------------------- */

static int on_home(struct self *self, actor_t *actor, const struct home_place *m)
{
    const char *why = here_set(&self->here, m);
    if (why)
        actor_warn(actor, "Home Assistant says its zone is %s, which cannot be used: %s", m->time_zone, why);
    return OK;
}

static int on_weather(struct self *self, actor_t *actor, const struct weather_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_WEATHER, m);
    return OK;
}

static int on_carbon(struct self *self, actor_t *actor, const struct carbon_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_CARBON, m);
    return OK;
}

static int on_electricity(struct self *self, actor_t *actor, const struct electricity_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_ELECTRICITY, m);
    return OK;
}

static int on_airquality(struct self *self, actor_t *actor, const struct airquality_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_AIRQUALITY, m);
    return OK;
}

static int on_calendar(struct self *self, actor_t *actor, const struct calendar_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_CALENDAR, m);
    return OK;
}

static int on_meter(struct self *self, actor_t *actor, const struct smartmeter_reading *m)
{
    (void)actor;
    past_hear(self->past, OF_SMARTMETER, m);
    return OK;
}

static int on_source(struct self *self, actor_t *actor, const struct source_row *m)
{
    (void)actor;
    past_hear_status(self->past, m);
    return OK;
}

past_t *enrich_past(struct self *self) { return self->past; }

void enrich_past_is_known(struct self *self, actor_t *actor)
{
    if (self->waiting == 0)
        return;
    self->waiting = self->waiting_bytes = 0; /* all of them come again, and nothing else before them */
    actor_again(actor, 0);
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
    if (raw) {
        SET(&bad, place, raw->place);
        SET_TEXT(&bad, provenance, raw->provenance, raw->provenance_size);
    }
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

/* A source's own series go without: the house has nothing to do with them. */
static bool is_of_the_house(const struct event_full *e)
{
    return e->is_state && e->domain.size > 0 && *(const char *)e->domain.data != '_';
}

/* Whether the event is as complete as it will be. */
static bool join_surroundings(struct self *self, const struct event_raw *raw)
{
    if (!is_of_the_house(&self->full))
        return true;
    here_join(&self->here, &self->full);
    if (past_join(self->past, &self->full))
        return true;
    bool may_wait = self->waiting < self->config.window_messages / WAITING_PART
        && self->waiting_bytes < self->config.window_bytes / WAITING_PART;
    if (may_wait) {
        self->waiting++;
        self->waiting_bytes += (int64_t)raw->event.size;
        return false;
    }
    count(&self->stats.has_unread, &self->unread);
    return true;
}

static int on_raw(struct self *self, actor_t *actor, const struct event_raw *raw)
{
    struct fault fault;
    if (must_wait(self, actor, raw))
        return UNAVAILABLE;
    int64_t future_us = actor_now_us(actor) + self->config.future_s * 1000000;
    int rc = event_read(&self->reader, raw, future_us, &self->full, &fault);
    bool is_complete = rc != 0 || join_surroundings(self, raw);
    SET(&self->stats, waiting, self->waiting);
    SET(&self->stats, unread, self->unread + past_unread(self->past));
    if (!is_complete)
        return HOLD;
    count(&self->stats.has_received, &self->stats.received);
    if (rc)
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
    self->past = past_new(actor);
    here_open(&self->here);
    actor_pause(actor, &event_raw_contract);
    set_gate(self, actor);
    return 0;
}

static void on_connected(struct self *self, actor_t *actor, bool up)
{
    if (!up)
        return;
    past_connected(self->past);
    enrich_past_is_known(self, actor);
}

static enum health tell_health(struct self *self, actor_t *actor, char *why, size_t size)
{
    (void)actor;
    if (self->is_open && !self->is_late)
        return HEALTHY;
    snprintf(why, size, "%s", !self->is_open ? "waiting for the registry" : self->has_mark ?
        "joining with a registry from before" : "registry says nothing: no devices, no areas");
    return DEGRADED;
}

static void close_enrich(struct self *self, actor_t *actor)
{
    (void)actor;
    json_destroy(&self->reader.json);
    known_destroy(&self->reader.known);
    past_destroy(&self->past);
    here_close(&self->here);
}

static const struct handler handlers[] = {
    ON(registry_device, on_device),
    ON(registry_entity, on_entity),
    ON(registry_area, on_area),
    ON(ingest_session, on_session),
    ON(registry_mark, on_mark),
    ON(registry_home, on_home),
    ON(reading_weather, on_weather),
    ON(reading_carbon, on_carbon),
    ON(reading_electricity, on_electricity),
    ON(reading_airquality, on_airquality),
    ON(reading_calendar, on_calendar),
    ON(reading_smartmeter, on_meter),
    ON(source_status, on_source),
    ON(event_raw, on_raw),
    { NULL, NULL },
};

const struct actor_spec actor_spec = {
    .name = "enrich",
    .doc = "Checks, types and joins events with the registry and the readings of their time",
    .state = sizeof(struct self),
    .config = SECTION(config, enrich_config),
    .stats = SECTION(stats, enrich_stats),
    .handlers = handlers,
    .open = open_enrich,
    .connected = on_connected,
    .poison = on_poison,
    .health = tell_health,
    .close = close_enrich,
};
