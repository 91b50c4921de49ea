/* made.h - events that Home Assistant did not send but whose states it remembers, as frames of ours.
 *
 * A frame is an array of event messages like those of a subscription, with the id MADE_ID, so
 * that it is captured, cut, delivered and replayed as they are. */
#ifndef MADE_H
#define MADE_H

#include "schema.h"

enum { MADE_ID = 1 };

struct made { msgpack_sbuffer text; uint32_t events; };

/* A state as history tells it: JSON values as they were written, times in microseconds. Without
 * data for a state it is none: the entity was removed then. */
struct made_state {
    struct slice state, attributes; /* attributes without data: none are told */
    int64_t changed_us, updated_us; /* 0: unknown */
};

void made_init(struct made *);
void made_free(struct made *);
void made_clear(struct made *);

void made_change(struct made *, struct slice entity_id, const struct made_state *old /* or NULL */, const struct made_state *new);
/* `state` and `context` are the JSON that get_states gave; the context may be nothing. */
void made_snapshot(struct made *, struct slice entity_id, struct slice state, struct slice context, int64_t updated_us);
void made_removal(struct made *, struct slice entity_id, struct slice old_state /* JSON text */, int64_t seen_us);

struct slice made_frame(struct made *); /* whole; made_clear() before the next event */

#endif
