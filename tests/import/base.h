/* base.h - recorder databases to import: those that Home Assistant wrote, with statistics put in, and bent ones. */
#ifndef BASE_H
#define BASE_H

#include <assert.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    assert(sqlite3_open(path, &db) == SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        printf("%s: %s\n", sql, why);
    assert(!why);
    sqlite3_close(db);
}

/* The database that a version of Home Assistant wrote, at `path`. */
static inline void recorded_database(const char *version, const char *path)
{
    char name[128], bytes[65536];
    snprintf(name, sizeof name, "../recorded/ha-%s-recorder.db.gz", version);
    gzFile from = gzopen(name, "rb");
    FILE *to = fopen(path, "wb");
    assert(from && to);
    for (int n; (n = gzread(from, bytes, sizeof bytes)) > 0;)
        assert(fwrite(bytes, 1, (size_t)n, to) == (size_t)n);
    gzclose(from);
    fclose(to);
}

/* Home Assistant was recorded for too short a time to have any: what its statistics look like. */
static inline void add_statistics(const char *path, bool has_mean_type)
{
    char sql[2000];
    snprintf(sql, sizeof sql,
        "INSERT INTO statistics_meta (id, statistic_id, source, unit_of_measurement, has_mean, has_sum, name%s) VALUES"
        " (1, 'sensor.power', 'recorder', 'W', 1, 0, NULL%s), (2, 'energy:solar', 'energy', 'kWh', 0, 1, 'Solar \"roof\"%s),"
        " (3, 'sensor.wind', 'recorder', NULL, 1, 0, NULL%s);",
        has_mean_type ? ", mean_type" : "", has_mean_type ? ", 1" : "", has_mean_type ? "', 0" : "'", has_mean_type ? ", 2" : "");
    run_sql(path, sql);
    for (int table = 0; table < 2; table++) {
        snprintf(sql, sizeof sql,
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 699)"
            " INSERT INTO %s (created_ts, metadata_id, start_ts, mean, min, max, last_reset_ts, state, sum)"
            " SELECT 1795485600.5, i %% 3 + 1, 1795485600.0 + i / 3 * %d,"
            " CASE WHEN i %% 3 <> 1 THEN i * 0.1 END, CASE WHEN i %% 3 <> 1 THEN -i END, CASE WHEN i %% 3 <> 1 THEN 1e300 END,"
            " CASE WHEN i %% 3 = 1 THEN 1795485404.5244899 END, CASE WHEN i %% 3 = 1 THEN i END, CASE WHEN i %% 3 = 1 THEN i * 1.7 END FROM n",
            table ? "statistics_short_term" : "statistics", table ? 300 : 3600);
        run_sql(path, sql);
    }
}

/* Rows of a question, each a text of its first column, sorted. */
struct lines { char **items; size_t count; };

static inline void lines_add(struct lines *lines, const char *text)
{
    if ((lines->count & (lines->count - 1)) == 0)
        lines->items = realloc(lines->items, (lines->count ? lines->count * 2 : 1) * sizeof *lines->items);
    assert(lines->items);
    lines->items[lines->count++] = strdup(text);
}

static inline int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void lines_sort(struct lines *lines)
{
    if (lines->count)
        qsort(lines->items, lines->count, sizeof *lines->items, by_text);
}

static inline void lines_free(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i]);
    free(lines->items);
    *lines = (struct lines){ 0 };
}

static inline struct lines lines_ask(const char *path, const char *sql)
{
    struct lines lines = { 0 };
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        printf("%s\n", sqlite3_errmsg(db));
    assert(rc == SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        lines_add(&lines, (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    lines_sort(&lines);
    return lines;
}

#endif
