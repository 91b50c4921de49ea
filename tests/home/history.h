/* history.h - the states of the last while, for those who ask what they missed. */
#ifndef HOME_HISTORY_H
#define HOME_HISTORY_H

#include "moment.h"

struct history;

struct row {
    struct slice entity_id, state, attributes;
    int64_t updated_us, changed_us;
};

struct history *history_new(size_t bytes); /* 0: keeps nothing */
void history_destroy(struct history **self_p);
void history_add(struct history *, const struct row *);

/* What HA answers: {entity: [{s, a, lu, lc?}, ...]}, of start <= t < end, and before them the
 * row that was current at the start, if it is wanted. entity_ids is a JSON array. */
struct question {
    struct slice entity_ids;
    int64_t start_us, end_us;
    bool start_state, attributes, minimal;
};
void history_answer(struct history *, struct text *, const struct question *);

#endif
