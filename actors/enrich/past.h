/* past.h - what the sources have said: the readings in force at an event's own time.
 *
 * The recent past of each source is kept: what it says now (reading.*), and of the day before that its series,
 * which `query` is asked for at the start and after every loss of the broker. A state older than that gets the
 * readings of its day, which query is asked for then; a few days are kept. While that is on its way the state is
 * not joined yet, others are. No reading is made up: where a source said nothing, or what it said is too old, there is none.
 *
 * The smart meter says something each second. Of it, what was in force when the event's five minutes began counts, so that
 * there are 288 of it a day, whatever happens.
 *
 * past.c        what is known, and the join
 * past_load.c   asking query */
#ifndef PAST_H
#define PAST_H

#include "actor.h"
#include "readings.h"

enum of_source { OF_WEATHER, OF_CARBON, OF_ELECTRICITY, OF_AIRQUALITY, OF_CALENDAR, OF_SMARTMETER, SOURCES };

typedef struct past past_t;

past_t *past_new(actor_t *);
void past_destroy(past_t **);

/* A source says what is now; how long that counts as being so is said in its status. */
void past_hear(past_t *, enum of_source, const void *reading);
void past_hear_status(past_t *, const struct source_row *);
void past_connected(past_t *); /* what was said meanwhile has not been heard */

/* Sets the readings in a state that has its timestamp; slices live until the next call of the past_t. False: what was then
 * is being asked for; enrich_past_is_known() tells when to try again. Never false for what happens now. */
bool past_join(past_t *, struct event_full *);
int64_t past_unread(const past_t *); /* states that were joined without the readings of their time: nobody could be asked for them */

/* What enrich.c does for it. */
past_t *enrich_past(struct self *);
void enrich_past_is_known(struct self *, actor_t *); /* or is not waited for any longer */

#endif
