/* actor.h - all an actor needs to know about the world.
 *
 * An actor is one process and one file: a `struct self`, a few callbacks, and one
 * `actor_spec` naming them. The runtime owns main(), the loop, the broker connection
 * (hello, window, acknowledge, resend), settings, logging, counters, heartbeat and the stop;
 * it calls the actor, never the other way round, and never two callbacks at once.
 *
 * A message of a LOSSLESS topic is acknowledged when its handler has returned OK *and*
 * everything the handler published (LOSSLESS) has been acknowledged. */
#ifndef ACTOR_H
#define ACTOR_H

#include "schemas.h"

typedef struct actor actor_t;   /* the runtime's handle; borrowed, never freed */
typedef uint64_t ticket_t;      /* a question that will be answered later */
struct self;                    /* the actor's own state; each actor defines it */

/* A part of struct self that the runtime fills or publishes, described by a schema. */
struct section {
    const struct schema *(*schema)(void);
    size_t at;
};
#define SECTION(member, msg) { msg##_schema, offsetof(struct self, member) }

/* What a handler returns, and what an asker gets. */
enum verdict {
    OK = 0,
    BAD_REQUEST,   /* well-formed, but contradicts itself or names an unknown option: HTTP 400 */
    UNPROCESSABLE, /* cannot be read or is out of range: 422 */
    NOT_FOUND,     /* 404 */
    CONFLICT,      /* 409 */
    UNAVAILABLE,   /* not now; of a topic's handler: give me this message again later: 503 */
    BROKEN,        /* a bug or a broken file: 500 */
    NO_OWNER,      /* from the broker: nobody answers to this: 503 */
    TOO_LATE,      /* from the broker: the deadline passed: 504 */
    HOLD,          /* topic handler: done, but not safe yet; acknowledged by actor_release() */
    LATER          /* service handler: answered by answer_service() with actor_ticket() */
};

/* What an asker is told beside the reply: `out` is NULL unless verdict is OK. `rows` holds a
 * listing's rows, read with frame_next() and schema_decode(). All die when the call returns. */
struct answer {
    int verdict;
    struct fault fault;   /* why not, where the owner said so */
    struct slice rows;
    struct slice end;     /* the reply or the listing's end as it came */
};

#include "contracts.h"

enum health { HEALTHY, DEGRADED, UNHEALTHY };
struct lws_context_creation_info;
struct lws_context;

struct actor_spec {
    const char *name;           /* process, settings section, log tag, service folder */
    const char *doc;
    size_t state;               /* sizeof(struct self); zeroed before open */
    struct section config;      /* decoded and checked before open */
    struct section stats;       /* counters: sent with every heartbeat, answered as <name>.stats */
    const struct handler *handlers;  /* ends with {0} */
    int  (*open)(struct self *, actor_t *);   /* 0; 100: wrong settings, do not restart; 111: restart with delay. Has said why */
    int  (*tick)(struct self *, actor_t *);   /* returns ms until the next tick, or -1 for never; first call right after open */
    void (*connected)(struct self *, actor_t *, bool up);  /* the broker; everything declared and replayed */
    void (*missed)(struct self *, actor_t *, const struct contract *topic, uint32_t count); /* so many LIVE messages of this topic were left out just now: we are too slow */
    void (*acked)(struct self *, actor_t *, const struct contract *topic, uint64_t first, uint64_t last); /* own LOSSLESS messages, in any order of ranges */
    void (*poison)(struct self *, actor_t *, const struct contract *topic, struct slice bytes, const struct fault *); /* a LOSSLESS message that does not decode; acknowledged after this returns as if it were its handler */
    enum health (*health)(struct self *, actor_t *, char *why, size_t size); /* asked often while things happen, so cheap; NULL: HEALTHY */
    void (*reload)(struct self *, actor_t *); /* SIGHUP: config has just been replaced by a valid one */
    int  (*drain)(struct self *, actor_t *);  /* asked to stop: ms until it wants to be asked again, 0: ready. At most 2 s in all */
    void (*close)(struct self *, actor_t *);
    void (*lws)(struct self *, actor_t *, struct lws_context_creation_info *); /* actors with sockets of their own: protocols and options; link the lws loop */
    size_t window_messages, window_bytes; /* default window of LOSSLESS topics it listens to; 0: 2048 and 4 MiB */
    const char *group;          /* the group it joins for LOSSLESS topics; NULL: its name; "": none, LIVE */
};

extern const struct actor_spec actor_spec;    /* each actor defines exactly one */

/* --- topics -------------------------------------------------------------------------------
 * publish_topic() returns 0, or -1 if the message breaks its schema (logged, counted). It
 * never blocks: what cannot be sent yet is kept until the broker has it acknowledged. An
 * actor that publishes LOSSLESS messages of its own accord asks actor_room() first. */

/* The number of the last message published on a LOSSLESS topic, counting from 1. */
uint64_t actor_published(const actor_t *, const struct contract *topic);

/* How many more messages the window of this LOSSLESS topic takes; 0: wait for `acked`. */
size_t actor_room(const actor_t *, const struct contract *topic);

/* Stop taking messages of a topic, and start again (with a window; 0, 0: the same as before).
 * The broker gives no more; a group's messages wait, those of LIVE are not meant for us. A topic
 * may be paused in open(). */
void actor_pause(actor_t *, const struct contract *topic);
void actor_resume(actor_t *, const struct contract *topic, size_t messages, size_t bytes);

void actor_release(actor_t *);      /* acknowledge all that handlers have held so far */
void actor_again(actor_t *, int ms);/* hand all that is held to the handlers again, in order, after ms; nothing new before that */

/* --- questions ------------------------------------------------------------------------------
 * ask_service() returns 0 or -1 (schema); `done` runs exactly once, from the loop, also when
 * the deadline passes or the broker is away. */
ticket_t actor_ticket(actor_t *);   /* inside a service handler that returns LATER */
int actor_refuse(actor_t *, int verdict, const char *field, const char *why); /* sets the fault of the answer, returns verdict; static text */

/* The bytes an answer to this listing may still take; row_service() returns -1 and adds
 * nothing when a row does not fit, except the first, which always does. */
size_t actor_rows_room(const rows_t *);

/* Ask by bytes, for the gateway: the query is encoded already. `done` as above with out NULL. */
typedef void raw_done_fn(struct self *, actor_t *, int64_t tag, const struct answer *);
int actor_ask_raw(actor_t *, const char *subject, struct slice query, int deadline_ms, raw_done_fn *, int64_t tag);

/* --- time, words, settings ------------------------------------------------------------------ */
int64_t actor_now_us(const actor_t *);   /* wall clock, UTC, as of this turn of the loop; right now for actors with sockets of their own */
int64_t actor_clock_us(const actor_t *); /* monotonic, likewise */
void actor_wake(actor_t *, int ms);      /* call tick after ms at the latest */

typedef void timer_fn(struct self *, actor_t *, int64_t tag);
void actor_after(actor_t *, int ms, timer_fn *, int64_t tag); /* once */
void actor_cancel(actor_t *, timer_fn *, int64_t tag);

void actor_debug(actor_t *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actor_info(actor_t *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actor_warn(actor_t *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void actor_error(actor_t *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of one subject, known by a hash: repeats are left out for each subject by itself. */
void actor_warn_of(actor_t *, uint64_t of, const char *format, ...) __attribute__((format(printf, 3, 4)));
void actor_error_of(actor_t *, uint64_t of, const char *format, ...) __attribute__((format(printf, 3, 4)));

const struct suite_config *actor_suite(const actor_t *);
const char *actor_version(void);
void actor_stop(actor_t *, int exit_code); /* end the process in order, from any callback */

/* A path below the data directory in static-free form: 0, or -1 if it does not fit. Creates
 * the directories above it (0700). */
int actor_path(const actor_t *, char *to, size_t size, const char *name);

struct lws_context *actor_lws(actor_t *); /* NULL unless spec.lws is set */

/* --- descriptors ------------------------------------------------------------------------------
 * For who listens to a line, a socket or a library that has one. `ready` runs from the loop while
 * `fd` can be read, or written where that is asked for too (EPOLLIN, EPOLLOUT; EPOLLHUP and
 * EPOLLERR are told unasked). Listening once more to the same fd changes what is asked for. Stop before
 * closing it. */
typedef void ready_fn(struct self *, actor_t *, int fd, uint32_t events);
void actor_listen(actor_t *, int fd, uint32_t events, ready_fn *);
void actor_unlisten(actor_t *, int fd);

/* --- HTTP out -------------------------------------------------------------------------------
 * The runtime escapes the query, times out, bounds the body, retries a 5xx or 429 with
 * back-off, jitter and Retry-After, sends conditional requests for a URL it has a validator
 * of, and never logs a query value. `done` runs once, from the loop; `body` dies when it
 * returns. -1 if the previous request is still in flight. */
struct pair { const char *name, *value; };
struct fetched {
    long status;
    struct slice body;
    const char *error;
    bool not_modified;
    int attempts;                      /* requests that it took */
    long retry_after_s;                /* what a refusal says; -1: nothing */
};
typedef void fetched_fn(struct self *, actor_t *, const struct fetched *);
struct fetch {
    const char *url;
    struct pair query[8], headers[4];  /* each ends at the first NULL name */
    const char *user, *password;       /* for HTTP's basic authentication; NULL: none */
    bool is_digest;                    /* ... or for the digest one, which the server asks for: nobody hears the password */
    struct slice body;                 /* JSON that is posted; empty: GET */
    bool is_unconditional;             /* the whole answer, also where it has not changed */
    size_t body_max;                   /* 0: 1 MiB; after unpacking */
    int timeout_ms;                    /* of an attempt; 0: 10 s */
    const char *ca_file;               /* PEM file with the certificates to trust; NULL: the system's */
    bool is_unverified;                /* of https: certificate and host name are not looked at */
    fetched_fn *done;
};
int actor_fetch(actor_t *, const struct fetch *);

#endif
