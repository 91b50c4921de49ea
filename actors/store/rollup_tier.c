/* rollup_tier.c - how the tiers of rollups cut time, and which of their buckets lie in one chunk. */
#include "rollup_chunk.h"

struct step tier_step(enum tier tier, const zone_t *zone)
{
    if (tier == TIER_DAY)
        return (struct step){ .kind = STEP_DAY, .zone = zone };
    return (struct step){ .kind = STEP_FIXED, .us = tier == TIER_HOUR ? HOUR_US : QUARTER_US };
}

static int64_t chunk_us(enum tier tier)
{
    return tier == TIER_DAY ? CHUNK_DAYS * DAY_US : CHUNK_BUCKETS * (tier == TIER_HOUR ? HOUR_US : QUARTER_US);
}

/* A bucket belongs to the chunk that its beginning lies in. */
int64_t tier_chunk(enum tier tier, const zone_t *zone, int64_t at_us)
{
    struct step step = tier_step(tier, zone);
    int64_t start = step_start(&step, at_us), rest = start % chunk_us(tier);
    return start / chunk_us(tier) - (rest < 0);
}

int64_t tier_chunk_start(enum tier tier, const zone_t *zone, int64_t chunk)
{
    struct step step = tier_step(tier, zone);
    int64_t at = chunk * chunk_us(tier), start = step_start(&step, at);
    return start == at ? start : step_next(&step, start);
}
