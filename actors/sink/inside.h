/* inside.h - sink's state, and what its files ask of each other; nobody else includes it.
 *
 * sink.c: life, time and health; batch.c: the open transaction, its commit, its way to the disk; taking.c: what comes
 * down the chain; asked.c: the services. */
#ifndef SINK_INSIDE_H
#define SINK_INSIDE_H

#include "actor.h"
#include "filters.h"
#include "keeping.h"
#include "latency.h"
#include "names.h"
#include "replay.h"
#include "store.h"
#include "upkeep.h"

enum sync { SYNC_ALWAYS, SYNC_INTERVAL, SYNC_NEVER };

/* Rows that joined the open transaction; how many there were when it was last looked whether they come fast. */
struct batch { int64_t rows, stored, duplicate, redelivered, quarantined, filtered, thinned, statistics, since_us, looked_us, looked_rows; };

/* When the rows of the batch were received. */
struct times { int64_t *us; size_t count, room; };

struct self {
    struct sink_config config;
    struct sink_stats stats;
    store_t *store;
    enum sync sync;
    struct batch batch;
    struct times received;
    struct latency latency;
    replay_t *replay;
    upkeep_t *upkeep;
    filters_t *filters;
    struct keeping keeping;
    names_t *names;
    char filters_why[240];  /* why those that the store has are not in force */
    bool has_changed;       /* something but an event joined the transaction */
    bool is_failing, has_unsynced, is_sync_failing;
    int64_t synced_us;      /* on the clock: when the last sync began */
    int64_t committed_us;   /* ... and the last commit ended */
    int64_t kept, forgotten; /* how far back the capture log goes; below this its places are forgotten */
    int64_t turn_us, turn_begun_us; /* the actor's clock stands still while rows are handed over: since when */
    msgpack_sbuffer bytes;
};

/* --- batch.c --- */
enum { AGAIN_MS = 500, STUCK_US = 10000000 };
void batch_turn(struct self *, actor_t *);         /* rows are handed over from now on: their latency is counted from here */
void batch_join(struct self *, actor_t *);         /* one more row of the open transaction */
int  batch_count(struct self *, actor_t *, enum store_result, bool is_bad, int64_t place, int64_t received_at); /* ... and what became of it: HOLD */
/* A commit inside a handler would release all but the message at hand; so it is made before. */
bool batch_make_room(struct self *, actor_t *);
bool batch_is_due(struct self *, int64_t clock_us);
enum store_result batch_commit(struct self *, actor_t *);
void batch_trouble(struct self *, actor_t *);      /* the store was rolled back: everything held comes again */
void batch_sync(struct self *, actor_t *);
void batch_tell_latency(struct self *, actor_t *); /* into the counters */

/* --- taking.c --- */
int  on_event(struct self *, actor_t *, const struct event_full *);
int  on_bad(struct self *, actor_t *, const struct event_bad *);
int  on_statistic(struct self *, actor_t *, const struct statistic_row *);
void on_poison(struct self *, actor_t *, const struct contract *topic, struct slice bytes, const struct fault *);
enum store_result take_again(struct self *, actor_t *, const struct event_full *, struct fault *); /* out of the quarantine */

/* --- asked.c --- */
extern const struct replay_hooks replay_hooks;
int on_settled(struct self *, actor_t *, const struct nothing *, rows_t *, struct page *end);
int on_replay(struct self *, actor_t *, const struct replay_query *, struct replay_reply *);
int on_discard(struct self *, actor_t *, const struct bad_id *, struct bad_id *reply);
int on_filters(struct self *, actor_t *, const struct nothing *, struct filters_view *);
int on_set_filters(struct self *, actor_t *, const struct filters_query *, struct filters_view *);
int on_merge(struct self *, actor_t *, const struct merge_query *, struct lineage_row *);
int on_split(struct self *, actor_t *, const struct split_query *, struct lineage_row *);
int on_undo(struct self *, actor_t *, const struct lineage_id *, struct lineage_row *);
int on_store(struct self *, actor_t *, const struct nothing *, struct store_view *);
int on_verify(struct self *, actor_t *, const struct nothing *, struct store_view *);

#endif
