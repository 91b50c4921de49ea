/* inside.h - query's state, and what its files ask of each other; nobody else includes it.
 *
 * query.c: life, imports and how an answer ends; events.c: the services that tell of events; told.c: those that tell of
 * what follows from them: series, moments, names, statistics, sizes; told_energy.c: those that tell of energy;
 * correlations.c: steps of power. */
#ifndef QUERY_INSIDE_H
#define QUERY_INSIDE_H

#include "actor.h"
#include "energy.h"
#include "moments.h"
#include "series.h"
#include "store.h"

struct self {
    struct query_config config;
    struct query_stats stats;
    store_t *store;
    series_reader_t *series;
    moments_t *moments;
    energy_t *energy;
    int64_t session, prefs_asked_us; /* of Home Assistant; when its energy dashboard was asked for */
    int64_t damage;         /* chunks that were found damaged before the sink has put them aside */
    int64_t told;           /* ... of which the sink knew when it was told last */
    bool is_telling;        /* the sink is being told */
    bool is_damaged;        /* ... and has not yet said that it looks */
    msgpack_sbuffer pool;   /* texts of the last statistics; they outlive their handler */
};

/* Where rows of an answer go, until it is large enough. */
struct answering { struct self *self; rows_t *rows; size_t room, given; };

/* --- query.c --- */
struct answering answer_rows(struct self *, rows_t *);
bool answer_is_full(const struct answering *);
int  answer_gave(struct answering *, int rc);   /* what the row's function said */
void answer_page(struct page *end);             /* an empty one */
int64_t answer_clock_us(void);
/* The verdict; it is counted, and told where it is trouble. fault: of STORE_BAD, else it may be NULL. */
int  answer_end(struct self *, actor_t *, enum store_result, const struct fault *, int64_t begun_us, int64_t rows);

/* --- events.c --- */
int on_find(struct self *, actor_t *, const struct events_query *query, rows_t *rows, struct page *end);
int on_count(struct self *, actor_t *, const struct events_query *query, struct count_reply *reply);
int on_get(struct self *, actor_t *, const struct event_query *query, rows_t *rows, struct page *end);
int on_chain(struct self *, actor_t *, const struct chain_query *query, rows_t *rows, struct page *end);
int on_latest(struct self *, actor_t *, const struct latest_query *query, rows_t *rows, struct page *end);
int on_stats(struct self *, actor_t *, const struct stats_query *query, struct events_stats *reply);
int on_entities(struct self *, actor_t *, const struct limit_query *query, rows_t *rows, struct page *end);
int on_types(struct self *, actor_t *, const struct limit_query *query, rows_t *rows, struct page *end);
int on_quarantine(struct self *, actor_t *, const struct bad_query *query, rows_t *rows, struct page *end);
int on_refused(struct self *, actor_t *, const struct bad_id *query, rows_t *rows, struct page *end);
int on_preview(struct self *, actor_t *, const struct filters_query *query, struct preview_reply *reply);

/* --- correlations.c --- */
int on_correlations(struct self *, actor_t *, const struct correlations_query *query, rows_t *rows, struct page *end);

/* --- told.c --- */
int on_statistics(struct self *, actor_t *, const struct statistics_query *query, rows_t *rows, struct page *end);
int on_statistic_series(struct self *, actor_t *, const struct series_query *query, rows_t *rows, struct page *end);
int on_points(struct self *, actor_t *, const struct points_query *query, rows_t *rows, struct page *end);
int on_activity(struct self *, actor_t *, const struct activity_query *query, rows_t *rows, struct page *end);
int on_storage(struct self *, actor_t *, const struct storage_query *query, rows_t *rows, struct page *end);
int on_series(struct self *, actor_t *, const struct series_ask *query, rows_t *rows, struct series_end *end);
int on_moment(struct self *, actor_t *, const struct moment_query *query, rows_t *rows, struct moment_end *end);
int on_diff(struct self *, actor_t *, const struct diff_query *query, rows_t *rows, struct diff_end *end);
int on_history(struct self *, actor_t *, const struct history_query *query, rows_t *rows, struct page *end);
int on_lineage_spans(struct self *, actor_t *, const struct lineage_query *query, rows_t *rows, struct page *end);
int on_lineage_list(struct self *, actor_t *, const struct lineage_list_query *query, rows_t *rows, struct page *end);
int on_lineage_units(struct self *, actor_t *, const struct units_query *query, rows_t *rows, struct page *end);

/* --- told_energy.c --- */
int on_session(struct self *, actor_t *, const struct ingest_session *session);
int on_home_place(struct self *, actor_t *, const struct home_place *home);
int on_energy_devices(struct self *, actor_t *, const struct consumption_query *query, rows_t *rows, struct consumption_end *end);
int on_energy_current(struct self *, actor_t *, const struct nothing *query, struct consumption_now *reply);
int on_energy_summary(struct self *, actor_t *, const struct consumption_hours *query, struct consumption_totals *reply);
int on_energy_circuits(struct self *, actor_t *, const struct circuits_query *query, rows_t *rows, struct page *end);
int on_energy_impact(struct self *, actor_t *, const struct impact_query *query, rows_t *rows, struct page *end);
int on_energy_top(struct self *, actor_t *, const struct top_query *query, rows_t *rows, struct page *end);

#endif
