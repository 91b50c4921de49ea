/* chunk_inside.h - what writer and reader of chunks share: which columns there are, and what is expected of a row. */
#ifndef STORE_CHUNK_INSIDE_H
#define STORE_CHUNK_INSIDE_H

#include "body.h"
#include "chunk.h"
#include "columns.h"
#include "decimal.h"

/* In the order in which they stand; new ones only at the end. */
enum main_column {
    MAIN_HEAD, MAIN_AT, MAIN_WORDS, MAIN_TEXTS, MAIN_SCALED, MAIN_DECIMALS, MAIN_SNAPSHOTS, MAIN_ATTRIBUTES,
    MAIN_FLAGS, MAIN_SHIFT, MAIN_CHANGED, MAIN_VALUE, MAIN_VALUE_TEXTS, MAIN_COLUMNS
};
enum rest_column {
    REST_PLACE, REST_KEY, REST_RECEIVED, REST_UPDATED, REST_REPORTED, REST_DURATION,
    REST_OLD, REST_DATA, REST_CONTEXT_TEXT, REST_VERBATIM, REST_TEXTS, REST_CANONICAL, REST_FORMULA,
    REST_READINGS, REST_USERS, REST_CONTEXTS, REST_COLUMNS
};

enum { WORD_NUMBER, WORD_REMOVED, WORD_TEXTS /* the first text */ };
enum { RECEIVED_BEHIND /* the event's time */, RECEIVED_WHEN };
#define VERBATIM (UINT32_C(1) << 31) /* in place of flags: the body stands as a text */

/* How a canonical value follows from a value: (value - shift) * times / over. */
struct formula { double shift, times, over; };
static inline double formula_apply(const struct formula *f, double value)
{
    return (value - f->shift) * f->times / f->over;
}

/* What the rows before say about the next one; both sides keep it alike. */
struct expected {
    int64_t changed;          /* last_changed of the row before that had one */
    bool has_changed;
    struct slice state;       /* of the row before */
    uint8_t contexts[CONTEXTS][16];
    bool has_context[CONTEXTS];
};

/* Also of a body that is kept as it is, where its state can be told. */
static inline bool has_state(const struct body_parts *p)
{
    return p->flags == VERBATIM ? p->state.data != NULL : (p->flags & HAS_STATE) != 0;
}

int32_t expected_rest(bool is_state, const struct body_parts *);

/* How long after the change that the row before names (or after `at`) its own change was. */
static inline int64_t expected_lasted(struct expected *x, int64_t at, const struct body_parts *p)
{
    int64_t changed = (int64_t)((uint64_t)at + (uint64_t)p->changed), before = x->has_changed ? x->changed : at;
    if (!(p->flags & HAS_CHANGED_AT))
        return 0;
    x->changed = changed;
    x->has_changed = true;
    return (int64_t)((uint64_t)changed - (uint64_t)before);
}

/* --- a chunk that is open ------------------------------------------------------------------------- */

struct chunk_reader {
    bool is_state, has_rest, bad;
    size_t count, row;
    unsigned decimals, least;
    /* main */
    struct numbers at, scaled, changed;
    struct runs words, snapshots, attributes, flags;
    struct few other_decimals, shifts, other_values;
    struct slice *word_texts, *values; /* by word; of values, the one that stood beside it last */
    size_t text_count, text_room;
    struct texts value_texts;
    /* rest */
    struct runs readings, users;
    struct few keys;
    struct numbers place, received, updated, reported, duration;
    uint8_t received_way;
    struct unpack old, data, context_text, verbatim, canonical, contexts, tail;
    struct texts texts;
    struct formula formula;
    struct expected expected;
    /* of the row at hand */
    char number[2][DECIMAL_TEXT];
    int turn;
    msgpack_sbuffer body;
};

unsigned chunk_decimals(const chunk_reader_t *, int64_t scaled); /* it is written with; what is left are zeros */

#endif
