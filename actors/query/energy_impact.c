/* energy_impact.c - what one device used over some days, on and off; and which ones used most. */
#include "energy_inside.h"

#include "absent.h"
#include "moment.h"
#include "spans.h"
#include "units.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const double month_days = 30.0;
#define RATE_US (20 * HOUR_US) /* of less no day is told, nor a month: a night is none */

/* --- what is told of it ---------------------------------------------------------------------------------------- */

static void say_energy(energy_t *self, const struct energy_table *t, enum energy_kind kind, const struct energy_sum *sum, struct impact_row *row)
{
    const char *currency = energy_currency(self, &t->rates);
    double priced = energy_priced(sum), days = (double)sum->covered_us / (double)DAY_US;
    SAY(row, basis, energy_basis(kind, sum));
    if (currency)
        SAY(row, currency, currency);
    if (kind == ENERGY_NONE)
        return;
    SET(row, covered_s, (double)sum->covered_us / 1e6);
    if (sum->covered_us == 0 && sum->moved_kwh == 0.0)
        return;
    SET(row, kwh, energy_rounded(sum->kwh, 1e6));
    SET(row, cost_share, energy_rounded(priced, 1e6));
    if (priced > 0.0)
        SET(row, cost, energy_rounded(sum->cost, 1e6));
    if (energy_weighed(sum) > 0.0)
        SET(row, carbon_g, energy_rounded(sum->carbon_g, 1e3));
    if (sum->covered_us < RATE_US)
        return;
    SET(row, estimated_daily_kwh, energy_rounded(sum->kwh / days, 1e6));
    if (priced > 0.0)
        SET(row, estimated_monthly_cost, energy_rounded(sum->cost / priced / days * month_days, 1e6));
}

static void begin_row(struct slice entity_id, const char *name, struct impact_row *row)
{
    const char *dot = memchr(entity_id.data, '.', entity_id.size);
    schema_clear(impact_row_schema(), row);
    SET(row, entity_id, entity_id);
    SET(row, domain, ((struct slice){ entity_id.data, dot ? (size_t)(dot - (const char *)entity_id.data) : 0 }));
    if (name)
        SET(row, name, slice_of(name));
}

static enum store_result ask_days(energy_t *self, const struct energy_who *who, int64_t from_us, int64_t now_us, int64_t edges[2], struct energy_table *t)
{
    edges[0] = quarter_start(from_us);
    edges[1] = quarter_end(now_us);
    return energy_ask_table(self, who, edges, 1, false, now_us, t);
}

/* --- who uses most ------------------------------------------------------------------------------------------------ */

/* The next of those that were not told: the most of those that are known. */
static size_t next_most(const struct energy_table *t, const bool *told)
{
    size_t best = t->who->count;
    for (size_t i = 0; i < t->who->count; i++)
        if (!told[i] && t->who->items[i].role == ROLE_DEVICE && t->kinds[i] != ENERGY_NONE
                && (best == t->who->count || t->sums[i].kwh > t->sums[best].kwh))
            best = i;
    return best;
}

static void give_top(energy_t *self, const struct energy_table *t, int64_t limit, rows_t *rows, struct page *end)
{
    bool *told = calloc(t->who->count + 1, sizeof *told);
    assert(told);
    for (size_t i = next_most(t, told); i < t->who->count && end->count < limit; i = next_most(t, told)) {
        struct impact_row row;
        told[i] = true;
        begin_row(slice_of(t->who->items[i].entity_id), t->who->items[i].name, &row);
        SET(&row, meter, slice_of(t->who->items[i].entity_id));
        say_energy(self, t, t->kinds[i], &t->sums[i], &row);
        if (row_consumption_top(rows, &row) != 0)
            break;
        end->count++;
    }
    free(told);
}

enum store_result energy_top(energy_t *self, int64_t days, int64_t limit, int64_t now_us, rows_t *rows, struct page *end)
{
    struct energy_who who;
    struct energy_table t;
    int64_t edges[2], from = now_us - days * DAY_US;
    enum store_result result = energy_ask_who(self, from, now_us, now_us, &who);
    if (result == STORE_OK) {
        result = ask_days(self, &who, from, now_us, edges, &t);
        if (result == STORE_OK) {
            give_top(self, &t, limit, rows, end);
            energy_table_close(&t);
        }
    }
    energy_who_close(&who);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- one device: on and off ----------------------------------------------------------------------------------------- */

struct spell { double watt_us[2]; int64_t us[2], known_us[2]; };  /* of off and on: power over time, time, time with power */
struct walk {
    struct slice entity_id, power; /* power: size 0, there is none */
    int64_t from_us, now_us, changes;
    struct spell spell;
    struct span *gaps;             /* as they follow each other */
    size_t gap_count, gap_room, gap_next; /* gap_next: those before are over */
    enum energy_kind kind;         /* of what its own states measure */
    bool is_there;
};

/* What the state says of it: 1 on, 0 off, -1 nothing. */
static int is_on(const struct sample *s)
{
    static const char *const off[] = { "off", "closed", "idle", "standby", "paused", "docked", "stopped" };
    if (s->kind == SAMPLE_NONE || s->kind == SAMPLE_REMOVED)
        return -1;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (slice_of(off[i]).size == s->state.size && memcmp(off[i], s->state.data, s->state.size) == 0)
            return 0;
    return 1;
}

static int note_gap(void *owner, int64_t from_us, int64_t to_us)
{
    struct walk *w = owner;
    w->gaps = energy_one_more(w->gaps, w->gap_count, &w->gap_room, sizeof *w->gaps);
    w->gaps[w->gap_count++] = (struct span){ from_us, to_us };
    return 0;
}

/* Asked of one stretch after the other. */
static int64_t outside_gaps(struct walk *w, int64_t from, int64_t to)
{
    int64_t us = to > from ? to - from : 0;
    while (w->gap_next < w->gap_count && w->gaps[w->gap_next].to <= from)
        w->gap_next++;
    for (size_t i = w->gap_next; i < w->gap_count && w->gaps[i].from < to; i++) {
        int64_t begin = w->gaps[i].from > from ? w->gaps[i].from : from, end = w->gaps[i].to < to ? w->gaps[i].to : to;
        us -= end > begin ? end - begin : 0;
    }
    return us;
}

static enum store_result watt_of(store_t *store, const struct sample *s, bool *is, double *watt)
{
    const struct unit_name *unit;
    *is = false;
    *watt = s->number;
    if (s->kind != SAMPLE_NUMBER)
        return STORE_OK;
    enum store_result result = facts_unit(facts_of(store), s->snapshot, &unit);
    *is = result == STORE_OK && units_convert(unit_slice(unit), slice_of("W"), watt);
    return result;
}

/* The two histories side by side: at each moment at which one of them says something new, what was until then is added.
 * A sample is read at once: its text does not outlive a look elsewhere. */
struct side { history_t *history; int64_t at; int on; double watt; bool has_next, has_watt; };

static enum store_result step_on(store_t *store, struct side *side)
{
    struct sample s;
    enum store_result result = side->history ? history_next(side->history, &s) : STORE_MISSING;
    side->has_next = result == STORE_OK;
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    side->at = s.at;
    side->on = is_on(&s);
    return watt_of(store, &s, &side->has_watt, &side->watt);
}

static void add_spell(struct walk *w, int on, bool has_watt, double watt, int64_t from, int64_t to)
{
    int64_t us = on < 0 ? 0 : outside_gaps(w, from > w->from_us ? from : w->from_us, to);
    if (us <= 0)
        return;
    w->spell.us[on] += us;
    if (!has_watt)
        return;
    w->spell.known_us[on] += us;
    w->spell.watt_us[on] += watt * (double)us;
}

static enum store_result walk_both(store_t *store, struct walk *w, struct side *state, struct side *power)
{
    struct side now = { .on = -1 };
    bool has_before = false;
    int64_t at = w->from_us;
    enum store_result result = step_on(store, state);
    if (result == STORE_OK)
        result = step_on(store, power);
    while (result == STORE_OK && (state->has_next || power->has_next)) {
        struct side *next = state->has_next && (!power->has_next || state->at <= power->at) ? state : power;
        add_spell(w, now.on, now.has_watt, now.watt, at, next->at);
        at = next->at > at ? next->at : at;
        if (next == state) {
            w->changes += has_before && next->at >= w->from_us && now.on != next->on;
            now.on = next->on;
            has_before = true;
        } else {
            now.has_watt = next->has_watt;
            now.watt = next->watt;
        }
        result = step_on(store, next);
    }
    add_spell(w, now.on, now.has_watt, now.watt, at, w->now_us);
    return result;
}

static enum store_result walk_device(store_t *store, void *owner)
{
    struct walk *w = owner;
    struct energy_spans spans, of_power = { .count = 0 };
    bool open;
    enum store_result result = energy_spans(store, w->entity_id, &spans);
    w->is_there = spans.count > 0;
    if (result == STORE_OK && w->power.size)
        result = energy_spans(store, w->power, &of_power);
    if (result == STORE_OK && spans.count)
        result = energy_kind_of(store, w->entity_id, &w->kind);
    if (result == STORE_OK && spans.count)
        result = store_gaps_of(store, spans.items, spans.count, w->from_us, w->now_us, &open, note_gap, w);
    if (result != STORE_OK || spans.count == 0)
        return result;
    struct side state = { .history = history_open(store, spans.items, spans.count, w->from_us, w->now_us, true) };
    struct side power = { .history = of_power.count ? history_open(store, of_power.items, of_power.count, w->from_us, w->now_us, true) : NULL };
    result = walk_both(store, w, &state, &power);
    history_close(&state.history);
    history_close(&power.history);
    return result;
}

/* --- one device: its meter -------------------------------------------------------------------------------------------- */

struct device { char id[256]; bool has_id; };

static int take_device(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct device *d = owner;
    (void)which, (void)in_gap;
    d->has_id = e->has_device_id && e->device_id.size < sizeof d->id;
    if (d->has_id) {
        memcpy(d->id, e->device_id.data, e->device_id.size);
        d->id[e->device_id.size] = '\0';
    }
    return 0;
}

static bool is_same(const struct device *d, const struct energy_found *f)
{
    return d->has_id && f->device_id && strcmp(d->id, f->device_id) == 0;
}

/* Itself; else of its device the counter that stands highest, else a power sensor. */
static const struct energy_found *meter_of(const struct energy_who *who, struct slice entity_id, const struct device *d, bool counter)
{
    const struct energy_found *found = energy_house_find(&who->house, entity_id), *best = NULL;
    if (found && found->is_counter == counter)
        return found;
    for (size_t i = 0; i < who->house.count; i++)
        if (who->house.items[i].is_counter == counter && is_same(d, &who->house.items[i]) && (!best || who->house.items[i].value > best->value))
            best = &who->house.items[i];
    return best;
}

static void say_spells(const struct walk *w, bool is_switch, struct impact_row *row)
{
    const struct spell *s = &w->spell;
    if (!is_switch || s->us[0] + s->us[1] == 0)
        return; /* nothing is known of it */
    SET(row, hours_on, energy_rounded((double)s->us[1] / (double)HOUR_US, 1e4));
    SET(row, total_state_changes, w->changes);
    if (s->known_us[1] > 0)
        SET(row, average_power_on_w, energy_rounded(s->watt_us[1] / (double)s->known_us[1], 1e3));
    if (s->known_us[0] > 0)
        SET(row, average_power_off_w, energy_rounded(s->watt_us[0] / (double)s->known_us[0], 1e3));
}

/* A table of this meter alone. */
static enum store_result ask_meter(energy_t *self, const char *meter, int64_t from_us, int64_t now_us, struct impact_row *row)
{
    struct energy_one one = { .entity_id = (char *)(uintptr_t)meter, .role = ROLE_DEVICE, .parent = 0 };
    struct energy_who alone = { .items = &one, .count = 1 };
    struct energy_table t;
    int64_t edges[2];
    enum store_result result = ask_days(self, &alone, from_us, now_us, edges, &t);
    if (result != STORE_OK)
        return result;
    say_energy(self, &t, t.kinds[0], &t.sums[0], row);
    energy_table_close(&t);
    return STORE_OK;
}

/* The house's own meter, by its power: it counts as well, what comes from the grid and what goes there. false: it does not. */
static bool is_grid(const struct energy_who *who, struct slice entity_id, struct energy_one grid[2], struct energy_who *alone)
{
    static const char *const counters[] = { "_smartmeter.import_kwh", "_smartmeter.export_kwh" };
    *alone = (struct energy_who){ .items = grid, .count = 0 };
    for (size_t i = 0; i < who->count && alone->count < 2 && energy_is("_smartmeter.power_w", entity_id); i++)
        if (who->items[i].role != ROLE_DEVICE && strcmp(who->items[i].entity_id, counters[alone->count]) == 0) {
            grid[alone->count] = who->items[i];
            grid[alone->count].parent = alone->count;
            alone->count++;
        }
    return alone->count > 0;
}

static enum store_result ask_grid(energy_t *self, const struct energy_who *grid, int64_t from_us, int64_t now_us, struct impact_row *row)
{
    struct energy_table t;
    int64_t edges[2];
    enum store_result result = ask_days(self, grid, from_us, now_us, edges, &t);
    if (result != STORE_OK)
        return result;
    if (t.has_meter)
        say_energy(self, &t, t.meter_kind, t.meter, row);
    energy_table_close(&t);
    return STORE_OK;
}

/* Of what measures itself: a channel of the smart meter, the meter of the house. */
static enum store_result ask_itself(energy_t *self, const struct energy_who *who, const struct walk *w, struct impact_row *row)
{
    struct energy_one two[2];
    struct energy_who grid;
    char itself[256];
    if (w->kind == ENERGY_NONE || w->entity_id.size >= sizeof itself)
        return STORE_OK;
    if (is_grid(who, w->entity_id, two, &grid)) {
        SET(row, meter, slice_of(two[0].entity_id));
        return ask_grid(self, &grid, w->from_us, w->now_us, row);
    }
    memcpy(itself, w->entity_id.data, w->entity_id.size);
    itself[w->entity_id.size] = '\0';
    SET(row, meter, w->entity_id);
    return ask_meter(self, itself, w->from_us, w->now_us, row);
}

static enum store_result tell_impact(energy_t *self, const struct energy_who *who, const struct device *d, struct walk *w, rows_t *rows, struct page *end)
{
    const struct energy_found *counter = meter_of(who, w->entity_id, d, true), *power = meter_of(who, w->entity_id, d, false);
    const struct energy_found *meter = counter ? counter : power, *itself = energy_house_find(&who->house, w->entity_id);
    struct impact_row row;
    w->power = power && !itself ? slice_of(power->entity_id) : (struct slice){ "", 0 };
    enum store_result result = store_look(self->store, walk_device, w);
    if (result != STORE_OK || !w->is_there)
        return result == STORE_OK ? STORE_MISSING : result;
    begin_row(w->entity_id, itself ? itself->name : NULL, &row);
    SAY(&row, basis, "no meter");
    if (meter) {
        SET(&row, meter, slice_of(meter->entity_id));
        result = ask_meter(self, meter->entity_id, w->from_us, w->now_us, &row);
    } else {
        result = ask_itself(self, who, w, &row);
    }
    say_spells(w, !itself && w->kind == ENERGY_NONE, &row);
    if (result == STORE_OK && row_consumption_impact(rows, &row) == 0)
        end->count++;
    return result;
}

enum store_result energy_impact(energy_t *self, const struct impact_query *q, int64_t now_us, rows_t *rows, struct page *end)
{
    struct energy_who who;
    struct device device = { .has_id = false };
    struct walk *w = calloc(1, sizeof *w);
    int64_t next, from = now_us - (q->has_days ? q->days : 7) * DAY_US;
    assert(w);
    *w = (struct walk){ .entity_id = { q->entity_id, q->entity_id_size }, .from_us = from, .now_us = now_us };
    struct moment_question moment = { .at_us = { now_us }, .moments = 1, .is_now = true, .entities = w->entity_id };
    enum store_result result = energy_ask_who(self, from, now_us, now_us, &who);
    if (result == STORE_OK)
        result = store_moment(self->store, &moment, take_device, &device, &next);
    if (result == STORE_OK)
        result = tell_impact(self, &who, &device, w, rows, end);
    energy_who_close(&who);
    free(w->gaps);
    free(w);
    return result;
}
