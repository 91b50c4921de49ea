/* inside.h - energy's state, and what its files ask of each other; nobody else includes it.
 *
 * energy.c: life, what comes over the bus, what is kept; chosen.c: its meters; answers.c: services; reread.c: what did not come, or came
 * late, from the store. */
#ifndef ENERGY_INSIDE_H
#define ENERGY_INSIDE_H

#include "actor.h"
#include "events.h"
#include "kept.h"
#include "tell.h"

#define SECOND_US INT64_C(1000000)

/* A span of time that is read from the store, slice after slice, into a flow. */
struct rereading {
    flow_t *flow;              /* NULL: nothing is being read */
    int64_t done_us;           /* read up to here: the flow may pass it */
    int64_t slice_us;          /* up to here it is being read */
    int64_t goal_us;           /* ... and to here in the end; 0: not known yet */
    int64_t sample_us;         /* the sample that must be found, for all before it to be there; 0: none */
    int64_t since_us;          /* by the monotonic clock: when it began, or last tried */
    bool is_asked, is_domains, has_sample;
    bool must_wait;            /* before it is tried again */
    int tries;
    size_t rows;               /* of this slice */
    char cursor[161];
};

struct self {
    struct energy_config config;
    struct energy_stats stats;
    actor_t *actor;
    json_t *json;
    struct kept kept;          /* flow: what happens now */
    struct outbox outbox;
    struct rereading missed;   /* of the same flow: what was missed */
    struct rereading late;     /* of a flow of its own: what came late */
    flow_t *again;             /* ... that one */
    int64_t again_from, again_to; /* what it looks at */
    int64_t late_us;           /* by the monotonic clock: when something came late last */
    int64_t saved_us;          /* by the monotonic clock */
    int64_t newest_us;         /* the newest event that was heard */
    int64_t heard_us, opened_us;  /* by the monotonic clock: the last sample; the start */
    bool has_whole;            /* the first meter is that of the whole home */
    bool is_waiting;           /* for the smart meter to say something: no other tells of the whole home */
    bool is_unsaved;
    bool is_again;             /* time passes in `again` */
    char meters[METERS_MAX * (METER_ID + 1)]; /* with commas between, for questions; "": there is none yet */
    msgpack_sbuffer text;
    struct event_full row;
};

/* --- energy.c --- */
struct flow_options options_of(const struct self *);
bool on_found(void *owner, const struct found *);
enum taken take_event(struct self *, flow_t *, const struct event_full *, int *meter); /* meter: -1: no sample */
void pass(struct self *);                                /* time passes in the flows, as far as it may */
int64_t settled_us(const struct self *);                 /* by when everything should have come */

struct kept with_again(const struct self *);             /* as it is to be on the disk; borrowed */

/* --- chosen.c --- */
int choose_meters(struct self *, actor_t *);             /* 0, or the exit code: there are none, or wrong ones */
void look_for_own_meter(struct self *, actor_t *);       /* often: smartmeter may have begun to tell what the whole home draws */
void flow_meters(const struct self *, flow_t *);         /* those that are chosen */

/* --- answers.c --- */
int on_devices(struct self *, actor_t *, const struct energy_devices_query *, rows_t *, struct page *end);
int on_correlator(struct self *, actor_t *, const struct nothing *, struct energy_correlator *reply);

/* --- reread.c --- */
void missed_begin(struct self *);                        /* from now on something is missing */
void missed_overflow(struct self *);                      /* there is no room for what comes */
void missed_sample(struct self *, int64_t at_us);        /* this one came: what is missing is before it */
void late_note(struct self *, int64_t at_us);
void reread_step(struct self *);                         /* asks what is to be asked; often */

#endif
