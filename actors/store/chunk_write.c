/* chunk_write.c - many rows of one series become two halves of a chunk. */
#include "chunk_inside.h"

#include "event_id.h"

#include <stdlib.h>
#include <zstd.h>

enum { COLUMNS = (int)REST_COLUMNS > (int)MAIN_COLUMNS ? (int)REST_COLUMNS : (int)MAIN_COLUMNS };
enum { LEVEL = 3, TRIAL_LEVEL = 1, WORTH = 16, WORTH_OF = 16 /* a frame is packed to save so many bytes, and one more for so many rows */, RARE_OF = 50 /* decimals that fewer rows have than one in so many become texts */ };

struct writing {
    struct chunk_tools *tools;
    bool is_state;
    const struct chunk_row *rows;
    size_t count;
    struct body_parts *parts;       /* of each row */
    int64_t *numbers, *words;       /* room for one a row; the word of each */
    msgpack_sbuffer columns[COLUMNS], bits[COLUMNS]; /* a column, and what of it stands outside of the frame */
    msgpack_sbuffer tail, body, trial;
    struct texts_writer texts;
    unsigned decimals;              /* of scaled numbers */
    size_t word_count;
};

/* --- the frame ------------------------------------------------------------------------------------ */

/* At its front there is room for the bytes. */
static struct slice pack_frame(struct writing *w, const msgpack_sbuffer *plain, int level, msgpack_sbuffer *room)
{
    size_t most = ZSTD_compressBound(plain->size);
    if (room->alloc < most) {
        room->data = realloc(room->data, most);
        room->alloc = most;
        assert(room->data);
    }
    if (!w->tools->packing)
        w->tools->packing = ZSTD_createCCtx();
    assert(w->tools->packing);
    size_t size = ZSTD_compressCCtx(w->tools->packing, room->data, most, plain->data, plain->size, level);
    assert(!ZSTD_isError(size));
    return (struct slice){ room->data, size };
}

/* Version, sizes, the columns packed, and what cannot be packed behind them. */
static void write_half(struct writing *w, size_t columns, msgpack_sbuffer *out)
{
    uint8_t version = CHUNK_VERSION;
    msgpack_sbuffer plain;
    msgpack_sbuffer_init(&plain);
    pack_number(&plain, columns);
    for (size_t i = 0; i < columns; i++)
        pack_slice(&plain, (struct slice){ w->columns[i].data, w->columns[i].size });
    struct slice frame = pack_frame(w, &plain, LEVEL, &w->trial);
    if (frame.size + WORTH + w->count / WORTH_OF > plain.size)
        frame = (struct slice){ plain.data, plain.size };
    msgpack_sbuffer_clear(out);
    pack_bytes(out, &version, 1);
    pack_number(out, plain.size);
    pack_slice(out, frame);
    for (size_t i = 0; i < columns; i++)
        pack_bytes(out, w->bits[i].data, w->bits[i].size);
    pack_bytes(out, w->tail.data, w->tail.size);
    msgpack_sbuffer_destroy(&plain);
    for (size_t i = 0; i < columns; i++) {
        msgpack_sbuffer_clear(&w->columns[i]);
        msgpack_sbuffer_clear(&w->bits[i]);
    }
    msgpack_sbuffer_clear(&w->tail);
}

/* Whether a quarter of the bytes begin what stood there before, by a short memory: else packing them does not halve them. */
static bool repeats(const msgpack_sbuffer *bytes)
{
    uint32_t seen[256] = { 0 }, four;
    size_t again = 0;
    for (size_t i = 0; i + sizeof four <= bytes->size; i++) {
        memcpy(&four, bytes->data + i, sizeof four);
        uint32_t *slot = &seen[four * 2654435761u >> 24];
        again += *slot == four;
        *slot = four;
    }
    return again * 4 >= bytes->size;
}

/* In bits, which are read at once; but where rows repeat others and pack to far less, as bytes in the frame. */
static void put_numbers(struct writing *w, size_t column, bool with_stops, const int64_t *values, size_t count)
{
    struct numbers_plan plan = numbers_plan(values, count);
    bool in_bits = true;
    if (plan.bytes > WORTH) {
        msgpack_sbuffer bytes;
        msgpack_sbuffer_init(&bytes);
        numbers_write(&plan, values, count, false, &bytes, NULL);
        in_bits = !repeats(&bytes) || pack_frame(w, &bytes, TRIAL_LEVEL, &w->trial).size > plan.bytes / 2;
        msgpack_sbuffer_destroy(&bytes);
    }
    numbers_write(&plan, values, count, with_stops, &w->columns[column], in_bits ? &w->bits[column] : NULL);
}

/* --- main: times and states -------------------------------------------------------------------------- */

static bool row_number(const struct body_parts *p, int64_t *whole, unsigned *decimals)
{
    return has_state(p) && decimal_read(p->state, whole, decimals);
}

/* As many as all but a few rows need. */
static unsigned choose_decimals(const struct writing *w)
{
    size_t having[DECIMALS_MAX + 1] = { 0 }, numbers = 0, more = 0;
    int64_t whole;
    unsigned decimals;
    for (size_t i = 0; i < w->count; i++)
        if (row_number(&w->parts[i], &whole, &decimals)) {
            having[decimals]++;
            numbers++;
        }
    for (decimals = DECIMALS_MAX; decimals > 0; decimals--) {
        more += having[decimals];
        if (more > numbers / RARE_OF)
            return decimals;
    }
    return 0;
}

static bool scale(const struct body_parts *p, unsigned to, int64_t *scaled, unsigned *decimals)
{
    int64_t whole;
    if (!row_number(p, &whole, decimals) || *decimals > to)
        return false;
    int64_t limit = DECIMAL_LIMIT / powers_of_ten[to - *decimals];
    *scaled = whole * powers_of_ten[to - *decimals];
    return whole < limit && whole > -limit;
}

/* Without the zeros at its end, but for `least`. */
static unsigned short_decimals(int64_t scaled, unsigned decimals, unsigned least)
{
    while (decimals > least && scaled % 10 == 0) {
        scaled /= 10;
        decimals--;
    }
    return decimals;
}

/* The texts of the others, each once. */
static void write_words(struct writing *w)
{
    struct texts_writer texts = { .bytes = &w->columns[MAIN_TEXTS] };
    msgpack_sbuffer codes;
    int64_t scaled;
    unsigned decimals;
    msgpack_sbuffer_init(&codes);
    for (size_t i = 0; i < w->count; i++) {
        const struct body_parts *p = &w->parts[i];
        w->words[i] = !has_state(p) ? WORD_REMOVED : WORD_NUMBER;
        if (!has_state(p) || scale(p, w->decimals, &scaled, &decimals))
            continue;
        w->words[i] = (int64_t)(WORD_TEXTS + texts_add(&texts, &codes, p->state, false));
    }
    w->word_count = WORD_TEXTS + texts.count;
    runs_write(w->words, w->count, &w->columns[MAIN_WORDS], &w->bits[MAIN_WORDS]);
    texts_close(&texts);
    msgpack_sbuffer_destroy(&codes);
}

/* The least decimals by which most rows are as they are written. */
static unsigned choose_least(const struct writing *w)
{
    size_t as_written[DECIMALS_MAX + 1] = { 0 };
    unsigned best = 0, decimals = 0;
    int64_t scaled;
    for (size_t i = 0; i < w->count; i++) {
        if (w->words[i] != WORD_NUMBER || !scale(&w->parts[i], w->decimals, &scaled, &decimals))
            continue;
        for (unsigned least = 0; least <= w->decimals; least++)
            as_written[least] += short_decimals(scaled, w->decimals, least) == decimals;
    }
    for (unsigned least = 1; least <= w->decimals; least++)
        if (as_written[least] > as_written[best])
            best = least;
    return best;
}

static void write_scaled(struct writing *w, unsigned least, struct chunk_summary *summary)
{
    struct few_writer others = { .out = &w->columns[MAIN_DECIMALS] };
    size_t count = 0;
    unsigned decimals = 0;
    for (size_t i = 0; i < w->count; i++) {
        int64_t scaled = 0;
        if (w->words[i] != WORD_NUMBER || !scale(&w->parts[i], w->decimals, &scaled, &decimals))
            continue;
        if (short_decimals(scaled, w->decimals, least) != decimals)
            few_add(&others, i, decimals);
        double number = decimal_number(scaled, w->decimals);
        summary->min = count == 0 || number < summary->min ? number : summary->min;
        summary->max = count == 0 || number > summary->max ? number : summary->max;
        w->numbers[count++] = scaled;
    }
    summary->numbers = count;
    put_numbers(w, MAIN_SCALED, true, w->numbers, count);
}

/* What is not the value that stood beside the same word before. */
static void write_values(struct writing *w)
{
    struct few_writer others = { .out = &w->columns[MAIN_VALUE] };
    struct texts_writer texts = { .bytes = &w->columns[MAIN_VALUE_TEXTS] };
    struct slice *values = calloc(w->word_count, sizeof *values);
    assert(values);
    for (size_t i = 0; i < w->count; i++) {
        const struct body_parts *p = &w->parts[i];
        struct slice *value = &values[w->words[i]];
        if (p->flags == VERBATIM || !has_all(p->flags, HAS_VALUE, VALUE_IS_STATE) || slice_equal(p->value, *value))
            continue;
        few_add(&others, i, texts_code(&texts, p->value));
        *value = p->value; /* which stays as long as the rows do */
    }
    texts_close(&texts);
    free(values);
}

/* What tells of a row's times, and what else its body holds. */
static void write_flags(struct writing *w)
{
    struct few_writer shifts = { .out = &w->columns[MAIN_SHIFT] };
    struct expected x = { 0 };
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct body_parts *p = &w->parts[i];
        if (w->rows[i].shift != 0)
            few_add(&shifts, i, fold((uint64_t)w->rows[i].shift));
        int64_t lasted = p->flags == VERBATIM ? 0 : expected_lasted(&x, w->rows[i].at, p);
        if (p->flags != VERBATIM && has_all(p->flags, HAS_CHANGED_AT, CHANGED_IS_AT))
            w->numbers[count++] = lasted;
    }
    put_numbers(w, MAIN_CHANGED, true, w->numbers, count);
    for (size_t i = 0; i < w->count; i++)
        w->numbers[i] = w->parts[i].flags;
    runs_write(w->numbers, w->count, &w->columns[MAIN_FLAGS], &w->bits[MAIN_FLAGS]);
}

static void write_main(struct writing *w, msgpack_sbuffer *out, struct chunk_summary *summary)
{
    w->decimals = choose_decimals(w);
    write_words(w);
    unsigned least = choose_least(w);
    write_scaled(w, least, summary);
    for (size_t i = 0; i < w->count; i++)
        w->numbers[i] = w->rows[i].at;
    put_numbers(w, MAIN_AT, true, w->numbers, w->count);
    for (size_t i = 0; i < w->count; i++)
        w->numbers[i] = w->parts[i].snapshot;
    runs_write(w->numbers, w->count, &w->columns[MAIN_SNAPSHOTS], &w->bits[MAIN_SNAPSHOTS]);
    for (size_t i = 0; i < w->count; i++)
        w->numbers[i] = w->parts[i].attributes;
    runs_write(w->numbers, w->count, &w->columns[MAIN_ATTRIBUTES], &w->bits[MAIN_ATTRIBUTES]);
    write_flags(w);
    write_values(w);
    pack_number(&w->columns[MAIN_HEAD], w->count);
    pack_number(&w->columns[MAIN_HEAD], w->decimals);
    pack_number(&w->columns[MAIN_HEAD], least);
    write_half(w, MAIN_COLUMNS, out);
}

/* --- rest: what every row has --------------------------------------------------------------------------- */

int32_t expected_rest(bool is_state, const struct body_parts *p)
{
    char room[CONTEXT_TEXT];
    const struct context_part *part = &p->contexts[OWN_CONTEXT];
    uint64_t rest = hash_bytes(HASH_SEED, is_state && !(p->flags & HAS_STATE) ? slice_of("removed") : slice_of(""));
    if (part->form == TEXT_CONTEXT) {
        rest = hash_bytes(rest, part->text);
    } else if (part->form != NO_CONTEXT) {
        struct context c = { .form = part->form == NEAR_ULID ? FAR_ULID : part->form };
        memcpy(c.bytes, part->bytes, sizeof c.bytes);
        rest = hash_bytes(rest, (struct slice){ room, context_text(&c, room) });
    }
    if (!is_state && p->flags & HAS_DATA)
        rest = hash_bytes(rest, p->data);
    return (int32_t)(uint32_t)(rest ^ rest >> 32);
}

static void write_keys(struct writing *w)
{
    struct few_writer keys = { .out = &w->columns[REST_KEY] };
    for (size_t i = 0; i < w->count; i++) {
        const struct chunk_row *row = &w->rows[i];
        int32_t rest = w->parts[i].flags == VERBATIM ? 0 : expected_rest(w->is_state, &w->parts[i]);
        if (row->rest != rest)
            few_add(&keys, i, (uint32_t)row->rest - (uint32_t)rest);
    }
    for (size_t i = 0; i < w->count; i++)
        w->numbers[i] = w->rows[i].place;
    put_numbers(w, REST_PLACE, false, w->numbers, w->count);
}

/* What came live came behind the event; what history gave came all at once. */
static void write_received(struct writing *w)
{
    size_t bytes[2];
    uint8_t way = RECEIVED_WHEN;
    int64_t *behind = malloc(w->count * sizeof *behind);
    assert(behind);
    for (size_t i = 0; i < w->count; i++) {
        behind[i] = w->parts[i].received;
        w->numbers[i] = (int64_t)((uint64_t)w->rows[i].at + (uint64_t)w->parts[i].received);
    }
    bytes[RECEIVED_BEHIND] = numbers_plan(behind, w->count).bytes;
    bytes[RECEIVED_WHEN] = numbers_plan(w->numbers, w->count).bytes;
    if (bytes[RECEIVED_BEHIND] <= bytes[RECEIVED_WHEN])
        way = RECEIVED_BEHIND;
    pack_bytes(&w->columns[REST_RECEIVED], &way, 1);
    put_numbers(w, REST_RECEIVED, false, way == RECEIVED_WHEN ? w->numbers : behind, w->count);
    free(behind);
}

/* --- rest: what some rows have ---------------------------------------------------------------------------- */

/* A number of those rows whose flags say that it is written. */
static void write_some(struct writing *w, enum rest_column column, uint32_t has, uint32_t without, size_t member)
{
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++)
        if (w->parts[i].flags != VERBATIM && has_all(w->parts[i].flags, has, without))
            memcpy(&w->numbers[count++], (const char *)&w->parts[i] + member, sizeof *w->numbers);
    if (column == REST_READINGS || column == REST_USERS)
        runs_write(w->numbers, count, &w->columns[column], NULL);
    else
        put_numbers(w, column, false, w->numbers, count);
}

static void write_times(struct writing *w)
{
    struct expected x = { 0 };
    size_t durations = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct body_parts *p = &w->parts[i];
        int64_t expected = p->flags == VERBATIM ? 0 : expected_lasted(&x, w->rows[i].at, p);
        if (p->flags & DURATION_IN_US)
            w->numbers[durations++] = (int64_t)(p->duration_us - (uint64_t)expected);
    }
    put_numbers(w, REST_DURATION, false, w->numbers, durations);
    write_some(w, REST_UPDATED, HAS_UPDATED, UPDATED_IS_AT, offsetof(struct body_parts, updated));
    write_some(w, REST_REPORTED, HAS_REPORTED, REPORTED_IS_AT, offsetof(struct body_parts, reported));
    write_some(w, REST_READINGS, HAS_READINGS, 0, offsetof(struct body_parts, readings));
    write_some(w, REST_USERS, HAS_USER, 0, offsetof(struct body_parts, user));
}

static void write_context(struct writing *w, struct expected *x, int which, const struct context_part *c, int64_t timestamp)
{
    msgpack_sbuffer *codes = &w->columns[REST_CONTEXTS];
    struct context_part again = *c;
    if (c->form == NO_CONTEXT)
        return;
    if (c->form == TEXT_CONTEXT) {
        texts_add(&w->texts, &w->columns[REST_CONTEXT_TEXT], c->text, false);
        return;
    }
    if (c->form == NEAR_ULID)
        set_late(&again, timestamp);
    if (x->has_context[which] && memcmp(x->contexts[which], c->bytes, 16) == 0 && again.late_ms == c->late_ms) {
        pack_number(codes, 0);
    } else {
        pack_number(codes, 1 + c->late_ms);
        pack_bytes(&w->tail, c->bytes + (c->form == NEAR_ULID ? 6 : 0), c->form == NEAR_ULID ? 10 : 16);
    }
    memcpy(x->contexts[which], c->bytes, 16);
    x->has_context[which] = true;
}

static bool is_text(struct slice a, struct slice b)
{
    return slice_equal(a, b);
}

static void write_texts(struct writing *w, struct expected *x, size_t i)
{
    const struct body_parts *p = &w->parts[i];
    if (p->flags == VERBATIM) {
        texts_add(&w->texts, &w->columns[REST_VERBATIM], w->rows[i].body, false);
        return;
    }
    if (has_all(p->flags, HAS_OLD, OLD_IS_STATE))
        texts_add(&w->texts, &w->columns[REST_OLD], p->old_state, is_text(p->old_state, x->state));
    if (p->flags & HAS_DATA)
        texts_add(&w->texts, &w->columns[REST_DATA], p->data, false);
    x->state = p->state;
}

/* --- canonical values ----------------------------------------------------------------------------------------- */

/* Those of units that there are; the chunk holds the one that was found, so more of them may come. */
static const struct formula formulas[] = {
    { 0, 1, 1000 }, { 0, 1000, 1 }, { 0, 1000000, 1 }, { 32, 5, 9 }, { 0, 1, 3.6 }, { 273.15, 1, 1 }, { 0, 1, 100 }, { 0, 1, 1000000 },
    { 0, 60, 1 }, { 0, 3600, 1 }, { 0, 86400, 1 }, { 0, 604800, 1 }, { 0, 10, 1 }, { 0, 1, 3600 }, { 0, 1, 3600000 }, { 0, 1000, 3.6 },
    { 0, 1000000000, 1 }, { 0, 1000000000000, 1 }, { 0, 1852, 3600 }, { 0, 0.44704, 1 }, { 0, 0.3048, 1 }, { 0, 0.0254, 1 }, { 0, 25.4, 1 },
    { 0, 25.4, 24 }, { 0, 1, 24 }, { 0, 1, 60 }, { 0, 60, 1000 }, { 0, 3.6, 1 }, { 0, 33.86388640341, 1 }, { 0, 68.94757293168361, 1 },
    { 0, 1.33322387415, 1 }, { 0, 2.4908891, 1 }, { 0, 10000, 1 }, { 0, 1609.344, 1 }, { 0, 1852, 1 }, { 0, 0.9144, 1 }, { 0, 0.45359237, 1 },
    { 0, 0.028349523125, 1 }, { 0, 6.35029318, 1 }, { 0, 2.8316846592, 1 }, { 0, 28.316846592, 1 }, { 0, 0.028316846592, 1 },
    { 0, 0.003785411784, 1 }, { 0, 0.22712470704, 1 }, { 0, 1.69901079552, 1 }, { 0, 0.0000295735295625, 1 }, { 0, 4.184, 3600000 },
    { 0, 4184, 3.6 }, { 0, 4.184, 3.6 }, { 0, 4.184, 3600 }, { 0, 3.15459074506305, 1 }, { 0, 1, 1000000000 },
};

static bool has_canonical(const struct body_parts *p)
{
    return p->flags != VERBATIM && has_all(p->flags, HAS_CANONICAL, CANONICAL_IS_VALUE);
}

static bool formula_fits(const struct formula *f, const struct body_parts *p)
{
    double value;
    if (!number_read(p->flags & VALUE_IS_STATE ? p->state : p->value, &value))
        return false;
    double canonical = formula_apply(f, value);
    return memcmp(&canonical, &p->canonical, sizeof canonical) == 0;
}

/* A formula that holds for the first number that is none of itself; NULL: none is known. */
static const struct formula *find_formula(const struct writing *w)
{
    for (size_t i = 0, tries = 0; i < w->count && tries < 3; i++) {
        if (!has_canonical(&w->parts[i]))
            continue;
        tries++;
        for (size_t f = 0; f < sizeof formulas / sizeof *formulas; f++)
            if (formula_fits(&formulas[f], &w->parts[i]))
                return &formulas[f];
    }
    return NULL;
}

static void write_reals(struct writing *w, const struct formula *formula, const struct body_parts *p)
{
    if (p->flags != VERBATIM && has_all(p->flags, HAS_DURATION, DURATION_IN_US))
        pack_bytes(&w->tail, &p->duration, sizeof p->duration);
    if (!has_canonical(p))
        return;
    bool fits = formula && formula_fits(formula, p);
    pack_number(&w->columns[REST_CANONICAL], !fits);
    if (!fits)
        pack_bytes(&w->tail, &p->canonical, sizeof p->canonical);
}

static void write_rest(struct writing *w, msgpack_sbuffer *out)
{
    struct expected x = { 0 };
    const struct formula *formula = find_formula(w);
    write_keys(w);
    write_received(w);
    write_times(w);
    w->texts = (struct texts_writer){ .bytes = &w->columns[REST_TEXTS] };
    if (formula)
        pack_bytes(&w->columns[REST_FORMULA], formula, sizeof *formula);
    for (size_t i = 0; i < w->count; i++) {
        const struct body_parts *p = &w->parts[i];
        for (int which = 0; p->flags != VERBATIM && which < CONTEXTS; which++)
            write_context(w, &x, which, &p->contexts[which], w->rows[i].at + w->rows[i].shift);
        write_texts(w, &x, i);
        write_reals(w, formula, p);
    }
    texts_close(&w->texts);
    write_half(w, REST_COLUMNS, out);
}

/* --- all of it ------------------------------------------------------------------------------------------------- */

/* A body that would not come back as it was is kept as it is. */
static void take_apart(struct writing *w, size_t i)
{
    const struct chunk_row *row = &w->rows[i];
    struct body_parts *p = &w->parts[i];
    bool is_read = parts_read(row->body, row->at + row->shift, p) == 0;
    msgpack_sbuffer_clear(&w->body);
    if (is_read)
        parts_write(p, &w->body);
    if (is_read && slice_equal(row->body, (struct slice){ w->body.data, w->body.size }))
        return;
    struct row_state state;
    *p = (struct body_parts){ .flags = VERBATIM };
    if (body_state(row->body, &state) == 0 && state.has_state)
        *p = (struct body_parts){ .flags = VERBATIM, .state = state.state, .snapshot = state.snapshot, .attributes = state.attributes };
}

void chunk_write(struct chunk_tools *tools, bool is_state, const struct chunk_row *rows, size_t count, msgpack_sbuffer *main, msgpack_sbuffer *rest,
                 struct chunk_summary *summary)
{
    struct writing w = { .tools = tools, .is_state = is_state, .rows = rows, .count = count, .parts = malloc(count * sizeof *w.parts),
        .numbers = malloc(count * sizeof *w.numbers), .words = malloc(count * sizeof *w.words) };
    assert(count > 0 && count <= CHUNK_ROWS_MAX && w.parts && w.numbers && w.words);
    *summary = (struct chunk_summary){ .first = rows[0].at, .last = rows[count - 1].at, .rows = count };
    for (int i = 0; i < COLUMNS; i++) {
        msgpack_sbuffer_init(&w.columns[i]);
        msgpack_sbuffer_init(&w.bits[i]);
    }
    msgpack_sbuffer_init(&w.trial);
    msgpack_sbuffer_init(&w.tail);
    msgpack_sbuffer_init(&w.body);
    for (size_t i = 0; i < count; i++)
        take_apart(&w, i);
    write_main(&w, main, summary);
    write_rest(&w, rest);
    for (int i = 0; i < COLUMNS; i++) {
        msgpack_sbuffer_destroy(&w.columns[i]);
        msgpack_sbuffer_destroy(&w.bits[i]);
    }
    msgpack_sbuffer_destroy(&w.trial);
    msgpack_sbuffer_destroy(&w.tail);
    msgpack_sbuffer_destroy(&w.body);
    free(w.parts);
    free(w.numbers);
    free(w.words);
}
