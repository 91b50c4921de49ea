/* history.h - what Home Assistant's recorder keeps of the states, for those who ask what they missed. */
#ifndef HOME_HISTORY_H
#define HOME_HISTORY_H

#include "moment.h"

struct history;

struct row {
    struct slice entity_id, state, attributes;
    int64_t updated_us, changed_us;
    bool gone; /* the entity was removed: its row has no state */
};

/* `bytes` 0: keeps nothing. `excluded`: globs of entities that are left out, with commas between
 * them, or NULL. A row is there `commit_us` after it was written. `as_2024_3`: times have no more
 * digits than microseconds, and a light's colours are recorded. */
struct history_options {
    size_t bytes;
    const char *excluded;
    int64_t commit_us;
    bool as_2024_3;
};

struct history *history_new(const struct history_options *);
void history_destroy(struct history **self_p);
void history_add(struct history *, const struct row *);
void history_forget(struct history *, int64_t before_us);
void history_sync(struct history *, int64_t now_us); /* what was written until now is there */
double history_seconds(const struct history *, int64_t us);

/* What HA answers: {entity: [{s, a, lu, lc?}, ...]}, of start < t < end as HA compares them, and
 * before them the row that was current at the start, if it is wanted. entity_ids is a JSON array. */
struct question {
    struct slice entity_ids;
    double start_s, end_s;
    int64_t now_us;
    bool start_state, attributes, minimal, significant;
};
/* The newest time it gave, 0 if there was nothing. */
double history_answer(struct history *, struct text *, const struct question *);

/* {s, a, lu, lc?} as the live part of history/stream says it: with all attributes. */
void history_say_live(const struct history *, struct text *, const struct row *, bool attributes);

#endif
