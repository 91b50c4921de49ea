/* facts.h - what the attributes and snapshots of samples say of numbers: unit, kind of counter, last reset. */
#ifndef STORE_FACTS_H
#define STORE_FACTS_H

#include "bucket.h"

typedef struct facts facts_t;

enum { UNIT_BYTES = 64 }; /* a longer one is none */
struct unit_name { char text[UNIT_BYTES]; size_t size; };
static inline struct slice unit_slice(const struct unit_name *u)
{
    return (struct slice){ u->text, u->size };
}

/* One a store, which closes it; what was asked last is remembered. */
facts_t *facts_of(store_t *);
void facts_close(facts_t **);

enum store_result facts_unit(facts_t *, int64_t snapshot, const struct unit_name **);  /* "": none */
enum store_result facts_last_reset(facts_t *, int64_t attributes, uint64_t *hash);     /* 0: none */

/* What the newest value of a series says of all of it: numbers, a counter, an angle or states; and its unit.
 * A text is a state only where neither a unit nor a state_class says that it should have been a number. */
struct series_facts { enum series_class class; struct unit_name unit; };
enum store_result facts_of_series(facts_t *, int64_t series, struct series_facts *);

#endif
