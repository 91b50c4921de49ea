/* replay.h - refused bytes go down the chain again, each from the stage that refused them.
 *
 * A row of the quarantine goes when what became of it is acknowledged: stored, known already,
 * dropped by a filter, or refused again in another row. Until then it stays, so a kill loses
 * nothing, and what is done twice is stored once. One replay at a time. */
#ifndef REPLAY_H
#define REPLAY_H

#include "actor.h"
#include "store.h"

typedef struct replay replay_t;

/* What replay needs of the sink. */
struct replay_hooks {
    enum store_result (*append)(struct self *, actor_t *, const struct event_full *, struct fault *);
    int (*ask)(struct self *, actor_t *, const struct again_query *, int deadline_ms, int64_t id); /* ingest.again */
};

replay_t *replay_new(struct self *, actor_t *, store_t *, const struct replay_hooks *);
void replay_destroy(replay_t **);

/* The service: LATER, or a refusal. */
int replay_begin(replay_t *, const struct replay_query *);
/* In every tick while it is busy: step, commit, tell, which answers when all is done. tell: ms
 * until the next; -1: when something happens. Where anything here is STORE_TROUBLE, everything
 * since the last commit was rolled back. */
bool replay_is_busy(const replay_t *);
enum store_result replay_step(replay_t *);
int replay_tell(replay_t *);
enum store_result replay_answered(replay_t *, int64_t id, const struct answer *); /* of ingest.again */
void replay_acked(replay_t *, uint64_t first, uint64_t last); /* of event.raw */

bool replay_has_place(const replay_t *, int64_t place);  /* an event under way again */
bool replay_has_row(const replay_t *, int64_t id);
/* These bytes have just joined the quarantine: an event under way may have been refused again. */
enum store_result replay_refused(replay_t *, const struct event_bad *);
void replay_forget(replay_t *);  /* the store was rolled back */
int64_t replay_count(const replay_t *);  /* rows handed down again so far */

#endif
