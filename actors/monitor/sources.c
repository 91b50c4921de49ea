/* sources.c - what the sources say of themselves, and whether they are there to say it. */
#include "monitor.h"
#include "off.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int on_source(struct self *self, actor_t *actor, const struct source_row *said)
{
    size_t i = 0;
    (void)actor;
    while (i < SOURCES_MAX && self->sources[i] && strcmp(self->sources[i]->source, said->source))
        i++;
    if (i == SOURCES_MAX)
        return OK;
    if (!self->sources[i])
        self->sources[i] = malloc(sizeof *said);
    if (self->sources[i])
        *self->sources[i] = *said;
    return OK;
}

/* A process that was ended, or switched off, leaves its last words behind. */
static bool is_heard(struct self *self, const char *source, int64_t clock_us)
{
    for (struct process *p = watch_first(self->watch); p; p = watch_next(self->watch))
        if (strcmp(p->actor, source) == 0 && p->is_heard && clock_us - p->heard_us < 10 * SECOND_US)
            return true;
    return false;
}

struct listing { rows_t *rows; int64_t count; int failed; };

/* Who is off says nothing: he has left a note. */
static int put_off(void *owner, const char *source, const char *why)
{
    struct listing *listing = owner;
    struct source_row row = { .has_source = false };
    if (strcmp(source, "energy") == 0)
        return 0; /* it looks at a source, and is none */
    SET_TEXT(&row, source, source, strnlen(source, sizeof row.source - 1));
    SET_TEXT(&row, provider, "off", 3);
    SET_TEXT(&row, status, "off", 3);
    SET_TEXT(&row, why, why, strlen(why));
    listing->failed = row_monitor_sources(listing->rows, &row);
    listing->count++;
    return listing->failed || listing->count >= SOURCES_MAX;
}

int on_sources(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct page *end)
{
    struct listing listing = { rows, 0, 0 };
    const char *data = actor_suite(actor)->data;
    (void)query;
    for (size_t i = 0; i < SOURCES_MAX && self->sources[i]; i++) {
        struct source_row row = *self->sources[i];
        if (off_is(data, row.source, NULL))
            continue;
        if (row.has_stale_at)
            SET(&row, stale, actor_now_us(actor) > row.stale_at);
        if (!is_heard(self, row.source, actor_clock_us(actor)))
            SET_TEXT(&row, status, "silent", 6);
        if (row_monitor_sources(rows, &row))
            return BROKEN;
        listing.count++;
    }
    off_each(data, put_off, &listing);
    if (listing.failed)
        return BROKEN;
    SET(end, count, listing.count);
    return OK;
}
