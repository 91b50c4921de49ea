/* test_store.c - what goes in comes out: exactly, once, in order, whatever happens between. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "random_events.h"
#include "store.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 4000 };

struct bytes { char *data; size_t size; };
struct world {
    char directory[64], path[96];
    store_t *writer, *reader;
    struct bytes *truth;        /* of the events appended, encoded */
    size_t count;
    msgpack_sbuffer scratch;
};

static store_t *open_store(struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20, .read_ms = 60000 }, &why);
    if (!store)
        print_message("%s\n", why);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test-store-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    msgpack_sbuffer_init(&w->scratch);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
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
    for (size_t i = 0; i < w->count; i++)
        free(w->truth[i].data);
    free(w->truth);
    msgpack_sbuffer_destroy(&w->scratch);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static enum store_result append(struct world *w, const struct event_full *e)
{
    struct fault fault = { "", "" };
    return store_append(w->writer, e, &fault);
}

static void note(struct world *w, const struct event_full *e)
{
    encoded(e, &w->scratch);
    w->truth = realloc(w->truth, (w->count + 1) * sizeof *w->truth);
    w->truth[w->count] = (struct bytes){ malloc(w->scratch.size), w->scratch.size };
    memcpy(w->truth[w->count++].data, w->scratch.data, w->scratch.size);
}

static int64_t some_time(struct maker *m, size_t i)
{
    return START_US + (int64_t)i * 1000 + (int64_t)chance(m, 20000) - 10000;
}

static void fill(struct world *w, struct maker *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct event_full e;
        make_event(m, &e, some_time(m, i));
        enum store_result result = append(w, &e);
        assert_true(result == STORE_OK || result == STORE_DUPLICATE);
        if (result == STORE_OK)
            note(w, &e);
        if (i % 500 == 499)
            assert_int_equal(store_commit(w->writer), STORE_OK);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

/* --- brute force: the truth, decoded, filtered and sorted here ------------------------------------ */

static int by_time(const void *a, const void *b)
{
    const struct event_full *left = *(const struct event_full *const *)a, *right = *(const struct event_full *const *)b;
    if (left->timestamp != right->timestamp)
        return left->timestamp < right->timestamp ? -1 : 1;
    return left->place < right->place ? -1 : left->place > right->place;
}

static struct event_full **decode_truth(struct world *w)
{
    struct event_full **all = calloc(w->count + 1, sizeof *all);
    struct fault fault;
    for (size_t i = 0; i < w->count; i++) {
        all[i] = malloc(sizeof **all);
        assert_int_equal(event_full_decode((struct slice){ w->truth[i].data, w->truth[i].size }, all[i], &fault), 0);
    }
    qsort(all, w->count, sizeof *all, by_time);
    return all;
}

static void free_truth(struct world *w, struct event_full **all)
{
    for (size_t i = 0; i < w->count; i++)
        free(all[i]);
    free(all);
}

static bool in_list(const char *list, struct slice item)
{
    char text[256];
    snprintf(text, sizeof text, ",%.*s,", (int)item.size, (const char *)item.data);
    char whole[512];
    snprintf(whole, sizeof whole, ",%s,", list);
    return strstr(whole, text) != NULL;
}

static bool wanted(const struct events_query *q, const struct event_full *e)
{
    if ((q->has_start_time && e->timestamp < q->start_time) || (q->has_end_time && e->timestamp >= q->end_time))
        return false;
    if (q->has_entity_id && !(e->has_entity_id && in_list(q->entity_id, e->entity_id)))
        return false;
    if (q->has_event_type && !in_list(q->event_type, e->event_type))
        return false;
    if (q->has_domain && !(e->has_domain && in_list(q->domain, e->domain)))
        return false;
    if (q->has_device_id && !(e->has_device_id && in_list(q->device_id, e->device_id)))
        return false;
    if (q->has_area_id && !(e->has_area_id && in_list(q->area_id, e->area_id)))
        return false;
    if (q->has_entity_category && !(e->has_entity_category && in_list(q->entity_category, e->entity_category)))
        return false;
    if (q->has_exclude_category && e->has_entity_category && in_list(q->exclude_category, e->entity_category))
        return false;
    if (q->has_context_id && !(e->has_context_id && in_list(q->context_id, e->context_id)))
        return false;
    return !q->has_query || (e->has_attributes && memmem(e->attributes.data, e->attributes.size, "\"level\":7,", 10));
}

struct comparing { struct world *w; struct event_full **expected; size_t at, count, page, page_max; };

static int compare(void *owner, const struct event_full *e)
{
    struct comparing *c = owner;
    if (c->page == c->page_max)
        return 1;
    c->page++;
    assert_true(c->at < c->count);
    struct event_full *wanted_one = c->expected[c->at++];
    encoded(e, &c->w->scratch);
    msgpack_sbuffer other;
    msgpack_sbuffer_init(&other);
    encoded(wanted_one, &other);
    if (other.size != c->w->scratch.size || memcmp(other.data, c->w->scratch.data, other.size) != 0)
        print_message("row %zu: got %s expected %s\n", c->at - 1, e->id, wanted_one->id);
    assert_int_equal(other.size, c->w->scratch.size);
    assert_memory_equal(other.data, c->w->scratch.data, other.size);
    msgpack_sbuffer_destroy(&other);
    return 0;
}

/* Every page of the query, by cursor, against the truth. */
static void check_query(struct world *w, struct event_full **all, struct events_query *q)
{
    struct comparing c = { .w = w, .expected = calloc(w->count + 1, sizeof *all), .page_max = 97 };
    struct fault fault = { "", "" };
    struct page end;
    int64_t count;
    bool descending = !q->has_sort || q->sort[0] == 'd';
    for (size_t i = 0; i < w->count; i++) {
        struct event_full *e = all[descending ? w->count - 1 - i : i];
        if (wanted(q, e))
            c.expected[c.count++] = e;
    }
    assert_int_equal(store_count(w->reader, q, &count, &fault), STORE_OK);
    assert_int_equal(count, c.count);
    SET(q, limit, 60);
    do {
        c.page = 0;
        assert_int_equal(store_find(w->reader, q, compare, &c, &end, &fault), STORE_OK);
        if (end.has_next_cursor)
            SET_TEXT(q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    assert_int_equal(c.at, c.count);
    q->has_cursor = false;
    free(c.expected);
}

#define ASK(q, member, text) assert_int_equal(SET_TEXT(q, member, text, strlen(text)), 0)

static void every_filter_gives_what_brute_force_gives(void **state)
{
    struct world *w = *state;
    struct maker m = { .seed = 42 };
    fill(w, &m, MANY);
    struct event_full **all = decode_truth(w);
    static const char more_than_are_merged[] = "sensor.thing_0,sensor.thing_3,sensor.thing_6,sensor.thing_9,sensor.thing_12,"
        "sensor.thing_15,sensor.thing_18,sensor.thing_21,sensor.thing_24,sensor.thing_27,light.thing_1,light.thing_4,light.thing_7,"
        "light.thing_10,light.thing_13,light.thing_16,light.thing_19";
    struct events_query q;
    for (int round = 0; round < 2; round++)
        for (int which = 0; which < 18; which++) {
            schema_clear(events_query_schema(), &q);
            ASK(&q, sort, round ? "asc" : "desc");
            switch (which) {
            case 1: ASK(&q, entity_id, "sensor.thing_3"); break;
            case 2: ASK(&q, entity_id, "sensor.thing_3,light.thing_4,nobody.here"); break;
            case 3: ASK(&q, domain, "light"); break;
            case 4: ASK(&q, domain, "light,sensor,switch"); break;
            case 5: ASK(&q, event_type, "call_service"); break;
            case 6: ASK(&q, event_type, "call_service,state_changed"); ASK(&q, entity_id, "sensor.thing_0,sensor.thing_27"); break;
            case 7: ASK(&q, device_id, "device2"); break;
            case 8: ASK(&q, area_id, "area1"); ASK(&q, domain, "switch"); break;
            case 9: ASK(&q, entity_category, "config"); break;
            case 10: ASK(&q, exclude_category, "config,diagnostic"); break;
            case 11: ASK(&q, query, "\"LEVEL\":7,"); ASK(&q, fields, "attributes"); break;
            case 12: SET(&q, start_time, START_US + 1000000); SET(&q, end_time, START_US + 1500000); break;
            case 14: ASK(&q, entity_id, "sensor.thing_3,light.thing_4,sensor.thing_3"); break; /* named twice */
            case 15: ASK(&q, entity_id, more_than_are_merged); break;
            case 16: ASK(&q, entity_id, "sensor.thing_3"); ASK(&q, event_type, "call_service"); break;
            case 17: ASK(&q, context_id, "my own context 7"); ASK(&q, domain, "light,switch"); break;
            case 13: SET(&q, start_time, START_US + 1000000); SET(&q, end_time, START_US + 1500000); ASK(&q, domain, "sensor"); break;
            default: break;
            }
            check_query(w, all, &q);
        }
    free_truth(w, all);
}

static void a_context_is_found_near_and_far(void **state)
{
    struct world *w = *state;
    struct maker m = { .seed = 7 };
    fill(w, &m, 600);
    struct event_full **all = decode_truth(w);
    for (size_t i = 0; i < w->count; i += 5) {
        struct events_query q;
        schema_clear(events_query_schema(), &q);
        SET_TEXT(&q, context_id, all[i]->context_id.data, all[i]->context_id.size);
        check_query(w, all, &q);
    }
    free_truth(w, all);
}

static int keep_one(void *owner, const struct event_full *e)
{
    msgpack_sbuffer *kept = owner;
    encoded(e, kept);
    return 0;
}

static void every_id_leads_back_to_its_event(void **state)
{
    struct world *w = *state;
    struct maker m = { .seed = 9 };
    msgpack_sbuffer kept;
    msgpack_sbuffer_init(&kept);
    fill(w, &m, 500);
    struct event_full **all = decode_truth(w);
    for (size_t i = 0; i < w->count; i++) {
        assert_int_equal(store_get(w->reader, all[i]->id, keep_one, &kept), STORE_OK);
        encoded(all[i], &w->scratch);
        assert_int_equal(kept.size, w->scratch.size);
        assert_memory_equal(kept.data, w->scratch.data, kept.size);
    }
    assert_int_equal(store_get(w->reader, "000000000000-000000000000000-00000000", keep_one, &kept), STORE_MISSING);
    assert_int_equal(store_get(w->reader, "nonsense", keep_one, &kept), STORE_MISSING);
    msgpack_sbuffer_destroy(&kept);
    free_truth(w, all);
}

static int64_t count_all(struct world *w)
{
    struct events_query q;
    struct fault fault;
    int64_t count = -1;
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_count(w->reader, &q, &count, &fault), STORE_OK);
    return count;
}

static void an_event_that_comes_again_is_stored_once(void **state)
{
    struct world *w = *state;
    int64_t stored = 0;
    for (int round = 0; round < 2; round++) {
        struct maker m = { .seed = 3 };
        for (size_t i = 0; i < 500; i++) {
            struct event_full e;
            make_event(&m, &e, some_time(&m, i));
            enum store_result result = append(w, &e);
            if (round == 1)
                assert_int_equal(result, STORE_REDELIVERED);
            stored += result == STORE_OK;
            assert_int_equal(append(w, &e), STORE_REDELIVERED);
        }
        assert_int_equal(store_commit(w->writer), STORE_OK);
        assert_int_equal(count_all(w), stored);
        store_close(&w->writer);
        w->writer = open_store(w, true);
    }
}

static void one_state(struct event_full *e, const char *state, const char *context, const char *provenance)
{
    schema_clear(event_full_schema(), e);
    SET(e, event_type, slice_of("state_changed"));
    SET(e, is_state, true);
    SET(e, entity_id, slice_of("sensor.a"));
    SET(e, domain, slice_of("sensor"));
    SET(e, timestamp, START_US);
    SET(e, last_updated, START_US);
    SET(e, received_at, START_US);
    SET(e, place, 1);
    SET(e, state, slice_of(state));
    SET_TEXT(e, provenance, provenance, strlen(provenance));
    if (context)
        SET(e, context_id, slice_of(context));
    event_id_set(e);
}

struct seen { char state[32], id[64], provenance[16]; int rows; };
static int look(void *owner, const struct event_full *e)
{
    struct seen *seen = owner;
    snprintf(seen->state, sizeof seen->state, "%.*s", (int)e->state.size, (const char *)e->state.data);
    snprintf(seen->id, sizeof seen->id, "%s", e->id);
    snprintf(seen->provenance, sizeof seen->provenance, "%s", e->provenance);
    seen->rows++;
    return 0;
}

static void look_at_all(struct world *w, struct seen *seen)
{
    struct events_query q;
    struct page end;
    struct fault fault;
    schema_clear(events_query_schema(), &q);
    *seen = (struct seen){ .rows = 0 };
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(store_find(w->reader, &q, look, seen, &end, &fault), STORE_OK);
}

static void a_row_without_context_matches_a_live_one_and_the_richer_stays(void **state)
{
    struct world *w = *state;
    struct event_full live, other, history;
    struct seen seen;
    char first_id[64];
    one_state(&live, "live", "01HXYZ0000000000000000000A", "live");
    one_state(&other, "other", "01HXYZ0000000000000000000B", "live");
    one_state(&history, "history", NULL, "backfill");
    live.place = 2;
    other.place = 3;
    assert_int_equal(append(w, &history), STORE_OK);
    look_at_all(w, &seen);
    strcpy(first_id, seen.id);
    assert_int_equal(append(w, &live), STORE_DUPLICATE);
    look_at_all(w, &seen);
    assert_int_equal(seen.rows, 1);
    assert_string_equal(seen.state, "live");
    assert_string_equal(seen.id, first_id);
    assert_int_equal(store_get(w->reader, live.id, look, &seen), STORE_OK); /* as it was announced */
    assert_int_equal(append(w, &history), STORE_REDELIVERED);
    assert_int_equal(append(w, &live), STORE_REDELIVERED);
    assert_int_equal(append(w, &other), STORE_OK);
    assert_int_equal(append(w, &history), STORE_REDELIVERED);
    history.place = 4;
    assert_int_equal(append(w, &history), STORE_DUPLICATE);
    assert_int_equal(append(w, &history), STORE_REDELIVERED);
    look_at_all(w, &seen);
    assert_int_equal(seen.rows, 2);
}

static void huge_and_odd_values_come_back_exactly(void **state)
{
    struct world *w = *state;
    size_t size = 20u << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + size - 2, "\"}", 2);
    struct event_full e;
    one_state(&e, "", NULL, "import");
    SET(&e, attributes, ((struct slice){ text, size }));
    SET(&e, old_state, ((struct slice){ "\0\xed\xb3\xbf", 4 }));
    assert_int_equal(append(w, &e), STORE_OK);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    msgpack_sbuffer kept;
    msgpack_sbuffer_init(&kept);
    assert_int_equal(store_get(w->reader, e.id, keep_one, &kept), STORE_OK);
    encoded(&e, &w->scratch);
    assert_int_equal(kept.size, w->scratch.size);
    assert_memory_equal(kept.data, w->scratch.data, kept.size);
    msgpack_sbuffer_destroy(&kept);
    free(text);
}

/* --- kill -9 ---------------------------------------------------------------------------------------- */

static void append_until_killed(struct world *w, uint64_t seed, int pipe)
{
    struct maker m = { .seed = seed };
    w->writer = open_store(w, true);
    for (size_t i = 0;; i++) {
        struct event_full e;
        make_event(&m, &e, some_time(&m, i));
        append(w, &e);
        if (i % 50 == 49) {
            store_commit(w->writer);
            int64_t done = (int64_t)i + 1;
            if (write(pipe, &done, sizeof done) != sizeof done)
                _exit(1);
        }
    }
}

static void what_was_committed_outlives_a_kill_at_any_moment(void **state)
{
    struct world *w = *state;
    store_close(&w->writer);
    store_close(&w->reader);
    for (int round = 0; round < 12; round++) {
        int ends[2];
        int64_t done = 0, committed = 0;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0)
            append_until_killed(w, 77, ends[1]);
        close(ends[1]);
        for (int i = 0; i < 3 + round * 3 && read(ends[0], &done, sizeof done) == sizeof done; i++)
            committed = done;
        kill(child, SIGKILL);
        while (read(ends[0], &done, sizeof done) == sizeof done)
            committed = done;
        waitpid(child, NULL, 0);
        close(ends[0]);

        w->writer = open_store(w, true);
        assert_non_null(w->writer);
        struct maker m = { .seed = 77 };
        for (int64_t i = 0; i < committed; i++) {
            struct event_full e;
            make_event(&m, &e, some_time(&m, (size_t)i));
            assert_int_equal(append(w, &e), STORE_REDELIVERED);
        }
        assert_int_equal(store_commit(w->writer), STORE_OK);
        store_close(&w->writer);
    }
    /* The next rounds met what earlier ones had left: nothing is there twice. */
    w->reader = open_store(w, false);
    w->writer = open_store(w, true);
    struct maker m = { .seed = 77 };
    int64_t count = count_all(w), fresh = 0;
    char other[128];
    snprintf(other, sizeof other, "%s/other.db", w->directory);
    const char *why;
    store_t *again = store_open(&(struct store_options){ .path = other, .writer = true }, &why);
    for (size_t i = 0; fresh < count; i++) {
        struct event_full e;
        struct fault fault;
        make_event(&m, &e, some_time(&m, i));
        fresh += store_append(again, &e, &fault) == STORE_OK;
    }
    store_close(&again);
    assert_int_equal(fresh, count);
}

/* --- trouble ------------------------------------------------------------------------------------------ */

static void a_full_disk_loses_nothing_and_teaches_nothing_false(void **state)
{
    struct world *w = *state;
    struct maker m = { .seed = 5 };
    fill(w, &m, 200);
    /* A disk that ends here, of SQLite's own: the file may not grow. */
    store_close(&w->writer);
    w->writer = open_store(w, true);
    struct maker again = m;
    enum store_result result = STORE_OK;
    store_limit_pages(w->writer, 1);
    for (size_t i = 200; i < 20000 && result != STORE_TROUBLE; i++) {
        struct event_full e;
        make_event(&m, &e, some_time(&m, i));
        result = append(w, &e);
        if (result == STORE_OK && i % 100 == 0)
            continue;
    }
    assert_int_equal(result, STORE_TROUBLE);
    assert_non_null(strstr(store_why(w->writer), "full"));
    assert_int_equal(count_all(w), w->count);
    store_limit_pages(w->writer, 0);
    for (size_t i = 200; i < 1200; i++) {
        struct event_full e;
        make_event(&again, &e, some_time(&again, i));
        result = append(w, &e);
        assert_true(result == STORE_OK || result == STORE_DUPLICATE);
        if (result == STORE_OK)
            note(w, &e);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    struct event_full **all = decode_truth(w);
    struct events_query q;
    schema_clear(events_query_schema(), &q);
    check_query(w, all, &q);
    free_truth(w, all);
}

static void a_second_writer_is_refused(void **state)
{
    struct world *w = *state;
    const char *why = "";
    assert_null(store_open(&(struct store_options){ .path = w->path, .writer = true }, &why));
    assert_non_null(strstr(why, "has a writer"));
}

static void write_file(const char *path, const char *text, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(text, 1, size, f);
    fclose(f);
}

static void a_damaged_file_is_refused_and_left_alone(void **state)
{
    struct world *w = *state;
    const char *why = "";
    char path[128], text[8192];
    struct page end;
    struct fault fault;
    struct events_query q;
    memset(text, 'j', sizeof text);
    snprintf(path, sizeof path, "%s/junk.db", w->directory);
    write_file(path, text, sizeof text);
    assert_null(store_open(&(struct store_options){ .path = path, .writer = true }, &why));
    assert_non_null(strstr(why, "not a database"));
    FILE *f = fopen(path, "rb");
    assert_int_equal(fgetc(f), 'j');
    fclose(f);
    store_t *reader = store_open(&(struct store_options){ .path = path }, &why);
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_find(reader, &q, look, NULL, &end, &fault), STORE_TROUBLE);
    store_close(&reader);
}

static void a_newer_format_is_refused(void **state)
{
    struct world *w = *state;
    const char *why = "";
    store_close(&w->writer);
    store_close(&w->reader);
    FILE *f = fopen(w->path, "r+b");
    fseek(f, 60, SEEK_SET); /* user_version, big-endian */
    fwrite("\0\0\0\x63", 1, 4, f);
    fclose(f);
    assert_null(store_open(&(struct store_options){ .path = w->path, .writer = true }, &why));
    assert_non_null(strstr(why, "newer version"));
}

static void a_store_that_is_not_there_yet_is_empty_until_it_comes(void **state)
{
    struct world *w = *state;
    const char *why = "";
    char path[128];
    struct seen seen = { .rows = 0 };
    struct events_query q;
    struct page end;
    struct fault fault;
    struct event_full e;
    snprintf(path, sizeof path, "%s/later.db", w->directory);
    store_t *reader = store_open(&(struct store_options){ .path = path }, &why);
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_find(reader, &q, look, &seen, &end, &fault), STORE_OK);
    assert_int_equal(seen.rows, 0);
    store_t *writer = store_open(&(struct store_options){ .path = path, .writer = true }, &why);
    one_state(&e, "on", NULL, "live");
    assert_int_equal(store_append(writer, &e, &fault), STORE_OK);
    assert_int_equal(store_commit(writer), STORE_OK);
    assert_int_equal(store_sync(writer), STORE_OK);
    assert_int_equal(store_find(reader, &q, look, &seen, &end, &fault), STORE_OK);
    assert_int_equal(seen.rows, 1);
    store_close(&reader);
    store_close(&writer);
}

static void what_contradicts_itself_names_its_field(void **state)
{
    struct world *w = *state;
    struct events_query q;
    struct page end;
    struct fault fault;
    schema_clear(events_query_schema(), &q);
    SET(&q, start_time, 5);
    SET(&q, end_time, 5);
    assert_int_equal(store_find(w->reader, &q, look, NULL, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "end_time");
    schema_clear(events_query_schema(), &q);
    ASK(&q, sort, "up");
    assert_int_equal(store_find(w->reader, &q, look, NULL, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "sort");
    schema_clear(events_query_schema(), &q);
    ASK(&q, fields, "state,colour");
    assert_int_equal(store_find(w->reader, &q, look, NULL, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "fields");
    schema_clear(events_query_schema(), &q);
    ASK(&q, cursor, "1-2-3");
    assert_int_equal(store_find(w->reader, &q, look, NULL, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "cursor");
}

static void a_cursor_goes_on_with_its_own_question_only(void **state)
{
    struct world *w = *state;
    struct maker m = { .seed = 8 };
    struct events_query q, other;
    struct latest_query latest;
    struct page end;
    struct fault fault;
    struct seen seen = { .rows = 0 };
    fill(w, &m, 50);
    schema_clear(events_query_schema(), &q);
    ASK(&q, domain, "sensor,light");
    SET(&q, limit, 5);
    assert_int_equal(store_find(w->reader, &q, look, &seen, &end, &fault), STORE_OK);
    assert_true(end.has_next_cursor);
    SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    SET(&q, limit, 7);
    ASK(&q, sort, "desc"); /* as it is without saying */
    assert_int_equal(store_find(w->reader, &q, look, &seen, &end, &fault), STORE_OK);
    for (int which = 0; which < 4; which++) {
        other = q;
        switch (which) {
        case 0: ASK(&other, sort, "asc"); break;
        case 1: ASK(&other, domain, "sensor"); break;
        case 2: SET(&other, start_time, START_US); break;
        default: other.has_domain = false; break;
        }
        assert_int_equal(store_find(w->reader, &other, look, &seen, &end, &fault), STORE_BAD);
        assert_string_equal(fault.field, "cursor");
        assert_non_null(strstr(fault.why, "another question"));
    }
    schema_clear(latest_query_schema(), &latest);
    SET_TEXT(&latest, cursor, q.cursor, q.cursor_size);
    assert_int_equal(store_latest(w->reader, &latest, START_US, look, &seen, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "cursor");
}

static void what_a_wrong_clock_said_of_the_future_is_not_in_force(void **state)
{
    struct world *w = *state;
    static const struct { const char *state; int64_t at_us; } said[] = {
        { "first", START_US }, { "from 2100", INT64_C(4102444800000000) }, { "now", START_US + 5 }, { "an hour ahead", START_US + INT64_C(3600000000) },
    };
    struct event_full e;
    struct latest_query q;
    struct page end;
    struct fault fault;
    struct seen seen = { .rows = 0 };
    schema_clear(latest_query_schema(), &q);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        one_state(&e, said[i].state, "c", "live");
        e.timestamp = e.last_updated = said[i].at_us;
        assert_int_equal(append(w, &e), STORE_OK);
        assert_int_equal(store_commit(w->writer), STORE_OK);
        assert_int_equal(store_latest(w->reader, &q, START_US + 10, look, &seen, &end, &fault), STORE_OK);
        assert_string_equal(seen.state, i == 1 ? "first" : said[i].state);
    }
    assert_int_equal(store_latest(w->reader, &q, 0, look, &seen, &end, &fault), STORE_OK); /* our own clock is wrong */
    assert_string_equal(seen.state, "from 2100");
    assert_int_equal(end.count, 1);
}

struct depths { int rows, depth[1000]; bool cut; };
static int note_depth(void *owner, const struct chain_row *row)
{
    struct depths *d = owner;
    d->depth[d->rows++] = (int)row->depth;
    return 0;
}

static void append_caused(struct world *w, const char *context, const char *parent, int64_t at_us)
{
    struct event_full e;
    one_state(&e, "x", context, "live");
    if (parent)
        SET(&e, context_parent_id, slice_of(parent));
    e.timestamp = e.last_updated = at_us;
    assert_int_equal(append(w, &e), STORE_OK);
}

static struct depths chain_of(struct world *w, const char *context)
{
    struct chain_query q;
    struct page end;
    struct depths d = { 0 };
    schema_clear(chain_query_schema(), &q);
    ASK(&q, context_id, context);
    assert_int_equal(store_chain(w->reader, &q, note_depth, &d, &end), STORE_OK);
    assert_int_equal(end.count, d.rows);
    d.cut = end.has_cut && end.cut;
    return d;
}

static void a_chain_ends_where_it_turns_round_or_nothing_is_known(void **state)
{
    struct world *w = *state;
    append_caused(w, "a", "b", START_US);       /* a circle of three */
    append_caused(w, "b", "c", START_US + 1);
    append_caused(w, "c", "a", START_US + 2);
    append_caused(w, "self", "self", START_US + 3);
    append_caused(w, "orphan", "never stored", START_US + 4);
    append_caused(w, "orphan's", "orphan", START_US + 5);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(chain_of(w, "a").rows, 3);
    assert_int_equal(chain_of(w, "c").rows, 3);
    assert_int_equal(chain_of(w, "self").rows, 1);
    assert_false(chain_of(w, "a").cut);
    struct depths d = chain_of(w, "orphan's");
    assert_int_equal(d.rows, 2);
    assert_int_equal(d.depth[0], 0);
    assert_int_equal(d.depth[1], 1);
    d = chain_of(w, "never stored"); /* it has no event of its own, but what it caused is there */
    assert_int_equal(d.rows, 2);
    assert_int_equal(d.depth[0], 1);
    assert_int_equal(chain_of(w, "unheard of").rows, 0);
}

static void a_wide_chain_is_cut_at_its_limit(void **state)
{
    struct world *w = *state;
    append_caused(w, "root", NULL, START_US);
    for (int i = 1; i <= 3000; i++) {
        char context[32];
        snprintf(context, sizeof context, "child %d", i);
        append_caused(w, context, "root", START_US + i);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    struct depths d = chain_of(w, "child 2999");
    assert_int_equal(d.rows, 1000);
    assert_int_equal(d.depth[0], 0);
    assert_int_equal(d.depth[999], 1);
    assert_true(d.cut);
}

/* Of 400 contexts each has up to three causes' worth of children; all of a root's are there, at their depth. */
static void a_chain_is_the_whole_tree_and_says_where_it_is_cut(void **state)
{
    struct world *w = *state;
    enum { CONTEXTS = 400 };
    int parent[CONTEXTS] = { 0 }, depth[CONTEXTS] = { 0 }, at_depth[CONTEXTS] = { 0 };
    for (int i = 0; i < CONTEXTS; i++) {
        char name[32], of[32];
        parent[i] = i == 0 ? -1 : i < 12 ? i - 1 : i * 7919 % (i < 40 ? i : 40); /* a stem of twelve, then a bush */
        depth[i] = i == 0 ? 0 : depth[parent[i]] + 1;
        at_depth[depth[i]]++;
        snprintf(name, sizeof name, "tree %d", i);
        snprintf(of, sizeof of, "tree %d", parent[i]);
        append_caused(w, name, i ? of : NULL, START_US + i);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    for (int deep = 1; deep <= 50; deep += 7) {
        struct chain_query q;
        struct page end;
        struct depths d = { 0 };
        int expected = 0, seen[CONTEXTS] = { 0 };
        schema_clear(chain_query_schema(), &q);
        ASK(&q, context_id, "tree 399");
        SET(&q, max_depth, deep);
        assert_int_equal(store_chain(w->reader, &q, note_depth, &d, &end), STORE_OK);
        for (int i = 0; i < CONTEXTS; i++)
            expected += depth[i] <= deep;
        assert_int_equal(d.rows, expected);
        assert_int_equal(end.has_cut && end.cut, expected < CONTEXTS);
        for (int i = 0; i < d.rows; i++)
            seen[d.depth[i]]++;
        for (int i = 0; i <= deep && i < CONTEXTS; i++)
            assert_int_equal(seen[i], at_depth[i]);
    }
}

static void a_chain_is_told_from_its_root(void **state)
{
    struct world *w = *state;
    static const char *const contexts[] = { "root", "child", "child", "grandchild" };
    static const char *const parents[] = { NULL, "root", "root", "child" };
    for (int i = 0; i < 4; i++) {
        struct event_full e;
        one_state(&e, "x", contexts[i], "live");
        if (parents[i])
            SET(&e, context_parent_id, slice_of(parents[i]));
        e.timestamp = e.last_updated = START_US + i;
        assert_int_equal(append(w, &e), STORE_OK);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    struct chain_query q;
    struct page end;
    struct depths d = { 0 };
    schema_clear(chain_query_schema(), &q);
    ASK(&q, context_id, "grandchild");
    assert_int_equal(store_chain(w->reader, &q, note_depth, &d, &end), STORE_OK);
    assert_int_equal(d.rows, 4);
    assert_int_equal(d.depth[0], 0);
    assert_int_equal(d.depth[1], 1);
    assert_int_equal(d.depth[2], 1);
    assert_int_equal(d.depth[3], 2);
}

static void refused_bytes_are_kept_once(void **state)
{
    struct world *w = *state;
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, slice_of("junk"));
    ASK(&bad, stage, "enrich");
    ASK(&bad, why, "is no event");
    SET(&bad, received_at, START_US);
    assert_int_equal(store_quarantine(w->writer, &bad), STORE_OK);
    assert_int_equal(store_quarantine(w->writer, &bad), STORE_DUPLICATE);
    SET(&bad, place, 12);
    assert_int_equal(store_quarantine(w->writer, &bad), STORE_OK);
    assert_int_equal(store_quarantine(w->writer, &bad), STORE_REDELIVERED);
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

/* --- what has become of them --- */

static int64_t settled(const struct world *w, enum store_source source, enum store_fate fate)
{
    struct store_totals totals;
    store_totals(w->writer, &totals);
    return totals.of[source][fate];
}

static int64_t settled_in_all(const struct world *w)
{
    int64_t sum = 0;
    for (int fate = 0; fate < STORE_FATE_REDELIVERED; fate++)
        sum += settled(w, STORE_INGEST, (enum store_fate)fate);
    return sum;
}

static void reopen(struct world *w)
{
    store_close(&w->writer);
    w->writer = open_store(w, true);
    assert_non_null(w->writer);
}

static void totals_are_those_of_the_committed_rows(void **state)
{
    struct world *w = *state;
    struct event_full a, b;
    one_state(&a, "a", "01HXYZ0000000000000000000A", "live");
    one_state(&b, "b", "01HXYZ0000000000000000000B", "live");
    b.place = 2;
    append(w, &a);
    assert_int_equal(settled_in_all(w), 0);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    append(w, &b);
    reopen(w); /* not committed: as after a kill */
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_STORED), 1);
    append(w, &a);
    append(w, &b);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    reopen(w);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_STORED), 2);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_REDELIVERED), 1);
    assert_int_equal(settled_in_all(w), 2);
}

static void what_has_no_row_of_its_own_is_counted_once_all_the_same(void **state)
{
    struct world *w = *state;
    struct event_full first, twin, dropped;
    one_state(&first, "a", "01HXYZ0000000000000000000A", "live");
    twin = dropped = first;
    twin.place = 2;
    dropped.place = 3;
    append(w, &first);
    for (int round = 0; round < 3; round++) {
        append(w, &twin);
        assert_int_equal(store_drop(w->writer, &dropped, STORE_FATE_FILTERED), round ? STORE_REDELIVERED : STORE_OK);
        assert_int_equal(store_commit(w->writer), STORE_OK);
        reopen(w);
        assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_DUPLICATE), 1);
        assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_FILTERED), 1);
        assert_int_equal(settled_in_all(w), 3);
    }
    assert_int_equal(store_forget_places(w->writer, 3), STORE_OK);
    assert_int_equal(append(w, &twin), STORE_DUPLICATE); /* had it come again in spite of that */
    assert_int_equal(store_drop(w->writer, &dropped, STORE_FATE_FILTERED), STORE_REDELIVERED);
}

/* A kill, and the rules are others when it comes again. */
static void what_was_settled_under_other_rules_is_not_settled_again(void **state)
{
    struct world *w = *state;
    struct event_full kept, dropped;
    one_state(&kept, "a", "01HXYZ0000000000000000000A", "live");
    one_state(&dropped, "b", "01HXYZ0000000000000000000B", "live");
    dropped.timestamp += 1000;
    dropped.last_updated += 1000;
    dropped.place = 2;
    event_id_set(&dropped);
    assert_int_equal(append(w, &kept), STORE_OK);
    assert_int_equal(store_drop(w->writer, &dropped, STORE_FATE_FILTERED), STORE_OK);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    reopen(w);
    assert_int_equal(store_drop(w->writer, &kept, STORE_FATE_FILTERED), STORE_REDELIVERED);
    assert_int_equal(append(w, &dropped), STORE_REDELIVERED);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(settled_in_all(w), 2);
    assert_int_equal(count_all(w), 1);
}

static void what_is_imported_is_counted_apart(void **state)
{
    struct world *w = *state;
    struct event_full live, imported;
    one_state(&live, "a", "01HXYZ0000000000000000000A", "live");
    one_state(&imported, "a", NULL, "import");
    append(w, &live);
    assert_int_equal(append(w, &imported), STORE_DUPLICATE); /* the same number is another place there */
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(settled(w, STORE_IMPORT, STORE_FATE_DUPLICATE), 1);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_STORED), 1);
}

/* A kill: what history gave comes again, and an import has put a richer row in its place. */
static void what_an_import_has_replaced_is_not_settled_again(void **state)
{
    struct world *w = *state;
    struct event_full history, imported;
    one_state(&history, "a", NULL, "backfill");
    one_state(&imported, "a", "01HXYZ0000000000000000000A", "import");
    imported.place = INT64_C(1) << 60;
    assert_int_equal(append(w, &history), STORE_OK);
    assert_int_equal(append(w, &imported), STORE_DUPLICATE);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    reopen(w);
    assert_int_equal(append(w, &history), STORE_REDELIVERED);
    assert_int_equal(append(w, &imported), STORE_REDELIVERED);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_STORED), 1);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_DUPLICATE), 0);
}

static void a_canary(struct event_full *e, int64_t n)
{
    schema_clear(event_full_schema(), e);
    SET(e, event_type, slice_of("canary"));
    SET(e, timestamp, START_US + n * 1000000);
    SET(e, received_at, START_US);
    SET(e, place, n);
    SET(e, data, slice_of("{}"));
    SET(e, context_id, slice_of("01HXYZ0000000000000000000A")); /* made at another time: there is a link */
    SET_TEXT(e, provenance, "live", 4);
    event_id_set(e);
}

static void of_a_canary_only_the_newest_stays(void **state)
{
    struct world *w = *state;
    struct event_full e;
    for (int64_t n = 1; n <= 5; n++) {
        a_canary(&e, n);
        assert_int_equal(append(w, &e), STORE_OK);
        assert_int_equal(store_clear_older(w->writer, &e), STORE_OK);
        assert_int_equal(store_commit(w->writer), STORE_OK);
        assert_int_equal(count_all(w), 1);
    }
    for (int64_t n = 1; n <= 5; n++) {
        a_canary(&e, n);
        assert_int_equal(append(w, &e), STORE_REDELIVERED);
    }
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_int_equal(count_all(w), 1);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_STORED), 1);
    assert_int_equal(settled(w, STORE_INGEST, STORE_FATE_THINNED), 4);
    sqlite3_stmt *links = NULL;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM link), (SELECT count(*) FROM time) + (SELECT ifnull(sum(count), 0) FROM run)", -1, &links, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(links), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(links, 0), 1);
    assert_int_equal(sqlite3_column_int(links, 1), 1);
    sqlite3_finalize(links);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(every_filter_gives_what_brute_force_gives),
        TEST(a_context_is_found_near_and_far),
        TEST(every_id_leads_back_to_its_event),
        TEST(an_event_that_comes_again_is_stored_once),
        TEST(a_row_without_context_matches_a_live_one_and_the_richer_stays),
        TEST(huge_and_odd_values_come_back_exactly),
        TEST(what_was_committed_outlives_a_kill_at_any_moment),
        TEST(a_full_disk_loses_nothing_and_teaches_nothing_false),
        TEST(a_second_writer_is_refused),
        TEST(a_damaged_file_is_refused_and_left_alone),
        TEST(a_newer_format_is_refused),
        TEST(a_store_that_is_not_there_yet_is_empty_until_it_comes),
        TEST(what_contradicts_itself_names_its_field),
        TEST(a_cursor_goes_on_with_its_own_question_only),
        TEST(what_a_wrong_clock_said_of_the_future_is_not_in_force),
        TEST(a_chain_is_told_from_its_root),
        TEST(a_chain_ends_where_it_turns_round_or_nothing_is_known),
        TEST(a_wide_chain_is_cut_at_its_limit),
        TEST(a_chain_is_the_whole_tree_and_says_where_it_is_cut),
        TEST(refused_bytes_are_kept_once),
        TEST(totals_are_those_of_the_committed_rows),
        TEST(what_has_no_row_of_its_own_is_counted_once_all_the_same),
        TEST(what_was_settled_under_other_rules_is_not_settled_again),
        TEST(what_is_imported_is_counted_apart),
        TEST(what_an_import_has_replaced_is_not_settled_again),
        TEST(of_a_canary_only_the_newest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
