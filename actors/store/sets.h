/* sets.h - attribute sets that are kept as differences (`attribute_packed`), and how they come to be that. */
#ifndef STORE_SETS_H
#define STORE_SETS_H

#include "inside.h"

/* One that is in the table of them. STORE_MISSING: it is not; STORE_BAD: it is damaged. The bytes live until the next call. */
enum store_result set_get(store_t *, int64_t id, struct slice *);
/* The writer's: one of these very bytes is plain again, since a row that is not sealed is to refer to it. STORE_MISSING: there is none. */
enum store_result set_bring_back(store_t *, uint64_t hash, struct slice bytes, int64_t *id);
/* It is damaged: noted, so that whoever reads can say so. */
enum store_result set_damaged(store_t *, int64_t id); /* STORE_BAD */
void packing_close(store_t *);

#endif
