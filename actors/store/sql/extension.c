/* extension.c - the table ha_series for the user's own SQL: samples or buckets of entities, sealed ones included; and views of it.
 *
 * It reads the file that is `main`, over a connection of its own that cannot write, a page at a time
 * (points.h), so a long statement of the user keeps no old moment alive for this table. See docs/sql.md. */
#include "points.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const sqlite3_api_routines *sqlite3_api;

enum { PAGE_ROWS = 1000 };

/* Of the table: its columns, then the arguments. */
enum { ENTITY_ID, UNIT, ISO, AT, AT_US, FIRST_POINT /* from here on rows of `point` by name */ };
static const char *const point_names[] = { "value", "state", "removed", "count", "mean", "min", "max", "first", "last",
    "first_state", "last_state", "increase", "resets", "seconds", "seconds_unavailable", "seconds_gap", "durations" };
static const char *const arguments[] = { "ids", "from", "to", "step", "tz" };
enum { POINTS = sizeof point_names / sizeof *point_names, ARGUMENTS = sizeof arguments / sizeof *arguments, FIRST_ARGUMENT = FIRST_POINT + POINTS };

/* What else leads to rows: conditions on at_us. They are checked again, so they may be wide. */
enum { LOWER = ARGUMENTS, UPPER, WAYS };

static const char declaration[] =
    "CREATE TABLE ha_series (entity_id TEXT, unit TEXT, iso TEXT, time REAL, at_us INTEGER, value REAL, state TEXT, removed INTEGER, count INTEGER,"
    " mean REAL, min REAL, max REAL, first REAL, last REAL, first_state TEXT, last_state TEXT, increase REAL, resets INTEGER, seconds REAL, seconds_unavailable REAL,"
    " seconds_gap REAL, durations TEXT, ids HIDDEN, \"from\" HIDDEN, \"to\" HIDDEN, step HIDDEN, tz HIDDEN)";

struct table { sqlite3_vtab base; sqlite3 *db; store_t *store; char path[4096]; };
struct cursor {
    sqlite3_vtab_cursor base;
    struct points_query query;
    msgpack_sbuffer page;       /* encoded points */
    struct slice rest;
    struct point point;
    struct page end;
    int64_t row;
    bool is_over;
};

static int refuse(struct table *t, const char *field, const char *why)
{
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("%s%s%s", field, *field ? ": " : "", why);
    return SQLITE_ERROR;
}

/* --- the table ------------------------------------------------------------------------------------- */

static int connect_table(sqlite3 *db, void *owner, int argc, const char *const *argv, sqlite3_vtab **vtab, char **error)
{
    (void)owner, (void)argc, (void)argv, (void)error;
    int rc = sqlite3_declare_vtab(db, declaration);
    if (rc != SQLITE_OK)
        return rc;
    struct table *t = calloc(1, sizeof *t);
    assert(t);
    t->db = db;
    *vtab = &t->base;
    return SQLITE_OK;
}

static int disconnect_table(sqlite3_vtab *vtab)
{
    struct table *t = (struct table *)vtab;
    store_close(&t->store);
    free(t);
    return SQLITE_OK;
}

/* Which way a condition is, -1: none. */
static int way_of(int column, int op)
{
    bool above = op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_GT, below = op == SQLITE_INDEX_CONSTRAINT_LE || op == SQLITE_INDEX_CONSTRAINT_LT;
    if (column == AT_US && (above || below))
        return above ? LOWER : UPPER;
    if (op != SQLITE_INDEX_CONSTRAINT_EQ)
        return -1;
    return column == ENTITY_ID ? 0 : column >= FIRST_ARGUMENT ? column - FIRST_ARGUMENT : -1;
}

/* idxNum: a bit for each way that is given; an entity_id that is asked for is one of ids. */
static int best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    (void)vtab;
    int at[WAYS], given = 0;
    memset(at, -1, sizeof at);
    for (int i = 0; i < info->nConstraint; i++) {
        int column = info->aConstraint[i].iColumn, way = way_of(column, info->aConstraint[i].op);
        if (way < 0 || (at[way] >= 0 && column < FIRST_ARGUMENT))
            continue;
        if (info->aConstraint[i].usable)
            at[way] = i;
        else if (column >= FIRST_ARGUMENT)
            return SQLITE_CONSTRAINT; /* an argument is not known yet: in another order of the tables it is */
    }
    for (int way = 0; way < WAYS; way++)
        if (at[way] >= 0) {
            info->idxNum |= 1 << way;
            info->aConstraintUsage[at[way]].argvIndex = ++given;
            info->aConstraintUsage[at[way]].omit = info->aConstraint[at[way]].iColumn >= FIRST_ARGUMENT;
        }
    info->estimatedCost = info->idxNum & 1 ? 1e4 : 1e9;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor)
{
    (void)vtab;
    struct cursor *c = calloc(1, sizeof *c);
    assert(c);
    msgpack_sbuffer_init(&c->page);
    *cursor = &c->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
    struct cursor *c = (struct cursor *)cursor;
    msgpack_sbuffer_destroy(&c->page);
    free(c);
    return SQLITE_OK;
}

/* --- rows --------------------------------------------------------------------------------------------- */

static int keep_point(void *owner, const struct point *point)
{
    struct cursor *c = owner;
    struct fault fault;
    return point_encode(point, &c->page, &fault);
}

/* The end of this second: a sample of this moment is one of before. */
static int64_t now_us(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int64_t now = MAX_TIME_US;
    if (sqlite3_prepare_v2(db, "SELECT (strftime('%s') + 1) * 1000000", -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        now = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return now;
}

static int next_page(struct table *t, struct cursor *c)
{
    struct fault fault = { "", "" };
    msgpack_sbuffer_clear(&c->page);
    enum store_result result = store_points(t->store, &c->query, now_us(t->db), keep_point, c, &c->end, &fault);
    if (result == STORE_BAD)
        return refuse(t, fault.field, fault.why);
    if (result != STORE_OK)
        return refuse(t, "", store_why(t->store));
    c->rest = (struct slice){ c->page.data, c->page.size };
    if (c->end.has_next_cursor)
        SET_TEXT(&c->query, cursor, c->end.next_cursor, c->end.next_cursor_size);
    return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *cursor)
{
    struct cursor *c = (struct cursor *)cursor;
    struct table *t = (struct table *)cursor->pVtab;
    struct slice one;
    struct fault fault;
    while (!frame_next(&c->rest, &one)) {
        if (!c->end.has_next_cursor) {
            c->is_over = true;
            return SQLITE_OK;
        }
        int rc = next_page(t, c);
        if (rc != SQLITE_OK)
            return rc;
    }
    c->row++;
    return point_decode(one, &c->point, &fault) == 0 ? SQLITE_OK : refuse(t, fault.field, fault.why);
}

static int open_store(struct table *t)
{
    const char *path = sqlite3_db_filename(t->db, "main"), *why = "";
    if (!path || !*path || strlen(path) >= sizeof t->path)
        return refuse(t, "", "open the store's file (store.db) as the main database");
    if (t->store && strcmp(t->path, path) == 0)
        return SQLITE_OK;
    store_close(&t->store);
    strcpy(t->path, path);
    t->store = store_open(&(struct store_options){ .path = path }, &why);
    return t->store ? SQLITE_OK : refuse(t, "", why);
}

static int set_argument(struct table *t, struct cursor *c, const char *name, sqlite3_value *value)
{
    struct fault fault = { name, "cannot be read" };
    const struct field *f = schema_field(points_query_schema(), name, strlen(name));
    const char *text = (const char *)sqlite3_value_text(value);
    if (!text) /* NULL: as if it were not given */
        return SQLITE_OK;
    return schema_set_text(f, text, (size_t)sqlite3_value_bytes(value), &c->query, &fault) == 0 ? SQLITE_OK : refuse(t, name, fault.why);
}

static void set_bound(struct cursor *c, int way, sqlite3_value *value)
{
    int type = sqlite3_value_numeric_type(value);
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT)
        return;
    double at = sqlite3_value_double(value);
    int64_t bound = at < 0.0 ? 0 : at >= (double)MAX_TIME_US ? MAX_TIME_US : sqlite3_value_int64(value);
    if (way == LOWER && !c->query.has_from)
        SET(&c->query, from, bound);
    else if (way == UPPER && !c->query.has_to)
        SET(&c->query, to, bound < MAX_TIME_US ? bound + 1 : bound);
    c->is_over = c->query.has_from && c->query.has_to && c->query.from >= c->query.to; /* as every condition that nothing meets */
}

static int filter(sqlite3_vtab_cursor *cursor, int given, const char *text, int argc, sqlite3_value **argv)
{
    static const char every_stat[] = "count,mean,min,max,first,last,increase,resets,seconds,seconds_unavailable,seconds_gap,durations";
    struct cursor *c = (struct cursor *)cursor;
    struct table *t = (struct table *)cursor->pVtab;
    (void)text;
    schema_clear(points_query_schema(), &c->query);
    SET(&c->query, limit, PAGE_ROWS);
    SET_TEXT(&c->query, stat, every_stat, sizeof every_stat - 1);
    c->is_over = false;
    c->row = 0;
    int rc = open_store(t);
    for (int way = 0, at = 0; way < WAYS && at < argc && rc == SQLITE_OK; way++)
        if (given >> way & 1 && way < ARGUMENTS)
            rc = set_argument(t, c, arguments[way], argv[at++]);
        else if (given >> way & 1)
            set_bound(c, way, argv[at++]);
    if (rc == SQLITE_OK && points_ids_are_too_many(&c->query))
        rc = refuse(t, "ids", "are more than 200");
    if (c->is_over)
        return rc;
    if (rc == SQLITE_OK)
        rc = next_page(t, c);
    return rc == SQLITE_OK ? next(cursor) : rc;
}

static int is_over(sqlite3_vtab_cursor *cursor)
{
    return ((struct cursor *)cursor)->is_over;
}

static int row_number(sqlite3_vtab_cursor *cursor, sqlite3_int64 *row)
{
    *row = ((struct cursor *)cursor)->row;
    return SQLITE_OK;
}

/* --- values -------------------------------------------------------------------------------------------- */

static void give_text(sqlite3_context *to, bool has, struct slice text)
{
    if (has)
        sqlite3_result_text64(to, text.size ? text.data : "", text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void give_field(sqlite3_context *to, const struct point *point, const char *name)
{
    const struct field *f = schema_field(point_schema(), name, strlen(name));
    const char *base = (const char *)point;
    if (!*(const bool *)(base + f->has_at))
        return;
    if (f->kind == INT_KIND)
        sqlite3_result_int64(to, *(const int64_t *)(const void *)(base + f->at));
    else if (f->kind == REAL_KIND)
        sqlite3_result_double(to, *(const double *)(const void *)(base + f->at));
    else if (f->kind == FLAG_KIND)
        sqlite3_result_int(to, *(const bool *)(base + f->at));
    else
        give_text(to, true, *(const struct slice *)(const void *)(base + f->at));
}

static int column(sqlite3_vtab_cursor *cursor, sqlite3_context *to, int column)
{
    const struct point *p = &((struct cursor *)cursor)->point;
    int64_t at = p->has_time ? p->time : p->start;
    char iso[TIME_TEXT];
    switch (column) {
    case ENTITY_ID: give_text(to, p->has_entity_id, p->entity_id); break;
    case UNIT:      give_text(to, p->has_unit, p->unit); break;
    case ISO:
        time_text(at, iso);
        give_text(to, true, slice_of(iso));
        break;
    case AT:        sqlite3_result_double(to, (double)at / 1e6); break;
    case AT_US:     sqlite3_result_int64(to, at); break;
    default:
        if (column < FIRST_ARGUMENT)
            give_field(to, p, point_names[column - FIRST_POINT]);
    }
    return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1, .xConnect = connect_table, .xBestIndex = best_index, .xDisconnect = disconnect_table, .xOpen = open_cursor, .xClose = close_cursor,
    .xFilter = filter, .xNext = next, .xEof = is_over, .xColumn = column, .xRowid = row_number,
};

__attribute__((visibility("default"))) int sqlite3_haingestor_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);
int sqlite3_haingestor_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    static const char views[] =
#define BUCKETS(name, step) \
        "CREATE TEMP VIEW IF NOT EXISTS " name " AS SELECT entity_id, unit, iso, time, at_us, count, mean, min, max, first, last, first_state, last_state, increase, resets," \
        " seconds, seconds_unavailable, seconds_gap, durations FROM ha_series WHERE step = '" step "';"
        BUCKETS("v_quarter_hourly", "15m") BUCKETS("v_hourly", "1h") BUCKETS("v_daily", "1d") BUCKETS("v_monthly", "1mo");
#undef BUCKETS
    sqlite3_api = api;
    int rc = sqlite3_create_module_v2(db, "ha_series", &module, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, views, NULL, NULL, error) : rc;
}
