/* test_import.c - a recorder's database comes out as it is, once, whatever happens on the way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base.h"
#include "json.h"
#include "probe.h"
#include "small_file.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const versions[] = { "2024.3.3", "2025.4.4", "2026.2.3" };
static const int64_t schemas[] = { 42, 50, 53 };
enum { VERSIONS = 3 };

struct world { char directory[64], base[128], request[128]; };

static void world_open(struct world *w)
{
    char path[160];
    strcpy(w->directory, "/tmp/test-import-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->base, sizeof w->base, "%s/home-assistant_v2.db", w->directory);
    snprintf(w->request, sizeof w->request, "%s/import/request", w->directory);
    snprintf(path, sizeof path, "%s/import", w->directory);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

static void world_close(struct world *w)
{
    assert_int_equal(nftw(w->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void world_recorded(struct world *w, int version)
{
    world_open(w);
    recorded_database(versions[version], w->base);
    add_statistics(w->base, schemas[version] > 48);
}

static void request(const struct world *w)
{
    assert_int_equal(small_file_write(w->request, slice_of(w->base)), 0);
}

static probe_t *start_with(struct world *w, const char *in_flight)
{
    request(w);
    probe_t *probe = probe_new((const char *const[]){ "data", w->directory, "in_flight", in_flight, NULL });
    if (!probe)
        print_message("%s\n", probe_refused());
    return probe;
}

static probe_t *start(struct world *w)
{
    return start_with(w, "4096");
}

static void synced(probe_t *probe, int64_t at)
{
    struct store_synced message;
    schema_clear(store_synced_schema(), &message);
    SET(&message, at, at);
    assert_int_equal(probe_deliver(probe, &store_synced_contract, &message), OK);
}

static struct import_status status_of(const struct world *w)
{
    struct import_status status;
    msgpack_sbuffer pool;
    char path[160];
    snprintf(path, sizeof path, "%s/import/status", w->directory);
    msgpack_sbuffer_init(&pool);
    assert_int_equal(small_file_load(path, import_status_schema(), &status, &pool), 0);
    msgpack_sbuffer_destroy(&pool);
    return status;
}

typedef void taken_fn(void *owner, const struct contract *, const void *message);

static void take(probe_t *probe, taken_fn *fn, void *owner)
{
    const struct contract *const topics[] = { &event_raw_contract, &statistic_row_contract, &event_bad_contract };
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < probe_published_count(probe, topics[t]); i++)
            fn(owner, topics[t], probe_published(probe, topics[t], i));
    probe_clear(probe);
}

/* As long as it takes, everything acknowledged and synced at once. The exit code. */
static int run(probe_t *probe, taken_fn *fn, void *owner)
{
    int64_t now = INT64_C(1767225600000000);
    for (int turn = 0; turn < 100000 && probe_stopped(probe) < 0; turn++) {
        probe_advance(probe, 1);
        take(probe, fn, owner);
        probe_ack_all(probe);
        now += 10000;
        probe_set_now(probe, now);
        synced(probe, now);
    }
    return probe_stopped(probe);
}

static void ignore(void *owner, const struct contract *contract, const void *message)
{
    (void)contract, (void)message;
    ++*(size_t *)owner;
}

/* --- what comes out --------------------------------------------------------------------------------- */

struct taken { json_t *json; struct lines states, events, statistics; int64_t places[8192]; size_t count, refused; };

static void add_hex(char *line, struct slice text)
{
    size_t n = strlen(line);
    for (size_t i = 0; i < text.size; i++)
        n += (size_t)sprintf(line + n, "%02X", ((const uint8_t *)text.data)[i]);
}

static void add_text(json_t *json, char *line, struct json_value value)
{
    struct slice text;
    if (value.kind == JSON_NULL || value.kind == JSON_NOTHING)
        strcat(line, "null");
    else if (json_text(json, value, &text))
        add_hex(line, text);
    else
        add_hex(line, value.raw);
    strcat(line, "|");
}

static void add_moment(json_t *json, char *line, struct json_value value)
{
    struct slice text;
    int64_t at_us;
    if (json_text(json, value, &text) && time_read(text, &at_us) == 0)
        sprintf(line + strlen(line), "%lld|", (long long)at_us);
    else
        add_text(json, line, value);
}

/* The bytes of a ULID or of hexadecimal digits, as SQL's hex() shows them. */
static void add_context(json_t *json, char *line, struct json_value value)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    struct slice text;
    uint64_t high = 0, low = 0;
    int bits;
    if (!json_text(json, value, &text)) {
        strcat(line, "null|");
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = ((const char *)text.data)[i];
        bits = text.size == 26 ? 5 : 4;
        high = high << bits | low >> (64 - bits);
        low = low << bits | (uint64_t)(bits == 5 ? strchr(digits, c) - digits : c <= '9' ? c - '0' : c - 'a' + 10);
    }
    sprintf(line + strlen(line), "%016llX%016llX|", (unsigned long long)high, (unsigned long long)low);
}

static void add_tail(json_t *json, char *line, struct slice event)
{
    add_text(json, line, json_at(json, event, "origin"));
    add_context(json, line, json_at(json, event, "context.id"));
    add_context(json, line, json_at(json, event, "context.parent_id"));
    add_context(json, line, json_at(json, event, "context.user_id"));
}

static void take_event(struct taken *t, const struct event_raw *raw)
{
    static char line[400000];
    struct json_value root;
    const char *why;
    struct slice type = { "", 0 };
    line[0] = '\0';
    assert_int_equal(json_read(t->json, raw->event, &root, &why), 0);
    json_text(t->json, json_at(t->json, root.raw, "event_type"), &type);
    bool is_state = type.size == 13 && memcmp(type.data, "state_changed", 13) == 0;
    const char *const states[] = { "data.entity_id", "data.new_state.state", "data.old_state.state", "data.new_state.attributes" };
    const char *const moments[] = { "data.new_state.last_updated", "data.new_state.last_changed", "data.new_state.last_reported",
        "data.old_state.last_changed", "time_fired" };
    for (size_t i = 0; is_state && i < 4; i++)
        add_text(t->json, line, json_at(t->json, root.raw, states[i]));
    for (size_t i = is_state ? 0 : 4; i < 5; i++)
        add_moment(t->json, line, json_at(t->json, root.raw, moments[i]));
    if (!is_state) {
        add_text(t->json, line, json_at(t->json, root.raw, "event_type"));
        add_text(t->json, line, json_at(t->json, root.raw, "data"));
    }
    add_tail(t->json, line, root.raw);
    lines_add(is_state ? &t->states : &t->events, line);
}

static void take_statistic(struct taken *t, const struct statistic_row *s)
{
    char line[1000];
    int n = snprintf(line, sizeof line, "%s|%s|%lld|", s->statistic_id, s->period, (long long)s->start);
    const struct { bool has; double value; } numbers[] = { { s->has_mean, s->mean }, { s->has_min, s->min }, { s->has_max, s->max },
        { s->has_state, s->state }, { s->has_sum, s->sum } };
    for (size_t i = 0; i < 5; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, numbers[i].has ? "%.12g|" : "null|", numbers[i].value);
    n += snprintf(line + n, sizeof line - (size_t)n, s->has_last_reset ? "%lld|" : "null|", (long long)s->last_reset);
    snprintf(line + n, sizeof line - (size_t)n, "%s|%s|%s|%lld", s->has_unit ? s->unit : "null", s->has_name ? s->name : "null",
             s->has_source ? s->source : "null", s->has_mean_type ? (long long)s->mean_type : -1);
    lines_add(&t->statistics, line);
}

static void take_row(void *owner, const struct contract *contract, const void *message)
{
    struct taken *t = owner;
    int64_t place;
    if (contract == &event_raw_contract) {
        const struct event_raw *raw = message;
        take_event(t, raw);
        assert_string_equal(raw->provenance, "import");
        place = raw->place;
    } else if (contract == &statistic_row_contract) {
        take_statistic(t, message);
        place = ((const struct statistic_row *)message)->place;
    } else {
        t->refused++;
        place = ((const struct event_bad *)message)->place;
    }
    assert_true(place >= INT64_C(1) << 60 && place < INT64_C(1) << 61);
    assert_true(t->count < sizeof t->places / sizeof *t->places);
    t->places[t->count++] = place;
}

static void taken_open(struct taken *t)
{
    *t = (struct taken){ .json = json_new() };
}

static void taken_close(struct taken *t)
{
    lines_free(&t->states);
    lines_free(&t->events);
    lines_free(&t->statistics);
    json_destroy(&t->json);
}

static void assert_same_lines(struct lines *have, struct lines want)
{
    lines_sort(have);
    assert_int_equal(have->count, want.count);
    for (size_t i = 0; i < want.count; i++)
        assert_string_equal(have->items[i], want.items[i]);
    lines_free(&want);
}

/* Times by SQLite's own arithmetic: whole seconds, and the fraction rounded. */
#define US(ts) "CASE WHEN " ts " IS NULL THEN 'null' ELSE CAST(" ts " AS INTEGER) * 1000000 + CAST(round((" ts " - CAST(" ts " AS INTEGER)) * 1000000) AS INTEGER) END || '|'"
#define HEX(text) "CASE WHEN " text " IS NULL THEN 'null' ELSE hex(" text ") END || '|'"
#define NUMBER(column) "CASE WHEN " column " IS NULL THEN 'null' ELSE printf('%%.12g', " column ") END || '|'"
#define TAIL "CASE t.origin_idx WHEN 0 THEN hex('LOCAL') WHEN 1 THEN hex('REMOTE') ELSE 'null' END || '|' || " \
    HEX("t.context_id_bin") " || " HEX("t.context_parent_id_bin") " || " HEX("t.context_user_id_bin")

static struct lines wanted_states(const struct world *w, bool reported)
{
    char sql[4000];
    snprintf(sql, sizeof sql, "SELECT " HEX("m.entity_id") " || " HEX("t.state") " || " HEX("o.state") " || CASE WHEN t.state IS NULL THEN 'null|' ELSE "
        HEX("a.shared_attrs") " END || CASE WHEN t.state IS NULL THEN 'null|null|' ELSE " US("t.last_updated_ts") " || "
        US("coalesce(t.last_changed_ts, t.last_updated_ts)") " END || CASE WHEN t.state IS NULL OR %d THEN 'null|' ELSE "
        US("coalesce(%s, t.last_updated_ts)") " END || CASE WHEN o.state IS NULL THEN 'null|' ELSE "
        US("coalesce(o.last_changed_ts, o.last_updated_ts)") " END || " US("t.last_updated_ts") " || " TAIL
        " FROM states t JOIN states_meta m USING (metadata_id) LEFT JOIN state_attributes a USING (attributes_id)"
        " LEFT JOIN states o ON o.state_id = t.old_state_id", !reported,
        reported ? "t.last_reported_ts" : "NULL", reported ? "t.last_reported_ts" : "NULL", reported ? "t.last_reported_ts" : "NULL",
        reported ? "t.last_reported_ts" : "NULL");
    return lines_ask(w->base, sql);
}

static struct lines wanted_events(const struct world *w)
{
    return lines_ask(w->base, "SELECT " US("t.time_fired_ts") " || " HEX("y.event_type") " || " HEX("coalesce(d.shared_data, '{}')") " || " TAIL
        " FROM events t JOIN event_types y ON y.event_type_id = t.event_type_id LEFT JOIN event_data d ON d.data_id = t.data_id");
}

static struct lines wanted_statistics(const struct world *w, const char *mean_type)
{
    struct lines all = { 0 };
    for (int table = 0; table < 2; table++) {
        char sql[2000];
        snprintf(sql, sizeof sql, "SELECT statistic_id || '|%s|' || CAST(start_ts * 1000000 AS INTEGER) || '|' || " NUMBER("mean") " || " NUMBER("min")
            " || " NUMBER("max") " || " NUMBER("state") " || " NUMBER("sum") " || CASE WHEN last_reset_ts IS NULL THEN 'null' ELSE 1795485404524490 END || '|' || ifnull(unit_of_measurement, 'null') || '|'"
            " || ifnull(name, 'null') || '|' || source || '|' || %s FROM %s t JOIN statistics_meta m ON m.id = t.metadata_id",
            table ? "5minute" : "hour", mean_type, table ? "statistics_short_term" : "statistics");
        struct lines lines = lines_ask(w->base, sql);
        for (size_t i = 0; i < lines.count; i++)
            lines_add(&all, lines.items[i]);
        lines_free(&lines);
    }
    lines_sort(&all);
    return all;
}

static void every_row_of_the_recorded_databases_comes_out_exactly(void **state)
{
    (void)state;
    for (int version = 0; version < VERSIONS; version++) {
        struct world w;
        struct taken *t = malloc(sizeof *t);
        world_recorded(&w, version);
        taken_open(t);
        probe_t *probe = start(&w);
        assert_non_null(probe);
        assert_int_equal(run(probe, take_row, t), 0);
        assert_same_lines(&t->states, wanted_states(&w, schemas[version] >= 43));
        assert_same_lines(&t->events, wanted_events(&w));
        assert_same_lines(&t->statistics, wanted_statistics(&w, schemas[version] > 48 ? "mean_type" : "has_mean"));
        assert_int_equal(t->refused, 0);
        struct import_status status = status_of(&w);
        assert_string_equal(status.state, "done");
        assert_int_equal(status.schema_version, schemas[version]);
        assert_int_equal(status.states, t->states.count);
        assert_int_equal(status.states_all, t->states.count);
        assert_int_equal(status.events, t->events.count);
        assert_int_equal(status.statistics + status.short_term, t->statistics.count);
        assert_int_equal(access(w.request, F_OK), -1);
        probe_destroy(&probe);
        taken_close(t);
        free(t);
        world_close(&w);
    }
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static void a_second_run_sends_the_same_rows_with_the_same_places(void **state)
{
    (void)state;
    struct world w;
    struct taken *first = malloc(sizeof *first), *second = malloc(sizeof *second);
    world_recorded(&w, 2);
    for (int turn = 0; turn < 2; turn++) {
        struct taken *t = turn ? second : first;
        taken_open(t);
        probe_t *probe = start(&w);
        assert_non_null(probe);
        assert_int_equal(run(probe, take_row, t), 0);
        probe_destroy(&probe);
        qsort(t->places, t->count, sizeof *t->places, by_number);
        for (size_t i = 1; i < t->count; i++)
            assert_true(t->places[i - 1] < t->places[i]);
    }
    assert_int_equal(first->count, second->count);
    assert_memory_equal(first->places, second->places, first->count * sizeof *first->places);
    taken_close(first);
    taken_close(second);
    free(first);
    free(second);
    world_close(&w);
}

/* --- stops and kills ---------------------------------------------------------------------------------- */

/* What a kill leaves: what was on the disk at that moment. */
static void kill_it(struct world *w, probe_t **probe)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s/kept && cp -r %s/import %s/kept", w->directory, w->directory, w->directory);
    assert_int_equal(system(command), 0);
    probe_destroy(probe);
    snprintf(command, sizeof command, "rm -rf %s/import && mv %s/kept %s/import", w->directory, w->directory, w->directory);
    assert_int_equal(system(command), 0);
}

static void after_a_kill_it_goes_on_and_leaves_out_nothing(void **state)
{
    (void)state;
    struct world w;
    struct taken *t = malloc(sizeof *t);
    int64_t now = INT64_C(1767225600000000);
    int kills = 0, code = -1;
    size_t all;
    world_recorded(&w, 1);
    taken_open(t);
    probe_t *probe = start(&w);
    assert_int_equal(run(probe, take_row, t), 0);
    all = t->count;
    probe_destroy(&probe);
    memset(t->places, 0, sizeof t->places);
    t->count = 0;
    for (; code < 0 && kills < 100; kills++) { /* killed every 20 turns, the last acknowledgements just on their way */
        assert_non_null(probe = start_with(&w, "64"));
        for (int turn = 0; turn < 20 && (code = probe_stopped(probe)) < 0; turn++) {
            probe_advance(probe, 120);
            take(probe, take_row, t);
            if (turn < 19)
                probe_ack_all(probe);
            probe_set_now(probe, now += 120000);
            synced(probe, now);
        }
        kill_it(&w, &probe);
        /* what came twice is counted once */
        qsort(t->places, t->count, sizeof *t->places, by_number);
        size_t kept = 0;
        for (size_t i = 0; i < t->count; i++)
            if (i == 0 || t->places[i] != t->places[i - 1])
                t->places[kept++] = t->places[i];
        t->count = kept;
    }
    assert_int_equal(code, 0);
    assert_true(kills > 2);
    assert_int_equal(t->count, all);
    taken_close(t);
    free(t);
    world_close(&w);
}

static void what_the_store_has_not_synced_is_read_again_after_a_power_cut(void **state)
{
    (void)state;
    struct world w;
    size_t first = 0, second = 0;
    world_recorded(&w, 0);
    probe_t *probe = start(&w);
    for (int turn = 0; turn < 40; turn++) { /* all acknowledged, nothing synced */
        probe_advance(probe, 100);
        take(probe, ignore, &first);
        probe_ack_all(probe);
    }
    assert_true(first > 1500);
    assert_int_equal(probe_stopped(probe), -1);
    kill_it(&w, &probe);
    probe = start(&w);
    assert_int_equal(run(probe, ignore, &second), 0);
    assert_int_equal(first, second);
    probe_destroy(&probe);
    world_close(&w);
}

static void a_store_that_never_says_that_it_has_synced_does_not_hold_the_end_up_for_ever(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    world_recorded(&w, 0);
    probe_t *probe = start(&w);
    for (int turn = 0; turn < 200 && probe_stopped(probe) < 0; turn++) {
        probe_advance(probe, 100);
        take(probe, ignore, &rows);
        probe_ack_all(probe);
    }
    assert_int_equal(probe_stopped(probe), 0);
    probe_destroy(&probe);
    world_close(&w);
}

static void no_more_is_sent_than_may_be_unacknowledged(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    world_recorded(&w, 0);
    probe_t *probe = start_with(&w, "64");
    for (int turn = 0; turn < 50; turn++)
        probe_advance(probe, 100);
    take(probe, ignore, &rows);
    assert_int_equal(rows, 64);
    probe_destroy(&probe);
    assert_string_equal(status_of(&w).state, "stopped");
    assert_int_equal(access(w.request, F_OK), 0); /* it goes on */
    world_close(&w);
}

/* --- refusals -------------------------------------------------------------------------------------------- */

static void assert_refused(struct world *w, const char *why)
{
    probe_t *probe = start(w);
    assert_null(probe);
    assert_non_null(strstr(probe_refused(), "open returned 100"));
    struct import_status status = status_of(w);
    assert_string_equal(status.state, "failed");
    if (!strstr(status.text, why))
        print_message("%s\n", status.text);
    assert_non_null(strstr(status.text, why));
    assert_int_equal(access(w->request, F_OK), -1);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void what_is_no_recorder_database_is_refused_in_a_sentence(void **state)
{
    (void)state;
    struct world w;
    char noise[8192];
    world_open(&w);
    assert_refused(&w, "there is no such file");
    assert_int_equal(mkdir(w.base, 0700), 0);
    assert_refused(&w, "it is a directory");
    rmdir(w.base);
    assert_int_equal(mkfifo(w.base, 0600), 0);
    assert_refused(&w, "it is no regular file");
    unlink(w.base);
    write_file(w.base, "", 0);
    assert_refused(&w, "it is empty");
    write_file(w.base, "SQLite format 3", 16);
    assert_refused(&w, "too short");
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 7919 >> 3);
    write_file(w.base, noise, sizeof noise);
    assert_refused(&w, "no SQLite database, or an encrypted one");
    memcpy(noise, "SQLite format 3", 16);
    write_file(w.base, noise, sizeof noise);
    assert_refused(&w, "no SQLite database, or an encrypted or damaged one");
    unlink(w.base);
    run_sql(w.base, "CREATE TABLE secrets (word); INSERT INTO secrets VALUES ('hunter2')");
    assert_refused(&w, "none of Home Assistant's recorder");
    assert_null(strstr(status_of(&w).text, "hunter2"));
    world_close(&w);
}

static void a_schema_that_is_not_known_is_refused_by_its_number(void **state)
{
    (void)state;
    static const struct { int version; const char *why; } unknown[] = {
        { 38, "schema 38 is too old: supported are 39 to 53" }, { 54, "schema 54 is not known yet: supported are 39 to 53" },
        { -1, "schema -1 is too old" }, { 1000000, "schema 1000000 is not known yet" },
    };
    struct world w;
    char sql[120];
    world_recorded(&w, 0);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        snprintf(sql, sizeof sql, "UPDATE schema_changes SET schema_version = %d", unknown[i].version);
        run_sql(w.base, sql);
        assert_refused(&w, unknown[i].why);
    }
    run_sql(w.base, "DELETE FROM schema_changes");
    assert_refused(&w, "schema 0 is too old");
    run_sql(w.base, "INSERT INTO schema_changes VALUES (1, 39, ''), (2, 47, ''); ALTER TABLE states RENAME COLUMN origin_idx TO gone");
    assert_refused(&w, "has no states.origin_idx");
    world_close(&w);
}

static void a_truncated_database_is_told_and_what_was_read_before_stays(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    world_recorded(&w, 0);
    run_sql(w.base, "PRAGMA journal_mode = DELETE; VACUUM");
    assert_int_equal(truncate(w.base, 200 * 1024), 0);
    probe_t *probe = start(&w);
    if (probe) { /* its head is whole */
        assert_int_equal(run(probe, ignore, &rows), 100);
        probe_destroy(&probe);
    }
    struct import_status status = status_of(&w);
    assert_string_equal(status.state, "failed");
    assert_true(strstr(status.text, "cannot be read") || strstr(status.text, "malformed"));
    assert_int_equal(access(w.request, F_OK), -1);
    world_close(&w);
}

static void without_a_request_there_is_nothing_to_do(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_null(probe_new((const char *const[]){ "data", w.directory, NULL }));
    assert_non_null(strstr(probe_refused(), "nothing to import"));
    world_close(&w);
}

/* --- rows that are none ------------------------------------------------------------------------------------ */

static void bad_rows_are_sent_to_be_judged_and_stop_nothing(void **state)
{
    (void)state;
    struct world w;
    struct taken *t = malloc(sizeof *t);
    world_recorded(&w, 1);
    run_sql(w.base,
        "UPDATE states SET metadata_id = NULL WHERE state_id % 50 = 0;"
        "UPDATE states SET last_updated_ts = 'long ago' WHERE state_id % 50 = 1;"
        "UPDATE states SET last_updated_ts = -5.5 WHERE state_id % 50 = 2;"
        "UPDATE states SET last_updated_ts = 9e99 WHERE state_id % 50 = 3;"
        "UPDATE states SET last_updated_ts = NULL WHERE state_id % 50 = 4;"
        "UPDATE states SET state = x'00ff80' WHERE state_id % 50 = 5;"
        "UPDATE states SET origin_idx = 'x', old_state_id = state_id WHERE state_id % 50 = 6;"
        "UPDATE states SET context_id_bin = x'0102', context_user_id_bin = zeroblob(16), context_parent_id_bin = 'text' WHERE state_id % 50 = 7;"
        "UPDATE state_attributes SET shared_attrs = '{}, \"state\": \"made up\"' WHERE attributes_id % 5 = 0;"
        "UPDATE state_attributes SET shared_attrs = '{\"a\":' WHERE attributes_id % 5 = 1;"
        "UPDATE state_attributes SET shared_attrs = NULL WHERE attributes_id % 5 = 2;"
        "UPDATE event_data SET shared_data = '[' WHERE data_id % 5 = 0;"
        "UPDATE events SET event_type_id = 999 WHERE event_id % 7 = 0;"
        "UPDATE statistics SET mean = 'much' WHERE id % 10 = 0; UPDATE statistics SET start_ts = -id WHERE id % 10 = 1;"
        "UPDATE statistics SET metadata_id = 999 WHERE id % 10 = 2; UPDATE statistics SET max = 9e999 WHERE id % 10 = 3;");
    taken_open(t);
    probe_t *probe = start(&w);
    assert_int_equal(run(probe, take_row, t), 0);
    assert_int_equal(t->states.count + t->events.count, 611 + 953);
    assert_int_equal(t->statistics.count + t->refused, 1400);
    assert_int_equal(t->refused, 280);
    for (size_t i = 0; i < t->states.count; i++)
        assert_null(strstr(t->states.items[i], "|6D616465207570|")); /* made up */
    struct import_status status = status_of(&w);
    assert_int_equal(status.states, 611);
    assert_int_equal(status.statistics, 700);
    assert_int_equal(status.skipped, 0);
    probe_destroy(&probe);
    taken_close(t);
    free(t);
    world_close(&w);
}

static void a_row_larger_than_is_ever_read_is_left_out_and_counted(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    world_recorded(&w, 0);
    run_sql(w.base, "UPDATE states SET state = zeroblob(5000000) WHERE state_id IN (100, 612);"
        "UPDATE state_attributes SET shared_attrs = zeroblob(5000000) WHERE attributes_id = (SELECT attributes_id FROM states WHERE state_id = 1)");
    struct lines large = lines_ask(w.base, "SELECT t.state_id FROM states t WHERE length(CAST(state AS BLOB)) > 4000000 OR attributes_id ="
        " (SELECT attributes_id FROM states WHERE state_id = 1) OR old_state_id IN (100, 612)");
    probe_t *probe = start(&w);
    assert_int_equal(run(probe, ignore, &rows), 0);
    assert_int_equal(rows, 612 + 949 + 1400 - large.count);
    assert_int_equal(status_of(&w).skipped, large.count);
    assert_true(large.count >= 3);
    lines_free(&large);
    probe_destroy(&probe);
    world_close(&w);
}

/* --- beside Home Assistant ----------------------------------------------------------------------------------- */

static struct lines files_beside(const struct world *w)
{
    char command[400];
    struct lines lines = { 0 };
    snprintf(command, sizeof command, "cd %s && ls -l --time-style=full-iso | grep home-assistant; md5sum home-assistant*", w->directory);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    while (fgets(command, sizeof command, list))
        lines_add(&lines, command);
    pclose(list);
    return lines;
}

static void a_database_that_nobody_has_open_is_left_as_it_is_with_nothing_beside_it(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    world_recorded(&w, 2);
    struct lines before = files_beside(&w);
    assert_int_equal(before.count, 2); /* the file, and its sum */
    probe_t *probe = start(&w);
    assert_int_equal(run(probe, ignore, &rows), 0);
    probe_destroy(&probe);
    struct lines after = files_beside(&w);
    assert_int_equal(after.count, before.count);
    for (size_t i = 0; i < before.count; i++)
        assert_string_equal(before.items[i], after.items[i]);
    lines_free(&before);
    lines_free(&after);
    world_close(&w);
}

static void exec(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void it_reads_while_home_assistant_writes_and_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    sqlite3 *writer;
    int64_t now = INT64_C(1767225600000000);
    world_recorded(&w, 1);
    assert_int_equal(sqlite3_open(w.base, &writer), SQLITE_OK);
    exec(writer, "PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE;"
        "INSERT INTO states (metadata_id, state, last_updated_ts) VALUES (1, 'committed', 1795485404.5); COMMIT;"
        "BEGIN IMMEDIATE; INSERT INTO states (metadata_id, state, last_updated_ts) VALUES (1, 'not yet', 1795485404.6)");
    probe_t *probe = start_with(&w, "128");
    assert_non_null(probe);
    for (int turn = 0; turn < 2000 && probe_stopped(probe) < 0; turn++) {
        probe_advance(probe, 10);
        exec(writer, "COMMIT; BEGIN IMMEDIATE; INSERT INTO states (metadata_id, state, last_updated_ts) VALUES (1, 'later', 1795485404.7)");
        int log = 0, carried = 0;
        exec(writer, "COMMIT"); /* between pages nothing is locked: the log can be begun anew */
        assert_int_equal(sqlite3_wal_checkpoint_v2(writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, &carried), SQLITE_OK);
        exec(writer, "BEGIN IMMEDIATE");
        take(probe, ignore, &rows);
        probe_ack_all(probe);
        probe_set_now(probe, now += 10000);
        synced(probe, now);
    }
    assert_int_equal(probe_stopped(probe), 0);
    assert_int_equal(rows, 611 + 1 + 953 + 1400); /* what was committed when it began; the rest comes live */
    probe_destroy(&probe);
    sqlite3_close(writer);
    world_close(&w);
}

static void a_database_that_stood_still_is_followed_once_home_assistant_starts(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    sqlite3 *writer;
    world_recorded(&w, 1);
    probe_t *probe = start_with(&w, "64");
    probe_advance(probe, 10);
    take(probe, ignore, &rows);
    assert_int_equal(rows, 64);
    assert_int_equal(sqlite3_open(w.base, &writer), SQLITE_OK);
    exec(writer, "DELETE FROM states WHERE state_id BETWEEN 300 AND 349; DELETE FROM statistics_short_term; VACUUM;");
    probe_ack_all(probe);
    assert_int_equal(run(probe, ignore, &rows), 0);
    assert_int_equal(rows, 611 - 50 + 953 + 700); /* what is purged meanwhile is gone */
    struct import_status status = status_of(&w);
    assert_int_equal(status.states, 561);
    assert_int_equal(status.states_all, 561);
    probe_destroy(&probe);
    sqlite3_close(writer);
    world_close(&w);
}

static void a_locked_database_is_waited_for(void **state)
{
    (void)state;
    struct world w;
    size_t rows = 0;
    char why[256];
    sqlite3 *writer;
    world_recorded(&w, 0);
    run_sql(w.base, "PRAGMA journal_mode = DELETE");
    probe_t *probe = start(&w);
    assert_int_equal(sqlite3_open(w.base, &writer), SQLITE_OK);
    exec(writer, "BEGIN EXCLUSIVE; DELETE FROM events WHERE event_id = 1");
    for (int turn = 0; turn < 150; turn++)
        probe_advance(probe, 100);
    take(probe, ignore, &rows);
    assert_int_equal(rows, 0);
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "is locked"));
    exec(writer, "ROLLBACK");
    assert_int_equal(run(probe, ignore, &rows), 0);
    assert_int_equal(rows, 612 + 949 + 1400);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
    sqlite3_close(writer);
    world_close(&w);
}

static void rows_from_before_a_migration_have_their_names_in_the_columns_of_old(void **state)
{
    (void)state;
    struct world w;
    struct taken *t = malloc(sizeof *t);
    world_recorded(&w, 0);
    struct lines wanted = wanted_states(&w, false), events = wanted_events(&w);
    run_sql(w.base, "UPDATE states SET entity_id = (SELECT entity_id FROM states_meta m WHERE m.metadata_id = states.metadata_id), metadata_id = NULL"
        " WHERE state_id % 3 = 0;"
        "UPDATE states SET attributes = (SELECT shared_attrs FROM state_attributes a WHERE a.attributes_id = states.attributes_id), attributes_id = NULL"
        " WHERE state_id % 3 = 1;"
        "UPDATE events SET event_type = (SELECT event_type FROM event_types y WHERE y.event_type_id = events.event_type_id), event_type_id = NULL"
        " WHERE event_id % 3 = 0");
    taken_open(t);
    probe_t *probe = start(&w);
    assert_int_equal(run(probe, take_row, t), 0);
    assert_same_lines(&t->states, wanted);
    assert_same_lines(&t->events, events);
    probe_destroy(&probe);
    taken_close(t);
    free(t);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_recorded_databases_comes_out_exactly),
        cmocka_unit_test(a_second_run_sends_the_same_rows_with_the_same_places),
        cmocka_unit_test(after_a_kill_it_goes_on_and_leaves_out_nothing),
        cmocka_unit_test(what_the_store_has_not_synced_is_read_again_after_a_power_cut),
        cmocka_unit_test(a_store_that_never_says_that_it_has_synced_does_not_hold_the_end_up_for_ever),
        cmocka_unit_test(no_more_is_sent_than_may_be_unacknowledged),
        cmocka_unit_test(what_is_no_recorder_database_is_refused_in_a_sentence),
        cmocka_unit_test(a_schema_that_is_not_known_is_refused_by_its_number),
        cmocka_unit_test(a_truncated_database_is_told_and_what_was_read_before_stays),
        cmocka_unit_test(without_a_request_there_is_nothing_to_do),
        cmocka_unit_test(bad_rows_are_sent_to_be_judged_and_stop_nothing),
        cmocka_unit_test(a_row_larger_than_is_ever_read_is_left_out_and_counted),
        cmocka_unit_test(a_database_that_nobody_has_open_is_left_as_it_is_with_nothing_beside_it),
        cmocka_unit_test(it_reads_while_home_assistant_writes_and_keeps_nobody_waiting),
        cmocka_unit_test(a_database_that_stood_still_is_followed_once_home_assistant_starts),
        cmocka_unit_test(a_locked_database_is_waited_for),
        cmocka_unit_test(rows_from_before_a_migration_have_their_names_in_the_columns_of_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
