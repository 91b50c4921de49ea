/* zones.c - the zones of one iCalendar file, by the names that it gives them. */
#include "ics_zones.h"
#include "local.h"

#include <assert.h>
#include <libical/ical.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MAX = 64 };

struct place {
    char name[128];
    const zone_t *zone;      /* one of these two */
    icaltimezone *of_file;
    zone_t *own;             /* to be freed */
};

struct zones { struct place home, places[PLACES_MAX]; size_t count; };

struct zones *zones_new(const zone_t *home)
{
    struct zones *self = calloc(1, sizeof *self);
    assert(self);
    self->home.zone = home;
    return self;
}

void zones_destroy(struct zones **self_p)
{
    struct zones *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++) {
        zone_destroy(&self->places[i].own);
        if (self->places[i].of_file)
            icaltimezone_free(self->places[i].of_file, 1);
    }
    free(self);
}

static struct place *add_place(struct zones *self, const char *name)
{
    if (self->count == PLACES_MAX || strlen(name) >= sizeof self->home.name)
        return NULL;
    struct place *place = &self->places[self->count++];
    strcpy(place->name, name);
    return place;
}

/* libical counts a rule through year by year from its start: one that does not repeat yearly, or many times in a year, would take for ever. */
static bool is_calm(const char *text)
{
    static const char *const parts[] = { "BYHOUR", "BYMINUTE", "BYSECOND", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", "RSCALE" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(text, parts[i]))
            return false;
    for (const char *at = text; (at = strcasestr(at, "FREQ=")); at += 5)
        if (strncasecmp(at + 5, "YEARLY", 6) != 0)
            return false;
    return true;
}

int zones_add(struct zones *self, const char *text)
{
    icalcomponent *component = is_calm(text) ? icalparser_parse_string(text) : NULL;
    icalproperty *id = component ? icalcomponent_get_first_property(component, ICAL_TZID_PROPERTY) : NULL;
    icaltimezone *zone = id && icalproperty_get_tzid(id) ? icaltimezone_new() : NULL;
    struct place *place = zone ? add_place(self, icalproperty_get_tzid(id)) : NULL;
    if (place && icaltimezone_set_component(zone, component)) { /* it owns the component */
        place->of_file = zone;
        return 0;
    }
    if (place)
        self->count--;
    if (zone)
        icaltimezone_free(zone, 1);
    if (component)
        icalcomponent_free(component);
    return -1;
}

/* "Europe/Vienna", also where a program's name stands before it: "/citadel.org/20210210_1/Europe/Vienna". */
static zone_t *open_zone(const char *name)
{
    const char *why;
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        zone_t *zone = strlen(at) < ZONE_NAME ? zone_open(at, &why) : NULL;
        if (zone)
            return zone;
    }
    return NULL;
}

/* The machine's zone counts more than the file's, whose rules may be of long ago. */
const struct place *zones_find(struct zones *self, const char *name)
{
    struct place *of_file = NULL;
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->places[i].name, name) == 0) {
            if (self->places[i].zone)
                return &self->places[i];
            of_file = &self->places[i];
        }
    zone_t *zone = *name && !(of_file && of_file->own) ? open_zone(name) : NULL;
    struct place *place = zone ? add_place(self, name) : NULL;
    if (!place) {
        zone_destroy(&zone);
        return of_file ? of_file : &self->home;
    }
    place->zone = place->own = zone;
    return place;
}

/* --- times ------------------------------------------------------------------------------------------ */

static struct icaltimetype ical_of(int64_t us)
{
    return icaltime_from_timet_with_zone((time_t)(us / 1000000), 0, NULL);
}

int64_t place_moment(const struct place *self, int64_t local_us)
{
    int is_daylight;
    if (!self)
        return local_us;
    if (self->zone)
        return moment_of_local(self->zone, local_us);
    struct icaltimetype local = ical_of(local_us);
    return local_us - INT64_C(1000000) * icaltimezone_get_utc_offset(self->of_file, &local, &is_daylight);
}

int64_t place_local(const struct place *self, int64_t at_us)
{
    int is_daylight;
    if (!self)
        return at_us;
    if (self->zone)
        return at_us + INT64_C(1000000) * zone_offset_s(self->zone, at_us);
    struct icaltimetype utc = ical_of(at_us);
    return at_us + INT64_C(1000000) * icaltimezone_get_utc_offset_of_utc_time(self->of_file, &utc, &is_daylight);
}

int64_t place_date(const struct place *self, int64_t day)
{
    return self && self->zone ? moment_of_date(self->zone, day) : place_moment(self, day * INT64_C(86400000000));
}
