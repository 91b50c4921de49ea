/* inside.h - what the files of the store share; nobody outside includes it. */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "store.h"

#include "crc32c.h"
#include "event_id.h"

#include <sqlite3.h>
#include <string.h>

enum { APPLICATION = 0x48414931, FORMAT = 3, OLDEST_FORMAT = 1 }; /* "HAI1" in the file's head, and the version of what follows */
enum { PAGE_BYTES = 4096 };                   /* measured, see docs/store.md */
enum { WHY_TEXT = 320, BUSY_MS = 2000 };

/* --- statements: prepared at the first use, kept ------------------------------------------- */

enum statement {
    BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK,
    SERIES_FIND, SERIES_ADD, SERIES_NEWEST, SERIES_AFTER, SEEN_ADD,
    ATTRIBUTE_FIND, ATTRIBUTE_ADD, ATTRIBUTE_GET,
    PACKED_GET, PACKED_FIND, PACKED_ADD, PACKED_DROP, PLAIN_GET, PLAIN_ADD, PLAIN_DROP, BASE_OF, BASE_IS, BASE_ADD,
    SETS_WALK, SET_BAD_ADD, SET_BAD_DROP, SET_BAD_LIST, PACKING_SPAN, PACKING_PUT, PACKING_WALK, EVENT_BODIES,
    SNAPSHOT_FIND, SNAPSHOT_ADD, SNAPSHOT_GET, SNAPSHOT_WALK,
    READING_FIND, READING_ADD, READING_GET, READING_WALK,
    USER_FIND, USER_ADD, USER_GET, USER_WALK,
    EVENT_ADD, EVENTS_ADD, EVENT_REPLACE, EVENT_TWINS, EVENT_GET, EVENT_LAST, EVENT_BACK, LINK_ADD, LINK_DROP,
    SETTLED_PUT, PASSED_ADD, PASSED_FIND, PASSED_DROP, EVENTS_BEFORE, EVENT_DROP,
    STATISTIC_LOOK, STATISTIC_SERIES_FIND, STATISTIC_SERIES_ADD, STATISTIC_SERIES_LIST, STATISTIC_META_FIND, STATISTIC_META_ADD,
    STATISTIC_PUT, STATISTIC_LIST, STATISTIC_ENDS,
    BAD_ADD, BAD_SAY, BAD_SAY_ID, BAD_LIKE, BAD_LIST, BAD_COUNT, BAD_COUNT_SINCE, BAD_GET, BAD_NEXT, BAD_LAST, BAD_DROP, BAD_TOP, SOURCE_ADD, SOURCE_DROP,
    FILTER_GET, FILTER_SET, FILTER_COUNT_LIST, FILTER_COUNT_PUT, FILTER_COUNT_CLEAR,
    SEALED_UNTIL_GET, SEALED_UNTIL_PUT, CHUNK_BEFORE, CHUNK_AFTER, CHUNK_SUM, CHUNK_MAIN, CHUNK_REST, CHUNK_IN_FORCE, CHUNK_ALONE_LOOK, CHUNK_NOT_ALONE, CHUNK_ADD, CHUNK_DATA_ADD, CHUNK_DROP, CHUNK_DATA_DROP,
    CHUNK_SAY_BAD, CHUNK_WALK, CHUNK_TOTALS, CHUNK_BAD_LIST, SERIES_IS_STATE, SERIES_NEXT, EVENT_OLD, EVENT_MORE, EVENT_DROP_RANGE, EVENT_HOT_COUNT, EVENT_KEYS, TIME_OLD, TIME_RESTORE, SHIFTED_COUNT,
    TIME_DROP, TIMES_ADD, TIME_COUNT, SERIES_COUNT, TIME_OLDEST, TIME_NEWEST, RUN_LOOK, RUN_ROWS, RUN_SHIFTED, TIME_HAS, RUN_PUT, RUN_DROP, RUN_BEFORE, RUN_AFTER, SNAPSHOT_ALL, SEEN_SERIES,
    GAP_LOOK, GAP_LIST, GAP_PUT, GAP_DROP, GAP_ALL, ZONE_GET, ZONE_PUT,
    ROLLED_LOOK, ROLLED_LIST, ROLLED_BEFORE, ROLLED_MARK, ROLLED_DOUBT, ROLLED_ADD, ROLLED_PUT, ROLLED_CLEAN, ROLLED_SURE, ROLLED_LAST, ROLLED_DIRTY, ROLLED_CLASS,
    ROLLED_SPAN, ROLLED_ZONE, ROLLED_TOP, ROLLED_DROP, ROLLED_PRIOR, ROLLUP_GET, ROLLUP_PUT, ROLLUP_DROP, STATES_NEXT,
    BUCKET_META_GET, BUCKET_META_PUT, BUCKET_META_DROP, BUCKET_PUT, BUCKET_DROP, BUCKET_DROP_DAYS, BUCKET_DROP_SOME, BUCKET_NEXT,
    LINEAGE_LOOK, LINEAGE_BELOW, LINEAGE_ABOVE, LINEAGE_INTO, LINEAGE_OUT, LINEAGE_GET, LINEAGE_LIST, LINEAGE_ADD, LINEAGE_LIKE, LINEAGE_LIVE, LINEAGE_VAGUE_DROP,
    LINEAGE_MOVE, LINEAGE_UNDO,
    HOLDER_GET, HOLDER_OF, HOLDER_TWIN, HOLDER_PUT, HOLDER_RENAME, HOLDER_SINCE, HOLDER_LATER, HOLDER_CREATED, SEEN_SNAPSHOTS, SEEN_IDS,
    STATEMENTS
};

sqlite3_stmt *statement(store_t *, enum statement); /* reset and unbound; NULL: trouble, why is set */
enum store_result trouble(store_t *, const char *doing); /* keeps sqlite's words as the why */

/* Text and JSON are kept as blobs: NUL and lone surrogates pass unchanged. */
void bind_bytes(sqlite3_stmt *, int at, struct slice);
struct slice column_bytes(sqlite3_stmt *, int at);

/* --- words: bytes that repeat, kept once and known by a number ------------------------------ */

enum word_kind { ATTRIBUTE, SNAPSHOT, READING, USER, WORD_KINDS, SERIES_NAME = WORD_KINDS };

/* A bounded memory of some of them: sets of four, the one unused for longest goes. */
struct word { uint64_t hash; int64_t id; void *bytes; uint32_t size, used; };
struct words { struct word *slots; size_t sets, hand, bytes, bytes_max; uint32_t clock; };

void words_open(struct words *, size_t sets, size_t bytes_max);
void words_forget(struct words *);  /* all of them */
void words_close(struct words *);

/* Where a series' last one is remembered: compared with that first, the same again costs no hash. */
struct word_place { uint32_t slot /* counted from 1 */; int64_t id; };
const struct word *word_at(const struct words *, const struct word_place *); /* NULL: it is remembered there no more */
enum store_result word_put(store_t *, enum word_kind, struct slice, struct word_place *); /* its id */
/* Points into the memory or the statement: dies with the next one of its kind. */
enum store_result word_get(store_t *, enum word_kind, int64_t id, struct slice *); /* STORE_BAD: it is damaged (noted); a snapshot is empty then, and no trouble */
enum store_result word_get_plain(store_t *, enum word_kind, int64_t id, struct slice *); /* STORE_MISSING: it is not there as it is; STORE_BAD */
/* It is not what its hash says. Noted once, so that whoever asks is told once and has an answer without it after that. */
enum store_result word_damaged(store_t *, enum word_kind, int64_t id); /* STORE_BAD */
enum { BAD_WORDS = 64 };
struct bad_words { int64_t ids[BAD_WORDS]; int kinds[BAD_WORDS]; size_t count; };
void word_forget(struct words *, uint64_t hash, int64_t id); /* it is looked up the next time */

/* --- series ----------------------------------------------------------------------------------
 * The writer's memory of a series; the reader's list of all. */

struct series {
    uint64_t hash, batch;            /* `stored` and `waits` are of the rows that waited under this number */
    int64_t id, newest, stored; /* newest time of all, and of those in the file */
    struct word_place snapshot, attributes; /* of its last row */
    bool is_state, used;
    uint32_t name_size, waits;       /* the last of its rows that wait, counted from 1 */
    uint32_t late;                   /* its last span that is late (late.h), counted from 1; of the transaction `late_in` */
    uint64_t late_in;
    char *name;
};
struct series_memory { struct series *slots; size_t count; };

void series_forget(struct series_memory *);
enum store_result series_put(store_t *, uint64_t hash, bool is_state, struct slice name, struct series **);
enum store_result series_find(store_t *, uint64_t hash, bool is_state, struct slice name, int64_t *id); /* STORE_MISSING */

/* All series by number: list[id - first]; names are kept until the store is closed. */
struct series_list { struct series *items; size_t count, room; };
enum store_result series_refresh(store_t *);
const struct series *series_by_id(const store_t *, int64_t id);          /* or NULL */
const struct series *series_by_name(const store_t *, bool is_state, struct slice name); /* or NULL */

/* --- contexts ---------------------------------------------------------------------------------- */

enum context_form { NO_CONTEXT, NEAR_ULID, FAR_ULID, HEX_CONTEXT, TEXT_CONTEXT };
struct context {
    enum context_form form;  /* never NEAR_ULID: that is a way to write one */
    uint8_t bytes[16];
    int64_t key;             /* its first eight bytes, or a hash: what the index holds */
    int64_t at_ms;           /* of a ULID: when it was made */
};
struct context context_read(struct slice text);
bool context_is_near(const struct context *, int64_t at_us); /* made within the second before: found by time, not in the index */
enum { NEAR_MS = 1000, CONTEXT_TEXT = 32 };
size_t context_text(const struct context *, char to[CONTEXT_TEXT]); /* of FAR_ULID and HEX_CONTEXT */

/* --- rows ---------------------------------------------------------------------------------------
 * Everything of an event that is not in the key or in a column, packed. */

struct row_refs { int64_t snapshot, attributes, readings, user; }; /* 0: none */

/* What a state's row says of its state alone. */
struct row_state { bool has_state; struct slice state; int64_t snapshot, attributes; };
int  body_state(struct slice body, struct row_state *); /* -1: it is damaged */
bool state_is_none(struct slice state); /* unavailable, unknown or empty */

/* A row being read: its texts that are not slices of the file. */
struct row_room { char context[CONTEXT_TEXT], parent[CONTEXT_TEXT]; };

enum { IMPORTED = 3 };
int  provenance_code(const struct event_full *); /* live, backfill, snapshot, import; -1: none of these */
struct row_contexts { struct context own, parent; };
void body_write(const struct event_full *, int64_t at, const struct row_refs *, const struct row_contexts *, msgpack_sbuffer *out);
/* Fills in what the body holds; -1: it is damaged. `e` has timestamp and is clear otherwise. */
int  body_read(struct slice body, int64_t at, struct event_full *, struct row_refs *, struct row_room *);

void snapshot_write(const struct event_full *, msgpack_sbuffer *out);
bool snapshot_is(const struct event_full *, struct slice written); /* what snapshot_write would write */
int  snapshot_read(struct slice, struct event_full *);

/* Readings, time of day and place: their number (0: nothing is known), and what it stands for; the sun is worked out. */
struct surroundings;
enum store_result surroundings_put(store_t *, const struct event_full *, int64_t *id);
enum store_result surroundings_get(store_t *, int64_t id, struct event_full *); /* slices live until the next one is read */
void surroundings_forget(store_t *);
void surroundings_close(store_t *);

/* How a few rows can be found besides by series and by time: events that speak of an entity,
 * contexts not made in the second before, parents, rows whose time is not that of their key. */
enum link_kind { LINK_OTHER = 1, LINK_CONTEXT, LINK_PARENT, LINK_SHIFTED };

/* Where a row is: the order of lists, and its key. */
struct row_key { int64_t time, place, series, at; int32_t rest; };
/* The row that stands in `body` below this key, with all its texts. */
enum store_result row_read(store_t *, const struct row_key *, struct slice body, struct event_full *);

/* Only what filters look at: without the text of attributes, user and readings, and without its id. */
enum store_result row_names(store_t *, const struct row_key *, struct slice body, struct event_full *, struct row_refs *);

/* --- rows that wait ----------------------------------------------------------------------------
 * Written together at the commit. No two of them share series and time, and none shares them
 * with a row in the file: those are written one by one, after a look. */

struct waiting_row { struct row_key key; size_t body; uint32_t size, previous; /* of its series, counted from 1 */ };
struct waiting {
    struct waiting_row *rows;
    uint32_t *order;             /* in which they are written: `live` of them */
    const struct series **series; /* those that have rows here, each once */
    size_t count, room, live, series_count;
    uint64_t number;
    msgpack_sbuffer bodies;
};

int  waiting_offer(store_t *);       /* lets statements read them; -1: why is set */
void waiting_meet(const struct waiting *, struct series *); /* brings what the series knows of them up to date */
bool waiting_may_have(const struct waiting *, const struct series *, int64_t at); /* false: certainly not */
enum store_result waiting_add(store_t *, struct series *, const struct row_key *, struct slice body);
/* The row a store_row names, if it waits still; dropping leaves its place empty. */
struct waiting_row *waiting_find(struct waiting *, const struct store_row *);
struct slice waiting_body(const struct waiting *, const struct waiting_row *);
void waiting_drop(struct waiting_row *);
enum store_result waiting_write(store_t *);  /* all, into the open transaction */
void waiting_forget(struct waiting *);
void waiting_close(struct waiting *);

/* --- asking -------------------------------------------------------------------------------------- */

enum { MAX_SOURCES = 64, MERGE_SERIES = 16 };
struct run_reader;
struct source { sqlite3_stmt *stmt; struct gather *gather; struct run_reader *runs; struct row_key key; bool has_body, is_link; };
struct merge {
    struct source sources[MAX_SOURCES];
    size_t count, current;
    bool descending;
    int64_t from, to;       /* time: from <= t < to */
    bool has_start;         /* begin at this very row */
    struct row_key start;
    bool any_series;        /* else only those whose bit is set in `wanted` are worth a look */
    uint8_t *wanted;
    size_t wanted_count, part;
    struct slice body;      /* of a row whose source has keys alone */
};

enum store_result merge_plan(store_t *, struct merge *, const struct events_query *);
/* Where order does not matter: series after series, as they lie in the file, then what lies elsewhere.
 * merge_begin_parts: STORE_MISSING if the question is none for that; merge_part: if there is no more. */
enum store_result merge_begin_parts(store_t *, struct merge *, const struct events_query *);
enum store_result merge_part(store_t *, struct merge *, const struct events_query *);
/* STORE_OK with the next row's key, STORE_MISSING at the end. */
enum store_result merge_next(store_t *, struct merge *);
const struct row_key *merge_key(const struct merge *);
enum store_result merge_body(store_t *, struct merge *, struct slice *body); /* of the row whose key that is */
void merge_close(struct merge *);
enum store_result merge_context(store_t *, struct merge *, struct slice context); /* sources of one context */
enum store_result merge_parent(store_t *, struct merge *, struct slice parent);   /* ... of what it caused */

/* --- sealed rows: see sealed.h; these are what the store keeps of them ------------------------------ */

enum { CHUNK_SLOTS = 64 };
struct chunk_half;
struct chunk_reader;
struct chunk_tools;
struct chunk_cache { struct chunk_half *slots[CHUNK_SLOTS]; size_t bytes, bytes_max; uint32_t clock; };
void chunk_cache_close(struct chunk_cache *);
struct damage { int64_t count; char what[96]; }; /* chunks that were passed over because they are damaged; the last of them */

/* A query that was looked at once: names checked, cursor compared. */
struct filter { const struct events_query *query; unsigned fields; uint32_t mark; };
int  filter_open(struct filter *, const struct events_query *, struct fault *);
bool filter_takes(const struct filter *, const struct event_full *); /* all but the time and the cursor */
bool filter_takes_registry(const struct events_query *, const struct event_full *); /* device, area, category alone */
bool filter_takes_all(const struct events_query *);  /* nothing but time is asked for */
bool filter_is_of_series(const struct events_query *); /* nothing but time, type, domain, entity */
bool list_next(struct slice *rest, struct slice *item);  /* "a, b,c" */
bool list_has(const char *list, size_t size, struct slice item);
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
struct slice name_domain(struct slice entity_id);

/* A cursor is a key and the mark of the query that it belongs to: everything asked for but how much of it. */
uint32_t events_mark(const struct events_query *), latest_mark(const struct latest_query *);
uint32_t statistics_mark(const struct statistics_query *), series_mark(const struct series_query *), lineage_mark(const struct lineage_list_query *);
uint32_t points_mark(const struct points_query *);
uint32_t statistics_mark(const struct statistics_query *), series_mark(const struct series_query *);
void cursor_write(const struct row_key *, uint32_t mark, struct page *);
int  cursor_read(struct slice text, struct row_key *, uint32_t *mark);
int  cursor_check(struct slice text, uint32_t mark, struct row_key *, struct fault *); /* -1: none of this query */
int  key_order(const struct row_key *, const struct row_key *);
int64_t clock_us(void);

/* Rows of a series that lie under their own time, in the file and in chunks. */
enum store_result rows_count(store_t *, int64_t series, int64_t from, int64_t to, int64_t *count);
enum store_result rows_shifted(store_t *, int64_t from, int64_t to, int64_t *count); /* of all series: the few others */

enum store_result read_begin(store_t *, bool *empty); /* one moment until read_end; a store that is not there yet is empty */
void read_end(store_t *);
bool is_reading(const store_t *); /* in a read; the writer sees what is in the file at any time */

/* Buckets as rows for SQL (plain.h): PLAIN_GOES: rows of before are being deleted; PLAIN_FILLS: all chunks up to this one have rows. */
enum plain_state { PLAIN_OFF, PLAIN_GOES, PLAIN_FILLS, PLAIN_ON };
struct plain { enum plain_state state; int64_t series, chunk; int tier; };

struct store {
    sqlite3 *db;
    char *path;
    bool writer, sync_always, in_transaction;
    size_t cache_bytes;
    int lock;
    char why[WHY_TEXT];
    sqlite3_stmt *ready[STATEMENTS], *samples_ready; /* the latter: kept for the next samples_open */
    bool has_lineage, has_runs, has_alone; /* their tables are there, or that column of `chunk` */
    struct words words[WORD_KINDS];
    struct waiting waiting;
    struct series_memory memory;
    struct store_totals settled, settling; /* as committed; with what has joined since */
    int64_t settled_place, settling_place; /* the greatest of the capture log, likewise: what lies beyond has never come */
    struct series_list series;
    struct surroundings *surroundings; /* or NULL */
    msgpack_sbuffer body, scratch, refused; /* refused: the bytes handed out last */
    struct row_room room;
    struct store_row appended;
    bool appended_newest;
    struct crc32c sum;
    struct chunk_cache chunks;
    struct chunk_reader *spare_reader;
    struct chunk_tools *tools;
    struct damage damage;
    struct bad_words bad_words; /* those that were noted */
    struct sealing *sealing;     /* of the writer, from the first step on */
    struct verifying *verifying; /* likewise */
    struct packing *packing;     /* likewise */
    int64_t verified_set;        /* the last one that was looked at; 0: none */
    int verified_table;          /* likewise of words that are no sets: which of their tables ... */
    int64_t verified_word;       /* ... and the last one in it */
    msgpack_sbuffer sealed_body, unpacked_set;
    int64_t sealed_until; /* no chunk has a row at this time or later */
    int64_t read_ms;
    int64_t late_us;     /* of a reader: when the question at hand has taken too long */
    struct facts *facts; /* or NULL */
    struct late *late;   /* of the writer */
    struct rolling *rolling; /* of the writer, or NULL */
    struct plain plain;      /* of the writer */
    int64_t log_pages, carried_pages; /* in the write-ahead log; of these, also in the file */
};

/* What has become of events, and the places of those that have no row. */
int  settled_open(store_t *);              /* -1: why is set */
void settle(store_t *, enum store_source, enum store_fate);
void unsettle(store_t *, enum store_source, enum store_fate); /* it is settled in another way */
enum store_source source_of(bool has, const char *provenance);
void note_place(store_t *, int64_t place);              /* it has come, from the capture log */
bool may_come_again(const store_t *, int64_t place);    /* false: certainly not */
enum store_result row_has_place(store_t *, const struct event_full *); /* STORE_REDELIVERED: a row of this event has its place */
enum store_result settled_write(store_t *);
void settled_commit(store_t *);
void settled_abandon(store_t *);
enum store_result passed_add(store_t *, int64_t place);  /* STORE_REDELIVERED: it was there */
enum store_result passed_look(store_t *, int64_t place); /* STORE_REDELIVERED: it is there */
enum store_result row_drop(store_t *, const struct row_key *); /* of an event that is no state and speaks of no entity; its place has passed */

const char *log_file_offer(void);           /* the name of the VFS that the writer opens its file with */
int  store_prepare_file(store_t *);        /* make or check the tables; -1: why is set */
int  views_make(store_t *);                /* for the user's own SQL; those of before are replaced; -1: why is set */
int  views_make_buckets(store_t *, bool is_on); /* those of the buckets that plain.c writes; off: they go */
void statements_close(store_t *);
enum store_result store_begin(store_t *);
enum store_result store_abandon(store_t *, const char *doing); /* roll back whole, forget what it taught */

/* Empty it; the memory of one huge event is given back. */
static inline void buffer_clear(msgpack_sbuffer *buffer)
{
    enum { KEPT_BYTES = 4 * 1024 * 1024 };
    msgpack_sbuffer_clear(buffer);
    if (buffer->alloc <= KEPT_BYTES)
        return;
    msgpack_sbuffer_destroy(buffer);
    msgpack_sbuffer_init(buffer);
}

#endif
