/* rolling.h - the writer's work in the background: what has come to rest is rolled up, a little at a time. */
#ifndef STORE_ROLLING_H
#define STORE_ROLLING_H

#include "rollup.h"

/* Some milliseconds of it, where no transaction is open; commits what it made. *is_done: there is nothing to do for now.
 * 15 min and 1 h are rolled up to the last UTC midnight, days to the last local one, ten minutes after it: so a chunk is
 * written anew once a day. What a late state has touched comes first. */
enum store_result store_roll(store_t *, int64_t now_us, bool *is_done);

/* The zone that days are cut in; another one than before makes them anew. STORE_BAD: there is none of that name. */
enum store_result store_set_zone(store_t *, const char *name);
/* Of a reader, too. "UTC" where none was ever set; is_set may be NULL. */
enum store_result store_zone(store_t *, char name[ZONE_NAME], bool *is_set);

/* Whether hours and days are rows for SQL, too (plain.h). Before anything is rolled up; commits. */
enum store_result store_set_plain(store_t *, bool is_on);

struct rolling;
void rolling_close(struct rolling **);

#endif
