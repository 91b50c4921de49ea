/* again.c - a frame given back: it is cut as if it had just come over the socket. */
#include "again.h"

int again_cut(split_t *split, const struct again_query *query, int64_t now_us, struct capture_record *record,
    struct items *items, const char **why)
{
    *record = (struct capture_record){ .received_us = now_us, .first_id = ANY_FIRST_ID, .last_id = ANY_LAST_ID,
        .bytes = query->bytes };
    if (query->has_received_at && query->received_at < now_us)
        record->received_us = query->received_at;
    split_items(split, record->bytes, record->first_id, record->last_id, items);
    record->events = (uint32_t)items->count;
    *why = items->count > 0 ? items->list[0].why : "holds no message of type event";
    for (size_t i = 0; i < items->count; i++)
        if (!items->list[i].why)
            return 0;
    return -1;
}
