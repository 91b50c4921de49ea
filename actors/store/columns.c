/* columns.c - how a chunk keeps one thing of many rows: numbers, what repeats, the few that differ, texts. */
#include "columns.h"

#include "event_id.h"

#include <stdlib.h>

enum { LOOK_BACK = 255 }; /* what is older is written again */

/* --- numbers ------------------------------------------------------------------------------------- */

/* The one that would stand at `nth` if they were in order; they are moved about. */
static int64_t nth_of(int64_t *values, size_t count, size_t nth)
{
    size_t from = 0, to = count - 1;
    while (from < to) {
        int64_t pivot = values[from + (to - from) / 2];
        size_t left = from, right = to;
        for (;;) {
            while (values[left] < pivot)
                left++;
            while (values[right] > pivot)
                right--;
            if (left >= right)
                break;
            int64_t value = values[left];
            values[left++] = values[right];
            values[right--] = value;
        }
        if (nth <= right)
            to = right;
        else
            from = right + 1;
    }
    return values[nth];
}

static uint64_t difference(const int64_t *values, size_t i)
{
    return (uint64_t)values[i] - (uint64_t)values[i - 1];
}

/* What a form needs to know: the least value, the least difference, the difference in the middle, the first one. */
static void find_bases(const int64_t *values, size_t count, uint64_t bases[NUMBERS_FORMS])
{
    int64_t least = values[0], least_step = count > 1 ? (int64_t)difference(values, 1) : 0, *steps = malloc(count * sizeof *steps);
    assert(steps);
    for (size_t i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        steps[i - 1] = (int64_t)difference(values, i);
        least_step = steps[i - 1] < least_step ? steps[i - 1] : least_step;
    }
    bases[NUMBERS_PLAIN] = (uint64_t)least;
    bases[NUMBERS_RISING] = (uint64_t)least_step;
    bases[NUMBERS_STEADY] = bases[NUMBERS_SECOND] = count > 1 ? (uint64_t)nth_of(steps, count - 1, (count - 1) / 2) : 0;
    free(steps);
}

/* Of all values but the first, what is written of each. */
static void write_codes(const int64_t *values, size_t count, enum numbers_form form, uint64_t base, uint64_t *codes)
{
    uint64_t before = base;
    for (size_t i = 1; i < count && form == NUMBERS_PLAIN; i++)
        codes[i] = (uint64_t)values[i] - base;
    for (size_t i = 1; i < count && form == NUMBERS_RISING; i++)
        codes[i] = difference(values, i) - base;
    for (size_t i = 1; i < count && form == NUMBERS_STEADY; i++)
        codes[i] = fold(difference(values, i) - base);
    for (size_t i = 1; i < count && form == NUMBERS_SECOND; i++) {
        codes[i] = fold(difference(values, i) - before);
        before = difference(values, i);
    }
}

static uint64_t bits(uint64_t n)
{
    return n ? 64 - (uint64_t)__builtin_clzll(n) : 0;
}

/* Of each form, how many bits its codes have. */
static void find_costs(const int64_t *values, size_t count, const uint64_t bases[NUMBERS_FORMS], uint64_t costs[NUMBERS_FORMS])
{
    uint64_t plain = 0, rising = 0, steady = 0, second = 0, before = bases[NUMBERS_SECOND];
    for (size_t i = 1; i < count; i++) {
        uint64_t step = difference(values, i);
        plain += bits((uint64_t)values[i] - bases[NUMBERS_PLAIN]);
        rising += bits(step - bases[NUMBERS_RISING]);
        steady += bits(fold(step - bases[NUMBERS_STEADY]));
        second += bits(fold(step - before));
        before = step;
    }
    costs[NUMBERS_PLAIN] = plain;
    costs[NUMBERS_RISING] = rising;
    costs[NUMBERS_STEADY] = steady;
    costs[NUMBERS_SECOND] = second;
}

static uint64_t bits_of_codes(const uint64_t *codes, size_t count, unsigned low)
{
    uint64_t cost = 0;
    for (size_t i = 1; i < count; i++) {
        uint64_t zeros = codes[i] >> low;
        cost += zeros < BITS_ESCAPE ? zeros + 1 + low : BITS_ESCAPE + 1 + 64;
    }
    return cost;
}

/* How many low bits are best written as they are. */
static void choose_low(const uint64_t *codes, size_t count, struct numbers_plan *plan)
{
    enum { AROUND = 3 }; /* below the mean */
    uint64_t least = UINT64_MAX;
    double mean = 0;
    unsigned middle = 0;
    for (size_t i = 1; i < count; i++)
        mean += (double)codes[i];
    for (mean /= (double)count; mean >= 1; mean /= 2)
        middle++;
    for (unsigned low = middle > AROUND ? middle - AROUND : 0; low <= middle + 1 && low < BITS_NONE; low++) {
        uint64_t cost = bits_of_codes(codes, count, low);
        if (cost >= least)
            continue;
        least = cost;
        plan->low = low;
    }
    plan->bytes = (size_t)(least + 7) / 8;
}

static uint64_t *room_for_codes(size_t count)
{
    uint64_t *codes = malloc((count + 1) * sizeof *codes);
    assert(codes);
    return codes;
}

struct numbers_plan numbers_plan(const int64_t *values, size_t count)
{
    uint64_t bases[NUMBERS_FORMS], costs[NUMBERS_FORMS];
    struct numbers_plan plan = { .low = BITS_NONE };
    if (count == 0)
        return plan;
    find_bases(values, count, bases);
    find_costs(values, count, bases, costs);
    for (enum numbers_form form = NUMBERS_PLAIN; form < NUMBERS_FORMS; form++)
        if (costs[form] < costs[plan.form])
            plan.form = form;
    plan.base = bases[plan.form];
    if (costs[plan.form] == 0)
        return plan;
    uint64_t *codes = room_for_codes(count);
    write_codes(values, count, plan.form, plan.base, codes);
    choose_low(codes, count, &plan);
    free(codes);
    return plan;
}

struct bits_writer { msgpack_sbuffer *out; uint64_t held; unsigned count; };

static void bits_add(struct bits_writer *w, uint64_t bits, unsigned count) /* 32 at most */
{
    w->held |= bits << w->count;
    w->count += count;
    if (w->count < 32)
        return;
    uint32_t full = (uint32_t)w->held;
    pack_bytes(w->out, &full, sizeof full);
    w->held >>= 32;
    w->count -= 32;
}

static void bits_add_long(struct bits_writer *w, uint64_t bits, unsigned count)
{
    unsigned first = count < 32 ? count : 32;
    bits_add(w, bits & ((UINT64_C(1) << first) - 1), first);
    if (count > 32)
        bits_add(w, bits >> 32 & ((UINT64_C(1) << (count - 32)) - 1), count - 32);
}

/* Where a reader may begin: behind a value. */
struct stop { uint64_t value, difference; size_t bit; };

static void stop_write(struct stop *before, const struct stop *stop, enum numbers_form form, msgpack_sbuffer *out)
{
    pack_signed(out, (int64_t)(stop->value - before->value));
    if (form == NUMBERS_SECOND)
        pack_signed(out, (int64_t)(stop->difference - before->difference));
    pack_number(out, stop->bit - before->bit);
    *before = *stop;
}

static bool stop_read(struct numbers *n, struct stop *stop)
{
    if (n->in.at == n->in.end || n->in.bad)
        return false;
    stop->value += (uint64_t)unpack_signed(&n->in);
    if (n->form == NUMBERS_SECOND)
        stop->difference += (uint64_t)unpack_signed(&n->in);
    stop->bit += unpack_number(&n->in);
    n->in.bad |= stop->bit > n->bit_end;
    return !n->in.bad;
}

static void stand_at(struct numbers *n, const struct stop *stop)
{
    n->value = stop->value;
    n->difference = stop->difference;
    n->bit = stop->bit;
    n->has_first = true;
}

/* Through a copy, which no byte that is read can be a part of: so it stays in registers. */
static void go_on(struct numbers *n, size_t count)
{
    struct numbers own = *n;
    for (; count > 0; count--)
        numbers_next(&own);
    *n = own;
}

static size_t go_on_until(struct numbers *n, int64_t limit, size_t most)
{
    struct numbers own = *n;
    size_t passed = 0;
    uint64_t last = own.value;
    for (; passed < most && !own.in.bad && numbers_next(&own) <= limit; passed++)
        last = own.value;
    own.value = last;
    *n = own;
    return passed;
}

void numbers_pass(struct numbers *n, size_t count)
{
    struct stop stop = { .value = n->value, .difference = n->difference };
    size_t passed = 0;
    if (n->has_first) {
        go_on(n, count);
        return;
    }
    if (count == 0)
        return;
    for (; n->in_bits && count - passed > BITS_STRIDE && stop_read(n, &stop); passed += BITS_STRIDE)
        stand_at(n, &stop);
    passed += n->has_first;
    go_on(n, count > passed ? count - passed : 0);
}

size_t numbers_pass_until(struct numbers *n, int64_t limit, size_t most)
{
    struct stop stop = { .value = n->value, .difference = n->difference };
    size_t passed = 0;
    if (most == 0 || (int64_t)n->value > limit)
        return 0;
    while (n->in_bits && most - passed > BITS_STRIDE && stop_read(n, &stop) && (int64_t)stop.value <= limit) {
        stand_at(n, &stop);
        passed += BITS_STRIDE;
    }
    n->has_first = true;
    return passed + 1 + go_on_until(n, limit, most - passed - 1);
}

static void bits_write(const struct numbers_plan *plan, const int64_t *values, const uint64_t *codes, size_t count, msgpack_sbuffer *out, msgpack_sbuffer *stops)
{
    struct bits_writer w = { .out = out };
    struct stop before = { .value = (uint64_t)values[0], .difference = plan->base };
    size_t begin = out->size;
    for (size_t i = 1; i < count; i++) {
        uint64_t code = codes[i], zeros = code >> plan->low;
        bool is_long = zeros >= BITS_ESCAPE;
        zeros = is_long ? BITS_ESCAPE : zeros;
        bits_add(&w, UINT64_C(1) << zeros, (unsigned)zeros + 1);
        bits_add_long(&w, code, is_long ? 64 : plan->low);
        if (i % BITS_STRIDE == 0)
            stop_write(&before, &(struct stop){ (uint64_t)values[i], difference(values, i), (out->size - begin) * 8 + w.count }, plan->form, stops);
    }
    pack_bytes(out, &w.held, (w.count + 7) / 8);
}

static void all_bits_write(const struct numbers_plan *plan, const int64_t *values, const uint64_t *codes, size_t count, bool with_stops, msgpack_sbuffer *out,
                           msgpack_sbuffer *bits)
{
    uint8_t low = (uint8_t)plan->low;
    size_t before = bits->size;
    msgpack_sbuffer stops;
    msgpack_sbuffer_init(&stops);
    if (plan->low != BITS_NONE)
        bits_write(plan, values, codes, count, bits, &stops);
    pack_bytes(out, &low, 1);
    pack_number(out, bits->size - before);
    if (with_stops)
        pack_bytes(out, stops.data, stops.size);
    msgpack_sbuffer_destroy(&stops);
}

void numbers_write(const struct numbers_plan *plan, const int64_t *values, size_t count, bool with_stops, msgpack_sbuffer *out, msgpack_sbuffer *bits)
{
    uint8_t form = (uint8_t)(plan->form + (bits ? NUMBERS_IN_BITS : 0));
    if (count == 0)
        return;
    uint64_t *codes = room_for_codes(count);
    write_codes(values, count, plan->form, plan->base, codes);
    pack_bytes(out, &form, 1);
    pack_signed(out, (int64_t)plan->base);
    pack_signed(out, values[0]);
    for (size_t i = 1; i < count && !bits; i++)
        pack_number(out, codes[i]);
    if (bits)
        all_bits_write(plan, values, codes, count, with_stops, out, bits);
    free(codes);
}

/* --- runs ------------------------------------------------------------------------------------------ */

static size_t count_runs(const int64_t *values, size_t count)
{
    size_t runs = count > 0;
    for (size_t i = 1; i < count; i++)
        runs += values[i] != values[i - 1];
    return runs;
}

/* How far back it was new, counted from 1; 0: too far, or never. */
static size_t look_back(const int64_t *seen, size_t count, int64_t value)
{
    for (size_t back = 1; back <= count && back <= LOOK_BACK; back++)
        if (seen[count - back] == value)
            return back;
    return 0;
}

enum { CHOICES = 16, RUNS_IN_PARTS = 0 /* in place of a width */ };

/* How many bits say which of the values it is, if that takes less than so many bytes; 0: it does not. */
static unsigned choose_width(const int64_t *values, size_t count, size_t bytes, int64_t seen[CHOICES], size_t *known)
{
    *known = 0;
    for (size_t i = 0; i < count; i++) {
        size_t which = 0;
        while (which < *known && seen[which] != values[i])
            which++;
        if (which == CHOICES)
            return 0;
        if (which == *known)
            seen[(*known)++] = values[i];
    }
    unsigned width = *known <= 2 ? 1 : *known <= 4 ? 2 : 4;
    return count * width / 8 + *known * 2 < bytes ? width : 0;
}

static void choices_write(const int64_t *values, size_t count, unsigned width, const int64_t *seen, size_t known, msgpack_sbuffer *out, msgpack_sbuffer *bits)
{
    uint8_t byte = (uint8_t)width;
    msgpack_sbuffer list;
    msgpack_sbuffer_init(&list);
    for (size_t i = 0; i < known; i++)
        pack_signed(&list, seen[i]);
    pack_bytes(out, &byte, 1);
    pack_slice(out, (struct slice){ list.data, list.size });
    pack_number(out, (count * width + 7) / 8);
    msgpack_sbuffer_destroy(&list);
    unsigned held = 0;
    byte = 0;
    for (size_t i = 0; i < count; i++) {
        size_t which = 0;
        while (seen[which] != values[i])
            which++;
        byte = (uint8_t)(byte | which << held);
        held += width;
        if (held < 8 && i + 1 < count)
            continue;
        pack_bytes(bits, &byte, 1);
        byte = 0;
        held = 0;
    }
}

/* Three parts, each behind its size: lengths, codes, new ones. */
static void parts_of_runs(const int64_t *values, size_t count, msgpack_sbuffer *out)
{
    size_t runs = count_runs(values, count), known = 0;
    int64_t *seen = malloc((runs + 1) * sizeof *seen), newest = 0;
    msgpack_sbuffer parts[3];
    assert(seen);
    for (int i = 0; i < 3; i++)
        msgpack_sbuffer_init(&parts[i]);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && values[next] == values[i]; next++)
            ;
        size_t back = look_back(seen, known, values[i]);
        pack_number(&parts[0], next - i - 1);
        pack_number(&parts[1], back);
        if (back == 0) {
            pack_signed(&parts[2], (int64_t)((uint64_t)values[i] - (uint64_t)newest));
            newest = seen[known++] = values[i];
        }
    }
    for (int i = 0; i < 3; i++) {
        pack_slice(out, (struct slice){ parts[i].data, parts[i].size });
        msgpack_sbuffer_destroy(&parts[i]);
    }
    free(seen);
}

void runs_write(const int64_t *values, size_t count, msgpack_sbuffer *out, msgpack_sbuffer *bits)
{
    int64_t seen[CHOICES];
    size_t known, before = out->size;
    uint8_t form = RUNS_IN_PARTS;
    pack_bytes(out, &form, 1);
    parts_of_runs(values, count, out);
    unsigned width = bits ? choose_width(values, count, out->size - before, seen, &known) : 0;
    if (width == 0)
        return;
    out->size = before;
    choices_write(values, count, width, seen, known, out, bits);
}

static void remember(struct runs *r, int64_t value)
{
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 64;
        r->seen = realloc(r->seen, r->room * sizeof *r->seen);
        assert(r->seen);
    }
    r->seen[r->count++] = value;
}

static void choices_open(struct runs *r, struct unpack *in, struct unpack *bits)
{
    struct unpack list = unpack_of(unpack_slice(in));
    while (list.at < list.end && !list.bad && r->count < CHOICES)
        remember(r, unpack_signed(&list));
    struct slice own = unpack_slice_from(in, bits);
    r->bits = own.data;
    r->rows = r->width ? own.size * 8 / r->width : 0;
    r->bad = in->bad || list.bad || (r->width != 1 && r->width != 2 && r->width != 4);
}

void runs_open(struct runs *r, struct slice column, struct unpack *bits)
{
    struct unpack in = unpack_of(column);
    *r = (struct runs){ .seen = r->seen, .room = r->room };
    if (column.size == 0)
        return;
    r->width = *(const uint8_t *)unpack_bytes(&in, 1);
    if (r->width != RUNS_IN_PARTS) {
        choices_open(r, &in, bits);
        return;
    }
    r->lengths = unpack_of(unpack_slice(&in));
    r->codes = unpack_of(unpack_slice(&in));
    r->fresh = unpack_of(unpack_slice(&in));
    r->bad = in.bad;
}

void runs_close(struct runs *r)
{
    free(r->seen);
    *r = (struct runs){ 0 };
}

static unsigned choice(const struct runs *r, size_t row)
{
    size_t bit = row * r->width;
    return (unsigned)(r->bits[bit >> 3] >> (bit & 7)) & ((1U << r->width) - 1);
}

static void choices_turn(struct runs *r)
{
    unsigned which = !r->bad && r->row < r->rows ? choice(r, r->row) : CHOICES;
    r->left = 1;
    r->row++;
    if (which < r->count) {
        r->value = r->seen[which];
        return;
    }
    r->bad = true;
    r->left = UINT64_MAX; /* nothing more is read */
}

void runs_turn_slowly(struct runs *r)
{
    if (r->width > 0) {
        choices_turn(r);
        return;
    }
    r->left = unpack_number(&r->lengths) + 1;
    uint64_t back = unpack_number(&r->codes);
    if (back == 0) {
        r->newest = (int64_t)((uint64_t)r->newest + (uint64_t)unpack_signed(&r->fresh));
        r->value = r->newest;
        remember(r, r->value);
    } else if (back <= r->count) {
        r->value = r->seen[r->count - back];
    } else {
        r->bad = true;
    }
    r->bad |= r->lengths.bad | r->codes.bad | r->fresh.bad;
    if (r->bad || r->left == 0) {
        r->bad = true;
        r->left = UINT64_MAX; /* nothing more is read */
    }
}

static size_t choices_pass(struct runs *r, size_t count, int64_t value)
{
    size_t which = 0, found = 0, end = r->row + count;
    if (r->bad || end > r->rows) {
        r->bad = true;
        return 0;
    }
    while (which < r->count && r->seen[which] != value)
        which++;
    if (which == r->count)
        r->row = end;
    while (r->row < end) {
        if (r->width > 1 || r->row % 64 != 0 || end - r->row < 64) {
            found += choice(r, r->row++) == which;
            continue;
        }
        uint64_t word;
        memcpy(&word, r->bits + r->row / 8, sizeof word);
        found += (size_t)__builtin_popcountll(which == 0 ? ~word : word);
        r->row += 64;
    }
    return found;
}

/* A run of a value that is new, its parts in a byte or two each: most of those that are no words again. */
static bool turn_to_new(struct runs *r)
{
    const uint8_t *fresh = r->fresh.at;
    if (r->lengths.at == r->lengths.end || *r->lengths.at & 0x80 || r->codes.at == r->codes.end || *r->codes.at != 0 || r->fresh.end - fresh < 2 || r->count == r->room)
        return false;
    uint64_t number = *fresh & 0x7f;
    if (*fresh++ & 0x80) {
        if (*fresh & 0x80)
            return false;
        number |= (uint64_t)*fresh++ << 7;
    }
    r->left = (uint64_t)*r->lengths.at++ + 1;
    r->codes.at++;
    r->fresh.at = fresh;
    r->newest = (int64_t)((uint64_t)r->newest + unfold(number));
    r->value = r->seen[r->count++] = r->newest;
    return true;
}

size_t runs_pass(struct runs *r, size_t count, int64_t value)
{
    size_t found = 0;
    if (r->width > 0)
        return choices_pass(r, count, value);
    while (count > 0 && !r->bad) {
        if (r->left == 0 && !turn_to_new(r))
            runs_turn(r);
        size_t step = r->left < count ? (size_t)r->left : count;
        r->left -= step;
        found += r->value == value ? step : 0;
        count -= step;
    }
    return found;
}

bool runs_look(struct runs *r, size_t row, int64_t *value)
{
    unsigned which = r->width > 0 && !r->bad && row < r->rows ? choice(r, row) : CHOICES;
    if (which >= r->count)
        return false;
    *value = r->seen[which];
    return true;
}

/* --- few -------------------------------------------------------------------------------------------- */

void few_add(struct few_writer *w, size_t row, uint64_t value)
{
    pack_number(w->out, row - w->next);
    pack_number(w->out, value);
    w->next = row + 1;
}

/* --- texts ------------------------------------------------------------------------------------------- */

struct text_seen { uint64_t hash; struct slice text; };

static size_t find_text(const struct texts_writer *w, uint64_t hash, struct slice text)
{
    for (size_t back = 1; back <= w->count && back <= LOOK_BACK; back++) {
        const struct text_seen *seen = &w->seen[w->count - back];
        if (seen->hash == hash && seen->text.size == text.size && memcmp(seen->text.data, text.data, text.size) == 0)
            return back;
    }
    return 0;
}

static size_t add_text(struct texts_writer *w, uint64_t hash, struct slice text)
{
    if (w->count == w->room) {
        w->room = w->room ? w->room * 2 : 64;
        w->seen = realloc(w->seen, w->room * sizeof *w->seen);
        assert(w->seen);
    }
    w->seen[w->count++] = (struct text_seen){ hash, text };
    pack_slice(w->bytes, text);
    return w->count - 1;
}

size_t texts_add(struct texts_writer *w, msgpack_sbuffer *codes, struct slice text, bool is_expected)
{
    if (text.size == 0)
        text.data = "";
    uint64_t hash = is_expected ? 0 : hash_bytes(HASH_SEED, text);
    size_t back = is_expected ? 0 : find_text(w, hash, text);
    pack_number(codes, is_expected ? 0 : back + 1);
    return is_expected || back > 0 ? w->count - back : add_text(w, hash, text);
}

uint64_t texts_code(struct texts_writer *w, struct slice text)
{
    if (text.size == 0)
        text.data = "";
    uint64_t hash = hash_bytes(HASH_SEED, text);
    size_t back = find_text(w, hash, text);
    if (back == 0)
        add_text(w, hash, text);
    return back + 1;
}

void texts_close(struct texts_writer *w)
{
    free(w->seen);
    *w = (struct texts_writer){ 0 };
}

void texts_open(struct texts *t, struct slice bytes)
{
    *t = (struct texts){ .bytes = unpack_of(bytes), .seen = t->seen, .room = t->room };
}

void texts_release(struct texts *t)
{
    free(t->seen);
    *t = (struct texts){ 0 };
}

struct slice texts_next(struct texts *t, struct unpack *codes, struct slice expected)
{
    uint64_t code = unpack_number(codes);
    t->bad |= codes->bad;
    return code == 0 ? expected : texts_by_code(t, code);
}

struct slice texts_by_code(struct texts *t, uint64_t code)
{
    if (code > 1 && code - 1 <= t->count)
        return t->seen[t->count - (code - 1)];
    struct slice text = unpack_slice(&t->bytes);
    t->bad |= code != 1 || t->bytes.bad;
    if (t->bad)
        return (struct slice){ "", 0 };
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->seen = realloc(t->seen, t->room * sizeof *t->seen);
        assert(t->seen);
    }
    return t->seen[t->count++] = text;
}
