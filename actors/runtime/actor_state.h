/* actor_state.h - what the files of the runtime share: one actor_t.
 *
 *   actor.c    the turn of the loop, and small answers about time and settings
 *   publish.c  messages out: batches, numbers, acknowledgements that come back
 *   deliver.c  messages in: handing over, holding, acknowledging
 *   serve.c    questions to us          ask.c    questions of ours
 *   timers.c   what is due when         heartbeat.c  what we say of ourselves
 *   fetch.c    HTTP out                 main.c   the process
 *   descriptors.c  what an actor listens to itself */
#ifndef ACTOR_STATE_H
#define ACTOR_STATE_H

#include "actor.h"
#include "bus.h"
#include "log.h"
#include "loop.h"
#include "rows.h"

enum {
    BATCH_MESSAGES = 256, BATCH_BYTES = 256 * 1024, BATCH_US = 5000,
    RETRY_US = 250 * 1000,
    TOPICS_MAX = 64
};

/* --- messages in (deliver.c) */

/* One delivery of a LOSSLESS topic on its way through. It is acknowledged when nothing is
 * pending: messages not finished, messages published meanwhile and not acknowledged, and one
 * while it is being handed over. */
struct incoming {
    struct incoming *next;       /* in its inlet's queue, or in the pool */
    struct inlet *inlet;
    delivery_t *delivery;
    struct slice rest;           /* not yet handed over */
    uint32_t left;               /* messages in it */
    uint32_t pending;
    bool is_void;                /* the connection it came over is lost: it will come again */
};

struct inlet {
    const struct contract *contract;
    const struct schema *schema;
    any_fn *fn;
    void *message;               /* scratch */
    struct incoming *first, *last;
    int64_t retry_us;            /* UNAVAILABLE: not before that; 0: now */
    size_t window_messages, window_bytes;
    bool is_paused, is_grouped;
};

struct held { struct incoming *incoming; struct slice bytes; };

/* --- messages out (publish.c) */

struct cause { struct incoming *incoming; uint32_t count; };

/* Messages that travel as one batch: being filled, or sent and not yet acknowledged. */
struct flight {
    struct flight *next;
    uint64_t batch, first;       /* its number on the bus; its first message's */
    uint32_t count;
    bool is_caused;
    struct cause *causes;
    size_t causes_count, causes_size;
};

struct outlet {
    const struct contract *contract;
    const struct schema *schema;
    uint64_t published;
    msgpack_sbuffer bytes;       /* of the batch being filled */
    struct flight *filling;      /* NULL: none */
    int64_t filling_since_us;
    struct flight *first, *last; /* sent */
};

/* --- the rest */

struct service {
    const struct contract *contract;  /* NULL: one of the runtime's own */
    any_fn *fn;
    void *query, *reply;              /* scratch */
    char subject[80];
    void (*own)(actor_t *, uint64_t ticket);
};

struct question {
    uint64_t number;
    const struct contract *contract;  /* NULL: raw */
    any_fn *done;
    raw_done_fn *raw_done;
    int64_t tag;
};

struct timer { int64_t at_us; uint64_t order; timer_fn *fn; int64_t tag; };

struct fetcher;

struct actor {
    struct self *self;
    const struct actor_spec *spec;
    struct suite_config suite;
    char *const *arguments;           /* the command line, for SIGHUP */
    log_t *log;
    bus_t *bus;
    loop_t *loop;
    int epoll_fd, signal_fd;
    int64_t now_us, clock_us;
    int64_t started_us;               /* wall clock */
    uint64_t stirs;                   /* counts what came and what was sent: the loop waits when it stands still */
    bool is_begun, is_open, is_connected, is_ready, is_stopping;
    int exit_code;

    struct inlet inlets[TOPICS_MAX];
    size_t inlets_count;
    struct incoming *pool;
    size_t incoming_count;            /* not yet acknowledged */
    struct incoming *cause;           /* being handed over */
    struct held *held;                /* [0, held_done): the handler has said HOLD; then: to be handed over again */
    size_t held_count, held_done, held_size;
    int64_t again_us;                 /* 0: not asked for */
    uint64_t mismatches;              /* messages that broke their contract, subjects unknown */

    struct outlet outlets[TOPICS_MAX];
    size_t outlets_count;
    struct flight *flights_pool;
    size_t flights_count;             /* batches sent, not acknowledged */
    msgpack_sbuffer scratch;

    struct service *services;
    size_t services_count;
    uint64_t ticket;                  /* of the question being answered */
    struct fault fault;
    struct rows rows;

    struct question *questions;
    size_t questions_count, questions_size;

    struct timer *timers;
    size_t timers_count, timers_size;
    uint64_t timers_order;
    int64_t timers_next_us, tick_us;  /* -1: never */

    int64_t beat_us, said_us, looked_us; /* heartbeat: due, said, thought of last */
    uint64_t looked_stirs;
    const char *said_status;          /* NULL: none yet */
    int statm_fd;
    struct fetcher *fetcher;          /* NULL: nothing has been fetched */
    const struct fetch_ops *fetch_ops;
    const char *fetch_program;        /* a test's instead; NULL: beside our own */
    int fetch_grace_ms;               /* a test's; 0: as it is */

    struct descriptor *descriptors;   /* the actor's own */
    size_t descriptors_count, descriptors_size;
    int descriptors_fd;               /* an epoll of them; -1: it has never had one */
};

/* actor.c */
actor_t *actor_new(const struct actor_spec *, const struct suite_config *, const void *config, log_t *);
int actor_open(actor_t *, int signal_fd);       /* 0, or the exit code */
void actor_turn(actor_t *, int most_ms);        /* work, then wait for at most that */
void actor_destroy(actor_t **self_p);
void actor_clock(actor_t *);                    /* look at the clocks */
int actor_run(actor_t *, int signal_fd);        /* until asked to stop: the exit code */
void actor_watch(actor_t *, int fd);            /* wake the loop when it is readable */

/* deliver.c */
void inlets_declare(actor_t *);
void inlets_missed(actor_t *, const char *subject, uint32_t count);
void inlets_take(actor_t *, delivery_t *, const char *subject, struct slice payload, uint32_t count);
void inlets_resume(actor_t *);                  /* hand over what waited and may go now */
void inlets_lost(actor_t *);
int64_t inlets_due_us(const actor_t *);         /* -1: nothing waits for a time */
void inlets_stop(actor_t *);
void inlets_destroy(actor_t *);
void incoming_settle(actor_t *, struct incoming *, uint32_t count);

/* publish.c */
void outlets_flush(actor_t *, bool all);        /* at the end of a turn */
void outlets_acked(actor_t *, const char *subject, uint64_t batch);
void outlets_lost(actor_t *);
int64_t outlets_due_us(const actor_t *);
void outlets_destroy(actor_t *);

/* serve.c */
void services_declare(actor_t *);
void services_asked(actor_t *, uint64_t ticket, const char *subject, struct slice query);
void services_destroy(actor_t *);

/* ask.c */
void questions_answered(actor_t *, uint64_t number, int verdict, struct slice head, struct slice body);
void questions_destroy(actor_t *);

/* timers.c */
void timers_fire(actor_t *);
int64_t timers_due_us(const actor_t *);

/* heartbeat.c */
void heartbeat_work(actor_t *);                 /* say it when it is due or its status has changed */

/* fetch.c, by way of the actor that has fetched something: who never does is not linked with it. */
struct fetch_ops {
    void (*work)(actor_t *);
    int64_t (*due_us)(const actor_t *);
    void (*destroy)(actor_t *);
};

/* descriptors.c */
void descriptors_work(actor_t *);
void descriptors_destroy(actor_t *);

/* An array that grows by doubling. */
void *array_room(void *array, size_t count, size_t *size, size_t item_bytes);

#endif
