/* canary.h - an event of our own: what it says, how it enters, whether it came out.
 *
 * Two ways in: through Home Assistant (fire_event), and as a frame of our own at the capture log.
 * Each is watched apart. This knows times and texts; monitor.c asks and answers. */
#ifndef CANARY_H
#define CANARY_H

#include "schemas.h"

#define CANARY_TYPE "ha_ingestor_canary"

enum way { WAY_HOME, WAY_EDGE, WAYS };
extern const char *const way_names[WAYS];

struct canary {
    char id[48];                /* in its data */
    char context[33];           /* of its event; "" if nobody said */
    int64_t sent_us;            /* on the clock; 0: none is under way */
    int64_t look_us;            /* on the clock: when it is looked for next */
    bool is_accepted;           /* who was asked has said that it is in */
    bool is_asking;             /* the store is being asked for it */
    bool is_late;               /* counted as missing; it is looked for all the same */
};

enum { LATENCIES = 120 };
struct canaries {
    struct canary of[WAYS];
    int64_t missing_since_us[WAYS]; /* on the clock; 0: the last one came */
    int64_t next_us;            /* on the clock: when the next is due */
    int64_t refused_session;    /* Home Assistant takes none in this session */
    int64_t number, salt;
    int64_t latency_us[LATENCIES];
    size_t latencies;           /* so many ever */
};

/* A new one on this way: its id and, for the edge, its context. */
void canary_begin(struct canaries *, enum way, int64_t now_us, int64_t clock_us);
/* The command for Home Assistant, or the frame for the log. Appends. */
void canary_command(const struct canary *, msgpack_sbuffer *to);
void canary_frame(const struct canary *, int64_t now_us, msgpack_sbuffer *to);
void canary_found(struct canaries *, enum way, int64_t clock_us);
/* Not there yet: when to look again. */
void canary_not_yet(struct canary *, int64_t clock_us);
/* `percent` of the last ones took no longer; false: there was none yet. */
bool canary_percentile(const struct canaries *, int percent, int64_t *us);

#endif
