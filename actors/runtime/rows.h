/* rows.h - the rows of a listing's answer while its handler makes them. Shared by the runtime
 * and the probe; actors see row_service() and actor_rows_room(). */
#ifndef ROWS_H
#define ROWS_H

#include "actor.h"

enum { ROWS_MAX_BYTES = 4 * 1024 * 1024 };

/* A row that breaks its schema makes the whole answer BROKEN: left out silently it would be
 * lost, and refused as "no room" it would be asked for again for ever. */
struct rows {
    msgpack_sbuffer bytes;
    size_t max, count;
    bool is_broken;
    struct fault fault;
};

#endif
