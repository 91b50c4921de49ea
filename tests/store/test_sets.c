/* test_sets.c - attribute sets that are kept as differences: the same answers, and what is damaged is named. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "packed_set.h"
#include "twins.h"

static int set_up(void **state)
{
    *state = twins_new();
    return 0;
}

static int tear_down(void **state)
{
    return twins_destroy(*state);
}

static const char about[] = "what is said again with every state, and costs next to nothing the second time; but it has to be long, since short sets stay as they are";

/* State n of an entity: `minute` minutes after the start, with attributes that say `level`. */
static void happen(struct twins *t, const char *entity, int minute, int level)
{
    struct event_full e;
    struct fault fault;
    char attributes[400], context[40];
    schema_clear(event_full_schema(), &e);
    int size = snprintf(attributes, sizeof attributes, "{\"friendly_name\":\"%s\",\"level\":%d,\"about\":\"%s\"}", entity, level, about);
    snprintf(context, sizeof context, "%s %d", entity, minute);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(entity));
    SET(&e, domain, slice_of("media_player"));
    SET(&e, timestamp, START_US + (int64_t)minute * 60000000);
    SET(&e, received_at, e.timestamp + 1000);
    SET(&e, last_updated, e.timestamp);
    SET(&e, state, slice_of("playing"));
    SET_TEXT(&e, provenance, "live", 4);
    SET(&e, attributes, ((struct slice){ attributes, (size_t)size }));
    SET(&e, context_id, slice_of(context));
    SET(&e, place, minute + 1);
    for (int i = 0; i < BOTH; i++) {
        assert_int_equal(store_append(t->writers[i], &e, &fault), STORE_OK);
        assert_int_equal(store_commit(t->writers[i]), STORE_OK);
    }
}

static int64_t number(const struct twins *t, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(t->paths[SEALED], &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    int64_t n = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static int64_t packed(const struct twins *t)
{
    return number(t, "SELECT count(*) FROM attribute_packed");
}

/* All rows, with their attributes. */
static void say_all(store_t *store, struct said *said)
{
    struct events_query q;
    struct fault fault;
    struct page end;
    said->left = INT64_MAX;
    schema_clear(events_query_schema(), &q);
    SET(&q, limit, 10000);
    assert_int_equal(store_find(store, &q, say_event, said, &end, &fault), STORE_OK);
}

static void assert_same(const struct twins *t)
{
    struct said said[BOTH] = { 0 };
    for (int i = 0; i < BOTH; i++) {
        store_t *fresh = twin_open(t->paths[i], false); /* which remembers nothing */
        say_all(fresh, &said[i]);
        store_close(&fresh);
    }
    assert_int_equal(said[0].text.size, said[1].text.size);
    assert_memory_equal(said[0].text.data, said[1].text.data, said[0].text.size);
    msgpack_sbuffer_destroy(&said[0].text);
    msgpack_sbuffer_destroy(&said[1].text);
}

/* 400 states with as many sets, of which those of before `until` minutes are sealed. */
static void fill(struct twins *t, int until)
{
    for (int i = 0; i < 400; i++)
        happen(t, "media_player.one", i, i);
    twins_seal(t, START_US + (int64_t)until * 60000000, INT64_MAX);
}

static void sets_of_sealed_rows_are_packed_and_answers_stay_the_same(void **state)
{
    struct twins *t = *state;
    fill(t, 300);
    assert_in_range(packed(t), 290, 299);
    assert_int_equal(number(t, "SELECT count(*) FROM attribute_packed WHERE base NOT IN (SELECT id FROM attribute)"), 0);
    assert_true(number(t, "SELECT sum(length(bytes)) FROM attribute_packed") < packed(t) * 40);
    assert_same(t);
}

static void sets_of_rows_that_are_not_sealed_stay_where_plain_sql_finds_them(void **state)
{
    struct twins *t = *state;
    for (int i = 0; i < 400; i++)
        happen(t, "media_player.one", i, i < 300 ? i : i - 300);
    twins_seal(t, START_US + INT64_C(300) * 60000000, INT64_MAX);
    assert_in_range(packed(t), 190, 200);
    assert_int_equal(number(t, "SELECT count(*) FROM v_states s LEFT JOIN v_attributes a ON a.id = s.attributes WHERE a.id IS NULL"), 0);
    assert_same(t);
}

static void a_packed_set_that_comes_again_is_plain_again_under_its_number(void **state)
{
    struct twins *t = *state;
    fill(t, 300);
    int64_t before = packed(t), sets = before + number(t, "SELECT count(*) FROM attribute");
    int64_t id = number(t, "SELECT id FROM attribute_packed ORDER BY id LIMIT 1 OFFSET 20"); /* numbers are given in order: level = id - 1 */
    happen(t, "media_player.one", 1000, (int)id - 1);
    assert_int_equal(packed(t), before - 1);
    assert_int_equal(packed(t) + number(t, "SELECT count(*) FROM attribute"), sets);
    assert_int_equal(number(t, "SELECT id FROM v_states JOIN v_attributes ON id = attributes ORDER BY at_us DESC LIMIT 1"), id);
    assert_same(t);
    happen(t, "media_player.one", 2000, 5000);
    twins_seal(t, START_US + INT64_C(1500) * 60000000, INT64_MAX);
    assert_same(t);
}

static void a_number_is_never_given_twice(void **state)
{
    struct twins *t = *state;
    fill(t, 400);
    happen(t, "media_player.one", 500, 3);   /* the newest set is that of a sealed row now */
    happen(t, "media_player.one", 501, 4);
    twins_seal(t, START_US + INT64_C(400) * 60000000, INT64_MAX);
    store_close(&t->writers[SEALED]);
    t->writers[SEALED] = twin_open(t->paths[SEALED], true);
    happen(t, "media_player.one", 502, 9000);
    assert_int_equal(number(t, "SELECT count(*) FROM attribute JOIN attribute_packed USING (id)"), 0);
    assert_same(t);
}

static int64_t bad_now(store_t *store)
{
    struct store_looked_sets looked;
    enum store_result result;
    int64_t bad = 0;
    while ((result = store_verify_sets(store, &looked)) == STORE_OK)
        bad += looked.bad - looked.well_again;
    assert_int_equal(result, STORE_MISSING);
    return bad;
}

static void note(void *owner, int64_t id)
{
    *(int64_t *)owner = id;
}

static void run_sql(const struct twins *t, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(t->paths[SEALED], &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_damaged_set_is_named_and_rows_are_answered_without_it(void **state)
{
    struct twins *t = *state;
    struct said well = { 0 }, said = { 0 };
    const char *what;
    int64_t id = 0, count;
    fill(t, 300);
    say_all(t->readers[PLAIN], &well);
    assert_int_equal(bad_now(t->writers[SEALED]), 0);
    int64_t damaged = number(t, "SELECT id FROM attribute_packed ORDER BY id LIMIT 1 OFFSET 50");
    run_sql(t, "CREATE TABLE kept AS SELECT * FROM attribute_packed ORDER BY id LIMIT 1 OFFSET 50");
    run_sql(t, "UPDATE attribute_packed SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'7f' AS BLOB) WHERE id = (SELECT id FROM kept)");
    store_t *fresh = twin_open(t->paths[SEALED], false);
    say_all(fresh, &said);
    assert_int_equal(store_damage(fresh, &what), 1);
    assert_non_null(strstr(what, "attribute set"));
    assert_in_range(well.text.size - said.text.size, 1, 400); /* a row without attributes, and no row less */
    store_close(&fresh);
    assert_int_equal(bad_now(t->writers[SEALED]), 1);
    assert_int_equal(bad_now(t->writers[SEALED]), 0); /* no news */
    assert_int_equal(store_bad_sets(t->writers[SEALED], 10, note, &id, &count), STORE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(id, damaged);
    run_sql(t, "UPDATE attribute_packed SET bytes = (SELECT bytes FROM kept) WHERE id = (SELECT id FROM kept)");
    assert_int_equal(bad_now(t->writers[SEALED]), -1);
    assert_same(t);
    /* Of a base, wherever it is damaged: its own set is named, and all that build on it, as for whoever reads them. */
    int64_t builds = number(t, "SELECT count(*) FROM attribute_packed WHERE base = (SELECT base FROM attribute_packed LIMIT 1)");
    assert_true(builds > 100);
    run_sql(t, "UPDATE attribute SET bytes = CAST(x'20' || bytes AS BLOB) WHERE id = (SELECT base FROM attribute_packed LIMIT 1)");
    assert_int_equal(bad_now(t->writers[SEALED]), builds + 1);
    msgpack_sbuffer_destroy(&well.text);
    msgpack_sbuffer_destroy(&said.text);
}

static void flip(const struct twins *t, const char *table, const char *column)
{
    char sql[320];
    snprintf(sql, sizeof sql, "UPDATE %s SET %s = CAST(substr(%s, 1, length(%s) - 1) || x'21' AS BLOB) WHERE id = (SELECT min(id) FROM %s)", table, column, column, column, table);
    run_sql(t, sql);
}

static int count_entity(void *owner, const struct event_full *e)
{
    int *counts = owner;
    assert_true(e->is_state && slice_equal(e->event_type, slice_of("state_changed")));
    counts[0]++;
    counts[1] += slice_equal(e->entity_id, slice_of("media_player.one"));
    counts[2] += e->has_attributes;
    counts[3] += e->has_domain;
    return 0;
}

/* How many rows, of the entity, with attributes, with a domain (of the snapshot); how much damage was met. */
static void look_at(const struct twins *t, int counts[5], const char *named)
{
    struct events_query q;
    struct fault fault;
    struct page end;
    const char *what = "";
    store_t *fresh = twin_open(t->paths[SEALED], false);
    memset(counts, 0, 5 * sizeof *counts);
    schema_clear(events_query_schema(), &q);
    SET(&q, limit, 10000);
    assert_int_equal(store_find(fresh, &q, count_entity, counts, &end, &fault), STORE_OK);
    counts[4] = (int)store_damage(fresh, &what);
    assert_non_null(strstr(what, named));
    int again[5] = { 0 };
    assert_int_equal(store_find(fresh, &q, count_entity, again, &end, &fault), STORE_OK);
    assert_int_equal(store_damage(fresh, &what), counts[4]); /* told once, and then answered without it */
    store_close(&fresh);
}

static void a_flipped_bit_in_what_repeats_is_told_and_never_answered(void **state)
{
    struct twins *t = *state;
    int counts[5];
    for (int i = 0; i < 40; i++)
        happen(t, "media_player.one", i, i);
    look_at(t, counts, "");
    assert_memory_equal(counts, ((int[]){ 40, 40, 40, 40, 0 }), sizeof counts);
    flip(t, "attribute", "bytes");
    look_at(t, counts, "attribute set 1 is damaged");
    assert_memory_equal(counts, ((int[]){ 40, 40, 39, 40, 1 }), sizeof counts);
    flip(t, "snapshot", "bytes");
    look_at(t, counts, "is damaged");
    assert_memory_equal(counts, ((int[]){ 40, 40, 39, 0, 2 }), sizeof counts);
    flip(t, "series", "name");
    look_at(t, counts, "is damaged");
    assert_memory_equal(counts, ((int[]){ 40, 0, 39, 0, 3 }), sizeof counts);
}

static int with_attributes(const struct twins *t)
{
    struct events_query q;
    struct fault fault;
    struct page end;
    int counts[5] = { 0 };
    store_t *fresh = twin_open(t->paths[SEALED], false);
    schema_clear(events_query_schema(), &q);
    SET(&q, limit, 10000);
    assert_int_equal(store_find(fresh, &q, count_entity, counts, &end, &fault), STORE_OK);
    store_close(&fresh);
    return counts[2];
}

static void no_set_is_packed_with_a_base_that_is_damaged(void **state)
{
    struct twins *t = *state;
    fill(t, 200);
    int64_t before = packed(t);
    assert_true(number(t, "SELECT count(*) FROM attribute_base") > 0);
    run_sql(t, "UPDATE attribute SET bytes = CAST(x'7b' || x'20' || substr(bytes, 3) AS BLOB) WHERE id IN (SELECT id FROM attribute_base)");
    int left = with_attributes(t);
    twins_seal(t, START_US + INT64_C(203) * 60000000, INT64_MAX); /* so few that another base is not worth it */
    assert_true(packed(t) > before);
    assert_int_equal(with_attributes(t), left);
}

static void what_has_little_in_common_gets_a_base_of_its_own_or_stays(void **state)
{
    struct twins *t = *state;
    for (int i = 0; i < 400; i++)
        happen(t, i % 2 ? "media_player.two" : "media_player.one", i, i * 7919);
    twins_seal(t, START_US + INT64_C(300) * 60000000, INT64_MAX);
    assert_in_range(packed(t), 0, 300);
    assert_int_equal(number(t, "SELECT count(*) FROM attribute_base JOIN attribute_packed USING (id)"), 0);
    assert_same(t);
}

static void bytes_come_back_from_any_base(void **state)
{
    (void)state;
    struct chunk_tools tools = { 0 };
    struct maker m = { .seed = 7 };
    msgpack_sbuffer packed_bytes, back;
    static char base[SET_BYTES_MAX], whole[SET_BYTES_MAX];
    msgpack_sbuffer_init(&packed_bytes);
    msgpack_sbuffer_init(&back);
    for (int round = 0; round < 300; round++) {
        size_t base_size = round % 10 == 0 ? 0 : round == 1 ? SET_BYTES_MAX : chance(&m, 3000), size = round == 2 ? SET_BYTES_MAX : chance(&m, 3000);
        for (size_t i = 0; i < base_size; i++)
            base[i] = (char)chance(&m, 256);
        for (size_t i = 0; i < size; i++)
            whole[i] = i < base_size && chance(&m, 50) ? base[i] : (char)chance(&m, 256);
        msgpack_sbuffer_clear(&packed_bytes);
        set_pack(&tools, (struct slice){ base, base_size }, (struct slice){ whole, size }, &packed_bytes);
        assert_int_equal(set_unpack(&tools, (struct slice){ base, base_size }, (struct slice){ packed_bytes.data, packed_bytes.size }, &back), 0);
        assert_int_equal(back.size, size);
        if (size > 0)
            assert_memory_equal(back.data, whole, size);
    }
    assert_int_equal(set_unpack(&tools, (struct slice){ "", 0 }, (struct slice){ "", 0 }, &back), -1);
    msgpack_sbuffer_destroy(&packed_bytes);
    msgpack_sbuffer_destroy(&back);
    chunk_tools_close(&tools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sets_of_sealed_rows_are_packed_and_answers_stay_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sets_of_rows_that_are_not_sealed_stay_where_plain_sql_finds_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_packed_set_that_comes_again_is_plain_again_under_its_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_is_never_given_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_set_is_named_and_rows_are_answered_without_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_what_repeats_is_told_and_never_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_set_is_packed_with_a_base_that_is_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_little_in_common_gets_a_base_of_its_own_or_stays, set_up, tear_down),
        cmocka_unit_test(bytes_come_back_from_any_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
