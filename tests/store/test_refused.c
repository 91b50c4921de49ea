/* test_refused.c - the quarantine as it is asked for: pages, filters, all the bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START INT64_C(1767225600000000)

struct world { char directory[64]; store_t *writer, *reader; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char path[96];
    const char *why;
    strcpy(w->directory, "/tmp/test-refused-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(path, sizeof path, "%s/store.db", w->directory);
    w->writer = store_open(&(struct store_options){ .path = path, .writer = true }, &why);
    w->reader = store_open(&(struct store_options){ .path = path }, &why);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[96];
    store_close(&w->reader);
    store_close(&w->writer);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    free(w);
    return system(command);
}

static void refuse(struct world *w, const char *stage, int64_t place, struct slice bytes)
{
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, bytes);
    SET_TEXT(&bad, stage, stage, strlen(stage));
    SET_TEXT(&bad, why, "no", 2);
    SET(&bad, place, place);
    SET(&bad, received_at, START + place);
    assert_int_equal(store_quarantine(w->writer, &bad), STORE_OK);
}

/* Twenty rows: every fourth of the sink, the others of enrich. */
static void fill(struct world *w)
{
    for (int i = 0; i < 20; i++)
        refuse(w, i % 4 ? "enrich" : "sink", i, slice_of("{}"));
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

struct list { int64_t ids[32]; size_t count, room; };

static int add(void *owner, const struct bad_row *row)
{
    struct list *list = owner;
    if (list->count == list->room)
        return -1;
    list->ids[list->count++] = row->id;
    return 0;
}

/* All pages, each of `limit` rows, or cut where the answer is full. */
static struct list read_all(struct world *w, struct bad_query q, size_t limit, size_t room, int64_t *total)
{
    struct list list = { .room = 32 };
    struct page end;
    struct fault fault;
    SET(&q, limit, (int64_t)limit);
    do {
        list.room = list.count + room;
        assert_int_equal(store_bad_rows(w->reader, &q, add, &list, &end, &fault), STORE_OK);
        *total = end.total;
        SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    return list;
}

static void pages_hold_every_row_once_newest_first(void **state)
{
    struct world *w = *state;
    struct bad_query q;
    int64_t total;
    fill(w);
    schema_clear(bad_query_schema(), &q);
    static const struct { size_t limit, room; } cases[] = { { 100, 30 }, { 7, 30 }, { 20, 30 }, { 1, 30 }, { 100, 3 } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct list list = read_all(w, q, cases[c].limit, cases[c].room, &total);
        assert_int_equal(list.count, 20);
        assert_int_equal(total, 20);
        for (int i = 0; i < 20; i++)
            assert_int_equal(list.ids[i], 20 - i);
    }
}

static void rows_are_chosen_by_stage_and_time_and_counted(void **state)
{
    struct world *w = *state;
    struct bad_query q;
    int64_t total;
    fill(w);
    schema_clear(bad_query_schema(), &q);
    SET_TEXT(&q, stage, "sink", 4);
    assert_int_equal(read_all(w, q, 2, 30, &total).count, 5);
    assert_int_equal(total, 5);
    SET(&q, since, START + 8);
    assert_int_equal(read_all(w, q, 2, 30, &total).count, 3);
    assert_int_equal(total, 3);
    q.has_stage = false;
    assert_int_equal(read_all(w, q, 100, 30, &total).count, 12);
    assert_int_equal(total, 12);
}

static void a_cursor_of_something_else_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const cursors[] = { "", "x", "-1", "7x", "99999999999999999999" };
    struct bad_query q;
    struct list list = { .room = 32 };
    struct page end;
    struct fault fault;
    fill(w);
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        schema_clear(bad_query_schema(), &q);
        SET_TEXT(&q, cursor, cursors[i], strlen(cursors[i]));
        assert_int_equal(store_bad_rows(w->reader, &q, add, &list, &end, &fault), STORE_BAD);
        assert_string_equal(fault.field, "cursor");
    }
}

static int keep(void *owner, const struct bad_whole *row)
{
    struct bad_whole *to = owner;
    *to = *row;
    to->text.data = memcpy(malloc(row->text.size + 1), row->has_text ? row->text.data : "", row->text.size);
    to->bytes.data = memcpy(malloc(row->bytes.size + 1), row->has_bytes ? row->bytes.data : "", row->bytes.size);
    return 0;
}

static void the_whole_bytes_are_a_text_where_they_are_one(void **state)
{
    struct world *w = *state;
    static const struct { const char *bytes; size_t size; bool is_text; } cases[] = {
        { "{\"a\":\t\"\xc3\xa9\"}\r\n", 13, true }, { "", 0, true }, { "a\0b", 3, false }, { "\x91\x01", 2, false }, { "\xc3", 1, false },
        { "\xed\xa0\x80", 3, false },
    };
    struct bad_whole row;
    char *large = malloc(100000);
    memset(large, 'x', 100000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(w, "ingest", (int64_t)i, (struct slice){ cases[i].bytes, cases[i].size });
    refuse(w, "ingest", 100, (struct slice){ large, 100000 });
    assert_int_equal(store_commit(w->writer), STORE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(store_bad_get(w->reader, (int64_t)i + 1, keep, &row), STORE_OK);
        assert_int_equal(row.is_text, cases[i].is_text);
        assert_int_equal(row.has_text, cases[i].is_text);
        assert_int_equal(row.has_bytes, !cases[i].is_text);
        struct slice bytes = row.is_text ? row.text : row.bytes;
        assert_int_equal(bytes.size, cases[i].size);
        assert_memory_equal(bytes.data, cases[i].bytes, cases[i].size);
        free((void *)(uintptr_t)row.text.data);
        free((void *)(uintptr_t)row.bytes.data);
    }
    assert_int_equal(store_bad_get(w->reader, 7, keep, &row), STORE_OK);
    assert_int_equal(row.text.size, 100000);
    assert_memory_equal(row.text.data, large, 100000);
    free((void *)(uintptr_t)row.text.data);
    free((void *)(uintptr_t)row.bytes.data);
    free(large);
    assert_int_equal(store_bad_get(w->reader, 8, keep, &row), STORE_MISSING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pages_hold_every_row_once_newest_first),
        TEST(rows_are_chosen_by_stage_and_time_and_counted),
        TEST(a_cursor_of_something_else_is_refused),
        TEST(the_whole_bytes_are_a_text_where_they_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
