/* test_moments.c - the house at a moment, what was different between two, and one entity's events. */
#include "series_world.h"

#include "rollup.h"

static void a_house(struct world *w)
{
    SAY(w, "light.desk", NOW_US - 9 * HOUR, "off", .area = "Study", .attributes = "{\"friendly_name\":\"Desk\"}");
    SAY(w, "sensor.t", NOW_US - 8 * HOUR, "68.5", .unit = "\u00b0F", .area = "Study", .attributes = "{\"friendly_name\":\"\\u00dcber\\ud800\"}");
    SAY(w, "sensor.gone", NOW_US - 8 * HOUR, "1", .unit = NULL);
    SAY(w, "light.desk", NOW_US - 6 * HOUR, "on", .area = "Study", .attributes = "{\"friendly_name\":\"Desk\"}");
    SAY(w, "sensor.gone", NOW_US - 5 * HOUR, NULL, .unit = NULL);
    SAY(w, "light.desk", NOW_US - 4 * HOUR, "on", .area = "Office", .attributes = "{\"friendly_name\":\"Lamp\"}");
    SAY(w, "light.new", NOW_US - 2 * HOUR, "off", .attributes = "{\"a\":{\"friendly_name\":\"no\"}}");
    commit(w);
}

static void assert_text(bool has, struct slice s, const char *text)
{
    if (!has || s.size != strlen(text) || memcmp(s.data, text, s.size))
        fail_msg("%.*s is not %s", has ? (int)s.size : 7, has ? (const char *)s.data : "nothing", text);
}

static struct state_row row_at(struct world *w, size_t i)
{
    struct state_row row;
    assert_int_equal(probe_row(w->probe, i, &row), 0);
    return row;
}

static void read_moment(struct world *w, int64_t at, const char *name, const char *text, size_t rows)
{
    struct moment_query q;
    struct moment_end end;
    schema_clear(moment_query_schema(), &q);
    if (at)
        SET(&q, at, at);
    if (name)
        set_text(moment_query_schema(), &q, name, text);
    assert_int_equal(probe_call(w->probe, &moment_read_contract, &q, &end), OK);
    assert_int_equal(end.at, at ? at : NOW_US);
    assert_int_equal(end.count, rows);
    assert_int_equal(probe_rows(w->probe), rows);
}

static void the_house_is_as_it_was_with_the_names_of_then(void **state)
{
    struct world *w = *state;
    a_house(w);
    read_moment(w, NOW_US - 5 * HOUR - 1, NULL, NULL, 3);
    struct state_row row = row_at(w, 0);
    assert_text(row.has_entity_id, row.entity_id, "light.desk");
    assert_text(row.has_state, row.state, "on");
    assert_text(row.has_area, row.area, "Study");
    assert_text(row.has_name, row.name, "\"Desk\"");
    assert_true(fabs(row.age_s - 3600 + 1e-6) < 1e-9);
    row = row_at(w, 1);
    assert_text(row.has_unit, row.unit, "\u00b0F");
    assert_text(row.has_name, row.name, "\"\\u00dcber\\ud800\""); /* as it was written */
    read_moment(w, NOW_US - 4 * HOUR, NULL, NULL, 2); /* what is removed is not there; in force from its own moment on */
    row = row_at(w, 0);
    assert_text(row.has_area, row.area, "Office");
    assert_text(row.has_name, row.name, "\"Lamp\"");
    assert_true(row.age_s == 0);
    read_moment(w, NOW_US - 4 * HOUR, "removed", "true", 3);
    read_moment(w, NOW_US - 10 * HOUR, NULL, NULL, 0);
}

static void an_entity_of_which_something_is_missing_is_told_as_such(void **state)
{
    struct world *w = *state;
    a_house(w);
    struct gap_said gap = { .id = "g", .entity_id = slice_of("sensor.t"), .from = NOW_US - 7 * HOUR, .to = NOW_US - 5 * HOUR };
    assert_int_equal(store_set_gaps(w->store, &gap, 1), STORE_OK);
    commit(w);
    read_moment(w, NOW_US - 6 * HOUR, NULL, NULL, 3);
    for (size_t i = 0; i < 3; i++) {
        struct state_row row = row_at(w, i);
        assert_int_equal(row.in_gap, row.entity_id.size == 8); /* sensor.t */
    }
    read_moment(w, NOW_US - 5 * HOUR, NULL, NULL, 2);
    assert_false(row_at(w, 1).in_gap);
}

static void now_is_the_default_and_filters_choose(void **state)
{
    struct world *w = *state;
    a_house(w);
    SAY(w, "sensor.ahead", NOW_US + 40 * DAY, "7", .unit = NULL); /* a clock that was wrong: there is nothing else */
    commit(w);
    read_moment(w, 0, NULL, NULL, 4);
    struct state_row row = row_at(w, 2);
    assert_text(row.has_entity_id, row.entity_id, "light.new");
    assert_false(row.has_name); /* one inside of another attribute is none */
    read_moment(w, 0, "domain", "light", 2);
    read_moment(w, 0, "entity_id", "sensor.t, light.new", 2);
    read_moment(w, NOW_US, "entity_id", "sensor.ahead", 0);
}

static void no_more_rows_are_told_than_the_limit(void **state)
{
    struct world *w = *state;
    a_house(w);
    read_moment(w, NOW_US - 4 * HOUR, NULL, NULL, 2);
    read_moment(w, NOW_US - 4 * HOUR, "limit", "1", 1);
    read_moment(w, NOW_US - 4 * HOUR, "limit", "100000000", 2); /* counts as the highest */
}

static void read_pages(struct world *w, char names[][24], int64_t limit, size_t told)
{
    struct moment_query q;
    struct moment_end end;
    size_t rows = 0, pages = 0;
    schema_clear(moment_query_schema(), &q);
    if (limit)
        SET(&q, limit, limit);
    do {
        assert_int_equal(probe_call(w->probe, &moment_read_contract, &q, &end), OK);
        assert_int_equal(end.at, NOW_US);
        for (size_t i = 0; i < probe_rows(w->probe); i++, rows++) {
            struct state_row row = row_at(w, i);
            assert_text(row.has_entity_id, row.entity_id, names[rows]);
        }
        probe_set_now(w->probe, NOW_US + (int64_t)++pages * SECOND);
        if (end.has_next_cursor)
            SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    assert_int_equal(rows, told);
    assert_true(pages > 3);
}

static void what_does_not_fit_into_a_page_goes_on_at_the_same_moment(void **state)
{
    struct world *w = *state;
    char names[900][24], attributes[600];
    memset(attributes, 'x', sizeof attributes);
    memcpy(attributes, "{\"a\":\"", 6);
    strcpy(attributes + 500, "\"}");
    for (size_t i = 0; i < 900; i++) {
        snprintf(names[i], sizeof names[i], "sensor.s%d", (int)i);
        SAY(w, names[i], NOW_US - HOUR + (int64_t)i, "1", .attributes = attributes);
    }
    commit(w);
    read_pages(w, names, 0, 900);
    probe_set_now(w->probe, NOW_US);
    read_pages(w, names, 700, 700); /* of all pages together */
    struct moment_query q;
    struct moment_end end;
    schema_clear(moment_query_schema(), &q);
    set_text(moment_query_schema(), &q, "cursor", "0 1");
    assert_int_equal(probe_call(w->probe, &moment_read_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "cursor");
}

static void compare(struct world *w, int64_t from, int64_t to, size_t rows)
{
    struct diff_query q;
    struct diff_end end;
    schema_clear(diff_query_schema(), &q);
    SET(&q, from, from);
    SET(&q, to, to);
    assert_int_equal(probe_call(w->probe, &diff_read_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), rows);
}

static struct diff_row change_at(struct world *w, size_t i)
{
    struct diff_row row;
    assert_int_equal(probe_row(w->probe, i, &row), 0);
    return row;
}

static void two_moments_differ_by_what_came_went_and_changed(void **state)
{
    struct world *w = *state;
    a_house(w);
    compare(w, NOW_US - 7 * HOUR, NOW_US - HOUR, 3);
    struct diff_row row = change_at(w, 0);
    assert_text(row.has_entity_id, row.entity_id, "light.desk");
    assert_string_equal(row.change, "changed");
    assert_text(row.has_changed, row.changed, "[\"state\",\"attributes\",\"name\",\"area\"]");
    assert_non_null(memmem(row.before.data, row.before.size, "\"state\":\"off\"", 13));
    assert_non_null(memmem(row.after.data, row.after.size, "\"area\":\"Office\"", 15));
    row = change_at(w, 1);
    assert_string_equal(row.change, "removed");
    assert_true(row.has_before && !row.has_after);
    assert_text(row.has_changed, row.changed, "[]");
    row = change_at(w, 2);
    assert_text(row.has_entity_id, row.entity_id, "light.new");
    assert_string_equal(row.change, "added");
    compare(w, NOW_US - HOUR, NOW_US, 0);
    SAY(w, "light.new", NOW_US - 30 * MINUTE, "off", .attributes = "{\"a\":{\"friendly_name\":\"no\"}}");
    commit(w);
    compare(w, NOW_US - HOUR, NOW_US, 0); /* said again, and the same */
}

static void a_comparison_with_itself_is_refused(void **state)
{
    struct world *w = *state;
    struct diff_query q;
    struct diff_end end;
    schema_clear(diff_query_schema(), &q);
    SET(&q, from, NOW_US);
    assert_int_equal(probe_call(w->probe, &diff_read_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "from");
    SET(&q, to, NOW_US);
    assert_int_equal(probe_call(w->probe, &diff_read_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "to");
}

static void events_of_one_begin_with_the_one_in_force(void **state)
{
    struct world *w = *state;
    struct history_query q;
    struct event_full e;
    struct page end;
    a_house(w);
    schema_clear(history_query_schema(), &q);
    set_text(history_query_schema(), &q, "id", "light.desk");
    SET(&q, start_time, NOW_US - 5 * HOUR);
    SET(&q, end_time, NOW_US);
    assert_int_equal(probe_call(w->probe, &history_find_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), 2);
    assert_int_equal(end.count, 2);
    assert_int_equal(probe_row(w->probe, 0, &e), 0);
    assert_int_equal(e.timestamp, NOW_US - 6 * HOUR);
    SET(&q, start_time, NOW_US - 4 * HOUR); /* one begins at that very moment */
    assert_int_equal(probe_call(w->probe, &history_find_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), 1);
    set_text(history_query_schema(), &q, "id", "sensor.gone");
    assert_int_equal(probe_call(w->probe, &history_find_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), 0); /* what was removed before is not in force */
    SET(&q, end_time, NOW_US - 4 * HOUR);
    assert_int_equal(probe_call(w->probe, &history_find_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "end_time");
}

static void events_of_one_go_on_by_cursor(void **state)
{
    struct world *w = *state;
    struct history_query q;
    struct page end;
    int64_t expected = 499, rows = 0;
    for (int64_t i = 0; i < 3000; i++)
        SAY(w, "light.desk", NOW_US - 3000 * SECOND + i * SECOND, i % 2 ? "on" : "off", .unit = NULL);
    commit(w);
    schema_clear(history_query_schema(), &q);
    set_text(history_query_schema(), &q, "id", "light.desk");
    SET(&q, start_time, NOW_US - 2500 * SECOND - 1);
    SET(&q, end_time, NOW_US);
    do {
        assert_int_equal(probe_call(w->probe, &history_find_contract, &q, &end), OK);
        for (size_t i = 0; i < probe_rows(w->probe); i++, rows++, expected++) {
            struct event_full e;
            assert_int_equal(probe_row(w->probe, i, &e), 0);
            assert_int_equal(e.timestamp, NOW_US - 3000 * SECOND + expected * SECOND); /* the first is the one before */
        }
        if (end.has_next_cursor)
            SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    assert_int_equal(rows, 2501);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_house_is_as_it_was_with_the_names_of_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entity_of_which_something_is_missing_is_told_as_such, set_up, tear_down),
        cmocka_unit_test_setup_teardown(now_is_the_default_and_filters_choose, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_rows_are_told_than_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_a_page_goes_on_at_the_same_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_moments_differ_by_what_came_went_and_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_comparison_with_itself_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_of_one_begin_with_the_one_in_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_of_one_go_on_by_cursor, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
