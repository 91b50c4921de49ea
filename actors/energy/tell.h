/* tell.h - steps on their way into the store: each is a state of an entity of its own, handed to the capture log. */
#ifndef TELL_H
#define TELL_H

#include "actor.h"
#include "flow.h"

/* So many may be put in one go; while there are more than the lesser nothing new should be looked for. */
enum { OUTBOX = 512, OUTBOX_BUSY = 32 };

struct outbox {
    msgpack_sbuffer of[OUTBOX];    /* frames, oldest first; a JSON text each */
    size_t count;
    bool is_asked;                 /* the first one is under way */
    int64_t stored, refused;
};

/* The step as a frame of Home Assistant's: the same step makes the same frame, so that it is stored once
 * however often it is found. False: there is no room. */
bool outbox_put(struct outbox *, const struct found *);
bool outbox_is_busy(const struct outbox *);
void outbox_drop(struct outbox *);             /* the first one */
void outbox_clear(struct outbox *);

#endif
