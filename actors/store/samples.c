/* samples.c - the states of one series over time, one after the other, oldest first. */
#include "samples.h"

#include "inside.h"

#include <assert.h>
#include <stdlib.h>

struct samples {
    store_t *store;
    sqlite3_stmt *rows;
    int64_t series, from, to;
    bool wants_prior, is_over; /* a statement that has ended would begin anew */
};

static const char range[] = "SELECT at, body FROM event WHERE series = ? AND at >= ? AND at < ? ORDER BY at, place";

/* One of them is kept: most questions have one series open at a time. */
static sqlite3_stmt *take_statement(store_t *store)
{
    sqlite3_stmt *stmt = store->samples_ready;
    store->samples_ready = NULL;
    if (!stmt && sqlite3_prepare_v3(store->db, range, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
        trouble(store, "cannot prepare to read samples");
    return stmt;
}

samples_t *samples_open(store_t *store, int64_t series, int64_t from_us, int64_t to_us, bool with_prior)
{
    sqlite3_stmt *rows = take_statement(store);
    if (!rows)
        return NULL;
    samples_t *self = malloc(sizeof *self);
    assert(self);
    *self = (struct samples){ .store = store, .rows = rows, .series = series, .from = from_us, .to = to_us, .wants_prior = with_prior };
    sqlite3_bind_int64(rows, 1, series);
    sqlite3_bind_int64(rows, 2, from_us);
    sqlite3_bind_int64(rows, 3, to_us);
    return self;
}

static enum store_result read_sample(samples_t *self, int64_t at, struct slice body, struct sample *to)
{
    struct row_state row;
    if (body_state(body, &row) != 0)
        return trouble(self->store, "a stored row is damaged");
    *to = (struct sample){ .at = at, .kind = SAMPLE_REMOVED, .state = row.state, .attributes = row.attributes, .snapshot = row.snapshot };
    if (row.has_state)
        to->kind = number_read(row.state, &to->number) ? SAMPLE_NUMBER : state_is_none(row.state) ? SAMPLE_NONE : SAMPLE_TEXT;
    return STORE_OK;
}

static enum store_result read_prior(samples_t *self, struct sample *to)
{
    sqlite3_stmt *last = statement(self->store, EVENT_LAST);
    if (!last)
        return STORE_TROUBLE;
    sqlite3_bind_int64(last, 1, self->series);
    sqlite3_bind_int64(last, 2, self->from - 1);
    int rc = sqlite3_step(last);
    if (rc == SQLITE_DONE)
        return STORE_MISSING;
    return rc == SQLITE_ROW ? read_sample(self, sqlite3_column_int64(last, 3), column_bytes(last, 5), to)
        : trouble(self->store, "cannot read the sample before");
}

enum store_result samples_next(samples_t *self, struct sample *to)
{
    if (self->wants_prior) {
        self->wants_prior = false;
        enum store_result result = read_prior(self, to);
        if (result != STORE_MISSING)
            return result;
    }
    int rc = self->is_over ? SQLITE_DONE : sqlite3_step(self->rows);
    if (rc == SQLITE_ROW)
        return read_sample(self, sqlite3_column_int64(self->rows, 0), column_bytes(self->rows, 1), to);
    self->is_over = true;
    return rc == SQLITE_DONE ? STORE_MISSING : trouble(self->store, "cannot read samples");
}

void samples_close(samples_t **self_p)
{
    samples_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    sqlite3_reset(self->rows);
    if (self->store->samples_ready)
        sqlite3_finalize(self->rows);
    else
        self->store->samples_ready = self->rows;
    free(self);
}
