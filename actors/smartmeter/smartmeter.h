/* smartmeter.h - what the providers of the meter share; a file for each. */
#ifndef SMARTMETER_H
#define SMARTMETER_H

#include "circuits.h"
#include "counters.h"
#include "phantom.h"
#include "source.h"
#include "zone.h"

struct p1;
struct home;
struct mqtt;

struct self {
    struct smartmeter_config config;
    struct source_stats stats;
    source_t *source;
    zone_t *zone;                 /* the home's; NULL: not known */
    char home_zone[ZONE_NAME + 1];
    struct phantom phantom;
    struct meter_counters counters;
    struct circuits circuits;     /* of the last reading; a provider clears and fills them before meter_push() */
    char json[2][16384];          /* ... as text: the reading in force points into one, the next is made in the other */
    int64_t warned_day_us;        /* the night whose base load was told as high */
    char word[TIME_TEXT];         /* for a request that is being made */
    int generation;               /* of the Shelly ... */
    bool is_known;                /* ... and its last answer was one of that generation */
    struct smartmeter_slot *sent, *sending; /* octopus: what the series hold, and what they are being given */
    size_t sent_count, sending_count;

    struct p1 *p1;
    struct home *home;
    struct mqtt *mqtt;
};

/* The draft has what the provider says: the rest is added (circuits, base load), and it is pushed. */
int meter_push(source_t *);
/* Nobody knows the power from now on; the reading stays until it is stale. */
void meter_lose_power(struct self *, actor_t *);
/* The same as meter_push() for a provider that is asked: at the end of `read`. */
int meter_finish(source_t *, struct fault *);

/* p1.c */
int p1_listen(source_t *);
void p1_hush(source_t *);
/* home.c: entities of Home Assistant */
int home_listen(source_t *);
void home_hush(source_t *);
void home_connected(struct self *, actor_t *, bool up);
int home_event(struct self *, actor_t *, const struct event_full *);
int home_session(struct self *, actor_t *, const struct ingest_session *);
/* mqtt.c */
int mqtt_listen(source_t *);
void mqtt_hush(source_t *);
int mqtt_check(struct self *, actor_t *);

extern const struct step shelly_steps[], octopus_steps[];

/* intervals.c: the slots that the series do not hold yet, as a timer */
void intervals_store(struct self *, actor_t *, int64_t tag);

#endif
