/* test_table.c - messages as rows of CSV and of line protocol. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "schemas.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

#define AT_US INT64_C(1767225600000001)

static struct event_full a_state(const char *entity, struct slice state)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET_TEXT(&e, id, "i", 1);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, timestamp, AT_US);
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(entity));
    SET(&e, state, state);
    return e;
}

static uint64_t columns_of(const char *const names[])
{
    const struct schema *s = event_full_schema();
    uint64_t columns = 0;
    for (; *names; names++)
        columns |= UINT64_C(1) << (schema_field(s, *names, strlen(*names)) - s->fields);
    return columns;
}

static void check(struct table table, const struct event_full *e, const char *expected)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    table_row(&table, e, &out);
    msgpack_sbuffer_write(&out, "", 1);
    assert_string_equal(out.data, expected);
    msgpack_sbuffer_destroy(&out);
}

static struct table some_columns(enum table_form form)
{
    static const char *const names[] = { "timestamp", "entity_id", "state", "value", "attributes", "changed", "context_id", NULL };
    return (struct table){ form, event_full_schema(), columns_of(names), "m", false };
}

static void csv_quotes_what_could_be_read_in_two_ways(void **state)
{
    (void)state;
    struct table csv = some_columns(TABLE_CSV);
    static const struct { struct slice state; const char *cell; } cells[] = {
        { { "on", 2 }, "on" }, { { "", 0 }, "\"\"" }, { { "a,b", 3 }, "\"a,b\"" }, { { "say \"x\"", 7 }, "\"say \"\"x\"\"\"" },
        { { "a\r\nb", 4 }, "\"a\r\nb\"" }, { { " 12 ", 4 }, "\" 12 \"" }, { { "\xed\xa0\x80!", 4 }, "\xef\xbf\xbd!" },
        { { "\xc3\xa9\xff", 3 }, "\xc3\xa9\xef\xbf\xbd" }, { { "\"", 1 }, "\"\"\"\"" },
    };
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char line[200];
        struct event_full e = a_state("s.a", cells[i].state);
        snprintf(line, sizeof line, "2026-01-01T00:00:00.000001Z,,s.a,%s,,,\r\n", cells[i].cell);
        check(csv, &e, line);
    }
}

static void csv_has_a_header_and_as_many_cells_in_every_row(void **state)
{
    (void)state;
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    struct table csv = some_columns(TABLE_CSV);
    table_head(&csv, &out);
    msgpack_sbuffer_write(&out, "", 1);
    assert_string_equal(out.data, "timestamp,context_id,entity_id,state,attributes,changed,value\r\n");
    msgpack_sbuffer_destroy(&out);
    struct event_full e = a_state("s.a", slice_of("1"));
    SET(&e, attributes, slice_of("{\"a\":[1,2]}"));
    SET(&e, changed, true);
    SET(&e, value, slice_of("1"));
    check(csv, &e, "2026-01-01T00:00:00.000001Z,,s.a,1,\"{\"\"a\"\":[1,2]}\",true,1\r\n");
}

static void lines_have_tags_typed_fields_and_a_time(void **state)
{
    (void)state;
    struct table lines = some_columns(TABLE_LINES);
    struct event_full e = a_state("sensor.a b,c=d", slice_of("say \"x\" \\ now\n"));
    SET(&e, attributes, slice_of("{\"a\":\"\\u0000\"}"));
    SET(&e, changed, false);
    check(lines, &e, "m,entity_id=sensor.a\\ b\\,c\\=d state=\"say \\\"x\\\" \\\\ now\\n\",attributes=\"{\\\"a\\\":\\\"\\\\u0000\\\"}\",changed=false"
        " 1767225600000001000\n");
    SET(&e, value, slice_of("true"));
    lines.in_us = true;
    lines.columns = columns_of((const char *const[]){ "value", "timestamp", NULL });
    check(lines, &e, "m value=1 1767225600000001\n");
    SET(&e, value, slice_of("-1.50"));
    check(lines, &e, "m value=-1.5 1767225600000001\n");
}

static void lines_leave_out_what_the_format_cannot_say(void **state)
{
    (void)state;
    struct table lines = some_columns(TABLE_LINES);
    struct event_full e = a_state("", slice_of("\xed\xb0\x80"));
    check(lines, &e, "m state=\"\xef\xbf\xbd\" 1767225600000001000\n");
    e = a_state("a\\\\", slice_of(""));
    check(lines, &e, "m,entity_id=a state=\"\" 1767225600000001000\n");
    e.has_state = false; /* no field: no point */
    check(lines, &e, "");
    e = a_state("s.a", slice_of("on"));
    SET(&e, timestamp, MAX_TIME_US);
    check(lines, &e, "# m,entity_id=s.a has no place in nanoseconds: 9999-12-31T23:59:59.999999Z\n");
    lines.in_us = true;
    check(lines, &e, "m,entity_id=s.a state=\"on\" 253402300799999999\n");
}

static void json_lines_have_no_break_inside(void **state)
{
    (void)state;
    struct table json = some_columns(TABLE_JSON_LINES);
    struct event_full e = a_state("s.a", slice_of("a\nb"));
    SET(&e, attributes, slice_of("{\r\n\"a\":1}"));
    check(json, &e, "{\"timestamp\":\"2026-01-01T00:00:00.000001Z\",\"context_id\":null,\"entity_id\":\"s.a\",\"state\":\"a\\nb\","
        "\"attributes\":{  \"a\":1},\"changed\":null,\"value\":null}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_quotes_what_could_be_read_in_two_ways),
        cmocka_unit_test(csv_has_a_header_and_as_many_cells_in_every_row),
        cmocka_unit_test(lines_have_tags_typed_fields_and_a_time),
        cmocka_unit_test(lines_leave_out_what_the_format_cannot_say),
        cmocka_unit_test(json_lines_have_no_break_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
