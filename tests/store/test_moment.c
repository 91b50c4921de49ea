/* test_moment.c - the state in force at a moment; an entity's samples across series, when it had none; and that a reader in
 * the midst of it holds up nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "absent.h"
#include "inside.h"
#include "spans.h"
#include "moment.h"
#include "rollup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world { char directory[64], path[96]; store_t *writer, *reader; int64_t place; };

static store_t *open_store(const char *path, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    assert_non_null(store);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-moment-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w->path, true);
    w->reader = open_store(w->path, false);
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

static void add(struct world *w, const char *entity, int64_t at, const char *state)
{
    struct event_full e;
    struct fault fault;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of(entity));
    SET(&e, is_state, true);
    SET(&e, timestamp, at);
    SET(&e, received_at, at);
    SET(&e, place, ++w->place);
    SET_TEXT(&e, provenance, "live", 4);
    if (state) {
        SET(&e, last_updated, at);
        SET(&e, state, slice_of(state));
    }
    assert_int_equal(store_append(w->writer, &e, &fault), STORE_OK);
}

static void commit(struct world *w)
{
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

struct seen { struct world *w; char text[400]; int64_t stop; int commits; };

static int look(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct seen *seen = owner;
    char one[64];
    if (seen->stop-- == 0)
        return 1;
    if (!e)
        snprintf(one, sizeof one, "%d:none ", (int)which);
    else
        snprintf(one, sizeof one, "%d:%s%.*s=%.*s ", (int)which, in_gap ? "gap " : "", (int)e->entity_id.size, (const char *)e->entity_id.data,
                 e->has_state ? (int)e->state.size : 4, e->has_state ? (const char *)e->state.data : "gone");
    strcat(seen->text, one);
    return 0;
}

static void assert_moment(struct world *w, struct moment_question q, const char *expected)
{
    struct seen seen = { .w = w, .stop = -1 };
    int64_t next = -1;
    assert_int_equal(store_moment(w->reader, &q, look, &seen, &next), STORE_OK);
    assert_string_equal(seen.text, expected);
    assert_int_equal(next, 0);
}

static void a_row_is_in_force_from_its_own_time_on(void **state)
{
    struct world *w = *state;
    assert_moment(w, (struct moment_question){ .at_us = { 100 }, .moments = 1 }, ""); /* of a store that is not there */
    add(w, "a.a", 100, "1");
    add(w, "a.b", 200, "x");
    add(w, "a.a", 300, "2");
    add(w, "a.b", 400, NULL);
    add(w, "b.c", 100000000, "later");
    commit(w);
    assert_moment(w, (struct moment_question){ .at_us = { 99 }, .moments = 1 }, "");
    assert_moment(w, (struct moment_question){ .at_us = { 100 }, .moments = 1 }, "0:a.a=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 299 }, .moments = 1 }, "0:a.a=1 0:a.b=x ");
    assert_moment(w, (struct moment_question){ .at_us = { 400 }, .moments = 1 }, "0:a.a=2 0:a.b=gone ");
    assert_moment(w, (struct moment_question){ .at_us = { 400 }, .moments = 1, .entities = slice_of("x, a.b") }, "0:a.b=gone ");
    assert_moment(w, (struct moment_question){ .at_us = { 400 }, .moments = 1, .is_now = true, .domains = slice_of("b") }, "0:b.c=later ");
}

static void two_moments_tell_only_of_what_is_another_row(void **state)
{
    struct world *w = *state;
    add(w, "a.a", 100, "1");
    add(w, "a.b", 100, "x");
    add(w, "a.a", 300, "1");
    add(w, "a.c", 350, "y");
    commit(w);
    assert_moment(w, (struct moment_question){ .at_us = { 200, 400 }, .moments = 2 }, "0:a.a=1 1:a.a=1 0:none 1:a.c=y ");
    assert_moment(w, (struct moment_question){ .at_us = { 400, 500 }, .moments = 2 }, "");
}

static void of_rows_of_one_time_the_one_that_came_last_is_in_force(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 8; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        struct event_full e;
        struct fault fault;
        schema_clear(event_full_schema(), &e);
        SET(&e, event_type, slice_of("state_changed"));
        SET(&e, entity_id, slice_of("a.a"));
        SET(&e, is_state, true);
        SET(&e, timestamp, 100);
        SET(&e, last_updated, 100);
        SET(&e, received_at, 100);
        SET(&e, place, ++w->place);
        SET(&e, state, slice_of(text));
        SET(&e, context_id, slice_of(text)); /* of different contexts: different events */
        SET_TEXT(&e, provenance, "live", 4);
        assert_int_equal(store_append(w->writer, &e, &fault), STORE_OK);
    }
    commit(w);
    assert_moment(w, (struct moment_question){ .at_us = { 100 }, .moments = 1 }, "0:a.a=7 ");
}

static void it_goes_on_with_the_entity_for_which_there_was_no_room(void **state)
{
    struct world *w = *state;
    add(w, "a.a", 100, "1");
    add(w, "a.b", 100, "2");
    add(w, "a.c", 100, "3");
    commit(w);
    struct seen seen = { .w = w, .stop = 1 };
    struct moment_question q = { .at_us = { 100 }, .moments = 1 };
    assert_int_equal(store_moment(w->reader, &q, look, &seen, &q.series), STORE_OK);
    assert_string_equal(seen.text, "0:a.a=1 ");
    assert_moment(w, q, "0:a.b=2 0:a.c=3 ");
}

/* In the midst of a look: rows come and are committed. */
static int write_meanwhile(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct seen *seen = owner;
    char entity[16];
    snprintf(entity, sizeof entity, "n.n%d", seen->commits);
    add(seen->w, entity, 50, "new");
    add(seen->w, "a.b", 90 + seen->commits, "new");
    commit(seen->w);
    seen->commits++;
    return look(owner, which, in_gap, e);
}

static void a_reader_in_the_midst_holds_up_no_commit_and_sees_one_moment(void **state)
{
    struct world *w = *state;
    add(w, "a.a", 10, "1");
    add(w, "a.b", 10, "old");
    commit(w);
    struct seen seen = { .w = w, .stop = -1 };
    struct moment_question q = { .at_us = { 100 }, .moments = 1 };
    int64_t next;
    assert_int_equal(store_moment(w->reader, &q, write_meanwhile, &seen, &next), STORE_OK);
    assert_int_equal(seen.commits, 2);
    assert_string_equal(seen.text, "0:a.a=1 0:a.b=old ");
    assert_moment(w, q, "0:a.a=1 0:a.b=new 0:n.n0=new 0:n.n1=new ");
}

static void what_is_not_committed_holds_up_no_reader(void **state)
{
    struct world *w = *state;
    add(w, "a.a", 10, "1");
    commit(w);
    add(w, "a.a", 20, "2"); /* joins a transaction that stays open */
    store_t *other = open_store(w->path, false);
    assert_moment(w, (struct moment_question){ .at_us = { 100 }, .moments = 1 }, "0:a.a=1 ");
    struct seen seen = { .w = w, .stop = -1 };
    int64_t next;
    assert_int_equal(store_moment(other, &(struct moment_question){ .at_us = { 100 }, .moments = 1 }, look, &seen, &next), STORE_OK);
    assert_string_equal(seen.text, "0:a.a=1 ");
    store_close(&other);
    commit(w);
    assert_moment(w, (struct moment_question){ .at_us = { 100 }, .moments = 1 }, "0:a.a=2 ");
}

/* --- across series ---------------------------------------------------------------------------------------- */

struct reading { const struct lineage_span *spans; size_t count; int64_t from, to; bool prior, is_states; char text[400]; };

static enum store_result read_history(store_t *store, void *owner)
{
    struct reading *r = owner;
    struct sample s;
    enum store_result result;
    history_t *history = history_open(store, r->spans, r->count, r->from, r->to, r->prior);
    while ((result = history_next(history, &s)) == STORE_OK) {
        char one[64];
        snprintf(one, sizeof one, "%d=%.*s ", (int)s.at, s.kind == SAMPLE_REMOVED ? 4 : (int)s.state.size,
                 s.kind == SAMPLE_REMOVED ? "gone" : (const char *)s.state.data);
        strcat(r->text, one);
    }
    history_close(&history);
    return result;
}

static int note_stretch(void *owner, int64_t from, int64_t to)
{
    struct reading *r = owner;
    char one[64];
    snprintf(one, sizeof one, "%d-%d ", (int)from, (int)to);
    strcat(r->text, one);
    return 0;
}

static enum store_result read_absence(store_t *store, void *owner)
{
    struct reading *r = owner;
    return store_absent(store, r->spans, r->count, r->is_states, r->from, r->to, note_stretch, r);
}

/* Two entities, series 1 and 2; the device had the one name until 500, then the other. */
static const struct lineage_span spans[2] = { { 1, 0, 500 }, { 2, 500, FOREVER_US } };

static void two_names(struct world *w)
{
    add(w, "a.old", 100, "1");
    add(w, "a.new", 150, "another device");
    add(w, "a.old", 200, "unavailable");
    add(w, "a.old", 300, "3");
    add(w, "a.old", 600, "another device");
    add(w, "a.new", 700, "7");
    add(w, "a.new", 800, NULL);
    commit(w);
}

static void assert_history(struct world *w, int64_t from, int64_t to, bool prior, const char *expected)
{
    struct reading r = { spans, 2, from, to, prior, false, "" };
    assert_int_equal(store_look(w->reader, read_history, &r), STORE_MISSING);
    assert_string_equal(r.text, expected);
}

static void samples_go_on_under_the_other_name(void **state)
{
    struct world *w = *state;
    two_names(w);
    assert_history(w, 0, 1000, true, "100=1 200=unavailable 300=3 700=7 800=gone ");
    assert_history(w, 250, 1000, true, "200=unavailable 300=3 700=7 800=gone ");
    assert_history(w, 550, 750, true, "300=3 700=7 ");
    assert_history(w, 550, 750, false, "700=7 ");
    assert_history(w, 700, 701, true, "300=3 700=7 ");
    assert_history(w, 50, 60, true, "");
    assert_history(w, 900, 950, true, "800=gone ");
}

static void assert_absent(struct world *w, int64_t from, int64_t to, const char *expected)
{
    struct reading r = { spans, 2, from, to, false, false, "" };
    assert_int_equal(store_look(w->reader, read_absence, &r), STORE_OK);
    assert_string_equal(r.text, expected);
}

static void where_there_was_no_value_is_told_but_for_gaps(void **state)
{
    struct world *w = *state;
    two_names(w);
    assert_absent(w, 0, 1000, "0-100 200-300 800-1000 ");
    assert_absent(w, 250, 900, "250-300 800-900 ");
    assert_absent(w, 300, 800, "");
    struct gap_said gaps[3] = { { .id = "g1", .from = 50, .to = 260 }, { .id = "g2", .from = 400, .to = 750 },
        { .id = "g3", .entity_id = slice_of("a.new"), .from = 850, .to = 0 } };
    assert_int_equal(store_set_gaps(w->writer, gaps, 3), STORE_OK);
    commit(w);
    assert_absent(w, 0, 1000, "0-50 200-300 800-850 "); /* a sample ends a gap; what goes on is one to the end */
    struct reading r = { spans, 2, 0, 1000, false, false, "" };
    bool open = false;
    assert_int_equal(store_gaps_of(w->reader, spans, 2, 0, 1000, &open, note_stretch, &r), STORE_OK);
    assert_string_equal(r.text, "50-260 400-750 850-1000 ");
    assert_true(open);
}

static void a_row_from_before_a_gap_of_its_own_or_of_all_is_told_as_such(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        const char *names[] = { "a.a", "a.b", "a.c" };
        add(w, names[i], 100, "1");
    }
    add(w, "a.b", 300, "2"); /* came in the midst of the gap: it says how it was after whatever is missing */
    commit(w);
    struct gap_said gaps[3] = { { .id = "g1", .entity_id = slice_of("a.a"), .from = 200, .to = 400 },
        { .id = "g1", .entity_id = slice_of("a.b"), .from = 200, .to = 400 }, { .id = "g2", .from = 600, .to = 700 } };
    assert_int_equal(store_set_gaps(w->writer, gaps, 3), STORE_OK);
    commit(w);
    assert_moment(w, (struct moment_question){ .at_us = { 199 }, .moments = 1 }, "0:a.a=1 0:a.b=1 0:a.c=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 250 }, .moments = 1 }, "0:gap a.a=1 0:gap a.b=1 0:a.c=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 399 }, .moments = 1 }, "0:gap a.a=1 0:a.b=2 0:a.c=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 400 }, .moments = 1 }, "0:a.a=1 0:a.b=2 0:a.c=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 650 }, .moments = 1 }, "0:gap a.a=1 0:gap a.b=2 0:gap a.c=1 ");
    assert_moment(w, (struct moment_question){ .at_us = { 250, 500 }, .moments = 2 }, "0:gap a.b=1 1:a.b=2 ");
}

static void read_file(struct world *w, const char *sql, int64_t expected)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int rc = sqlite3_step(stmt);
    assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
    if (rc == SQLITE_ROW)
        assert_int_equal(sqlite3_column_int64(stmt, 0), expected);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void seal_all(struct world *w, int64_t days)
{
    enum store_result result;
    while ((result = store_seal(w->writer, days * DAY_US, DAY_US)) == STORE_OK)
        ;
    assert_int_equal(result, STORE_MISSING);
}

enum { MANY = 600 };

static void add_many(struct world *w)
{
    char text[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%d", i);
        add(w, "a.a", 1000 * (i + 1), text);
    }
    commit(w);
    seal_all(w, 100);
    read_file(w, "SELECT sum(rows) FROM chunk", MANY - 1);
}

static void a_late_row_beside_a_chunk_is_found_before_and_after_it_is_merged(void **state)
{
    struct world *w = *state;
    add_many(w);
    read_file(w, "SELECT alone FROM chunk", 1);
    assert_moment(w, (struct moment_question){ .at_us = { 300900 }, .moments = 1 }, "0:a.a=299 ");
    add(w, "a.a", 300500, "late");
    read_file(w, "SELECT alone FROM chunk", 1); /* in the transaction of the row, not before */
    commit(w);
    read_file(w, "SELECT alone FROM chunk", 0);
    assert_moment(w, (struct moment_question){ .at_us = { 300499 }, .moments = 1 }, "0:a.a=299 ");
    assert_moment(w, (struct moment_question){ .at_us = { 300500 }, .moments = 1 }, "0:a.a=late ");
    assert_moment(w, (struct moment_question){ .at_us = { 301000 }, .moments = 1 }, "0:a.a=300 ");
    seal_all(w, 102);
    read_file(w, "SELECT alone FROM chunk", 1);
    read_file(w, "SELECT sum(rows) FROM chunk", MANY);
    assert_moment(w, (struct moment_question){ .at_us = { 300999 }, .moments = 1 }, "0:a.a=late ");
}

static void chunks_of_before_are_asked_with_what_lies_beside_them(void **state)
{
    struct world *w = *state;
    add_many(w);
    add(w, "a.a", 300500, "late");
    commit(w);
    store_close(&w->reader);
    store_close(&w->writer);
    read_file(w, "ALTER TABLE chunk DROP COLUMN alone", 0);
    w->reader = open_store(w->path, false);
    assert_moment(w, (struct moment_question){ .at_us = { 300900 }, .moments = 1 }, "0:a.a=late ");
    w->writer = open_store(w->path, true);
    read_file(w, "SELECT alone FROM chunk", 0);
    assert_moment(w, (struct moment_question){ .at_us = { 300900 }, .moments = 1 }, "0:a.a=late ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_is_in_force_from_its_own_time_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_moments_tell_only_of_what_is_another_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_rows_of_one_time_the_one_that_came_last_is_in_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_on_with_the_entity_for_which_there_was_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_in_the_midst_holds_up_no_commit_and_sees_one_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_committed_holds_up_no_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(samples_go_on_under_the_other_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_there_was_no_value_is_told_but_for_gaps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_from_before_a_gap_of_its_own_or_of_all_is_told_as_such, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_row_beside_a_chunk_is_found_before_and_after_it_is_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks_of_before_are_asked_with_what_lies_beside_them, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
