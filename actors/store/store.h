/* store.h - where events are kept: one writer (sink), many readers (query).
 *
 * Behind it stands SQLite in one file, <data>/store.db (WAL): hot rows clustered by series
 * and time, attribute sets and registry snapshots stored once and referred to. Only
 * actors/store/ knows that. Times are microseconds UTC. A row's identity is its event's own
 * (architecture: entity or type, last_updated or time_fired, context), never a transport
 * number, so appending the same event twice stores it once. Its id (event_id.h) leads back to it. */
#ifndef STORE_H
#define STORE_H

#include "schemas.h"

typedef struct store store_t;

enum store_result {
    STORE_OK = 0,
    STORE_DUPLICATE,  /* it is there already (and may have been made richer) */
    STORE_REDELIVERED,/* this very event, of the same place, has been settled before: after a kill it comes again */
    STORE_BAD,        /* this row can never be stored: quarantine it; *fault says why */
    STORE_TROUBLE,    /* disk full, locked, I/O: nothing since the last commit is stored; see store_why */
    STORE_MISSING,    /* reader: no such row; bad cursor: STORE_BAD */
    STORE_LATE,       /* reader: it would take longer than anybody waits */
    STORE_FILTERED    /* filters_append: the user does not want it */
};

struct store_options {
    const char *path;        /* of store.db; its directory exists */
    bool writer;
    size_t cache_bytes;
    bool sync_always;        /* commit returns only after the disk has it */
    int64_t read_ms;         /* a question that takes longer is STORE_LATE; 0: READ_MS */
};

/* NULL on failure: *why says it, in static or store-owned text that stays readable. A reader
 * opens an absent or empty store as empty and sees it when it comes. */
store_t *store_open(const struct store_options *, const char **why);
void store_close(store_t **);
const char *store_why(const store_t *);

/* --- the writer ----------------------------------------------------------------------------
 * append and quarantine join the open transaction (begun as needed). Commit makes it durable
 * against kill -9; checked: on STORE_TROUBLE it has been rolled back whole and the caller
 * appends all of it again. Several rows of one call may be sorted for locality. */
enum store_result store_append(store_t *, const struct event_full *, struct fault *);
enum store_result store_statistic(store_t *, const struct statistic_row *, struct fault *); /* the last said of a period stays */
enum store_result store_commit(store_t *);

enum store_result store_sync(store_t *);  /* what is committed reaches the disk (power cut) */
int64_t store_bytes(const store_t *);     /* size of all its files */
void store_limit_pages(store_t *, int64_t pages); /* it may not grow beyond this (or what it has); 0: as it likes */

/* --- what has become of every event -----------------------------------------------------------
 * Each that comes is settled once: by store_append, store_quarantine or store_drop. The totals are
 * written with the commit, so they are as true as the rows, whoever is killed when. Of those of the
 * capture log that have no row with their place, the places are kept until the log cannot give them
 * again. What was imported has places of its own, and is recognised by its rows alone. */
enum store_fate { STORE_FATE_STORED, STORE_FATE_DUPLICATE, STORE_FATE_FILTERED, STORE_FATE_THINNED, STORE_FATE_QUARANTINED,
    STORE_FATE_REDELIVERED /* has been counted before */, STORE_FATES };
enum store_source { STORE_INGEST, STORE_IMPORT, STORE_SOURCES };
struct store_totals { int64_t of[STORE_SOURCES][STORE_FATES]; };
void store_totals(const store_t *, struct store_totals *); /* as of the last commit */

/* Settle an event without a row: STORE_OK, STORE_REDELIVERED, STORE_TROUBLE. */
enum store_result store_drop(store_t *, const struct event_full *, enum store_fate);
/* The row that the last store_append() added, where that said STORE_OK. Taken back, a state's row goes with
 * all that leads to it, and its event is settled as thinned: when it comes again it is recognised. */
struct store_row { int64_t series, at; uint64_t batch; int32_t rest; uint32_t waits; };
struct store_row store_appended(const store_t *, bool *is_newest); /* newest: its series has nothing as late */
enum store_result store_take_back(store_t *, const struct store_row *);
/* The capture log begins there: what lies before does not come again. Some of them a call. */
enum store_result store_forget_places(store_t *, int64_t below);
/* Of this event's type (no state, and it speaks of no entity) the older rows go, some of them a call. */
enum store_result store_clear_older(store_t *, const struct event_full *);
/* --- refused bytes (refused.c): their numbers are never given again, also when a row has gone ---
 * quarantine: bytes that are there already (stage and place, else the bytes) stay one row, with
 * the newer reason: STORE_REDELIVERED or STORE_DUPLICATE. next: the first row from `id` on of a stage ("": of any);
 * STORE_MISSING if there is none; its bytes live until the next call. All join the transaction. */
struct store_refused { int64_t id, place, received_at; bool has_place; char stage[33], provenance[13]; struct slice bytes; };
enum store_result store_quarantine(store_t *, const struct event_bad *);
enum store_result store_refused_next(store_t *, int64_t id, const char *stage, struct store_refused *);
enum store_result store_refused_last(store_t *, int64_t *id); /* the highest number; 0: none */
enum store_result store_refused_say(store_t *, int64_t id, const struct fault *); /* another reason */
enum store_result store_refused_drop(store_t *, int64_t id); /* for ever, or its frame was given back: STORE_MISSING */
enum store_result store_refused_settle(store_t *, int64_t id); /* its event was settled otherwise: it counts as refused no more */

/* --- sealing: old rows move into chunks, where they take a tenth of the room ---------------------------
 * One small step, committed, while nothing else is in the transaction: rows older than hot_us. STORE_OK:
 * there may be more to do at once; STORE_MISSING: not for the next hour; STORE_TROUBLE: likewise, store_why says. */
enum store_result store_seal(store_t *, int64_t now_us, int64_t hot_us);

/* Attribute sets that only sealed rows refer to become differences: a step as above. STORE_MISSING: nothing is to be done
 * until more is sealed. */
enum store_result store_pack(store_t *);

/* Read the next chunk to the last bit, also in a transaction of its own. One that is damaged stays, is named
 * and answers nothing, and all else does. STORE_MISSING: that was all; the next call begins anew. */
struct store_looked { int64_t chunk, rows; bool is_bad, is_news; };
enum store_result store_verify(store_t *, struct store_looked *);
/* The same of attribute sets, some of them a call. bad, well_again: what is news of these; `one` of the bad ones. Rows are answered without
 * a packed set that is damaged. bad_sets: at most `limit` of them, and how many there are. */
struct store_looked_sets { int64_t sets, bad, well_again, one; };
enum store_result store_verify_sets(store_t *, struct store_looked_sets *);
typedef void store_bad_set_fn(void *owner, int64_t id);
enum store_result store_bad_sets(store_t *, int limit, store_bad_set_fn *, void *owner, int64_t *count);
/* The same of registry snapshots, readings and users, some of them a call. What is damaged is named every time that it is
 * come by; rows are answered without it. */
enum { LOOKED_BAD = 16 };
struct store_bad_word { const char *kind; int64_t id; };
struct store_looked_words { int64_t words; size_t bad_count; struct store_bad_word bad[LOOKED_BAD]; };
enum store_result store_verify_words(store_t *, struct store_looked_words *);
struct store_sealed { int64_t chunks, rows, bytes, bad; };
enum store_result store_sealed_totals(store_t *, struct store_sealed *);
struct store_bad_chunk { int64_t chunk, first, last, rows; bool is_state; struct slice name; };
typedef void store_bad_chunk_fn(void *owner, const struct store_bad_chunk *);
enum store_result store_bad_chunks(store_t *, int limit, store_bad_chunk_fn *, void *owner);
/* A reader's: how often it has passed over a damaged chunk that store_verify has not named yet, and which was the last; 0, "". */
int64_t store_damage(const store_t *, const char **what);

/* --- readers --------------------------------------------------------------------------------
 * Every read sees one moment. A row function returns 0 to go on, anything else to stop (no
 * room): the read ends and *end gets the cursor that continues with that very row. Rows and
 * their slices die when the function returns. Results are STORE_OK, STORE_BAD (fault names
 * the field of the query), STORE_TROUBLE, and STORE_LATE after READ_MS; a list ends before,
 * with a cursor. Less than the broker's patience with a silent process (3 s). */
enum { READ_MS = 2000 };
/* Several questions that see one moment: what says "inside a read" may be called by `fn`, and its result is returned. */
typedef enum store_result store_look_fn(store_t *, void *owner);
enum store_result store_look(store_t *, store_look_fn *, void *owner);
typedef int store_row_fn(void *owner, const struct event_full *);
enum store_result store_find(store_t *, const struct events_query *, store_row_fn *, void *owner, struct page *end, struct fault *);
enum store_result store_count(store_t *, const struct events_query *, int64_t *count, struct fault *);
enum store_result store_get(store_t *, const char *id, store_row_fn *, void *owner); /* STORE_MISSING */
/* What has a time more than a day after `now_us` was said by a clock that was wrong: of an
 * entity it is the latest only where there is nothing else. */
enum store_result store_latest(store_t *, const struct latest_query *, int64_t now_us, store_row_fn *, void *owner, struct page *end, struct fault *);

/* One series after the other, each oldest first. */
typedef int store_statistic_fn(void *owner, const struct statistic_row *);
enum store_result store_statistics(store_t *, const struct statistics_query *, store_statistic_fn *, void *owner, struct page *end, struct fault *);
typedef int store_series_fn(void *owner, const struct statistic_series *);
enum store_result store_statistic_series(store_t *, const struct series_query *, store_series_fn *, void *owner, struct page *end, struct fault *);

typedef int store_chain_fn(void *owner, const struct chain_row *);
enum store_result store_chain(store_t *, const struct chain_query *, store_chain_fn *, void *owner, struct page *end);

enum store_result store_stats(store_t *, int64_t from_us, int64_t to_us, struct events_stats *, msgpack_sbuffer *pool);
typedef int store_active_fn(void *owner, const struct active_row *);
enum store_result store_entities(store_t *, const struct limit_query *, store_active_fn *, void *owner, struct page *end);
typedef int store_type_fn(void *owner, const struct type_row *);
enum store_result store_types(store_t *, const struct limit_query *, store_type_fn *, void *owner, struct page *end);
typedef int store_bad_fn(void *owner, const struct bad_row *);
enum store_result store_bad_rows(store_t *, const struct bad_query *, store_bad_fn *, void *owner, struct page *end, struct fault *);
typedef int store_bad_whole_fn(void *owner, const struct bad_whole *);
enum store_result store_bad_get(store_t *, int64_t id, store_bad_whole_fn *, void *owner); /* STORE_MISSING */

#endif
