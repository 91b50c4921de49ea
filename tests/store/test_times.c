/* test_times.c - the order of lists: keys that lie in runs, keys that come late, files of before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START INT64_C(1795485404524490)
#define DAY INT64_C(86400000000)

enum { ROWS = 4000, SERIES = 40, QUESTIONS = 20 };

struct world { char directory[64], path[96]; store_t *writer, *reader; uint64_t seed; int64_t at[ROWS]; size_t count; };

static store_t *open_store(struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        print_message("%s\n", why);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->seed = 88172645463325252u;
    strcpy(w->directory, "/tmp/test-times-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
    assert_non_null(w->writer);
    *state = w;
    return 0;
}

static int tear_down(void **state)
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

static int64_t ask_file(struct world *w, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int64_t answer = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

static int64_t chance(struct world *w, int64_t below)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (int64_t)(w->seed % (uint64_t)below);
}

static enum store_result append(struct world *w, const char *name, int64_t at, int64_t place, const char *context)
{
    struct event_full e;
    struct fault fault;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(name));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, state, slice_of("1"));
    SET(&e, timestamp, at);
    SET(&e, last_updated, at);
    SET(&e, received_at, at + 5000);
    SET(&e, place, place);
    SET_TEXT(&e, provenance, "live", 4);
    if (context)
        SET(&e, context_id, slice_of(context));
    return store_append(w->writer, &e, &fault);
}

/* A state of its own: no two of a series share a time. */
static void add(struct world *w, int64_t at, const char *wrong)
{
    char name[32];
    snprintf(name, sizeof name, "sensor.%s%d", wrong, (int)(w->count % SERIES));
    assert_int_equal(append(w, name, at, (int64_t)w->count * 700, NULL), STORE_OK);
    w->at[w->count++] = at;
}

/* Live events are nearly in order; now and then come some of long ago, and one of a clock that is wrong. */
static void add_some(struct world *w, size_t rows, int64_t *now)
{
    for (size_t i = 0; i < rows && w->count < ROWS; i++) {
        int64_t kind = chance(w, 50);
        *now += 1 + chance(w, 200000);
        if (kind == 0)
            add(w, *now + 30 * DAY, "wrong");
        else
            add(w, kind < 3 ? *now - chance(w, DAY) : *now - chance(w, 20000), "s");
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

static void add_all(struct world *w)
{
    for (int64_t now = START; w->count < ROWS;)
        add_some(w, (size_t)(1 + chance(w, 400)), &now);
}

static int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

struct walk { const int64_t *times; size_t at, rows; bool descending; };

static int look(void *owner, const struct event_full *e)
{
    struct walk *walk = owner;
    assert_true(walk->at < walk->rows);
    assert_int_equal(e->timestamp, walk->times[walk->descending ? walk->rows - 1 - walk->at : walk->at]);
    walk->at++;
    return 0;
}

/* All of it in pages, from <= time < to, against the times in memory. */
static void compare(struct world *w, const int64_t *sorted, int64_t from, int64_t to, bool descending)
{
    char cursor[256];
    struct events_query q;
    struct page end;
    struct fault fault;
    size_t first = 0, last = w->count;
    while (first < last && sorted[first] < from)
        first++;
    while (last > first && sorted[last - 1] >= to)
        last--;
    struct walk walk = { sorted + first, 0, last - first, descending };
    schema_clear(events_query_schema(), &q);
    SET(&q, start_time, from);
    SET(&q, end_time, to);
    SET(&q, limit, 137);
    SET_TEXT(&q, sort, descending ? "desc" : "asc", descending ? 4 : 3);
    int64_t count;
    assert_int_equal(store_count(w->reader, &q, &count, &fault), STORE_OK);
    assert_int_equal(count, walk.rows);
    for (;;) {
        assert_int_equal(store_find(w->reader, &q, look, &walk, &end, &fault), STORE_OK);
        if (!end.has_next_cursor)
            break;
        assert_true(end.next_cursor_size < sizeof cursor);
        memcpy(cursor, end.next_cursor, end.next_cursor_size);
        SET_TEXT(&q, cursor, cursor, end.next_cursor_size);
    }
    assert_int_equal(walk.at, walk.rows);
}

static void compare_all(struct world *w)
{
    int64_t *sorted = malloc(w->count * sizeof *sorted);
    assert_non_null(sorted);
    memcpy(sorted, w->at, w->count * sizeof *sorted);
    qsort(sorted, w->count, sizeof *sorted, by_time);
    compare(w, sorted, 0, INT64_C(4000000000000000), false);
    compare(w, sorted, 0, INT64_C(4000000000000000), true);
    for (int i = 0; i < QUESTIONS; i++) {
        int64_t from = sorted[chance(w, (int64_t)w->count)] + chance(w, 3) - 1, to = sorted[chance(w, (int64_t)w->count)] + chance(w, 3) - 1;
        compare(w, sorted, from < to ? from : to, from < to ? to : from, i % 2);
    }
    free(sorted);
}

static void lists_are_in_order_whatever_came_late(void **state)
{
    struct world *w = *state;
    add_all(w);
    assert_int_equal(ask_file(w, "SELECT (SELECT count(*) FROM time) + (SELECT sum(count) FROM run)"), ROWS);
    assert_true(ask_file(w, "SELECT count(*) FROM time") < ROWS / 8);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM run a JOIN run b ON b.first > a.first AND b.first <= a.last"), 0);
    compare_all(w);
}

/* As if an older writer had made it: its keys lie in `time`, and there are no runs. */
static void a_file_of_the_first_format_is_read_and_written_on(void **state)
{
    struct world *w = *state;
    int64_t now = START;
    add_some(w, 1000, &now);
    store_close(&w->reader);
    store_close(&w->writer);
    ask_file(w, "INSERT INTO time SELECT at + shift, place, series, -shift, rest FROM event WHERE true ON CONFLICT DO NOTHING");
    ask_file(w, "DROP TABLE run");
    ask_file(w, "PRAGMA user_version = 1");
    w->reader = open_store(w, false);
    compare_all(w);
    w->writer = open_store(w, true);
    assert_non_null(w->writer);
    assert_int_equal(ask_file(w, "PRAGMA user_version"), 3);
    add_some(w, 1000, &now);
    assert_true(ask_file(w, "SELECT count(*) FROM run") > 0);
    compare_all(w);
}

static void a_damaged_run_is_made_anew_out_of_its_rows(void **state)
{
    struct world *w = *state;
    int64_t now = START;
    add_some(w, 300, &now);
    int64_t runs = ask_file(w, "SELECT count(*) FROM run");
    ask_file(w, "UPDATE run SET keys = substr(keys, 1, length(keys) - 9) || x'00' || substr(keys, -8)"); /* a bit of `rest`, and the like */
    compare_all(w);
    add_some(w, 300, &now);
    compare_all(w);
    assert_true(ask_file(w, "SELECT count(*) FROM run") > runs); /* writing went on in another */
    ask_file(w, "UPDATE run SET keys = substr(keys, 1, length(keys) - 1)");
    store_close(&w->writer);
    w->writer = open_store(w, true);
    add_some(w, 300, &now);
    compare_all(w);
}

static void seal(struct world *w, int64_t now, int compare_every)
{
    enum store_result result;
    for (int steps = 1; (result = store_seal(w->writer, now, DAY)) == STORE_OK; steps++)
        if (steps % compare_every == 0)
            compare_all(w);
    assert_int_equal(result, STORE_MISSING);
    compare_all(w);
}

static void keys_of_sealed_rows_are_passed_over_and_swept(void **state)
{
    struct world *w = *state;
    int64_t now = START;
    for (int i = 0; i < 7; i++)
        add_some(w, 400, &now);
    seal(w, now + 40 * DAY, 20);
    assert_true(ask_file(w, "SELECT count(*) FROM event") < ROWS / 4);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), ask_file(w, "SELECT (SELECT count(*) FROM time) + (SELECT ifnull(sum(count), 0) FROM run)"));
}

static void a_row_that_is_hot_again_before_its_key_is_swept_is_listed_once(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 600; i++) {
        char name[] = "sensor.one";
        w->at[w->count++] = START + i * 1000;
        assert_int_equal(append(w, name, START + i * 1000, i * 700, NULL), STORE_OK);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    while (ask_file(w, "SELECT count(*) FROM chunk") == 0)
        assert_int_equal(store_seal(w->writer, START + 40 * DAY, DAY), STORE_OK);
    assert_int_equal(ask_file(w, "SELECT sum(count) FROM run"), 600);
    assert_int_equal(append(w, "sensor.one", START + 5000, 700000, "01HGJ4YQ8H3V0N5T2C6B7D8E9F"), STORE_DUPLICATE); /* richer: it takes the row's place */
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 600);
    compare_all(w);
    seal(w, START + 41 * DAY, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(lists_are_in_order_whatever_came_late),
        TEST(a_file_of_the_first_format_is_read_and_written_on),
        TEST(a_damaged_run_is_made_anew_out_of_its_rows),
        TEST(keys_of_sealed_rows_are_passed_over_and_swept),
        TEST(a_row_that_is_hot_again_before_its_key_is_swept_is_listed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
