/* columns.h - one entity's columns, collected piece by piece and written as JSON. */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "reply.h"

enum { COLUMNS_MAX = 16, COLUMNS_MAX_BYTES = 32 * 1024 * 1024 };

struct columns {
    char entity_id[1025], unit[256], tier[8];
    bool known, is_states, gap_open;
    int64_t open_from, next;                     /* 0: none */
    int64_t count;
    msgpack_sbuffer start, numbers, first_states, last_states, texts, resets, unavailable, gaps;
};

/* What the end of an answer says of all. */
struct shape_of_columns {
    const char *names[COLUMNS_MAX];  /* statistics in order; they point into `stat` */
    size_t count;
    char stat[256], step[9];
    int64_t step_us;
    bool is_raw, is_compact;
};
void columns_shape(struct shape_of_columns *, const struct series_end *, bool compact);

void columns_clear(struct columns *);
void columns_destroy(struct columns *);
int columns_add(struct columns *, const struct series_part *);  /* -1: too much */

void columns_write(const struct columns *, const struct shape_of_columns *, msgpack_sbuffer *to);  /* as an object of columns */
/* As objects of an array, separated by commas. */
void columns_write_rows(const struct columns *, const struct shape_of_columns *, msgpack_sbuffer *to);

#endif
