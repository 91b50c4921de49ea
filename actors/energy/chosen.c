/* chosen.c - which entities tell what is drawn: the settings', else the smart meter's own reading, as soon as there is one. */
#include "inside.h"
#include "off.h"
#include "small_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OFF = 101, WAIT_S = 3 };
static const char *const own_meter = "_smartmeter.power_w", *const own_source = "smartmeter";

/* The whole home's first, if that is told. */
void flow_meters(const struct self *self, flow_t *flow)
{
    const char *at = self->meters;
    char one[METER_ID + 1];
    for (bool is_whole = self->has_whole; *at; is_whole = false) {
        size_t size = strcspn(at, ",");
        snprintf(one, sizeof one, "%.*s", (int)size, at);
        flow_add_meter(flow, one, is_whole);
        at += size + (at[size] == ',');
    }
}

static int refuse_meter(actor_t *actor, const char *key)
{
    actor_error(actor, "energy.%s: an entity is written domain.name, and at most 12 are looked at", key);
    return 100;
}

static int add_meter(struct self *self, const char *text, size_t size, size_t *count)
{
    size_t used = strlen(self->meters);
    if (size > METER_ID || !memchr(text, '.', size) || ++*count > METERS_MAX)
        return -1;
    if (!is_listed(self->meters, text, size))
        snprintf(self->meters + used, sizeof self->meters - used, "%s%.*s", used ? "," : "", (int)size, text);
    return 0;
}

/* Whether smartmeter knows something: once it is switched off, it does not. */
static bool has_own_meter(actor_t *actor)
{
    char path[PATH_MAX];
    struct source_kept kept;
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    bool has = actor_path(actor, path, sizeof path, "sources/smartmeter") == 0 && small_file_load(path, source_kept_schema(), &kept, &pool) == 0 && kept.has_reading;
    msgpack_sbuffer_destroy(&pool);
    return has;
}

/* A note for those who ask us: we shall not be there. */
static int stay_off(actor_t *actor)
{
    static const char why[] = "is off: ENERGY_POWER (energy.power) turns it on at the next start, as the entity that says what the whole home draws";
    actor_info(actor, "%s", why);
    if (off_note(actor_suite(actor)->data, actor_spec.name, why))
        actor_warn(actor, "that it is off cannot be noted on the disk: %s", strerror(errno));
    return EXIT_OFF;
}

int choose_meters(struct self *self, actor_t *actor)
{
    const struct energy_config *c = &self->config;
    bool is_said = c->has_power && c->power[0];
    const char *whole = is_said ? c->power : has_own_meter(actor) ? own_meter : "off";
    size_t count = 0;
    self->has_whole = strcmp(whole, "off") != 0;
    if (self->has_whole && add_meter(self, whole, strlen(whole), &count))
        return refuse_meter(actor, "power");
    for (const char *at = c->has_circuits ? c->circuits : ""; *at;) {
        size_t size = strcspn(at, ", ");
        if (size > 0 && add_meter(self, at, size, &count))
            return refuse_meter(actor, "circuits");
        at += size + strspn(at + size, ", ");
    }
    self->is_waiting = !is_said && !self->has_whole;
    if (count == 0 && !self->is_waiting)
        return stay_off(actor);
    if (count > 0)
        off_forget(actor_suite(actor)->data, actor_spec.name);
    return 0;
}

static void take_own_meter(struct self *self, actor_t *actor)
{
    size_t size = strlen(own_meter), used = strlen(self->meters), begin = size + (used > 0);
    self->is_waiting = false;
    if (begin + used >= sizeof self->meters || flow_add_meter(self->kept.flow, own_meter, true) < 0)
        return; /* circuits are as many as there may be */
    memmove(self->meters + begin, self->meters, used + 1);
    memcpy(self->meters, own_meter, size);
    if (used > 0)
        self->meters[size] = ',';
    self->has_whole = true;
    off_forget(actor_suite(actor)->data, actor_spec.name);
    actor_info(actor, "smartmeter tells what the whole home draws from now on");
    if (used > 0)
        return;
    self->opened_us = actor_clock_us(actor);
    flow_start(self->kept.flow, actor_now_us(actor)); /* nobody has looked for steps before */
    missed_begin(self);
}

/* The smart meter's reading was all there was, because nothing else is named, and it is switched off now. */
static bool has_lost_own_meter(const struct self *self, actor_t *actor)
{
    return !self->config.has_power && strcmp(self->meters, own_meter) == 0 && off_is(actor_suite(actor)->data, own_source, NULL) && !has_own_meter(actor);
}

/* The smart meter has said something, or there is none: who was off at the last start may be on now, and says so as we begin. */
void look_for_own_meter(struct self *self, actor_t *actor)
{
    if (!self->is_waiting) {
        if (has_lost_own_meter(self, actor))
            actor_stop(actor, stay_off(actor));
        return;
    }
    if (has_own_meter(actor))
        take_own_meter(self, actor);
    else if (!self->meters[0] && actor_clock_us(actor) - self->opened_us >= WAIT_S * SECOND_US && off_is(actor_suite(actor)->data, own_source, NULL))
        actor_stop(actor, stay_off(actor));
}
