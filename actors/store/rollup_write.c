/* rollup_write.c - buckets are packed by columns, numbers as whole parts of their last decimal. */
#include "rollup_format.h"

#include "chunk.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3, BLOCK = 64 /* rows that lie together: they are large, and never moved */ };

/* A bucket, its texts as numbers of the dictionary and its lists as places in the pools. */
struct row { struct bucket b; uint32_t first, last; size_t times, resets, reset_count; };

struct rollup_writer {
    enum series_class class;
    struct row *blocks[CHUNK_BUCKETS / BLOCK + 1];
    size_t count, busy;
    struct slice *texts;            /* owned copies */
    size_t text_count;
    struct { uint32_t text; int64_t us; } *times;
    size_t time_count, time_room;
    int64_t *resets;
    size_t reset_count, reset_room;
    bool is_too_much;
    int decimals;                   /* -1: numbers as they are */
    msgpack_sbuffer columns[COLUMNS];
};

rollup_writer_t *rollup_writer_new(enum series_class class)
{
    rollup_writer_t *self = calloc(1, sizeof *self);
    assert(self);
    self->class = class;
    for (int i = 0; i < COLUMNS; i++)
        msgpack_sbuffer_init(&self->columns[i]);
    return self;
}

void rollup_writer_destroy(rollup_writer_t **self_p)
{
    rollup_writer_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->text_count; i++)
        free((void *)(uintptr_t)self->texts[i].data);
    for (int i = 0; i < COLUMNS; i++)
        msgpack_sbuffer_destroy(&self->columns[i]);
    free(self->texts);
    free(self->times);
    free(self->resets);
    for (size_t i = 0; i < sizeof self->blocks / sizeof *self->blocks; i++)
        free(self->blocks[i]);
    free(self);
}

size_t rollup_writer_busy(const rollup_writer_t *self)
{
    return self->busy;
}

static struct row *row_of(const rollup_writer_t *self, size_t i)
{
    return &self->blocks[i / BLOCK][i % BLOCK];
}

/* --- taking ------------------------------------------------------------------------------------- */

static void *room_for(void *items, size_t *room, size_t count, size_t size)
{
    if (count <= *room)
        return items;
    *room = *room * 2 > count ? *room * 2 : count < 64 ? 64 : count;
    items = realloc(items, *room * size);
    assert(items);
    return items;
}

static uint32_t text_number(rollup_writer_t *self, struct slice text)
{
    for (size_t i = self->text_count; i-- > 0;)
        if (self->texts[i].size == text.size && (text.size == 0 || memcmp(self->texts[i].data, text.data, text.size) == 0))
            return (uint32_t)i;
    self->is_too_much |= self->text_count == CHUNK_TEXTS;
    if (self->is_too_much)
        return 0;
    if (!self->texts)
        self->texts = calloc(CHUNK_TEXTS, sizeof *self->texts);
    char *copy = malloc(text.size + 1);
    assert(self->texts && copy);
    if (text.size)
        memcpy(copy, text.data, text.size);
    self->texts[self->text_count] = (struct slice){ copy, text.size };
    return (uint32_t)self->text_count++;
}

static void take_states(rollup_writer_t *self, struct row *row, const struct bucket *b)
{
    self->is_too_much |= b->other_us > 0;
    row->first = b->has_first ? text_number(self, b->first_state) : 0;
    row->last = b->has_last ? text_number(self, b->last_state) : 0;
    self->times = room_for(self->times, &self->time_room, self->time_count + b->states, sizeof *self->times);
    for (size_t i = 0; i < b->states; i++) {
        self->times[self->time_count].text = text_number(self, b->durations[i].state);
        self->times[self->time_count++].us = b->durations[i].us;
    }
}

static void take_resets(rollup_writer_t *self, struct row *row, const struct bucket *b)
{
    row->reset_count = (size_t)b->resets;
    self->is_too_much |= b->resets > RESETS_MAX;
    if (b->resets > RESETS_MAX)
        return;
    self->resets = room_for(self->resets, &self->reset_room, self->reset_count + row->reset_count, sizeof *self->resets);
    for (size_t i = 0; i < row->reset_count; i++)
        self->resets[self->reset_count++] = b->reset_at[i] - b->from;
}

static bool is_quiet_value(const rollup_writer_t *self, const struct row *row, const struct row *before)
{
    const struct bucket *b = &row->b;
    if (!before || !before->b.has_last || b->value_us != b->to - b->from || !b->has_first || !b->has_last)
        return false;
    if (self->class == CLASS_STATES)
        return row->first == before->last && row->last == before->last && b->states == 1;
    return b->min == b->max && b->first == b->min && b->first == before->b.last && b->last == b->first;
}

/* -1: something happened in it. */
static int quietness(const rollup_writer_t *self, size_t i)
{
    const struct row *row = row_of(self, i);
    const struct bucket *b = &row->b;
    int64_t us = b->to - b->from;
    if (i == 0 || b->count > 0 || b->resets > 0)
        return -1;
    if (is_quiet_value(self, row, row_of(self, i - 1)))
        return QUIET_VALUE;
    return b->unavailable_us == us ? QUIET_UNAVAILABLE : b->gap_us == us ? QUIET_GAP : -1;
}

void rollup_writer_add(rollup_writer_t *self, const struct bucket *b)
{
    self->is_too_much |= self->count == CHUNK_BUCKETS;
    if (self->is_too_much)
        return;
    struct row **block = &self->blocks[self->count / BLOCK];
    if (!*block)
        *block = malloc(BLOCK * sizeof **block);
    assert(*block);
    struct row *row = row_of(self, self->count);
    *row = (struct row){ .b = *b, .times = self->time_count, .resets = self->reset_count };
    if (self->class == CLASS_STATES)
        take_states(self, row, b);
    take_resets(self, row, b);
    self->busy += quietness(self, self->count++) < 0;
}

/* --- numbers --------------------------------------------------------------------------------------- */

/* As whole parts of the last decimal, if that says it to the bit. */
static bool as_parts(double number, double power, int64_t *parts)
{
    if (!(fabs(number) * power < 9e15))
        return false;
    *parts = llround(number * power);
    return (double)*parts / power == number;
}

static bool sum_fits(double sum, double scale, double power)
{
    return fabs(sum) * power < 4e18 && fabs((double)llround(sum * power) / power - sum) <= 1e-13 * scale;
}

static bool row_fits(const rollup_writer_t *self, const struct bucket *b, double power)
{
    int64_t parts;
    double largest = fmax(fabs(b->min), fabs(b->max)), us = (double)b->value_us;
    if ((b->has_first && !as_parts(b->first, power, &parts)) || (b->has_last && !as_parts(b->last, power, &parts)))
        return false;
    if (class_counts(self->class) && !sum_fits(b->increase, largest + fabs(b->increase), power))
        return false;
    return !b->has_range || (as_parts(b->min, power, &parts) && as_parts(b->max, power, &parts)
        && largest * power * us < 2e18 && sum_fits(b->integral, largest * us, power));
}

static int find_decimals(const rollup_writer_t *self)
{
    int decimals = 0;
    for (size_t i = 0; i < self->count; i++)
        while (!row_fits(self, &row_of(self, i)->b, powers_of_ten[decimals]))
            if (++decimals > DECIMALS_MAX)
                return -1;
    for (size_t i = 0; i < self->count; i++)
        if (!row_fits(self, &row_of(self, i)->b, powers_of_ten[decimals]))
            return -1;
    return decimals;
}

static int64_t parts_of(const rollup_writer_t *self, double number)
{
    return llround(number * powers_of_ten[self->decimals]);
}

/* --- columns ------------------------------------------------------------------------------------------- */

static void put_real(msgpack_sbuffer *to, double number)
{
    pack_bytes(to, &number, sizeof number);
}

/* The difference to what was before. */
static void put_number(rollup_writer_t *self, enum column column, double number, double before)
{
    if (self->decimals < 0)
        put_real(&self->columns[column], number);
    else
        pack_signed(&self->columns[column], parts_of(self, number) - parts_of(self, before));
}

static void put_sums(rollup_writer_t *self, const struct bucket *b)
{
    if (self->decimals < 0)
        put_real(&self->columns[COLUMN_SUM], b->integral);
    else
        pack_signed(&self->columns[COLUMN_SUM], parts_of(self, b->integral) - expected_sum(parts_of(self, b->min), parts_of(self, b->max), b->value_us));
    if (self->class == CLASS_ANGLE) {
        put_real(&self->columns[COLUMN_ANGLE], b->sine);
        put_real(&self->columns[COLUMN_ANGLE], b->cosine);
    }
}

static void put_numbers(rollup_writer_t *self, const struct bucket *b, unsigned flags, double before)
{
    if ((flags & (ROLLUP_FIRST | ROLLUP_FIRST_IS_BEFORE)) == ROLLUP_FIRST)
        put_number(self, COLUMN_FIRST, b->first, before);
    if (flags & ROLLUP_LAST)
        put_number(self, COLUMN_LAST, b->last, before);
    if (flags & ROLLUP_RANGE) {
        put_number(self, COLUMN_MIN, b->min, b->has_last ? b->last : before);
        put_number(self, COLUMN_MAX, b->max, b->min);
        put_sums(self, b);
    }
    if (class_counts(self->class))
        put_number(self, COLUMN_INCREASE, b->increase, b->has_first && b->has_last && self->decimals >= 0 ? b->last - b->first : 0.0);
}

static void put_states(rollup_writer_t *self, const struct row *row, unsigned flags)
{
    msgpack_sbuffer *to = &self->columns[COLUMN_STATE];
    if ((flags & (ROLLUP_FIRST | ROLLUP_FIRST_IS_BEFORE)) == ROLLUP_FIRST)
        pack_number(to, row->first);
    if (flags & ROLLUP_LAST)
        pack_number(to, row->last);
    pack_number(to, row->b.states);
    for (size_t i = 0; i < row->b.states; i++) {
        pack_number(to, self->times[row->times + i].text);
        if (i + 1 < row->b.states) /* the rest of the value's time is the last one's */
            pack_number(to, (uint64_t)self->times[row->times + i].us);
    }
}

static unsigned flags_of(const rollup_writer_t *self, const struct row *row, const struct row *before)
{
    const struct bucket *b = &row->b;
    unsigned flags = b->value_us == b->to - b->from ? ROLLUP_WHOLE : 0;
    flags |= b->has_first ? ROLLUP_FIRST : 0;
    flags |= b->has_last ? ROLLUP_LAST : 0;
    flags |= b->has_range ? ROLLUP_RANGE : 0;
    flags |= b->resets ? ROLLUP_RESETS : 0;
    bool is_same = before && before->b.has_last && b->has_first
        && (self->class == CLASS_STATES ? row->first == before->last : b->first == before->b.last);
    return flags | (is_same ? ROLLUP_FIRST_IS_BEFORE : 0);
}

/* before: the last value of the buckets before, whatever was since. */
static void put_row(rollup_writer_t *self, size_t i, double *before)
{
    const struct row *row = row_of(self, i);
    const struct bucket *b = &row->b;
    int quiet = quietness(self, i);
    unsigned flags = quiet >= 0 ? ROLLUP_QUIET | (unsigned)quiet : flags_of(self, row, i ? row_of(self, i - 1) : NULL);
    uint8_t byte = (uint8_t)flags;
    pack_bytes(&self->columns[COLUMN_FLAGS], &byte, 1);
    if (quiet >= 0)
        return;
    pack_number(&self->columns[COLUMN_COUNT], (uint64_t)b->count);
    if (!(flags & ROLLUP_WHOLE)) {
        pack_number(&self->columns[COLUMN_TIME], (uint64_t)b->value_us);
        pack_number(&self->columns[COLUMN_TIME], (uint64_t)b->unavailable_us);
    }
    if (self->class == CLASS_STATES)
        put_states(self, row, flags);
    else
        put_numbers(self, b, flags, *before);
    if (flags & ROLLUP_RESETS)
        pack_number(&self->columns[COLUMN_RESET], row->reset_count);
    for (size_t k = 0; k < row->reset_count; k++)
        pack_number(&self->columns[COLUMN_RESET], (uint64_t)self->resets[row->resets + k]);
    *before = b->has_last ? b->last : *before;
}

/* --- the whole -------------------------------------------------------------------------------------------- */

static void put_counter(const struct counter *c, msgpack_sbuffer *to)
{
    pack_number(to, (uint64_t)(c->has | c->has_reset << 1));
    if (!c->has)
        return;
    put_real(to, c->previous);
    put_real(to, c->highest);
    if (c->has_reset)
        pack_number(to, c->last_reset);
}

static void put_head(const rollup_writer_t *self, const struct rollup_head *head, msgpack_sbuffer *to)
{
    pack_number(to, head->tier);
    pack_number(to, head->class);
    pack_slice(to, unit_slice(&head->unit));
    pack_slice(to, slice_of(head->zone));
    pack_signed(to, head->from);
    pack_signed(to, head->until);
    pack_number(to, (uint64_t)head->samples);
    pack_number(to, head->buckets);
    put_counter(&head->before, to);
    put_counter(&head->after, to);
    pack_number(to, (uint64_t)(self->decimals + 1));
}

/* The context is lent: it is left as it was found. */
static void compress(struct chunk_tools *tools, const msgpack_sbuffer *plain, msgpack_sbuffer *out)
{
    if (!tools->packing)
        tools->packing = ZSTD_createCCtx();
    ZSTD_CCtx *zstd = tools->packing;
    size_t room = ZSTD_compressBound(plain->size);
    uint8_t *bytes = malloc(room), format = ROLLUP_FORMAT;
    assert(zstd && bytes);
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    size_t size = ZSTD_compress2(zstd, bytes, room, plain->data, plain->size);
    assert(!ZSTD_isError(size));
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    pack_bytes(out, &format, 1);
    pack_bytes(out, bytes, size);
    free(bytes);
}

bool rollup_writer_end(rollup_writer_t *self, struct chunk_tools *tools, struct rollup_head *head, bool with_buckets, msgpack_sbuffer *out)
{
    msgpack_sbuffer plain;
    double before = 0.0;
    if (self->is_too_much && with_buckets)
        return false;
    head->buckets = with_buckets ? self->count : 0;
    self->decimals = self->class == CLASS_STATES ? 0 : find_decimals(self);
    for (size_t i = 0; i < head->buckets; i++)
        put_row(self, i, &before);
    for (size_t i = 0; i < self->text_count && with_buckets; i++)
        pack_slice(&self->columns[COLUMN_TEXT], self->texts[i]);
    msgpack_sbuffer_init(&plain);
    put_head(self, head, &plain);
    for (int i = 0; i < COLUMNS; i++)
        pack_slice(&plain, (struct slice){ self->columns[i].data, self->columns[i].size });
    bool fits = plain.size <= CHUNK_BYTES;
    if (fits)
        compress(tools, &plain, out);
    msgpack_sbuffer_destroy(&plain);
    return fits;
}
