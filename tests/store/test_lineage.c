/* test_lineage.c - history follows the device, or the name; what was noted can be undone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lineage.h"
#include "samples.h"
#include "units_of.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START INT64_C(1790000000000000)
#define SECOND INT64_C(1000000)

struct world { char directory[64], path[96]; store_t *writer, *reader; int64_t place; uint64_t seed; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *why = "";
    strcpy(w->directory, "/tmp/test-lineage-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = store_open(&(struct store_options){ .path = w->path, .writer = true, .cache_bytes = 1 << 20 }, &why);
    w->reader = store_open(&(struct store_options){ .path = w->path, .cache_bytes = 1 << 20 }, &why);
    assert_non_null(w->writer);
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

static size_t chance(struct world *w, size_t of)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(w->seed >> 33) % of;
}

/* --- what happens ------------------------------------------------------------------------------------ */

static struct event_full an_event(struct world *w, const char *type, int64_t at)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of(type));
    SET(&e, is_state, false);
    SET(&e, timestamp, at);
    SET(&e, received_at, at);
    SET(&e, place, ++w->place);
    SET_TEXT(&e, provenance, "live", 4);
    return e;
}

static void append(struct world *w, const struct event_full *e)
{
    struct fault fault = { "", "" };
    assert_int_equal(store_append(w->writer, e, &fault), STORE_OK);
}

/* state NULL: it is removed. */
static void write_state(struct world *w, const char *name, int64_t at, const char *state, const char *unit)
{
    struct event_full e = an_event(w, "state_changed", at);
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(name));
    SET(&e, domain, slice_of("sensor"));
    if (state) {
        SET(&e, last_updated, at);
        SET(&e, state, slice_of(state));
    }
    if (unit)
        SET(&e, unit, slice_of(unit));
    append(w, &e);
}

static void tell(struct world *w, const char *data, int64_t at, enum store_result expected)
{
    struct event_full e = an_event(w, "entity_registry_updated", at);
    struct fault fault = { "", "" };
    SET(&e, data, slice_of(data));
    enum store_result stored = store_append(w->writer, &e, &fault);
    assert_true(stored == STORE_OK || stored == STORE_DUPLICATE);
    assert_int_equal(store_note_event(w->writer, &e), expected);
}

static void tell_rename(struct world *w, const char *old, const char *new, int64_t at)
{
    char data[300];
    snprintf(data, sizeof data, "{\"action\":\"update\",\"entity_id\":\"%s\",\"changes\":{\"entity_id\":\"%s\"},\"old_entity_id\":\"%s\"}", new, old, old);
    tell(w, data, at, STORE_OK);
}

static enum store_result list_entity(struct world *w, const char *name, int id, int unique, int64_t at, int64_t gap)
{
    struct entity_row row;
    char text[32];
    schema_clear(entity_row_schema(), &row);
    SET_TEXT(&row, entity_id, name, strlen(name));
    SET_TEXT(&row, domain, "sensor", 6);
    SET_TEXT(&row, platform, "demo", 4);
    int size = snprintf(text, sizeof text, "registry-%d", id);
    SET_TEXT(&row, registry_id, text, (size_t)size);
    size = snprintf(text, sizeof text, "unique-%d", unique);
    SET_TEXT(&row, unique_id, text, (size_t)size);
    SET(&row, timestamp, at);
    return store_note_entity(w->writer, &row, gap);
}

static void commit(struct world *w)
{
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

/* --- what is said of it -------------------------------------------------------------------------------- */

struct said { char text[8192]; size_t size; int64_t last_to; };

static int say_span(void *owner, const struct lineage_span_row *row)
{
    struct said *said = owner;
    char from[32] = "", to[32] = "";
    if (row->has_from)
        snprintf(from, sizeof from, "%g", (double)(row->from - START) / 1e6);
    if (row->has_to)
        snprintf(to, sizeof to, "%g", (double)(row->to - START) / 1e6);
    said->size += (size_t)snprintf(said->text + said->size, sizeof said->text - said->size, "%s%s[%s,%s)", said->size ? " " : "", row->entity_id, from, to);
    return 0;
}

static enum store_result say_history(struct world *w, const char *name, const char *identity, int64_t at, struct said *said)
{
    struct lineage_query q;
    struct page end;
    struct fault fault = { "", "" };
    schema_clear(lineage_query_schema(), &q);
    SET_TEXT(&q, entity_id, name, strlen(name));
    SET_TEXT(&q, identity, identity, strlen(identity));
    if (at)
        SET(&q, at, at);
    *said = (struct said){ .size = 0 };
    return store_lineage_rows(w->reader, &q, say_span, said, &end, &fault);
}

static void assert_history(struct world *w, const char *name, const char *expected)
{
    struct said said;
    assert_int_equal(say_history(w, name, "device", 0, &said), STORE_OK);
    assert_string_equal(said.text, expected);
}

/* "name@second=state", of states and removals. */
static int say_samples(void *owner, const struct lineage_span *span)
{
    struct { struct world *w; struct said *said; } *both = owner;
    struct said *said = both->said;
    struct sample sample;
    enum store_result result;
    assert_true(said->last_to <= span->from_us && span->from_us < span->to_us);
    said->last_to = span->to_us;
    samples_t *samples = samples_open(both->w->reader, span->series, span->from_us, span->to_us, false);
    while ((result = samples_next(samples, &sample)) == STORE_OK)
        said->size += (size_t)snprintf(said->text + said->size, sizeof said->text - said->size, "%s%g=%.*s", said->size ? " " : "",
            (double)(sample.at - START) / 1e6, sample.kind == SAMPLE_REMOVED ? 1 : (int)sample.state.size,
            sample.kind == SAMPLE_REMOVED ? "-" : (const char *)sample.state.data);
    assert_int_equal(result, STORE_MISSING);
    samples_close(&samples);
    return 0;
}

static enum store_result say_states(struct world *w, const char *name, bool by_role, struct said *said)
{
    struct { struct world *w; struct said *said; } both = { w, said };
    *said = (struct said){ .size = 0 };
    return store_lineage(w->reader, slice_of(name), by_role, say_samples, &both);
}

static void assert_states(struct world *w, const char *name, bool by_role, const char *expected)
{
    struct said said;
    assert_int_equal(say_states(w, name, by_role, &said), STORE_OK);
    assert_string_equal(said.text, expected);
}

static enum store_result merge(struct world *w, const char *from, const char *to, int64_t at, struct lineage_row *row, struct fault *fault)
{
    struct merge_query q;
    schema_clear(merge_query_schema(), &q);
    SET_TEXT(&q, from, from, strlen(from));
    SET_TEXT(&q, to, to, strlen(to));
    if (at)
        SET(&q, at, at);
    return store_merge(w->writer, &q, START + 1000000 * SECOND, row, fault);
}

static enum store_result split(struct world *w, const char *name, int64_t at, struct lineage_row *row, struct fault *fault)
{
    struct split_query q;
    schema_clear(split_query_schema(), &q);
    SET_TEXT(&q, entity_id, name, strlen(name));
    SET(&q, at, at);
    return store_split(w->writer, &q, START + 1000000 * SECOND, row, fault);
}

static int64_t second(double s)
{
    return START + (int64_t)(s * 1e6);
}

/* As Home Assistant does it: the event, then the old state goes, then the new one comes. */
static void rename_live(struct world *w, const char *old, const char *new, double s, const char *state)
{
    tell_rename(w, old, new, second(s));
    write_state(w, old, second(s) + 300, NULL, NULL);
    write_state(w, new, second(s) + 600, state, NULL);
}

/* --- renames ------------------------------------------------------------------------------------------------- */

static void history_follows_a_rename_and_a_role_does_not(void **state)
{
    struct world *w = *state;
    write_state(w, "sensor.old", second(1), "1", NULL);
    write_state(w, "sensor.old", second(2), "2", NULL);
    rename_live(w, "sensor.old", "sensor.new", 3, "2");
    write_state(w, "sensor.new", second(4), "4", NULL);
    commit(w);
    assert_states(w, "sensor.new", false, "1=1 2=2 3.0006=2 4=4");
    assert_states(w, "sensor.old", false, "1=1 2=2 3.0006=2 4=4"); /* nobody else has that name */
    assert_states(w, "sensor.new", true, "3.0006=2 4=4");
    assert_states(w, "sensor.old", true, "1=1 2=2 3.0003=-");
    assert_history(w, "sensor.new", "sensor.old[,3.0003) sensor.new[3.0003,)");
}

static void the_old_state_may_go_before_the_event(void **state)
{
    struct world *w = *state;
    write_state(w, "sensor.old", second(1), "1", NULL);
    write_state(w, "sensor.old", second(3) - 1, NULL, NULL);
    tell_rename(w, "sensor.old", "sensor.new", second(3));
    write_state(w, "sensor.new", second(3) + 1, "1", NULL);
    commit(w);
    assert_states(w, "sensor.new", false, "1=1 3=1");
}

static void a_name_given_to_something_else_does_not_mix_the_two(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    write_state(w, "sensor.a", second(1), "one", NULL);
    rename_live(w, "sensor.a", "sensor.b", 2, "one");
    tell(w, "{\"action\":\"create\",\"entity_id\":\"sensor.a\"}", second(5), STORE_DUPLICATE);
    write_state(w, "sensor.a", second(5) + 100, "two", NULL);
    assert_int_equal(list_entity(w, "sensor.b", 1, 1, second(6), 0), STORE_DUPLICATE);
    assert_int_equal(list_entity(w, "sensor.a", 2, 2, second(6), 0), STORE_OK);
    write_state(w, "sensor.b", second(7), "one", NULL);
    commit(w);
    assert_states(w, "sensor.b", false, "1=one 2.0006=one 7=one");
    assert_states(w, "sensor.a", false, "5.0001=two");
    assert_states(w, "sensor.a", true, "1=one 2.0003=- 5.0001=two");
}

static void an_entity_removed_and_another_of_its_name_are_two(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    write_state(w, "sensor.a", second(1), "one", NULL);
    write_state(w, "sensor.a", second(2), NULL, NULL);
    tell(w, "{\"action\":\"create\",\"entity_id\":\"sensor.a\"}", second(3), STORE_OK);
    write_state(w, "sensor.a", second(3) + 100, "two", NULL);
    assert_int_equal(list_entity(w, "sensor.a", 2, 2, second(4), 0), STORE_OK);
    commit(w);
    assert_states(w, "sensor.a", false, "3.0001=two");
    assert_history(w, "sensor.a", "sensor.a[3,)");
    struct said said;
    assert_int_equal(say_history(w, "sensor.a", "device", second(1), &said), STORE_OK);
    assert_string_equal(said.text, "sensor.a[,3)");
}

/* Home Assistant gives the same id again for 30 days; then the integration's own id tells. */
static void an_entity_removed_and_added_again_is_one(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    write_state(w, "sensor.a", second(1), "1", NULL);
    write_state(w, "sensor.a", second(2), NULL, NULL);
    tell(w, "{\"action\":\"create\",\"entity_id\":\"sensor.a\"}", second(3), STORE_OK);
    write_state(w, "sensor.a", second(3) + 100, "3", NULL);
    assert_int_equal(list_entity(w, "sensor.a", 7, 1, second(4), 0), STORE_OK); /* another id, the same unique one */
    commit(w);
    assert_states(w, "sensor.a", false, "1=1 2=- 3.0001=3");
    write_state(w, "sensor.a", second(5), NULL, NULL);
    write_state(w, "sensor.c", second(6), "6", NULL);
    assert_int_equal(list_entity(w, "sensor.c", 8, 1, second(7), 0), STORE_OK); /* ... and under another name */
    commit(w);
    assert_states(w, "sensor.c", false, "1=1 2=- 3.0001=3 6=6");
}

static void a_rename_while_nobody_listened_begins_with_the_gap(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    list_entity(w, "sensor.b", 2, 2, second(0), 0);
    write_state(w, "sensor.a", second(1), "one", NULL);
    write_state(w, "sensor.b", second(1), "two", NULL);
    write_state(w, "sensor.a", second(9.5), "one", NULL);   /* in the gap's first second, and live */
    assert_int_equal(list_entity(w, "sensor.c", 1, 1, second(21), second(9)), STORE_OK);
    write_state(w, "sensor.a", second(10.5), "one", NULL);  /* a history that does not follow */
    write_state(w, "sensor.c", second(12), "one", NULL);    /* history comes later, all of it under the new name */
    write_state(w, "sensor.a", second(20), NULL, NULL);
    assert_int_equal(list_entity(w, "sensor.c", 1, 1, second(22), second(9)), STORE_DUPLICATE);
    commit(w);
    assert_states(w, "sensor.c", false, "1=one 9.5=one 10.5=one 12=one");
    assert_states(w, "sensor.b", false, "1=two");
}

static void two_that_changed_names_while_nobody_listened_are_told_apart(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    list_entity(w, "sensor.b", 2, 2, second(0), 0);
    write_state(w, "sensor.a", second(1), "one", NULL);
    write_state(w, "sensor.b", second(1), "two", NULL);
    write_state(w, "sensor.b", second(12), "one", NULL);
    write_state(w, "sensor.a", second(13), "two", NULL);
    assert_int_equal(list_entity(w, "sensor.b", 1, 1, second(21), second(9)), STORE_OK);
    assert_int_equal(list_entity(w, "sensor.a", 2, 2, second(21), second(9)), STORE_OK);
    commit(w);
    assert_states(w, "sensor.b", false, "1=one 12=one");
    assert_states(w, "sensor.a", false, "1=two 13=two");
}

/* Home Assistant lets nobody take a name that is in use: it goes over a third one. */
static void exchange_live(struct world *w, const char *one, const char *two, double s, double pace, const char *of_one, const char *of_two)
{
    rename_live(w, one, "sensor.between", s, of_one);
    rename_live(w, two, one, s + pace, of_two);
    rename_live(w, "sensor.between", two, s + 2 * pace, of_one);
}

static void two_that_exchange_their_names_are_told_apart_and_so_they_are_when_they_do_it_again(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    list_entity(w, "sensor.b", 2, 2, second(0), 0);
    write_state(w, "sensor.a", second(1), "one", NULL);
    write_state(w, "sensor.b", second(1), "two", NULL);
    exchange_live(w, "sensor.a", "sensor.b", 2, 1, "one", "two");
    list_entity(w, "sensor.a", 2, 2, second(5), 0);
    list_entity(w, "sensor.b", 1, 1, second(5), 0);
    write_state(w, "sensor.a", second(6), "two", NULL);
    write_state(w, "sensor.b", second(6), "one", NULL);
    commit(w);
    assert_states(w, "sensor.a", false, "1=two 3.0006=two 6=two");
    assert_states(w, "sensor.b", false, "1=one 2.0006=one 4.0006=one 6=one");
    assert_states(w, "sensor.a", true, "1=one 2.0003=- 3.0006=two 6=two");
    exchange_live(w, "sensor.a", "sensor.b", 7, 0.001, "two", "one"); /* within milliseconds */
    list_entity(w, "sensor.b", 2, 2, second(8), 0);
    list_entity(w, "sensor.a", 1, 1, second(8), 0);
    commit(w);
    assert_states(w, "sensor.b", false, "1=two 3.0006=two 6=two 7.0006=two 7.0026=two");
    assert_states(w, "sensor.a", false, "1=one 2.0006=one 4.0006=one 6=one 7.0016=one");
}

static void names_exchanged_just_after_a_live_rename_are_told_apart(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.z", 1, 1, second(0), 0);
    list_entity(w, "sensor.b", 2, 2, second(0), 0);
    write_state(w, "sensor.z", second(1), "one", NULL);
    write_state(w, "sensor.b", second(1), "two", NULL);
    rename_live(w, "sensor.z", "sensor.a", 9.5, "one");     /* in the gap's first second */
    write_state(w, "sensor.b", second(12), "one", NULL);
    write_state(w, "sensor.a", second(13), "two", NULL);
    assert_int_equal(list_entity(w, "sensor.a", 2, 2, second(21), second(9)), STORE_OK);
    assert_int_equal(list_entity(w, "sensor.b", 1, 1, second(21), second(9)), STORE_OK);
    commit(w);
    assert_history(w, "sensor.b", "sensor.z[,9.5003) sensor.a[9.5003,10) sensor.b[10,)");
}

static void what_history_says_again_under_the_new_name_is_known(void **state)
{
    struct world *w = *state;
    static const struct { const char *name, *provenance, *text; double at; bool is_told; } cases[] = {
        { "sensor.b", "backfill", "1", 1, true }, { "sensor.b", "import", "1", 1, true }, { "sensor.b", "live", "1", 1, false },
        { "sensor.b", "backfill", "2", 1, false }, { "sensor.b", "backfill", "1", 1.5, false }, { "sensor.a", "backfill", "1", 1, false },
        { "sensor.b", "backfill", "1", 4, false }, { "sensor.c", "backfill", "1", 1, false },
    };
    write_state(w, "sensor.a", second(1), "1", NULL);
    rename_live(w, "sensor.a", "sensor.b", 3, "1");
    commit(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_told;
        struct event_full e = an_event(w, "state_changed", second(cases[i].at));
        SET(&e, is_state, true);
        SET(&e, entity_id, slice_of(cases[i].name));
        SET(&e, last_updated, e.timestamp);
        SET(&e, state, slice_of(cases[i].text));
        SET_TEXT(&e, provenance, cases[i].provenance, strlen(cases[i].provenance));
        assert_int_equal(store_is_told(w->writer, &e, &is_told), STORE_OK);
        assert_int_equal(is_told, cases[i].is_told);
    }
}

static void what_the_event_says_takes_the_place_of_what_the_registry_let_conclude(void **state)
{
    struct world *w = *state;
    struct said said;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    write_state(w, "sensor.a", second(1), "1", NULL);
    write_state(w, "sensor.a", second(3), "3", NULL);
    assert_int_equal(list_entity(w, "sensor.c", 1, 1, second(10), 0), STORE_OK);
    rename_live(w, "sensor.a", "sensor.b", 4, "3");
    rename_live(w, "sensor.b", "sensor.c", 5, "3");
    assert_int_equal(list_entity(w, "sensor.c", 1, 1, second(10), 0), STORE_DUPLICATE);
    commit(w);
    assert_states(w, "sensor.c", false, "1=1 3=3 4.0006=3 5.0006=3");
    assert_int_equal(say_history(w, "sensor.b", "device", 0, &said), STORE_OK);
    assert_string_equal(said.text, "sensor.a[,4.0003) sensor.b[4.0003,5.0003) sensor.c[5.0003,)");
    tell(w, "{\"action\":\"update\",\"entity_id\":\"sensor.c\",\"old_entity_id\":\"sensor.b\"}", second(5), STORE_DUPLICATE); /* it comes again */
    assert_int_equal(list_entity(w, "sensor.a", 1, 1, second(2), 0), STORE_DUPLICATE); /* an old reading, said again */
}

static void renames_that_come_out_of_order_are_no_further_one(void **state)
{
    struct world *w = *state;
    list_entity(w, "sensor.a", 1, 1, second(0), 0);
    write_state(w, "sensor.a", second(1), "1", NULL);
    rename_live(w, "sensor.b", "sensor.c", 4, "1");
    rename_live(w, "sensor.c", "sensor.d", 5, "1");
    rename_live(w, "sensor.a", "sensor.b", 3, "1");
    assert_int_equal(list_entity(w, "sensor.d", 1, 1, second(10), 0), STORE_OK); /* where it is now is known, and how it came there */
    commit(w);
    assert_history(w, "sensor.d", "sensor.a[,3.0003) sensor.b[3.0003,4.0003) sensor.c[4.0003,5.0003) sensor.d[5.0003,)");
}

static void there_and_back_is_one(void **state)
{
    struct world *w = *state;
    write_state(w, "sensor.a", second(1), "1", NULL);
    rename_live(w, "sensor.a", "sensor.b", 2, "1");
    rename_live(w, "sensor.b", "sensor.a", 3, "1");
    commit(w);
    assert_states(w, "sensor.a", false, "1=1 2.0006=1 3.0006=1");
    assert_states(w, "sensor.b", false, "1=1 2.0006=1 3.0006=1");
}

static void what_is_no_rename_is_let_be(void **state)
{
    struct world *w = *state;
    static const char *const data[] = { "{}", "[]", "{\"entity_id\":3,\"old_entity_id\":\"sensor.a\"}", "{\"entity_id\":\"\",\"old_entity_id\":\"sensor.a\"}",
        "{\"action\":\"update\",\"entity_id\":\"sensor.a\",\"changes\":{\"name\":null}}", "{\"entity_id\":\"sensor.a\",\"old_entity_id\":\"sensor.a\"}", "not json" };
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        tell(w, data[i], second((double)i + 1), STORE_DUPLICATE);
    struct said said;
    assert_int_equal(say_history(w, "sensor.none", "device", 0, &said), STORE_MISSING);
    assert_int_equal(say_history(w, "sensor.none", "owner", 0, &said), STORE_BAD);
}

/* --- by hand ---------------------------------------------------------------------------------------------------- */

static void two_that_are_one_are_merged_and_that_is_undone(void **state)
{
    struct world *w = *state;
    struct lineage_row row;
    struct fault fault = { "", "" };
    write_state(w, "sensor.plug", second(1), "1", NULL);
    write_state(w, "sensor.plug", second(5), "5", NULL);
    write_state(w, "sensor.plug_2", second(4), "4", NULL);
    write_state(w, "sensor.plug_2", second(6), "6", NULL);
    commit(w);
    assert_int_equal(merge(w, "sensor.plug", "sensor.plug_2", 0, &row, &fault), STORE_OK);
    assert_string_equal(row.kind, "merge");
    assert_int_equal(row.at, second(4));
    assert_states(w, "sensor.plug_2", false, "1=1 4=4 6=6");
    assert_states(w, "sensor.plug", false, "1=1 4=4 6=6");
    assert_states(w, "sensor.plug", true, "1=1 5=5");
    assert_int_equal(merge(w, "sensor.plug_2", "sensor.plug", 0, &row, &fault), STORE_BAD); /* no loop */
    assert_string_equal(fault.field, "to");
    int64_t id = row.id;
    assert_int_equal(store_undo(w->writer, id, second(9), &row, &fault), STORE_OK);
    assert_states(w, "sensor.plug_2", false, "4=4 6=6");
    assert_states(w, "sensor.plug", false, "1=1 5=5");
    assert_int_equal(store_undo(w->writer, id, second(9), &row, &fault), STORE_DUPLICATE);
    assert_int_equal(store_undo(w->writer, id + 1, second(9), &row, &fault), STORE_MISSING);
    assert_string_equal(fault.field, "id");
}

static void one_that_became_another_is_split(void **state)
{
    struct world *w = *state;
    struct lineage_row row;
    struct fault fault = { "", "" };
    for (int i = 1; i <= 6; i++)
        write_state(w, "sensor.a", second(i), "1", NULL);
    rename_live(w, "sensor.a", "sensor.b", 7, "2");
    commit(w);
    assert_int_equal(split(w, "sensor.b", second(4), &row, &fault), STORE_OK);
    assert_string_equal(row.to, "sensor.a");
    assert_states(w, "sensor.b", false, "4=1 5=1 6=1 7.0006=2");
    assert_int_equal(split(w, "sensor.b", second(4), &row, &fault), STORE_BAD);
    assert_string_equal(fault.field, "at");
    assert_int_equal(split(w, "sensor.b", second(3), &row, &fault), STORE_BAD); /* it was another then */
    assert_int_equal(split(w, "sensor.b", START + 2000000 * SECOND, &row, &fault), STORE_BAD);
    assert_int_equal(split(w, "sensor.none", second(3), &row, &fault), STORE_MISSING);
    assert_string_equal(fault.field, "entity_id");
}

static void what_cannot_be_merged_is_refused_by_name(void **state)
{
    struct world *w = *state;
    struct lineage_row row;
    struct fault fault = { "", "" };
    write_state(w, "sensor.a", second(3), "1", NULL);
    write_state(w, "sensor.b", second(2), "1", NULL);
    rename_live(w, "sensor.b", "sensor.c", 5, "2");
    write_state(w, "sensor.d", second(1), "1", NULL);
    commit(w);
    static const struct { const char *from, *to; double at; enum store_result result; const char *field; } cases[] = {
        { "sensor.none", "sensor.a", 0, STORE_MISSING, "from" }, { "sensor.a", "sensor.none", 0, STORE_MISSING, "to" },
        { "sensor.a", "sensor.a", 0, STORE_BAD, "to" }, { "sensor.b", "sensor.c", 0, STORE_BAD, "to" },
        { "sensor.a", "sensor.c", 0, STORE_BAD, "from" }, { "sensor.a", "sensor.c", 2, STORE_BAD, "at" },
        { "sensor.d", "sensor.c", 5, STORE_BAD, "to" }, { "sensor.d", "sensor.a", 9e6, STORE_BAD, "at" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(merge(w, cases[i].from, cases[i].to, cases[i].at > 0 ? second(cases[i].at) : 0, &row, &fault), cases[i].result);
        assert_string_equal(fault.field, cases[i].field);
    }
}

static int count_row(void *owner, const struct lineage_row *row)
{
    struct said *said = owner;
    said->size += (size_t)snprintf(said->text + said->size, sizeof said->text - said->size, "%s%lld%s", said->size ? " " : "", (long long)row->id,
        row->has_undone_at ? "u" : "");
    return 0;
}

static void everything_noted_is_listed_in_pages(void **state)
{
    struct world *w = *state;
    struct lineage_list_query q;
    struct lineage_row row;
    struct page end;
    struct said said = { .size = 0 };
    struct fault fault = { "", "" };
    for (int i = 0; i < 5; i++) {
        char old[32], new[32];
        snprintf(old, sizeof old, "sensor.n%d", i);
        snprintf(new, sizeof new, "sensor.n%d", i + 1);
        tell_rename(w, old, new, second(i + 1));
    }
    commit(w);
    assert_int_equal(store_undo(w->writer, 2, second(9), &row, &fault), STORE_OK);
    schema_clear(lineage_list_query_schema(), &q);
    SET(&q, limit, 3);
    assert_int_equal(store_lineage_list(w->reader, &q, count_row, &said, &end, &fault), STORE_OK);
    assert_string_equal(said.text, "5 4 3");
    assert_true(end.has_next_cursor);
    SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    assert_int_equal(store_lineage_list(w->reader, &q, count_row, &said, &end, &fault), STORE_OK);
    assert_string_equal(said.text, "5 4 3 1");
    assert_false(end.has_next_cursor);
    q.has_cursor = false;
    said.size = 0;
    SET(&q, undone, true);
    SET_TEXT(&q, entity_id, "sensor.n2", 9);
    assert_int_equal(store_lineage_list(w->reader, &q, count_row, &said, &end, &fault), STORE_OK);
    assert_string_equal(said.text, "3 2u");
}

static void what_was_rolled_back_was_not_noted(void **state)
{
    struct world *w = *state;
    struct said said;
    write_state(w, "sensor.a", second(1), "1", NULL);
    commit(w);
    store_limit_pages(w->writer, 1);
    char big[60000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    tell_rename(w, "sensor.a", "sensor.b", second(2));
    for (int i = 0; i < 20; i++)
        write_state(w, "sensor.c", second(3 + i), big, NULL);
    assert_int_equal(store_commit(w->writer), STORE_TROUBLE);
    store_limit_pages(w->writer, 0);
    assert_int_equal(say_history(w, "sensor.b", "device", 0, &said), STORE_MISSING);
    tell_rename(w, "sensor.a", "sensor.b", second(2));
    commit(w);
    assert_history(w, "sensor.b", "sensor.a[,2) sensor.b[2,)");
}

/* --- units ------------------------------------------------------------------------------------------------------- */

static int say_unit(void *owner, const struct unit_row *row)
{
    struct said *said = owner;
    char to[32] = "";
    if (row->has_to)
        snprintf(to, sizeof to, "%g", (double)(row->to - START) / 1e6);
    said->size += (size_t)snprintf(said->text + said->size, sizeof said->text - said->size, "%s%s[%g,%s)%s", said->size ? " " : "", row->entity_id,
        (double)(row->from - START) / 1e6, to, row->has_unit ? row->unit : "none");
    return 0;
}

static void assert_units(struct world *w, const char *name, double from, double to, const char *expected)
{
    struct units_query q;
    struct page end;
    struct said said = { .size = 0 };
    struct fault fault = { "", "" };
    schema_clear(units_query_schema(), &q);
    SET_TEXT(&q, entity_id, name, strlen(name));
    if (from > 0)
        SET(&q, start_time, second(from));
    if (to > 0)
        SET(&q, end_time, second(to));
    assert_int_equal(store_unit_rows(w->reader, &q, say_unit, &said, &end, &fault), STORE_OK);
    assert_string_equal(said.text, expected);
}

static void units_are_told_with_their_times(void **state)
{
    struct world *w = *state;
    write_state(w, "sensor.a", second(1), "unavailable", NULL);
    write_state(w, "sensor.a", second(2), "1", "kWh");
    write_state(w, "sensor.a", second(3), "unavailable", NULL);
    write_state(w, "sensor.a", second(4), "2", "kWh");
    write_state(w, "sensor.a", second(5), "2000", "Wh");
    write_state(w, "sensor.a", second(6), "7", NULL);
    write_state(w, "sensor.a", second(7), "on", "lx");
    write_state(w, "sensor.a", second(8), "9", "Wh");
    write_state(w, "sensor.b", second(1), "9", "W");
    write_state(w, "sensor.b", second(2), "9", "W");
    write_state(w, "sensor.c", second(1), "on", NULL);
    rename_live(w, "sensor.a", "sensor.d", 9, "10");
    write_state(w, "sensor.d", second(10), "9", "W");
    commit(w);
    assert_units(w, "sensor.d", 0, 0, "sensor.a[2,5)kWh sensor.a[5,6)Wh sensor.a[6,8)none sensor.a[8,9.0003)Wh sensor.d[9.0006,10)none sensor.d[10,)W");
    assert_units(w, "sensor.d", 2.5, 5.5, "sensor.a[4,5)kWh sensor.a[5,5.5)Wh");
    assert_units(w, "sensor.b", 0, 0, "sensor.b[1,)W");
    assert_units(w, "sensor.b", 1.5, 0, "sensor.b[2,)W");
    assert_units(w, "sensor.c", 0, 0, "");
}

/* --- at random: a home of devices that are renamed, removed, added --------------------------------------------------- */

enum { DEVICES = 12, NAMES = 8, STEPS = 260, ROUNDS = 30 };

/* Of each state that was written: whose it is. */
struct truth { int name, device; int64_t at; };
struct device { int name, known_as; bool is_there; }; /* -1: none */
struct home { struct device devices[DEVICES]; int last_of[NAMES]; struct truth rows[STEPS * 4]; size_t count; int64_t now, gap; };

static void name_text(int name, char to[16])
{
    snprintf(to, 16, "sensor.n%d", name);
}

static void state_of(struct world *w, struct home *h, int device)
{
    char name[16], state[8];
    int its = h->devices[device].name;
    name_text(its, name);
    snprintf(state, sizeof state, "%d", device);
    h->now += 1000 + (int64_t)chance(w, 3) * SECOND;
    write_state(w, name, h->now, state, NULL);
    h->last_of[its] = device;
    h->rows[h->count++] = (struct truth){ its, device, h->now };
}

static void gone(struct world *w, struct home *h, int name)
{
    char text[16];
    name_text(name, text);
    h->now += 100;
    write_state(w, text, h->now, NULL, NULL);
}

static int free_name(struct world *w, const struct home *h)
{
    int name = (int)chance(w, NAMES);
    for (int i = 0; i < DEVICES; i++)
        if (h->devices[i].is_there && h->devices[i].name == name)
            return -1;
    return name;
}

/* The registry's rows of those whose name it has not said: as after every change. */
static void list_all(struct world *w, struct home *h)
{
    for (int i = 0; i < DEVICES; i++) {
        struct device *d = &h->devices[i];
        char name[16];
        if (!d->is_there || d->name == d->known_as)
            continue;
        name_text(d->name, name);
        assert_true(list_entity(w, name, i, i, h->now, h->gap) != STORE_TROUBLE);
        d->known_as = d->name;
    }
}

static void rename_device(struct world *w, struct home *h, int device, int to)
{
    struct device *d = &h->devices[device];
    char old[16], new[16];
    name_text(d->name, old);
    name_text(to, new);
    h->now += SECOND;
    int was = d->name;
    int64_t at = h->now;
    d->name = to;
    bool registry_first = chance(w, 3) == 0;
    if (registry_first) {
        h->now += 2000;
        list_all(w, h);
    }
    tell_rename(w, old, new, at);
    gone(w, h, was);
    h->now += 100;
    state_of(w, h, device);
    list_all(w, h);
}

static void add_device(struct world *w, struct home *h, int device, int name)
{
    char data[100], text[16];
    name_text(name, text);
    h->now += SECOND;
    snprintf(data, sizeof data, "{\"action\":\"create\",\"entity_id\":\"%s\"}", text);
    struct event_full e = an_event(w, "entity_registry_updated", h->now);
    SET(&e, data, slice_of(data));
    append(w, &e);
    assert_true(store_note_event(w->writer, &e) != STORE_TROUBLE);
    h->devices[device] = (struct device){ name, -1, true };
    state_of(w, h, device);
    list_all(w, h);
}

/* Nobody listens: what happens is told by history under the names that there are at the end. */
static void outage(struct world *w, struct home *h)
{
    int64_t gap = h->now + 1;
    h->now += 2 * SECOND; /* beyond what may have come live in the gap's first second */
    for (int i = 0; i < 4; i++) {
        int device = (int)chance(w, DEVICES), name = free_name(w, h);
        if (h->devices[device].is_there && name >= 0)
            h->devices[device].name = name;
    }
    for (int i = 0; i < DEVICES; i++)
        if (h->devices[i].is_there)
            state_of(w, h, i);
    h->gap = gap;
    list_all(w, h);
    h->gap = 0;
}

static void act(struct world *w, struct home *h)
{
    int device = (int)chance(w, DEVICES), name = free_name(w, h);
    struct device *d = &h->devices[device];
    if (d->is_there && chance(w, 2) == 0)
        state_of(w, h, device);
    else if (d->is_there && name >= 0 && chance(w, 2) == 0)
        rename_device(w, h, device, name);
    else if (d->is_there && chance(w, 6) == 0) {
        gone(w, h, d->name);
        d->is_there = false;
    } else if (!d->is_there && name >= 0 && d->known_as == -1 && chance(w, 3) == 0)
        add_device(w, h, device, name);
    else if (chance(w, 30) == 0)
        outage(w, h);
}

static void assert_home(struct world *w, const struct home *h)
{
    for (int name = 0; name < NAMES; name++) {
        char text[16];
        struct said said, expected = { .size = 0 };
        if (h->last_of[name] < 0)
            continue;
        for (size_t i = 0; i < h->count; i++)
            if (h->rows[i].device == h->last_of[name])
                expected.size += (size_t)snprintf(expected.text + expected.size, sizeof expected.text - expected.size, "%s%g=%d", expected.size ? " " : "",
                    (double)(h->rows[i].at - START) / 1e6, h->rows[i].device);
        name_text(name, text);
        assert_int_equal(say_states(w, text, false, &said), STORE_OK);
        char *dash = said.text; /* removals are left out: only a device that is gone has one */
        for (char *word = strtok(said.text, " "); word; word = strtok(NULL, " "))
            if (word[strlen(word) - 1] != '-')
                dash += sprintf(dash, "%s%s", dash == said.text ? "" : " ", word);
        *dash = '\0';
        if (strcmp(said.text, expected.text) != 0)
            fail_msg("seed %llu, %s:\n%s\nis not\n%s", (unsigned long long)w->seed, text, said.text, expected.text);
    }
}

static void whatever_devices_do_the_history_of_each_is_its_own(void **state)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct world *w = *state;
        struct home *h = calloc(1, sizeof *h);
        w->seed = (uint64_t)round * 77 + 5;
        h->now = START;
        for (int i = 0; i < DEVICES; i++)
            h->devices[i] = (struct device){ -1, -1, false };
        for (int i = 0; i < NAMES; i++)
            h->last_of[i] = -1;
        for (int i = 0; i < STEPS; i++)
            act(w, h);
        commit(w);
        assert_home(w, h);
        free(h);
        tear_down(state);
        set_up(state);
    }
}

/* --- at random: merges, splits and undos, against a picture of it all ------------------------------------------------- */

enum { SERIES = 5, TIMES = 40, OPERATIONS = 25, HAND_ROUNDS = 20 };

/* Each name at each second is a cell; what is one is joined. */
struct picture { int one[SERIES][TIMES + 1]; struct { int64_t id; int from, to, at; bool undone; } noted[OPERATIONS]; size_t count; bool has_state[SERIES][TIMES]; };

static void paint_over(struct picture *p, int old, int new)
{
    for (int s = 0; s < SERIES; s++)
        for (int t = 0; t <= TIMES; t++)
            if (p->one[s][t] == old)
                p->one[s][t] = new;
}

static void paint(struct picture *p)
{
    int colour = 0;
    for (int s = 0; s < SERIES; s++)
        for (int t = 0; t <= TIMES; t++) {
            bool begins = t == 0;
            for (size_t i = 0; i < p->count; i++)
                begins |= !p->noted[i].undone && p->noted[i].at == t && (p->noted[i].from == s || p->noted[i].to == s);
            colour += begins;
            p->one[s][t] = colour;
        }
    for (size_t i = 0; i < p->count; i++)
        if (!p->noted[i].undone && p->noted[i].from >= 0)
            paint_over(p, p->one[p->noted[i].to][p->noted[i].at], p->one[p->noted[i].from][p->noted[i].at - 1]);
}

/* The colour of what a name stands for: where it only gave way, of what it gave way to. */
static int colour_of(const struct picture *p, int name)
{
    int t = TIMES;
    for (;;) {
        bool into = false, out = false;
        int begun = t;
        for (; begun > 0 && !into && !out; begun--)
            for (size_t i = 0; i < p->count; i++)
                if (!p->noted[i].undone && p->noted[i].at == begun) {
                    into |= p->noted[i].to == name;
                    out |= p->noted[i].from == name;
                }
        if (into || !out)
            return p->one[name][t];
        t = begun; /* one before the moment */
    }
}

static void expect(const struct picture *p, int name, struct said *said)
{
    int colour = colour_of(p, name);
    *said = (struct said){ .size = 0 };
    for (int t = 0; t < TIMES; t++)
        for (int s = 0; s < SERIES; s++)
            if (p->has_state[s][t] && p->one[s][t] == colour)
                said->size += (size_t)snprintf(said->text + said->size, sizeof said->text - said->size, "%s%d=%d", said->size ? " " : "", t, s);
}

static void operate(struct world *w, struct picture *p)
{
    struct lineage_row row;
    struct fault fault = { "", "" };
    char from[16], to[16];
    int a = (int)chance(w, SERIES), b = (int)chance(w, SERIES), at = 1 + (int)chance(w, TIMES - 1);
    enum store_result result;
    name_text(a, from);
    name_text(b, to);
    size_t what = chance(w, 5);
    if (what == 0 && p->count > 0) {
        size_t i = chance(w, p->count);
        result = store_undo(w->writer, p->noted[i].id, second(100), &row, &fault);
        assert_int_equal(result, p->noted[i].undone ? STORE_DUPLICATE : STORE_OK);
        p->noted[i].undone = true;
        return;
    }
    result = what == 1 ? split(w, to, second(at), &row, &fault) : merge(w, from, to, chance(w, 2) ? second(at) : 0, &row, &fault);
    assert_true(result == STORE_OK || (result == STORE_BAD && *fault.field));
    if (result != STORE_OK)
        return;
    p->noted[p->count].id = row.id;
    p->noted[p->count].at = (int)((row.at - START) / SECOND);
    p->noted[p->count].from = row.has_from ? row.from[strlen("sensor.n")] - '0' : -1;
    p->noted[p->count++].to = row.to[strlen("sensor.n")] - '0';
}

static void whatever_the_user_says_is_what_history_shows(void **state)
{
    for (int round = 0; round < HAND_ROUNDS; round++) {
        struct world *w = *state;
        struct picture *p = calloc(1, sizeof *p);
        w->seed = (uint64_t)round * 91 + 3;
        for (int s = 0; s < SERIES; s++)
            for (int t = 0; t < TIMES; t++)
                if (chance(w, 3) == 0) {
                    char name[16], text[16];
                    name_text(s, name);
                    snprintf(text, sizeof text, "%d", s);
                    write_state(w, name, second(t), text, NULL);
                    p->has_state[s][t] = true;
                }
        commit(w);
        for (int i = 0; i < OPERATIONS; i++) {
            operate(w, p);
            paint(p);
            for (int s = 0; s < SERIES; s++) {
                char name[16];
                struct said said, expected;
                name_text(s, name);
                expect(p, s, &expected);
                assert_int_equal(say_states(w, name, false, &said), STORE_OK);
                if (strcmp(said.text, expected.text) != 0)
                    fail_msg("round %d, %s:\n%s\nis not\n%s", round, name, said.text, expected.text);
            }
        }
        free(p);
        tear_down(state);
        set_up(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(history_follows_a_rename_and_a_role_does_not),
        TEST(the_old_state_may_go_before_the_event),
        TEST(a_name_given_to_something_else_does_not_mix_the_two),
        TEST(an_entity_removed_and_another_of_its_name_are_two),
        TEST(an_entity_removed_and_added_again_is_one),
        TEST(a_rename_while_nobody_listened_begins_with_the_gap),
        TEST(two_that_changed_names_while_nobody_listened_are_told_apart),
        TEST(two_that_exchange_their_names_are_told_apart_and_so_they_are_when_they_do_it_again),
        TEST(names_exchanged_just_after_a_live_rename_are_told_apart),
        TEST(what_history_says_again_under_the_new_name_is_known),
        TEST(what_the_event_says_takes_the_place_of_what_the_registry_let_conclude),
        TEST(renames_that_come_out_of_order_are_no_further_one),
        TEST(there_and_back_is_one),
        TEST(what_is_no_rename_is_let_be),
        TEST(two_that_are_one_are_merged_and_that_is_undone),
        TEST(one_that_became_another_is_split),
        TEST(what_cannot_be_merged_is_refused_by_name),
        TEST(everything_noted_is_listed_in_pages),
        TEST(what_was_rolled_back_was_not_noted),
        TEST(units_are_told_with_their_times),
        TEST(whatever_devices_do_the_history_of_each_is_its_own),
        TEST(whatever_the_user_says_is_what_history_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
