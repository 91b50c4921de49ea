/* test_preview.c - what a preview says is what the rules do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "filters.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START INT64_C(1767225600000000)
#define NOW (START + INT64_C(86400000000))

struct world { char directory[2][64]; store_t *plain, *filtered, *reader; filters_t *filters; msgpack_sbuffer pool; };

static store_t *open_in(const char *directory, bool writer)
{
    char path[96];
    const char *why;
    snprintf(path, sizeof path, "%s/store.db", directory);
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = writer }, &why);
    assert_non_null(store);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct fault fault;
    for (int i = 0; i < 2; i++) {
        strcpy(w->directory[i], "/tmp/test-preview-XXXXXX");
        assert_non_null(mkdtemp(w->directory[i]));
    }
    w->plain = open_in(w->directory[0], true);
    w->reader = open_in(w->directory[0], false);
    w->filtered = open_in(w->directory[1], true);
    w->filters = filters_open(w->filtered, &fault);
    msgpack_sbuffer_init(&w->pool);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[160];
    filters_close(&w->filters);
    store_close(&w->plain);
    store_close(&w->reader);
    store_close(&w->filtered);
    msgpack_sbuffer_destroy(&w->pool);
    snprintf(command, sizeof command, "rm -rf %s %s", w->directory[0], w->directory[1]);
    free(w);
    return system(command);
}

static void append(struct world *w, const struct event_full *e, int64_t *filtered, int64_t *thinned)
{
    struct fault fault;
    int64_t gone;
    assert_int_equal(store_append(w->plain, e, &fault), STORE_OK);
    *filtered += filters_append(w->filters, e, &gone, &fault) == STORE_FILTERED;
    *thinned += gone;
}

/* Six sensors and an event type; the time of their events in the last day, one a minute each. */
static void fill(struct world *w, int64_t *filtered, int64_t *thinned)
{
    char name[32], value[32];
    for (int i = 0; i < 1440 * 6; i++) {
        struct event_full e;
        schema_clear(event_full_schema(), &e);
        bool is_state = i % 6 != 5;
        SET(&e, is_state, is_state);
        SET(&e, event_type, slice_of(is_state ? "state_changed" : "call_service"));
        SET(&e, timestamp, START + 1 + i / 6 * INT64_C(60000000) + i % 6);
        SET(&e, received_at, e.timestamp);
        SET(&e, place, i);
        SET_TEXT(&e, provenance, "live", 4);
        snprintf(name, sizeof name, "sensor.s%d", i % 6);
        snprintf(value, sizeof value, "%d", (i * 7919) % 101);
        if (is_state) {
            SET(&e, last_updated, e.timestamp);
            SET(&e, entity_id, slice_of(name));
            SET(&e, area_id, slice_of(i % 6 == 4 && i > 4320 ? "attic" : "kitchen"));
            SET(&e, state, slice_of(i % 100 == 0 ? "unavailable" : value));
            if (i % 100)
                SET(&e, value, slice_of(value));
        } else {
            SET(&e, data, slice_of(value));
        }
        append(w, &e, filtered, thinned);
    }
    assert_int_equal(store_commit(w->plain), STORE_OK);
}

static const char rules_text[] = "[{\"action\":\"exclude\",\"entity_id\":\"sensor.s0\"},{\"action\":\"exclude\",\"area_id\":\"attic\"},"
    "{\"action\":\"thin\",\"glob\":\"sensor.s[1-3]\",\"interval_s\":3600},{\"action\":\"thin\",\"entity_id\":\"sensor.s3\",\"deadband\":50},"
    "{\"action\":\"include\",\"event_type\":\"other\"}]";

static struct preview_reply preview(struct world *w, int64_t now_us)
{
    struct preview_reply reply;
    struct fault fault;
    rules_t *rules = rules_read(slice_of(rules_text), &fault);
    assert_non_null(rules);
    assert_int_equal(store_preview(w->reader, rules, now_us, &reply, &w->pool), STORE_OK);
    rules_destroy(&rules);
    return reply;
}

static bool holds(struct slice json, const char *part)
{
    return memmem(json.data, json.size, part, strlen(part)) != NULL;
}

static void a_preview_says_what_the_rules_do(void **state)
{
    struct world *w = *state;
    struct fault fault;
    int64_t filtered = 0, thinned = 0;
    assert_int_equal(filters_set(w->filters, slice_of(rules_text), START, &fault), STORE_OK);
    fill(w, &filtered, &thinned);
    struct preview_reply reply = preview(w, NOW);
    assert_true(reply.complete);
    assert_int_equal(reply.from, NOW - INT64_C(86400000000));
    assert_int_equal(reply.to, NOW);
    assert_int_equal(reply.events, 1440 * 6);
    assert_int_equal(reply.filtered, filtered);
    assert_int_equal(reply.thinned, thinned);
    assert_true(filtered > 2000 && thinned > 2000);
    assert_true(holds(reply.rules, "{\"rule\":0,\"filtered\":1440,\"thinned\":0}"));
    assert_true(holds(reply.rules, "{\"rule\":null,\"filtered\":1440,\"thinned\":0}"));
    assert_false(holds(reply.rules, "\"rule\":4"));
    assert_true(holds(reply.top_entities, "[{\"entity_id\":\"sensor.s0\",\"count\":1440}"));
    assert_true(holds(reply.top_entities, "{\"event_type\":\"call_service\",\"count\":1440}"));
}

static void only_the_last_day_counts(void **state)
{
    struct world *w = *state;
    int64_t filtered = 0, thinned = 0;
    fill(w, &filtered, &thinned);
    assert_int_equal(preview(w, NOW + INT64_C(43200000000)).events, 720 * 6);
    struct preview_reply reply = preview(w, NOW + 2 * INT64_C(86400000000));
    assert_int_equal(reply.events, 0);
    assert_true(reply.complete);
    assert_int_equal(reply.top_entities.size, 2);
}

static void of_an_empty_store_it_says_nothing(void **state)
{
    struct world *w = *state;
    store_t *none = open_in("/tmp/there-is-no-such-directory", false);
    struct preview_reply reply;
    struct fault fault;
    rules_t *rules = rules_read(slice_of(rules_text), &fault);
    assert_int_equal(store_preview(none, rules, NOW, &reply, &w->pool), STORE_OK);
    assert_int_equal(reply.events, 0);
    rules_destroy(&rules);
    store_close(&none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_preview_says_what_the_rules_do),
        TEST(only_the_last_day_counts),
        TEST(of_an_empty_store_it_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
