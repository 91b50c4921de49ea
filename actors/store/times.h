/* times.h - the order of lists: the keys of all rows by time.
 *
 * Nearly all come in that order. Those lie in runs: some hundred keys packed in a row of `run`, from the time of the
 * first to that of the last; no two runs share a time. A key that comes late, with a time that a run covers already, is
 * a row of `time`. A key that leads to no row of `event` is one of a sealed row, until sealing sweeps it. */
#ifndef STORE_TIMES_H
#define STORE_TIMES_H

#include "inside.h"

enum { RUN_BYTES = 1310, RUN_KEYS = RUN_BYTES / 7 + 1 }; /* three in a page; a key takes seven bytes and more */

struct run { int64_t first, last; size_t count; bool is_mended; struct row_key keys[RUN_KEYS]; };

int run_read(struct slice bytes, int64_t first, struct run *); /* -1: it is none */
/* One that is damaged: its keys are those of all hot rows from `first` to `last` that are not in `time`. Inside a read, or of the writer while no rows wait. */
enum store_result run_mend(store_t *, struct run *);

/* Writing: keys in their order, any number of them, into the transaction. */
struct run_writer { int64_t first, until; size_t count; struct row_key end; bool is_open, is_changed, is_full; msgpack_sbuffer bytes; };
void run_writer_open(struct run_writer *);
/* `taken`: else it is late, and belongs into `time`. */
enum store_result run_writer_put(store_t *, struct run_writer *, const struct row_key *, bool *taken);
enum store_result run_writer_close(store_t *, struct run_writer *, enum store_result); /* writes where the result is STORE_OK, and gives what came of it */

enum store_result times_drop(store_t *, const struct row_key *);    /* from `time` or from its run; none is no trouble */
enum store_result times_restore(store_t *, const struct row_key *); /* unless it is there still */

/* The first run that begins after one time and before another, STORE_MISSING: none; what remains of it. */
enum store_result run_after(store_t *, int64_t after, int64_t before, struct run *);
enum store_result run_keep(store_t *, int64_t first, const struct row_key *keys, size_t count);

/* Reading, from <= time < to. A file of before has no runs until its next writer comes. */
enum store_result times_refresh(store_t *);
struct run_reader { sqlite3_stmt *stmt; int64_t from, to; bool descending; size_t at; struct run run; };
enum store_result run_reader_open(store_t *, int64_t from, int64_t to, bool descending, struct run_reader **); /* NULL: there are none */
enum store_result run_reader_next(store_t *, struct run_reader *, struct row_key *); /* STORE_MISSING: there is no more */
void run_reader_close(struct run_reader **);
enum store_result times_count(store_t *, int64_t from, int64_t to, int64_t *count);
enum store_result times_oldest(store_t *, int64_t from, int64_t to, int64_t *oldest); /* STORE_MISSING */
enum store_result times_newest(store_t *, int64_t from, int64_t to, int64_t *newest); /* STORE_MISSING */

#endif
