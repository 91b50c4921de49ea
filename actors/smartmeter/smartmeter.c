/* smartmeter.c - the meter of the house: power now, counters, phases, circuits, and the base load of its nights. */
#include "smartmeter.h"
#include "p1_address.h"
#include "small_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static const struct provider providers[] = {
    { .name = "p1", .listen = p1_listen, .hush = p1_hush, .needs = { "p1" }, .stale_s = 60, .base = "", .attribution = "" },
    { .name = "homeassistant", .listen = home_listen, .hush = home_hush, .stale_s = HOUR_S, .base = "", .attribution = "" },
    { .name = "mqtt", .listen = mqtt_listen, .hush = mqtt_hush, .needs = { "mqtt_url", "mqtt_topics" }, .stale_s = 300, .base = "", .attribution = "" },
    { .name = "shelly", .steps = shelly_steps, .needs = { "url" }, .base = "", .every_s = 10, .stale_s = 120, .attribution = "" },
    { .name = "octopus", .steps = octopus_steps, .needs = { "api_key", "mpan", "serial" }, .base = "https://api.octopus.energy",
      .every_s = HOUR_S, .stale_s = 3 * DAY_S, .attribution = "Consumption from Octopus Energy (https://octopus.energy/)" },
    { .name = NULL }
};

/* --- the home's zone, for its nights ------------------------------------------------------------- */

static void set_zone(struct self *self)
{
    const char *why, *name = self->config.has_time_zone ? self->config.time_zone : self->home_zone;
    if (self->zone && strcmp(zone_name(self->zone), name) == 0)
        return;
    zone_destroy(&self->zone);
    self->zone = *name ? zone_open(name, &why) : NULL;
}

static int on_home(struct self *self, actor_t *actor, const struct home_place *home)
{
    if (home->has_time_zone)
        snprintf(self->home_zone, sizeof self->home_zone, "%s", home->time_zone);
    set_zone(self);
    return source_home(self, actor, home);
}

static int wrong(actor_t *actor, const char *key, const char *why)
{
    actor_error(actor, "smartmeter.%s: %s", key, why);
    return -1;
}

static int check(struct self *self, actor_t *actor)
{
    const struct smartmeter_config *config = &self->config;
    struct p1_address address;
    const char *why;
    zone_t *zone = config->has_time_zone ? zone_open(config->time_zone, &why) : NULL;
    if (config->has_time_zone && !zone)
        return wrong(actor, "time_zone", why);
    zone_destroy(&zone);
    if (config->has_p1 && p1_address_read(config->p1, config->p1_line, &address, &why))
        return wrong(actor, *why == 'l' ? "p1_line" : "p1", why);
    if (config->has_mprn != config->has_gas_serial)
        return wrong(actor, config->has_mprn ? "gas_serial" : "mprn", "mprn and gas_serial belong together");
    if (strcmp(config->gas_unit, "m3") != 0 && strcmp(config->gas_unit, "kWh") != 0)
        return wrong(actor, "gas_unit", "is neither m3 nor kWh");
    self->is_known = false;
    set_zone(self);
    return strcmp(config->provider, "mqtt") == 0 ? mqtt_check(self, actor) : 0;
}

const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_smartmeter_contract,
    .slot = smartmeter_slot_schema,
    .at = offsetof(struct self, source),
    .chosen = { "p1", "mqtt_url", "mqtt_topics", "mqtt_prefix", "power_entity", "import_entity", "mpan", "serial", "mprn", "export_mpan" },
    .check = check,
    .is_live = true,
};

/* --- nights ---------------------------------------------------------------------------------------- */

static void save_nights(struct self *self, actor_t *actor)
{
    msgpack_sbuffer bytes;
    struct fault fault;
    char path[600];
    msgpack_sbuffer_init(&bytes);
    for (size_t i = 0; i < self->phantom.count; i++)
        schema_encode(smartmeter_night_schema(), &self->phantom.nights[i], &bytes, &fault);
    if (actor_path(actor, path, sizeof path, "sources/smartmeter-nights") || small_file_write(path, (struct slice){ bytes.data, bytes.size }))
        actor_warn(actor, "the nights cannot be kept on the disk");
    msgpack_sbuffer_destroy(&bytes);
}

static void load_nights(struct self *self, actor_t *actor)
{
    msgpack_sbuffer bytes;
    struct fault fault;
    struct slice rest, one;
    char path[600];
    msgpack_sbuffer_init(&bytes);
    if (actor_path(actor, path, sizeof path, "sources/smartmeter-nights") == 0 && small_file_read(path, &bytes) == 0) {
        rest = (struct slice){ bytes.data, bytes.size };
        while (self->phantom.count < NIGHTS && frame_next(&rest, &one)
                && schema_decode(smartmeter_night_schema(), one, &self->phantom.nights[self->phantom.count], &fault) == 0)
            self->phantom.count++;
    }
    msgpack_sbuffer_destroy(&bytes);
}

static void tell_base(struct self *self, actor_t *actor, struct smartmeter_reading *reading)
{
    double watts;
    int nights = phantom_base(&self->phantom, actor_now_us(actor), &watts);
    SET(reading, phantom_nights, nights);
    if (nights == 0)
        return;
    SET(reading, phantom_w, watts);
    SET(reading, phantom_high, watts > self->config.phantom_warn_w);
    int64_t day_us = self->phantom.nights[self->phantom.count - 1].day;
    if (reading->phantom_high && day_us != self->warned_day_us)
        actor_warn(actor, "the house takes %.0f W at night when nobody wants anything, more than smartmeter.phantom_warn_w", watts);
    self->warned_day_us = day_us;
}

/* --- a reading --------------------------------------------------------------------------------------- */

/* Home Assistant says nothing while nothing changes: what it said holds until the reading is stale. Others speak by the second. */
static int holds_s(const struct self *self)
{
    enum { OFTEN_S = 120 };
    return !self->home ? OFTEN_S : self->config.has_stale_s ? (int)self->config.stale_s : HOUR_S;
}

static void take_power(struct self *self, actor_t *actor, const struct smartmeter_reading *reading)
{
    if (!self->zone)
        return;
    if (reading->has_power_w ? phantom_take(&self->phantom, self->zone, reading->as_of, reading->power_w, holds_s(self))
                             : phantom_lose(&self->phantom, self->zone, reading->as_of, holds_s(self)))
        save_nights(self, actor);
}

void meter_lose_power(struct self *self, actor_t *actor)
{
    if (self->zone && phantom_lose(&self->phantom, self->zone, actor_now_us(actor), holds_s(self)))
        save_nights(self, actor);
}

static char *unused(const struct smartmeter_reading *known, struct self *self)
{
    bool is_first = known->has_circuits && known->circuits.data == self->json[0];
    return self->json[is_first];
}

int meter_finish(source_t *source, struct fault *fault)
{
    struct self *self = source_self(source);
    struct smartmeter_reading *reading = source_draft(source), known = { .has_as_of = false };
    bool is_news;
    if (source_current(source, &known) != OK) /* the first of a meter: it is not to be compared with another one */
        self->counters = (struct meter_counters){ .resets = self->counters.resets };
    if (!reading->has_as_of) {
        *fault = (struct fault){ "as_of", "is not known" };
        return -1;
    }
    source_odd(source, counters_check(&self->counters, reading, &is_news));
    if (is_news)
        actor_warn(source_actor(source), "a counter went back, or further than can be: it was reset, or another meter was put in: %s", self->counters.reset);
    take_power(self, source_actor(source), reading);
    tell_base(self, source_actor(source), reading);
    circuits_tell(&self->circuits, reading, unused(&known, self), sizeof self->json[0]);
    return 0;
}

int meter_push(source_t *source)
{
    struct fault fault;
    if (meter_finish(source, &fault))
        return -1;
    return source_push(source, (int)source_self(source)->config.series_s);
}

/* --- the actor ------------------------------------------------------------------------------------------ */

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct smartmeter_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int on_circuits(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct source_end *end)
{
    struct smartmeter_reading known;
    (void)actor, (void)query;
    int verdict = source_current(self->source, &known);
    if (verdict != OK)
        return verdict;
    for (size_t i = 0; i < self->circuits.count; i++)
        if (row_smartmeter_circuits(rows, &self->circuits.rows[i]))
            return BROKEN;
    SET(end, count, (int64_t)self->circuits.count);
    source_end_fill(self->source, end);
    return OK;
}

static int put_slot(rows_t *rows, const void *slot) { return row_smartmeter_intervals(rows, slot); }

/* Intervals are of the past: without `start_time`, all that are known. */
static int on_intervals(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    struct source_query all = *query;
    (void)actor;
    if (!query->has_start_time)
        SET(&all, start_time, 0);
    return source_forecast(self->source, &all, rows, put_slot, end);
}

static int open_all(struct self *self, actor_t *actor)
{
    struct smartmeter_reading known;
    actor_pause(actor, &event_full_contract); /* until the provider wants it */
    load_nights(self, actor);
    int rc = source_open(self, actor);
    if (rc == 0 && source_current(self->source, &known) == OK)
        counters_begin(&self->counters, &known);
    if (rc == 0)
        intervals_store(self, actor, 0); /* a kill may have come before */
    return rc;
}

static void close_all(struct self *self, actor_t *actor)
{
    source_close(self, actor);
    circuits_clear(&self->circuits);
    zone_destroy(&self->zone);
    free(self->sent);
    free(self->sending);
}

static const struct handler handlers[] = {
    ON(registry_home, on_home),
    ON(event_full, home_event),
    ON(ingest_session, home_session),
    ANSWER(smartmeter_current, on_current),
    ANSWER(smartmeter_circuits, on_circuits),
    ANSWER(smartmeter_intervals, on_intervals),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "smartmeter",
    .doc      = "The meter of the house: power now, counters, phases, circuits and its base load",
    .state    = sizeof(struct self),
    .config   = SECTION(config, smartmeter_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = open_all,
    .tick     = source_tick,
    .reload   = source_reload,
    .connected = home_connected,
    .health   = source_health,
    .close    = close_all,
    .group    = "",
};
