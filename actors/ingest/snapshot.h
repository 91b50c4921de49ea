/* snapshot.h - what get_states said, compared with what is stored and with what history gave.
 *
 * One row an entity, sorted by id once all are there. An entity that the store knows and
 * Home Assistant does not is `is_absent`: it was removed. Texts of states are kept only of those
 * that changed since `keep_from_us`: the others need no witness. Times are microseconds UTC. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "schema.h"

typedef struct snapshot snapshot_t;

struct seen_entity {
    char *id;
    char *state;             /* the state object, JSON; absent: the stored state's text as JSON; NULL: not kept */
    char *context;           /* of the state, JSON; NULL: none */
    int64_t updated_us;      /* last_updated; absent: of the store's newest row, 0 if there is none */
    int64_t stored_us;       /* of the store's newest row, 0 if there is none */
    int64_t newest_us;       /* of the rows that history gave in a tail; see backfill.c */
    bool is_absent;
    int64_t last_us;         /* of the newest row that history gave */
    bool is_removed;         /* the newest before get_states was its removal */
    bool has_history;        /* history knows something of it */
    bool is_witnessed;       /* history has the very row that get_states showed */
    bool is_refused;         /* history cannot be asked for it */
};

snapshot_t *snapshot_new(int64_t keep_from_us);
void snapshot_destroy(snapshot_t **);

/* The answer to get_states is copied. 0, or -1 with *why (static text). */
int snapshot_take(snapshot_t *, struct slice answer, const char **why);
/* Read about so many of its states. 1: there are more; 0: that was all; -1: *why. */
int snapshot_step(snapshot_t *, size_t states, const char **why);
/* Another one to ask for, if Home Assistant does not have it: the store's newest row of it is of `at_us` and has this state, or
 * (without data) is no reason to take it for removed now. 0: it is not from the store. */
void snapshot_stored(snapshot_t *, struct slice id, struct slice state, int64_t at_us);
/* Both are complete: sort. Entities may be found and counted from now on. */
void snapshot_close(snapshot_t *);

size_t snapshot_count(const snapshot_t *);
struct seen_entity *snapshot_at(const snapshot_t *, size_t index);
struct seen_entity *snapshot_find(const snapshot_t *, struct slice id); /* NULL: unknown */
void snapshot_forget_state(struct seen_entity *);

#endif
