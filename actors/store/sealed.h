/* sealed.h - rows that lie in chunks: which chunk, and what is in it.
 *
 * Chunks of a series never overlap, and no row of `event` shares series and `at` with a sealed
 * one. All of it inside a read or the writer's transaction. A chunk that is damaged is passed over:
 * nothing is answered from it, and store_damage says which. */
#ifndef STORE_SEALED_H
#define STORE_SEALED_H

#include "chunk.h"

/* What the index says of a chunk; its bytes and checksums are those of its halves. */
struct chunk_entry {
    int64_t id, series, first, last, rows, numbers;
    double min, max;            /* of the numbers */
    int64_t bytes[2];
    uint32_t sums[2];
    bool is_bad, is_alone;      /* alone: no row of `event` lies between its first and its last: of a moment alone (moment.c) */
};
enum { MAIN_HALF, REST_HALF };

enum store_result sealed_refresh(store_t *); /* how far the file is sealed now: store->sealed_until, 0 if there is no chunk; store->has_alone */
/* A row of `event` is written at that time, in this transaction: the chunk in whose span it lies is alone no more. */
enum store_result sealed_not_alone(store_t *, int64_t series, int64_t at);

/* STORE_MISSING: there is none. at_or_before: the last that begins then or before. */
enum store_result sealed_at_or_before(store_t *, int64_t series, int64_t at, struct chunk_entry *);
enum store_result sealed_after(store_t *, int64_t series, int64_t at, struct chunk_entry *); /* the first that begins later */
/* In order, or backwards: the next chunk with rows in [from, to). */
enum store_result sealed_next(store_t *, int64_t series, int64_t from, int64_t to, bool descending, struct chunk_entry *);

/* Of a statement that is bound; series -1: it stands in the row. */
enum store_result entry_read(store_t *, sqlite3_stmt *, int64_t series, struct chunk_entry *);
enum store_result sealed_is_of_states(store_t *, int64_t series, bool *is_state);

/* --- opened ------------------------------------------------------------------------------------- */

struct sealed { chunk_reader_t *reader; struct chunk_half *halves[2]; };

/* STORE_MISSING: it is damaged. */
enum store_result sealed_open(store_t *, const struct chunk_entry *, bool with_rest, struct sealed *);
void sealed_close(store_t *, struct sealed *);
enum store_result sealed_damaged(store_t *, const struct chunk_entry *, const char *what); /* STORE_MISSING */

/* --- rows ----------------------------------------------------------------------------------------- */

/* One row by its key; STORE_MISSING. Its body lives until the next call. */
enum store_result sealed_get(store_t *, int64_t series, int64_t at, int32_t rest, struct chunk_row *);
/* Every row of a series and time; *any: there was one. fn returns 0 to go on. */
typedef int sealed_row_fn(void *owner, const struct chunk_row *);
enum store_result sealed_twins(store_t *, int64_t series, int64_t at, sealed_row_fn *, void *owner, bool *any);
enum store_result sealed_count(store_t *, int64_t series, int64_t from, int64_t to, int64_t *count);
/* The newest row that is not later than `at`. STORE_MISSING */
enum store_result sealed_last(store_t *, int64_t series, int64_t at, struct chunk_row *);
enum store_result sealed_newest(store_t *, int64_t series, int64_t *at); /* -1: none; also of a damaged chunk */

/* --- unpacked halves, of which some are kept; what is in use stays -------------------------------------- */

struct chunk_half { int64_t id; int which; uint32_t users, used; msgpack_sbuffer bytes; };

#endif
