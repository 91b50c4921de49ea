/* test_sealed.c - a store whose old rows are sealed answers every question as one whose rows are not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "activity.h"
#include "moment.h"
#include "rollup.h"
#include "seal.h"
#include "twins.h"

#include <signal.h>
#include <sys/wait.h>

static int set_up(void **state)
{
    *state = twins_new();
    return 0;
}

static int tear_down(void **state)
{
    return twins_destroy(*state);
}

/* --- questions --------------------------------------------------------------------------------------- */

typedef void question(store_t *, void *what, struct said *);

static void ask(struct twins *t, question *fn, void *what)
{
    struct said said[BOTH] = { 0 };
    for (int i = 0; i < BOTH; i++)
        fn(t->readers[i], what, &said[i]);
    if (said[0].text.size != said[1].text.size)
        print_message("sealed says %zu bytes, plain %zu\n", said[0].text.size, said[1].text.size);
    assert_int_equal(said[0].text.size, said[1].text.size);
    if (said[0].text.size > 0)
        assert_memory_equal(said[0].text.data, said[1].text.data, said[0].text.size);
    msgpack_sbuffer_destroy(&said[0].text);
    msgpack_sbuffer_destroy(&said[1].text);
}

static void ask_list(store_t *store, void *what, struct said *said)
{
    struct events_query q = *(struct events_query *)what;
    struct fault fault = { "", "" };
    struct page end;
    int64_t count;
    int pages = 0;
    assert_int_equal(store_count(store, &q, &count, &fault), STORE_OK);
    say_number(said, count);
    do {
        said->left = 40;
        assert_int_equal(store_find(store, &q, say_event, said, &end, &fault), STORE_OK);
        say_number(said, end.count);
        if (end.has_next_cursor) {
            SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
            msgpack_sbuffer_write(&said->text, end.next_cursor, end.next_cursor_size);
        }
    } while (end.has_next_cursor && ++pages < 12);
}

static void ask_get(store_t *store, void *id, struct said *said)
{
    said->left = 2;
    say_number(said, store_get(store, id, say_event, said));
}

static void ask_chain(store_t *store, void *context, struct said *said)
{
    struct chain_query q;
    struct page end;
    schema_clear(chain_query_schema(), &q);
    SET_TEXT(&q, context_id, context, strlen(context));
    assert_int_equal(store_chain(store, &q, say_chain, said, &end), STORE_OK);
}

static void ask_latest(store_t *store, void *now, struct said *said)
{
    struct latest_query q;
    struct page end;
    struct fault fault;
    schema_clear(latest_query_schema(), &q);
    SET(&q, removed, true);
    said->left = 1000;
    assert_int_equal(store_latest(store, &q, *(int64_t *)now, say_event, said, &end, &fault), STORE_OK);
}

static void ask_summaries(store_t *store, void *span, struct said *said)
{
    const int64_t *times = span;
    struct events_stats stats;
    struct limit_query q;
    struct page end;
    msgpack_sbuffer pool = { 0 };
    assert_int_equal(store_stats(store, times[0], times[1], &stats, &pool), STORE_OK);
    say_number(said, stats.total_events);
    say_number(said, stats.has_last_event_time ? stats.last_event_time : -1);
    msgpack_sbuffer_write(&said->text, pool.data, pool.size);
    msgpack_sbuffer_destroy(&pool);
    schema_clear(limit_query_schema(), &q);
    assert_int_equal(store_entities(store, &q, say_active, said, &end), STORE_OK);
    assert_int_equal(store_types(store, &q, say_type, said, &end), STORE_OK);
}

static int say_activity(void *owner, const struct activity_row *row)
{
    struct said *said = owner;
    msgpack_sbuffer_write(&said->text, row->has_key ? row->key.data : "-", row->has_key ? row->key.size : 1);
    say_number(said, row->entities);
    say_number(said, row->count);
    say_number(said, row->has_changes ? row->changes : -1);
    say_number(said, row->last);
    return 0;
}

static void ask_activity(store_t *store, void *span, struct said *said)
{
    static const char *const groups[] = { "entity", "domain", "area", "device" }, *const orders[] = { "count", "changes", "last", "name" };
    const int64_t *times = span;
    struct activity_query q;
    struct page end;
    struct fault fault;
    for (size_t i = 0; i < 4; i++) {
        schema_clear(activity_query_schema(), &q);
        SET(&q, from, times[0]);
        SET(&q, to, times[1]);
        SET_TEXT(&q, group, groups[i], strlen(groups[i]));
        SET_TEXT(&q, sort, orders[i], strlen(orders[i]));
        assert_int_equal(store_activity(store, &q, times[1], say_activity, said, &end, &fault), STORE_OK);
    }
}

static void ask_preview(store_t *store, void *now, struct said *said)
{
    struct preview_reply reply;
    struct fault fault;
    msgpack_sbuffer pool = { 0 };
    rules_t *rules = rules_read(slice_of("[{\"action\":\"exclude\",\"domain\":\"light\"},{\"action\":\"thin\",\"domain\":\"sensor\",\"deadband\":200}]"), &fault);
    assert_non_null(rules);
    do /* on a busy machine it may take less than all */
        assert_int_equal(store_preview(store, rules, *(int64_t *)now, &reply, &pool), STORE_OK);
    while (!reply.complete);
    say_number(said, reply.events);
    msgpack_sbuffer_write(&said->text, pool.data, pool.size);
    rules_destroy(&rules);
    msgpack_sbuffer_destroy(&pool);
}

struct period { int64_t series, from, to; bool with_prior; };

static void ask_samples(store_t *store, void *what, struct said *said)
{
    const struct period *s = what;
    struct sample sample;
    bool empty;
    enum store_result result;
    assert_int_equal(read_begin(store, &empty), STORE_OK);
    samples_t *samples = samples_open(store, s->series, s->from, s->to, s->with_prior);
    assert_non_null(samples);
    while ((result = samples_next(samples, &sample)) == STORE_OK) {
        say_number(said, sample.at);
        say_number(said, sample.kind);
        msgpack_sbuffer_write(&said->text, sample.state.data, sample.state.size);
        if (sample.kind == SAMPLE_NUMBER)
            msgpack_sbuffer_write(&said->text, (const char *)&sample.number, sizeof sample.number);
        say_number(said, sample.attributes);
        say_number(said, sample.snapshot);
    }
    assert_int_equal(result, STORE_MISSING);
    samples_close(&samples);
    read_end(store);
}

static void say_slice(struct said *said, bool has, struct slice text)
{
    say_number(said, has ? (int64_t)text.size : -1);
    if (has)
        msgpack_sbuffer_write(&said->text, text.data, text.size);
}

/* What states tell of a row. */
static int say_state(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct said *said = owner;
    (void)in_gap;
    say_number(said, (int64_t)which);
    if (!e)
        return 0;
    say_slice(said, e->has_entity_id, e->entity_id);
    say_slice(said, e->has_state, e->state);
    say_slice(said, e->has_value, e->value);
    say_slice(said, e->has_attributes, e->attributes);
    say_slice(said, e->has_domain, e->domain);
    say_slice(said, e->has_area, e->area);
    say_slice(said, e->has_unit, e->unit);
    say_slice(said, true, (struct slice){ e->provenance, e->provenance_size });
    say_number(said, e->timestamp);
    say_number(said, e->has_last_updated ? e->last_updated : -1);
    say_number(said, e->has_last_changed ? e->last_changed : -1);
    return 0;
}

/* Told of whole rows, it is the same. */
static void ask_moment(store_t *store, void *what, struct said *said)
{
    struct moment_question *q = what;
    struct said whole = { 0 };
    int64_t next;
    q->whole = false;
    assert_int_equal(store_moment(store, q, say_state, said, &next), STORE_OK);
    q->whole = true;
    assert_int_equal(store_moment(store, q, say_state, &whole, &next), STORE_OK);
    assert_int_equal(said->text.size, whole.text.size);
    assert_true(said->text.size == 0 || memcmp(said->text.data, whole.text.data, whole.text.size) == 0);
    msgpack_sbuffer_destroy(&whole.text);
}

static void ask_moments(struct twins *t, struct maker *m, int64_t from, int64_t to)
{
    for (int i = 0; i < 12; i++) {
        struct moment_question q = { .moments = 1 + (size_t)(i % 2) };
        q.at_us[0] = from + (int64_t)chance(m, (uint64_t)(to - from));
        q.at_us[1] = q.at_us[0] + (int64_t)chance(m, (uint64_t)(to - from) / 4);
        ask(t, ask_moment, &q);
    }
}

#define ASK(q, member, text) assert_int_equal(SET_TEXT(q, member, text, strlen(text)), 0)

static void ask_lists(struct twins *t, struct maker *m, int64_t from, int64_t to)
{
    struct events_query q;
    for (int which = 0; which < 12; which++) {
        schema_clear(events_query_schema(), &q);
        const char *sort = chance(m, 2) ? "asc" : "desc";
        ASK(&q, sort, sort);
        SET(&q, limit, 1 + (int64_t)chance(m, 60));
        if (which % 2) {
            SET(&q, start_time, from + (int64_t)chance(m, (uint64_t)(to - from)));
            SET(&q, end_time, q.start_time + 1 + (int64_t)chance(m, (uint64_t)(to - from)));
        }
        switch (which) {
        case 2: case 3: ASK(&q, entity_id, "sensor.thing_3"); break;
        case 4: ASK(&q, entity_id, "sensor.thing_3,light.thing_1,sensor.thing_0"); break;
        case 5: ASK(&q, domain, "light"); break;
        case 6: ASK(&q, event_type, "call_service"); break;
        case 7: ASK(&q, area_id, "area1"); break;
        case 8: ASK(&q, query, "\"level\":7,"); break;
        case 9: ASK(&q, device_id, "device2"); ASK(&q, domain, "sensor,light"); break;
        case 10: ASK(&q, event_type, "state_changed"); break;
        default: break;
        }
        ask(t, ask_list, &q);
    }
}

/* Of some events: by their ids, by their contexts. */
static void ask_ones(struct twins *t, uint64_t seed, size_t count, int64_t (*when)(struct maker *, size_t))
{
    struct maker m = { .seed = seed };
    for (size_t i = 0; i < count; i++) {
        struct event_full e;
        char context[64];
        make_event(&m, &e, when(&m, i));
        if (i % 97 != 0)
            continue;
        ask(t, ask_get, e.id);
        snprintf(context, sizeof context, "%.*s", (int)e.context_id.size, (const char *)e.context_id.data);
        ask(t, ask_chain, context);
    }
}

static void ask_all(struct twins *t, struct maker *m, int64_t from, int64_t to)
{
    int64_t now = to, early = from + (to - from) / 2, span[2] = { from + (to - from) / 3, to - (to - from) / 5 }, all[2] = { 0, MAX_TIME_US };
    ask_lists(t, m, from, to);
    ask_moments(t, m, from - 1000, to);
    ask(t, ask_latest, &now);
    early -= INT64_C(86400000000);
    ask(t, ask_latest, &early);
    ask(t, ask_summaries, span);
    ask(t, ask_summaries, all);
    for (int i = 0; i < 6; i++) {
        int64_t begin = from + (int64_t)chance(m, (uint64_t)(to - from)), some[2] = { begin, begin + 1 + (int64_t)chance(m, (uint64_t)(to - begin)) };
        ask(t, ask_activity, i ? some : all);
    }
    ask(t, ask_preview, &now);
    for (int64_t series = 1; series < 36; series++) {
        int64_t begin = from + (int64_t)chance(m, (uint64_t)(to - from)) - 1000;
        struct period s = { series, chance(m, 4) ? begin : 0, begin + (int64_t)chance(m, (uint64_t)(to - from)), chance(m, 2) };
        ask(t, ask_samples, &s);
    }
}

/* --- what happens ---------------------------------------------------------------------------------------- */

static int64_t a_time(struct maker *m, size_t i)
{
    return START_US + (int64_t)i * 1000 + (int64_t)chance(m, 20000) - 10000;
}

static void append_to_both(struct twins *t, const struct event_full *e)
{
    struct fault fault;
    enum store_result one = store_append(t->writers[SEALED], e, &fault), two = store_append(t->writers[PLAIN], e, &fault);
    if (one != two)
        print_message("sealed takes %s as %d, plain as %d\n", e->id, one, two);
    assert_int_equal(one, two);
}

static void commit_both(struct twins *t)
{
    struct store_totals totals[BOTH];
    for (int i = 0; i < BOTH; i++) {
        assert_int_equal(store_commit(t->writers[i]), STORE_OK);
        store_totals(t->writers[i], &totals[i]);
    }
    assert_memory_equal(&totals[0], &totals[1], sizeof totals[0]);
}

/* As a history would give it: without what only a live event has. */
static void make_poorer(struct event_full *e)
{
    e->has_context_id = e->has_context_parent_id = e->has_context_user_id = e->has_old_state = false;
    SET_TEXT(e, provenance, "backfill", 8);
    e->place += INT64_C(1) << 40;
    event_id_set(e);
}

/* Some of the events from `from` to `to`, again or for the first time, poorer or whole. */
static void happen(struct twins *t, uint64_t seed, size_t from, size_t to, uint64_t which, bool poorer)
{
    struct maker m = { .seed = seed }, choice = { .seed = seed + which + from };
    for (size_t i = 0; i < to; i++) {
        struct event_full e;
        make_event(&m, &e, a_time(&m, i));
        if (i < from || chance(&choice, 10) >= which)
            continue;
        if (poorer)
            make_poorer(&e);
        append_to_both(t, &e);
        if (chance(&choice, 300) == 0)
            commit_both(t);
    }
    commit_both(t);
}

static void answers_are_the_same_whatever_is_sealed_when(void **state)
{
    struct twins *t = *state;
    const int64_t second = 1000000;
    struct maker m = { .seed = 4711 };
    happen(t, 99, 0, 600, 9, false);
    assert_true(twins_seal(t, START_US + second / 2, 1000000) > 20);
    ask_all(t, &m, START_US, START_US + second);
    happen(t, 99, 0, 500, 10, true);  /* a history: duplicates, and what was missing */
    ask_all(t, &m, START_US, START_US + second);
    happen(t, 99, 0, 900, 5, false);  /* and the live ones, again, and richer than some of what the history brought */
    twins_seal(t, START_US + second / 2, 40);
    ask_all(t, &m, START_US, START_US + second);
    happen(t, 77, 0, 1000, 8, true);
    twins_seal(t, START_US + second * 2, 1000000);
    happen(t, 77, 300, 800, 9, false);
    ask_all(t, &m, START_US, START_US + second);
    twins_seal(t, START_US + second * 2, 1000000);
    ask_all(t, &m, START_US, START_US + second);
    ask_ones(t, 99, 900, a_time);
    ask_ones(t, 77, 1000, a_time);
    for (int i = 0; i < BOTH; i++) { /* and to whom opens it anew */
        store_close(&t->readers[i]);
        store_close(&t->writers[i]);
        t->writers[i] = twin_open(t->paths[i], true);
        t->readers[i] = twin_open(t->paths[i], false);
    }
    happen(t, 99, 0, 900, 10, false);
    ask_all(t, &m, START_US, START_US + second);
}

/* --- a flipped bit --------------------------------------------------------------------------------------------- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        print_message("%s\n", why);
    assert_null(why);
    sqlite3_close(db);
}

/* In the chunk of which `kept` has a copy. */
static void flip_bit(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *which = NULL;
    sqlite3_blob *blob = NULL;
    uint8_t byte;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT id FROM kept", -1, &which, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(which), SQLITE_ROW);
    assert_int_equal(sqlite3_blob_open(db, "main", "chunk_data", "main", sqlite3_column_int64(which, 0), 1, &blob), SQLITE_OK);
    assert_int_equal(sqlite3_blob_read(blob, &byte, 1, 20), SQLITE_OK);
    byte ^= 4;
    assert_int_equal(sqlite3_blob_write(blob, &byte, 1, 20), SQLITE_OK);
    sqlite3_blob_close(blob);
    sqlite3_finalize(which);
    sqlite3_close(db);
}

static int64_t verify(store_t *store, int64_t *news)
{
    struct store_looked looked;
    int64_t bad = 0;
    enum store_result result;
    *news = 0;
    while ((result = store_verify(store, &looked)) == STORE_OK) {
        bad += looked.is_bad;
        *news += looked.is_news;
    }
    assert_int_equal(result, STORE_MISSING);
    return bad;
}

static int64_t count_of(store_t *store)
{
    struct events_query q;
    struct fault fault;
    int64_t count = -1;
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_count(store, &q, &count, &fault), STORE_OK);
    return count;
}

static int64_t list_of(store_t *store)
{
    struct events_query q;
    struct fault fault;
    struct page end;
    struct said said = { .left = INT64_MAX };
    schema_clear(events_query_schema(), &q);
    SET(&q, limit, 10000);
    assert_int_equal(store_find(store, &q, say_event, &said, &end, &fault), STORE_OK);
    msgpack_sbuffer_destroy(&said.text);
    return end.count;
}

/* Its name is kept. */
static void note_chunk(void *owner, const struct store_bad_chunk *chunk)
{
    static char name[64];
    struct store_bad_chunk *bad = owner;
    *bad = *chunk;
    assert_true(chunk->name.size < sizeof name);
    memcpy(name, chunk->name.data, chunk->name.size);
    bad->name.data = name;
}

static void a_flipped_bit_puts_one_chunk_aside_and_the_rest_answers(void **state)
{
    struct twins *t = *state;
    struct store_bad_chunk bad = { 0 };
    struct store_sealed totals;
    const char *what;
    int64_t news;
    happen(t, 5, 0, 500, 10, false);
    twins_seal(t, START_US + 10000000, 1000000);
    int64_t all = count_of(t->readers[PLAIN]);
    assert_int_equal(verify(t->writers[SEALED], &news), 0);
    assert_int_equal(news, 0);
    run_sql(t->paths[SEALED], "CREATE TABLE kept AS SELECT * FROM chunk_data WHERE id = (SELECT id FROM chunk WHERE rows > 5 LIMIT 1)");
    flip_bit(t->paths[SEALED]);
    assert_true(count_of(t->readers[SEALED]) == all); /* nobody has looked into it */
    assert_true(list_of(t->readers[SEALED]) < all);
    assert_true(store_damage(t->readers[SEALED], &what) > 0);
    assert_non_null(strstr(what, "checksum"));
    struct said said = { 0 };
    struct moment_question q = { .at_us = { START_US + 10000000 }, .moments = 1 };
    ask_moment(t->readers[SEALED], &q, &said); /* of whoever lies in it, what was in force before or after is told */
    assert_true(said.text.size > 0);
    msgpack_sbuffer_destroy(&said.text);
    assert_int_equal(verify(t->writers[SEALED], &news), 1);
    assert_int_equal(news, 1);
    assert_int_equal(store_bad_chunks(t->writers[SEALED], 10, note_chunk, &bad), STORE_OK);
    assert_true(bad.chunk > 0 && bad.rows > 5);
    assert_int_equal(store_sealed_totals(t->writers[SEALED], &totals), STORE_OK);
    assert_int_equal(totals.bad, 1);
    assert_int_equal(count_of(t->readers[SEALED]), all - bad.rows);
    assert_int_equal(list_of(t->readers[SEALED]), all - bad.rows);
    twins_seal(t, START_US + 10000000, 1000000); /* no harm comes to it */
    run_sql(t->paths[SEALED], "UPDATE chunk_data SET main = (SELECT main FROM kept) WHERE id = (SELECT id FROM kept)");
    assert_int_equal(verify(t->writers[SEALED], &news), 0);
    assert_int_equal(news, 1);
    assert_int_equal(list_of(t->readers[SEALED]), all);
}

struct told { int64_t series, from, to; int gaps; int64_t gap_us, value_us; };

static int tell_gap(void *owner, const struct store_gap *gap)
{
    struct told *told = owner;
    told->gaps += gap->series == told->series && gap->from == told->from && gap->to > told->to;
    return 0;
}

static int tell_bucket(void *owner, const struct bucket *b)
{
    struct told *told = owner;
    told->gap_us += b->gap_us;
    told->value_us += b->value_us + b->unavailable_us;
    return 0;
}

static struct told told_of(store_t *store, const struct store_bad_chunk *bad, int64_t series)
{
    struct told told = { .series = series, .from = bad->first, .to = bad->last };
    struct bucket_question q = { .from_us = bad->first, .to_us = bad->last, .now_us = bad->last, .step = { STEP_FIXED, 1, NULL } };
    assert_int_equal(store_gaps(store, bad->first, bad->last, tell_gap, &told), STORE_OK);
    assert_int_equal(store_buckets(store, series, &q, tell_bucket, &told), STORE_OK);
    return told;
}

static void while_a_chunk_is_damaged_its_entity_has_a_gap(void **state)
{
    struct twins *t = *state;
    struct store_bad_chunk bad = { 0 };
    int64_t news, series = 0;
    happen(t, 5, 0, 500, 10, false);
    twins_seal(t, START_US + 10000000, 1000000);
    run_sql(t->paths[SEALED], "CREATE TABLE kept AS SELECT * FROM chunk_data WHERE id = (SELECT chunk.id FROM chunk JOIN series ON series.id = series WHERE is_state AND last > first LIMIT 1)");
    flip_bit(t->paths[SEALED]);
    assert_int_equal(verify(t->writers[SEALED], &news), 1);
    assert_int_equal(store_bad_chunks(t->writers[SEALED], 10, note_chunk, &bad), STORE_OK);
    assert_true(bad.is_state && bad.last > bad.first);
    assert_int_equal(series_find(t->writers[SEALED], series_hash(true, bad.name), true, bad.name, &series), STORE_OK);
    assert_int_equal(store_set_gaps(t->writers[SEALED], NULL, 0), STORE_DUPLICATE); /* of which the ledger knows nothing */
    struct told told = told_of(t->readers[SEALED], &bad, series);
    assert_int_equal(told.gaps, 1);
    assert_true(told.gap_us == bad.last - bad.first && told.value_us == 0);
    run_sql(t->paths[SEALED], "UPDATE chunk_data SET main = (SELECT main FROM kept) WHERE id = (SELECT id FROM kept)");
    assert_int_equal(verify(t->writers[SEALED], &news), 0);
    told = told_of(t->readers[SEALED], &bad, series);
    assert_int_equal(told.gaps, 0);
    assert_true(told.gap_us == 0 && told.value_us == bad.last - bad.first);
}

/* --- kill -9 ------------------------------------------------------------------------------------------------------ */

/* In a process of its own: seal, until it is killed. */
static void seal_until_killed(const struct twins *t, uint64_t seed)
{
    struct maker m = { .seed = seed };
    store_t *store = twin_open(t->paths[SEALED], true);
    int64_t now = t->now;
    for (;;) {
        now += INT64_C(7200000000);
        int64_t until = START_US + (int64_t)chance(&m, 1500000);
        while (store_seal(store, now, now - until) == STORE_OK || store_pack(store) == STORE_OK)
            ;
        for (int i = 0; i < 3; i++) { /* and open some again */
            if (store_begin(store) == STORE_OK && seal_open_all(store, 1 + (int64_t)chance(&m, 30)) == STORE_OK)
                store_commit(store);
        }
    }
}

static void a_kill_at_any_moment_leaves_every_row_in_one_place(void **state)
{
    struct twins *t = *state;
    struct maker m = { .seed = 321 };
    happen(t, 8, 0, 800, 10, false);
    int64_t all = count_of(t->readers[PLAIN]);
    store_close(&t->writers[SEALED]);
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            seal_until_killed(t, (uint64_t)round + 1);
            _exit(1);
        }
        usleep((useconds_t)(20000 + chance(&m, 60000))); /* what it does meanwhile is the moment that is tried */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        store_t *reader = twin_open(t->paths[SEALED], false);
        assert_int_equal(count_of(reader), all);
        assert_int_equal(list_of(reader), all);
        store_close(&reader);
    }
    t->writers[SEALED] = twin_open(t->paths[SEALED], true);
    ask_all(t, &m, START_US, START_US + 1000000);
    happen(t, 8, 0, 800, 10, false);
    ask_all(t, &m, START_US, START_US + 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_the_same_whatever_is_sealed_when, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_puts_one_chunk_aside_and_the_rest_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(while_a_chunk_is_damaged_its_entity_has_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_at_any_moment_leaves_every_row_in_one_place, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
