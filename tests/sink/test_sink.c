/* test_sink.c - nothing is acknowledged before it is committed, and nothing is lost when it cannot be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "probe.h"
#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

static struct event_full an_event(int64_t n)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of("sensor.a"));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, timestamp, INT64_C(1767225600000000) + n);
    SET(&e, last_updated, e.timestamp);
    SET(&e, received_at, e.timestamp);
    SET(&e, place, n);
    SET(&e, state, slice_of("1"));
    SET(&e, context_id, slice_of("01HXYZ0000000000000000000A"));
    SET_TEXT(&e, provenance, "live", 4);
    event_id_set(&e);
    return e;
}

static int deliver(probe_t *probe, int64_t n)
{
    struct event_full e = an_event(n);
    return probe_deliver(probe, &event_full_contract, &e);
}

static struct sink_stats stats(probe_t *probe)
{
    struct sink_stats *at = (struct sink_stats *)((char *)probe_self(probe) + actor_spec.stats.at);
    return *at;
}

static void events_are_released_once_committed_by_time(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "commit_ms", "20", NULL });
    assert_non_null(probe);
    for (int i = 0; i < 5; i++)
        assert_int_equal(deliver(probe, i), HOLD);
    assert_int_equal(probe_held(probe), 5);
    assert_int_equal(probe_released(probe), 0);
    probe_advance(probe, 19);
    assert_int_equal(probe_released(probe), 0);
    probe_advance(probe, 2);
    assert_int_equal(probe_released(probe), 5);
    assert_int_equal(stats(probe).stored, 5);
    assert_int_equal(stats(probe).commits, 1);
    probe_destroy(&probe);
}

static void events_are_committed_by_number_without_waiting(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "commit_ms", "60000", "commit_rows", "10", NULL });
    for (int i = 0; i < 25; i++)
        deliver(probe, i);
    probe_advance(probe, 1);
    assert_true(probe_released(probe) >= 20);
    assert_int_equal(probe_released(probe) + probe_held(probe), 25);
    probe_drain(probe);
    assert_int_equal(probe_released(probe), 25);
    probe_destroy(&probe);
}

static void repeats_are_counted_and_the_sum_holds(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    for (int i = 0; i < 10; i++)
        deliver(probe, i % 4);
    struct event_full twin = an_event(1);
    twin.place = 100;
    assert_int_equal(probe_deliver(probe, &event_full_contract, &twin), HOLD);
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, slice_of("junk"));
    SET_TEXT(&bad, stage, "enrich", 6);
    SET_TEXT(&bad, why, "no", 2);
    SET(&bad, received_at, 1);
    assert_int_equal(probe_deliver(probe, &event_bad_contract, &bad), HOLD);
    probe_advance(probe, 100);
    struct sink_stats s = stats(probe);
    assert_int_equal(s.stored, 4);
    assert_int_equal(s.redelivered, 6);
    assert_int_equal(s.duplicate, 1);
    assert_int_equal(s.quarantined, 1);
    assert_int_equal(s.received, s.stored + s.duplicate + s.redelivered + s.quarantined);
    struct nothing nothing = { 0 };
    struct page end;
    struct settled_row row;
    assert_int_equal(probe_call(probe, &sink_settled_contract, &nothing, &end), OK);
    assert_int_equal(probe_row(probe, 0, &row), 0);
    assert_string_equal(row.source, "ingest");
    assert_int_equal(row.stored + row.duplicate + row.quarantined, 6);
    assert_int_equal(row.redelivered, 6);
    /* Beyond the capture log's beginning nothing comes again, so that no place is remembered. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(probe_deliver(probe, &event_full_contract, &twin), HOLD);
        struct ingest_kept kept = { 0 };
        SET(&kept, place, 101);
        probe_deliver(probe, &ingest_kept_contract, &kept);
        probe_advance(probe, 100);
        s = stats(probe);
        assert_int_equal(s.redelivered, 7);
        assert_int_equal(s.duplicate, 1 + i);
    }
    assert_int_equal(probe_held(probe), 0);
    probe_destroy(&probe);
}

static void what_cannot_be_stored_is_put_aside_and_blocks_nobody(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    struct event_full e = an_event(1);
    e.has_entity_id = false;
    assert_int_equal(probe_deliver(probe, &event_full_contract, &e), HOLD);
    assert_int_equal(deliver(probe, 2), HOLD);
    probe_advance(probe, 100);
    assert_int_equal(stats(probe).quarantined, 1);
    assert_int_equal(stats(probe).stored, 1);
    assert_int_equal(probe_held(probe), 0);
    probe_destroy(&probe);
}

static void what_cannot_be_decoded_goes_round_as_refused_bytes(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_int_equal(probe_deliver_bytes(probe, &event_full_contract, (struct slice){ "\x91\x01", 2 }), BAD_REQUEST);
    assert_int_equal(probe_published_count(probe, &event_bad_contract), 1);
    const struct event_bad *bad = probe_published(probe, &event_bad_contract, 0);
    assert_int_equal(bad->bytes.size, 2);
    assert_string_equal(bad->stage, "sink");
    probe_destroy(&probe);
}

static void a_sync_is_announced_only_while_there_is_something_new(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "sync", "interval", "sync_ms", "1000", NULL });
    probe_advance(probe, 5000);
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 0);
    deliver(probe, 1);
    probe_advance(probe, 100); /* committed and synced at once: the acknowledgement may be on its way yet */
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 1);
    probe_advance(probe, 500); /* so it is said once more */
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 2);
    probe_advance(probe, 5000);
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 2);
    probe_destroy(&probe);

    probe = probe_new((const char *const[]){ "sync", "always", NULL });
    deliver(probe, 1);
    probe_advance(probe, 100);
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 1);
    probe_destroy(&probe);

    probe = probe_new((const char *const[]){ "sync", "never", NULL });
    deliver(probe, 1);
    probe_advance(probe, 5000);
    assert_int_equal(probe_published_count(probe, &store_synced_contract), 0);
    probe_destroy(&probe);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_holds_everything_until_there_is_room(void **state)
{
    (void)state;
    char why[240];
    signal(SIGXFSZ, SIG_IGN);
    probe_t *probe = probe_new((const char *const[]){ "commit_rows", "100000", NULL });
    deliver(probe, 0);
    probe_advance(probe, 100);
    assert_int_equal(probe_released(probe), 1);
    limit_files(4096);
    for (int i = 1; i <= 50; i++)
        assert_int_equal(deliver(probe, i), HOLD);
    probe_advance(probe, 100);
    assert_int_equal(probe_released(probe), 1);
    assert_int_equal(probe_health(probe, why, sizeof why), UNHEALTHY);
    assert_int_equal(stats(probe).received, 1);
    assert_true(probe_again_due(probe) > 0);
    probe_advance(probe, 2000);
    assert_int_equal(probe_released(probe), 1);
    limit_files(RLIM_INFINITY);
    probe_advance(probe, 2000);
    assert_int_equal(probe_held(probe), 0);
    assert_int_equal(probe_released(probe), 51);
    assert_int_equal(stats(probe).stored, 51);
    assert_int_equal(stats(probe).received, 51);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
}

/* Put something that cannot be synced in the place of the store's log; what was there is kept in *kept. */
static int swap_log(int with, int *kept)
{
    char name[64], target[4096];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(name, target, sizeof target - 1);
        if (size < 4 || memcmp(target + size - 4, "-wal", 4) != 0)
            continue;
        *kept = dup(fd);
        assert_int_equal(dup2(with, fd), fd);
        return fd;
    }
    return -1;
}

static void a_sync_that_fails_shows_in_health_until_it_succeeds(void **state)
{
    (void)state;
    char why[240];
    int ends[2], kept = -1;
    probe_t *probe = probe_new((const char *const[]){ "sync", "interval", "sync_ms", "1000", NULL });
    deliver(probe, 1);
    probe_advance(probe, 100); /* committed, and synced at once: the last sync is long ago */
    deliver(probe, 2);
    probe_advance(probe, 100); /* committed; its sync is due later */
    size_t before = probe_published_count(probe, &store_synced_contract);
    assert_int_equal(pipe(ends), 0);
    int log = swap_log(ends[0], &kept);
    assert_true(log >= 0);
    probe_advance(probe, 3000);
    assert_int_equal(probe_health(probe, why, sizeof why), UNHEALTHY);
    assert_non_null(strstr(why, "synced"));
    assert_int_equal(probe_published_count(probe, &store_synced_contract), before);
    assert_int_equal(dup2(kept, log), log);
    probe_advance(probe, 3000);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    close(kept);
    close(ends[0]);
    close(ends[1]);
    probe_destroy(&probe);
}

static void latency_is_absent_until_it_is_known(void **state)
{
    (void)state;
    char why[240];
    probe_t *probe = probe_new((const char *const[]){ NULL });
    probe_health(probe, why, sizeof why);
    assert_false(stats(probe).has_latency_p50_us);
    for (int i = 0; i < 10; i++)
        deliver(probe, i);
    probe_advance(probe, 100);
    probe_health(probe, why, sizeof why);
    assert_true(stats(probe).has_latency_p50_us && stats(probe).has_latency_p99_us);
    assert_true(stats(probe).latency_p50_us <= stats(probe).latency_p99_us);
    probe_advance(probe, 70000);
    probe_health(probe, why, sizeof why);
    probe_advance(probe, 70000);
    probe_health(probe, why, sizeof why);
    assert_false(stats(probe).has_latency_p50_us);
    probe_destroy(&probe);
}

static void a_flood_is_committed_less_often(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "commit_ms", "20", "busy_ms", "100", "commit_rows", "4096", NULL });
    int n = 0;
    for (int ms = 0; ms < 60; ms++) {
        for (int i = 0; i < 50; i++)
            deliver(probe, n++);
        probe_advance(probe, 1);
    }
    assert_int_equal(stats(probe).commits, 0);
    probe_advance(probe, 25); /* it is over: the rest waits no longer than usual */
    assert_int_equal(stats(probe).commits, 1);
    assert_int_equal(probe_held(probe), 0);
    for (int ms = 0; ms < 110; ms++) {
        for (int i = 0; i < 50; i++)
            deliver(probe, n++);
        probe_advance(probe, 1);
    }
    assert_int_equal(stats(probe).commits, 2);
    probe_destroy(&probe);
}

static void an_unknown_sync_is_refused(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "sync", "often", NULL });
    assert_null(probe);
}

static void statistics_are_released_once_committed_and_counted_apart(void **state)
{
    (void)state;
    struct statistic_row row;
    probe_t *probe = probe_new((const char *const[]){ "commit_ms", "20", NULL });
    assert_non_null(probe);
    for (int i = 0; i < 4; i++) {
        schema_clear(statistic_row_schema(), &row);
        SET_TEXT(&row, statistic_id, "sensor.a", 8);
        SET_TEXT(&row, period, "hour", 4);
        SET(&row, start, INT64_C(1767225600000000) + i / 2 * INT64_C(3600000000) + (i == 3)); /* the second repeats the first, the last is none */
        SET(&row, mean, 1.5);
        SET(&row, place, (INT64_C(1) << 60) + i);
        SET(&row, received_at, INT64_C(1767225600000000));
        assert_int_equal(probe_deliver(probe, &statistic_row_contract, &row), HOLD);
    }
    assert_int_equal(probe_released(probe), 0);
    probe_advance(probe, 25);
    assert_int_equal(probe_released(probe), 4);
    assert_int_equal(stats(probe).statistics, 3);
    assert_int_equal(stats(probe).quarantined, 1);
    assert_int_equal(stats(probe).received, 1);
    assert_int_equal(stats(probe).stored, 0);
    struct nothing nothing = { 0 };
    struct page end;
    struct settled_row settled;
    assert_int_equal(probe_call(probe, &sink_settled_contract, &nothing, &end), OK);
    for (size_t i = 0; i < 2; i++) { /* ingest has received none of them */
        assert_int_equal(probe_row(probe, i, &settled), 0);
        assert_int_equal(settled.quarantined, strcmp(settled.source, "import") == 0);
    }
    probe_destroy(&probe);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Of some entities, each in chunks of its own. */
static void make_chunks(const char *path)
{
    const char *why = "";
    struct fault fault;
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = true }, &why);
    assert_non_null(store);
    for (int i = 0; i < 2000; i++) {
        char name[32];
        struct event_full e = an_event(i);
        snprintf(name, sizeof name, "sensor.a_%d", i % 5);
        SET(&e, entity_id, slice_of(name));
        assert_int_equal(store_append(store, &e, &fault), STORE_OK);
    }
    assert_int_equal(store_commit(store), STORE_OK);
    while (store_seal(store, INT64_C(1800000000000000), 0) == STORE_OK)
        ;
    store_close(&store);
}

static struct store_view view_of(probe_t *probe, const struct contract *contract)
{
    struct nothing nothing = { 0 };
    struct store_view view;
    assert_int_equal(probe_call(probe, contract, &nothing, &view), OK);
    return view;
}

static void asked_to_read_all_chunks_it_begins_anew_where_it_was_half_way(void **state)
{
    char directory[] = "/tmp/test-sink-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/store.db", directory);
    make_chunks(path);
    probe_t *probe = probe_new((const char *const[]){ "data", directory, "seal_after_s", "0", NULL });
    assert_non_null(probe);
    while (view_of(probe, &sink_store_contract).verified < 2)
        probe_advance(probe, 100);
    run_sql(path, "UPDATE chunk_data SET main = zeroblob(length(main)) WHERE id = (SELECT id FROM chunk ORDER BY series, first LIMIT 1)");
    view_of(probe, &sink_verify_contract);
    while (view_of(probe, &sink_store_contract).verifying)
        probe_advance(probe, 100);
    assert_int_equal(view_of(probe, &sink_store_contract).bad_chunks, 1);
    probe_destroy(&probe);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_released_once_committed_by_time),
        cmocka_unit_test(events_are_committed_by_number_without_waiting),
        cmocka_unit_test(repeats_are_counted_and_the_sum_holds),
        cmocka_unit_test(what_cannot_be_stored_is_put_aside_and_blocks_nobody),
        cmocka_unit_test(what_cannot_be_decoded_goes_round_as_refused_bytes),
        cmocka_unit_test(a_sync_is_announced_only_while_there_is_something_new),
        cmocka_unit_test(a_full_disk_holds_everything_until_there_is_room),
        cmocka_unit_test(a_sync_that_fails_shows_in_health_until_it_succeeds),
        cmocka_unit_test(latency_is_absent_until_it_is_known),
        cmocka_unit_test(a_flood_is_committed_less_often),
        cmocka_unit_test(an_unknown_sync_is_refused),
        cmocka_unit_test(statistics_are_released_once_committed_and_counted_apart),
        cmocka_unit_test(asked_to_read_all_chunks_it_begins_anew_where_it_was_half_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
