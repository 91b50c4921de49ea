/* test_views.c - the views for the user's own SQL say what the store says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "random_events.h"
#include "inside.h"
#include "samples.h"

#include <unistd.h>

struct world { char path[64]; store_t *writer, *reader; sqlite3 *user; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *why = "";
    strcpy(w->path, "/tmp/test-views-XXXXXX");
    close(mkstemp(w->path));
    w->writer = store_open(&(struct store_options){ .path = w->path, .writer = true }, &why);
    if (!w->writer)
        fail_msg("%s", why);
    w->reader = store_open(&(struct store_options){ .path = w->path }, &why);
    assert_int_equal(sqlite3_open_v2(w->path, &w->user, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char name[96];
    sqlite3_close(w->user);
    store_close(&w->reader);
    store_close(&w->writer);
    static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", w->path, ends[i]);
        unlink(name);
    }
    free(w);
    return 0;
}

static void append_some(struct world *w, struct maker *m, int count)
{
    struct event_full e;
    struct fault fault;
    for (int i = 0; i < count; i++) {
        make_event(m, &e, START_US + (int64_t)i * 777777);
        if (e.is_state && chance(m, 10) == 0)
            SET(&e, received_at, START_US + (int64_t)chance(m, INT64_C(1) << 60));
        if (e.has_state && chance(m, 3) == 0) {
            static const char *const numbers[] = { "1E5", "+1", ".5", "5.", "-0", "007", "inf", "NaN", "1e999", "0x10", "1_0", "--1", ".", "1e", "12a", "-1.5e-3" };
            SET(&e, state, slice_of(numbers[chance(m, 16)]));
            e.has_value = e.has_canonical_value = false;
        }
        assert_int_equal(store_append(w->writer, &e, &fault), STORE_OK);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

static sqlite3_stmt *prepare(sqlite3 *user, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(user, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(user));
    return stmt;
}

/* One row of v_states against the sample it is of. */
static void check_row(sqlite3_stmt *row, const struct sample *s)
{
    char iso[TIME_TEXT];
    time_text(s->at, iso);
    assert_int_equal(sqlite3_column_int64(row, 0), s->at);
    assert_string_equal(sqlite3_column_text(row, 1), iso);
    assert_true(sqlite3_column_double(row, 2) == (double)s->at / 1e6);
    assert_int_equal(sqlite3_column_type(row, 3) == SQLITE_NULL, s->kind == SAMPLE_REMOVED);
    assert_int_equal(sqlite3_column_bytes(row, 3), s->state.size);
    if (s->state.size)
        assert_memory_equal(sqlite3_column_blob(row, 3), s->state.data, s->state.size);
    assert_int_equal(sqlite3_column_type(row, 4) != SQLITE_NULL, s->kind == SAMPLE_NUMBER);
    if (s->kind == SAMPLE_NUMBER)
        assert_true(sqlite3_column_double(row, 4) == s->number);
    assert_int_equal(sqlite3_column_int64(row, 5), s->snapshot);
    assert_int_equal(sqlite3_column_int64(row, 6), s->attributes);
}

static void every_state_is_seen_as_it_is_stored(void **state)
{
    struct world *w = *state;
    struct maker maker = { .seed = 7 };
    bool empty;
    int64_t rows = 0;
    append_some(w, &maker, 3000);
    sqlite3_stmt *row = prepare(w->user, "SELECT at_us, iso, time, state, number, registry, attributes FROM v_states WHERE entity_id = ? AND at_us >= ? ORDER BY at_us");
    for (size_t i = 0; i == 0 || i < w->reader->series.count; i++) {
        assert_int_equal(read_begin(w->reader, &empty), STORE_OK);
        const struct series *series = &w->reader->series.items[i];
        struct sample sample;
        enum store_result result = STORE_MISSING;
        sqlite3_bind_text(row, 1, series->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(row, 2, START_US + 100 * 777777);
        samples_t *samples = samples_open(w->reader, series->id, START_US + 100 * 777777, series->is_state ? MAX_TIME_US : 0, false);
        while ((result = samples_next(samples, &sample)) == STORE_OK) {
            assert_int_equal(sqlite3_step(row), SQLITE_ROW);
            check_row(row, &sample);
            rows++;
        }
        assert_int_equal(result, STORE_MISSING);
        assert_int_equal(sqlite3_step(row), SQLITE_DONE);
        samples_close(&samples);
        sqlite3_reset(row);
        read_end(w->reader);
    }
    sqlite3_finalize(row);
    assert_true(rows > 2000);
}

static void the_registry_is_seen_as_it_was_enriched(void **state)
{
    struct world *w = *state;
    struct maker maker = { .seed = 9 };
    bool empty;
    int rows = 0;
    append_some(w, &maker, 500);
    sqlite3_stmt *row = prepare(w->user, "SELECT id, device_id, area, labels, entity_category, unit FROM v_registry");
    assert_int_equal(read_begin(w->reader, &empty), STORE_OK);
    for (; sqlite3_step(row) == SQLITE_ROW; rows++) {
        struct event_full e;
        struct slice bytes;
        schema_clear(event_full_schema(), &e);
        assert_int_equal(word_get(w->reader, SNAPSHOT, sqlite3_column_int64(row, 0), &bytes), STORE_OK);
        assert_int_equal(snapshot_read(bytes, &e), 0);
        const struct { bool has; struct slice text; } want[] = {
            { e.has_device_id, e.device_id }, { e.has_area, e.area }, { e.has_labels, e.labels }, { e.has_entity_category, e.entity_category }, { e.has_unit, e.unit },
        };
        for (int i = 0; i < 5; i++) {
            assert_int_equal(sqlite3_column_type(row, i + 1) != SQLITE_NULL, want[i].has);
            if (want[i].has)
                assert_true(slice_equal(column_bytes(row, i + 1), want[i].text));
        }
    }
    read_end(w->reader);
    sqlite3_finalize(row);
    assert_true(rows > 20);
}

/* The views are queries of columns: what a change of the store's tables would break is found here. */
static void every_view_can_be_read(void **state)
{
    struct world *w = *state;
    struct maker maker = { .seed = 8 };
    append_some(w, &maker, 50);
    sqlite3_stmt *names = prepare(w->user, "SELECT name FROM sqlite_master WHERE type = 'view'");
    int count = 0;
    for (; sqlite3_step(names) == SQLITE_ROW; count++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT * FROM %s)", (const char *)sqlite3_column_text(names, 0));
        sqlite3_stmt *rows = prepare(w->user, sql);
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        sqlite3_finalize(rows);
    }
    sqlite3_finalize(names);
    assert_true(count >= 3);
}

static void a_view_of_another_version_is_made_anew(void **state)
{
    struct world *w = *state;
    const char *why = "";
    assert_int_equal(sqlite3_exec(w->writer->db, "DROP VIEW v_entities; CREATE VIEW v_entities AS SELECT 1", NULL, NULL, NULL), SQLITE_OK);
    store_close(&w->writer);
    w->writer = store_open(&(struct store_options){ .path = w->path, .writer = true }, &why);
    assert_non_null(w->writer);
    sqlite3_finalize(prepare(w->user, "SELECT series, entity_id, domain FROM v_entities"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_state_is_seen_as_it_is_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_registry_is_seen_as_it_was_enriched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_view_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_view_of_another_version_is_made_anew, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
