/* test_chunk.c - rows that were packed into a chunk come back to the byte, and a damaged chunk says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "body.h"
#include "chunk.h"
#include "columns.h"
#include "decimal.h"
#include "random_events.h"

static struct chunk_tools tools;

struct rows { struct chunk_row *rows; size_t count; msgpack_sbuffer bodies; };

static void add_row(struct rows *r, const struct event_full *e, const struct row_refs *refs, int32_t rest)
{
    size_t at = r->bodies.size;
    struct event_key key = event_key(e);
    struct row_contexts contexts = { { .form = NO_CONTEXT }, { .form = NO_CONTEXT } };
    if (e->has_context_id)
        contexts.own = context_read(e->context_id);
    if (e->has_context_parent_id)
        contexts.parent = context_read(e->context_parent_id);
    body_write(e, key.at, refs, &contexts, &r->bodies);
    r->rows = realloc(r->rows, (r->count + 1) * sizeof *r->rows);
    r->rows[r->count++] = (struct chunk_row){ .at = key.at, .shift = e->timestamp - key.at, .place = e->place,
        .rest = rest ? rest : (int32_t)key.rest, .body = { (void *)at, r->bodies.size - at } };
}

static int by_order(const void *a, const void *b)
{
    const struct chunk_row *left = a, *right = b;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    return left->place < right->place ? -1 : left->place > right->place;
}

static void finish(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->rows[i].body.data = r->bodies.data + (size_t)r->rows[i].body.data;
    qsort(r->rows, r->count, sizeof *r->rows, by_order);
}

static void release(struct rows *r)
{
    free(r->rows);
    msgpack_sbuffer_destroy(&r->bodies);
    *r = (struct rows){ 0 };
}

struct packed { msgpack_sbuffer main, rest, plain_main, plain_rest; struct chunk_summary summary; };

static void destroy(struct packed *p)
{
    msgpack_sbuffer_destroy(&p->main);
    msgpack_sbuffer_destroy(&p->rest);
    msgpack_sbuffer_destroy(&p->plain_main);
    msgpack_sbuffer_destroy(&p->plain_rest);
}

static struct slice all_of(const msgpack_sbuffer *b)
{
    return (struct slice){ b->data, b->size };
}

static struct packed pack(bool is_state, const struct rows *r)
{
    struct packed p = { 0 };
    chunk_write(&tools, is_state, r->rows, r->count, &p.main, &p.rest, &p.summary);
    assert_int_equal(chunk_unpack(&tools, all_of(&p.main), &p.plain_main), 0);
    assert_int_equal(chunk_unpack(&tools, all_of(&p.rest), &p.plain_rest), 0);
    return p;
}

static void check(bool is_state, const struct rows *r, const struct packed *p)
{
    chunk_reader_t *reader = chunk_reader_new();
    struct chunk_row row;
    assert_int_equal(chunk_open(reader, is_state, all_of(&p->plain_main), all_of(&p->plain_rest)), 0);
    for (size_t i = 0; i < r->count; i++) {
        assert_int_equal(chunk_next(reader, &row), 1);
        assert_int_equal(row.at, r->rows[i].at);
        assert_int_equal(row.shift, r->rows[i].shift);
        assert_int_equal(row.place, r->rows[i].place);
        assert_int_equal(row.rest, r->rows[i].rest);
        assert_int_equal(row.body.size, r->rows[i].body.size);
        assert_memory_equal(row.body.data, r->rows[i].body.data, row.body.size);
    }
    assert_int_equal(chunk_next(reader, &row), 0);
    assert_int_equal(p->summary.rows, r->count);
    assert_int_equal(p->summary.first, r->rows[0].at);
    assert_int_equal(p->summary.last, r->rows[r->count - 1].at);
    chunk_reader_destroy(&reader);
}

static void check_states(const struct rows *r, const struct packed *p)
{
    chunk_reader_t *reader = chunk_reader_new();
    struct chunk_state state;
    size_t numbers = 0;
    assert_int_equal(chunk_open(reader, true, all_of(&p->plain_main), (struct slice){ NULL, 0 }), 0);
    for (size_t i = 0; i < r->count; i++) {
        struct row_state truth;
        double number;
        assert_int_equal(body_state(r->rows[i].body, &truth), 0);
        assert_int_equal(chunk_next_state(reader, &state), 1);
        assert_int_equal(state.at, r->rows[i].at);
        assert_int_equal(state.word == 1, !truth.has_state);
        assert_true(slice_equal(chunk_text(reader, &state), truth.state));
        assert_int_equal(state.snapshot, truth.snapshot);
        assert_int_equal(state.attributes, truth.attributes);
        if (state.word != 0)
            continue;
        numbers++;
        assert_true(number_read(truth.state, &number));
        double ours = chunk_number(reader, &state);
        assert_memory_equal(&number, &ours, sizeof number);
    }
    assert_int_equal(chunk_next_state(reader, &state), 0);
    assert_int_equal(numbers, p->summary.numbers);
    chunk_reader_destroy(&reader);
}

/* What a moment is told of a row, from one half; by how many it was told. */
static size_t check_moment(chunk_reader_t *reader, const struct rows *r, const struct packed *p, int64_t at)
{
    struct chunk_moment told;
    struct event_full e;
    struct row_refs refs;
    struct row_room room;
    size_t count = 0;
    while (count < r->count && r->rows[count].at <= at)
        count++;
    assert_int_equal(chunk_open(reader, true, all_of(&p->plain_main), (struct slice){ NULL, 0 }), 0);
    int rc = chunk_in_force(reader, at, &told);
    if (count == 0) {
        assert_int_equal(rc, 0);
        return 0;
    }
    const struct chunk_row *row = &r->rows[count - 1];
    schema_clear(event_full_schema(), &e);
    SET(&e, timestamp, row->at + row->shift);
    if (body_read(row->body, row->at, &e, &refs, &room) != 0 || (e.has_last_updated && e.last_updated != row->at)) {
        assert_int_equal(rc, 2);
        return 0;
    }
    assert_int_equal(rc, 1);
    assert_int_equal(told.row, count - 1);
    assert_int_equal(told.at, row->at);
    assert_int_equal(told.shift, row->shift);
    assert_string_equal(provenance_of(told.flags), e.provenance);
    assert_int_equal(told.snapshot, refs.snapshot);
    assert_int_equal(told.attributes, refs.attributes);
    assert_true(told.has_state == e.has_state && (!e.has_state || slice_equal(told.state, e.state)));
    assert_true(told.has_value == e.has_value && (!e.has_value || slice_equal(told.value, e.value)));
    assert_true(told.has_updated == e.has_last_updated);
    assert_true(told.has_changed == e.has_last_changed && (!e.has_last_changed || told.changed == e.last_changed));
    return 1;
}

static void check_moments(struct maker *m, const struct rows *r, const struct packed *p)
{
    chunk_reader_t *reader = chunk_reader_new();
    size_t told = 0, asked = 0;
    check_moment(reader, r, p, r->rows[0].at - 1);
    check_moment(reader, r, p, INT64_MAX);
    for (size_t i = 0; i < r->count; i += r->count < 200 ? 1 : 1 + chance(m, 20), asked++)
        told += check_moment(reader, r, p, r->rows[i].at + (int64_t)chance(m, 2));
    for (size_t i = 63; i + 2 < r->count; i += 64)
        for (size_t j = i - 1; j <= i + 2; j++)
            check_moment(reader, r, p, r->rows[j].at);
    assert_true(asked < 20 || told > asked / 4);
    chunk_reader_destroy(&reader);
}

static void make_rows(struct maker *m, struct rows *r, bool is_state, size_t count)
{
    struct event_full e;
    int64_t at = START_US;
    while (r->count < count) {
        make_event(m, &e, at += (int64_t)chance(m, 1000000));
        if (e.is_state != is_state)
            continue;
        struct row_refs refs = { .snapshot = 1 + (int64_t)chance(m, 3), .attributes = e.has_attributes ? 1 + (int64_t)chance(m, 1000) : 0,
            .readings = chance(m, 4) ? 0 : 1 + (int64_t)chance(m, 3), .user = e.has_context_user_id ? 1 + (int64_t)chance(m, 3) : 0 };
        add_row(r, &e, &refs, chance(m, 20) ? 0 : (int32_t)chance(m, 1 << 30));
    }
    finish(r);
}

static void random_rows_come_back_to_the_byte(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct maker m = { .seed = seed * 77 };
        struct rows r = { 0 };
        bool is_state = seed % 4 != 0;
        make_rows(&m, &r, is_state, 1 + chance(&m, seed % 10 ? 300 : 3000));
        struct packed p = pack(is_state, &r);
        check(is_state, &r, &p);
        if (is_state) {
            check_states(&r, &p);
            check_moments(&m, &r, &p);
        }
        destroy(&p);
        release(&r);
    }
}

static void a_body_that_nobody_understands_is_kept_as_it_is(void **state)
{
    (void)state;
    struct maker m = { .seed = 5 };
    struct rows r = { 0 };
    make_rows(&m, &r, true, 50);
    r.rows[7].body = slice_of("\7none of ours");
    r.rows[8].body.size--;
    r.rows[9].body = (struct slice){ "", 0 };
    struct packed p = pack(true, &r);
    check(true, &r, &p);
    check_moments(&m, &r, &p);
    destroy(&p);
    release(&r);
}

static void add_state(struct rows *r, int64_t at, const char *text)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of("sensor.a"));
    SET_TEXT(&e, provenance, "import", 6);
    SET(&e, timestamp, at);
    SET(&e, received_at, START_US + INT64_C(400) * 86400 * 1000000);
    SET(&e, place, (int64_t)r->count * 8 + (INT64_C(1) << 60));
    SET(&e, state, slice_of(text));
    SET(&e, value, e.state);
    double value;
    if (number_read(e.value, &value))
        SET(&e, canonical_value, value * 1 / 1000);
    SET(&e, last_updated, at);
    SET(&e, last_changed, at);
    SET(&e, attributes, slice_of("{}"));
    add_row(r, &e, &(struct row_refs){ .snapshot = 3, .attributes = 9 }, 0);
}

static void every_spelling_of_a_number_comes_back(void **state)
{
    static const char *const texts[] = {
        "1", "1.0", "1.00", "-0", "-0.0", "0", "0.0", "00", "01", "1.", ".5", "+1", "1e3", "-1.50", "9007199254740991", "9007199254740993", "0.000000000000001",
        "123456789012345", "12345678901234.5", "-123456789012345", "nan", "unavailable", "", " 1", "1 ", "1.2.3", "-", "1234567890.12345", "-.1", "٣",
    };
    (void)state;
    struct rows r = { 0 };
    for (size_t i = 0; i < 20 * sizeof texts / sizeof *texts; i++)
        add_state(&r, START_US + (int64_t)i, i % 20 ? "21.5" : texts[i / 20]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_state(&r, START_US + 1000000 + (int64_t)i, texts[i]);
    finish(&r);
    struct packed p = pack(true, &r);
    check(true, &r, &p);
    check_states(&r, &p);
    destroy(&p);
    release(&r);
}

static void a_polled_sensor_from_history_takes_four_bytes_a_row(void **state)
{
    (void)state;
    struct maker m = { .seed = 9 };
    struct rows r = { 0 };
    char text[32];
    int watts = 2000;
    for (int i = 0; i < 1000; i++) {
        watts += (int)chance(&m, 41) - 20;
        snprintf(text, sizeof text, "%d.%d", watts / 10, watts % 10);
        add_state(&r, START_US + i * INT64_C(30000000) + (int64_t)chance(&m, 20000), text);
    }
    finish(&r);
    struct packed p = pack(true, &r);
    check(true, &r, &p);
    print_message("%zu + %zu bytes for 1000 rows\n", p.main.size, p.rest.size);
    assert_true(p.main.size + p.rest.size < 4000);
    destroy(&p);
    release(&r);
}

/* Near together, far apart, and all the same. */
static void numbers_are_found_from_any_stop(void **state)
{
    (void)state;
    struct maker m = { .seed = 21 };
    enum { COUNT = 500 };
    int64_t values[COUNT];
    for (int round = 0; round < 200; round++) {
        msgpack_sbuffer column = { 0 }, bits = { 0 };
        size_t count = 1 + chance(&m, COUNT);
        int64_t value = (int64_t)chance(&m, 1000);
        uint64_t most = UINT64_C(1) << chance(&m, 50);
        for (size_t i = 0; i < count; i++)
            values[i] = value += round % 5 == 0 ? 0 : chance(&m, 60) ? (int64_t)chance(&m, most) : (int64_t)chance(&m, UINT64_C(1) << 54);
        struct numbers_plan plan = numbers_plan(values, count);
        numbers_write(&plan, values, count, round % 2, &column, round % 3 ? &bits : NULL);
        for (size_t i = 0; i <= count; i++) {
            struct unpack at = unpack_of(all_of(&bits)), again = at;
            struct numbers n = numbers_of(all_of(&column), &at), found = numbers_of(all_of(&column), &again);
            numbers_pass(&n, i);
            assert_true(i == 0 || (int64_t)n.value == values[i - 1]);
            assert_true(i == count || numbers_next(&n) == values[i]);
            size_t upto = i;
            while (upto > 0 && upto < count && values[upto] == values[upto - 1])
                upto++;
            assert_int_equal(numbers_pass_until(&found, i > 0 ? values[i - 1] : values[0] - 1, count), upto);
            assert_true(i == 0 || (int64_t)found.value == values[i - 1]);
            assert_false(n.in.bad || found.in.bad);
        }
        msgpack_sbuffer_destroy(&column);
        msgpack_sbuffer_destroy(&bits);
    }
}

/* Not that it is found, which a checksum sees to, but that nothing is read that is not there. */
static void damaged_halves_are_read_without_harm(void **state)
{
    (void)state;
    struct maker m = { .seed = 11 };
    struct rows r = { 0 };
    struct chunk_row row;
    struct chunk_moment told;
    make_rows(&m, &r, true, 200);
    struct packed p = pack(true, &r);
    chunk_reader_t *reader = chunk_reader_new();
    for (int round = 0; round < 3000; round++) {
        msgpack_sbuffer *half = chance(&m, 2) ? &p.plain_main : &p.plain_rest;
        size_t at = chance(&m, half->size), size = half->size;
        char before = half->data[at];
        half->data[at] = (char)chance(&m, 256);
        half->size = chance(&m, 4) ? size : at;
        int rc = chunk_open(reader, true, all_of(&p.plain_main), all_of(&p.plain_rest));
        while (rc == 0 && chunk_next(reader, &row) > 0)
            ;
        if (chunk_open(reader, true, all_of(&p.plain_main), (struct slice){ NULL, 0 }) == 0)
            chunk_in_force(reader, START_US + (int64_t)chance(&m, 100000000), &told);
        half->data[at] = before;
        half->size = size;
    }
    for (size_t size = 0; size < p.main.size; size += 7)
        assert_true(chunk_unpack(&tools, (struct slice){ p.main.data, size }, &p.plain_rest) != 0
            || chunk_open(reader, true, all_of(&p.plain_rest), (struct slice){ NULL, 0 }) != 0);
    chunk_reader_destroy(&reader);
    destroy(&p);
    release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_come_back_to_the_byte),
        cmocka_unit_test(a_body_that_nobody_understands_is_kept_as_it_is),
        cmocka_unit_test(every_spelling_of_a_number_comes_back),
        cmocka_unit_test(a_polled_sensor_from_history_takes_four_bytes_a_row),
        cmocka_unit_test(numbers_are_found_from_any_stop),
        cmocka_unit_test(damaged_halves_are_read_without_harm),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    chunk_tools_close(&tools);
    return rc;
}
