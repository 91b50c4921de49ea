/* reading.c - the reading of a moment, out of the events that are known. */
#include "calendar.h"
#include "outlook.h"

#include <string.h>

static const int64_t prepare_us = INT64_C(1800000000);

static void clear(struct calendar_reading *reading)
{
    reading->has_state = reading->has_occupied = reading->has_wfh_today = reading->has_confidence = false;
    reading->has_next_change_at = reading->has_next_state = false;
    reading->has_arrival_at = reading->has_prepare_at = reading->has_hours_until_arrival = reading->has_arrival_confidence = false;
    reading->has_title = reading->has_current = false;
}

static void take_arrival(const struct calendar_event *event, int64_t at_us, struct calendar_reading *reading)
{
    SET(reading, arrival_at, event->from);
    SET(reading, prepare_at, event->from - prepare_us);
    SET(reading, hours_until_arrival, (double)(event->from - at_us) / 3600e6);
    SET(reading, arrival_confidence, event->confidence);
}

static void take_change(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t at_us, struct calendar_reading *reading)
{
    int64_t change_us = outlook_until(events, count, zone, at_us, reading->known_to);
    if (change_us >= reading->known_to)
        return;
    const char *next = outlook_at(events, count, zone, change_us).state;
    SET(reading, next_change_at, change_us);
    if (next)
        SET_TEXT(reading, next_state, next, strlen(next));
}

void calendar_tell(const struct calendar_event *events, size_t count, const zone_t *zone, int64_t at_us, struct calendar_reading *reading)
{
    clear(reading);
    if (at_us >= reading->known_to)
        return; /* nobody has answered for a week */
    struct outlook outlook = outlook_at(events, count, zone, at_us);
    SET(reading, confidence, outlook.confidence);
    SET(reading, current, (int64_t)outlook.current);
    if (outlook.has_day)
        SET(reading, wfh_today, outlook.wfh_today);
    if (outlook.state) {
        SET_TEXT(reading, state, outlook.state, strlen(outlook.state));
        SET(reading, occupied, state_is_home(outlook.state));
    }
    if (outlook.next_home)
        take_arrival(outlook.next_home, at_us, reading);
    if (outlook.event && outlook.event->has_title)
        SET_TEXT(reading, title, outlook.event->title, outlook.event->title_size);
    take_change(events, count, zone, at_us, reading);
}

/* Holds until something begins or ends. It is as of the moment in which that was so for the last time, or in which the provider said it. */
int calendar_make(source_t *source, const void *slots, size_t count, int64_t now_us, void *made, int64_t *until_us)
{
    const struct self *self = source_self(source);
    struct calendar_reading *reading = made;
    int64_t last_us = outlook_last(slots, count, self->zone, now_us);
    if (!reading->has_known_to || !reading->has_fetched_at)
        return -1;
    *until_us = now_us < reading->known_to ? outlook_next(slots, count, self->zone, now_us) : 0;
    if (*until_us > reading->known_to)
        *until_us = reading->known_to > now_us ? reading->known_to : 0;
    SET(reading, as_of, last_us > reading->fetched_at ? last_us : reading->fetched_at);
    calendar_tell(slots, count, self->zone, reading->as_of, reading);
    if (self->config.titles && reading->has_current && !reading->has_title)
        SET_TEXT(reading, title, "", 0);
    return 0;
}
