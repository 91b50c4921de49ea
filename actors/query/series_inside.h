/* series_inside.h - a reader of series while it answers, and the columns that it makes of one entity; for series.c and its like.
 *
 * series.c: entity after entity, and the page; series_columns.c: an entity's steps or samples become columns; series_piece.c: the
 * columns' bytes. */
#ifndef SERIES_INSIDE_H
#define SERIES_INSIDE_H

#include "series.h"

#include <assert.h>

enum { SPANS_MAX = 256 };

/* --- series_piece.c --- */
enum { BUFFERS = 9 };
/* One entity's columns while they are made. `lacking`: runs of steps in which a value was missing for a while. */
struct piece {
    msgpack_sbuffer start, numbers, first_states, last_states, texts, resets, unavailable, gaps, lacking;
    int64_t count;
    bool is_full, is_cut;          /* the page is; ROWS_MAX is */
    bool lacks;                    /* of samples: somewhere there is no value */
    int64_t next;                  /* where it goes on then */
    enum tier tier;
    int64_t open_from;             /* 0: none */
};

void piece_clear(struct piece *);
void piece_close(struct piece *);
size_t piece_bytes(struct piece *);
void piece_int(msgpack_sbuffer *, int64_t);
void piece_reals(msgpack_sbuffer *, const double *, size_t count);
void piece_comma(msgpack_sbuffer *);                           /* before all but the first */
void piece_text(msgpack_sbuffer *, bool has, struct slice);    /* as JSON, after a comma */
int  piece_stretch(void *buffer, int64_t from_us, int64_t to_us); /* stretches that touch are one */

struct series_reader {
    store_t *store;
    size_t page_bytes;
    struct plan plan;
    struct series_facts facts;     /* of the entity at hand */
    struct lineage_span spans[SPANS_MAX];
    size_t spans_count;
    struct piece piece;
    rows_t *rows;
    size_t room;                   /* the rows' at the beginning */
    int64_t deadline_us, looked, given;
    enum tier tier;
    struct fault fault;
    bool first_page;
};

/* --- series.c --- */
bool series_is_full(series_reader_t *); /* the page is, or it has taken long enough; never before something is in the piece */

/* --- series_columns.c: of the entity at hand, into the piece --- */
enum store_result series_steps(series_reader_t *, int64_t from);
enum store_result series_samples(series_reader_t *, int64_t from, bool goes_on);

#endif
