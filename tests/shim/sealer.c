/* sealer.c - a store alone that takes rows, seals them and rolls up, for a power cut at any moment of it.
 *
 * sealer live DIRECTORY            does so; `synced` in it says how many rows are safe, once they are
 * sealer look DIRECTORY SYNCED     0: so many of the same rows are there, each once and unaltered, all chunks
 *                                  are well, and what is left can be sealed and rolled up */
#include "random_events.h"

#include "rolling.h"
#include "store.h"

#include <fcntl.h>
#include <unistd.h>

#define MINUTE_US (60 * SECOND_US)
enum { ROWS = 1200, PARTS = 4, COMMIT_ROWS = 100, SEED = 5 };

static void must(bool is_so, const store_t *store, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "%s: %s\n", what, store ? store_why(store) : "");
    exit(1);
}

static store_t *open_store(const char *directory, bool writer)
{
    char path[512];
    const char *why = "";
    snprintf(path, sizeof path, "%s/store.db", directory);
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        fprintf(stderr, "the store cannot be opened: %s\n", why);
    must(store != NULL, NULL, "open");
    return store;
}

/* The same ones each time; some come days late, into what is sealed by then. */
static void next_event(struct maker *m, int i, struct event_full *e)
{
    int64_t late = i > ROWS / PARTS && i % 7 == 0 ? (int64_t)chance(m, (uint64_t)i) : 0;
    make_event(m, e, START_US + (i - late) * 10 * MINUTE_US + (int64_t)chance(m, 1000000));
}

static void seal_all(store_t *store, int64_t now_us, bool syncs)
{
    enum store_result result;
    bool is_done = false;
    for (int step = 1; (result = store_seal(store, now_us, DAY_US)) == STORE_OK; step++)
        if (syncs && step % 9 == 0)
            must(store_sync(store) == STORE_OK, store, "sync");
    must(result == STORE_MISSING, store, "seal");
    while (!is_done)
        must(store_roll(store, now_us, &is_done) == STORE_OK, store, "roll up");
}

static int live(const char *directory)
{
    char path[512];
    struct maker m = { .seed = SEED };
    struct event_full e;
    struct fault fault;
    store_t *store = open_store(directory, true);
    snprintf(path, sizeof path, "%s/synced", directory);
    int note = open(path, O_WRONLY | O_CREAT, 0600);
    must(note >= 0, NULL, "synced");
    for (int64_t i = 0; i < ROWS;) {
        next_event(&m, (int)i, &e);
        must(store_append(store, &e, &fault) == STORE_OK, store, "append");
        if (++i % COMMIT_ROWS == 0)
            must(store_commit(store) == STORE_OK, store, "commit");
        if (i % (ROWS / PARTS) != 0)
            continue;
        must(store_sync(store) == STORE_OK, store, "sync");
        must(pwrite(note, &i, sizeof i, 0) == sizeof i, NULL, "synced");
        seal_all(store, START_US + 100 * DAY_US + i * 10 * MINUTE_US, true);
    }
    store_close(&store);
    return close(note);
}

/* --- what is left --------------------------------------------------------------------------------- */

struct found { const struct event_full *wanted; msgpack_sbuffer one, other; int count; bool same; };

static int take_event(void *owner, const struct event_full *e)
{
    struct found *found = owner;
    encoded(found->wanted, &found->one);
    encoded(e, &found->other);
    found->same = found->one.size == found->other.size && memcmp(found->one.data, found->other.data, found->one.size) == 0;
    found->count++;
    return 0;
}

static void check_rows(const char *directory, int synced)
{
    struct maker m = { .seed = SEED };
    struct found found = { 0 };
    struct events_query all;
    struct fault fault;
    int64_t count = 0;
    store_t *reader = open_store(directory, false);
    for (int i = 0; i < ROWS; i++) {
        struct event_full e;
        char id[128];
        next_event(&m, i, &e);
        found.wanted = &e;
        found.same = false;
        snprintf(id, sizeof id, "%s", e.id);
        enum store_result result = store_get(reader, id, take_event, &found);
        must(result == STORE_OK || (result == STORE_MISSING && i >= synced), reader, "a row that was safe is gone");
        must(result == STORE_MISSING || found.same, reader, "a row is altered");
    }
    schema_clear(events_query_schema(), &all);
    must(store_count(reader, &all, &count, &fault) == STORE_OK && count == found.count, reader, "a row is there twice");
    msgpack_sbuffer_destroy(&found.one);
    msgpack_sbuffer_destroy(&found.other);
    store_close(&reader);
}

static void check_chunks(store_t *store)
{
    struct store_looked looked;
    enum store_result result;
    while ((result = store_verify(store, &looked)) == STORE_OK)
        must(!looked.is_bad, store, "a chunk is damaged");
    must(result == STORE_MISSING, store, "verify");
}

static int look(const char *directory, int synced)
{
    store_t *store = open_store(directory, true);
    check_chunks(store);
    check_rows(directory, synced);
    seal_all(store, START_US + 300 * DAY_US, false);
    check_chunks(store);
    check_rows(directory, synced);
    store_close(&store);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "live") == 0)
        return live(arguments[2]);
    if (count == 4 && strcmp(arguments[1], "look") == 0)
        return look(arguments[2], atoi(arguments[3]));
    return 2;
}
