/* hot.c - the hot rows of one series, by time and, where some share one, by place.
 *
 * They lie by time and hash. SQLite would sort each row by itself, to put those in order that share a time: five times
 * the work of reading it, and as good as none does. */
#include "hot.h"

#include "pack.h"

#include <stdlib.h>

static int step(store_t *store, struct hot *hot)
{
    int rc = sqlite3_step(hot->stmt);
    hot->is_begun = true;
    hot->is_over = rc != SQLITE_ROW; /* one that has ended would begin anew */
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return 0;
    trouble(store, "cannot read hot rows");
    return -1;
}

static void copy_row(struct hot *hot)
{
    struct slice body = column_bytes(hot->stmt, 2);
    if (hot->count == hot->room) {
        hot->room = hot->room ? hot->room * 2 : 4;
        hot->rows = realloc(hot->rows, hot->room * sizeof *hot->rows);
        assert(hot->rows);
    }
    hot->rows[hot->count++] = (struct hot_row){ sqlite3_column_int64(hot->stmt, 0), sqlite3_column_int64(hot->stmt, 1), hot->bodies.size, body.size };
    pack_bytes(&hot->bodies, body.data, body.size);
}

static int by_place(const void *a, const void *b)
{
    const struct hot_row *left = a, *right = b;
    return left->place < right->place ? -1 : left->place > right->place;
}

static enum store_result take_group(store_t *store, struct hot *hot)
{
    hot->count = hot->next = 0;
    buffer_clear(&hot->bodies);
    if (!hot->is_begun && step(store, hot) != 0)
        return STORE_TROUBLE;
    if (hot->is_over)
        return STORE_MISSING;
    do {
        copy_row(hot);
        if (step(store, hot) != 0)
            return STORE_TROUBLE;
    } while (!hot->is_over && sqlite3_column_int64(hot->stmt, 0) == hot->rows[0].at);
    if (hot->count > 1)
        qsort(hot->rows, hot->count, sizeof *hot->rows, by_place);
    return STORE_OK;
}

enum store_result hot_next(store_t *store, struct hot *hot, int64_t *at_us, struct slice *body)
{
    enum store_result result = hot->next < hot->count ? STORE_OK : take_group(store, hot);
    if (result != STORE_OK)
        return result;
    const struct hot_row *row = &hot->rows[hot->next++];
    *at_us = row->at;
    *body = (struct slice){ hot->bodies.data + row->body, row->size };
    return STORE_OK;
}

void hot_close(struct hot *hot)
{
    free(hot->rows);
    msgpack_sbuffer_destroy(&hot->bodies);
}
