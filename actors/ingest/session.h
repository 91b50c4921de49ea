/* session.h - one connection's conversation with Home Assistant: no socket, no clock.
 *
 *   hello -> auth -> auth_ok -> supported_features (id 1) -> subscribe_events (id 2) -> live
 *
 * Frames go in, texts to send come out through the hooks, time (monotonic microseconds) is an
 * argument. Ids only grow. A token that may not have all events is refused with
 * `unauthorized`: then each type of Home Assistant's allowed list is subscribed by itself.
 * Events are the messages with the ids of our own subscriptions; results belong to whoever
 * asked; anything else is counted and ignored. */
#ifndef SESSION_H
#define SESSION_H

#include "split.h"

typedef struct session session_t;

enum session_state {
    SESSION_HELLO,        /* waiting for auth_required */
    SESSION_AUTH,         /* token sent */
    SESSION_SUBSCRIBING,  /* auth_ok */
    SESSION_LIVE,         /* every subscription answered, at least one granted */
    SESSION_OVER          /* close the socket; session_end() says why */
};

enum session_end {
    END_NONE,
    END_REFUSED,          /* auth_invalid */
    END_SILENT,           /* nothing heard for silence_us */
    END_PROTOCOL          /* what came makes no sense, or not in time */
};

struct session_hooks {
    void (*send)(void *owner, struct slice text);
    void (*moved)(void *owner, enum session_state); /* a new state, SESSION_OVER included */
    /* A frame with `items` in it (events of ours, or what cannot be read). */
    void (*frame)(void *owner, struct slice frame, const struct items *);
    void (*answered)(void *owner, int64_t tag, bool success, struct slice result, struct slice error);
    void (*fenced)(void *owner);           /* everything sent before session_fence() has arrived */
};

struct session_options {
    split_t *split;                        /* borrowed */
    struct slice token;                    /* copied */
    int64_t auth_us, subscribe_us, ping_us, silence_us;
};

session_t *session_new(const struct session_options *, const struct session_hooks *, void *owner, int64_t clock_us);
void session_destroy(session_t **);

void session_opened(session_t *, int64_t clock_us); /* the socket is open: auth_us counts from here */
void session_take(session_t *, struct slice frame, int64_t clock_us);
void session_heard(session_t *, int64_t clock_us); /* bytes, or a ping or pong of the protocol below */
void session_excuse(session_t *, int64_t clock_us); /* nobody listens just now: silence means nothing */

/* What is read from now on may have waited on its way, and what Home Assistant has dropped since
 * would not be noticed: nothing newer is known until a ping is answered promptly. Also so after
 * two seconds in which nothing came (the network stood still, or we did). */
void session_doubt(session_t *);

/* Pings and time-outs. Returns when to be called again (microseconds from now). */
int64_t session_tick(session_t *, int64_t clock_us);

/* Send a command (an object without an id): 0, or -1 when not live or too many are open. The
 * answer comes through `answered`. session_drop_ask() takes out one asked at or before a time:
 * false when there is none. */
int session_ask(session_t *, struct slice command, int64_t tag, int64_t clock_us);
bool session_drop_ask(session_t *, int64_t until_us, int64_t *tag);

/* Find out when all that was on its way has been read: `fenced` is called then, once. */
void session_fence(session_t *, int64_t clock_us);

enum session_state session_state(const session_t *);
enum session_end session_end(const session_t *);
const char *session_why(const session_t *);          /* "" while all is well */
const char *session_ha_version(const session_t *);   /* "" until told */
bool session_all_events(const session_t *);
const char *session_event_types(const session_t *);  /* JSON array of those granted, where not all */
void session_ids(const session_t *, uint32_t *first, uint32_t *last); /* of our subscriptions */
bool session_is_starting(const session_t *);         /* Home Assistant has not said that it has started; of a new session unknown: true */
void session_set_starting(session_t *, bool);        /* it was asked */
bool session_is_stopping(const session_t *);         /* Home Assistant has said that it stops */
int64_t session_known_at(const session_t *);         /* monotonic: nothing that was sent before is missing */
int64_t session_registry_changes(const session_t *);
int64_t session_ignored(const session_t *);

#endif
