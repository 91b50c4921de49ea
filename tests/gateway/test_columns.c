/* test_columns.c - columns that came in pieces, as JSON: columns, rows, and stretches that go on. */
#include "client.h"

#include "columns.h"

#include <math.h>

#define DAY_US INT64_C(86400000000)

static struct series_end an_end(const char *step, int64_t step_us, const char *stat)
{
    struct series_end end;
    schema_clear(series_end_schema(), &end);
    SET_TEXT(&end, step, step, strlen(step));
    SET_TEXT(&end, stat, stat, strlen(stat));
    SET(&end, step_us, step_us);
    return end;
}

static struct slice ints(const int64_t *n, size_t count)
{
    return (struct slice){ n, count * sizeof *n };
}

static void add(struct columns *c, int64_t count, const int64_t *start, const double *numbers, size_t width, const char *texts, const int64_t absent[2])
{
    struct series_part part;
    schema_clear(series_part_schema(), &part);
    SET(&part, entity_id, slice_of("sensor.a"));
    SET(&part, known, true);
    SET(&part, count, count);
    SET_TEXT(&part, tier, count > 1 ? "1h" : "raw", count > 1 ? 2u : 3u);
    SET(&part, start, ints(start, (size_t)count));
    SET(&part, numbers, ((struct slice){ numbers, (size_t)count * width * sizeof *numbers }));
    if (texts)
        SET(&part, texts, slice_of(texts));
    if (absent)
        SET(&part, unavailable, ints(absent, 2));
    part.is_states = texts != NULL;
    assert_int_equal(columns_add(c, &part), 0);
}

static const char *text_of(msgpack_sbuffer *b)
{
    msgpack_sbuffer_write(b, "", 1);
    return b->data;
}

static void pieces_are_joined_to_columns(void **state)
{
    (void)state;
    struct columns c = { 0 };
    struct shape_of_columns shape;
    struct series_end end = an_end("1d", DAY_US, "mean,max");
    msgpack_sbuffer b = { 0 };
    columns_shape(&shape, &end, false);
    columns_clear(&c);
    add(&c, 2, (const int64_t[]){ 0, DAY_US }, (const double[]){ 1.5, 2, NAN, INFINITY }, 2, NULL, (const int64_t[]){ DAY_US, 2 * DAY_US });
    add(&c, 1, (const int64_t[]){ 2 * DAY_US }, (const double[]){ 3, 4 }, 2, NULL, (const int64_t[]){ 2 * DAY_US, 2 * DAY_US + 1000000 });
    columns_write(&c, &shape, &b);
    assert_string_equal(text_of(&b), "{\"entity_id\":\"sensor.a\",\"known\":true,\"unit\":null,\"tier\":\"raw\","
        "\"start\":[\"1970-01-01T00:00:00.000000Z\",\"1970-01-02T00:00:00.000000Z\",\"1970-01-03T00:00:00.000000Z\"],"
        "\"mean\":[1.5,null,3],\"max\":[2,null,4],\"gaps\":[],"
        "\"unavailable\":[[\"1970-01-02T00:00:00.000000Z\",\"1970-01-03T00:00:01.000000Z\"]]}");
    b.size = 0;
    columns_shape(&shape, &end, true);
    columns_write(&c, &shape, &b);
    assert_non_null(strstr(text_of(&b), "\"t0\":\"1970-01-01T00:00:00.000000Z\",\"step_us\":86400000000,\"mean\":[1.5"));
    columns_destroy(&c);
    msgpack_sbuffer_destroy(&b);
}

static void texts_are_cut_into_rows_where_they_end(void **state)
{
    (void)state;
    struct columns c = { 0 };
    struct shape_of_columns shape;
    struct series_end end = an_end("1d", 0, "durations,count");
    msgpack_sbuffer b = { 0 };
    columns_shape(&shape, &end, true); /* steps are not equal: no t0 */
    columns_clear(&c);
    add(&c, 2, (const int64_t[]){ 0, DAY_US }, (const double[]){ 7, 8 }, 1, "{\"a,}\\\"\":1,\"b\":2},{}", NULL);
    add(&c, 1, (const int64_t[]){ 2 * DAY_US }, (const double[]){ 9 }, 1, "null", NULL);
    c.open_from = 2 * DAY_US;
    columns_write_rows(&c, &shape, &b);
    assert_string_equal(text_of(&b), "{\"start\":\"1970-01-01T00:00:00.000000Z\",\"durations\":{\"a,}\\\"\":1,\"b\":2},\"count\":7},"
        "{\"start\":\"1970-01-02T00:00:00.000000Z\",\"durations\":{},\"count\":8},"
        "{\"start\":\"1970-01-03T00:00:00.000000Z\",\"durations\":null,\"count\":9,\"open\":true}");
    columns_destroy(&c);
    msgpack_sbuffer_destroy(&b);
}

static void a_piece_that_lacks_rows_is_refused(void **state)
{
    (void)state;
    struct columns c = { 0 };
    struct series_part part;
    schema_clear(series_part_schema(), &part);
    SET(&part, entity_id, slice_of("sensor.a"));
    SET(&part, count, 3);
    columns_clear(&c);
    assert_int_equal(columns_add(&c, &part), -1);
    columns_destroy(&c);
}

/* --- through the gateway --------------------------------------------------------------------------------------- */

static void answer_series(probe_t *probe, const char *cursor, int64_t start, bool is_last)
{
    struct series_part part;
    struct series_end end = an_end("1h", INT64_C(3600000000), "mean");
    double mean = 2.5;
    schema_clear(series_part_schema(), &part);
    SET(&part, entity_id, slice_of("sensor.a"));
    SET(&part, known, true);
    SET(&part, is_last, is_last);
    SET(&part, is_states, false);
    SET(&part, gap_open, false);
    SET(&part, count, 1);
    SET(&part, start, ints(&start, 1));
    SET(&part, numbers, ((struct slice){ &mean, sizeof mean }));
    SET_TEXT(&part, tier, "1h", 2);
    probe_add_row(probe, &series_read_contract, &part);
    SET(&end, from, 0);
    SET(&end, to, INT64_C(7200000000));
    SET(&end, now, INT64_C(1767225600000000));
    SET_TEXT(&end, tier, "1h", 2);
    if (cursor)
        SET_TEXT(&end, next_cursor, cursor, strlen(cursor));
    assert_int_equal(probe_answer(probe, &series_read_contract, OK, &end), 0);
}

static void an_entity_that_takes_two_pages_is_one_object(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/series?ids=sensor.a&from=0&to=7200&step=1h&stat=mean");
    const struct series_ask *ask = probe_asked(probe, &series_read_contract);
    assert_string_equal(ask->ids, "sensor.a");
    assert_true(ask->has_to && ask->to == INT64_C(7200000000) && !ask->has_cursor);
    answer_series(probe, "0 1", 0, false);
    ask = probe_asked(probe, &series_read_contract);
    assert_string_equal(ask->cursor, "0 1");
    answer_series(probe, NULL, INT64_C(3600000000), true);
    assert_true(client_has(client, "\"start\":[\"1970-01-01T00:00:00.000000Z\",\"1970-01-01T01:00:00.000000Z\"],\"mean\":[2.5,2.5]"));
    assert_true(client_has(client, "],\"tier\":\"1h\"}\r\n0\r\n\r\n"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void what_is_over_is_immutable_and_a_fault_has_the_name_that_was_asked(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/entities/sensor.a/history?start_time=0&end_time=7200&interval=1h");
    const struct series_ask *ask = probe_asked(probe, &series_read_contract);
    assert_string_equal(ask->step, "1h");
    answer_series(probe, NULL, 0, true);
    assert_true(client_has(client, "Cache-Control: private, max-age=86400, immutable\r\n"));
    assert_string_equal(client_body(client), "[{\"start\":\"1970-01-01T00:00:00.000000Z\",\"mean\":2.5}]");
    client_forget(client);
    client_get(client, "/api/v1/entities/sensor.a/history?start_time=0&end_time=7200&interval=7h");
    probe_answer_fault(probe, &series_read_contract, BAD_REQUEST, "step", "is none");
    assert_int_equal(client_status(client), 400);
    assert_true(client_has(client, "\"field\":\"interval\""));
    client_forget(client);
    client_get(client, "/api/v1/entities/a,b/history?start_time=0");
    assert_int_equal(client_status(client), 422);
    client_destroy(&client);
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_joined_to_columns),
        cmocka_unit_test(texts_are_cut_into_rows_where_they_end),
        cmocka_unit_test(a_piece_that_lacks_rows_is_refused),
        cmocka_unit_test(an_entity_that_takes_two_pages_is_one_object),
        cmocka_unit_test(what_is_over_is_immutable_and_a_fault_has_the_name_that_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
