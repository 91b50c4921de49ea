/* calendar.c - who is at home, now and in the days to come, as far as calendars tell. */
#include "calendar.h"
#include "outlook.h"

#include <stdio.h>
#include <string.h>

enum { ZONE_WAIT_MS = 10000 };

static const struct provider providers[] = {
    { .name = "home-assistant", .base = "", .steps = home_assistant_steps, .every_s = 900, .stale_s = 3600,
      .attribution = "The home's own calendars, through Home Assistant" },
    { .name = "ics", .base = "", .steps = ics_steps, .every_s = 900, .stale_s = 3600, .attribution = "The home's own calendars" },
    { .name = NULL }
};

/* --- settings ------------------------------------------------------------------------------------- */

static int64_t mix(int64_t hash, const char *text)
{
    uint64_t h = (uint64_t)hash;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (int64_t)((h ^ 0xff) * UINT64_C(1099511628211) >> 1);
}

/* Of all that decides what the events are; secrets cannot be told from it. */
static void set_asked(struct self *self)
{
    const struct calendar_config *c = &self->config;
    const char *const texts[] = { self->base, c->ics, c->wfh_words, c->home_words, c->away_words, c->vacation_words, self->zone ? zone_name(self->zone) : "" };
    self->asked = INT64_C(1469598103934665603);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        self->asked = mix(self->asked, texts[i]);
}

/* The settings' zone, else Home Assistant's. -1 and *why: there is none of that name. */
static int set_zone(struct self *self, const char **why)
{
    const char *name = self->config.has_time_zone ? self->config.time_zone : self->home_zone;
    zone_t *zone = *name ? zone_open(name, why) : NULL;
    if (*name && !zone)
        return -1;
    zone_destroy(&self->zone);
    self->zone = zone;
    set_asked(self);
    return 0;
}

static int check_settings(struct self *self, actor_t *actor)
{
    const char *key, *why;
    bool is_ics = strcmp(self->config.provider, "ics") == 0;
    if (is_ics ? ics_settings(self, &key, &why) : home_assistant_settings(self, &key, &why)) {
        actor_error(actor, "calendar.%s: %s", key, why);
        return -1;
    }
    if (set_zone(self, &why) == 0)
        return 0;
    actor_error(actor, "calendar.time_zone: %s", why);
    return -1;
}

const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_calendar_contract,
    .slot = calendar_event_schema,
    .at = offsetof(struct self, source),
    .chosen = { "calendars", "titles", "time_zone" },
    .check = check_settings,
    .make = calendar_make,
    .ages_by_answer = true,
    .slots_overlap = true,
    .ends = { "state", "occupied", "wfh_today", "confidence", "hours_until_arrival" },
};

/* What was kept, or could not be had, may be of other settings, or of a zone that was not known. */
static void look_again(struct self *self)
{
    struct calendar_reading reading;
    if (source_current(self->source, &reading) != OK || reading.asked != self->asked)
        source_ask(self->source);
    else
        source_again(self->source);
}

static int open_all(struct self *self, actor_t *actor)
{
    struct calendar_reading reading;
    int rc = source_open(self, actor);
    self->opened_us = actor_clock_us(actor);
    if (rc == 0 && self->zone && source_current(self->source, &reading) == OK)
        look_again(self);
    return rc;
}

/* At the start the home's zone is a moment away: what was asked before could only fail. */
static int tick(struct self *self, actor_t *actor)
{
    int64_t left_ms = ZONE_WAIT_MS - (actor_clock_us(actor) - self->opened_us) / 1000;
    return self->zone || left_ms <= 0 ? source_tick(self, actor) : (int)left_ms;
}

static int on_home(struct self *self, actor_t *actor, const struct home_place *home)
{
    const char *why = "";
    if (home->has_time_zone && strcmp(home->time_zone, self->home_zone) != 0) {
        snprintf(self->home_zone, sizeof self->home_zone, "%s", home->time_zone);
        if (set_zone(self, &why))
            actor_warn(actor, "Home Assistant's time zone %s", why);
        else
            look_again(self);
    }
    return source_home(self, actor, home);
}

/* --- questions ------------------------------------------------------------------------------------ */

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct calendar_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int on_occupancy(struct self *self, actor_t *actor, const struct calendar_moment *query, struct calendar_reading *reply)
{
    size_t count;
    int verdict = source_current(self->source, reply);
    if (verdict != OK || !query->has_at)
        return verdict;
    if (query->at < reply->known_from || query->at >= reply->known_to)
        return actor_refuse(actor, UNPROCESSABLE, "at", "is not between known_from and known_to of /api/v1/sources/calendar/current");
    const struct calendar_event *events = source_slots(self->source, &count);
    calendar_tell(events, count, self->zone, query->at, reply);
    SET(reply, as_of, query->at);
    return OK;
}

/* The span that is asked for, within what is known: 0, or the verdict. */
static int choose_span(struct self *self, actor_t *actor, const struct source_query *query, int64_t *from_us, int64_t *to_us, struct source_end *end)
{
    struct calendar_reading reading;
    int64_t now_us = actor_now_us(actor);
    *from_us = query->has_start_time ? query->start_time : now_us;
    if (query->has_end_time && query->end_time <= *from_us)
        return actor_refuse(actor, BAD_REQUEST, "end_time", "is not after start_time");
    int verdict = source_current(self->source, &reading);
    if (verdict != OK)
        return verdict;
    *from_us = *from_us > reading.known_from ? *from_us : reading.known_from;
    *to_us = query->has_end_time && query->end_time < reading.known_to ? query->end_time : reading.known_to;
    source_end_fill(self->source, end);
    return 0;
}

static int on_events(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    int64_t from_us, to_us, told = 0;
    size_t count;
    int verdict = choose_span(self, actor, query, &from_us, &to_us, end);
    const struct calendar_event *events = source_slots(self->source, &count);
    for (size_t i = 0; verdict == OK && i < count && told < query->limit; i++) {
        bool is_in = events[i].from < to_us && (events[i].to > from_us || events[i].from >= from_us);
        if (is_in && row_calendar_events(rows, &events[i]))
            return BROKEN;
        told += is_in;
    }
    SET(end, count, told);
    return verdict;
}

static int on_forecast(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    int64_t at_us, to_us, told = 0;
    size_t count;
    int verdict = choose_span(self, actor, query, &at_us, &to_us, end);
    const struct calendar_event *events = source_slots(self->source, &count);
    for (; verdict == OK && at_us < to_us && told < query->limit; told++) {
        struct outlook outlook = outlook_at(events, count, self->zone, at_us);
        struct calendar_span span = { .has_from = true, .from = at_us, .has_confidence = true, .confidence = outlook.confidence };
        at_us = outlook_until(events, count, self->zone, at_us, to_us);
        SET(&span, to, at_us);
        if (outlook.state) {
            SET_TEXT(&span, state, outlook.state, strlen(outlook.state));
            SET(&span, occupied, state_is_home(outlook.state));
        }
        if (row_calendar_forecast(rows, &span))
            return BROKEN;
    }
    SET(end, count, told);
    return verdict;
}

/* --- the actor ------------------------------------------------------------------------------------ */

static void close_all(struct self *self, actor_t *actor)
{
    source_close(self, actor);
    zone_destroy(&self->zone);
}

static const struct handler handlers[] = {
    ON(registry_home, on_home),
    ANSWER(calendar_current, on_current),
    ANSWER(calendar_occupancy, on_occupancy),
    ANSWER(calendar_events, on_events),
    ANSWER(calendar_forecast, on_forecast),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "calendar",
    .doc      = "Who is at home, now and in the days to come, as far as calendars tell",
    .state    = sizeof(struct self),
    .config   = SECTION(config, calendar_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = open_all,
    .tick     = tick,
    .reload   = source_reload,
    .health   = source_health,
    .close    = close_all,
};
