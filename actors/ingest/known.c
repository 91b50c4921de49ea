/* known.c - read the rows of events.latest. */
#include "known.h"

void known_read(backfill_t *backfill, const struct answer *answer)
{
    struct slice rest = answer->rows, one;
    struct event_full row;
    struct fault fault;
    if (answer->verdict != OK)
        return;
    while (frame_next(&rest, &one)) {
        if (schema_decode(event_full_schema(), one, &row, &fault))
            continue;
        if (row.has_entity_id && *(const char *)row.entity_id.data == '_')
            continue; /* a reading of a source of ours: that Home Assistant does not have it means nothing */
        /* Without a state it is gone already; what came with the answer or later may be new. Both may have been there in a gap. */
        bool is_there = row.has_state && row.received_at < backfill_snapshot_us(backfill);
        if (row.has_entity_id)
            backfill_stored(backfill, row.entity_id, is_there ? row.state : (struct slice){ NULL, 0 }, row.timestamp);
    }
}
