/* views.c - what a user's own SQL may read: views in the store's file, made by its writer. See docs/sql.md.
 *
 * The body of a row is packed (body.c). v_states reads it with nothing but SQLite's own functions, so that it
 * works wherever the file can be opened: a walk over the numbers in it, up to the state. The levels of
 * that walk end with LIMIT 1, which keeps SQLite from merging them into one expression of immense size. */
#include "inside.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(msgpack_sbuffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(msgpack_sbuffer *to, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    assert(size >= 0 && (size_t)size < sizeof text);
    msgpack_sbuffer_write(to, text, (size_t)size);
}

/* --- the walk: of h, the body in hexadecimal digits, i is the place of the next byte's first one --- */

static void say_byte(msgpack_sbuffer *to, const char *i, int next)
{
    static const char digit[] = "instr('0123456789ABCDEF', substr(h, %s + %d, 1))";
    say(to, "(");
    say(to, digit, i, 2 * next);
    say(to, " * 16 + ");
    say(to, digit, i, 2 * next + 1);
    say(to, " - 17)");
}

/* Where the number at i has ended: with the first byte below 0x80. */
static void say_after(msgpack_sbuffer *to, const char *i)
{
    say(to, "%s + CASE", i);
    for (int bytes = 1; bytes < 10; bytes++)
        say(to, " WHEN substr(h, %s + %d, 1) < '8' THEN %d", i, 2 * (bytes - 1), 2 * bytes);
    say(to, " ELSE 20 END");
}

/* Its value, below 2^28: sizes, and numbers of words. */
static void say_number(msgpack_sbuffer *to, const char *i)
{
    say(to, "CASE");
    for (int bytes = 1; bytes <= 4; bytes++) {
        say(to, bytes < 4 ? " WHEN substr(h, %s + %d, 1) < '8' THEN " : " ELSE ", i, 2 * (bytes - 1));
        for (int n = 0; n < bytes; n++) {
            say(to, n ? " | ((" : "((");
            say_byte(to, i, n);
            say(to, " & 127) << %d)", 7 * n);
        }
    }
    say(to, " END");
}

/* What lies before the state, in the order of body.c and named by its flags' first bits. */
enum part { NUMBER_IF, NUMBER_IF_ONE /* of the two bits */, NUMBER_ALWAYS, CONTEXT_OF };
static const struct { enum part part; int bit; } walk[] = {
    { NUMBER_IF, 11 /* attributes */ }, { NUMBER_IF, 28 /* readings */ }, { NUMBER_IF, 26 /* user */ }, { CONTEXT_OF, 20 }, { CONTEXT_OF, 23 /* parent */ },
    { NUMBER_ALWAYS, 0 /* received_at */ }, { NUMBER_IF_ONE, 5 /* updated */ }, { NUMBER_IF_ONE, 7 /* changed */ }, { NUMBER_IF_ONE, 9 /* reported */ },
};
enum { STEPS = sizeof walk / sizeof *walk };

static void say_step(msgpack_sbuffer *to, enum part part, int bit)
{
    if (part == CONTEXT_OF) {
        say(to, "CASE f >> %d & 7 WHEN 0 THEN i WHEN 1 THEN ", bit);
        say_after(to, "i");
        say(to, " + 20 WHEN 4 THEN ");
        say_after(to, "i");
        say(to, " + 2 * (");
        say_number(to, "i");
        say(to, ") ELSE i + 32 END");
        return;
    }
    if (part != NUMBER_ALWAYS)
        say(to, part == NUMBER_IF ? "CASE WHEN f >> %d & 1 THEN " : "CASE WHEN f >> %d & 3 = 1 THEN ", bit);
    say_after(to, "i");
    if (part != NUMBER_ALWAYS)
        say(to, " ELSE i END");
}

/* WITH ...: the last one, w<steps>, has h, f (the flags) and i, after so many steps. One below the other they
 * would be deeper than SQLite's parser goes. */
static void say_walk(msgpack_sbuffer *to, int steps)
{
    say(to, "WITH w0 AS (SELECT h, ");
    for (int byte = 0; byte < 4; byte++) {
        say(to, byte ? " | (" : "(");
        say_byte(to, "3", byte);
        say(to, " << %d)", 8 * byte);
    }
    say(to, " AS f, ");
    say_after(to, "11"); /* the snapshot */
    say(to, " AS i FROM (SELECT hex(e.body) AS h) LIMIT 1)");
    for (int step = 0; step < steps; step++) {
        say(to, ", w%d AS (SELECT h, f, ", step + 1);
        say_step(to, walk[step].part, walk[step].bit);
        say(to, " AS i FROM w%d LIMIT 1)", step);
    }
}

/* ..., x AS the text of the state. */
static void say_state(msgpack_sbuffer *to)
{
    say_walk(to, STEPS);
    say(to, ", x AS (SELECT CASE WHEN f >> 2 & 1 THEN CAST(substr(e.body, (");
    say_after(to, "i");
    say(to, " + 1) / 2, ");
    say_number(to, "i");
    say(to, ") AS TEXT) END AS x FROM w%d LIMIT 1)", (int)STEPS);
}

/* --- the views ------------------------------------------------------------------------------------ */

#define NAME "CAST(name AS TEXT)"
#define ISO(us) "strftime('%%Y-%%m-%%dT%%H:%%M:%%S', " us " / 1000000, 'unixepoch') || printf('.%%06dZ', " us " %% 1000000)"

static void say_entities(msgpack_sbuffer *to)
{
    say(to, "SELECT id AS series, " NAME " AS entity_id, substr(" NAME ", 1, max(instr(" NAME ", '.') - 1, 0)) AS domain FROM series WHERE is_state");
}

static void say_attributes(msgpack_sbuffer *to)
{
    say(to, "SELECT id, CAST(bytes AS TEXT) AS json FROM attribute");
}

/* A number as number_read() takes it: `=` makes one of a text that is one from end to end. */
static void say_states(msgpack_sbuffer *to)
{
    say(to, "SELECT CAST(s.name AS TEXT) AS entity_id, e.at / 1000000.0 AS time, " ISO("e.at") " AS iso, e.at AS at_us, (");
    say_state(to);
    say(to, " SELECT x FROM x) AS state, (");
    say_state(to);
    say(to, " SELECT CASE WHEN x NOT GLOB '*[^0-9eE.+-]*' AND x = CAST(x AS NUMERIC) AND length(x) < 128"
        " AND abs(CAST(x AS REAL)) <= 1.7976931348623157e308 THEN CAST(x AS REAL) END FROM x LIMIT 1) AS number, (SELECT ");
    say_number(to, "11");
    say(to, " FROM (SELECT hex(substr(e.body, 1, 16)) AS h) LIMIT 1) AS registry, (");
    say_walk(to, 0);
    say(to, " SELECT CASE WHEN f >> 11 & 1 THEN ");
    say_number(to, "i");
    say(to, " END FROM w0 LIMIT 1) AS attributes FROM series s CROSS JOIN event e ON e.series = s.id WHERE s.is_state");
}

/* Parts of a snapshot in the order of body.c: a size + 1 (0: absent) and the bytes. */
static void say_registry(msgpack_sbuffer *to)
{
    static const struct { int part; const char *name; } parts[] = {
        { 4, "device_id" }, { 5, "area_id" }, { 6, "area" }, { 7, "integration" }, { 8, "device_class" }, { 9, "manufacturer" }, { 10, "model" },
        { 11, "sw_version" }, { 12, "labels" }, { 13, "entity_category" }, { 14, "unit" }, { 15, "canonical_unit" },
    };
    say(to, "WITH RECURSIVE part AS (SELECT id, 0 AS n, 1 AS i, hex(bytes) AS h, bytes FROM snapshot"
        " UNION ALL SELECT id, n + 1, ");
    say_after(to, "i");
    say(to, " + 2 * max(");
    say_number(to, "i");
    say(to, " - 1, 0), h, bytes FROM part WHERE i < length(h)), said AS (SELECT id, n, CASE WHEN ");
    say_number(to, "i");
    say(to, " > 0 THEN CAST(substr(bytes, (");
    say_after(to, "i");
    say(to, " + 1) / 2, ");
    say_number(to, "i");
    say(to, " - 1) AS TEXT) END AS x FROM part WHERE i < length(h)) SELECT id");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        say(to, ", max(CASE n WHEN %d THEN x END) AS %s", parts[i].part, parts[i].name);
    say(to, " FROM said GROUP BY id");
}

static void say_statistics(msgpack_sbuffer *to)
{
    say(to, "SELECT CAST(name AS TEXT) AS statistic_id, seconds AS period_s, start AS time, " ISO("(start * 1000000)") " AS iso,"
        " mean, min, max, state, sum FROM statistic_series CROSS JOIN statistic ON series = id");
}

static void say_gaps(msgpack_sbuffer *to)
{
    say(to, "SELECT g.id, CAST(s.name AS TEXT) AS entity_id, since AS from_us, nullif(until, 0) AS to_us, " ISO("since") " AS from_iso,"
        " CASE WHEN until > 0 THEN " ISO("until") " END AS to_iso FROM gap g LEFT JOIN series s ON s.id = g.series");
}

static void say_chunks(msgpack_sbuffer *to)
{
    say(to, "SELECT CAST(s.name AS TEXT) AS name, is_state, first AS from_us, last AS last_us, rows, numbers, min, max,"
        " main_bytes + rest_bytes AS bytes, bad FROM series s CROSS JOIN chunk c ON c.series = s.id");
}

struct view { const char *name; void (*say)(msgpack_sbuffer *); };
static const struct view views[] = {
    { "v_entities", say_entities }, { "v_states", say_states }, { "v_attributes", say_attributes }, { "v_registry", say_registry },
    { "v_statistics", say_statistics }, { "v_gaps", say_gaps }, { "v_chunks", say_chunks },
};

/* Buckets: a number that did not change is written once, and so is one state that lasted. */
static void say_buckets(msgpack_sbuffer *to, int tier, const char *more)
{
    say(to, "SELECT CAST(s.name AS TEXT) AS entity_id, start AS time, strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', start, 'unixepoch') AS iso,"
        " start * 1000000 AS at_us, %sunit, count, mean, coalesce(min, mean) AS min, coalesce(max, mean) AS max,"
        " CASE WHEN state IS NOT NULL THEN state WHEN min IS NULL THEN mean ELSE last END AS last, increase, seconds,"
        " unavailable AS seconds_unavailable, gap AS seconds_gap, CASE WHEN durations IS NULL AND state IS NOT NULL THEN json_object(state, seconds)"
        " ELSE durations END AS durations FROM series s CROSS JOIN bucket b ON b.series = s.id AND b.tier = %d WHERE s.is_state", more, tier);
}

static void say_hours(msgpack_sbuffer *to)
{
    say_buckets(to, 2, "");
}

static void say_days(msgpack_sbuffer *to)
{
    say_buckets(to, 3, "date(day * 86400, 'unixepoch') AS day, ");
}

enum found { IS_THERE, IS_OTHER, IS_MISSING, IS_TROUBLE };

static enum found look_at(store_t *store, const char *name, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, "SELECT sql = ?2 FROM sqlite_master WHERE type = 'view' AND name = ?1", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 2, sql, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt);
    }
    enum found found = rc == SQLITE_DONE ? IS_MISSING : rc != SQLITE_ROW ? IS_TROUBLE : sqlite3_column_int(stmt, 0) ? IS_THERE : IS_OTHER;
    sqlite3_finalize(stmt);
    return found;
}

/* -1: why is set. */
static int make(store_t *store, const char *name, const char *sql)
{
    char drop[80];
    enum found found = look_at(store, name, sql);
    snprintf(drop, sizeof drop, "DROP VIEW %s", name);
    bool failed = found == IS_TROUBLE || (found == IS_OTHER && sqlite3_exec(store->db, drop, NULL, NULL, NULL) != SQLITE_OK)
        || (found != IS_THERE && sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK);
    if (failed)
        trouble(store, "cannot make the views");
    return failed ? -1 : 0;
}

static int make_all(store_t *store, const struct view *list, size_t count)
{
    msgpack_sbuffer sql;
    int rc = 0;
    msgpack_sbuffer_init(&sql);
    for (size_t i = 0; i < count && rc == 0; i++) {
        msgpack_sbuffer_clear(&sql);
        say(&sql, "CREATE VIEW %s AS ", list[i].name);
        list[i].say(&sql);
        msgpack_sbuffer_write(&sql, "", 1);
        rc = make(store, list[i].name, sql.data);
    }
    msgpack_sbuffer_destroy(&sql);
    return rc;
}

int views_make(store_t *store)
{
    return make_all(store, views, sizeof views / sizeof *views);
}

int views_make_buckets(store_t *store, bool is_on)
{
    static const struct view buckets[] = { { "v_hour", say_hours }, { "v_day", say_days } };
    if (is_on)
        return make_all(store, buckets, sizeof buckets / sizeof *buckets);
    if (sqlite3_exec(store->db, "DROP VIEW IF EXISTS v_hour; DROP VIEW IF EXISTS v_day", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    trouble(store, "cannot drop the views");
    return -1;
}
