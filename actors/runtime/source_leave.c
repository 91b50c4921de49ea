/* source_leave.c - a source that is switched off: its series are told so, then it ends and leaves a note.
 *
 * What it knew would stand in its series for ever. It runs on until ingest has taken that all of it is unavailable; a kill in between
 * is made good at the next start, for what the series hold is on the disk until then. */
#include "source_inside.h"
#include "life.h"
#include "off.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A note for those who are asked about us: we shall not be there. */
static void note_off(struct source *self)
{
    char why[OFF_WHY], names[160] = "", upper[40];
    size_t size = 0;
    for (const struct provider *p = source_spec.providers; p->name; p++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", p->name);
    for (const char *c = actor_spec.name; *c && size < sizeof upper - 1; c++)
        upper[size++] = (char)toupper((unsigned char)*c);
    snprintf(why, sizeof why, "is off: %.*s_PROVIDER (%s.provider) turns it on at the next start, as one of: %s", (int)size, upper, actor_spec.name, names);
    actor_info(self->actor, "%s", why);
    if (off_note(actor_suite(self->actor)->data, actor_spec.name, why))
        actor_warn(self->actor, "that it is off cannot be noted on the disk: %s", strerror(errno));
}

static bool has_to_tell(const struct source *self)
{
    return self->has_told || self->storing || self->has_ahead_told || self->telling || self->is_ending_ahead;
}

int leave_at_once(struct source *self)
{
    self->provider = source_spec.providers;
    kept_load_told(self);
    self->is_leaving = true;
    if (has_to_tell(self)) {
        actor_wake(self->actor, 0);
        source_say(self);
        return 0;
    }
    note_off(self);
    return EXIT_OFF;
}

void leave_begin(struct source *self)
{
    if (self->is_leaving)
        return;
    if ((self->has_told || self->storing) && !self->end_us)
        self->end_us = series_end(self);
    self->is_leaving = true;
    self->due_us = 0; /* on again, it asks at once */
    self->is_outdated = self->is_asking; /* what it is asking for is wanted no more */
    if (self->provider->hush)
        self->provider->hush(self);
    source_say(self);
    series_tell(self);
    ahead_store(self);
    leave_may_end(self);
}

bool leave_may_end(struct source *self)
{
    if (!self->is_leaving || has_to_tell(self))
        return false;
    source_forget(self);
    self->due_us = 0;
    self->saved_us = 0;
    kept_save(self);
    note_off(self);
    actor_stop(self->actor, EXIT_OFF);
    return true;
}
