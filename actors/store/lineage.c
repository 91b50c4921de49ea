/* lineage.c - which series make up the history of an entity. */
#include "inside.h"
#include "lineage.h"

enum store_result store_lineage(store_t *store, struct slice entity_id, bool by_role, lineage_fn *span, void *owner)
{
    (void)by_role;
    bool empty = false, is_inside = store->db && !sqlite3_get_autocommit(store->db);
    enum store_result result = is_inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    const struct series *series = series_by_name(store, true, entity_id);
    if (series)
        span(owner, &(struct lineage_span){ .series = series->id, .from_us = 0, .to_us = FOREVER_US });
    if (!is_inside)
        read_end(store);
    return series ? STORE_OK : STORE_MISSING;
}
