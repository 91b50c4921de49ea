/* chunk_read.c - the rows of a chunk, one after the other. */
#include "chunk_inside.h"

#include <stdlib.h>
#include <zstd.h>

chunk_reader_t *chunk_reader_new(void)
{
    chunk_reader_t *self = calloc(1, sizeof *self);
    assert(self);
    msgpack_sbuffer_init(&self->body);
    return self;
}

void chunk_reader_destroy(chunk_reader_t **self_p)
{
    chunk_reader_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    runs_close(&self->words);
    runs_close(&self->snapshots);
    runs_close(&self->attributes);
    runs_close(&self->flags);
    runs_close(&self->readings);
    runs_close(&self->users);
    texts_release(&self->texts);
    texts_release(&self->value_texts);
    msgpack_sbuffer_destroy(&self->body);
    free(self->word_texts);
    free(self->values);
    free(self);
}

/* --- the frame ---------------------------------------------------------------------------------- */

void chunk_tools_close(struct chunk_tools *tools)
{
    ZSTD_freeCCtx(tools->packing);
    ZSTD_freeDCtx(tools->unpacking);
    *tools = (struct chunk_tools){ 0 };
}

int chunk_unpack(struct chunk_tools *tools, struct slice half, msgpack_sbuffer *to)
{
    struct unpack in = unpack_of(half);
    uint8_t version = *(const uint8_t *)unpack_bytes(&in, 1);
    size_t plain = (size_t)unpack_number(&in), packed = (size_t)unpack_number(&in);
    const void *frame = unpack_bytes(&in, packed);
    buffer_clear(to);
    if (in.bad || version != CHUNK_VERSION || plain > CHUNK_UNPACKED_MAX)
        return -1;
    size_t tail = (size_t)(in.end - in.at), room = plain + tail + 1;
    if (to->alloc < room) {
        to->data = realloc(to->data, room);
        to->alloc = room;
        assert(to->data);
    }
    if (!tools->unpacking)
        tools->unpacking = ZSTD_createDCtx();
    assert(tools->unpacking);
    if (packed == plain)
        memcpy(to->data, frame, plain);
    else if (ZSTD_decompressDCtx(tools->unpacking, to->data, plain, frame, packed) != plain)
        return -1;
    memcpy(to->data + plain, in.at, tail);
    to->size = plain + tail;
    return 0;
}

/* Columns that this version does not know are passed over; those that are not there are empty. */
static int read_columns(struct slice half, struct slice *columns, size_t known, struct unpack *tail)
{
    struct unpack in = unpack_of(half);
    uint64_t count = unpack_number(&in);
    for (size_t i = 0; i < known; i++)
        columns[i] = (struct slice){ "", 0 };
    for (uint64_t i = 0; i < count && !in.bad; i++) {
        struct slice column = unpack_slice(&in);
        if (i < known)
            columns[i] = column;
    }
    *tail = in;
    return in.bad ? -1 : 0;
}

/* --- opening --------------------------------------------------------------------------------------- */

static int read_words(chunk_reader_t *self, struct slice column)
{
    struct unpack in = unpack_of(column);
    self->text_count = 0;
    while (in.at < in.end && !in.bad) {
        if (self->text_count == self->text_room) {
            self->text_room = self->text_room ? self->text_room * 2 : 16;
            self->word_texts = realloc(self->word_texts, self->text_room * sizeof *self->word_texts);
            assert(self->word_texts);
        }
        self->word_texts[self->text_count++] = unpack_slice(&in);
    }
    return in.bad ? -1 : 0;
}

/* What stands beside a word: nothing, as long as no row said another. */
static void open_values(chunk_reader_t *self, struct slice column, struct slice texts)
{
    struct slice *values = realloc(self->values, (self->text_count + WORD_TEXTS) * sizeof *values);
    assert(values);
    for (size_t i = 0; i < self->text_count + WORD_TEXTS; i++)
        values[i] = (struct slice){ "", 0 };
    self->values = values;
    self->other_values = few_of(column);
    texts_open(&self->value_texts, texts);
}

static int open_main(chunk_reader_t *self, struct slice half)
{
    struct slice columns[MAIN_COLUMNS];
    struct unpack tail;
    if (read_columns(half, columns, MAIN_COLUMNS, &tail) != 0)
        return -1;
    struct unpack head = unpack_of(columns[MAIN_HEAD]);
    self->count = (size_t)unpack_number(&head);
    uint64_t decimals = unpack_number(&head), least = unpack_number(&head);
    if (head.bad || self->count == 0 || self->count > CHUNK_ROWS_MAX || decimals > DECIMALS_MAX || least > decimals)
        return -1;
    self->decimals = (unsigned)decimals;
    self->least = (unsigned)least;
    self->at = numbers_of(columns[MAIN_AT], &tail); /* bits stand in the order of columns */
    runs_open(&self->words, columns[MAIN_WORDS], &tail);
    self->scaled = numbers_of(columns[MAIN_SCALED], &tail);
    runs_open(&self->snapshots, columns[MAIN_SNAPSHOTS], &tail);
    runs_open(&self->attributes, columns[MAIN_ATTRIBUTES], &tail);
    runs_open(&self->flags, columns[MAIN_FLAGS], &tail);
    self->changed = numbers_of(columns[MAIN_CHANGED], &tail);
    if (self->at.in.bad || self->words.bad || self->snapshots.bad || self->attributes.bad || self->flags.bad || (columns[MAIN_SCALED].size > 0 && self->scaled.in.bad) || (columns[MAIN_CHANGED].size > 0 && self->changed.in.bad))
        return -1;
    self->other_decimals = few_of(columns[MAIN_DECIMALS]);
    self->shifts = few_of(columns[MAIN_SHIFT]);
    if (read_words(self, columns[MAIN_TEXTS]) != 0)
        return -1;
    open_values(self, columns[MAIN_VALUE], columns[MAIN_VALUE_TEXTS]);
    return 0;
}

static int open_rest(chunk_reader_t *self, struct slice half)
{
    struct slice columns[REST_COLUMNS];
    if (read_columns(half, columns, REST_COLUMNS, &self->tail) != 0 || columns[REST_RECEIVED].size == 0)
        return -1;
    runs_open(&self->readings, columns[REST_READINGS], &self->tail);
    runs_open(&self->users, columns[REST_USERS], &self->tail);
    self->keys = few_of(columns[REST_KEY]);
    self->place = numbers_of(columns[REST_PLACE], &self->tail);
    self->received_way = *(const uint8_t *)columns[REST_RECEIVED].data;
    self->received = numbers_of((struct slice){ (const char *)columns[REST_RECEIVED].data + 1, columns[REST_RECEIVED].size - 1 }, &self->tail);
    self->updated = numbers_of(columns[REST_UPDATED], &self->tail);
    self->reported = numbers_of(columns[REST_REPORTED], &self->tail);
    self->duration = numbers_of(columns[REST_DURATION], &self->tail);
    self->old = unpack_of(columns[REST_OLD]);
    self->data = unpack_of(columns[REST_DATA]);
    self->context_text = unpack_of(columns[REST_CONTEXT_TEXT]);
    self->verbatim = unpack_of(columns[REST_VERBATIM]);
    self->canonical = unpack_of(columns[REST_CANONICAL]);
    self->contexts = unpack_of(columns[REST_CONTEXTS]);
    texts_open(&self->texts, columns[REST_TEXTS]);
    self->formula = (struct formula){ 0 };
    if (columns[REST_FORMULA].size == sizeof self->formula)
        memcpy(&self->formula, columns[REST_FORMULA].data, sizeof self->formula);
    self->expected = (struct expected){ .state = { "", 0 } };
    return 0;
}

int chunk_open(chunk_reader_t *self, bool is_state, struct slice main, struct slice rest)
{
    self->is_state = is_state;
    self->has_rest = rest.size > 0;
    self->row = 0;
    self->bad = open_main(self, main) != 0 || (self->has_rest && open_rest(self, rest) != 0);
    return self->bad ? -1 : 0;
}

size_t chunk_rows(const chunk_reader_t *self)
{
    return self->count;
}

bool chunk_has_time(chunk_reader_t *self, int64_t at)
{
    struct numbers times = self->at;
    return numbers_pass_until(&times, at, self->count) > 0 && (int64_t)times.value == at && !times.in.bad;
}

size_t chunk_rows_before(chunk_reader_t *self, int64_t at)
{
    struct numbers times = self->at;
    return at > INT64_MIN ? numbers_pass_until(&times, at - 1, self->count) : 0;
}

/* --- states ----------------------------------------------------------------------------------------- */

unsigned chunk_decimals(const chunk_reader_t *self, int64_t scaled)
{
    unsigned decimals = self->decimals;
    for (; decimals > self->least && scaled % 10 == 0; scaled /= 10)
        decimals--;
    return decimals;
}

/* What the state is, of the next row. */
static void next_word(chunk_reader_t *self, struct chunk_state *state)
{
    uint64_t other;
    state->word = (uint64_t)runs_next(&self->words);
    if (state->word == WORD_NUMBER) {
        state->scaled = numbers_next(&self->scaled);
        state->decimals = chunk_decimals(self, state->scaled);
    }
    if (few_has(&self->other_decimals, self->row, &other) && other <= self->decimals)
        state->decimals = (unsigned)other;
    self->row++;
    self->bad |= self->words.bad || state->word >= WORD_TEXTS + self->text_count
        || (state->word == WORD_NUMBER && (self->scaled.in.bad || state->scaled >= DECIMAL_LIMIT || state->scaled <= -DECIMAL_LIMIT));
}

int chunk_next_state(chunk_reader_t *self, struct chunk_state *state)
{
    if (self->bad || self->row == self->count)
        return self->bad ? -1 : 0;
    state->at = numbers_next(&self->at);
    state->snapshot = runs_next(&self->snapshots);
    state->attributes = runs_next(&self->attributes);
    next_word(self, state);
    self->bad |= self->at.in.bad || self->snapshots.bad || self->attributes.bad;
    return self->bad ? -1 : 1;
}

/* The same word is the same text, but that numbers have their digits beside. */
static bool is_same_text(const struct chunk_state *a, const struct chunk_state *b)
{
    return a->word == b->word && (a->word != WORD_NUMBER || (a->scaled == b->scaled && a->decimals == b->decimals));
}

size_t chunk_pass_changes(chunk_reader_t *self, struct chunk_state *state, size_t *changes)
{
    size_t count = self->bad ? 0 : self->count - self->row;
    *changes = 0;
    count = count < self->snapshots.left ? count : self->snapshots.left;
    for (size_t i = 0; i < count && !self->bad; i++) {
        struct chunk_state before = *state;
        next_word(self, state);
        *changes += !is_same_text(&before, state);
    }
    self->snapshots.left -= count;
    numbers_pass(&self->at, count);
    runs_pass(&self->attributes, count, 0);
    state->at = (int64_t)self->at.value;
    state->attributes = self->attributes.value;
    self->bad |= self->at.in.bad || self->attributes.bad;
    return self->bad ? 0 : count;
}

void chunk_pass_states(chunk_reader_t *self, size_t count)
{
    uint64_t other;
    if (self->bad || count > self->count - self->row) {
        self->bad = true;
        return;
    }
    self->row += count;
    numbers_pass(&self->at, count);
    numbers_pass(&self->scaled, runs_pass(&self->words, count, WORD_NUMBER));
    runs_pass(&self->snapshots, count, 0);
    runs_pass(&self->attributes, count, 0);
    while (!self->other_decimals.is_over && self->other_decimals.row < self->row)
        few_has(&self->other_decimals, self->other_decimals.row, &other);
}

struct slice chunk_text(chunk_reader_t *self, const struct chunk_state *state)
{
    if (state->word >= WORD_TEXTS)
        return self->word_texts[state->word - WORD_TEXTS];
    if (state->word == WORD_REMOVED)
        return (struct slice){ "", 0 };
    self->turn = !self->turn; /* the one before is compared with */
    char *to = self->number[self->turn];
    int64_t whole = state->decimals == self->decimals ? state->scaled : state->scaled / powers_of_ten[self->decimals - state->decimals];
    char *begin = decimal_write(whole, state->decimals, to);
    return (struct slice){ begin, (size_t)(to + DECIMAL_TEXT - begin) };
}

double chunk_number(const chunk_reader_t *self, const struct chunk_state *state)
{
    return decimal_number(state->scaled, self->decimals);
}

/* --- rows --------------------------------------------------------------------------------------------- */

static double next_real(chunk_reader_t *self)
{
    double number;
    memcpy(&number, unpack_bytes(&self->tail, sizeof number), sizeof number);
    return number;
}

static void next_context(chunk_reader_t *self, int which, struct context_part *c, int64_t timestamp)
{
    uint8_t *before = self->expected.contexts[which];
    if (c->form == NO_CONTEXT)
        return;
    if (c->form == TEXT_CONTEXT) {
        c->text = texts_next(&self->texts, &self->context_text, (struct slice){ "", 0 });
        return;
    }
    uint64_t code = unpack_number(&self->contexts);
    if (code == 0) {
        memcpy(c->bytes, before, 16);
        if (c->form == NEAR_ULID)
            set_late(c, timestamp);
        return;
    }
    c->late_ms = code - 1;
    uint64_t made = (uint64_t)(timestamp / 1000) - c->late_ms;
    for (int i = 0; c->form == NEAR_ULID && i < 6; i++)
        c->bytes[i] = (uint8_t)(made >> (40 - 8 * i));
    if (c->form == NEAR_ULID)
        memcpy(c->bytes + 6, unpack_bytes(&self->tail, 10), 10);
    else
        memcpy(c->bytes, unpack_bytes(&self->tail, 16), 16);
    memcpy(before, c->bytes, 16);
}

static void next_times(chunk_reader_t *self, int64_t at, struct body_parts *p)
{
    if (has_all(p->flags, HAS_UPDATED, UPDATED_IS_AT))
        p->updated = numbers_next(&self->updated);
    if (has_all(p->flags, HAS_REPORTED, REPORTED_IS_AT))
        p->reported = numbers_next(&self->reported);
    if (has_all(p->flags, HAS_CHANGED_AT, CHANGED_IS_AT)) {
        uint64_t lasted = (uint64_t)numbers_next(&self->changed);
        uint64_t changed = lasted + (uint64_t)(self->expected.has_changed ? self->expected.changed : at);
        p->changed = (int64_t)(changed - (uint64_t)at);
    }
    uint64_t lasted = (uint64_t)expected_lasted(&self->expected, at, p);
    if (p->flags & DURATION_IN_US)
        p->duration_us = (uint64_t)numbers_next(&self->duration) + lasted;
}

static struct slice next_value(chunk_reader_t *self, size_t row, uint64_t word)
{
    uint64_t code;
    if (few_has(&self->other_values, row, &code))
        self->values[word] = texts_by_code(&self->value_texts, code);
    return self->values[word];
}

static void next_texts(chunk_reader_t *self, size_t row, uint64_t word, struct body_parts *p)
{
    const struct slice none = { "", 0 };
    if (has_all(p->flags, HAS_OLD, OLD_IS_STATE))
        p->old_state = texts_next(&self->texts, &self->old, self->expected.state);
    if (has_all(p->flags, HAS_VALUE, VALUE_IS_STATE))
        p->value = next_value(self, row, word);
    if (p->flags & HAS_DATA)
        p->data = texts_next(&self->texts, &self->data, none);
    self->expected.state = p->state;
}

static void next_reals(chunk_reader_t *self, struct body_parts *p)
{
    double value;
    if (has_all(p->flags, HAS_DURATION, DURATION_IN_US))
        p->duration = next_real(self);
    if (!has_all(p->flags, HAS_CANONICAL, CANONICAL_IS_VALUE))
        return;
    if (unpack_number(&self->canonical) != 0)
        p->canonical = next_real(self);
    else if (number_read(p->flags & VALUE_IS_STATE ? p->state : p->value, &value))
        p->canonical = formula_apply(&self->formula, value);
    else
        self->bad = true;
}

static void next_parts(chunk_reader_t *self, const struct chunk_state *state, struct chunk_row *row, struct body_parts *p)
{
    int64_t timestamp = (int64_t)((uint64_t)row->at + (uint64_t)row->shift);
    p->snapshot = state->snapshot;
    p->attributes = state->attributes;
    p->state = chunk_text(self, state);
    if (p->flags & HAS_READINGS)
        p->readings = runs_next(&self->readings);
    if (p->flags & HAS_USER)
        p->user = runs_next(&self->users);
    p->contexts[OWN_CONTEXT].form = p->flags >> CONTEXT_FORM & 7;
    p->contexts[PARENT_CONTEXT].form = p->flags >> PARENT_FORM & 7;
    if (p->contexts[OWN_CONTEXT].form > TEXT_CONTEXT || p->contexts[PARENT_CONTEXT].form > TEXT_CONTEXT) {
        self->bad = true;
        return;
    }
    next_context(self, OWN_CONTEXT, &p->contexts[OWN_CONTEXT], timestamp);
    next_context(self, PARENT_CONTEXT, &p->contexts[PARENT_CONTEXT], timestamp);
    next_times(self, row->at, p);
    next_texts(self, self->row - 1, state->word, p);
    next_reals(self, p);
}

static bool is_damaged(const chunk_reader_t *self)
{
    return self->bad || self->flags.bad || self->readings.bad || self->users.bad || self->place.in.bad || self->received.in.bad
        || self->contexts.bad || self->tail.bad || self->texts.bad || self->canonical.bad || self->shifts.in.bad || self->keys.in.bad
        || self->other_values.in.bad || self->value_texts.bad;
}

/* Of columns that only some rows have: bad as soon as one is asked for that is not there. */
static bool has_gone_too_far(const chunk_reader_t *self, uint32_t flags)
{
    return (has_all(flags, HAS_UPDATED, UPDATED_IS_AT) && self->updated.in.bad) || (has_all(flags, HAS_CHANGED_AT, CHANGED_IS_AT) && self->changed.in.bad)
        || (has_all(flags, HAS_REPORTED, REPORTED_IS_AT) && self->reported.in.bad) || (flags & DURATION_IN_US && self->duration.in.bad);
}

/* Everything of a row but what follows from it. 1: there is one. */
static int next_row(chunk_reader_t *self, struct chunk_row *row, struct body_parts *p)
{
    struct chunk_state state;
    uint64_t few = 0;
    size_t i = self->row;
    int rc = self->has_rest ? chunk_next_state(self, &state) : -1;
    if (rc <= 0)
        return rc;
    p->flags = (uint32_t)runs_next(&self->flags);
    *row = (struct chunk_row){ .at = state.at, .place = numbers_next(&self->place) };
    row->shift = few_has(&self->shifts, i, &few) ? (int64_t)unfold(few) : 0;
    row->rest = few_has(&self->keys, i, &few) ? (int32_t)(uint32_t)few : 0;
    uint64_t received = (uint64_t)numbers_next(&self->received);
    p->received = (int64_t)(self->received_way == RECEIVED_WHEN ? received - (uint64_t)row->at : received);
    if (p->flags == VERBATIM)
        row->body = texts_next(&self->texts, &self->verbatim, (struct slice){ "", 0 });
    else if (!is_damaged(self))
        next_parts(self, &state, row, p);
    self->bad = is_damaged(self) || (p->flags != VERBATIM && has_gone_too_far(self, p->flags));
    return self->bad ? -1 : 1;
}

int chunk_next(chunk_reader_t *self, struct chunk_row *row)
{
    struct body_parts p = { 0 };
    int rc = next_row(self, row, &p);
    if (rc <= 0 || p.flags == VERBATIM)
        return rc;
    row->rest = (int32_t)((uint32_t)row->rest + (uint32_t)expected_rest(self->is_state, &p));
    msgpack_sbuffer_clear(&self->body);
    parts_write(&p, &self->body);
    row->body = (struct slice){ self->body.data, self->body.size };
    return 1;
}

void chunk_pass_rows(chunk_reader_t *self, size_t count)
{
    struct chunk_row row;
    for (; count > 0; count--) {
        struct body_parts p = { 0 };
        if (next_row(self, &row, &p) <= 0)
            return;
    }
}
