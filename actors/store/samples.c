/* samples.c - the states of one series over time, out of the file and out of chunks, one after the other. */
#include "samples.h"

#include "hot.h"
#include "sealed.h"

#include <assert.h>
#include <stdlib.h>

struct samples {
    store_t *store;
    struct hot rows;
    int64_t series, from, to;
    bool wants_prior;
    bool needs_hot, needs_sealed; /* what there was of it has been given */
    bool has_hot;              /* a row that was not given yet */
    int64_t hot_at;
    struct slice hot_body;
    int64_t sealed_from;       /* chunks are read from here on */
    struct sealed sealed;      /* the one at hand */
    struct chunk_entry entry;
    bool has_state;            /* ... and its state that was not given yet */
    struct chunk_state state;
};

/* One of them is kept: most questions have one series open at a time. */
static sqlite3_stmt *take_statement(store_t *store)
{
    sqlite3_stmt *stmt = store->samples_ready;
    store->samples_ready = NULL;
    if (!stmt && sqlite3_prepare_v3(store->db, HOT_ROWS, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
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
    *self = (struct samples){ .store = store, .rows = { .stmt = rows }, .series = series, .from = from_us, .to = to_us, .sealed_from = from_us,
        .wants_prior = with_prior, .needs_hot = true, .needs_sealed = true };
    sqlite3_bind_int64(rows, 1, series);
    sqlite3_bind_int64(rows, 2, from_us);
    sqlite3_bind_int64(rows, 3, to_us);
    return self;
}

/* --- one sample -------------------------------------------------------------------------------------- */

static enum store_result hot_sample(samples_t *self, int64_t at, struct slice body, struct sample *to)
{
    struct row_state row;
    if (body_state(body, &row) != 0)
        return trouble(self->store, "a stored row is damaged");
    *to = (struct sample){ .at = at, .kind = SAMPLE_REMOVED, .state = row.state, .attributes = row.attributes, .snapshot = row.snapshot };
    if (row.has_state)
        to->kind = number_read(row.state, &to->number) ? SAMPLE_NUMBER : state_is_none(row.state) ? SAMPLE_NONE : SAMPLE_TEXT;
    return STORE_OK;
}

static enum store_result sealed_sample(samples_t *self, const struct chunk_state *state, struct sample *to)
{
    *to = (struct sample){ .at = state->at, .kind = SAMPLE_REMOVED, .state = chunk_text(self->sealed.reader, state),
        .attributes = state->attributes, .snapshot = state->snapshot };
    if (state->word == 0) {
        to->kind = SAMPLE_NUMBER;
        to->number = chunk_number(self->sealed.reader, state);
    } else if (state->word > 1) {
        to->kind = number_read(to->state, &to->number) ? SAMPLE_NUMBER : state_is_none(to->state) ? SAMPLE_NONE : SAMPLE_TEXT;
    }
    return STORE_OK;
}

/* --- what comes next of each ------------------------------------------------------------------------------ */

static enum store_result next_hot(samples_t *self)
{
    enum store_result result = hot_next(self->store, &self->rows, &self->hot_at, &self->hot_body);
    self->has_hot = result == STORE_OK;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* The next chunk, at its first state from `from` on; a damaged one is passed over. */
static enum store_result next_chunk(samples_t *self)
{
    enum store_result result = STORE_MISSING;
    sealed_close(self->store, &self->sealed);
    while (result == STORE_MISSING) {
        result = sealed_next(self->store, self->series, self->sealed_from, self->to, false, &self->entry);
        if (result != STORE_OK)
            return result;
        self->sealed_from = self->entry.last + 1;
        result = sealed_open(self->store, &self->entry, false, &self->sealed);
    }
    if (result == STORE_OK && self->entry.first < self->from)
        chunk_pass_states(self->sealed.reader, chunk_rows_before(self->sealed.reader, self->from));
    return result;
}

static enum store_result next_sealed(samples_t *self)
{
    self->has_state = false;
    for (;;) {
        if (self->sealed.reader) {
            int rc = chunk_next_state(self->sealed.reader, &self->state);
            if (rc < 0)
                sealed_damaged(self->store, &self->entry, "cannot be read");
            self->has_state = rc > 0 && self->state.at < self->to;
            if (rc > 0)
                return STORE_OK;
        }
        enum store_result result = next_chunk(self);
        if (result != STORE_OK)
            return result == STORE_MISSING ? STORE_OK : result;
    }
}

/* --- the one before ---------------------------------------------------------------------------------------- */

/* The newest state of a chunk that is older than `from`. Its reader goes on from there if the chunk reaches beyond. */
static enum store_result prior_sealed(samples_t *self, struct chunk_state *prior)
{
    enum store_result result = STORE_MISSING;
    prior->at = -1;
    for (int64_t before = self->from - 1; result == STORE_MISSING; before = self->entry.first - 1) {
        result = sealed_at_or_before(self->store, self->series, before, &self->entry);
        if (result != STORE_OK)
            return result == STORE_MISSING ? STORE_OK : result;
        result = sealed_open(self->store, &self->entry, false, &self->sealed);
    }
    if (result != STORE_OK)
        return result;
    int rc;
    size_t count = chunk_rows_before(self->sealed.reader, self->from);
    if (count > 1)
        chunk_pass_states(self->sealed.reader, count - 1);
    if (count > 0 && chunk_next_state(self->sealed.reader, prior) <= 0)
        prior->at = -1;
    rc = chunk_next_state(self->sealed.reader, &self->state);
    if (rc < 0)
        sealed_damaged(self->store, &self->entry, "cannot be read");
    self->has_state = rc > 0 && self->state.at < self->to;
    self->needs_sealed = rc <= 0;
    if (rc > 0)
        self->sealed_from = self->entry.last + 1;
    return STORE_OK;
}

/* The newest of both. STORE_MISSING: there is none. */
static enum store_result read_prior(samples_t *self, struct sample *to)
{
    struct chunk_state sealed;
    sqlite3_stmt *last = statement(self->store, EVENT_LAST);
    if (!last)
        return STORE_TROUBLE;
    enum store_result result = prior_sealed(self, &sealed);
    if (result != STORE_OK)
        return result;
    sqlite3_bind_int64(last, 1, self->series);
    sqlite3_bind_int64(last, 2, self->from - 1);
    int rc = sqlite3_step(last);
    if (rc == SQLITE_ROW && sqlite3_column_int64(last, 3) > sealed.at)
        return hot_sample(self, sqlite3_column_int64(last, 3), column_bytes(last, 5), to);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(self->store, "cannot read the sample before");
    return sealed.at < 0 ? STORE_MISSING : sealed_sample(self, &sealed, to);
}

/* --- in order -------------------------------------------------------------------------------------------------- */

enum store_result samples_next(samples_t *self, struct sample *to)
{
    enum store_result result = STORE_MISSING;
    if (self->wants_prior) {
        self->wants_prior = false;
        result = read_prior(self, to);
        if (result != STORE_MISSING)
            return result;
    }
    if (self->needs_sealed && (result = next_sealed(self)) != STORE_OK)
        return result;
    if (self->needs_hot && (result = next_hot(self)) != STORE_OK)
        return result;
    self->needs_sealed = self->has_state && (!self->has_hot || self->state.at < self->hot_at);
    self->needs_hot = self->has_hot && !self->needs_sealed;
    if (self->needs_sealed)
        return sealed_sample(self, &self->state, to);
    return self->needs_hot ? hot_sample(self, self->hot_at, self->hot_body, to) : STORE_MISSING;
}

/* The rest of a chunk lies together where nothing hot lies in it, and the span does not end in it. */
bool samples_pass(samples_t *self, struct samples_passed *to)
{
    size_t changes;
    bool is_sealed = self->sealed.reader && self->has_state && self->needs_sealed && !self->wants_prior;
    if (!is_sealed || self->entry.last >= self->to || (self->has_hot && self->hot_at <= self->entry.last))
        return false;
    size_t count = chunk_pass_changes(self->sealed.reader, &self->state, &changes);
    if (count == 0)
        return false;
    *to = (struct samples_passed){ .count = (int64_t)count, .changes = (int64_t)changes };
    return sealed_sample(self, &self->state, &to->last) == STORE_OK;
}

void samples_close(samples_t **self_p)
{
    samples_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    sealed_close(self->store, &self->sealed);
    hot_close(&self->rows);
    sqlite3_reset(self->rows.stmt);
    if (self->store->samples_ready)
        sqlite3_finalize(self->rows.stmt);
    else
        self->store->samples_ready = self->rows.stmt;
    free(self);
}
