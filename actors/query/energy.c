/* energy.c - the table of what everybody used, step by step, and page by page. */
#include "energy_inside.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_US = 300000, STEPS_MAX = 50000, READ_MAX = 100000 /* quarters of series at a time */, PREFS_MAX = 1048576,
    ROW_BYTES = 150 /* at least, with names */ };
#define FIRST_US (100 * DAY_US) /* nobody has counted before */

/* --- what is asked of the table ------------------------------------------------------------------------------ */

enum store_result energy_ask_who(energy_t *self, int64_t from_us, int64_t to_us, int64_t now_us, struct energy_who *who)
{
    struct energy_wishes wishes = { self->config, { self->prefs.size ? self->prefs.data : "", self->prefs.size }, from_us, to_us, now_us };
    return energy_who_read(self->store, &wishes, who);
}

static enum store_result read_table(store_t *store, void *owner)
{
    return energy_table_read(store, owner);
}

enum store_result energy_ask_table(energy_t *self, const struct energy_who *who, const int64_t *edges, size_t steps, bool meters_only, int64_t now_us,
                                   struct energy_table *t)
{
    *t = (struct energy_table){ .who = who, .edges = edges, .steps = steps, .now_us = now_us, .meters_only = meters_only,
        .rates = { .has_fixed = self->config->has_energy_price, .fixed = self->config->energy_price } };
    enum store_result result = store_look(self->store, read_table, t);
    if (result != STORE_OK || !t->sums) { /* an empty store is not looked at */
        energy_table_close(t);
        return result == STORE_OK ? STORE_MISSING : result;
    }
    return STORE_OK;
}

const char *energy_basis(enum energy_kind kind, const struct energy_sum *sum)
{
    return kind == ENERGY_NONE ? "no meter" : kind == ENERGY_POWER || energy_is_guess(sum) ? "estimated" : "measured";
}

const char *energy_currency(const energy_t *self, const struct energy_rates *rates)
{
    return rates->currency[0] ? rates->currency : self->currency[0] ? self->currency : NULL;
}

double energy_rounded(double value, double parts)
{
    return fabs(value) < 1e9 ? round(value * parts) / parts : value;
}

/* --- rows ---------------------------------------------------------------------------------------------------- */

struct telling {
    energy_t *self;
    rows_t *rows;
    const struct energy_table *table;
    size_t room, step, row, skip;   /* row: of the step; skip: so many were told by the page before */
    int64_t given;
    bool is_full;
};

/* A share of nothing is none: what it costs is not known then. */
static void say_prices(struct consumption_row *row, const struct energy_sum *sum, const char *basis)
{
    double priced = energy_priced(sum), weighed = energy_weighed(sum);
    const double whole = 1.0 - 1e-9;
    SET(row, cost_share, energy_rounded(priced, 1e6));
    SET(row, carbon_share, energy_rounded(weighed, 1e6));
    if (priced > 0.0) {
        SET(row, cost, energy_rounded(sum->cost, 1e6));
        SAY(row, cost_basis, priced < whole ? "estimated" : basis);
    }
    if (weighed > 0.0) {
        SET(row, carbon_g, energy_rounded(sum->carbon_g, 1e3));
        SAY(row, carbon_basis, weighed < whole ? "estimated" : basis);
    }
}

static int64_t passed(const struct energy_table *t, size_t step)
{
    int64_t until = t->edges[step + 1] < t->now_us ? t->edges[step + 1] : t->now_us;
    return until > t->edges[step] ? until - t->edges[step] : 0;
}

static void begin_row(const struct telling *t, const char *kind, enum energy_kind of, const struct energy_sum *sum, bool is_priced, struct consumption_row *row)
{
    const struct energy_table *table = t->table;
    const char *basis = energy_basis(of, sum);
    int64_t us = passed(table, t->step), covered = sum->covered_us < us ? sum->covered_us : us;
    schema_clear(consumption_row_schema(), row);
    SET(row, start, table->edges[t->step]);
    SET(row, end, table->edges[t->step + 1]);
    if (table->edges[t->step + 1] > table->now_us)
        SET(row, open, true);
    SAY(row, kind, kind);
    SAY(row, basis, basis);
    if (of == ENERGY_NONE)
        return;
    SET(row, covered_s, (double)covered / 1e6);
    SET(row, uncovered_s, (double)(us - covered) / 1e6);
    if (covered == 0 && sum->moved_kwh == 0.0)
        return;
    SET(row, kwh, energy_rounded(sum->kwh, 1e6));
    SET(row, estimated_kwh, energy_rounded(sum->guessed_kwh, 1e6));
    if (is_priced)
        say_prices(row, sum, basis);
}

static void put(struct telling *t, const struct consumption_row *row)
{
    if (t->is_full || t->row++ < t->skip)
        return;
    t->is_full = row_consumption_devices(t->rows, row) != 0;
    t->row -= t->is_full;
    t->given += !t->is_full;
}

static void say_text(bool *has, struct slice *to, const char *text)
{
    *has = text != NULL;
    *to = text ? slice_of(text) : (struct slice){ "", 0 };
}

/* Of what does not come from the grid the price is another one. */
static void put_one(struct telling *t, size_t one)
{
    const struct energy_one *who = &t->table->who->items[one];
    struct consumption_row row;
    bool is_device = who->role == ROLE_DEVICE;
    begin_row(t, energy_role_names[who->role], t->table->kinds[one], energy_table_sum(t->table, t->step, one), is_device || who->role == ROLE_IMPORT, &row);
    say_text(&row.has_entity_id, &row.entity_id, who->entity_id);
    say_text(&row.has_name, &row.name, who->name);
    say_text(&row.has_area, &row.area, who->area);
    say_text(&row.has_device_id, &row.device_id, who->device_id);
    if (who->parent != one)
        say_text(&row.has_inside, &row.inside, t->table->who->items[who->parent].entity_id);
    if (t->table->is_rest[one])
        SET(&row, is_rest, true);
    put(t, &row);
}

static void say_unmetered(struct consumption_row *row, const struct energy_sum *sum)
{
    SET(row, unmetered_kwh, energy_rounded(sum->kwh, 1e6));
    if (row->has_cost)
        SET(row, unmetered_cost, energy_rounded(sum->cost, 1e6));
    if (row->has_carbon_g)
        SET(row, unmetered_carbon_g, energy_rounded(sum->carbon_g, 1e3));
}

static void put_totals(struct telling *t, size_t meters, size_t meter)
{
    static const struct energy_sum nothing;
    const struct energy_table *table = t->table;
    struct consumption_row row;
    if (!table->has_meter)
        return;
    const struct energy_sum *beside = &table->unmetered[t->step];
    bool is_known = table->meter[t->step].covered_us > 0 || table->meter[t->step].moved_kwh > 0.0; /* what is left of nothing is not known */
    begin_row(t, "untracked", table->untracked_kind, is_known ? &table->untracked[t->step] : &nothing, true, &row);
    if (row.has_kwh && row.kwh < 0.0)
        SET(&row, is_negative, true);
    if (row.has_kwh && beside->moved_kwh > 0.0)
        say_unmetered(&row, beside);
    put(t, &row);
    begin_row(t, "meter", table->meter_kind, &table->meter[t->step], true, &row);
    if (meters == 1)
        say_text(&row.has_entity_id, &row.entity_id, table->who->items[meter].entity_id);
    put(t, &row);
}

static void put_step(struct telling *t)
{
    const struct energy_who *who = t->table->who;
    size_t meters = 0, meter = 0;
    t->row = 0;
    for (size_t i = 0; i < who->count; i++) {
        if (who->items[i].role == ROLE_DEVICE)
            put_one(t, i);
        else
            meter = meters++ ? meter : i;
    }
    put_totals(t, meters, meter);
    for (size_t i = 0; i < who->count && meters > 1; i++)
        if (who->items[i].role != ROLE_DEVICE)
            put_one(t, i);
}

/* --- the question ---------------------------------------------------------------------------------------------- */

struct asked { const struct clock_step *step; zone_t *zone; int64_t from, to, now, at; size_t skip; };

static enum store_result refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return STORE_BAD;
}

/* "at skip now": the step to go on with, the rows of it that were told, and the moment of the first question. */
static enum store_result read_cursor(struct asked *a, const char *cursor, struct fault *fault)
{
    int used = 0;
    size_t skip;
    int64_t at, now;
    if (sscanf(cursor, "%" SCNd64 " %zu %" SCNd64 "%n", &at, &skip, &now, &used) != 3 || cursor[used] || now < 0 || now > MAX_TIME_US || at < a->from
            || at % QUARTER_US != 0)
        return refuse(fault, "cursor", "is none of this question");
    a->at = at;
    a->skip = skip;
    a->now = now;
    return STORE_OK;
}

static bool is_too_many(const struct asked *a)
{
    int64_t us = a->step->us > 0 ? a->step->us : DAY_US;
    if (a->step->us == -2)
        return (a->to - a->at) / QUARTER_US > ENERGY_QUARTERS_MAX;
    return (a->to - a->at) / us > STEPS_MAX;
}

static enum store_result read_question(const struct consumption_query *q, const char *home_zone, int64_t now_us, struct asked *a, struct fault *fault)
{
    const char *why = "";
    *a = (struct asked){ .now = now_us, .from = q->from, .step = clock_step_find(q->has_step ? q->step : "1d") };
    if (!a->step)
        return refuse(fault, "step", "knows 15m, 30m, 1h, 2h, 3h, 6h, 12h, 1d, 1mo and all");
    if (q->from < FIRST_US)
        return refuse(fault, "from", "is before 1970-04-11");
    a->zone = zone_open(q->has_tz ? q->tz : home_zone, &why);
    if (!a->zone)
        return refuse(fault, "tz", why);
    a->from = a->at = clock_step_start(a->step, a->zone, q->from);
    if (q->has_cursor && read_cursor(a, q->cursor, fault) != STORE_OK)
        return STORE_BAD;
    a->to = q->has_to && q->to < a->now ? q->to : a->now;
    if (q->has_to && q->from >= q->to)
        return refuse(fault, "to", "is not after from");
    if (q->from >= a->now)
        return refuse(fault, "from", "is not before now");
    if (is_too_many(a))
        return refuse(fault, "step", a->step->us == -2 ? "all is of at most 400 days" : "would be more than 50000: take a longer one");
    return STORE_OK;
}

/* Steps from `at` on that are read together, of not many more rows than a page holds; `edges` has room for ENERGY_STEPS_MAX + 1. */
static size_t cut_steps(const struct asked *a, int64_t at, size_t series, size_t bytes, int64_t *edges)
{
    const size_t most = bytes / ROW_BYTES < ENERGY_STEPS_MAX ? bytes / ROW_BYTES : ENERGY_STEPS_MAX;
    size_t steps = 0, rows = 0;
    edges[0] = at;
    while (edges[steps] < a->to && steps < ENERGY_STEPS_MAX) {
        int64_t end = clock_step_next(a->step, a->zone, edges[steps]);
        end = a->step->us == -2 ? quarter_end(a->to) : end;
        int64_t quarters = (end - at) / QUARTER_US;
        rows += series + 2;
        if (steps > 0 && (quarters > ENERGY_QUARTERS_MAX || quarters * (int64_t)(series + 2) > READ_MAX || rows > most))
            break;
        edges[++steps] = end;
    }
    return steps;
}

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void tell_sources(const struct energy_rates *rates, struct consumption_end *end)
{
    if (rates->has_price || rates->has_fixed)
        SAY(end, price, !rates->has_price ? "QUERY_ENERGY_PRICE" : rates->has_fixed ? "_electricity.price, else QUERY_ENERGY_PRICE" : "_electricity.price");
    if (rates->has_carbon)
        SAY(end, carbon, "_carbon.intensity_g_kwh");
}

static void tell_end(energy_t *self, const struct asked *a, const struct energy_who *who, const struct energy_rates *rates, int64_t count,
                     struct consumption_end *end)
{
    const char *currency = energy_currency(self, rates);
    schema_clear(consumption_end_schema(), end);
    SET(end, from, a->from);
    SET(end, to, a->to);
    SET(end, now, a->now);
    SAY(end, step, a->step->name);
    SAY(end, tz, zone_name(a->zone));
    if (currency)
        SAY(end, currency, currency);
    tell_sources(rates, end);
    SAY(end, devices_by, who->chosen_by);
    SET(end, skipped, (struct slice){ who->skipped.data, who->skipped.size });
    SET(end, count, count);
}

/* Some steps from a->at on; it goes on where it stands then. */
static enum store_result tell_some(energy_t *self, struct asked *a, const struct energy_who *who, struct telling *t, struct energy_rates *rates)
{
    struct energy_table table;
    int64_t *edges = malloc((ENERGY_STEPS_MAX + 1) * sizeof *edges);
    assert(edges);
    size_t room = actor_rows_room(t->rows);
    size_t steps = cut_steps(a, a->at, who->count, room < self->page_bytes ? room : self->page_bytes, edges);
    enum store_result result = energy_ask_table(self, who, edges, steps, false, a->now, &table);
    if (result == STORE_OK) {
        t->table = &table;
        *rates = table.rates;
        for (t->step = 0; t->step < steps && !t->is_full; t->step++) {
            t->skip = a->skip;
            put_step(t);
            a->skip = t->is_full ? t->row : 0;
            a->at = edges[t->step + !t->is_full];
            t->is_full |= t->given > 0 && t->room - actor_rows_room(t->rows) >= self->page_bytes;
        }
        energy_table_close(&table);
    }
    free(edges);
    return result;
}

static void forget_who(energy_t *self)
{
    if (self->has_kept)
        energy_who_close(&self->kept);
    self->has_kept = false;
}

/* Found once for all pages of a question. */
static enum store_result keep_who(energy_t *self, const struct asked *a)
{
    if (self->has_kept && self->kept_from == a->from && self->kept_to == a->to && self->kept_now == a->now)
        return STORE_OK;
    forget_who(self);
    enum store_result result = energy_ask_who(self, a->from, a->to, a->now, &self->kept);
    self->has_kept = true;
    self->kept_from = a->from;
    self->kept_to = a->to;
    self->kept_now = result == STORE_OK ? a->now : -1;
    return result;
}

enum store_result energy_devices(energy_t *self, const struct consumption_query *q, const char *home_zone, int64_t now_us, rows_t *rows,
                                 struct consumption_end *end, struct fault *fault)
{
    struct telling t = { .self = self, .rows = rows, .room = actor_rows_room(rows) };
    struct energy_rates rates = { .has_fixed = self->config->has_energy_price };
    struct asked a;
    char cursor[96];
    int64_t deadline = clock_us() + LOOK_US;
    enum store_result result = read_question(q, home_zone, now_us, &a, fault);
    if (result != STORE_OK) {
        zone_destroy(&a.zone);
        return result;
    }
    result = keep_who(self, &a);
    do
        result = result == STORE_OK ? tell_some(self, &a, &self->kept, &t, &rates) : result;
    while (result == STORE_OK && a.at < a.to && !t.is_full && clock_us() < deadline);
    if (result == STORE_OK || result == STORE_MISSING) {
        tell_end(self, &a, &self->kept, &rates, t.given, end);
        if (result == STORE_OK && a.at < a.to)
            SET_TEXT(end, next_cursor, cursor, (size_t)snprintf(cursor, sizeof cursor, "%" PRId64 " %zu %" PRId64, a.at, a.skip, a.now));
        result = STORE_OK;
    }
    zone_destroy(&a.zone);
    return result;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

energy_t *energy_new(store_t *store, const struct query_config *config, size_t page_bytes)
{
    energy_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (energy_t){ .store = store, .config = config, .page_bytes = page_bytes };
    msgpack_sbuffer_init(&self->prefs);
    return self;
}

void energy_destroy(energy_t **self_p)
{
    if (!*self_p)
        return;
    forget_who(*self_p);
    msgpack_sbuffer_destroy(&(*self_p)->prefs);
    free(*self_p);
    *self_p = NULL;
}

void energy_set_prefs(energy_t *self, struct slice prefs)
{
    forget_who(self);
    msgpack_sbuffer_clear(&self->prefs);
    if (prefs.size > 0 && prefs.size <= PREFS_MAX)
        msgpack_sbuffer_write(&self->prefs, prefs.data, prefs.size);
}

void energy_set_currency(energy_t *self, const char *currency)
{
    snprintf(self->currency, sizeof self->currency, "%s", currency);
}
