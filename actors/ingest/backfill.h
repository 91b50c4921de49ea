/* backfill.h - fill the gaps of the ledger from Home Assistant's history: no socket, no clock.
 *
 * After a subscription: what runs there (get_config), what is there (get_states), what the store
 * knows (events.latest); then, gap by gap and slice by slice of time, the history of all these
 * entities, a batch a question, one question at a time. A slice whose batches are all in the
 * capture log, and there on the disk, is noted in the ledger and never asked for again: a power
 * cut may not take rows that the ledger calls recovered. What the recorder may not have
 * written yet is witnessed: as long as history lacks the very state that get_states showed, it is
 * asked again. At last the states that no history knows are taken from get_states, entities that
 * are gone are written as removed, and the gaps get their result. docs/backfill.md says more.
 *
 * Time: `clock_us` is monotonic, `now_us` UTC. Whatever is told while nothing waits for it is
 * ignored. */
#ifndef BACKFILL_H
#define BACKFILL_H

#include "capture.h"
#include "ledger.h"

typedef struct backfill backfill_t;

struct backfill_hooks {
    int (*ask)(void *owner, struct slice command, int64_t tag);      /* -> backfill_answered(); -1: not now */
    /* Into the capture log; -1: not now, it will be given again. The frame is borrowed. */
    int (*give)(void *owner, struct slice frame, uint32_t events, enum provenance, int64_t received_us);
    bool (*is_safe)(void *owner);             /* all that was given is on the disk, in the log or in the store */
    bool (*is_behind)(void *owner);           /* the capture log has more than goes down the chain just now */
    int64_t (*mark)(void *owner);             /* behind all that is in the log; -1: not all of it is handed on */
    bool (*is_settled)(void *owner, int64_t mark);
    int (*ask_store)(void *owner, const char *cursor); /* -> backfill_stored() and backfill_stored_end(); "": the first page */
    void (*starting)(void *owner, bool);      /* Home Assistant says whether it is still starting */
    bool (*is_starting)(void *owner);         /* ... and has not said since that it has started */
    void (*say)(void *owner, bool is_warning, const char *text); /* to be logged */
};

struct backfill_options {
    ledger_t *ledger;        /* borrowed */
    bool is_on;
    int64_t commit_us;       /* most time that the recorder takes to write a state */
    int64_t first_days;      /* to fetch after the very first connection */
};

backfill_t *backfill_new(const struct backfill_options *, const struct backfill_hooks *, void *owner);
void backfill_destroy(backfill_t **);

void backfill_live(backfill_t *, int64_t clock_us, int64_t now_us); /* a new subscription stands; gaps before it are closed */
void backfill_lost(backfill_t *);

bool backfill_asked(const backfill_t *, int64_t tag); /* the question with this tag is its own */
void backfill_answered(backfill_t *, int64_t tag, bool success, struct slice result, struct slice error, int64_t clock_us, int64_t now_us);
void backfill_unanswered(backfill_t *, int64_t tag);

int64_t backfill_snapshot_us(const backfill_t *);  /* when get_states was answered: newer rows of the store do not count */
void backfill_stored(backfill_t *, struct slice entity_id, struct slice state, int64_t at_us); /* as snapshot_stored() */
void backfill_stored_end(backfill_t *, bool success, const char *cursor);       /* "": that was all */

/* Do a step; microseconds until the next one. */
int64_t backfill_tick(backfill_t *, int64_t clock_us, int64_t now_us);

/* Somebody wants a span filled: the gap's number, or -1 with *field and *why (static text) where the
 * request makes no sense, -2 where another one is being filled. */
int64_t backfill_request(backfill_t *, int64_t start_us, int64_t end_us, struct slice entity_id, int64_t now_us,
    const char **field, const char **why);

struct backfill_view {
    bool is_waiting;         /* it will be filled, or is being filled */
    bool is_active;          /* ... right now */
    double percent;          /* of the time asked for */
    int64_t rows;            /* found so far */
    int64_t remaining_s;     /* estimate; -1: unknown */
};
void backfill_view(const backfill_t *, const struct gap_entry *, int64_t clock_us, struct backfill_view *);
void backfill_describe(const backfill_t *, int64_t clock_us, char *to, size_t size); /* one sentence; "": nothing to say */
int64_t backfill_rows(const backfill_t *);         /* events made since the start */
int64_t backfill_questions(const backfill_t *);

#endif
