/* flight.h - pages of rows on their way: up to which row everything is acknowledged. */
#ifndef FLIGHT_H
#define FLIGHT_H

#include "database.h"

/* How far the reading, or the acknowledging, has come. */
struct reach { int64_t id[KINDS], rows[KINDS], skipped; };

enum { FLIGHTS_MAX = 256, TOPICS = 3 };

/* What was published of a page on each topic: numbers from..to-1. */
struct flight { struct reach reach; uint64_t from[TOPICS], to[TOPICS]; uint64_t pending; };
struct flights { struct flight items[FLIGHTS_MAX]; size_t first, count; struct reach acked; };

static inline bool flights_full(const struct flights *f) { return f->count == FLIGHTS_MAX; }
void flights_add(struct flights *, const struct flight *); /* pending is counted here */
/* Acknowledged on a topic, in any order of ranges, both ends included. */
void flights_acked(struct flights *, int topic, uint64_t first, uint64_t last);
int64_t reach_rows(const struct reach *);

#endif
