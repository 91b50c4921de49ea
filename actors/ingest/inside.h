/* inside.h - ingest's state, and what its files ask of each other; nobody else includes it.
 *
 * ingest.c: life, connection and time; chain.c: from the socket into the log and down the chain; filler.c: what
 * backfill needs; wire.c: the sockets; asked.c: the services. */
#ifndef INGEST_INSIDE_H
#define INGEST_INSIDE_H

#include "actor.h"
#include "backfill.h"
#include "capture.h"
#include "home.h"
#include "ledger.h"
#include "stash.h"
#include "wall.h"

#define SECOND_US INT64_C(1000000)
#define MS_US INT64_C(1000)

struct self {
    struct ingest_config config;
    struct ingest_stats stats;
    int64_t own;                /* events that others handed over, since the start */
    actor_t *actor;
    struct endpoint endpoints[MAX_ENDPOINTS];
    int endpoint_count;
    capture_t *capture;
    ledger_t *ledger;
    backfill_t *backfill;
    int64_t filled_us;          /* UTC: when backfill gave something last */
    int64_t known_asks;         /* how often the store was asked what it knows: the tag of the last question */
    home_t *home;               /* NULL: unconfigured, or stopping */
    split_t *live_split;        /* frames of the connections */
    split_t *read_split;        /* frames read back */
    struct items read_items;
    struct capture_record batch[CAPTURE_BATCH]; /* frames of this read, not written yet */
    size_t batch_count;
    struct items batch_items;   /* theirs, one record after the other */
    stash_t *stash;             /* frames that the disk would not take yet */
    json_t *json;
    int64_t kept;               /* told last: how far back the log goes */
    bool session_changed;
    int64_t session_told_us;    /* monotonic */
    int64_t noted_us;           /* monotonic */
    int64_t behind_us;          /* monotonic: the socket has more than we have read, until then */
    int64_t behind_events;      /* taken since it had not */
    int64_t window_us, window_events; /* monotonic: begin of a FLOOD_WINDOW_US; taken in it */
    int64_t flooded_us;         /* monotonic: until then nothing large is asked for */
    int64_t noted_syncs;        /* of the capture log, by then */
    bool is_store_synced;       /* since then */
    int64_t lost_us;            /* monotonic: the open gap began no later than this */
    struct wall wall;
    uint64_t random;
};

/* --- chain.c --- */
enum { RAW, BAD };              /* topics, as the capture log numbers them */
enum { PUMP_EVENTS = 4096 };    /* read back from the log in one turn, so that reading goes on */
/* Append the records with one write and hand on what may be; `list` holds the items of all of them, one after the
 * other. -1: the disk does not take them now. */
int chain_take(struct self *, struct capture_record *, size_t count, struct item *list);
void chain_flush(struct self *);      /* what came in this read is written */
void chain_retry(struct self *);      /* what the disk would not take */
void chain_pump(struct self *, int64_t events); /* go on with what is in the log */
void chain_pump_calmly(struct self *);          /* ... unless the socket comes first */
void chain_behind(struct self *);     /* the socket has more than a read takes */
void chain_read(struct self *);       /* a read has ended */
bool chain_is_flooded(const struct self *);
void chain_lost(void *self, const struct capture_loss *);
void chain_frame(void *self, int64_t session, uint32_t first_id, uint32_t last_id, struct slice frame, const struct items *);

/* --- filler.c, wire.c, asked.c --- */
void filler_open(struct self *);
int64_t safe_until(const struct self *); /* UTC: what was received before is on the disk */
extern const struct socket_calls wire_calls;
extern const struct handler asked_handlers[];
void asked_describe(struct self *, struct ingest_session *);

#endif
