/* probe.h - run one actor without broker, network or clock.
 *
 * A second implementation of actor.h, chosen at link time: the test is the world. Nothing
 * happens by itself; time stands still until probe_advance. */
#ifndef PROBE_H
#define PROBE_H

#include "actor.h"

typedef struct actor probe_t;

/* Settings as "key", "value", ..., NULL; keys of `suite` too. Checks them as main() would,
 * opens the actor. NULL if it refuses: probe_refused() says why. The data directory is a new
 * one, removed at the end; with "data" among the settings it is that one, and stays. */
probe_t *probe_new(const char *const settings[]);
void probe_destroy(probe_t **self_p);
const char *probe_refused(void);                 /* of the last probe_new in this thread */
struct self *probe_self(probe_t *);
const char *probe_data(const probe_t *);         /* the data directory */

/* --- time: begins at 2026-01-01T00:00:00Z */
void probe_set_now(probe_t *, int64_t now_us);   /* the wall clock alone */
void probe_advance(probe_t *, int ms);           /* fires ticks, timers, deadlines that fall due, in order */
int probe_tick(probe_t *);                       /* ms until the next, or -1 */
int probe_tick_due(const probe_t *);             /* ms until the tick would be called; -1: never */

/* --- topics: in. Delivers a copy (encoded and decoded again). The handler's verdict, or -1:
 * paused, or nobody handles it. What is held stays known until it is released. */
int probe_deliver(probe_t *, const struct contract *, const void *message);
int probe_deliver_bytes(probe_t *, const struct contract *, struct slice bytes); /* BAD_REQUEST: went to spec.poison */
size_t probe_held(const probe_t *);              /* messages held now */
size_t probe_released(const probe_t *);          /* messages released so far */
int probe_again_due(const probe_t *);            /* ms until held messages are handed over again; -1: not asked for */
bool probe_paused(const probe_t *, const struct contract *);

/* --- topics: out. Copies of what was published since the last probe_clear, in order. */
size_t probe_published_count(const probe_t *, const struct contract *);
const void *probe_published(const probe_t *, const struct contract *, size_t index); /* NULL beyond the end */
void probe_clear(probe_t *);                     /* forget them; numbers go on */
void probe_ack_all(probe_t *);                   /* acknowledge all LOSSLESS messages: calls spec.acked */
void probe_ack(probe_t *, const struct contract *, uint64_t first, uint64_t last);
void probe_set_room(probe_t *, const struct contract *, size_t messages); /* what actor_room says; else 16384 less what is in flight */
void probe_miss(probe_t *, const struct contract *, uint32_t count); /* so many LIVE messages were left out: calls spec.missed */
void probe_connected(probe_t *, bool up);

/* --- services it answers. `out` may be NULL. LATER: probe_answered tells. */
int probe_call(probe_t *, const struct contract *, const void *in, void *out);
size_t probe_rows(const probe_t *);              /* of the last listing called */
int probe_row(const probe_t *, size_t index, void *row); /* 0 or -1; slices live until the next call */
void probe_set_rows_room(probe_t *, size_t bytes);       /* else 4 MiB */
struct fault probe_fault(const probe_t *);       /* of the last call */
ticket_t probe_ticket(const probe_t *);          /* the last one taken */
int probe_answered(probe_t *, const struct contract *, ticket_t, void *out); /* the verdict; -1: not yet */

/* --- questions it asks; the oldest open one of that service */
size_t probe_asked_count(const probe_t *, const struct contract *);
const void *probe_asked(const probe_t *, const struct contract *); /* the query, or NULL; until it is answered */
void probe_add_row(probe_t *, const struct contract *, const void *row); /* for the next answer */
int probe_answer(probe_t *, const struct contract *, int verdict, const void *reply); /* -1: it did not ask. `reply` NULL: none */
int probe_answer_fault(probe_t *, const struct contract *, int verdict, const char *field, const char *why);

/* --- HTTP out */
const char *probe_fetch_url(const probe_t *);    /* NULL: no request is open */
const char *probe_fetch_body(const probe_t *);   /* what is posted; "": it is a GET */
const char *probe_fetching(const probe_t *, const char *parameter); /* of the query, or a header */
void probe_fetched(probe_t *, long status, const char *body);
void probe_fetched_as(probe_t *, const struct fetched *); /* any answer */
void probe_fetch_failed(probe_t *, const char *error);

/* --- descriptors that it listens to */
int probe_wait(probe_t *, int most_ms);          /* real time, until one is ready, and lets it be handled: how many were */

/* --- the rest */
int probe_stopped(const probe_t *);              /* the exit code of actor_stop, or -1 */
bool probe_logged(const probe_t *, const char *part); /* since the start; PROBE_LOG=1 prints it */
int probe_drain(probe_t *);
enum health probe_health(probe_t *, char *why, size_t size);
int probe_reload(probe_t *, const char *const settings[]); /* SIGHUP; -1: refused, all stays */

#endif
