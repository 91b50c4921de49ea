/* outlook.c - who is at home at a moment, by the events that are known. */
#include "outlook.h"
#include "words.h"

#include <string.h>

static const char *const ranks[] = { "away", "vacation", "home", "wfh" };

/* 0: it says nothing. */
static int rank_of(const struct calendar_event *event)
{
    for (int i = 0; event->has_state && i < 4; i++)
        if (strcmp(event->state, ranks[i]) == 0)
            return i + 1;
    return 0;
}

static bool is_on(const struct calendar_event *event, int64_t at_us)
{
    return event->from <= at_us && at_us < event->to;
}

static void take_current(struct outlook *self, const struct calendar_event *event)
{
    self->current++;
    if (!self->event || rank_of(event) >= rank_of(self->event))
        self->event = event;
}

static double confidence_of(const struct outlook *self, bool is_home_on)
{
    if (!self->state)
        return 0.5;
    if (!state_is_home(self->state))
        return self->event->confidence;
    double confidence = self->next_home ? self->next_home->confidence : self->wfh_today ? 0.85 : 0.7;
    double least = self->wfh_today ? 0.9 : is_home_on ? 0.85 : 0;
    return confidence > least ? confidence : least;
}

struct outlook outlook_at(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t at_us)
{
    struct outlook self = { .has_day = zone != NULL };
    int64_t day_us = zone ? zone_day_start(zone, at_us) : 0, next_us = zone ? zone_day_next(zone, at_us) : 0;
    bool is_wfh_left = false;
    for (size_t i = 0; i < count; i++) {
        const struct calendar_event *e = &events[i];
        bool is_wfh = rank_of(e) == 4 && e->from < next_us && (e->to > day_us || e->from >= day_us);
        self.wfh_today = self.wfh_today || is_wfh;
        is_wfh_left = is_wfh_left || (is_wfh && e->to > at_us);
        if (is_on(e, at_us))
            take_current(&self, e);
        if (e->from > at_us && rank_of(e) >= 3 && (!self.next_home || e->from < self.next_home->from))
            self.next_home = e;
    }
    bool is_said = self.event && rank_of(self.event) > 0;
    self.state = is_said ? ranks[rank_of(self.event) - 1] : is_wfh_left ? "wfh" : NULL;
    self.confidence = confidence_of(&self, is_said && rank_of(self.event) >= 3);
    return self;
}

int64_t outlook_next(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t at_us)
{
    int64_t next_us = zone ? zone_day_next(zone, at_us) : INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct calendar_event *e = &events[i];
        if (e->from > at_us && e->from < next_us)
            next_us = e->from;
        if (e->to > at_us && e->to < next_us)
            next_us = e->to;
    }
    return next_us;
}

int64_t outlook_last(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t at_us)
{
    int64_t last_us = zone ? zone_day_start(zone, at_us) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct calendar_event *e = &events[i];
        if (e->from <= at_us && e->from > last_us)
            last_us = e->from;
        if (e->to <= at_us && e->to > last_us)
            last_us = e->to;
    }
    return last_us;
}

int64_t outlook_until(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t from_us, int64_t to_us)
{
    const char *state = outlook_at(events, count, zone, from_us).state;
    int64_t at_us = from_us;
    while ((at_us = outlook_next(events, count, zone, at_us)) < to_us) {
        const char *other = outlook_at(events, count, zone, at_us).state;
        if (other != state && (!other || !state || strcmp(other, state) != 0))
            return at_us;
    }
    return to_us;
}
