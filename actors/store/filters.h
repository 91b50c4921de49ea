/* filters.h - the user's rules in force: every event passes here on its way into the store.
 *
 * The rules and what they have counted lie in the store, in the transaction of the rows they speak
 * of. What is decided of an entity (or type) is remembered until its registry data or the rules
 * change. Thinning is for live rows, newer than all of their series; what comes later than a newer
 * one, and what comes from a history (backfill, snapshot, import), is stored as it is. */
#ifndef FILTERS_H
#define FILTERS_H

#include "rules.h"
#include "store.h"

typedef struct filters filters_t;

/* With the rules that the store has. Where they cannot be read none are in force: *fault says why,
 * else its `why` is NULL. */
filters_t *filters_open(store_t *, struct fault *);
void filters_close(filters_t **);

/* As store_append(), or STORE_FILTERED: it is settled, and not stored. *thinned: rows taken back for it. */
enum store_result filters_append(filters_t *, const struct event_full *, int64_t *thinned, struct fault *);

/* Replace all rules, and commit them; nothing else may be in the transaction. STORE_BAD: *fault
 * says which rule and field. */
enum store_result filters_set(filters_t *, struct slice rules, int64_t now_us, struct fault *);

enum store_result filters_join(filters_t *);  /* before each commit: the counts join it */
void filters_committed(filters_t *);
void filters_forget(filters_t *);             /* the store was rolled back */

/* Fills the view; its texts are in `pool`. */
void filters_show(const filters_t *, struct filters_view *, msgpack_sbuffer *pool);
size_t filters_rules(const filters_t *);

#endif
