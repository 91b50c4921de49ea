/* poll.c - a poll of calendars: which span, what of an event is kept, and whether it was one. */
#include "calendar.h"

#include <string.h>

enum { DAYS = 8 };
static const int64_t day_us = INT64_C(86400000000);

int poll_begin(source_t *source)
{
    struct self *self = source_self(source);
    self->next = self->good = self->left_out = 0;
    self->has_zone = self->zone != NULL;
    self->asked_for = self->asked;
    if (!self->zone)
        return 1;
    int64_t noon_us = zone_day_start(self->zone, source_now_us(source)) + day_us / 2;
    self->from_us = zone_day_start(self->zone, source_now_us(source));
    self->to_us = zone_day_start(self->zone, noon_us + DAYS * day_us);
    return 0;
}

/* As much of it as fits, in whole characters. */
static void put_title(struct calendar_event *event, struct slice text)
{
    size_t size = text.size < sizeof event->title - 1 ? text.size : sizeof event->title - 1;
    while (size > 0 && size < text.size && ((const unsigned char *)text.data)[size] >> 6 == 2)
        size--;
    if (text_is_plain((struct slice){ text.data, size }))
        SET_TEXT(event, title, text.data, size);
}

/* Where there is no room, one that says nothing gives way to one that does. */
static struct calendar_event *find_room(source_t *source, bool says_something)
{
    struct calendar_event *event = source_slot(source);
    if (event)
        return event;
    source_self(source)->left_out++;
    for (size_t i = 0; says_something && (event = source_slot_at(source, i, false)); i++)
        if (!event->has_state) {
            schema_clear(calendar_event_schema(), event);
            return event;
        }
    return NULL;
}

void poll_take(source_t *source, const struct found *found)
{
    struct self *self = source_self(source);
    const struct own_words own = { self->config.wfh_words, self->config.home_words, self->config.away_words, self->config.vacation_words };
    struct words words = { .wfh = false };
    bool is_moment = found->from_us == found->to_us;
    if (found->from_us >= self->to_us || (is_moment ? found->to_us < self->from_us : found->to_us <= self->from_us))
        return;
    words_look(&words, found->summary, &own);
    words_look(&words, found->location, &own);
    words_look(&words, found->description, &own);
    const char *state = words_state(&words);
    struct calendar_event *event = find_room(source, state != NULL);
    if (!event)
        return;
    SET(event, from, found->from_us);
    SET(event, to, found->to_us);
    SET(event, all_day, found->is_all_day);
    SET(event, confidence, words_confidence(&words));
    if (state)
        SET_TEXT(event, state, state, strlen(state));
    if (text_is_plain(found->calendar))
        SET_TEXT(event, calendar, found->calendar.data, found->calendar.size);
    if (self->config.titles)
        put_title(event, found->summary.size ? found->summary : slice_of("Untitled Event"));
}

int poll_end(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    struct calendar_reading *reading = source_draft(source);
    (void)root;
    *fault = (struct fault){ "", "the home's time zone is not known: set calendar.time_zone, or connect Home Assistant" };
    if (!self->has_zone)
        return -1;
    *fault = (struct fault){ "", "the settings or the zone have changed meanwhile" };
    if (self->asked_for != self->asked)
        return -1;
    *fault = (struct fault){ "", self->count ? "no calendar could be read" : "there is no calendar" };
    if (self->good == 0)
        return -1;
    SET(reading, calendars, (int64_t)self->good);
    SET(reading, calendars_failed, (int64_t)(self->count - self->good));
    SET(reading, left_out, (int64_t)self->left_out);
    SET(reading, known_from, self->from_us);
    SET(reading, known_to, self->to_us);
    SET(reading, asked, self->asked);
    self->read_us = source_now_us(source);
    return 0;
}
