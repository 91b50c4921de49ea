/* rollup_chunk.h - buckets of one series, tier and stretch of time, packed by columns. Format: docs/rollups.md.
 *
 * Pure. What is read back is what was written: counts, times, ends and ranges to the bit, sums within
 * a rounding of doubles. Bytes that are not what they say are refused as a whole. */
#ifndef STORE_ROLLUP_CHUNK_H
#define STORE_ROLLUP_CHUNK_H

#include "facts.h"

enum { CHUNK_BUCKETS = 1536, CHUNK_DAYS = 64, CHUNK_TEXTS = 4096, CHUNK_BYTES = 8 * 1024 * 1024 };

struct rollup_head {
    enum tier tier;
    enum series_class class;
    struct unit_name unit;
    char zone[ZONE_NAME];           /* of TIER_DAY; "" else */
    int64_t from, until;            /* what its buckets cover, without a hole */
    int64_t samples;                /* in it: all, also those that are no values */
    size_t buckets;                 /* 0: they would have been no fewer than the samples, read these */
    struct counter before, after;   /* counters: what was known at `from`, and at `until` */
};

/* How time is cut by a tier (not TIER_RAW), and the chunk that a moment lies in. */
struct step tier_step(enum tier, const zone_t *);
int64_t tier_chunk(enum tier, const zone_t *, int64_t at_us);
int64_t tier_chunk_start(enum tier, const zone_t *, int64_t chunk);

/* --- writing ------------------------------------------------------------------------------------- */

struct chunk_tools;
typedef struct rollup_writer rollup_writer_t;
rollup_writer_t *rollup_writer_new(enum series_class);
void rollup_writer_destroy(rollup_writer_t **);
void rollup_writer_add(rollup_writer_t *, const struct bucket *);  /* one after the other; none is open */
size_t rollup_writer_busy(const rollup_writer_t *); /* of them, those in which anything happened */
/* false: they are too many for a chunk, or hold too many texts. head->buckets is set here where with_buckets. */
bool rollup_writer_end(rollup_writer_t *, struct chunk_tools *, struct rollup_head *, bool with_buckets, msgpack_sbuffer *out);

/* --- reading --------------------------------------------------------------------------------------- */

typedef struct rollup_reader rollup_reader_t;
/* NULL: it is damaged, or of a format that is not known. */
rollup_reader_t *rollup_reader_new(struct slice bytes);
void rollup_reader_destroy(rollup_reader_t **);
const struct rollup_head *rollup_reader_head(const rollup_reader_t *);
/* The next bucket, which lies there. NULL: the end, or damaged. It and what it points to die with the next. */
const struct bucket *rollup_reader_next(rollup_reader_t *, int64_t from, int64_t to);

#endif
