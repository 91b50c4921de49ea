/* consumption_world.h - homes whose every kilowatt-hour is known by a formula, in a store of their own. */
#ifndef CONSUMPTION_WORLD_H
#define CONSUMPTION_WORLD_H

#include "series_world.h"

#include "rolling.h"

#define COUNTER "{\"device_class\":\"energy\",\"state_class\":\"total_increasing\"}"
#define TOTAL   "{\"device_class\":\"energy\",\"state_class\":\"total\"}"
#define POWER   "{\"device_class\":\"power\",\"state_class\":\"measurement\"}"
#define CLOSE   0.001 /* of a total */

/* A world whose query has these settings, in this zone, at this time. */
static inline void settle(struct world *w, const char *zone, int64_t now_us, const char *const pairs[])
{
    const char *settings[24] = { "data", w->directory, "page_bytes", "65536" };
    for (size_t i = 0; pairs && pairs[i]; i++)
        settings[i + 4] = pairs[i];
    if (w->probe)
        probe_destroy(&w->probe);
    assert_int_equal(store_set_zone(w->store, zone), STORE_OK);
    commit(w);
    w->probe = probe_new(settings);
    if (!w->probe)
        fail_msg("%s", probe_refused());
    probe_set_now(w->probe, now_us);
}
#define SETTLE(w, zone, now, ...) settle((w), (zone), (now), (const char *const[]){ __VA_ARGS__, NULL })

static inline int64_t moment(const char *text)
{
    struct consumption_query q;
    schema_clear(consumption_query_schema(), &q);
    set_text(consumption_query_schema(), &q, "from", text);
    return q.from;
}

/* A counter that says every so often what `watt` have made of `begin` since `from`; in this unit. */
static inline void count(struct world *w, const char *entity, const char *unit, double per_kwh, double begin, double watt, int64_t from, int64_t to, int64_t every)
{
    char text[40];
    for (int64_t at = from; at <= to; at += every) {
        snprintf(text, sizeof text, "%.6f", (begin + watt * (double)(at - from) / 3.6e12) * per_kwh);
        SAY(w, entity, at, text, .unit = unit, .attributes = COUNTER);
    }
}

static inline void say_power(struct world *w, const char *entity, int64_t at, const char *watt)
{
    SAY(w, entity, at, watt, .unit = "W", .attributes = POWER);
}

static inline void price(struct world *w, int64_t at, const char *text)
{
    SAY(w, "_electricity.price", at, text, .unit = "EUR/kWh", .attributes = "{\"state_class\":\"measurement\"}");
}

static inline void carbon(struct world *w, int64_t at, const char *text)
{
    SAY(w, "_carbon.intensity_g_kwh", at, text, .unit = "g/kWh", .attributes = "{\"state_class\":\"measurement\"}");
}

static inline void rates_every(struct world *w, int64_t from, int64_t to, int64_t every, const char *eur, const char *grams)
{
    for (int64_t at = from; at < to; at += every) {
        price(w, at, eur);
        carbon(w, at, grams);
    }
}

/* --- the table ------------------------------------------------------------------------------------------------- */

struct told_row {
    int64_t start, end;
    char kind[16], entity[80], inside[80], basis[16], cost_basis[16];
    double kwh, estimated, covered, uncovered, cost, cost_share, carbon, carbon_share; /* NAN: null */
    double unmetered, unmetered_cost, unmetered_carbon;                                /* 0: null */
    bool is_rest, is_negative, open;
};
struct told { struct told_row *rows; size_t count, room, pages; struct consumption_end end; char skipped[2048]; };

static inline void take_text(char *to, size_t room, bool has, struct slice s)
{
    snprintf(to, room, "%.*s", has ? (int)s.size : 0, has ? (const char *)s.data : "");
}

static inline double real(bool has, double value) { return has ? value : NAN; }

static inline void take_row(struct told *t, const struct consumption_row *r)
{
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 256;
        t->rows = realloc(t->rows, t->room * sizeof *t->rows);
        assert_non_null(t->rows);
    }
    struct told_row *to = &t->rows[t->count++];
    *to = (struct told_row){ .start = r->start, .end = r->end, .kwh = real(r->has_kwh, r->kwh), .estimated = real(r->has_estimated_kwh, r->estimated_kwh),
        .covered = real(r->has_covered_s, r->covered_s), .uncovered = real(r->has_uncovered_s, r->uncovered_s), .cost = real(r->has_cost, r->cost),
        .cost_share = real(r->has_cost_share, r->cost_share), .carbon = real(r->has_carbon_g, r->carbon_g),
        .carbon_share = real(r->has_carbon_share, r->carbon_share), .unmetered = r->has_unmetered_kwh ? r->unmetered_kwh : 0,
        .unmetered_cost = r->has_unmetered_cost ? r->unmetered_cost : 0, .unmetered_carbon = r->has_unmetered_carbon_g ? r->unmetered_carbon_g : 0, .is_rest = r->has_is_rest && r->is_rest,
        .is_negative = r->has_is_negative && r->is_negative, .open = r->has_open && r->open };
    snprintf(to->kind, sizeof to->kind, "%s", r->kind);
    snprintf(to->basis, sizeof to->basis, "%s", r->basis);
    snprintf(to->cost_basis, sizeof to->cost_basis, "%s", r->has_cost_basis ? r->cost_basis : "");
    take_text(to->entity, sizeof to->entity, r->has_entity_id, r->entity_id);
    take_text(to->inside, sizeof to->inside, r->has_inside, r->inside);
}

enum { TRIES = 50 }; /* an answer has two seconds, which a busy machine may spend on others */

/* Names and texts in turn, up to NULL; every page. The verdict. */
static inline int ask_table(struct world *w, struct told *t, const char *const pairs[])
{
    struct consumption_query q;
    struct consumption_row row;
    *t = (struct told){ .count = 0 };
    schema_clear(consumption_query_schema(), &q);
    for (size_t i = 0; pairs[i]; i += 2)
        set_text(consumption_query_schema(), &q, pairs[i], pairs[i + 1]);
    for (int tries = 0;;) {
        int verdict = probe_call(w->probe, &consumption_devices_contract, &q, &t->end);
        if (verdict == TOO_LATE && ++tries < TRIES)
            continue;
        if (verdict != OK)
            return verdict;
        t->pages++;
        for (size_t i = 0; i < probe_rows(w->probe); i++) {
            assert_int_equal(probe_row(w->probe, i, &row), 0);
            take_row(t, &row);
        }
        take_text(t->skipped, sizeof t->skipped, true, t->end.skipped);
        if (!t->end.has_next_cursor)
            return OK;
        SET_TEXT(&q, cursor, t->end.next_cursor, t->end.next_cursor_size);
    }
}

static inline struct told tell(struct world *w, const char *const pairs[])
{
    struct told t;
    int verdict = ask_table(w, &t, pairs);
    if (verdict != OK)
        fail_msg("%d %s: %s", verdict, probe_fault(w->probe).field, probe_fault(w->probe).why);
    return t;
}
#define TELL(w, from, to, step) tell((w), (const char *const[]){ "from", (from), "to", (to), "step", (step), NULL })

/* The n-th row of that kind, and of that entity where one is named. */
static inline const struct told_row *nth(const struct told *t, const char *kind, const char *entity, size_t n)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].kind, kind) == 0 && (!entity || strcmp(t->rows[i].entity, entity) == 0) && n-- == 0)
            return &t->rows[i];
    fail_msg("there is no %s %s", kind, entity ? entity : "");
    return NULL;
}

static inline void assert_near(double got, double expected)
{
    double slack = fabs(expected) * CLOSE > 1e-5 ? fabs(expected) * CLOSE : 1e-5; /* told with six digits */
    if (!(fabs(got - expected) <= slack))
        fail_msg("%.9g is not %.9g", got, expected);
}

/* Of every step: what devices used while the meter told of it, and what none was seen to use, is what the meter says; of cost and carbon as well. */
static inline void assert_sums_hold(const struct told *t)
{
    double kwh = 0, cost = 0, grams = 0;
    size_t meters = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct told_row *r = &t->rows[i];
        if (strcmp(r->kind, "device") == 0 || strcmp(r->kind, "untracked") == 0) {
            kwh += (isnan(r->kwh) ? 0 : r->kwh) - r->unmetered;
            cost += (isnan(r->cost) ? 0 : r->cost) - r->unmetered_cost;
            grams += (isnan(r->carbon) ? 0 : r->carbon) - r->unmetered_carbon;
        } else if (strcmp(r->kind, "meter") == 0) {
            if (fabs(kwh - r->kwh) > 1e-4 || (!isnan(r->cost) && fabs(cost - r->cost) > 1e-4) || (!isnan(r->carbon) && fabs(grams - r->carbon) > 0.1))
                fail_msg("%.9g %.9g %.9g are not the meter's %.9g %.9g %.9g", kwh, cost, grams, r->kwh, r->cost, r->carbon);
            kwh = cost = grams = 0;
            meters++;
        }
    }
    assert_true(meters > 0);
}

/* Everything that has come to rest is rolled up. */
static inline void roll_up(struct world *w, int64_t now_us)
{
    bool is_done = false;
    while (!is_done)
        assert_int_equal(store_roll(w->store, now_us, &is_done), STORE_OK);
}

#endif
