/* source_push.c - a provider that is not asked, but speaks by itself; and what is known too long to hold. */
#include "source_inside.h"

#include <stdio.h>
#include <string.h>

enum { SAY_US = 60 * 1000000 };

/* How it does is said when that changes, and once a minute. */
static void say(struct source *self, bool is_news)
{
    if (is_news || actor_clock_us(self->actor) - self->said_us >= SAY_US) {
        source_say(self);
        kept_save(self);
    }
}

void source_trouble(source_t *self, const char *why)
{
    bool is_news = strncmp(self->why, why ? why : "", sizeof self->why - 1) != 0;
    if (is_news && why) {
        self->stats->failures++;
        actor_warn(self->actor, "%s: %s", self->provider->name, why);
    }
    snprintf(self->why, sizeof self->why, "%s", why ? why : "");
    if (is_news)
        say(self, true);
}

int source_push(source_t *self, int series_s)
{
    struct fault fault;
    char why[160];
    int rc = source_check(self, &fault);
    if (rc == 0) {
        bool is_first = !self->has_reading || source_is_stale(self) || self->why[0];
        source_take(self);
        self->why[0] = '\0';
        say(self, is_first);
        if (self->stored_us == 0 || actor_clock_us(self->actor) - self->stored_us >= INT64_C(1000000) * series_s - 100000)
            series_store(self);
        actor_wake(self->actor, 0);
    } else {
        snprintf(why, sizeof why, "%s%s%s", fault.field, *fault.field ? " " : "", fault.why);
        source_trouble(self, why);
    }
    schema_clear(self->schema, self->draft);
    source_drop_slots(self);
    return rc;
}

int push_tick(struct source *self)
{
    if (!self->has_reading)
        return -1;
    int64_t left_us = source_stale_us(self) - actor_now_us(self->actor);
    if (left_us >= 0)
        return left_us < INT64_C(3600000000) ? (int)(left_us / 1000) + 1 : 3600000;
    if (!self->is_lost) {
        source_say(self);
        series_lose(self);
    }
    return -1;
}
