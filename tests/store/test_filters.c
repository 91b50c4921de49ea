/* test_filters.c - rules in force: what they leave out, what they take back, and what no kill takes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "filters.h"
#include "store.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START INT64_C(1767225600000000)
#define SECOND INT64_C(1000000)

struct world { char directory[64], path[96]; store_t *store; filters_t *filters; };

static uint64_t seed = 88172645463325252u;

static uint64_t chance(uint64_t of)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % of;
}

static void open_store(struct world *w)
{
    const char *why = "";
    struct fault fault;
    w->store = store_open(&(struct store_options){ .path = w->path, .writer = true, .cache_bytes = 1 << 20 }, &why);
    assert_non_null(w->store);
    w->filters = filters_open(w->store, &fault);
    assert_null(fault.why);
}

static void close_store(struct world *w)
{
    filters_close(&w->filters);
    store_close(&w->store);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-filters-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    open_store(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    close_store(w);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    free(w);
    return system(command);
}

static void set(struct world *w, const char *rules)
{
    struct fault fault = { "", "" };
    if (filters_set(w->filters, slice_of(rules), START, &fault) != STORE_OK)
        fail_msg("%s %s", fault.field, fault.why);
}

static void commit(struct world *w)
{
    assert_int_equal(filters_join(w->filters), STORE_OK);
    assert_int_equal(store_commit(w->store), STORE_OK);
    filters_committed(w->filters);
}

/* --- events ------------------------------------------------------------------------------------------- */

/* A state of sensor.a: a number in quarters, or a word. */
struct sample { int64_t at; int quarters; const char *word; bool is_removal; };

static struct event_full event_of(const struct sample *s, char text[32])
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of("sensor.a"));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, timestamp, s->at + (s->at % 7 == 0 && !s->is_removal)); /* some lie in the index of times that differ */
    SET(&e, last_updated, s->at);
    SET(&e, received_at, s->at);
    SET(&e, place, s->at);
    SET_TEXT(&e, provenance, "live", 4);
    SET(&e, context_id, slice_of(s->at % 3 ? "01HXYZ0000000000000000000A" : "0123456789abcdef0123456789abcdef"));
    if (s->at % 5 == 0)
        SET(&e, context_parent_id, slice_of("my own parent"));
    if (s->is_removal)
        return e;
    snprintf(text, 32, "%g", s->quarters / 4.0);
    SET(&e, state, slice_of(s->word ? s->word : text));
    if (!s->word)
        SET(&e, value, slice_of(text));
    return e;
}

static enum store_result append(struct world *w, const struct sample *s)
{
    char text[32];
    int64_t thinned;
    struct fault fault;
    struct event_full e = event_of(s, text);
    return filters_append(w->filters, &e, &thinned, &fault);
}

/* A walk with jumps, words and removals between; times grow by up to 20 s. */
static void make_series(struct sample *list, size_t count)
{
    int64_t at = START;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        at += 1 + (int64_t)chance(20 * SECOND);
        value += (int)chance(7) - 3 + (chance(50) ? 0 : (int)chance(200) - 100);
        list[i] = (struct sample){ at, value, NULL, false };
        if (chance(25) == 0)
            list[i].word = chance(2) ? "unavailable" : "unknown";
        else if (chance(60) == 0)
            list[i].is_removal = true;
    }
}

/* --- brute force ---------------------------------------------------------------------------------------- */

static bool is_number(const struct sample *s)
{
    return !s->word && !s->is_removal;
}

/* The end of the stretch that begins at `from`, from the definition. */
static size_t stretch_end(const struct sample *list, size_t count, size_t from, int64_t interval_us, int band)
{
    size_t end = from + 1;
    for (; end < count && is_number(&list[end]); end++) {
        bool in_interval = interval_us && list[end].at / interval_us == list[from].at / interval_us;
        bool in_band = band && abs(list[end].quarters - list[from].quarters) < band;
        if (!in_interval && !in_band)
            break;
    }
    return end;
}

static void mark_needed(const struct sample *list, size_t count, int64_t interval_us, int band, bool *needed)
{
    for (size_t from = 0, end; from < count; from = end) {
        end = from + 1;
        needed[from] = true;
        if (!is_number(&list[from]))
            continue;
        end = stretch_end(list, count, from, interval_us, band);
        size_t least = from, greatest = from;
        for (size_t i = from; i < end; i++) {
            least = list[i].quarters < list[least].quarters ? i : least;
            greatest = list[i].quarters > list[greatest].quarters ? i : greatest;
        }
        needed[least] = needed[greatest] = needed[end - 1] = true;
    }
}

/* --- what is in the file ---------------------------------------------------------------------------------- */

static int64_t ask_file(struct world *w, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

/* Rows, their times and their links belong together. */
static void assert_whole(struct world *w)
{
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), ask_file(w, "SELECT (SELECT count(*) FROM time) + (SELECT ifnull(sum(count), 0) FROM run)"));
    assert_int_equal(ask_file(w, "SELECT count(*) FROM time t LEFT JOIN event e ON e.series = t.series AND e.at = t.time + t.back AND e.rest = t.rest"
        " WHERE e.at IS NULL"), 0);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM link l LEFT JOIN event e ON e.series = l.series AND e.at = l.at AND e.rest = l.rest"
        " WHERE e.at IS NULL"), 0);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM link WHERE kind = 4"), ask_file(w, "SELECT count(*) FROM event WHERE shift <> 0"));
    assert_int_equal(ask_file(w, "SELECT count(*) FROM link WHERE kind = 3"), ask_file(w, "SELECT count(*) FROM event WHERE at % 5 = 0"));
}

static bool *read_stored(struct world *w, const struct sample *list, size_t count)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    bool *stored = calloc(count, sizeof *stored);
    size_t i = 0;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT at FROM event ORDER BY at", -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        while (i < count && list[i].at < sqlite3_column_int64(stmt, 0))
            i++;
        assert_true(i < count && list[i].at == sqlite3_column_int64(stmt, 0));
        assert_false(stored[i]);
        stored[i] = true;
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return stored;
}

/* --- thinning ------------------------------------------------------------------------------------------------ */

static void thin_and_compare(struct world *w, size_t count, int interval_s, int band)
{
    char rules[200], amount[100] = "";
    struct sample *list = calloc(count, sizeof *list);
    bool *needed = calloc(count, sizeof *needed);
    make_series(list, count);
    if (interval_s)
        snprintf(amount, sizeof amount, ",\"interval_s\":%d", interval_s);
    if (band)
        snprintf(amount + strlen(amount), sizeof amount - strlen(amount), ",\"deadband\":%g", band / 4.0);
    snprintf(rules, sizeof rules, "[{\"action\":\"thin\",\"glob\":\"sensor.*\"%s}]", amount);
    set(w, rules);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(append(w, &list[i]), STORE_OK);
        if (chance(40) == 0)
            commit(w);
    }
    commit(w);
    mark_needed(list, count, interval_s * SECOND, band, needed);
    bool *stored = read_stored(w, list, count);
    int64_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (stored[i] != needed[i])
            fail_msg("sample %zu of %zu (interval %d, band %d) is %s", i, count, interval_s, band, stored[i] ? "stored" : "missing");
        kept += stored[i];
    }
    assert_whole(w);
    struct filters_view view = { 0 };
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    filters_show(w->filters, &view, &pool);
    assert_int_equal(view.thinned, (int64_t)count - kept);
    msgpack_sbuffer_destroy(&pool);
    free(list);
    free(needed);
    free(stored);
}

static void of_each_interval_the_first_least_greatest_and_last_stay(void **state)
{
    thin_and_compare(*state, 5000, 60, 0);
}

static void of_each_band_the_first_least_greatest_and_last_stay(void **state)
{
    thin_and_compare(*state, 5000, 0, 8);
}

static void with_both_a_stretch_ends_when_both_have(void **state)
{
    thin_and_compare(*state, 5000, 60, 8);
}

static void words_and_removals_are_never_thinned(void **state)
{
    struct world *w = *state;
    set(w, "[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":86400,\"deadband\":1000000}]");
    for (int i = 0; i < 100; i++) {
        struct sample s = { START + i * SECOND, 0, i % 2 ? "unavailable" : "off", i % 10 == 9 };
        assert_int_equal(append(w, &s), STORE_OK);
    }
    commit(w);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 100);
}

/* What is not newer than its series is stored as it is, and disturbs nothing. */
static void what_comes_late_is_stored_as_it_is(void **state)
{
    struct world *w = *state;
    set(w, "[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":3600}]");
    for (int i = 0; i <= 10; i++) {
        struct sample s = { START + 100 * SECOND + i * SECOND, 40 + i, NULL, false };
        append(w, &s);
    }
    commit(w);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 2);
    for (int i = 0; i < 5; i++) {
        struct sample s = { START + 50 * SECOND + i * SECOND, 50, NULL, false };
        assert_int_equal(append(w, &s), STORE_OK);
    }
    struct sample again = { START + 100 * SECOND, 40, NULL, false }, next = { START + 200 * SECOND, 60, NULL, false };
    assert_int_equal(append(w, &again), STORE_REDELIVERED);
    assert_int_equal(append(w, &next), STORE_OK);
    commit(w);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 7); /* 5 late ones, the first and the new last */
    assert_whole(w);
}

/* Delivered once more, after a kill: what was left out or taken back is recognised by its place. */
static void what_was_taken_back_or_left_out_does_not_come_again(void **state)
{
    struct world *w = *state;
    struct store_totals before, after;
    set(w, "[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":3600},{\"action\":\"exclude\",\"entity_id\":\"sensor.b\"}]");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i <= 10; i++) {
            struct sample s = { START + i * SECOND, 40 + i, NULL, false };
            assert_int_equal(append(w, &s), round ? STORE_REDELIVERED : STORE_OK);
        }
        if (round == 0) {
            char text[32];
            int64_t thinned;
            struct fault fault;
            struct sample s = { START + 20 * SECOND, 1, NULL, false };
            struct event_full e = event_of(&s, text);
            e.entity_id = slice_of("sensor.b");
            assert_int_equal(filters_append(w->filters, &e, &thinned, &fault), STORE_FILTERED);
            assert_int_equal(filters_append(w->filters, &e, &thinned, &fault), STORE_REDELIVERED);
        }
        commit(w);
        store_totals(w->store, round ? &after : &before);
        if (round == 1) {
            close_store(w);
            open_store(w);
        }
    }
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 2);
    assert_int_equal(before.of[STORE_INGEST][STORE_FATE_STORED], 2);
    assert_int_equal(before.of[STORE_INGEST][STORE_FATE_THINNED], 9);
    assert_int_equal(before.of[STORE_INGEST][STORE_FATE_FILTERED], 1);
    for (int fate = 0; fate < STORE_FATE_REDELIVERED; fate++)
        assert_int_equal(after.of[STORE_INGEST][fate], before.of[STORE_INGEST][fate]);
    assert_int_equal(after.of[STORE_INGEST][STORE_FATE_REDELIVERED], 1 + 2 * 11);
    assert_int_equal(ask_file(w, "SELECT filtered FROM filter_count WHERE rule = 1"), 1);
}

/* Brought in a second time, an import adds nothing: so nothing of it may have been taken back. */
static void what_comes_from_a_history_is_stored_as_it_is(void **state)
{
    struct world *w = *state;
    static const char *const histories[] = { "backfill", "snapshot", "import" };
    char text[32];
    int64_t thinned;
    struct fault fault;
    set(w, "[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":86400}]");
    for (int i = 0; i < 60; i++) {
        struct sample s = { START + i * SECOND, i, NULL, false };
        struct event_full e = event_of(&s, text);
        SET_TEXT(&e, provenance, histories[i % 3], strlen(histories[i % 3]));
        assert_int_equal(filters_append(w->filters, &e, &thinned, &fault), STORE_OK);
    }
    commit(w);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 60);
}

/* --- kills ------------------------------------------------------------------------------------------------------ */

enum { KILL_SAMPLES = 4000 };

static void append_until_killed(struct world *w, const struct sample *list, size_t from, int pipe)
{
    open_store(w);
    for (size_t i = from; i < KILL_SAMPLES; i++) {
        append(w, &list[i]);
        if (i % 50 == 49) {
            commit(w);
            if (write(pipe, &i, sizeof i) != sizeof i)
                _exit(1);
        }
    }
    for (;;)
        pause();
}

/* Delivered again from the last acknowledged one on, as the broker would; how far it was acknowledged. */
static size_t run_and_kill(struct world *w, const struct sample *list, size_t from)
{
    int ends[2];
    size_t acked = from, seen, most = from + 50 * (2 + chance(20));
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        append_until_killed(w, list, from, ends[1]);
    close(ends[1]);
    while (acked < most && acked < KILL_SAMPLES && read(ends[0], &seen, sizeof seen) == sizeof seen)
        acked = seen + 1;
    usleep((useconds_t)chance(3000)); /* into the middle of what comes next */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(ends[0], &seen, sizeof seen) == sizeof seen)
        ; /* an acknowledgement that did not arrive */
    close(ends[0]);
    return acked;
}

static void a_kill_takes_no_extreme_and_no_row_comes_twice(void **state)
{
    struct world *w = *state;
    struct sample *list = calloc(KILL_SAMPLES, sizeof *list);
    bool *needed = calloc(KILL_SAMPLES, sizeof *needed);
    make_series(list, KILL_SAMPLES);
    set(w, "[{\"action\":\"thin\",\"entity_id\":\"sensor.a\",\"interval_s\":600}]");
    close_store(w);
    size_t kills = 0;
    for (size_t from = 0; from < KILL_SAMPLES; kills++)
        from = run_and_kill(w, list, from);
    open_store(w);
    mark_needed(list, KILL_SAMPLES, 600 * SECOND, 0, needed);
    bool *stored = read_stored(w, list, KILL_SAMPLES);
    size_t kept = 0;
    for (size_t i = 0; i < KILL_SAMPLES; i++) {
        if (needed[i] && !stored[i])
            fail_msg("sample %zu is lost after %zu kills", i, kills);
        kept += stored[i];
    }
    assert_true(kills > 2);
    assert_true(kept < KILL_SAMPLES / 2);
    assert_whole(w);
    free(list);
    free(needed);
    free(stored);
}

/* --- a disk that takes nothing ------------------------------------------------------------------------------------- */

static void what_is_rolled_back_was_not_counted_and_names_no_row(void **state)
{
    struct world *w = *state;
    set(w, "[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":86400},{\"action\":\"exclude\",\"entity_id\":\"sensor.b\"}]");
    for (int i = 0; i < 5; i++) {
        struct sample s = { START + i, i, NULL, false };
        append(w, &s);
    }
    commit(w);
    for (int i = 5; i < 20; i++) {
        struct sample s = { START + i, i, NULL, false };
        append(w, &s);
    }
    close_store(w); /* not committed */
    open_store(w);
    struct filters_view view = { 0 };
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    filters_show(w->filters, &view, &pool);
    assert_int_equal(view.thinned, 3);
    for (int i = 5; i < 20; i++) {
        struct sample s = { START + i, i, NULL, false };
        append(w, &s);
    }
    filters_forget(w->filters); /* the counts and stretches; the rows themselves go with the store's */
    filters_show(w->filters, &view, &pool);
    assert_int_equal(view.thinned, 3);
    msgpack_sbuffer_destroy(&pool);
}

/* --- rules ---------------------------------------------------------------------------------------------------------- */

static void rules_take_effect_with_the_next_event_and_outlive_the_process(void **state)
{
    struct world *w = *state;
    struct sample s = { START, 1, NULL, false };
    assert_int_equal(append(w, &s), STORE_OK);
    commit(w);
    set(w, "[{\"action\":\"exclude\",\"domain\":\"sensor\"}]");
    s.at++;
    assert_int_equal(append(w, &s), STORE_FILTERED);
    s.at++;
    s.is_removal = true;
    assert_int_equal(append(w, &s), STORE_OK);
    commit(w);
    close_store(w);
    open_store(w);
    assert_int_equal(filters_rules(w->filters), 1);
    s = (struct sample){ START + 5, 1, NULL, false };
    assert_int_equal(append(w, &s), STORE_FILTERED);
    commit(w);
    struct filters_view view = { 0 };
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    filters_show(w->filters, &view, &pool);
    assert_int_equal(view.filtered, 2);
    assert_int_equal(view.set_at, START);
    set(w, "[{\"action\":\"include\",\"domain\":\"light\"}]");
    s.at++;
    assert_int_equal(append(w, &s), STORE_FILTERED);
    commit(w);
    filters_show(w->filters, &view, &pool);
    assert_int_equal(view.filtered, 1); /* since these were set */
    assert_int_equal(view.unmatched, 1);
    set(w, "[]");
    s.at++;
    assert_int_equal(append(w, &s), STORE_OK);
    commit(w);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM event"), 3);
    msgpack_sbuffer_destroy(&pool);
}

static void a_decision_follows_what_the_registry_says(void **state)
{
    struct world *w = *state;
    char text[32];
    int64_t thinned;
    struct fault fault;
    struct sample s = { START, 1, NULL, false };
    set(w, "[{\"action\":\"exclude\",\"area_id\":\"attic\"},{\"action\":\"exclude\",\"label\":\"private\"}]");
    for (int i = 0; i < 12; i++) {
        s.at++;
        struct event_full e = event_of(&s, text);
        SET(&e, area_id, slice_of(i % 3 == 1 ? "attic" : "kitchen"));
        if (i % 3 == 2)
            SET(&e, labels, slice_of("[\"x\",\"private\"]"));
        assert_int_equal(filters_append(w->filters, &e, &thinned, &fault), i % 3 ? STORE_FILTERED : STORE_OK);
    }
    commit(w);
}

static void more_names_than_are_remembered_are_decided_all_the_same(void **state)
{
    struct world *w = *state;
    char text[32], name[32];
    int64_t thinned;
    struct fault fault;
    set(w, "[{\"action\":\"exclude\",\"glob\":\"sensor.n*[13579]\"},{\"action\":\"exclude\",\"glob\":\"sensor.*\"}]");
    for (int i = 0; i < 120000; i++) {
        struct sample s = { START + i, 1, NULL, false };
        struct event_full e = event_of(&s, text);
        snprintf(name, sizeof name, "sensor.n%d", i % 110000);
        e.entity_id = slice_of(name);
        assert_int_equal(filters_append(w->filters, &e, &thinned, &fault), STORE_FILTERED);
    }
    commit(w);
    assert_int_equal(ask_file(w, "SELECT filtered FROM filter_count WHERE rule = 0"), 60000);
}

static void rules_that_cannot_be_read_any_more_are_told_and_nothing_is_left_out(void **state)
{
    struct world *w = *state;
    struct fault fault;
    const char *why;
    sqlite3 *db;
    set(w, "[{\"action\":\"exclude\",\"domain\":\"sensor\"}]");
    close_store(w);
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE filter SET rules = '[{\"action\":\"of tomorrow\"}]'", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    w->store = store_open(&(struct store_options){ .path = w->path, .writer = true }, &why);
    w->filters = filters_open(w->store, &fault);
    assert_string_equal(fault.field, "rules[0].action");
    struct sample s = { START, 1, NULL, false };
    assert_int_equal(append(w, &s), STORE_OK);
    assert_int_equal(ask_file(w, "SELECT count(*) FROM filter"), 1); /* left as they are */
    commit(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(of_each_interval_the_first_least_greatest_and_last_stay),
        TEST(of_each_band_the_first_least_greatest_and_last_stay),
        TEST(with_both_a_stretch_ends_when_both_have),
        TEST(words_and_removals_are_never_thinned),
        TEST(what_comes_late_is_stored_as_it_is),
        TEST(what_was_taken_back_or_left_out_does_not_come_again),
        TEST(what_comes_from_a_history_is_stored_as_it_is),
        TEST(a_kill_takes_no_extreme_and_no_row_comes_twice),
        TEST(what_is_rolled_back_was_not_counted_and_names_no_row),
        TEST(rules_take_effect_with_the_next_event_and_outlive_the_process),
        TEST(a_decision_follows_what_the_registry_says),
        TEST(more_names_than_are_remembered_are_decided_all_the_same),
        TEST(rules_that_cannot_be_read_any_more_are_told_and_nothing_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
