/* test_paging.c - a list is read page by page while rows are sealed, opened again, swept and come: none is passed over, none comes twice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "twins.h"

enum { ROWS = 900, ID_ROOM = 40, TIMES = 60, ROUNDS = 8 };

struct world { char directory[64], path[96]; store_t *writer, *reader; struct maker maker; int64_t now; uint64_t happened; int steps; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->maker.seed = 88172645463341090u;
    strcpy(w->directory, "/tmp/test-paging-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = twin_open(w->path, true);
    w->reader = twin_open(w->path, false);
    w->now = START_US + INT64_C(40) * 86400 * 1000000;
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

/* --- what happens between two pages ------------------------------------------------------------------- */

/* The n-th event is always the same. Of history it is poorer, and its live one takes its place later, under its id. */
static void happen(struct world *w, uint64_t n, bool is_history)
{
    struct maker m = { .seed = (n + 1) * 0x9e3779b97f4a7c15u, .place = (int64_t)n * 2000 };
    struct event_full e;
    struct fault fault = { "", "" };
    chance(&m, 2);
    make_event(&m, &e, START_US + (int64_t)n * 1000 + (int64_t)chance(&m, 20000) - 10000);
    if (is_history) {
        e.has_context_id = e.has_context_parent_id = e.has_context_user_id = e.has_old_state = false;
        SET_TEXT(&e, provenance, "backfill", 8);
        e.place += INT64_C(1) << 40;
        event_id_set(&e);
    }
    enum store_result result = store_append(w->writer, &e, &fault);
    if (result != STORE_OK && result != STORE_DUPLICATE && result != STORE_REDELIVERED)
        fail_msg("a row is not taken: %d %s %s", (int)result, fault.why, store_why(w->writer));
}

static void commit(struct world *w)
{
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

static void seal_a_step(struct world *w)
{
    enum store_result result = store_seal(w->writer, w->now, w->now - START_US - ROWS * 1000);
    if (result == STORE_MISSING)
        w->now += INT64_C(25) * 3600 * 1000000; /* the next round, which merges whatever is late */
    assert_true(result == STORE_OK || result == STORE_MISSING);
    w->steps += result == STORE_OK;
}

static void something_happens(struct world *w)
{
    struct maker *m = &w->maker;
    switch (chance(m, 8)) {
    case 0: happen(w, w->happened++, false); break;
    case 1: happen(w, chance(m, w->happened), false); break; /* richer than what history said, or the very same; its chunk is opened */
    case 2: happen(w, chance(m, w->happened * 2), true); break;
    default: seal_a_step(w); return;
    }
    commit(w);
}

/* --- a list, and what was there when it began ------------------------------------------------------------- */

struct ids { char (*names)[ID_ROOM]; size_t count, room, most; };

static int note(void *owner, const struct event_full *e)
{
    struct ids *ids = owner;
    if (ids->count == ids->most)
        return 1;
    if (ids->count == ids->room) {
        ids->room = ids->room ? ids->room * 2 : 1024;
        ids->names = realloc(ids->names, ids->room * sizeof *ids->names);
        assert_non_null(ids->names);
    }
    assert_true(e->id_size < ID_ROOM);
    memset(ids->names[ids->count], 0, ID_ROOM);
    memcpy(ids->names[ids->count++], e->id, e->id_size);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void sort(struct ids *ids)
{
    if (ids->count > 0)
        qsort(ids->names, ids->count, sizeof *ids->names, by_name);
}

/* All that is there at this moment, in one page. */
static struct ids at_once(struct world *w, const struct events_query *asked)
{
    struct events_query q = *asked;
    struct ids ids = { .most = SIZE_MAX };
    struct page end;
    struct fault fault;
    int64_t count;
    SET(&q, limit, 1000000);
    assert_int_equal(store_find(w->reader, &q, note, &ids, &end, &fault), STORE_OK);
    assert_int_equal(store_count(w->reader, &q, &count, &fault), STORE_OK);
    assert_int_equal(count, ids.count);
    sort(&ids);
    return ids;
}

static struct ids page_by_page(struct world *w, const struct events_query *asked)
{
    struct events_query q = *asked;
    struct ids ids = { 0 };
    struct page end;
    struct fault fault;
    char cursor[256];
    for (bool more = true; more;) {
        int64_t rows = 1 + (int64_t)chance(&w->maker, 60);
        SET(&q, limit, rows);
        ids.most = ids.count + 1 + chance(&w->maker, 60); /* now and then whoever reads has no room */
        assert_int_equal(store_find(w->reader, &q, note, &ids, &end, &fault), STORE_OK);
        more = end.has_next_cursor && end.next_cursor_size > 0;
        if (!more)
            break;
        assert_true(end.next_cursor_size < sizeof cursor);
        memcpy(cursor, end.next_cursor, end.next_cursor_size);
        SET_TEXT(&q, cursor, cursor, end.next_cursor_size);
        for (uint64_t n = chance(&w->maker, 6); n > 0; n--)
            something_happens(w);
    }
    sort(&ids);
    return ids;
}

/* Each of `before` is in `listed` once; what came meanwhile, once or not at all. */
static void compare(const struct ids *before, const struct ids *listed)
{
    for (size_t i = 1; i < listed->count; i++)
        if (strcmp(listed->names[i - 1], listed->names[i]) == 0)
            fail_msg("%s comes twice", listed->names[i]);
    for (size_t i = 0; i < before->count; i++)
        if (!bsearch(before->names[i], listed->names, listed->count, sizeof *listed->names, by_name))
            fail_msg("%s was there when the list began, and is not in it", before->names[i]);
}

static void a_list_of_pages_has_what_was_there_when_it_began(struct world *w, struct events_query *q)
{
    static const char *const ways[] = { "asc", "desc" };
    for (int i = 0; i < ROUNDS; i++) {
        SET_TEXT(q, sort, ways[i % 2], strlen(ways[i % 2]));
        struct ids before = at_once(w, q), listed = page_by_page(w, q);
        compare(&before, &listed);
        free(before.names);
        free(listed.names);
    }
    struct ids after = at_once(w, q);
    free(after.names);
}

static void begin(struct world *w)
{
    for (; w->happened < ROWS; w->happened++)
        happen(w, w->happened, chance(&w->maker, 3) == 0);
    commit(w);
}

static void pages_over_all_have_every_row_while_it_is_sealed_and_opened_again(void **state)
{
    struct events_query q;
    begin(*state);
    schema_clear(events_query_schema(), &q);
    a_list_of_pages_has_what_was_there_when_it_began(*state, &q);
    assert_true(((struct world *)*state)->steps > 250);
}

static void pages_of_an_entity_have_every_row_while_it_is_sealed_and_opened_again(void **state)
{
    struct events_query q;
    begin(*state);
    schema_clear(events_query_schema(), &q);
    static const char names[] = "sensor.thing_3,light.thing_4,switch.thing_5";
    SET_TEXT(&q, entity_id, names, sizeof names - 1);
    a_list_of_pages_has_what_was_there_when_it_began(*state, &q);
}

static void pages_of_many_series_have_every_row_while_it_is_sealed_and_opened_again(void **state)
{
    struct events_query q;
    begin(*state);
    schema_clear(events_query_schema(), &q);
    SET_TEXT(&q, event_type, "state_changed", 13); /* of more series than are read one by one */
    a_list_of_pages_has_what_was_there_when_it_began(*state, &q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(pages_over_all_have_every_row_while_it_is_sealed_and_opened_again),
        TEST(pages_of_an_entity_have_every_row_while_it_is_sealed_and_opened_again),
        TEST(pages_of_many_series_have_every_row_while_it_is_sealed_and_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
