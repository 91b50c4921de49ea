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
 * A form, a base, the first value; then one code for each value after it. All modulo 2^64. */

enum numbers_form {
    NUMBERS_PLAIN,      /* value - base */
    NUMBERS_RISING,     /* difference to the one before - base */
    NUMBERS_STEADY,     /* the same, folded */
    NUMBERS_SECOND,     /* difference of differences, folded; the difference before the first is base */
    NUMBERS_FORMS
};

void numbers_write(const int64_t *values, size_t count, msgpack_sbuffer *out); /* in the form that takes least */

struct numbers { struct unpack in; uint64_t base, value, difference; enum numbers_form form; bool has_first; };

static inline struct numbers numbers_of(struct slice column)
{
    struct numbers n = { .in = unpack_of(column) };
    if (column.size == 0) {
        n.in.bad = true; /* if it is ever asked */
        return n;
    }
    n.form = (enum numbers_form)*(const uint8_t *)unpack_bytes(&n.in, 1);
    n.base = (uint64_t)unpack_signed(&n.in);
    n.value = (uint64_t)unpack_signed(&n.in);
    n.difference = n.base;
    n.in.bad |= n.form >= NUMBERS_FORMS;
    return n;
}

static inline int64_t numbers_next(struct numbers *n)
{
    if (!n->has_first) {
        n->has_first = true;
        return (int64_t)n->value;
    }
    uint64_t code = unpack_number(&n->in);
    switch (n->form) {
    case NUMBERS_PLAIN:  n->value = n->base + code; break;
    case NUMBERS_RISING: n->value += n->base + code; break;
    case NUMBERS_STEADY: n->value += n->base + unfold(code); break;
    default:             n->difference += unfold(code); n->value += n->difference; break;
    }
    return (int64_t)n->value;
}

/* --- runs: what stays the same for many rows, and comes again ----------------------------------
 * How many rows, and which: 0 is one that is new, c the c-th last of the new ones. */

void runs_write(const int64_t *values, size_t count, msgpack_sbuffer *out);

struct runs { struct unpack lengths, codes, fresh; uint64_t left; int64_t value, newest, *seen; size_t count, room; bool bad; };

void runs_open(struct runs *, struct slice column); /* keeps the memory it had */
void runs_close(struct runs *);
void runs_turn(struct runs *);                      /* to the next run */

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
void texts_close(struct texts_writer *);

struct texts { struct unpack bytes; struct slice *seen; size_t count, room; bool bad; };
void texts_open(struct texts *, struct slice bytes); /* keeps the memory it had */
struct slice texts_next(struct texts *, struct unpack *codes, struct slice expected);
void texts_release(struct texts *);

#endif
