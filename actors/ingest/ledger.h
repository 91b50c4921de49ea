/* ledger.h - the times of which something may be missing, and how far we know that nothing is.
 *
 * <data>/ingest/gaps: one gap a line, written anew (fsync, rename) whenever one changes; a
 * file that cannot be read is kept aside and told. A line of an earlier version has the first four
 * fields alone: nobody has tried to fill that gap. <data>/ingest/unrecorded-<key>: a JSON array of
 * entity ids, named by its contents, so that gaps share it. <data>/ingest/known: one small
 * line, overwritten every second: up to when everything is known, up to when it is safe on the
 * disk, the session number, the boot, and whether the process ended in order. While a gap cannot
 * be written, `known` stays before it. A kill -9 loses none of it; a power cut may bring an older
 * line back, which says less but nothing wrong: what was safe once stays so. Times are microseconds UTC.
 * Rules: docs/architecture.md, Delivery 6. */
#ifndef LEDGER_H
#define LEDGER_H

#include "schema.h"

typedef struct ledger ledger_t;

enum gap_cause { GAP_CONNECTION_LOST, GAP_SILENT, GAP_RESTART, GAP_DOWN, GAP_POWER, GAP_REFUSED, GAP_OVERFLOW,
    GAP_DAMAGED, GAP_FIRST_START, GAP_TOO_LARGE,
    GAP_UNREACHED /* part of another one that is older than what the recorder keeps */,
    GAP_REQUESTED /* a span that somebody wants filled: nothing need be missing */ };

enum gap_result { GAP_UNFILLED, GAP_FILLED, GAP_PARTLY, GAP_UNRECOVERABLE };
enum { GAP_ENTITY = 1024, LIST_BYTES = 60000 };

struct gap_entry {
    int64_t number;         /* its id is gap-<number> */
    int64_t start_us, end_us; /* end_us 0: open */
    enum gap_cause cause;
    enum gap_result result; /* GAP_UNFILLED: open, or to be filled */
    int64_t filled_us;      /* history has been asked for all before; 0: nothing yet */
    int64_t recovered;      /* rows of history inside the span, of all that has been asked for */
    int64_t troubles;       /* how often filling it has failed; see backfill.c */
    uint64_t unrecorded;    /* key of the list of entities that history does not know; 0: none */
    bool is_compared;       /* with the entities there are now: removals were looked for */
    char *entity_id;        /* of a request: only these, comma separated; NULL: all. The ledger's */
};

struct ledger_options {
    const char *directory;      /* exists */
    const char *boot_id;
    int64_t booted_us;          /* when the machine was booted, by the clock as it is now */
    int64_t latency_us;         /* what was fired this long before may still have been on its way */
    int64_t captured_us;        /* received time of the newest record of the capture log that came over a connection; 0: none */
    bool is_torn;               /* something behind that record could not be read */
};

/* NULL: *why. A gap is opened for the time we were down. *damaged: NULL, or the path where a
 * file that could not be read has been kept (borrowed). */
ledger_t *ledger_open(const struct ledger_options *, int64_t now_us, const char **why, const char **damaged);
void ledger_close(ledger_t **, bool in_order);

void ledger_lost(ledger_t *, int64_t known_us, enum gap_cause);  /* open a gap; one that is open begins no later */
void ledger_cause(ledger_t *, enum gap_cause);                   /* the open gap's cause is better known */
void ledger_began_by(ledger_t *, int64_t us);                    /* the clock was set since: the open gap began no later than this */
void ledger_live(ledger_t *, int64_t now_us);                    /* close it; the very first time: first_start */
void ledger_add(ledger_t *, int64_t start_us, int64_t end_us, enum gap_cause, bool continues); /* a closed one; or the last of this cause goes on. start 0: nobody knows */

/* A request; -1: there is no room. Returns its number. */
int64_t ledger_request(ledger_t *, int64_t start_us, int64_t end_us, struct slice entity_id);
/* Within a gap, history says nothing of this time, nor of what was in force then: lost for good. Told twice, it is told once. */
void ledger_unreached(ledger_t *, int64_t start_us, int64_t end_us);
/* What is known of filling the gap with this number (result to is_compared) is now this. */
void ledger_fill(ledger_t *, const struct gap_entry *);
/* Keep a JSON array: its key, or 0 if it cannot be written. ledger_list() reads it again: free() it; NULL: it is gone. */
uint64_t ledger_keep_list(ledger_t *, struct slice json);
char *ledger_list(const ledger_t *, uint64_t key);

int64_t ledger_next_session(ledger_t *);            /* on the disk before it returns */
int64_t ledger_session(const ledger_t *);           /* given out last */
void ledger_note(ledger_t *, int64_t known_us);     /* once a second while live; earlier than before if the clock was set back */
void ledger_safe(ledger_t *, int64_t us);           /* received before: on the disk. For the next line */
/* When the machine was booted, by the clock as it is now: it tells that the clock was set. Forward, for the first time
 * since a boot, means that it had been behind: a machine without a clock of its own begins where it was switched off. What
 * was closed by that clock ended later. */
void ledger_booted(ledger_t *, int64_t us);
int ledger_fd(const ledger_t *);                    /* of the line: to be synced now and then, so that a gap after a power cut is no longer than it must be */
void ledger_retry(ledger_t *);                      /* once a second: write what could not be written */

size_t ledger_count(const ledger_t *);
const struct gap_entry *ledger_gap(const ledger_t *, size_t index); /* oldest first */
const struct gap_entry *ledger_find(const ledger_t *, int64_t number); /* NULL: it is one with another by now */
bool ledger_is_failing(const ledger_t *);           /* the last write did not succeed */
const char *gap_cause_name(enum gap_cause);

#endif
