/* bucket_world.h - a store that is written and asked for buckets: for the tests of these. */
#ifndef BUCKET_WORLD_H
#define BUCKET_WORLD_H

#include "bucket_truth.h"
#include "rolling.h"

#include <unistd.h>

enum { STEPS_MAX = 100000 };

struct world { char directory[64], path[96]; store_t *writer, *reader; int64_t asked, from_rollups; };

static inline store_t *open_store(const struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        fail_msg("%s", why);
    return store;
}

static inline int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test-buckets-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
    *state = w;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    store_close(&w->reader);
    store_close(&w->writer);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static inline void commit(struct world *w)
{
    if (store_commit(w->writer) != STORE_OK)
        fail_msg("%s", store_why(w->writer));
}

/* At most so many steps; whether there was no more to do. */
static inline bool roll_up(struct world *w, int64_t now, int steps)
{
    bool is_done = false;
    for (int i = 0; i < steps && !is_done; i++)
        if (store_roll(w->writer, now, &is_done) != STORE_OK)
            fail_msg("%s", store_why(w->writer));
    return is_done;
}

static inline void ask(struct world *w, struct history *h, int64_t series, int64_t seed, int64_t now, int times)
{
    for (int i = 0; i < times; i++) {
        w->from_rollups += history_check_of(h, w->reader, series, seed, now);
        w->asked++;
    }
}

#endif
