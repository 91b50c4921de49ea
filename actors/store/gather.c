/* gather.c - sealed rows in the order of lists: of one series or of all that a list wants, a stretch of time at once. */
#include "gather.h"

#include "pack.h"

#include <stdlib.h>

/* Of all series: rows at once, first and later; where there are more by far, the stretch is cut. */
enum { FIRST_TARGET = 128, MUCH = 64, LAST_TARGET = 4096, ROWS_MAX = 32768, BODIES_MAX = 8 << 20 };

struct gather *gather_new(const struct merge *merge, int64_t series, int64_t from, int64_t to, bool descending)
{
    struct gather *g = calloc(1, sizeof *g);
    assert(g);
    *g = (struct gather){ .descending = descending, .series = series, .merge = merge, .from = from, .to = to, .target = FIRST_TARGET };
    msgpack_sbuffer_init(&g->bodies);
    return g;
}

void gather_destroy(struct gather **g_p)
{
    struct gather *g = *g_p;
    if (!g)
        return;
    *g_p = NULL;
    free(g->rows);
    msgpack_sbuffer_destroy(&g->bodies);
    free(g);
}

static void forget(struct gather *g)
{
    g->count = g->next = 0;
    buffer_clear(&g->bodies);
}

static void keep(struct gather *g, int64_t series, const struct chunk_row *row)
{
    if (g->count == g->room) {
        g->room = g->room ? g->room * 2 : 256;
        g->rows = realloc(g->rows, g->room * sizeof *g->rows);
        assert(g->rows);
    }
    g->rows[g->count++] = (struct gathered){ { row->at + row->shift, row->place, series, row->at, row->rest }, g->bodies.size, (uint32_t)row->body.size };
    pack_bytes(&g->bodies, row->body.data, row->body.size);
}

/* Those of one chunk with from <= at < to. STORE_MISSING: too many for memory. */
static enum store_result take_chunk(store_t *store, struct gather *g, const struct chunk_entry *entry, int64_t from, int64_t to)
{
    struct sealed sealed;
    struct chunk_row row;
    enum store_result result = sealed_open(store, entry, true, &sealed);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    size_t begin = chunk_rows_before(sealed.reader, from), end = chunk_rows_before(sealed.reader, to);
    int rc = 1;
    if (begin < end)
        chunk_pass_rows(sealed.reader, begin);
    for (size_t i = begin; i < end && (rc = chunk_next(sealed.reader, &row)) > 0; i++)
        keep(g, entry->series, &row);
    if (rc < 0)
        sealed_damaged(store, entry, "cannot be read");
    sealed_close(store, &sealed);
    return g->series == 0 && (g->count > ROWS_MAX || g->bodies.size > BODIES_MAX) ? STORE_MISSING : STORE_OK;
}

/* --- of one series: a chunk at once ------------------------------------------------------------------- */

static enum store_result fill_one(store_t *store, struct gather *g)
{
    struct chunk_entry entry;
    enum store_result result = sealed_next(store, g->series, g->from, g->to, g->descending, &entry);
    if (result != STORE_OK)
        return result;
    result = take_chunk(store, g, &entry, g->from, g->to);
    if (g->descending)
        g->to = entry.first;
    else
        g->from = entry.last + 1;
    return result;
}

/* --- of all: a stretch of time at once ------------------------------------------------------------------- */

static bool is_wanted(const struct gather *g, size_t i)
{
    return g->merge->any_series || (i < g->merge->wanted_count && g->merge->wanted[i]);
}

/* Where the next rows are, and about how long a stretch of so many is. A chunk that is far shorter than
 * another says little: its series is silent else. */
static enum store_result look_ahead(store_t *store, const struct gather *g, int64_t *edge, double *width)
{
    struct chunk_entry entry;
    double rate = 0, longest = 1;
    *edge = g->descending ? INT64_MIN : INT64_MAX;
    for (size_t i = 0; i < store->series.count; i++) {
        if (!is_wanted(g, i))
            continue;
        enum store_result result = sealed_next(store, store->series.items[i].id, g->from, g->to, g->descending, &entry);
        if (result == STORE_MISSING)
            continue;
        if (result != STORE_OK)
            return result;
        int64_t near = g->descending ? (entry.last < g->to ? entry.last + 1 : g->to) : entry.first > g->from ? entry.first : g->from;
        if (g->descending ? near > *edge : near < *edge)
            *edge = near;
        double span = (double)(entry.last - entry.first + 1);
        longest = span > longest ? span : longest;
        rate += (double)entry.rows / (span > longest / MUCH ? span : longest / MUCH);
    }
    *width = (double)g->target / rate;
    return rate > 0 ? STORE_OK : STORE_MISSING;
}

static enum store_result take_series(store_t *store, struct gather *g, int64_t series, int64_t from, int64_t to)
{
    struct chunk_entry entry;
    enum store_result result;
    for (int64_t at = from; (result = sealed_next(store, series, at, to, false, &entry)) == STORE_OK; at = entry.last + 1) {
        result = take_chunk(store, g, &entry, from, to);
        if (result != STORE_OK)
            return result;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result take_stretch(store_t *store, struct gather *g, int64_t from, int64_t to)
{
    enum store_result result = STORE_OK;
    forget(g);
    for (size_t i = 0; i < store->series.count && result == STORE_OK; i++) {
        if (is_wanted(g, i))
            result = take_series(store, g, store->series.items[i].id, from, to);
        if (clock_us() > store->late_us)
            result = STORE_LATE;
    }
    return result;
}

static int by_key(const void *a, const void *b)
{
    return key_order(&((const struct gathered *)a)->key, &((const struct gathered *)b)->key);
}

/* Where the stretch before was much too short, the next one is longer than the chunks say. */
static int64_t choose_width(struct gather *g, double wished, int64_t whole)
{
    if (g->width > 0 && g->count_before * 2 < g->target && wished < (double)g->width * 4)
        wished = (double)g->width * 4;
    return wished < (double)whole ? (int64_t)wished + 1 : whole;
}

static enum store_result fill_all(store_t *store, struct gather *g)
{
    int64_t edge;
    double wished;
    if (g->to > store->sealed_until)
        g->to = store->sealed_until;
    enum store_result result = look_ahead(store, g, &edge, &wished);
    if (result != STORE_OK)
        return result;
    int64_t whole = g->descending ? edge - g->from : g->to - edge, width = choose_width(g, wished, whole);
    while ((result = take_stretch(store, g, g->descending ? edge - width : edge, g->descending ? edge : edge + width)) == STORE_MISSING && width > 1)
        width /= 2;
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    if (g->descending)
        g->to = edge - width;
    else
        g->from = edge + width;
    if (g->count > 1)
        qsort(g->rows, g->count, sizeof *g->rows, by_key);
    g->width = width;
    g->count_before = g->count;
    g->target = g->target * 2 < LAST_TARGET ? g->target * 2 : LAST_TARGET;
    return STORE_OK;
}

static void turn_round(struct gather *g)
{
    for (size_t i = 0; i < g->count / 2; i++) {
        struct gathered row = g->rows[i];
        g->rows[i] = g->rows[g->count - 1 - i];
        g->rows[g->count - 1 - i] = row;
    }
}

enum store_result gather_next(store_t *store, struct gather *g)
{
    while (g->next == g->count) {
        forget(g);
        enum store_result result = g->series ? fill_one(store, g) : fill_all(store, g);
        if (result != STORE_OK)
            return result;
        if (g->descending)
            turn_round(g);
    }
    g->next++;
    return STORE_OK;
}
