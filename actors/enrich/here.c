/* here.c - the home's place: what time of day it is there, and how high its sun stands. */
#include "here.h"

#include <math.h>
#include <string.h>

static const int64_t quarter_us = INT64_C(900000000), hour_us = INT64_C(3600000000); /* zones change at quarters of an hour */

void here_open(struct here *self)
{
    *self = (struct here){ .quarter = -1, .sun = { .slot = -1 } };
}

void here_close(struct here *self)
{
    zone_destroy(&self->zone);
}

const char *here_set(struct here *self, const struct home_place *home)
{
    const char *why = NULL;
    self->has_place = true;
    self->latitude = (int)lround(home->latitude * 100);
    self->longitude = (int)lround(home->longitude * 100);
    if (!home->has_time_zone || (self->zone && strcmp(zone_name(self->zone), home->time_zone) == 0))
        return NULL;
    zone_t *zone = zone_open(home->time_zone, &why);
    if (!zone)
        return why;
    zone_destroy(&self->zone);
    self->zone = zone;
    self->quarter = -1;
    return NULL;
}

const char *here_time_of_day(struct here *self, int64_t at_us)
{
    static const char *const names[] = { "night", "morning", "afternoon", "evening" };
    if (!self->zone)
        return NULL;
    if (at_us / quarter_us != self->quarter) {
        int64_t local_us = at_us + zone_offset_s(self->zone, at_us) * INT64_C(1000000) + 24 * hour_us;
        self->quarter = at_us / quarter_us;
        self->time_of_day = names[local_us / (6 * hour_us) % 4];
    }
    return self->time_of_day;
}

void here_join(struct here *self, struct event_full *e)
{
    const char *time_of_day = here_time_of_day(self, e->timestamp);
    if (time_of_day)
        SET_TEXT(e, time_of_day, time_of_day, strlen(time_of_day));
    if (!self->has_place)
        return;
    SET(e, home_latitude, self->latitude);
    SET(e, home_longitude, self->longitude);
    SET(e, sun_elevation, sun_elevation(&self->sun, e->timestamp, self->latitude, self->longitude));
}
