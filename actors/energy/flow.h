/* flow.h - samples and changes in the order in which they happened, whatever order they came in.
 *
 * What comes is put in its place by its own time and waits; flow_pass() takes what is due, event for
 * event and deadline for deadline, so that the same events give the same steps, however they were
 * handed over: live, from the store after a kill, or late. All state is plain and kept on the disk
 * (kept.c). Nothing here knows a clock, the bus or the store. */
#ifndef FLOW_H
#define FLOW_H

#include "devices.h"
#include "match.h"

enum { METERS_MAX = 12, WAITING_MAX = 2048, RECENT_MAX = 64, STEPS_MAX = 16, STATE_TEXT = 47, ENTITY_TEXT = 255 };

/* A device changed. */
struct change {
    int64_t at_us;
    char entity[ENTITY_TEXT + 1];
    char state[STATE_TEXT + 1], previous[STATE_TEXT + 1];
    char detail[DETAIL + 1], detail_before[DETAIL + 1]; /* brightness, hvac_action ...; before: set by the flow */
    char device_id[STATE_TEXT + 1];
    bool is_action;                /* `detail` says what a heating does, and that counts */
    bool is_text;                  /* the state's text changed */
    enum direction direction;      /* set by the flow, as are these: */
    bool is_switching;             /* between on and off: its steps are what the device takes */
    bool is_learned;
    uint32_t used;                 /* bit i: it caused a step of meter i */
};

struct pending { struct step step; uint32_t meter; };

struct flow_options {
    struct meter_options meter;
    int64_t window_us;             /* how far a change and a step may be apart */
    double sure;                   /* how likely a device must have caused a step alone to be named */
};

/* A step, and who may have caused it. */
struct found {
    const struct step *step;
    const struct meter *meter;
    struct judgement judgement;
    struct candidate candidate[CANDIDATES];
    struct change *change[CANDIDATES];
    size_t count, others;          /* others: more that changed, and are less likely */
};

struct flow_counts { int64_t samples, changes, steps, explained, shared, unexplained, crowded; };

typedef struct flow flow_t;
/* False: it is known already, nothing is to be learnt of it. */
typedef bool flow_found_fn(void *owner, const struct found *);

/* `devices` is borrowed and learns. `is_again`: this time has been looked at before, with less knowledge:
 * what is learnt of changes was learnt then, and of steps it is those that were not found then. */
flow_t *flow_new(const struct flow_options *, devices_t *, bool is_again, flow_found_fn *, void *owner);
void flow_destroy(flow_t **);
int flow_add_meter(flow_t *, const char *entity, bool is_whole);  /* its index; -1: there are enough */
int flow_find_meter(const flow_t *, const char *entity, size_t size); /* -1: none */
void flow_set_options(flow_t *, const struct flow_options *);

enum taken { TAKEN, DOUBLE, LATE, FULL };
enum taken flow_sample(flow_t *, uint32_t meter, struct sample);
enum taken flow_break(flow_t *, uint32_t meter, int64_t at_us);
enum taken flow_change(flow_t *, const struct change *);

/* Everything up to then. */
void flow_pass(flow_t *, int64_t until_us);
int64_t flow_passed_us(const flow_t *);
void flow_start(flow_t *, int64_t at_us); /* what is before this is late */
void flow_forget(flow_t *);               /* what waits, and the steady states: nobody knows what happened meanwhile */
size_t flow_waiting(const flow_t *);
void flow_drop_waiting(flow_t *);         /* it will come again */
const struct flow_counts *flow_counts(const flow_t *);

/* --- for kept.c */
struct meter *flow_meter(flow_t *, size_t index);         /* NULL beyond the end */
struct change *flow_recent(flow_t *, size_t index);       /* likewise; oldest first */
struct pending *flow_pending(flow_t *, size_t index);
int flow_put_recent(flow_t *, const struct change *);
int flow_put_pending(flow_t *, const struct pending *);
void flow_put_counts(flow_t *, const struct flow_counts *);

#endif
