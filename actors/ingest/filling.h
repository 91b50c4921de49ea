/* filling.h - what the three files of backfill share; nobody else includes it.
 *
 * backfill.c: the phases of a run, and what is answered. filling.c: which question for history comes
 * next, and its rows. outcome.c: what a run leaves, requests, and views. */
#ifndef FILLING_H
#define FILLING_H

#include "backfill.h"
#include "history.h"
#include "json.h"
#include "made.h"
#include "snapshot.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)
#define MARGIN_US (5 * SECOND_US)       /* before and behind a span: its ends are of our clock, rows of another */
#define SLICE_MIN_US (60 * SECOND_US)
#define LARGE_BYTES (4 << 20)           /* an answer after which slices get shorter */
#define SLOW_US (10 * SECOND_US)        /* likewise */
#define BEHIND_US (SECOND_US / 50)
#define STARTING_US (900 * SECOND_US)   /* a start that takes longer is not waited for */
#define STORE_RETRY_US (5 * SECOND_US)

enum { BATCH = 50, STEP_ROWS = 400, STEP_BYTES = 256 * 1024, STEP_STATES = 500, STORE_TRIES = 3, MAX_REFUSED = 20,
    MAX_TROUBLES = 20, TROUBLE_ERROR = 4, TROUBLE_LOST = 1, ROUNDS = 4 };

enum phase {
    AWAY, CONFIG_ASKED, IDLE, STATES_ASKED, STATES_READ, MARKING, SETTLING, STORE_ASKED, STORE_WAITS, CHOOSING, HISTORY_ASKED,
    HISTORY_READ, PAUSED, FINISHING
};

enum job_state { TO_ASK, ASKED_BUT_TAIL /* its end may not be written yet */, ASKED_ALL, FAILED };
struct job { int64_t number, start_us; enum job_state state; bool is_request;
    int64_t asked_us;   /* all before this is asked for: the gap may grow meanwhile */
    int64_t tail_from_us, tail_rows;
    int64_t silent_until_us; }; /* history says nothing before, not even what was in force; 0: it goes back to the beginning */

/* What is being asked: a slice of a gap, or once more for what has no witness. */
struct slice_of_time { int64_t from_us, to_us; bool is_tail, is_heavy; int64_t rows; size_t next; int64_t begun_us;
    int64_t told_us; /* the first moment that history speaks of; 0: of none */ };

struct backfill {
    struct backfill_options options;
    struct backfill_hooks hooks;
    void *owner;
    enum phase phase;
    int64_t clock_us, now_us;           /* of the call that we are in */
    int64_t live_us, live_at_us;        /* of this connection: monotonic, UTC */
    int64_t tag, asked_us;              /* of the question that is open */
    int64_t wait_until_us;              /* monotonic */
    int64_t *failed;                    /* numbers of gaps that cannot be filled over this connection */
    size_t failed_count;
    bool is_recovering;                 /* Home Assistant runs without its integrations */
    int64_t rows_made, questions;
    /* The run. */
    struct job *jobs;
    size_t job_count;
    struct job *job;                    /* being asked for; NULL: choose one */
    struct slice_of_time slice;
    int64_t slice_us;
    size_t batch;                       /* entities in the next question */
    size_t asked[BATCH], asked_count;   /* their places in the snapshot */
    int64_t question_from_us;           /* of the one that is open */
    int64_t batch_rows;
    snapshot_t *snapshot;
    int64_t snapshot_us;                /* UTC: get_states was answered */
    int64_t witness_from_us;            /* monotonic: then */
    int64_t mark;
    char cursor[161];
    int store_tries;
    bool is_compared, is_first;
    size_t refused;
    int round;
    bool is_witnessing;
    size_t next;                        /* entity to witness, or to finish */
    history_t *history;
    struct made made;
    bool is_made;                       /* the frame is whole and waits for the log */
    enum provenance made_of;
    int64_t answered_us;                /* UTC: received time of what is made */
    json_t *json;
};

static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* backfill.c */
void fill_say(struct backfill *, bool is_warning, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool fill_ask(struct backfill *, struct slice command, enum phase next); /* false: not now */
void fill_forget(struct backfill *);                        /* the run */
void fill_try_fewer(struct backfill *, const char *why);    /* the question was in vain: ask for half of its entities */
bool fill_is_wanted(const struct backfill *, const struct gap_entry *);

/* filling.c */
int64_t fill_choose(struct backfill *);                     /* ask the next question */
int64_t fill_read(struct backfill *);                       /* the answer, some rows in a step */
bool fill_is_given(struct backfill *);                      /* what is made is in the log; false: later */
bool fill_lists(const char *ids, const char *id);
/* History has not shown what get_states did: its last rows may not be written, or never will be. */
bool fill_lacks_witness(const struct backfill *, const struct seen_entity *);

/* outcome.c */
int64_t fill_finish(struct backfill *);

#endif
