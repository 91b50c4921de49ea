/* query.c - answers questions about what is stored; any number of these read one store. */
#include "inside.h"
#include "imports.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t answer_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct answering answer_rows(struct self *self, rows_t *rows)
{
    return (struct answering){ self, rows, actor_rows_room(rows), 0 };
}

bool answer_is_full(const struct answering *a)
{
    return a->given > 0 && a->room - actor_rows_room(a->rows) >= (size_t)a->self->config.page_bytes;
}

int answer_gave(struct answering *a, int rc)
{
    a->given += rc == 0;
    return rc;
}

/* --- verdicts ------------------------------------------------------------------------------------ */

enum { TELL_MS = 10000, TELL_AGAIN_MS = 5000 };

static void tell_sink(struct self *, actor_t *, int64_t tag);

/* What was found meanwhile may lie where it had looked already. */
static void on_told(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct store_view *view)
{
    (void)tag, (void)view;
    self->is_telling = false;
    if (answer->verdict != OK)
        actor_after(actor, TELL_AGAIN_MS, tell_sink, 0);
    else if (self->told < self->damage)
        tell_sink(self, actor, 0);
    else
        self->is_damaged = false;
}

static void tell_sink(struct self *self, actor_t *actor, int64_t tag)
{
    struct nothing nothing = { 0 };
    (void)tag;
    if (self->is_telling)
        return;
    self->told = self->damage;
    self->is_telling = ask_sink_verify(actor, &nothing, TELL_MS, on_told, 0) == 0;
    if (!self->is_telling)
        actor_after(actor, TELL_AGAIN_MS, tell_sink, 0);
}

/* What lies in a damaged chunk would be missing without a word: once the sink has put it aside it is a gap. */
static bool meets_damage(struct self *self, actor_t *actor)
{
    const char *what;
    int64_t damage = store_damage(self->store, &what);
    if (damage == self->damage)
        return false;
    self->damage = damage;
    self->is_damaged = true;
    if (!self->is_telling)
        actor_error(actor, "%s", what);
    tell_sink(self, actor, 0);
    return true;
}

int answer_end(struct self *self, actor_t *actor, enum store_result result, const struct fault *fault, int64_t begun_us, int64_t rows)
{
    self->stats.questions++;
    self->stats.rows += rows;
    self->stats.busy_us += answer_clock_us() - begun_us;
    switch (result) {
    case STORE_OK:
    case STORE_DUPLICATE:
    case STORE_REDELIVERED:
    case STORE_FILTERED:
        if (!meets_damage(self, actor))
            return OK;
        self->stats.failures++;
        return actor_refuse(actor, UNAVAILABLE, "", "old rows of this are damaged and are being put aside: ask again; GET /api/v1/store names them");
    case STORE_BAD:
        return actor_refuse(actor, BAD_REQUEST, fault->field, fault->why);
    case STORE_MISSING:
        return NOT_FOUND;
    case STORE_LATE:
        self->stats.failures++;
        return actor_refuse(actor, TOO_LATE, "", "takes too long: ask for a shorter period");
    case STORE_TROUBLE:
        break;
    }
    self->stats.failures++;
    actor_warn(actor, "cannot read the store: %s", store_why(self->store));
    return actor_refuse(actor, UNAVAILABLE, "", "the store cannot be read");
}

void answer_page(struct page *end)
{
    schema_clear(page_schema(), end);
    SET(end, count, 0);
}

/* --- imports ---------------------------------------------------------------------------------------- */

static int on_import_status(struct self *self, actor_t *actor, const struct nothing *query, struct import_status *reply)
{
    (void)self;
    (void)query;
    return import_tell(actor, reply);
}

static int on_import_start(struct self *self, actor_t *actor, const struct import_request *request, struct import_status *reply)
{
    (void)self;
    return import_ask(actor, request, reply);
}

static int on_import_stop(struct self *self, actor_t *actor, const struct nothing *query, struct import_status *reply)
{
    (void)self;
    (void)query;
    return import_end(actor, reply);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static int open_query(struct self *self, actor_t *actor)
{
    char path[4096];
    const char *why = "";
    msgpack_sbuffer_init(&self->pool);
    if (actor_path(actor, path, sizeof path, "store.db") != 0) {
        actor_error(actor, "the data directory's path is too long");
        return 100;
    }
    self->store = store_open(&(struct store_options){ .path = path, .cache_bytes = (size_t)self->config.cache_bytes }, &why);
    if (!self->store) {
        actor_error(actor, "cannot open the store: %s", why);
        return 111;
    }
    self->series = series_reader_new(self->store, (size_t)self->config.page_bytes);
    self->moments = moments_new(self->store, (size_t)self->config.page_bytes);
    self->energy = energy_new(self->store, &self->config, (size_t)self->config.page_bytes);
    struct query_stats *s = &self->stats;
    s->has_questions = s->has_rows = s->has_failures = s->has_busy_us = true;
    return 0;
}

static void close_query(struct self *self, actor_t *actor)
{
    (void)actor;
    series_reader_destroy(&self->series);
    moments_destroy(&self->moments);
    energy_destroy(&self->energy);
    store_close(&self->store);
    msgpack_sbuffer_destroy(&self->pool);
}

/* From when the sink has put it aside on, it says so itself. */
static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    const char *what;
    (void)actor;
    if (!self->is_damaged)
        return HEALTHY;
    store_damage(self->store, &what);
    snprintf(why, size, "%s: it answers nothing, and the sink could not be told to put it aside yet", what);
    return DEGRADED;
}

static const struct handler handlers[] = {
    ANSWER(events_find, on_find),
    ANSWER(events_count, on_count),
    ANSWER(events_get, on_get),
    ANSWER(events_chain, on_chain),
    ANSWER(events_latest, on_latest),
    ANSWER(events_stats, on_stats),
    ANSWER(events_entities, on_entities),
    ANSWER(events_types, on_types),
    ANSWER(events_quarantine, on_quarantine),
    ANSWER(statistics_find, on_statistics),
    ANSWER(statistics_series, on_statistic_series),
    ANSWER(lineage_spans, on_lineage_spans),
    ANSWER(lineage_list, on_lineage_list),
    ANSWER(lineage_units, on_lineage_units),
    ANSWER(import_status, on_import_status),
    ANSWER(import_start, on_import_start),
    ANSWER(import_stop, on_import_stop),
    ANSWER(events_refused, on_refused),
    ANSWER(filters_preview, on_preview),
    ANSWER(series_read, on_series),
    ANSWER(moment_read, on_moment),
    ANSWER(diff_read, on_diff),
    ANSWER(history_find, on_history),
    ANSWER(points_find, on_points),
    ANSWER(activity_by, on_activity),
    ANSWER(storage_entities, on_storage),
    ANSWER(consumption_devices, on_energy_devices),
    ANSWER(consumption_current, on_energy_current),
    ANSWER(consumption_summary, on_energy_summary),
    ANSWER(consumption_circuits, on_energy_circuits),
    ANSWER(consumption_impact, on_energy_impact),
    ANSWER(consumption_top, on_energy_top),
    ON(ingest_session, on_session),
    ON(registry_home, on_home_place),
    ANSWER(energy_correlations, on_correlations),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "query",
    .doc      = "Answers questions about what is stored",
    .state    = sizeof(struct self),
    .config   = SECTION(config, query_config),
    .stats    = SECTION(stats, query_stats),
    .handlers = handlers,
    .health   = health,
    .open     = open_query,
    .close    = close_query,
};
