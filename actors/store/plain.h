/* plain.h - the buckets of hours and days as rows of a table, for whoever reads the file with SQL and nothing else (docs/sql.md).
 *
 * Off by default: it takes many times what packed rollups do. Where it is on, a chunk's rows are written in the very
 * transaction that writes its rollup; what was rolled up before is rolled up once more, and what is no longer wanted goes
 * a little at a time. */
#ifndef STORE_PLAIN_H
#define STORE_PLAIN_H

#include "inside.h"
#include "rollup_chunk.h"

/* What rolling.c does for it and asks of it. */
static inline bool plain_wants(const store_t *store, enum tier tier)
{
    return store->plain.state >= PLAIN_FILLS && (tier == TIER_HOUR || tier == TIER_DAY);
}

/* A chunk's rows while they are made: NULL begins them. */
struct plain_rows;
void plain_add(struct plain_rows **, const struct bucket *, enum series_class);
void plain_free(struct plain_rows **);

/* Inside a transaction. The chunk is all of [from, end); what it has no row for goes. */
enum store_result plain_write(store_t *, const struct plain_rows *, int64_t series, int64_t chunk, int64_t end, const struct rollup_head *, const zone_t *);
enum store_result plain_drop(store_t *, int64_t series, enum tier, int64_t from, int64_t end);
enum store_result plain_drop_days(store_t *); /* of all */

/* While there is nothing else to roll up: the next chunk to be made once more (STORE_OK), or STORE_MISSING: none. PLAIN_GOES: some
 * rows went, and there may be more (STORE_DUPLICATE). */
enum store_result plain_next(store_t *, int64_t *series, enum tier *, int64_t *chunk);

#endif
