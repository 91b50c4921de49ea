/* test_answers.c - what three versions of Home Assistant answered to a question for history, against their own databases. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "history.h"
#include "json.h"
#include "recording.h"
#include "snapshot.h"
#include "split.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <unistd.h>

/* One text a row, so that two lists can be compared. */
struct lines { char **list; size_t count, room; };

__attribute__((format(printf, 2, 3)))
static void add_line(struct lines *lines, const char *format, ...)
{
    va_list arguments;
    if (lines->count == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 64;
        lines->list = realloc(lines->list, lines->room * sizeof *lines->list);
        assert_non_null(lines->list);
    }
    va_start(arguments, format);
    assert_true(vasprintf(&lines->list[lines->count++], format, arguments) > 0);
    va_end(arguments);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(struct lines *lines)
{
    qsort(lines->list, lines->count, sizeof *lines->list, by_text);
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->list[i]);
    free(lines->list);
    *lines = (struct lines){ 0 };
}

/* --- the recorded question and its answer --------------------------------------------------- */

struct asked {
    json_t *json, *row_json;
    split_t *split;
    history_t *history;
    int64_t id, start_us, end_us;
    char entities[8][64];
    size_t entity_count;
    struct lines rows, live;
    size_t starts;
};

static int on_entity(void *owner, struct json_value value)
{
    struct asked *asked = owner;
    snprintf(asked->entities[asked->entity_count++], 64, "%.*s", (int)value.raw.size - 2, (const char *)value.raw.data + 1);
    return 0;
}

static void look_at_question(struct asked *asked, struct slice text)
{
    static const char *const keys[] = { "id", "type", "start_time", "end_time", "entity_ids", "significant_changes_only" };
    struct json_value root, part[6];
    struct slice time;
    const char *why;
    if (asked->id != 0 || !memmem(text.data, text.size, "history_during_period", 21)
        || json_read(asked->json, text, &root, &why) || json_pick(asked->json, root.raw, keys, 6, part)
        || part[5].kind != JSON_FALSE)
        return;
    assert_true(json_int(part[0], &asked->id));
    assert_true(json_text(asked->json, part[2], &time) && time_read(time, &asked->start_us) == 0);
    assert_true(json_text(asked->json, part[3], &time) && time_read(time, &asked->end_us) == 0);
    assert_int_equal(json_each_item(asked->json, part[4].raw, on_entity, asked), 0);
}

static void on_row(void *owner, const struct history_row *row)
{
    struct asked *asked = owner;
    if (row->is_start) {
        asked->starts++;
        return;
    }
    struct slice state = row->now.state.data ? row->now.state : slice_of("null");
    add_line(&asked->rows, "%.*s %" PRId64 " %" PRId64 " %.*s", (int)row->entity_id.size, (const char *)row->entity_id.data,
        row->now.updated_us, row->now.changed_us, (int)state.size, (const char *)state.data);
}

static void on_message(void *owner, const struct message *message)
{
    static const char *const event_keys[] = { "data", "time_fired" }, *const data_keys[] = { "entity_id", "new_state" },
        *const state_keys[] = { "last_updated" };
    struct asked *asked = owner;
    struct json_value root, of_event[2], data, fired, part[2], updated;
    struct slice time;
    const char *why = "";
    int64_t at_us = 0;
    if (message->id == asked->id && asked->id != 0 && message->values[KEY_RESULT].kind == JSON_OBJECT) {
        assert_int_equal(history_take(asked->history, message->values[KEY_RESULT].raw, asked->start_us, &why), 0);
        int more;
        while ((more = history_step(asked->history, 7, on_row, asked, &why)) > 0) /* in small steps */
            continue;
        if (more < 0)
            fail_msg("%s", why);
    } else if (message->values[KEY_EVENT].kind == JSON_OBJECT && event_is_state_changed(message->values[KEY_EVENT].raw)) {
        assert_int_equal(json_read(asked->row_json, message->values[KEY_EVENT].raw, &root, &why), 0);
        assert_int_equal(json_pick(asked->row_json, root.raw, event_keys, 2, of_event), 0);
        data = of_event[0];
        fired = of_event[1];
        assert_int_equal(json_pick(asked->row_json, data.raw, data_keys, 2, part), 0);
        if (part[1].kind == JSON_OBJECT)
            assert_int_equal(json_pick(asked->row_json, part[1].raw, state_keys, 1, &updated), 0);
        else
            updated = fired;
        assert_true(json_text(asked->row_json, updated, &time) && time_read(time, &at_us) == 0);
        add_line(&asked->live, "%.*s %" PRId64 " ", (int)part[0].raw.size - 2, (const char *)part[0].raw.data + 1, at_us);
    }
}

static void on_frame(void *owner, bool received, struct slice text)
{
    struct asked *asked = owner;
    const char *why = "";
    if (!received)
        look_at_question(asked, text);
    else if (text.size > 0 && (((const char *)text.data)[0] == '{' || ((const char *)text.data)[0] == '['))
        (void)split_messages(asked->split, text, on_message, asked, &why);
}

/* --- Home Assistant's own database ------------------------------------------------------------ */

static sqlite3 *open_database(const char *name, char path[64])
{
    char packed[256], bytes[65536];
    snprintf(packed, sizeof packed, "../recorded/%s-recorder.db.gz", name);
    snprintf(path, 64, "/tmp/test-history-XXXXXX");
    int fd = mkstemp(path), got;
    gzFile file = gzopen(packed, "rb");
    assert_true(fd >= 0 && file != NULL);
    while ((got = gzread(file, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(fd, bytes, (size_t)got), got);
    gzclose(file);
    close(fd);
    sqlite3 *base = NULL;
    assert_int_equal(sqlite3_open_v2(path, &base, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    return base;
}

static void read_database(const char *name, const struct asked *asked, struct lines *to)
{
    char path[64];
    sqlite3 *base = open_database(name, path);
    sqlite3_stmt *rows;
    assert_int_equal(sqlite3_prepare_v2(base, "SELECT m.entity_id, s.state, s.last_updated_ts, coalesce(s.last_changed_ts, s.last_updated_ts)"
        " FROM states s JOIN states_meta m USING (metadata_id) ORDER BY 1, 3", -1, &rows, NULL), SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        const char *entity = (const char *)sqlite3_column_text(rows, 0);
        int64_t at_us = time_from_seconds(sqlite3_column_double(rows, 2));
        bool is_asked = false;
        for (size_t i = 0; i < asked->entity_count; i++)
            is_asked |= strcmp(asked->entities[i], entity) == 0;
        if (!is_asked || at_us <= asked->start_us || at_us >= asked->end_us)
            continue;
        msgpack_sbuffer state;
        msgpack_sbuffer_init(&state);
        if (sqlite3_column_type(rows, 1) == SQLITE_NULL)
            msgpack_sbuffer_write(&state, "null", 4);
        else
            json_write_text((struct slice){ sqlite3_column_text(rows, 1), (size_t)sqlite3_column_bytes(rows, 1) }, &state);
        add_line(to, "%s %" PRId64 " %" PRId64 " %.*s", entity, at_us, time_from_seconds(sqlite3_column_double(rows, 3)), (int)state.size, state.data);
        msgpack_sbuffer_destroy(&state);
    }
    sqlite3_finalize(rows);
    sqlite3_close(base);
    unlink(path);
}

/* --- tests --------------------------------------------------------------------------------------- */

static void compare(const char *name)
{
    struct asked asked = { .json = json_new(), .row_json = json_new(), .split = split_new(), .history = history_new() };
    struct lines theirs = { 0 };
    assert_true(recording_each(name, on_frame, &asked) > 0);
    assert_int_equal(asked.entity_count, 6);
    read_database(name, &asked, &theirs);
    sort_lines(&asked.rows);
    sort_lines(&theirs);
    assert_true(theirs.count > 10);
    assert_int_equal(asked.rows.count, theirs.count);
    for (size_t i = 0; i < theirs.count; i++)
        assert_string_equal(asked.rows.list[i], theirs.list[i]);
    size_t known = 0;
    for (size_t i = 0; i < asked.rows.count; i++)
        for (size_t j = 0; j < asked.live.count; j++)
            if (strncmp(asked.rows.list[i], asked.live.list[j], strlen(asked.live.list[j])) == 0) {
                known++;
                break;
            }
    assert_int_equal(known, asked.rows.count); /* each has the identity of an event that came live */
    free_lines(&asked.rows);
    free_lines(&asked.live);
    free_lines(&theirs);
    history_destroy(&asked.history);
    split_destroy(&asked.split);
    json_destroy(&asked.json);
    json_destroy(&asked.row_json);
}

static void answers_of_2024_3_are_the_rows_of_its_database(void **state) { (void)state; compare("ha-2024.3.3"); }
static void answers_of_2025_4_are_the_rows_of_its_database(void **state) { (void)state; compare("ha-2025.4.4"); }
static void answers_of_2026_2_are_the_rows_of_its_database(void **state) { (void)state; compare("ha-2026.2.3"); }

static void count_row(void *owner, const struct history_row *row)
{
    assert_true(row->entity_id.size > 0 && (row->now.state.size >= 2 || !row->now.state.data) && row->now.attributes.size >= 2);
    ++*(int *)owner;
}

static void what_is_no_history_is_refused(void **state)
{
    static const struct { const char *answer; int taken, rows, last; } cases[] = {
        { "", -1, 0, 0 }, { "[]", -1, 0, 0 }, { "{\"sensor.a\":5}", -1, 0, 0 }, { "{", -1, 0, 0 }, { "{}", 0, 0, 0 },
        { "{\"sensor.a\":[]}", 0, 0, 0 },
        { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":5.5}]}", 0, 1, 0 },
        { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":5.5,\"a\":7}]}", 0, 0, -1 },
        { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":5.5},{\"s\":null,\"lu\":6}]}", 0, 2, 0 },
        { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":-5}]}", 0, 0, -1 }, { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":1e30}]}", 0, 0, -1 },
        { "{\"sensor.a\":[{\"s\":\"1\"}]}", 0, 0, -1 }, { "{\"sensor.a\":[{\"s\":1,\"lu\":5}]}", 0, 0, -1 },
        { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":5},[]]}", 0, 1, -1 }, { "{\"sensor.a\":[{\"s\":\"1\",\"lu\":5,}]}", 0, 0, -1 },
    };
    (void)state;
    history_t *history = history_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = "";
        int rows = 0, more = 0;
        assert_int_equal(history_take(history, slice_of(cases[i].answer), 1, &why), cases[i].taken);
        if (cases[i].taken == 0)
            more = history_step(history, 100, count_row, &rows, &why);
        assert_int_equal(more, cases[i].last);
        assert_int_equal(rows, cases[i].rows);
        assert_true((more == 0 && cases[i].taken == 0) || *why);
    }
    history_destroy(&history);
}

static void a_large_answer_is_read_in_steps(void **state)
{
    enum { ROWS = 100000 };
    (void)state;
    char *text = malloc(ROWS * 64 + 64);
    int at = sprintf(text, "{\"sensor.a\":[");
    for (int i = 0; i < ROWS; i++)
        at += sprintf(text + at, "%s{\"s\":\"%d\",\"a\":{},\"lu\":%d.25}", i ? "," : "", i, 1795485600 + i);
    sprintf(text + at, "]}");
    history_t *history = history_new();
    const char *why = "";
    int rows = 0, steps = 0;
    assert_int_equal(history_take(history, slice_of(text), 1, &why), 0);
    while (history_step(history, 400, count_row, &rows, &why) > 0) {
        steps++;
        assert_int_equal(rows, 400 * steps);
    }
    assert_int_equal(rows, ROWS);
    history_destroy(&history);
    free(text);
}

static void states_are_read_sorted_and_compared_with_the_store(void **state)
{
    static const char answer[] = "[{\"entity_id\":\"sensor.b\",\"state\":\"1\",\"last_updated\":\"2026-11-24T02:00:05.25+00:00\",\"context\":{\"id\":\"x\"}},"
        "{\"entity_id\":\"sensor.a\",\"state\":\"\",\"last_updated\":\"2026-11-24T01:00:00+00:00\"},"
        "{\"state\":\"nobody's\"},{\"entity_id\":\"sensor.c\",\"state\":\"1\",\"last_updated\":\"soon\"}]";
    (void)state;
    const char *why = "";
    snapshot_t *snapshot = snapshot_new(INT64_C(1795485600000000));
    assert_int_equal(snapshot_take(snapshot, slice_of(answer), &why), 0);
    assert_int_equal(snapshot_step(snapshot, 3, &why), 1);
    assert_int_equal(snapshot_step(snapshot, 3, &why), 0);
    snapshot_stored(snapshot, slice_of("sensor.b"), slice_of("1"), 1);
    snapshot_stored(snapshot, slice_of("light.gone"), slice_of("a \"b\""), 1);
    snapshot_close(snapshot);
    assert_int_equal(snapshot_count(snapshot), 3);
    assert_string_equal(snapshot_at(snapshot, 0)->id, "light.gone");
    assert_true(snapshot_at(snapshot, 0)->is_absent);
    assert_string_equal(snapshot_at(snapshot, 0)->state, "\"a \\\"b\\\"\"");
    const struct seen_entity *kept = snapshot_find(snapshot, slice_of("sensor.b"));
    assert_int_equal(kept->updated_us, INT64_C(1795485605250000));
    assert_string_equal(kept->context, "{\"id\":\"x\"}");
    assert_null(snapshot_find(snapshot, slice_of("sensor.a"))->state); /* needs no witness */
    assert_null(snapshot_find(snapshot, slice_of("sensor.c")));
    snapshot_destroy(&snapshot);
    snapshot = snapshot_new(0);
    assert_int_equal(snapshot_take(snapshot, slice_of("{}"), &why), -1);
    assert_int_equal(snapshot_take(snapshot, slice_of("[7]"), &why), 0);
    assert_int_equal(snapshot_step(snapshot, 9, &why), -1);
    snapshot_destroy(&snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_2024_3_are_the_rows_of_its_database),
        cmocka_unit_test(answers_of_2025_4_are_the_rows_of_its_database),
        cmocka_unit_test(answers_of_2026_2_are_the_rows_of_its_database),
        cmocka_unit_test(what_is_no_history_is_refused),
        cmocka_unit_test(a_large_answer_is_read_in_steps),
        cmocka_unit_test(states_are_read_sorted_and_compared_with_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
