/* calendar.h - what the files of the calendar source share; a file for each provider.
 *
 * Events are known from the beginning of the home's day for eight days. Without the home's zone
 * nothing is asked: it is not known when a day begins, nor when a whole day's event is. */
#ifndef CALENDAR_H
#define CALENDAR_H

#include "local.h"
#include "source.h"
#include "words.h"

enum { CALENDARS_MAX = 32, CALENDAR_NAME = 100, ICS_MAX = 16 };

struct self {
    struct calendar_config config;
    struct source_stats stats;
    source_t *source;
    zone_t *zone;                     /* the home's; NULL: not known */
    char home_zone[65];               /* as Home Assistant says; "": it has not */
    int64_t opened_us;                /* monotonic */
    int64_t asked;                    /* fingerprint of settings and zone: what is known of others is of no use */

    char base[520], authorization[520]; /* home-assistant: where, and the header */
    int64_t read_us;                  /* when an answer was last read, not only unchanged */

    /* of the poll that is under way */
    bool has_zone;
    int64_t asked_for;                /* `asked`, as it was at its beginning */
    int64_t from_us, to_us;           /* events that touch this span are taken */
    char names[CALENDARS_MAX][CALENDAR_NAME];
    size_t count, next;               /* calendars to be read; which is next */
    size_t good, left_out;            /* ... that were; events for which there was no room */
    char words[2][TIME_TEXT];         /* of a request */
};

extern const struct step home_assistant_steps[], ics_steps[];

/* Where Home Assistant's API is and the header with the token, out of the settings: 0, or -1 and *key and *why. */
int home_assistant_settings(struct self *, const char **key, const char **why);
/* The list of files and addresses likewise. */
int ics_settings(struct self *, const char **key, const char **why);

/* --- poll.c: what both providers do */

/* At the beginning of a poll's first step: 0, or 1: the zone is not known, so that nothing can be asked. */
int poll_begin(source_t *);

/* What an event says goes to the draft, if it touches the span. */
struct found {
    int64_t from_us, to_us;
    bool is_all_day;
    struct slice summary, location, description, calendar;
};
void poll_take(source_t *, const struct found *);

/* The last step, which asks nobody: that something was read, and what is told of it. */
int poll_end(source_t *, struct json_value, struct fault *);

/* source_spec.make */
int calendar_make(source_t *, const void *slots, size_t count, int64_t now_us, void *reading, int64_t *until_us);
/* The same as of any moment. */
void calendar_tell(const struct calendar_event *, size_t count, const zone_t *, int64_t at_us, struct calendar_reading *);

#endif
