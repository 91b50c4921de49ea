/* fuzz_import.c - rows of a recorder database with anything in them: what is made of them is JSON, or is refused. */
#include "database.h"
#include "recorded.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const tables =
    "CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version);"
    "CREATE TABLE recorder_runs (run_id INTEGER PRIMARY KEY, start);"
    "CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id);"
    "CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, shared_attrs);"
    "CREATE TABLE event_types (event_type_id INTEGER PRIMARY KEY, event_type);"
    "CREATE TABLE event_data (data_id INTEGER PRIMARY KEY, shared_data);"
    "CREATE TABLE statistics_meta (id INTEGER PRIMARY KEY, statistic_id, source, unit_of_measurement, name, mean_type);"
    "CREATE TABLE states (state_id INTEGER PRIMARY KEY, metadata_id, state, attributes_id, last_updated_ts, last_changed_ts, last_reported_ts,"
    " old_state_id, origin_idx, context_id_bin, context_parent_id_bin, context_user_id_bin);"
    "CREATE TABLE events (event_id INTEGER PRIMARY KEY, event_type_id, data_id, time_fired_ts, origin_idx, context_id_bin, context_parent_id_bin,"
    " context_user_id_bin);"
    "CREATE TABLE statistics (id INTEGER PRIMARY KEY, metadata_id, start_ts, mean, min, max, state, sum, last_reset_ts, mean_weight);"
    "CREATE TABLE statistics_short_term (id INTEGER PRIMARY KEY, metadata_id, start_ts, mean, min, max, state, sum, last_reset_ts, mean_weight);"
    "INSERT INTO schema_changes VALUES (1, 53); INSERT INTO recorder_runs VALUES (1, 'now');";

static const char *const rows[] = {
    "INSERT OR REPLACE INTO states_meta VALUES (1, ?)", "INSERT OR REPLACE INTO state_attributes VALUES (1, ?)",
    "INSERT OR REPLACE INTO event_types VALUES (1, ?)", "INSERT OR REPLACE INTO event_data VALUES (1, ?)",
    "INSERT OR REPLACE INTO statistics_meta VALUES (1, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO states VALUES (1, 1, ?, 1, ?, ?, ?, 1, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO events VALUES (1, 1, 1, ?, ?, ?, ?, ?)",
    "INSERT OR REPLACE INTO statistics VALUES (1, 1, ?, ?, ?, ?, ?, ?, ?, ?)",
};

static struct { char path[64]; sqlite3 *db; database_t *read; json_t *json; msgpack_sbuffer bytes; } world;

static void drop(void)
{
    unlink(world.path);
}

static void begin(void)
{
    char why[300] = "";
    strcpy(world.path, access("/dev/shm", W_OK) ? "/tmp/fuzz-import-XXXXXX" : "/dev/shm/fuzz-import-XXXXXX");
    close(mkstemp(world.path));
    atexit(drop);
    assert(sqlite3_open(world.path, &world.db) == SQLITE_OK);
    assert(sqlite3_exec(world.db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY", NULL, NULL, NULL) == SQLITE_OK);
    assert(sqlite3_exec(world.db, tables, NULL, NULL, NULL) == SQLITE_OK);
    world.read = database_open(world.path, 1 << 20, why, sizeof why);
    if (!world.read)
        fprintf(stderr, "%s\n", why);
    assert(world.read);
    world.json = json_new();
    msgpack_sbuffer_init(&world.bytes);
}

/* A value of a type and with the bytes that the input says. */
static void bind_any(sqlite3_stmt *stmt, int at, const uint8_t **data, size_t *size)
{
    uint8_t kind = *size ? **data : 0;
    size_t length = *size > 1 ? (*data)[1] : 0, head = *size < 2 ? *size : 2;
    int64_t number = 0;
    *data += head;
    *size -= head;
    length = length < *size ? length : *size;
    memcpy(&number, *data, length < 8 ? length : 8);
    double real;
    memcpy(&real, &number, sizeof real);
    switch (kind % 6) {
    case 0: sqlite3_bind_null(stmt, at); break;
    case 1: sqlite3_bind_int64(stmt, at, number); break;
    case 2: sqlite3_bind_double(stmt, at, real); break;
    case 3: sqlite3_bind_text(stmt, at, (const char *)*data, (int)length, SQLITE_TRANSIENT); break;
    case 4: sqlite3_bind_blob(stmt, at, *data, (int)length, SQLITE_TRANSIENT); break;
    default: sqlite3_bind_double(stmt, at, 1795485404.5244899 + (double)(number & 0xffff) / 7);
    }
    *data += length;
    *size -= length;
}

static void look(enum table kind)
{
    struct json_value root;
    struct statistic_row statistic;
    struct fault fault;
    const char *why = "";
    enum step step = page_begin(world.read, kind, 0, 10);
    assert(step == STEP_ROW);
    row_t *row = page_row(world.read, kind);
    msgpack_sbuffer_clear(&world.bytes);
    if (kind == STATES)
        recorded_state(row, world.json, &world.bytes);
    else if (kind == EVENTS)
        recorded_event(row, world.json, &world.bytes);
    else if (recorded_statistic(row, kind, &statistic, &fault))
        recorded_show(row, &world.bytes);
    else
        assert(statistic_row_encode(&statistic, &world.bytes, &fault) || world.bytes.size > 0);
    if (kind <= EVENTS && json_read(world.json, (struct slice){ world.bytes.data, world.bytes.size }, &root, &why)) {
        fprintf(stderr, "%s: %.*s\n", why, (int)world.bytes.size, world.bytes.data);
        abort();
    }
    assert(page_next(world.read, kind) == STEP_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!world.db)
        begin();
    sqlite3_exec(world.db, "BEGIN", NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sqlite3_stmt *stmt;
        assert(sqlite3_prepare_v2(world.db, rows[i], -1, &stmt, NULL) == SQLITE_OK);
        for (int at = 1; at <= sqlite3_bind_parameter_count(stmt); at++)
            bind_any(stmt, at, &data, &size);
        assert(sqlite3_step(stmt) == SQLITE_DONE);
        sqlite3_finalize(stmt);
    }
    assert(sqlite3_exec(world.db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
    for (enum table kind = STATES; kind <= STATISTICS; kind++)
        look(kind);
    page_end(world.read);
    return 0;
}
