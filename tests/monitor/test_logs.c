/* test_logs.c - the logger's files, read from their end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START INT64_C(1767225600000000)

struct world { char directory[64]; char given[64][200]; size_t count, room; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-logs-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    w->room = 64;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static void path_of(const struct world *w, const char *name, char to[200])
{
    snprintf(to, 200, "%s/%s", w->directory, name);
}

static void append(const struct world *w, const char *name, const char *line, size_t size)
{
    char path[200];
    path_of(w, name, path);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fwrite(line, 1, size, file);
    fputc('\n', file);
    fclose(file);
}

static void append_text(const struct world *w, const char *line)
{
    append(w, "current", line, strlen(line));
}

static void say(const struct world *w, const char *name, int64_t second, const char *level, const char *actor, const char *message)
{
    char at[TIME_TEXT], line[400];
    time_text(START + second * 1000000, at);
    int size = snprintf(line, sizeof line, "%s %-5s %s %s", at, level, actor, message);
    append(w, name, line, (size_t)size);
}

static int take(void *owner, const struct log_row *row)
{
    struct world *w = owner;
    if (w->count == w->room)
        return -1;
    snprintf(w->given[w->count++], sizeof w->given[0], "%s/%s: %.60s", row->has_actor ? row->actor : "", row->has_level ? row->level : "", row->message);
    return 0;
}

static struct logs_query a_query(void)
{
    struct logs_query query;
    struct fault fault;
    assert_int_equal(schema_defaults(logs_query_schema(), &query, &fault), 0);
    return query;
}

static int ask(struct world *w, const struct logs_query *query, struct page *end)
{
    struct fault fault = { "", "" };
    schema_clear(page_schema(), end);
    w->count = 0;
    return logs_find(w->directory, query, take, w, end, &fault);
}

static void lines_come_newest_first_over_all_files(void **state)
{
    struct world *w = *state;
    struct logs_query query = a_query();
    struct page end;
    assert_int_equal(ask(w, &query, &end), 0); /* there is nothing yet */
    assert_int_equal(w->count, 0);
    say(w, "@40000000aaaa0001.s", 1, "info", "sink", "first");
    say(w, "@40000000aaaa0002.s", 2, "warn", "enrich.2", "second");
    say(w, "current", 3, "error", "enrich", "third");
    say(w, "current", 4, "info", "query", "fourth");
    say(w, "lock", 9, "info", "nobody", "is no log");
    assert_int_equal(ask(w, &query, &end), 0);
    assert_int_equal(w->count, 4);
    assert_string_equal(w->given[0], "query/info: fourth");
    assert_string_equal(w->given[2], "enrich.2/warn: second");
    assert_string_equal(w->given[3], "sink/info: first");
    assert_false(end.has_next_cursor);
}

static void lines_are_asked_for_by_level_actor_text_and_time(void **state)
{
    struct world *w = *state;
    struct page end;
    say(w, "current", 1, "info", "enrich", "a Word");
    say(w, "current", 2, "warn", "enrich.2", "b word");
    say(w, "current", 3, "error", "enricher", "c");
    struct logs_query query = a_query();
    SET_TEXT(&query, level, "WARN", 4);
    ask(w, &query, &end);
    assert_int_equal(w->count, 2);
    query = a_query();
    SET_TEXT(&query, actor, "enrich", 6);
    ask(w, &query, &end);
    assert_int_equal(w->count, 2);
    SET_TEXT(&query, actor, "enrich.2", 8);
    ask(w, &query, &end);
    assert_int_equal(w->count, 1);
    query = a_query();
    SET_TEXT(&query, q, "wORD", 4);
    ask(w, &query, &end);
    assert_int_equal(w->count, 2);
    query = a_query();
    SET(&query, start_time, START + 2000000);
    ask(w, &query, &end);
    assert_int_equal(w->count, 2);
    SET_TEXT(&query, level, "loud", 4);
    assert_int_equal(ask(w, &query, &end), -1);
}

static void a_cursor_goes_on_while_lines_come_and_files_are_renamed(void **state)
{
    struct world *w = *state;
    struct logs_query query = a_query();
    struct page end;
    char message[40], from[200], to[200];
    for (int i = 0; i < 30; i++) {
        snprintf(message, sizeof message, "line %d", i);
        say(w, i < 10 ? "@40000000aaaa0001.s" : "current", i, "info", "sink", message);
    }
    SET(&query, limit, 7);
    for (int next = 29, page = 0; next >= 0; page++) {
        assert_int_equal(ask(w, &query, &end), 0);
        for (size_t i = 0; i < w->count; i++, next--) {
            snprintf(message, sizeof message, "sink/info: line %d", next);
            assert_string_equal(w->given[i], message);
        }
        assert_true(end.has_next_cursor == (next >= 0));
        if (next < 0)
            break;
        SET_TEXT(&query, cursor, end.next_cursor, end.next_cursor_size);
        say(w, "current", 100 + page, "info", "sink", "newer");
        if (page == 1) {
            path_of(w, "current", from);
            path_of(w, "@40000000aaaa0002.s", to);
            assert_int_equal(rename(from, to), 0);
        }
    }
    SET_TEXT(&query, cursor, "nonsense", 8);
    assert_int_equal(ask(w, &query, &end), -1);
    query = a_query();
    w->room = 3; /* no room in the answer */
    ask(w, &query, &end);
    assert_int_equal(w->count, 3);
    assert_true(end.has_next_cursor);
}

static void whatever_stands_there_is_a_line(void **state)
{
    struct world *w = *state;
    struct logs_query query = a_query();
    struct page end;
    char *large = malloc(200000);
    memset(large, 'x', 200000);
    append(w, "current", large, 200000);
    free(large);
    append_text(w, "");
    append_text(w, "s6-supervise: warning: something");
    append_text(w, "{\"time\":\"2026-01-01T00:00:00.000001Z\",\"level\":\"warn\",\"actor\":\"sink\",\"message\":\"as \\\"json\\\"\"}");
    append_text(w, "2026-01-01T00:00:00.000001Z loud  sink x");
    append(w, "current", "\xff\xfe", 2);
    assert_int_equal(ask(w, &query, &end), 0);
    assert_true(w->count >= 5);
    assert_string_equal(w->given[1], "/: 2026-01-01T00:00:00.000001Z loud  sink x");
    assert_string_equal(w->given[2], "sink/warn: as \"json\"");
    assert_string_equal(w->given[3], "/: s6-supervise: warning: something");
    assert_memory_equal(w->given[4], "/: xxx", 6);
}

static void they_are_counted_by_level_and_process(void **state)
{
    struct world *w = *state;
    struct log_counts counts;
    msgpack_sbuffer pool = { 0 };
    say(w, "current", 1, "info", "sink", "old");
    say(w, "current", 7200, "warn", "sink", "new");
    say(w, "current", 7201, "warn", "enrich.2", "new");
    logs_count(w->directory, START + INT64_C(7210000000), &counts, &pool);
    assert_int_equal(counts.total_logs, 3);
    assert_int_equal(counts.recent_logs, 2);
    assert_true(counts.whole);
    assert_int_equal(counts.oldest, START + 1000000);
    assert_int_equal(counts.newest, START + INT64_C(7201000000));
    assert_memory_equal(counts.levels.data, "{\"debug\":0,\"info\":1,\"warn\":2,\"error\":0}", counts.levels.size);
    assert_memory_equal(counts.services.data, "{\"enrich.2\":1,\"sink\":2}", counts.services.size);
    msgpack_sbuffer_destroy(&pool);
}

static void a_level_that_nobody_knows_is_counted_as_none(void **state)
{
    struct world *w = *state;
    struct log_counts counts;
    msgpack_sbuffer pool = { 0 };
    append_text(w, "{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"fatal\",\"actor\":\"sink\",\"message\":\"x\"}");
    logs_count(w->directory, START, &counts, &pool);
    assert_int_equal(counts.total_logs, 1);
    assert_memory_equal(counts.levels.data, "{\"debug\":0,\"info\":0,\"warn\":0,\"error\":0}", counts.levels.size);
    assert_memory_equal(counts.services.data, "{\"sink\":1}", counts.services.size);
    msgpack_sbuffer_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(lines_come_newest_first_over_all_files),
        TEST(lines_are_asked_for_by_level_actor_text_and_time),
        TEST(a_cursor_goes_on_while_lines_come_and_files_are_renamed),
        TEST(whatever_stands_there_is_a_line),
        TEST(they_are_counted_by_level_and_process),
        TEST(a_level_that_nobody_knows_is_counted_as_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
