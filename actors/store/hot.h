/* hot.h - the hot rows of one series, by time and, where some share one, by place. */
#ifndef STORE_HOT_H
#define STORE_HOT_H

#include "inside.h"

/* Rows of one time, copied: the statement stands at the one behind them already. Zeroed, with `stmt`, it is ready. */
struct hot_row { int64_t at, place; size_t body, size; };
struct hot {
    sqlite3_stmt *stmt;        /* HOT_ROWS, bound: whoever has prepared it keeps it */
    bool is_begun, is_over;
    struct hot_row *rows;
    size_t count, next, room;
    msgpack_sbuffer bodies;
};
#define HOT_ROWS "SELECT at, place, body FROM event WHERE series = ? AND at >= ? AND at < ? ORDER BY at, rest"

enum store_result hot_next(store_t *, struct hot *, int64_t *at_us, struct slice *body); /* STORE_MISSING: no more; the body lives until the next call */
void hot_close(struct hot *);

#endif
