/* energy.c - power steps, and which device did it: on the bus, without holding anybody up. */
#include "inside.h"
#include "event_id.h"
#include "small_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 1000, SAVE_S = 60, SEND_MS = 5000, AGAIN_MS = 5000, DEAF_S = 600 };
static const double least_confidence = 0.15; /* a candidate that is less likely is not worth a row */

/* --- settings ------------------------------------------------------------------------------------------- */

struct flow_options options_of(const struct self *self)
{
    const struct energy_config *c = &self->config;
    return (struct flow_options){
        .meter = { c->min_delta_w, (int64_t)(c->transient_s * 1e6) }, .window_us = (int64_t)(c->window_s * 1e6), .sure = c->confidence,
    };
}

/* --- what is kept ----------------------------------------------------------------------------------------- */

static int file_path(const struct self *self, char path[PATH_MAX])
{
    return actor_path(self->actor, path, PATH_MAX, "energy/state");
}

/* What is being looked at again is still to be looked at, as far as the disk knows. */
struct kept with_again(const struct self *self)
{
    struct kept kept = self->kept;
    if (self->again) {
        kept.late_from = kept.late_from && kept.late_from < self->again_from ? kept.late_from : self->again_from;
        kept.late_to = kept.late_to > self->again_to ? kept.late_to : self->again_to;
    }
    kept.stored = self->outbox.stored;
    kept.refused = self->outbox.refused;
    return kept;
}

/* Only when all that was found has been handed on: so that what is kept has nothing in it that is nowhere else. */
static void save(struct self *self)
{
    char path[PATH_MAX];
    struct kept kept = with_again(self);
    msgpack_sbuffer bytes = { 0 };
    if (self->outbox.count > 0 || !self->is_unsaved)
        return;
    kept_encode(&kept, &bytes);
    if (file_path(self, path) || small_file_write(path, (struct slice){ bytes.data, bytes.size }))
        actor_warn(self->actor, "what was learnt cannot be kept on the disk: %s", strerror(errno));
    self->saved_us = actor_clock_us(self->actor);
    self->is_unsaved = false;
    msgpack_sbuffer_destroy(&bytes);
}

static void load(struct self *self)
{
    char path[PATH_MAX];
    msgpack_sbuffer bytes = { 0 };
    if (file_path(self, path) == 0 && small_file_read(path, &bytes) == 0
        && kept_decode((struct slice){ bytes.data, bytes.size }, &self->kept) == 0) {
        self->outbox.stored = self->kept.stored;
        self->outbox.refused = self->kept.refused;
        missed_begin(self);
    } else {
        if (bytes.size > 0)
            actor_error(self->actor, "energy/state cannot be read: beginning anew");
        else if (errno != ENOENT)
            actor_warn(self->actor, "energy/state cannot be read: %s", strerror(errno));
        flow_start(self->kept.flow, actor_now_us(self->actor));
        self->is_unsaved = true;
        save(self); /* from here on nothing is missed */
    }
    msgpack_sbuffer_destroy(&bytes);
}

/* --- steps: out --------------------------------------------------------------------------------------------- */

static bool was_told(const struct self *self, const struct told *one)
{
    int64_t near_us = (int64_t)(self->config.transient_s * 1e6);
    for (size_t i = 0; i < TOLD; i++)
        if (self->kept.told[i].meter == one->meter && llabs(self->kept.told[i].at_us - one->at_us) <= near_us)
            return true;
    return false;
}

/* Of a time that is looked at again: it touches what came late. */
static bool is_in_question(const struct self *self, const struct step *step)
{
    int64_t near_us = (int64_t)((self->config.window_s + self->config.transient_s) * 1e6);
    return step->to_us >= self->again_from - near_us && step->from_us <= self->again_to + near_us;
}

bool on_found(void *owner, const struct found *found)
{
    struct self *self = owner;
    struct told one = { found->step->to_us, hash_bytes(HASH_SEED, slice_of(found->meter->entity)) };
    double best = 0;
    for (size_t i = 0; i < found->count; i++)
        best = found->candidate[i].confidence > best ? found->candidate[i].confidence : best;
    if (self->is_again && (!is_in_question(self, found->step) || was_told(self, &one)))
        return false;
    if (found->judgement.cause < 0 && best < least_confidence)
        return true;
    if (!outbox_put(&self->outbox, found))
        actor_error(self->actor, "a step of power is in no series: there were too many at once");
    self->kept.told[self->kept.told_next++ % TOLD] = one;
    self->is_unsaved = true;
    return true;
}

static void hand_over(struct self *self);

static void on_send_again(struct self *self, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    self->outbox.is_asked = false;
    hand_over(self);
}

static void on_sent(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct again_reply *reply)
{
    (void)tag, (void)reply;
    if (answer->verdict != OK && answer->verdict != UNPROCESSABLE) {
        actor_after(actor, AGAIN_MS, on_send_again, 0); /* ingest is away: the same again */
        return;
    }
    if (answer->verdict == OK) {
        self->outbox.stored++;
    } else {
        self->outbox.refused++;
        actor_error(actor, "ingest cannot read a step of power: %s", answer->fault.why ? answer->fault.why : "");
    }
    outbox_drop(&self->outbox);
    if (self->outbox.count == 0)
        save(self);
    hand_over(self);
}

static void hand_over(struct self *self)
{
    struct again_query query = { 0 };
    struct outbox *out = &self->outbox;
    if (out->count == 0 || out->is_asked)
        return;
    SET(&query, bytes, (struct slice){ out->of[0].data, out->of[0].size });
    out->is_asked = true;
    if (ask_ingest_again(self->actor, &query, SEND_MS, on_sent, 0))
        outbox_drop(out);
}

/* --- events: in ----------------------------------------------------------------------------------------------- */

/* No further than events have been heard: that some were left out is known before the next one comes. */
int64_t settled_us(const struct self *self)
{
    int64_t now_us = actor_now_us(self->actor), heard_us = self->newest_us;
    return (heard_us < now_us ? heard_us : now_us) - (int64_t)(self->config.settle_s * 1e6);
}

enum taken take_event(struct self *self, flow_t *flow, const struct event_full *e, int *meter)
{
    struct change change;
    double w;
    *meter = -1;
    if (!e->is_state || !e->has_entity_id)
        return DOUBLE;
    *meter = flow_find_meter(flow, e->entity_id.data, e->entity_id.size);
    if (*meter >= 0)
        return event_power(e, &w) ? flow_sample(flow, (uint32_t)*meter, (struct sample){ e->timestamp, w })
                                  : flow_break(flow, (uint32_t)*meter, e->timestamp);
    return event_change(self->json, self->config.domains, e, &change) ? flow_change(flow, &change) : DOUBLE;
}

static int on_event(struct self *self, actor_t *actor, const struct event_full *e)
{
    int meter;
    if (!self->meters[0])
        return OK; /* there is no meter yet */
    self->stats.events++;
    int64_t at_us = e->timestamp < actor_now_us(actor) ? e->timestamp : actor_now_us(actor);
    if (at_us > self->newest_us)
        self->newest_us = at_us;
    if (memcmp(e->provenance, "import", 6) == 0)
        return OK;
    enum taken taken = take_event(self, self->kept.flow, e, &meter);
    if (meter >= 0)
        self->heard_us = actor_clock_us(actor);
    if (taken == TAKEN && meter >= 0)
        missed_sample(self, e->timestamp);
    else if (taken == LATE)
        late_note(self, e->timestamp);
    else if (taken == FULL)
        missed_overflow(self);
    return OK;
}

static void on_missed(struct self *self, actor_t *actor, const struct contract *topic, uint32_t count)
{
    (void)actor, (void)topic;
    self->stats.missed += count;
    missed_begin(self);
}

static void on_connected(struct self *self, actor_t *actor, bool up)
{
    (void)actor;
    if (up)
        missed_begin(self); /* also since the start: it may have taken a while */
}

/* --- time ------------------------------------------------------------------------------------------------------- */

void pass(struct self *self)
{
    int64_t until_us = settled_us(self);
    if (outbox_is_busy(&self->outbox))
        return;
    if (self->missed.flow && self->missed.done_us < until_us)
        until_us = self->missed.done_us;
    if (until_us > flow_passed_us(self->kept.flow)) {
        flow_pass(self->kept.flow, until_us);
        self->is_unsaved = true;
    }
    self->is_again = true;
    if (self->again)
        flow_pass(self->again, self->late.done_us);
    self->is_again = false;
    hand_over(self);
}

static void count(struct self *self)
{
    const struct flow_counts *c = flow_counts(self->kept.flow);
    struct energy_stats *s = &self->stats;
    int64_t behind_us = actor_now_us(self->actor) - flow_passed_us(self->kept.flow);
    int64_t events = s->events, late = s->late, missed = s->missed, read = s->read;
    SET(s, events, events);
    SET(s, samples, c->samples);
    SET(s, changes, c->changes);
    SET(s, steps, c->steps);
    SET(s, explained, c->explained);
    SET(s, shared, c->shared);
    SET(s, unexplained, c->unexplained);
    SET(s, stored, self->outbox.stored);
    SET(s, late, late);
    SET(s, missed, missed);
    SET(s, read, read);
    SET(s, devices, (int64_t)devices_count(self->kept.devices));
    SET(s, waiting, (int64_t)flow_waiting(self->kept.flow));
    SET(s, behind_s, behind_us > 0 ? behind_us / SECOND_US : 0);
}

static int tick(struct self *self, actor_t *actor)
{
    look_for_own_meter(self, actor);
    pass(self);
    reread_step(self);
    if (actor_clock_us(actor) - self->saved_us >= SAVE_S * SECOND_US)
        save(self);
    count(self);
    return TICK_MS;
}

static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    int64_t clock_us = actor_clock_us(actor), since_us = self->heard_us ? self->heard_us : self->opened_us;
    if (!self->meters[0] || self->heard_us || clock_us - since_us < DEAF_S * SECOND_US)
        return HEALTHY;
    snprintf(why, size, "nothing was heard of %.200s: is energy.power right?", self->meters);
    return DEGRADED;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static int open_energy(struct self *self, actor_t *actor)
{
    self->actor = actor;
    int rc = choose_meters(self, actor);
    if (rc)
        return rc;
    struct flow_options options = options_of(self);
    self->json = json_new();
    self->kept.devices = devices_new();
    self->kept.flow = flow_new(&options, self->kept.devices, false, on_found, self);
    flow_meters(self, self->kept.flow);
    self->opened_us = actor_clock_us(actor);
    load(self);
    count(self);
    return 0;
}

static void reload(struct self *self, actor_t *actor)
{
    struct flow_options options = options_of(self);
    (void)actor;
    flow_set_options(self->kept.flow, &options);
}

/* What was found is handed on first, so that there is less to be done again; without it nothing is lost either. */
static int drain(struct self *self, actor_t *actor)
{
    (void)actor;
    save(self);
    return self->outbox.count > 0 ? 100 : 0;
}

static void close_energy(struct self *self, actor_t *actor)
{
    (void)actor;
    if (self->json)
        json_destroy(&self->json);
    flow_destroy(&self->again);
    flow_destroy(&self->kept.flow);
    devices_destroy(&self->kept.devices);
    outbox_clear(&self->outbox);
    msgpack_sbuffer_destroy(&self->text);
}

static const struct handler handlers[] = {
    ON(event_full, on_event),
    ANSWER(energy_devices, on_devices),
    ANSWER(energy_correlator, on_correlator),
    { 0 },
};

const struct actor_spec actor_spec = {
    .name = "energy",
    .doc = "Finds steps of power, and which device did it",
    .state = sizeof(struct self),
    .config = SECTION(config, energy_config),
    .stats = SECTION(stats, energy_stats),
    .handlers = handlers,
    .open = open_energy,
    .tick = tick,
    .connected = on_connected,
    .missed = on_missed,
    .health = health,
    .reload = reload,
    .drain = drain,
    .close = close_energy,
    .window_messages = 4096,
    .window_bytes = 1024 * 1024,
    .group = "", /* live: nobody waits for us, and what does not reach us is read from the store */
};
