/* home.h - the way to Home Assistant: which connection is tried, which one is in use.
 *
 * At most one connection is live. When it is lost the plan (endpoints.h) says when to dial
 * which endpoint. While a lower endpoint is in use a better one is tried beside it; once that
 * is subscribed it takes over, and the old one is read until everything that was on its way
 * has come (events that come twice are one event downstream). Sockets are behind four
 * functions, time (monotonic microseconds) is an argument. */
#ifndef HOME_H
#define HOME_H

#include "endpoints.h"
#include "session.h"

typedef struct home home_t;
struct link; /* one connection */

/* What stands below: websocket.c, or a test. open() returns NULL when it fails at once. After
 * close() nothing is reported any more. hold() stops and restarts the reading. */
struct socket_calls {
    void *(*open)(void *owner, const struct endpoint *, struct link *);
    void (*send)(void *socket, struct slice text);
    void (*hold)(void *socket, bool);
    void (*close)(void *socket);
};

/* What the socket reports. `http_status` is 0 where no HTTP answer came. */
void link_opened(struct link *, int64_t clock_us);
void link_received(struct link *, struct slice message, int64_t clock_us);
void link_heard(struct link *, int64_t clock_us);
void link_behind(struct link *); /* more was waiting than could be read at once */
void link_closed(struct link *, int http_status, const char *why, int64_t clock_us);

enum home_state { HOME_CONNECTING, HOME_SUBSCRIBING, HOME_LIVE, HOME_WAITING, HOME_AUTH_REFUSED };
enum home_cause { CAUSE_CONNECTION_LOST, CAUSE_SILENT, CAUSE_RESTART, CAUSE_AUTH_REFUSED };
enum home_failure { FAILED_ATTEMPT, FAILED_LIVE, FAILED_REFUSED /* the token, in either */ };

struct home_hooks {
    int64_t (*number)(void *owner);         /* a session number never used before */
    double (*random)(void *owner);          /* [0, 1) */
    void (*changed)(void *owner);           /* something of home_view() */
    void (*live)(void *owner, bool took_over);
    /* The live connection is gone; nothing is missing up to `known_us` (monotonic). */
    void (*lost)(void *owner, int64_t known_us, enum home_cause);
    void (*cause)(void *owner, enum home_cause); /* a later attempt tells more of why */
    void (*frame)(void *owner, int64_t session, uint32_t first_id, uint32_t last_id, struct slice frame,
        const struct items *);
    void (*answered)(void *owner, int64_t tag, bool success, struct slice result, struct slice error);
    void (*unanswered)(void *owner, int64_t tag); /* the connection is gone, or the answer never came */
    void (*failed)(void *owner, enum home_failure, const char *url, const char *why); /* to be logged */
};

struct home_options {
    const struct endpoint *endpoints;  /* plan.count of them; borrowed */
    struct plan plan;                  /* count and durations */
    struct session_options session;    /* token is filled in by endpoint */
    int64_t open_us;                   /* most time from dialling to an open WebSocket */
};

home_t *home_new(const struct home_options *, const struct socket_calls *, void *socket_owner,
    const struct home_hooks *, void *owner, int64_t clock_us);
void home_destroy(home_t **);

int64_t home_tick(home_t *, int64_t clock_us); /* microseconds until it wants to be called again */
void home_hold(home_t *, bool);                /* stop or restart reading all sockets */
bool home_is_starting(const home_t *);         /* the live one: Home Assistant has not said that it has started */
void home_set_starting(home_t *, bool);        /* it was asked */
int home_ask(home_t *, struct slice command, int64_t tag, int64_t clock_us); /* -1: not live, or too much asked */

struct home_view {
    enum home_state state;
    int64_t since_us, retry_us;        /* monotonic; retry_us 0: none planned */
    int64_t session;                   /* of the live connection, or of the last one */
    const struct endpoint *endpoint;   /* in use or tried last; NULL: none yet */
    const char *ha_version;
    bool all_events;
    const char *event_types;
    const char *why;
    int64_t known_us;                  /* live: up to here nothing is missing */
    int64_t registry_changes;
    int64_t connections, failures, ignored;
};
void home_view(const home_t *, struct home_view *);

#endif
