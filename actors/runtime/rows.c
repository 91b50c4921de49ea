/* rows.c - the rows of a listing's answer while its handler makes them. */
#include "rows.h"

size_t actor_rows_room(const rows_t *rows)
{
    return rows->bytes.size < rows->max ? rows->max - rows->bytes.size : 0;
}

int actor_row(rows_t *rows, const struct contract *contract, const void *row)
{
    size_t before = rows->bytes.size;
    if (schema_encode(contract->row(), row, &rows->bytes, &rows->fault)) {
        rows->is_broken = true;
        return -1;
    }
    if (rows->count > 0 && rows->bytes.size > rows->max) {
        rows->bytes.size = before;
        return -1;
    }
    rows->count++;
    return 0;
}

const char *actor_version(void) { return SUITE_VERSION; }
