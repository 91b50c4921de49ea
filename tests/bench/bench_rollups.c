/* bench_rollups.c - a year of entities of every kind: what rolling up costs, takes, and saves. */
#include "rolling.h"

#include <assert.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define YEAR_US (365 * DAY_US)
#define START_US INT64_C(1735689600000000) /* 1 January 2025 */

enum habit { POLLED, COUNTER, BINARY, MEDIA };
struct kind_of { const char *name; enum habit kind; int samples; };
static const struct kind_of entities[] = {
    { "sensor.busiest", POLLED, 367000 }, { "sensor.typical", POLLED, 37000 }, { "sensor.noisy", POLLED, 37000 },
    { "sensor.energy", COUNTER, 52000 }, { "binary_sensor.motion", BINARY, 20000 }, { "media_player.tv", MEDIA, 9000 },
};
enum { ENTITIES = sizeof entities / sizeof *entities, RUNS = 200, FEW = 5 };
static int runs = FEW;

static uint64_t seed = 88172645463325252;
static int64_t chance(int64_t of)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)of);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int say(enum habit kind, int64_t at, double *level, char to[64])
{
    static const char *const media[] = { "playing", "paused", "idle", "off", "buffering" };
    switch (kind) {
    case POLLED:
        *level = *level * 0.99 + (double)(chance(21) - 10) / 10;
        return snprintf(to, 64, "%.1f", 20 + 5 * sin((double)(at % DAY_US) / (double)DAY_US * 6.28) + *level);
    case COUNTER:
        *level += (double)chance(20) / 1000;
        return snprintf(to, 64, "%.3f", *level);
    case BINARY:
        *level = 1 - *level;
        return snprintf(to, 64, "%s", *level > 0 ? "on" : "off");
    default:
        return snprintf(to, 64, "%s", media[chance(5)]);
    }
}

static void append(store_t *store, const struct kind_of *k, int64_t at, double *level, int64_t place)
{
    struct event_full e;
    struct fault fault;
    char state[64], context[40];
    schema_clear(event_full_schema(), &e);
    int size = say(k->kind, at, level, state);
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of(k->name));
    SET(&e, state, ((struct slice){ state, (size_t)size }));
    SET(&e, timestamp, at);
    SET(&e, last_updated, at);
    SET(&e, received_at, at + 2000);
    SET(&e, place, place);
    SET_TEXT(&e, provenance, "live", 4);
    if (k->kind <= COUNTER)
        SET(&e, unit, slice_of(k->kind == COUNTER ? "kWh" : "°C"));
    SET(&e, attributes, slice_of(k->kind == COUNTER ? "{\"state_class\":\"total_increasing\"}" : "{\"friendly_name\":\"x\"}"));
    size = snprintf(context, sizeof context, "%032llx", (unsigned long long)place);
    SET(&e, context_id, ((struct slice){ context, (size_t)size }));
    if (store_append(store, &e, &fault) != STORE_OK)
        abort();
}

static int64_t fill(store_t *store)
{
    int64_t place = 0;
    for (size_t i = 0; i < ENTITIES; i++) {
        int64_t at = START_US, pace = YEAR_US / entities[i].samples;
        double level = 0;
        for (int n = 0; n < entities[i].samples; n++) {
            append(store, &entities[i], at + chance(pace), &level, ++place);
            at += pace;
            if (n % 8192 == 0)
                store_commit(store);
        }
        store_commit(store);
    }
    return place;
}

static int count(void *owner, const struct bucket *b)
{
    *(int64_t *)owner += b->count;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    double l = *(const double *)a, r = *(const double *)b;
    return l < r ? -1 : l > r;
}

static void ask(store_t *reader, int64_t series, const char *what, struct step step, int64_t us)
{
    double times[RUNS];
    int64_t samples = 0;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < runs; i++) {
        struct bucket_question q = { .from_us = START_US + YEAR_US - us, .to_us = START_US + YEAR_US, .now_us = START_US + YEAR_US + DAY_US, .step = step };
        double begun = seconds(CLOCK_MONOTONIC);
        samples = 0;
        enum store_result result = store_buckets(reader, series, &q, count, &samples);
        if (result != STORE_OK) {
            printf("  %-24s %-14s %s\n", entities[series - 1].name, what, result == STORE_LATE ? "takes too long" : store_why(reader));
            return;
        }
        times[i] = seconds(CLOCK_MONOTONIC) - begun;
    }
    cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / runs;
    qsort(times, (size_t)runs, sizeof *times, by_size);
    printf("  %-24s %-14s CPU %7.3f ms  p50 %7.3f ms  p99 %7.3f ms  (%lld samples)\n", entities[series - 1].name, what, cpu * 1e3, times[runs / 2] * 1e3,
           times[runs * 99 / 100] * 1e3, (long long)samples);
}

static void ask_all(store_t *reader, const zone_t *zone)
{
    for (int64_t series = 1; series <= ENTITIES; series++) {
        ask(reader, series, "year by hour", (struct step){ .us = HOUR_US }, YEAR_US);
        if (series > 2)
            continue;
        ask(reader, series, "year by day", (struct step){ .kind = STEP_DAY, .zone = zone }, YEAR_US);
        ask(reader, series, "month by 15 min", (struct step){ .us = QUARTER_US }, 30 * DAY_US);
        ask(reader, series, "day by 5 min", (struct step){ .us = QUARTER_US / 3 }, DAY_US);
    }
}

static void sizes(const char *path, int64_t samples)
{
    static const char text[] = "SELECT name, tier, sum(length(bytes)), count(*) FROM rollup JOIN series ON id = series GROUP BY 1, 2";
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t total = 0, of;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) || sqlite3_prepare_v2(db, text, -1, &stmt, NULL))
        abort();
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        of = 1;
        for (size_t i = 0; i < ENTITIES; i++)
            if (strcmp(name, entities[i].name) == 0)
                of = entities[i].samples;
        printf("  %-24s tier %d  %8lld bytes in %2d chunks, %5.2f a sample\n", name, sqlite3_column_int(stmt, 1),
               (long long)sqlite3_column_int64(stmt, 2), sqlite3_column_int(stmt, 3), (double)sqlite3_column_int64(stmt, 2) / (double)of);
        total += sqlite3_column_int64(stmt, 2);
    }
    printf("  all: %.2f bytes a sample\n", (double)total / (double)samples);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* The same once more as rows for SQL (plain.h): what they cost and take, and a year of them by the user's own SQL. */
static void as_rows(store_t *writer, const char *path, int64_t samples)
{
    double begun = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t rows = 0;
    if (store_set_plain(writer, true) != STORE_OK)
        abort();
    for (bool is_done = false; !is_done;)
        if (store_roll(writer, START_US + YEAR_US + DAY_US, &is_done) != STORE_OK)
            abort();
    printf("once more, as rows for SQL: %.0f ns of CPU a sample\n", (seconds(CLOCK_PROCESS_CPUTIME_ID) - begun) / (double)samples * 1e9);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL)
            || sqlite3_prepare_v2(db, "SELECT tier, (SELECT count(*) FROM bucket), (SELECT sum(pgsize) FROM dbstat WHERE name = 'bucket') FROM bucket LIMIT 1", -1, &stmt, NULL))
        abort();
    if (sqlite3_step(stmt) == SQLITE_ROW)
        printf("  %lld rows, %.1f bytes each, %.2f a sample\n", (long long)sqlite3_column_int64(stmt, 1),
               (double)sqlite3_column_int64(stmt, 2) / (double)sqlite3_column_int64(stmt, 1), (double)sqlite3_column_int64(stmt, 2) / (double)samples);
    sqlite3_finalize(stmt);
    if (sqlite3_prepare_v2(db, "SELECT time, mean, min, max, last FROM v_hour WHERE entity_id = 'sensor.typical' AND time >= 1735689600 AND time < 1767225600 ORDER BY time", -1, &stmt, NULL))
        abort();
    begun = seconds(CLOCK_PROCESS_CPUTIME_ID);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        rows += sqlite3_column_double(stmt, 1) > -1e9;
    printf("  a year by hour out of v_hour: %lld rows in %.1f ms of CPU\n", (long long)rows, (seconds(CLOCK_PROCESS_CPUTIME_ID) - begun) * 1e3);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

int main(void)
{
    char directory[] = "/tmp/bench-rollups-XXXXXX", path[64], command[80];
    const char *why;
    assert(mkdtemp(directory) && setvbuf(stdout, NULL, _IOLBF, 0) == 0);
    snprintf(path, sizeof path, "%s/store.db", directory);
    store_t *writer = store_open(&(struct store_options){ .path = path, .writer = true, .cache_bytes = 8 << 20 }, &why);
    store_t *reader = store_open(&(struct store_options){ .path = path, .cache_bytes = 8 << 20 }, &why);
    zone_t *zone = zone_open("Europe/Vienna", &why);
    assert(writer && reader && zone && store_set_zone(writer, "Europe/Vienna") == STORE_OK);
    int64_t samples = fill(writer);
    printf("%lld samples; from samples:\n", (long long)samples);
    ask_all(reader, zone);
    double begun = seconds(CLOCK_PROCESS_CPUTIME_ID), longest = 0;
    int steps = 0;
    for (bool is_done = false; !is_done; steps++) {
        double before = seconds(CLOCK_MONOTONIC);
        if (store_roll(writer, START_US + YEAR_US + DAY_US, &is_done) != STORE_OK)
            abort();
        double took = seconds(CLOCK_MONOTONIC) - before;
        longest = took > longest ? took : longest;
    }
    printf("rolled up in %d steps, %.0f ns of CPU a sample, the longest step %.1f ms:\n", steps,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - begun) / (double)samples * 1e9, longest * 1e3);
    sizes(path, samples);
    printf("from rollups:\n");
    runs = RUNS;
    ask_all(reader, zone);
    as_rows(writer, path, samples);
    store_close(&reader);
    store_close(&writer);
    zone_destroy(&zone);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}
