/* columns.h - how a chunk keeps one thing of many rows: numbers, what repeats, the few that differ, texts.
 *
 * Pure: bytes in, bytes out. docs/store-format.md says what each holds. A reader never reads
 * outside its bytes; what cannot be so sets `bad`, which stays. */
#ifndef STORE_COLUMNS_H
#define STORE_COLUMNS_H

#include "pack.h"

static inline uint64_t fold(uint64_t n)   /* small where n, taken as signed, is near 0 */
{
    return n << 1 ^ (0 - (n >> 63));
}

static inline uint64_t unfold(uint64_t n)
{
    return n >> 1 ^ (0 - (n & 1));
}

/* --- numbers: one a row ----------------------------------------------------------------------
 * A form, a base, the first value; then one code for each value after it. All modulo 2^64. The codes stand
 * behind that, or elsewhere in bits: how often 2^low goes into it as so many zeros and a one, then its `low` lowest bits.
 * Then there are stops, one each BITS_STRIDE codes: how the value, the difference and the bit there differ from those
 * at the stop before, so that nobody has to read all that lies before;
 * or none where all is read anyway. */

enum numbers_form {
    NUMBERS_PLAIN,      /* value - base */
    NUMBERS_RISING,     /* difference to the one before - base */
    NUMBERS_STEADY,     /* the same, folded */
    NUMBERS_SECOND,     /* difference of differences, folded; the difference before the first is base */
    NUMBERS_FORMS,
    NUMBERS_IN_BITS = 4 /* added to one of these */
};
enum {
    BITS_ESCAPE = 24,   /* so many zeros: the code whole, in 64 bits */
    BITS_NONE = 64,     /* in place of `low`: all codes are 0 and have no bits */
    BITS_STRIDE = 64
};

/* The form that takes least, and what it takes in bits. */
struct numbers_plan { enum numbers_form form; uint64_t base; unsigned low; size_t bytes; };
struct numbers_plan numbers_plan(const int64_t *values, size_t count);
/* bits NULL: not in bits. */
void numbers_write(const struct numbers_plan *, const int64_t *values, size_t count, bool with_stops, msgpack_sbuffer *out, msgpack_sbuffer *bits);

struct numbers {
    struct unpack in;
    uint64_t base, value, difference;
    enum numbers_form form;
    bool has_first, in_bits;
    unsigned low;
    const uint8_t *bits, *bits_end;
    size_t bit, bit_end;
};

/* Takes its bits, if it has any, from the front of `bits`. */
static inline struct numbers numbers_of(struct slice column, struct unpack *bits)
{
    struct numbers n = { .in = unpack_of(column) };
    if (column.size == 0) {
        n.in.bad = true; /* if it is ever asked */
        return n;
    }
    unsigned form = *(const uint8_t *)unpack_bytes(&n.in, 1);
    n.in_bits = (form & NUMBERS_IN_BITS) != 0;
    n.form = (enum numbers_form)(form & (NUMBERS_FORMS - 1));
    n.base = (uint64_t)unpack_signed(&n.in);
    n.value = (uint64_t)unpack_signed(&n.in);
    n.difference = n.base;
    if (n.in_bits) {
        n.low = *(const uint8_t *)unpack_bytes(&n.in, 1);
        struct slice own = unpack_slice_from(&n.in, bits);
        n.bits = own.data;
        n.bits_end = n.bits + own.size;
        n.bit_end = own.size * 8;
    }
    n.in.bad |= form >= NUMBERS_FORMS + NUMBERS_IN_BITS || n.low > BITS_NONE;
    return n;
}

/* From the bit at hand on, 57 at least; zeros behind the end. */
static inline uint64_t bits_look(const struct numbers *n)
{
    const uint8_t *at = n->bits + (n->bit >> 3);
    uint64_t word = 0;
    if (n->bits_end - at >= 8)
        memcpy(&word, at, 8);
    else if (n->bits_end > at)
        memcpy(&word, at, (size_t)(n->bits_end - at));
    return word >> (n->bit & 7);
}

static inline uint64_t bits_take(struct numbers *n, unsigned count) /* 56 at most */
{
    uint64_t bits = n->bit < n->bit_end ? bits_look(n) & ((UINT64_C(1) << count) - 1) : 0;
    n->bit += count;
    return bits;
}

static inline uint64_t bits_next(struct numbers *n)
{
    if (n->low == BITS_NONE)
        return 0;
    uint64_t word = n->bit < n->bit_end ? bits_look(n) : 0, code;
    unsigned zeros = word ? (unsigned)__builtin_ctzll(word) : 64;
    n->bit += zeros + 1;
    if (zeros < BITS_ESCAPE && n->low <= 32) {
        code = (uint64_t)zeros << n->low | (word >> (zeros + 1) & ((UINT64_C(1) << n->low) - 1));
        n->bit += n->low;
    } else if (zeros < BITS_ESCAPE) {
        code = bits_take(n, 32);
        code |= (uint64_t)zeros << n->low | bits_take(n, n->low - 32) << 32;
    } else {
        n->in.bad |= zeros > BITS_ESCAPE;
        code = bits_take(n, 32);
        code |= bits_take(n, 32) << 32;
    }
    n->in.bad |= n->bit > n->bit_end;
    return code;
}

static inline int64_t numbers_next(struct numbers *n)
{
    if (!n->has_first) {
        n->has_first = true;
        return (int64_t)n->value;
    }
    uint64_t code = n->in_bits ? bits_next(n) : unpack_number(&n->in);
    switch (n->form) {
    case NUMBERS_PLAIN:  n->value = n->base + code; break;
    case NUMBERS_RISING: n->value += n->base + code; break;
    case NUMBERS_STEADY: n->value += n->base + unfold(code); break;
    default:             n->difference += unfold(code); n->value += n->difference; break;
    }
    return (int64_t)n->value;
}

void numbers_pass(struct numbers *, size_t count); /* the last of them is n->value; fast where nothing was read yet */
/* Of numbers that never fall, where nothing was read yet: how many there are up to `limit`, at most so many. The last of
 * them is n->value; nothing can be read on from there. */
size_t numbers_pass_until(struct numbers *, int64_t limit, size_t most);

/* --- runs: what stays the same for many rows, and comes again ----------------------------------
 * How many rows, and which: 0 is one that is new, c the c-th last of the new ones. Where there are many
 * runs of few values, a list of these and which it is in bits, so many a row. */

void runs_write(const int64_t *values, size_t count, msgpack_sbuffer *out, msgpack_sbuffer *bits /* NULL: not in bits */);

struct runs {
    struct unpack lengths, codes, fresh;
    uint64_t left;
    int64_t value, newest, *seen;
    size_t count, room;
    unsigned width;        /* bits a row; 0: there are lengths and codes */
    const uint8_t *bits;
    size_t row, rows;      /* in bits */
    bool bad;
};

void runs_open(struct runs *, struct slice column, struct unpack *bits); /* keeps the memory it had */
void runs_close(struct runs *);
void runs_turn_slowly(struct runs *);
/* How many of the rows passed over have a value. */
size_t runs_pass(struct runs *, size_t count, int64_t value);
bool runs_look(struct runs *, size_t row, int64_t *value); /* false: only reading on to there tells */

/* To the next run. Most are short, and of a value that was there before. */
static inline void runs_turn(struct runs *r)
{
    if (r->width > 0 || r->lengths.at == r->lengths.end || r->codes.at == r->codes.end || ((*r->lengths.at | *r->codes.at) & 0x80) || *r->codes.at == 0
            || *r->codes.at > r->count) {
        runs_turn_slowly(r);
        return;
    }
    r->left = (uint64_t)*r->lengths.at++ + 1;
    r->value = r->seen[r->count - *r->codes.at++];
}

static inline int64_t runs_next(struct runs *r)
{
    if (r->left == 0)
        runs_turn(r);
    r->left--;
    return r->value;
}

/* --- few: rows that are not as expected, by how many lie between -------------------------------- */

struct few_writer { msgpack_sbuffer *out; size_t next; };
void few_add(struct few_writer *, size_t row, uint64_t value);

struct few { struct unpack in; uint64_t row, value; bool is_over; };

static inline void few_turn(struct few *f)
{
    f->is_over = f->in.at == f->in.end;
    if (f->is_over)
        return;
    f->row += unpack_number(&f->in);
    f->value = unpack_number(&f->in);
}

static inline struct few few_of(struct slice column)
{
    struct few f = { .in = unpack_of(column) };
    few_turn(&f);
    return f;
}

/* Rows are asked for in order. */
static inline bool few_has(struct few *f, uint64_t row, uint64_t *value)
{
    if (f->is_over || f->row != row)
        return false;
    *value = f->value;
    f->row++;
    few_turn(f);
    return true;
}

/* --- texts: 0 as expected, 1 a new one, n the (n - 1)th last of the new ones --------------------- */

/* Several columns of codes may share the texts, in the order in which rows use them. */
struct texts_writer { msgpack_sbuffer *bytes; struct text_seen *seen; size_t count, room; };
size_t texts_add(struct texts_writer *, msgpack_sbuffer *codes, struct slice text, bool is_expected); /* which of the texts it is */
uint64_t texts_code(struct texts_writer *, struct slice text); /* the code alone, never 0 */
void texts_close(struct texts_writer *);

struct texts { struct unpack bytes; struct slice *seen; size_t count, room; bool bad; };
void texts_open(struct texts *, struct slice bytes); /* keeps the memory it had */
struct slice texts_next(struct texts *, struct unpack *codes, struct slice expected);
struct slice texts_by_code(struct texts *, uint64_t code); /* any but 0 */
void texts_release(struct texts *);

#endif
