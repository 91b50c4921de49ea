/* rollup_read.c - packed buckets are read again, one after the other; what is not what it says is refused. */
#include "rollup_format.h"

#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

struct rollup_reader {
    struct rollup_head head;
    uint8_t *bytes;
    struct unpack columns[COLUMNS];
    struct slice *texts;
    size_t text_count, text_room, at;
    struct bucket bucket;
    struct state_time *times;
    int64_t *resets;
    size_t time_room, reset_room;
    int64_t before;                  /* the last value of the buckets before, in parts of the last decimal, ... */
    double before_number;            /* ... as it is, ... */
    struct slice before_text;        /* ... or a text */
    int decimals;
};

/* --- the whole ----------------------------------------------------------------------------------- */

static bool expand(rollup_reader_t *self, struct slice bytes, struct slice *plain)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < 2 || data[0] != ROLLUP_FORMAT)
        return false;
    unsigned long long size = ZSTD_getFrameContentSize(data + 1, bytes.size - 1);
    if (size > CHUNK_BYTES) /* unknown, or an error, is larger */
        return false;
    self->bytes = malloc((size_t)size + 1);
    assert(self->bytes);
    size_t got = ZSTD_decompress(self->bytes, (size_t)size, data + 1, bytes.size - 1);
    *plain = (struct slice){ self->bytes, got };
    return !ZSTD_isError(got) && got == size;
}

static double get_real(struct unpack *in)
{
    double number;
    memcpy(&number, unpack_bytes(in, sizeof number), sizeof number);
    return number;
}

static void get_counter(struct unpack *in, struct counter *c)
{
    uint64_t flags = unpack_number(in);
    *c = (struct counter){ .has = flags & 1, .has_reset = (flags & 2) != 0 };
    in->bad |= flags > 3;
    if (!c->has)
        return;
    c->previous = get_real(in);
    c->highest = get_real(in);
    if (c->has_reset)
        c->last_reset = unpack_number(in);
}

static void get_text(struct unpack *in, char *to, size_t room, size_t *size)
{
    struct slice s = unpack_slice(in);
    in->bad |= s.size > room;
    *size = in->bad ? 0 : s.size;
    if (*size)
        memcpy(to, s.data, *size);
}

static bool read_head(rollup_reader_t *self, struct unpack *in)
{
    struct rollup_head *head = &self->head;
    size_t size;
    head->tier = (enum tier)unpack_number(in);
    head->class = (enum series_class)unpack_number(in);
    get_text(in, head->unit.text, sizeof head->unit.text, &head->unit.size);
    get_text(in, head->zone, sizeof head->zone - 1, &size);
    head->from = unpack_signed(in);
    head->until = unpack_signed(in);
    head->samples = (int64_t)unpack_number(in);
    head->buckets = (size_t)unpack_number(in);
    get_counter(in, &head->before);
    get_counter(in, &head->after);
    self->decimals = (int)unpack_number(in) - 1;
    return !in->bad && head->tier > TIER_RAW && head->tier < TIERS && head->class > CLASS_AUTO && head->class <= CLASS_STATES
        && head->from >= -400 * DAY_US && head->from < head->until && head->until <= MAX_TIME_US + 400 * DAY_US && head->samples >= 0
        && head->buckets <= CHUNK_BUCKETS && self->decimals >= -1 && self->decimals <= DECIMALS_MAX;
}

static bool read_texts(rollup_reader_t *self)
{
    struct unpack *in = &self->columns[COLUMN_TEXT];
    while (in->at < in->end && !in->bad) {
        if (self->text_count == CHUNK_TEXTS)
            return false;
        if (self->text_count == self->text_room) {
            self->text_room = self->text_room ? self->text_room * 2 : 8;
            self->texts = realloc(self->texts, self->text_room * sizeof *self->texts);
            assert(self->texts);
        }
        self->texts[self->text_count++] = unpack_slice(in);
    }
    return !in->bad;
}

rollup_reader_t *rollup_reader_new(struct slice bytes)
{
    rollup_reader_t *self = calloc(1, sizeof *self);
    struct slice plain;
    assert(self);
    bool is_good = expand(self, bytes, &plain);
    struct unpack in = unpack_of(is_good ? plain : (struct slice){ "", 0 });
    is_good = is_good && read_head(self, &in);
    for (int i = 0; i < COLUMNS && is_good; i++)
        self->columns[i] = unpack_of(unpack_slice(&in));
    if (!is_good || in.bad || in.at != in.end || !read_texts(self))
        rollup_reader_destroy(&self);
    return self;
}

void rollup_reader_destroy(rollup_reader_t **self_p)
{
    rollup_reader_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    free(self->bytes);
    free(self->texts);
    free(self->times);
    free(self->resets);
    free(self);
}

const struct rollup_head *rollup_reader_head(const rollup_reader_t *self)
{
    return &self->head;
}

/* --- one bucket ---------------------------------------------------------------------------------------- */

struct numbers { int64_t first, last, min, max; };

/* The number of a column, also in parts of its last decimal. */
static double get_number(rollup_reader_t *self, enum column column, int64_t before, int64_t *parts)
{
    struct unpack *in = &self->columns[column];
    if (self->decimals < 0)
        return get_real(in);
    *parts = (int64_t)((uint64_t)before + (uint64_t)unpack_signed(in));
    return (double)*parts / powers_of_ten[self->decimals];
}

static void get_sums(rollup_reader_t *self, const struct numbers *n)
{
    struct bucket *b = &self->bucket;
    struct unpack *in = &self->columns[COLUMN_SUM];
    if (self->decimals < 0)
        b->integral = get_real(in);
    else
        b->integral = (double)(int64_t)((uint64_t)expected_sum(n->min, n->max, b->value_us) + (uint64_t)unpack_signed(in)) / powers_of_ten[self->decimals];
    if (self->head.class == CLASS_ANGLE) {
        b->sine = get_real(&self->columns[COLUMN_ANGLE]);
        b->cosine = get_real(&self->columns[COLUMN_ANGLE]);
    }
}

static void get_numbers(rollup_reader_t *self, unsigned flags)
{
    struct bucket *b = &self->bucket;
    struct numbers n = { .first = self->before, .last = self->before };
    b->first = self->before_number;
    if ((flags & (ROLLUP_FIRST | ROLLUP_FIRST_IS_BEFORE)) == ROLLUP_FIRST)
        b->first = get_number(self, COLUMN_FIRST, self->before, &n.first);
    if (flags & ROLLUP_LAST)
        b->last = get_number(self, COLUMN_LAST, self->before, &n.last);
    if (flags & ROLLUP_RANGE) {
        b->min = get_number(self, COLUMN_MIN, n.last, &n.min);
        b->max = get_number(self, COLUMN_MAX, n.min, &n.max);
        get_sums(self, &n);
    }
    int64_t expected = b->has_first && b->has_last ? (int64_t)((uint64_t)n.last - (uint64_t)n.first) : 0, ignored;
    if (class_counts(self->head.class))
        b->increase = get_number(self, COLUMN_INCREASE, expected, &ignored);
    if (flags & ROLLUP_LAST) {
        self->before = n.last;
        self->before_number = b->last;
    }
}

static struct slice get_state(rollup_reader_t *self)
{
    struct unpack *in = &self->columns[COLUMN_STATE];
    uint64_t number = unpack_number(in);
    in->bad |= number >= self->text_count;
    return in->bad ? (struct slice){ "", 0 } : self->texts[number];
}

static void add_duration(rollup_reader_t *self, struct slice state, int64_t us)
{
    struct bucket *b = &self->bucket;
    if (b->states == self->time_room) {
        self->time_room = self->time_room ? self->time_room * 2 : 8;
        self->times = realloc(self->times, self->time_room * sizeof *self->times);
        assert(self->times);
    }
    self->times[b->states++] = (struct state_time){ state, us };
    b->durations = self->times;
}

static void get_states(rollup_reader_t *self, unsigned flags)
{
    struct bucket *b = &self->bucket;
    struct unpack *in = &self->columns[COLUMN_STATE];
    b->first_state = self->before_text;
    if ((flags & (ROLLUP_FIRST | ROLLUP_FIRST_IS_BEFORE)) == ROLLUP_FIRST)
        b->first_state = get_state(self);
    if (flags & ROLLUP_LAST)
        b->last_state = self->before_text = get_state(self);
    uint64_t states = unpack_number(in);
    in->bad |= states > STATES_MAX;
    for (int64_t rest = b->value_us; states > 0 && !in->bad; states--) {
        struct slice state = get_state(self);
        uint64_t us = states > 1 ? unpack_number(in) : (uint64_t)rest;
        in->bad |= us > (uint64_t)rest;
        add_duration(self, state, (int64_t)us);
        rest -= (int64_t)us;
    }
}

static void get_resets(rollup_reader_t *self)
{
    struct bucket *b = &self->bucket;
    struct unpack *in = &self->columns[COLUMN_RESET];
    uint64_t count = unpack_number(in);
    in->bad |= count > RESETS_MAX;
    if (in->bad)
        return;
    if (count > self->reset_room) {
        self->reset_room = (size_t)count;
        self->resets = realloc(self->resets, self->reset_room * sizeof *self->resets);
        assert(self->resets);
    }
    for (uint64_t i = 0; i < count; i++)
        self->resets[i] = (int64_t)((uint64_t)b->from + unpack_number(in));
    b->resets = (int64_t)count;
    b->reset_at = self->resets;
}

static void get_quiet(rollup_reader_t *self, unsigned kind, int64_t us)
{
    struct bucket *b = &self->bucket;
    b->unavailable_us = kind == QUIET_UNAVAILABLE ? us : 0;
    b->gap_us = kind == QUIET_GAP ? us : 0;
    if (kind != QUIET_VALUE)
        return;
    b->value_us = us;
    b->has_first = b->has_last = true;
    b->has_increase = class_counts(self->head.class);
    if (self->head.class == CLASS_STATES) {
        b->first_state = b->last_state = self->before_text;
        add_duration(self, self->before_text, us);
        return;
    }
    b->has_range = true;
    b->first = b->last = b->min = b->max = self->before_number;
    b->integral = self->before_number * (double)us;
    if (self->head.class == CLASS_ANGLE)
        angle_of(self->before_number, us, &b->sine, &b->cosine);
}

static void get_busy(rollup_reader_t *self, unsigned flags, int64_t us)
{
    struct bucket *b = &self->bucket;
    struct unpack *times = &self->columns[COLUMN_TIME];
    b->count = (int64_t)(unpack_number(&self->columns[COLUMN_COUNT]) & INT32_MAX);
    b->value_us = flags & ROLLUP_WHOLE ? us : (int64_t)(unpack_number(times) & INT64_MAX);
    b->unavailable_us = flags & ROLLUP_WHOLE ? 0 : (int64_t)(unpack_number(times) & INT64_MAX);
    if (b->value_us > us || b->unavailable_us > us - b->value_us) {
        times->bad = true;
        return;
    }
    b->gap_us = us - b->value_us - b->unavailable_us;
    b->has_first = (flags & ROLLUP_FIRST) != 0;
    b->has_last = (flags & ROLLUP_LAST) != 0;
    b->has_range = (flags & ROLLUP_RANGE) != 0;
    b->has_increase = class_counts(self->head.class) && (b->count > 0 || b->value_us > 0);
    if (self->head.class == CLASS_STATES)
        get_states(self, flags);
    else
        get_numbers(self, flags);
    if (flags & ROLLUP_RESETS)
        get_resets(self);
}

const struct bucket *rollup_reader_next(rollup_reader_t *self, int64_t from, int64_t to)
{
    int64_t us = to - from;
    if (self->at == self->head.buckets)
        return NULL;
    self->at++;
    self->bucket = (struct bucket){ .from = from, .to = to, .tier = self->head.tier };
    unsigned flags = *(const uint8_t *)unpack_bytes(&self->columns[COLUMN_FLAGS], 1);
    if (flags & ROLLUP_QUIET)
        get_quiet(self, flags & ~(unsigned)ROLLUP_QUIET, us);
    else
        get_busy(self, flags, us);
    bool is_bad = false;
    for (int i = 0; i < COLUMNS; i++)
        is_bad |= self->columns[i].bad;
    if (is_bad)
        self->at = self->head.buckets;
    return is_bad ? NULL : &self->bucket;
}
