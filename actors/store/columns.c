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

static uint64_t number_code(const int64_t *values, size_t i, enum numbers_form form, uint64_t base)
{
    switch (form) {
    case NUMBERS_PLAIN:  return (uint64_t)values[i] - base;
    case NUMBERS_RISING: return difference(values, i) - base;
    case NUMBERS_STEADY: return fold(difference(values, i) - base);
    default:             return fold(difference(values, i) - (i > 1 ? difference(values, i - 1) : base));
    }
}

static uint64_t bits(uint64_t n)
{
    return n ? 64 - (uint64_t)__builtin_clzll(n) : 0;
}

static uint64_t bits_of_code(uint64_t code, unsigned low)
{
    return code >> low < BITS_ESCAPE ? (code >> low) + 1 + low : BITS_ESCAPE + 1 + 64;
}

/* How many low bits are best written as they are. */
static void choose_low(const int64_t *values, size_t count, struct numbers_plan *plan)
{
    enum { AROUND = 3 }; /* below the mean */
    uint64_t least = UINT64_MAX;
    double mean = 0;
    unsigned middle = 0;
    for (size_t i = 1; i < count; i++)
        mean += (double)number_code(values, i, plan->form, plan->base) / (double)count;
    for (; mean >= 1; mean /= 2)
        middle++;
    for (unsigned low = middle > AROUND ? middle - AROUND : 0; low <= middle + 1 && low < BITS_NONE; low++) {
        uint64_t cost = 0;
        for (size_t i = 1; i < count; i++)
            cost += bits_of_code(number_code(values, i, plan->form, plan->base), low);
        if (cost >= least)
            continue;
        least = cost;
        plan->low = low;
    }
    plan->bytes = (size_t)(least + 7) / 8;
}

struct numbers_plan numbers_plan(const int64_t *values, size_t count)
{
    uint64_t bases[NUMBERS_FORMS], least = UINT64_MAX;
    struct numbers_plan plan = { .low = BITS_NONE };
    if (count == 0)
        return plan;
    find_bases(values, count, bases);
    for (enum numbers_form form = NUMBERS_PLAIN; form < NUMBERS_FORMS; form++) {
        uint64_t cost = 0;
        for (size_t i = 1; i < count; i++)
            cost += bits(number_code(values, i, form, bases[form]));
        if (cost < least) {
            least = cost;
            plan.form = form;
            plan.base = bases[form];
        }
    }
    if (least > 0)
        choose_low(values, count, &plan);
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

static void bits_write(const struct numbers_plan *plan, const int64_t *values, size_t count, msgpack_sbuffer *out)
{
    struct bits_writer w = { .out = out };
    for (size_t i = 1; i < count; i++) {
        uint64_t code = number_code(values, i, plan->form, plan->base), zeros = code >> plan->low;
        bool is_long = zeros >= BITS_ESCAPE;
        zeros = is_long ? BITS_ESCAPE : zeros;
        bits_add(&w, UINT64_C(1) << zeros, (unsigned)zeros + 1);
        bits_add_long(&w, code, is_long ? 64 : plan->low);
    }
    pack_bytes(out, &w.held, (w.count + 7) / 8);
}

void numbers_write(const struct numbers_plan *plan, const int64_t *values, size_t count, msgpack_sbuffer *out, msgpack_sbuffer *bits)
{
    uint8_t form = (uint8_t)(plan->form + (bits ? NUMBERS_IN_BITS : 0)), low = (uint8_t)plan->low;
    if (count == 0)
        return;
    pack_bytes(out, &form, 1);
    pack_signed(out, (int64_t)plan->base);
    pack_signed(out, values[0]);
    if (!bits) {
        for (size_t i = 1; i < count; i++)
            pack_number(out, number_code(values, i, plan->form, plan->base));
        return;
    }
    size_t before = bits->size;
    if (plan->low != BITS_NONE)
        bits_write(plan, values, count, bits);
    pack_bytes(out, &low, 1);
    pack_number(out, bits->size - before);
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

/* Three parts, each behind its size: lengths, codes, new ones. */
void runs_write(const int64_t *values, size_t count, msgpack_sbuffer *out)
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

void runs_open(struct runs *r, struct slice column)
{
    struct unpack in = unpack_of(column);
    *r = (struct runs){ .seen = r->seen, .room = r->room };
    r->lengths = unpack_of(unpack_slice(&in));
    r->codes = unpack_of(unpack_slice(&in));
    r->fresh = unpack_of(unpack_slice(&in));
    r->bad = in.bad && column.size > 0;
}

void runs_close(struct runs *r)
{
    free(r->seen);
    *r = (struct runs){ 0 };
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

void runs_turn(struct runs *r)
{
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
