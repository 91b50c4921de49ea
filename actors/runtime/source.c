/* source.c - what a source knows, and what is told of it. */
#include "source_inside.h"
#include "life.h"
#include "off.h"
#include "row.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOT_ROOM = 32 };
static const int64_t future_us = INT64_C(3600000000); /* a reading may be ahead of our clock by so much */

/* --- settings ------------------------------------------------------------------------------------ */

struct source *source_of(struct self *owner)
{
    return *(struct source **)((char *)owner + source_spec.at);
}

struct self *source_self(const source_t *self)
{
    return (struct self *)self->owner;
}

static const void *section(const source_t *self)
{
    return (const char *)self->owner + actor_spec.config.at;
}

const char *source_setting(const source_t *self, const char *name)
{
    const struct field *f = schema_field(actor_spec.config.schema(), name, strlen(name));
    assert(f && f->kind == TEXT_KIND);
    return row_is_set(f, section(self)) ? row_in(f, section(self)) : "";
}

size_t source_setting_text(const struct source *self, const char *name, char *to, size_t size)
{
    const struct field *f = schema_field(actor_spec.config.schema(), name, strlen(name));
    assert(f);
    return schema_get_text(f, section(self), to, size);
}

/* The settings that every source has, out of its own section. */
static void read_settings(source_t *self)
{
    const struct schema *own = actor_spec.config.schema(), *shared = source_config_schema();
    schema_clear(shared, &self->config);
    for (const struct field *f = shared->fields; f < shared->fields + shared->count; f++) {
        const struct field *from = schema_field(own, f->name, strlen(f->name));
        assert(!from || from->kind == f->kind);
        if (!from || !row_is_set(from, section(self)))
            continue;
        if (f->kind == TEXT_KIND)
            row_put_bytes(f, row_bytes(from, section(self)), &self->config);
        else if (f->kind == REAL_KIND)
            row_put_real(f, *(const double *)row_in(from, section(self)), &self->config);
        else
            row_put_int(f, *(const int64_t *)row_in(from, section(self)), &self->config);
    }
}

const struct provider *source_provider(const char *name)
{
    for (const struct provider *p = source_spec.providers; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

static int need_settings(source_t *self, const struct provider *provider)
{
    for (size_t i = 0; i < SETTINGS_MAX && provider->needs[i]; i++)
        if (!*source_setting(self, provider->needs[i])) {
            actor_error(self->actor, "%s.%s: %s cannot be asked without it", actor_spec.name, provider->needs[i], provider->name);
            return -1;
        }
    if (self->config.has_latitude == self->config.has_longitude)
        return 0;
    actor_error(self->actor, "%s.%s: latitude and longitude belong together", actor_spec.name, self->config.has_latitude ? "longitude" : "latitude");
    return -1;
}

static void tell_names(source_t *self)
{
    char names[200] = "";
    for (const struct provider *p = source_spec.providers; p->name; p++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s, ", p->name);
    actor_error(self->actor, "%s.provider: \"%s\" is none of %soff", actor_spec.name, self->config.provider, names);
}

/* 0, or the exit code; has said why. */
static int choose(source_t *self)
{
    read_settings(self);
    if (strcmp(self->config.provider, "off") == 0)
        return EXIT_OFF;
    const struct provider *provider = source_provider(self->config.provider);
    if (!provider)
        tell_names(self);
    if (!provider || need_settings(self, provider) || (source_spec.check && source_spec.check(source_self(self), self->actor)))
        return EXIT_SETTINGS;
    self->provider = provider;
    return 0;
}

bool source_use(source_t *self, const char *provider)
{
    const struct provider *found = source_provider(provider);
    if (found)
        self->provider = found;
    return found != NULL;
}

/* --- the place ------------------------------------------------------------------------------------ */

static void set_place(source_t *self, double latitude, double longitude)
{
    self->has_place = true;
    self->place_latitude = latitude;
    self->place_longitude = longitude;
    snprintf(self->latitude, sizeof self->latitude, "%.2f", latitude);
    snprintf(self->longitude, sizeof self->longitude, "%.2f", longitude);
}

static void place_of_settings(source_t *self)
{
    if (self->config.has_latitude)
        set_place(self, self->config.latitude, self->config.longitude);
}

void source_move(struct source *self, const struct home_place *home)
{
    if (self->config.has_latitude || (self->has_place && self->place_latitude == home->latitude && self->place_longitude == home->longitude))
        return;
    bool is_elsewhere = self->has_place;
    set_place(self, home->latitude, home->longitude);
    if (self->provider->needs_place && is_elsewhere && !self->is_asking)
        self->due_us = 0; /* what is known is of another place */
    actor_wake(self->actor, 0);
}

int source_home(struct self *owner, actor_t *actor, const struct home_place *home)
{
    (void)actor;
    source_move(source_of(owner), home);
    return OK;
}

const char *source_latitude(const source_t *self) { return self->latitude; }
const char *source_longitude(const source_t *self) { return self->longitude; }
actor_t *source_actor(const source_t *self) { return self->actor; }
int64_t source_now_us(const source_t *self) { return actor_now_us(self->actor); }
json_t *source_json(const source_t *self) { return self->json; }

/* --- the draft -------------------------------------------------------------------------------------- */

void *source_draft(const source_t *self) { return self->draft; }
void source_odd(source_t *self, size_t count) { self->stats->odd += (int64_t)count; }
size_t source_draft_slots(const source_t *self) { return self->drafts.count; }
void source_drop_slots(source_t *self) { self->drafts.count = 0; }

void *slots_at(struct slots *slots, size_t size, size_t index, bool may_grow)
{
    if (index >= SLOTS_MAX || (index >= slots->count && !may_grow))
        return NULL;
    if (index >= slots->room) {
        slots->room = index + SLOT_ROOM;
        slots->bytes = realloc(slots->bytes, slots->room * size);
        assert(slots->bytes);
    }
    if (index >= slots->count) {
        memset(slots->bytes + slots->count * size, 0, (index + 1 - slots->count) * size);
        slots->count = index + 1;
    }
    return slots->bytes + index * size;
}

void *source_slot_at(source_t *self, size_t index, bool may_grow)
{
    return slots_at(&self->drafts, self->slot_schema->size, index, may_grow);
}

void *source_slot(source_t *self)
{
    return source_slot_at(self, self->drafts.count, true);
}

int source_read(source_t *self, const struct step *step, struct slice body, struct fault *fault)
{
    struct json_value root = { JSON_NOTHING, body };
    const char *why;
    *fault = (struct fault){ "", "is no answer that can be read" };
    if (!step->is_text && json_read(self->json, body, &root, &why)) {
        *fault = (struct fault){ "", why };
        return -1;
    }
    return step->read(self, root, fault);
}

int64_t source_time_of(const struct schema *schema, const void *row, const char *name)
{
    const struct field *f = schema_field(schema, name, strlen(name));
    return f && row_is_set(f, row) ? *(const int64_t *)row_in(f, row) : -1;
}

static int by_from(const void *a, const void *b)
{
    int64_t one = source_time_of(source_spec.slot(), a, "from"), other = source_time_of(source_spec.slot(), b, "from");
    return (one > other) - (one < other);
}

/* In the order of time; of two that begin at the same moment the later said counts; what breaks its schema goes. */
static void sort_slots(source_t *self)
{
    struct slots *slots = &self->drafts;
    size_t size = self->slot_schema ? self->slot_schema->size : 0, kept = 0;
    struct fault fault;
    for (size_t i = 0; i < slots->count; i++) {
        char *slot = slots->bytes + i * size;
        bool is_good = !schema_check(self->slot_schema, slot, &fault)
            && source_time_of(self->slot_schema, slot, "from") < source_time_of(self->slot_schema, slot, "to") + source_spec.slots_overlap;
        source_odd(self, !is_good);
        if (is_good && i != kept)
            memcpy(slots->bytes + kept * size, slot, size);
        kept += is_good;
    }
    slots->count = kept;
    if (kept > 1)
        qsort(slots->bytes, kept, size, by_from);
    kept = 0;
    for (size_t i = 0; i < slots->count && !source_spec.slots_overlap; i++) {
        bool is_double = kept > 0 && by_from(slots->bytes + (kept - 1) * size, slots->bytes + i * size) == 0;
        kept -= is_double;
        if (i != kept)
            memcpy(slots->bytes + kept * size, slots->bytes + i * size, size);
        kept++;
    }
    slots->count = source_spec.slots_overlap ? slots->count : kept;
}

static void set_text(const struct schema *schema, const char *name, const char *text, void *message)
{
    row_put_bytes(schema_field(schema, name, strlen(name)), slice_of(text), message);
}

static void set_time(const struct schema *schema, const char *name, int64_t at_us, void *message)
{
    row_put_int(schema_field(schema, name, strlen(name)), at_us, message);
}

int source_check(source_t *self, struct fault *fault)
{
    set_text(self->schema, "provider", self->provider->name, self->draft);
    if (*self->provider->attribution)
        set_text(self->schema, "attribution", self->provider->attribution, self->draft);
    set_time(self->schema, "fetched_at", actor_now_us(self->actor), self->draft);
    sort_slots(self);
    *fault = (struct fault){ "", "no slot of the answer is in force now" };
    int64_t now_us = actor_now_us(self->actor), until_us;
    if (source_spec.make && source_spec.make(self, self->drafts.bytes, self->drafts.count, now_us, self->draft, &until_us))
        return -1;
    if (schema_check(self->schema, self->draft, fault))
        return -1;
    if (source_as_of(self->draft) <= actor_now_us(self->actor) + future_us)
        return 0;
    *fault = (struct fault){ "as_of", "lies in the future" };
    return -1;
}

/* --- what is known --------------------------------------------------------------------------------------- */

int64_t source_as_of(const void *reading)
{
    return source_time_of(source_spec.reading->in(), reading, "as_of");
}

int64_t source_stale_of(const struct source *self, const struct provider *provider, const void *reading, int64_t fetched_us)
{
    int64_t valid_to_us = source_spec.make ? source_time_of(self->schema, reading, "valid_to") : -1;
    int64_t lasts_us = INT64_C(1000000) * (self->config.has_stale_s ? self->config.stale_s : provider->stale_s);
    if (source_spec.ages_by_answer)
        return fetched_us + lasts_us;
    return valid_to_us >= 0 && !self->config.has_stale_s ? valid_to_us : source_as_of(reading) + lasts_us;
}

int64_t source_stale_us(const struct source *self)
{
    return source_stale_of(self, self->provider, self->reading, self->fetched_us);
}

bool source_is_stale(const struct source *self)
{
    return actor_now_us(self->actor) > source_stale_us(self);
}

void source_take(struct source *self)
{
    ahead_keep(self);
    self->fetched_us = actor_now_us(self->actor);
    int64_t known_us = self->has_reading && !source_spec.make ? source_as_of(self->reading) : -1;
    if (source_as_of(self->draft) < known_us && known_us <= self->fetched_us)
        return; /* it has said something newer before; what is to come was said when a clock was wrong */
    if (!self->has_reading)
        self->saved_us = 0; /* that something is known at all is kept at once: energy looks for it */
    memcpy(self->reading, self->draft, self->schema->size);
    struct slots slots = self->slots;
    self->slots = self->drafts;
    self->drafts = slots;
    self->has_reading = true;
    self->stats->readings++;
    actor_publish(self->actor, source_spec.reading, self->reading);
    self->until_us = 0;
    source_renew(self);
}

/* Another reading than the one that is known: of now, out of the slots that are. */
static void make_again(source_t *self)
{
    int64_t now_us = actor_now_us(self->actor);
    void *fresh = calloc(1, self->schema->size);
    struct fault fault;
    assert(fresh);
    memcpy(fresh, self->reading, self->schema->size);
    set_time(self->schema, "fetched_at", self->fetched_us, fresh);
    if (source_spec.make(self, self->slots.bytes, self->slots.count, now_us, fresh, &self->until_us) == 0
        && schema_check(self->schema, fresh, &fault) == 0 && memcmp(fresh, self->reading, self->schema->size) != 0) {
        memcpy(self->reading, fresh, self->schema->size);
        actor_publish(self->actor, source_spec.reading, self->reading);
        series_tell(self);
        source_say(self);
    }
    free(fresh);
}

int source_renew(struct source *self)
{
    int64_t now_us = actor_now_us(self->actor);
    if (!source_spec.make || !self->has_reading || self->is_leaving)
        return -1;
    if (self->until_us <= now_us || source_as_of(self->reading) > now_us)
        make_again(self);
    if (self->until_us <= now_us)
        return -1; /* no slot is to come */
    int64_t left_ms = (self->until_us - now_us + 999) / 1000;
    int ms = left_ms < 3600000 ? (int)left_ms : 3600000;
    actor_wake(self->actor, ms);
    return ms;
}

void source_again(source_t *self)
{
    self->until_us = 0;
    if (self->provider->steps && self->provider->steps[0].is_local && !self->is_asking)
        self->due_us = 0;
    actor_wake(self->actor, 0);
}

void source_ask(source_t *self)
{
    if (!self->is_asking && !self->refused[0])
        self->due_us = 0;
    actor_wake(self->actor, 0);
}

int source_current(source_t *self, void *reading)
{
    if (self->is_leaving)
        return actor_refuse(self->actor, UNAVAILABLE, "", "is switched off");
    if (!self->has_reading)
        return actor_refuse(self->actor, UNAVAILABLE, "", "nothing is known yet; GET /api/v1/sources tells why");
    memcpy(reading, self->reading, self->schema->size);
    row_put_flag(schema_field(self->schema, "stale", 5), source_is_stale(self), reading);
    set_time(self->schema, "fetched_at", self->fetched_us, reading);
    return OK;
}

const void *source_slots(const source_t *self, size_t *count)
{
    *count = self->slots.count;
    return self->slots.bytes;
}

void source_end_fill(source_t *self, struct source_end *end)
{
    SET_TEXT(end, provider, self->provider->name, strlen(self->provider->name));
    if (*self->provider->attribution)
        SET_TEXT(end, attribution, self->provider->attribution, strlen(self->provider->attribution));
    SET(end, as_of, source_as_of(self->reading));
    SET(end, fetched_at, self->fetched_us);
    SET(end, stale, source_is_stale(self));
}

int source_forecast(source_t *self, const struct source_query *query, rows_t *rows, slot_row_fn *row, struct source_end *end)
{
    int64_t from_us = query->has_start_time ? query->start_time : actor_now_us(self->actor), count = 0;
    if (query->has_end_time && query->end_time <= from_us)
        return actor_refuse(self->actor, BAD_REQUEST, "end_time", "is not after start_time");
    if (!self->has_reading || self->is_leaving)
        return actor_refuse(self->actor, UNAVAILABLE, "", "nothing is known; GET /api/v1/sources tells why");
    if (self->slots.count == 0)
        return actor_refuse(self->actor, UNAVAILABLE, "", "the provider tells what is now, and no spans of time");
    for (size_t i = 0; i < self->slots.count && count < query->limit; i++) {
        const char *slot = self->slots.bytes + i * self->slot_schema->size;
        if (source_time_of(self->slot_schema, slot, "to") <= from_us || (query->has_end_time && source_time_of(self->slot_schema, slot, "from") >= query->end_time))
            continue;
        if (row(rows, slot))
            return BROKEN;
        count++;
    }
    SET(end, count, count);
    source_end_fill(self, end);
    return OK;
}

/* --- how it does --------------------------------------------------------------------------------------------- */

static const char *status_of(const source_t *self)
{
    if (self->is_leaving)
        return "off";
    if (self->refused[0])
        return "refused";
    if (self->provider->needs_place && !self->has_place)
        return "waiting";
    if (self->provider->quota > 0 && self->quota_used >= self->provider->quota)
        return "over_quota";
    if (self->why[0])
        return "failing";
    return self->has_reading ? "ok" : "starting";
}

static const char *why_of(const source_t *self, const char *status)
{
    if (strcmp(status, "waiting") == 0)
        return "where the home is has not been said: set latitude and longitude, or connect Home Assistant";
    if (strcmp(status, "over_quota") == 0)
        return "the provider's requests of this day are used up; it is asked again after midnight, UTC";
    if (strcmp(status, "off") == 0)
        return "it ends when its series have been told so";
    return self->refused[0] ? self->refused : self->why[0] ? self->why : self->note;
}

static void fill_row(const source_t *self, const char *status, struct source_row *row)
{
    const char *why = why_of(self, status);
    SET_TEXT(row, source, actor_spec.name, strlen(actor_spec.name));
    SET_TEXT(row, provider, self->provider->name, strlen(self->provider->name));
    SET_TEXT(row, status, status, strlen(status));
    if (*self->provider->attribution)
        SET_TEXT(row, attribution, self->provider->attribution, strlen(self->provider->attribution));
    if (*why)
        SET_TEXT(row, why, why, strlen(why));
    if (self->has_reading) {
        SET(row, as_of, source_as_of(self->reading));
        SET(row, stale_at, source_stale_us(self));
        SET(row, fetched_at, self->fetched_us);
    }
    if (!self->refused[0] && !self->provider->listen && !self->is_leaving)
        SET(row, next_poll_at, self->due_us ? self->due_us : actor_now_us(self->actor));
    SET(row, polls, self->stats->polls);
    SET(row, failures, self->stats->failures);
    SET(row, quota_used, self->quota_used);
    if (self->provider->quota > 0)
        SET(row, quota_limit, self->provider->quota);
}

static void show_counters(source_t *self)
{
    struct source_stats *s = self->stats;
    int64_t left_us = self->due_us - actor_now_us(self->actor);
    s->has_polls = s->has_requests = s->has_failures = s->has_unchanged = s->has_readings = s->has_odd = s->has_stored = s->has_not_stored = true;
    SET(s, quota_used, self->quota_used);
    if (self->provider->quota > 0)
        SET(s, quota_limit, self->provider->quota);
    s->has_next_poll_s = false;
    if (!self->refused[0] && !self->provider->listen)
        SET(s, next_poll_s, left_us > 0 ? left_us / 1000000 : 0);
}

void source_say(struct source *self)
{
    struct source_row row = { .has_source = false };
    const char *status = status_of(self);
    show_counters(self);
    if (strcmp(status, self->said) != 0)
        actor_info(self->actor, "%s: %s%s%s", self->provider->name, status, *why_of(self, status) ? ": " : "", why_of(self, status));
    snprintf(self->said, sizeof self->said, "%s", status);
    self->said_us = actor_clock_us(self->actor);
    fill_row(self, status, &row);
    publish_source_status(self->actor, &row);
}

enum health source_health(struct self *owner, actor_t *actor, char *why, size_t size)
{
    source_t *self = source_of(owner);
    (void)actor;
    const char *status = status_of(self);
    show_counters(self);
    if (strcmp(status, "starting") == 0 || strcmp(status, "off") == 0 || (strcmp(status, "ok") == 0 && !source_is_stale(self)))
        return HEALTHY;
    if (self->has_reading && !source_is_stale(self) && strcmp(status, "failing") == 0)
        return HEALTHY; /* what is known is fresh still */
    snprintf(why, size, "%s: %s", self->provider->name, *why_of(self, status) ? why_of(self, status) : "says nothing new: what is known is stale");
    return DEGRADED;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static source_t *source_new(struct self *owner, actor_t *actor)
{
    source_t *self = calloc(1, sizeof *self);
    assert(self);
    self->owner = (char *)owner;
    self->actor = actor;
    self->stats = (struct source_stats *)((char *)owner + actor_spec.stats.at);
    self->json = json_new();
    self->schema = source_spec.reading->in();
    self->slot_schema = source_spec.slot ? source_spec.slot() : NULL;
    self->reading = calloc(1, self->schema->size);
    self->draft = calloc(1, self->schema->size);
    self->told = calloc(1, self->schema->size);
    self->to_tell = calloc(1, self->schema->size);
    self->ahead_told = calloc(1, self->slot_schema ? self->slot_schema->size : 1);
    assert(self->json && self->reading && self->draft && self->told && self->to_tell && self->ahead_told);
    self->random = ((uint64_t)actor_now_us(actor) ^ (uint64_t)getpid() << 40) | 1;
    return self;
}

static void source_destroy(source_t **self_p)
{
    source_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    json_destroy(&self->json);
    free(self->reading);
    free(self->draft);
    free(self->told);
    free(self->to_tell);
    free(self->ahead_told);
    free(self->slots.bytes);
    free(self->drafts.bytes);
    free(self->ahead.bytes);
    free(self);
}

void source_close(struct self *owner, actor_t *actor)
{
    source_t *self = source_of(owner);
    if (self && self->provider->hush)
        self->provider->hush(self);
    if (self && source_spec.is_live) {
        self->saved_us = 0;
        kept_save(self);
    }
    (void)actor;
    source_destroy((source_t **)((char *)owner + source_spec.at));
}

int source_open(struct self *owner, actor_t *actor)
{
    source_t *self = source_new(owner, actor);
    int rc = choose(self);
    bool is_off = rc == EXIT_OFF;
    if (is_off)
        rc = leave_at_once(self);
    if (rc) {
        source_destroy(&self);
        return rc;
    }
    *(source_t **)((char *)owner + source_spec.at) = self;
    if (is_off)
        return 0;
    if (off_forget(actor_suite(actor)->data, actor_spec.name))
        actor_warn(actor, "the note that it is off cannot be removed: %s", strerror(errno));
    place_of_settings(self);
    kept_load(self);
    source_renew(self);
    if (self->has_reading)
        actor_publish(actor, source_spec.reading, self->reading);
    series_tell(self); /* where a kill came before */
    source_say(self);
    return self->provider->listen && self->provider->listen(self) ? EXIT_SETTINGS : 0;
}

/* What is known is somebody else's, or of something else. */
void source_forget(struct source *self)
{
    if ((self->has_told || self->storing) && !self->end_us)
        self->end_us = series_end(self);
    self->is_sure = false; /* another's may be in another unit */
    self->has_reading = false;
    self->slots.count = self->ahead.count = 0;
    self->ahead_until_us = self->until_us = 0;
    schema_clear(self->schema, self->reading);
    schema_clear(self->schema, self->draft);
    self->drafts.count = 0;
}

void source_reload(struct self *owner, actor_t *actor)
{
    source_t *self = source_of(owner);
    const struct provider *before = self->provider;
    int rc = choose(self);
    (void)actor;
    if (rc == EXIT_OFF) {
        leave_begin(self);
        return;
    }
    if (rc) {
        actor_error(self->actor, "%s is asked as before", self->provider->name);
        return;
    }
    self->is_leaving = false;
    place_of_settings(self);
    bool is_other = kept_is_other(self);
    if (is_other || self->provider != before)
        source_forget(self);
    self->is_outdated = self->is_asking;
    self->refused[0] = self->why[0] = self->note[0] = '\0';
    self->login_us = 0;
    self->failures = 0;
    self->was_good = false;
    if (before->hush)
        before->hush(self);
    if (self->provider->listen)
        self->provider->listen(self);
    if (!self->is_asking)
        self->due_us = 0;
    actor_wake(self->actor, 0);
    source_say(self);
}
