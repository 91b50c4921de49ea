/* source_push.c - a provider that is not asked, but speaks by itself. */
#include "source_inside.h"
#include "thinned.h"

#include <stdio.h>
#include <string.h>

enum { SAY_US = 60 * 1000000 };

/* How it does is said when that changes, and once a minute, or before what was said of it would be stale. */
static void say(struct source *self, bool is_news)
{
    int64_t half_us = self->has_reading ? (source_stale_us(self) - source_as_of(self->reading)) / 2 : SAY_US;
    if (is_news || actor_clock_us(self->actor) - self->said_us >= (half_us < SAY_US ? half_us : SAY_US)) {
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

/* What was in force when a step began is told before what came in it, however soon that is: events go by it. */
static void store_what_was(struct source *self)
{
    if (self->has_reading && thinned_before(source_as_of(self->draft)) > thinned_before(source_as_of(self->reading)))
        series_tell_soon(self);
}

void source_note(source_t *self, const char *what)
{
    if (strncmp(self->note, what ? what : "", sizeof self->note - 1) == 0)
        return;
    if (what)
        actor_warn(self->actor, "%s: %s", self->provider->name, what);
    snprintf(self->note, sizeof self->note, "%s", what ? what : "");
    source_say(self);
}

int source_push(source_t *self, int series_s)
{
    struct fault fault;
    char why[160];
    int rc = source_check(self, &fault);
    if (rc == 0) {
        bool is_first = !self->has_reading || source_is_stale(self) || self->why[0];
        store_what_was(self);
        source_take(self);
        self->why[0] = '\0';
        say(self, is_first);
        self->series_s = series_s;
        series_tell(self);
        actor_wake(self->actor, 0);
    } else {
        snprintf(why, sizeof why, "%s%s%s", fault.field, *fault.field ? " " : "", fault.why);
        source_trouble(self, why);
    }
    schema_clear(self->schema, self->draft);
    source_drop_slots(self);
    return rc;
}
