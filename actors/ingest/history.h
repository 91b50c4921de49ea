/* history.h - an answer of history/history_during_period, row by row.
 *
 * {"sensor.x": [{"s": state, "a": {attributes}, "lu": seconds[, "lc": seconds]}, ...], ...}
 *
 * The answer is copied and its entities are found at once (that is quick); the rows are read in
 * steps, so that a large answer does not keep anybody from the socket. `lc` is there only where
 * it is not `lu`; a state that is null is the removal of the entity. The first row of an entity may be the state in force at the start, with the
 * start for its time: it is no event, but the old state of the next row. */
#ifndef HISTORY_H
#define HISTORY_H

#include "made.h"

typedef struct history history_t;

struct history_row {
    struct slice entity_id;    /* unescaped */
    bool is_start;             /* the state in force when the asked span began */
    bool has_old;
    struct made_state old, now;
};
/* Slices live until it returns. */
typedef void history_row_fn(void *owner, const struct history_row *);

history_t *history_new(void);
void history_destroy(history_t **);

/* An answer to the question for what was since `start_us`. 0, or -1 with *why (static text). */
int history_take(history_t *, struct slice answer, int64_t start_us, const char **why);

/* Hand out about so many rows. 1: there are more; 0: that was all; -1: *why, no row follows. */
int history_step(history_t *, size_t rows, history_row_fn *, void *owner, const char **why);

#endif
