/* chunk_moment.c - the row of a chunk that was in force at a moment, from times and states alone. */
#include "chunk_inside.h"

/* Of rows that are gone through once, in order: how far, and how many of them were numbers. */
struct walk { size_t row, numbers; };

/* The word of a row that was not passed yet. */
static uint64_t walk_to(chunk_reader_t *self, struct walk *walk, size_t row)
{
    walk->numbers += runs_pass(&self->words, row - walk->row, WORD_NUMBER);
    walk->row = row + 1;
    uint64_t word = (uint64_t)runs_next(&self->words);
    walk->numbers += word == WORD_NUMBER;
    self->bad |= self->words.bad || word >= WORD_TEXTS + self->text_count;
    return self->bad ? WORD_REMOVED : word;
}

static bool find_row(const chunk_reader_t *self, int64_t at, struct chunk_moment *to)
{
    struct numbers times = self->at;
    size_t count = numbers_pass_until(&times, at, self->count);
    to->at = (int64_t)times.value;
    to->row = count - 1;
    return count > 0;
}

/* State and value; the values that stood beside words before that row are gone through. */
static void read_state(chunk_reader_t *self, struct chunk_moment *to)
{
    struct walk walk = { 0 };
    struct chunk_state state = { .decimals = self->decimals };
    uint64_t other, word = 0;
    bool has_word = false;
    while (!self->bad && !self->other_values.is_over && self->other_values.row <= to->row) {
        size_t row = self->other_values.row;
        few_has(&self->other_values, row, &other);
        if (row < walk.row) { /* more rows than can be counted */
            self->bad = true;
            return;
        }
        word = walk_to(self, &walk, row);
        self->values[word] = texts_by_code(&self->value_texts, other);
        has_word = row == to->row;
    }
    state.word = has_word ? word : walk_to(self, &walk, to->row);
    if (state.word == WORD_NUMBER) {
        numbers_pass(&self->scaled, walk.numbers);
        state.scaled = (int64_t)self->scaled.value;
        self->bad |= self->scaled.in.bad || state.scaled >= DECIMAL_LIMIT || state.scaled <= -DECIMAL_LIMIT;
        state.decimals = chunk_decimals(self, state.scaled);
    }
    while (!self->other_decimals.is_over && self->other_decimals.row <= to->row) {
        bool is_own = self->other_decimals.row == to->row;
        few_has(&self->other_decimals, self->other_decimals.row, &other);
        if (is_own && other <= self->decimals)
            state.decimals = (unsigned)other;
    }
    to->has_state = state.word != WORD_REMOVED;
    to->state = chunk_text(self, &state);
    to->has_value = (to->flags & HAS_VALUE) != 0;
    to->value = to->flags & VALUE_IS_STATE ? to->state : self->values[state.word];
}

/* The last row that says of its own time that the state changed then, or else the first that has such a time;
 * and how many up to there, and up to the row, have it in the column. */
struct changed { bool has_base; size_t base, before, count; };

static void look_at_flags(chunk_reader_t *self, size_t row, struct changed *c, uint32_t *flags)
{
    int64_t own;
    if (runs_look(&self->flags, row, &own) && own & HAS_CHANGED_AT && own & CHANGED_IS_AT) {
        *flags = (uint32_t)own;
        *c = (struct changed){ .has_base = true, .base = row };
        return;
    }
    for (size_t i = 0; i <= row && !self->flags.bad;) {
        *flags = (uint32_t)runs_next(&self->flags);
        uint64_t left = self->flags.left;
        size_t rows = left < row - i ? (size_t)left + 1 : row - i + 1;
        self->flags.left -= rows - 1;
        if (*flags & HAS_CHANGED_AT && *flags & CHANGED_IS_AT) {
            *c = (struct changed){ .has_base = true, .base = i + rows - 1, .before = c->count, .count = c->count };
        } else if (*flags & HAS_CHANGED_AT) {
            if (!c->has_base)
                *c = (struct changed){ .has_base = true, .base = i };
            c->count += rows;
        }
        i += rows;
    }
    self->bad |= self->flags.bad;
}

static void read_changed(chunk_reader_t *self, const struct changed *c, struct chunk_moment *to)
{
    struct numbers times = self->at;
    uint64_t changed = (uint64_t)to->at;
    if (c->base != to->row) {
        numbers_pass(&times, c->base + 1);
        changed = times.value;
    }
    numbers_pass(&self->changed, c->before);
    for (size_t i = c->before; i < c->count; i++)
        changed += (uint64_t)numbers_next(&self->changed);
    self->bad |= c->count > 0 && self->changed.in.bad;
    to->has_changed = true;
    to->changed = (int64_t)changed;
}

static int64_t run_at(struct runs *runs, size_t row)
{
    runs_pass(runs, row, 0);
    return runs_next(runs);
}

int chunk_in_force(chunk_reader_t *self, int64_t at, struct chunk_moment *to)
{
    struct changed changed = { 0 };
    uint64_t few;
    *to = (struct chunk_moment){ 0 };
    if (self->bad || !find_row(self, at, to))
        return self->bad ? -1 : 0;
    look_at_flags(self, to->row, &changed, &to->flags);
    if (to->flags == VERBATIM || has_all(to->flags, HAS_UPDATED, UPDATED_IS_AT))
        return self->bad ? -1 : 2;
    read_state(self, to);
    if (to->flags & HAS_CHANGED_AT)
        read_changed(self, &changed, to);
    to->has_updated = (to->flags & HAS_UPDATED) != 0;
    to->snapshot = run_at(&self->snapshots, to->row);
    to->attributes = run_at(&self->attributes, to->row);
    while (!self->shifts.is_over && self->shifts.row <= to->row) {
        bool is_own = self->shifts.row == to->row;
        few_has(&self->shifts, self->shifts.row, &few);
        to->shift = is_own ? (int64_t)unfold(few) : 0;
    }
    self->bad |= self->at.in.bad || self->snapshots.bad || self->attributes.bad || self->shifts.in.bad || self->other_values.in.bad
        || self->value_texts.bad || self->other_decimals.in.bad || to->has_state != ((to->flags & HAS_STATE) != 0);
    return self->bad ? -1 : 1;
}
