/* chunk.h - many rows of one series in few bytes: docs/store-format.md says how.
 *
 * Pure. A chunk has two halves: `main` holds times and states, `rest` all else of its rows. Rows
 * are in order of (at, place, rest). What was written comes back to the byte. */
#ifndef STORE_CHUNK_H
#define STORE_CHUNK_H

#include "inside.h"

enum { CHUNK_VERSION = 1, CHUNK_ROWS_MAX = 4096, CHUNK_UNPACKED_MAX = 32 << 20 };

struct chunk_row { int64_t at, shift, place; int32_t rest; struct slice body; };
struct chunk_summary { int64_t first, last; size_t rows, numbers; double min, max; /* of the numbers */ };

/* What packing and unpacking need, kept from one to the next. */
struct chunk_tools { struct ZSTD_CCtx_s *packing; struct ZSTD_DCtx_s *unpacking; };
void chunk_tools_close(struct chunk_tools *);

/* At most CHUNK_ROWS_MAX rows. Both halves are appended to nothing: they are cleared before. */
void chunk_write(struct chunk_tools *, bool is_state, const struct chunk_row *, size_t count, msgpack_sbuffer *main, msgpack_sbuffer *rest, struct chunk_summary *);

/* A half as it is read: -1 if it is none. */
int chunk_unpack(struct chunk_tools *, struct slice half, msgpack_sbuffer *to);

/* word: 0 a number of `decimals`, 1 no state (a removal), else a text. `scaled` has the chunk's decimals. */
struct chunk_state { int64_t at, scaled, snapshot, attributes; uint64_t word; unsigned decimals; };

typedef struct chunk_reader chunk_reader_t;
chunk_reader_t *chunk_reader_new(void);
void chunk_reader_destroy(chunk_reader_t **);

/* Unpacked halves, which must stay; `rest` may be empty where only states are asked for. -1: they are damaged. */
int chunk_open(chunk_reader_t *, bool is_state, struct slice main, struct slice rest);
size_t chunk_rows(const chunk_reader_t *);
bool chunk_has_time(chunk_reader_t *, int64_t at);          /* before any row was asked for */
size_t chunk_rows_before(chunk_reader_t *, int64_t at);     /* likewise */
/* 1: the next; 0: there is no more; -1: damaged. The body lives until the next call. Not both of one chunk. */
int chunk_next(chunk_reader_t *, struct chunk_row *);
int chunk_next_state(chunk_reader_t *, struct chunk_state *);
/* After one of these: passes over what follows under the same snapshot, and says how many of them tell another text than the one before
 * each. *state: the one before, then the last. How many it passed over; 0: there is none, or it is damaged, as the next one asked for says. */
size_t chunk_pass_changes(chunk_reader_t *, struct chunk_state *state, size_t *changes);
void chunk_pass_rows(chunk_reader_t *, size_t count);   /* they are read as far as the ones after them need it */
void chunk_pass_states(chunk_reader_t *, size_t count); /* likewise, where states alone are asked for */
/* The last row that is not later than a time, before any row was asked for. 1: there is one; 0: none; 2: one that only both halves
 * tell; -1: damaged. Its texts live until the next call. */
struct chunk_moment {
    size_t row;
    int64_t at, shift, changed, snapshot, attributes; /* 0: none of the latter two */
    uint32_t flags;          /* as in body.h */
    bool has_state, has_value, has_changed, has_updated /* at `at` */;
    struct slice state, value;
};
int chunk_in_force(chunk_reader_t *, int64_t at, struct chunk_moment *);
struct slice chunk_text(chunk_reader_t *, const struct chunk_state *); /* lives until the next call */
double chunk_number(const chunk_reader_t *, const struct chunk_state *);

#endif
