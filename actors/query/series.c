/* series.c - answers series.read: columns of many entities, in pieces that fit into a page. */
#include "series_inside.h"

#include "absent.h"
#include "spans.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_US = 300000, LOOK_EVERY = 256, RAW_LOOKED_MAX = 200000, PAGE_MAX = 2097152 /* an answer takes twice that */ };

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The page is full, or it has taken long enough. */
static bool series_is_enough(series_reader_t *self, size_t more)
{
    return self->room - actor_rows_room(self->rows) + more >= self->page_bytes
        || (self->looked++ % LOOK_EVERY == 0 && clock_us() > self->deadline_us);
}

/* Never before something is in it. */
bool series_is_full(series_reader_t *self)
{
    return self->piece.count > 0 && series_is_enough(self, piece_bytes(&self->piece));
}

/* --- one entity ------------------------------------------------------------------------------------------- */

static int note_span(void *owner, const struct lineage_span *span)
{
    series_reader_t *self = owner;
    if (self->spans_count == SPANS_MAX) /* the oldest is given up for the newest */
        memmove(self->spans, self->spans + 1, --self->spans_count * sizeof *self->spans);
    self->spans[self->spans_count++] = *span;
    return 0;
}

static enum store_result find_spans(series_reader_t *self, size_t entity)
{
    self->spans_count = 0;
    enum store_result result = store_lineage(self->store, self->plan.ids[entity], self->plan.by_role, note_span, self);
    return result == STORE_MISSING ? STORE_OK : result;
}

static const char *const tier_names[TIERS] = { [TIER_RAW] = "raw", [TIER_QUARTER] = "15m", [TIER_HOUR] = "1h", [TIER_DAY] = "1d" };

static struct slice slice_from(const msgpack_sbuffer *b)
{
    return (struct slice){ b->size ? b->data : "", b->size };
}

static void set_blob(bool *has, struct slice *member, const msgpack_sbuffer *from)
{
    *has = from->size > 0;
    *member = slice_from(from);
}

static enum store_result give_piece(series_reader_t *self, bool known, bool is_last, bool gap_open)
{
    struct piece *p = &self->piece;
    struct series_part part;
    schema_clear(series_part_schema(), &part);
    SET(&part, entity_id, self->plan.ids[self->plan.entity]);
    SET(&part, known, known);
    SET(&part, is_last, is_last);
    SET(&part, gap_open, gap_open);
    SET(&part, is_states, known && self->facts.class == CLASS_STATES);
    SET(&part, count, p->count);
    if (known && self->facts.unit.size)
        SET(&part, unit, unit_slice(&self->facts.unit));
    if (known && p->count)
        SET_TEXT(&part, tier, tier_names[p->tier], strlen(tier_names[p->tier]));
    if (p->open_from)
        SET(&part, open_from, p->open_from);
    if (p->is_cut)
        SET(&part, next, p->next);
    set_blob(&part.has_start, &part.start, &p->start);
    set_blob(&part.has_numbers, &part.numbers, &p->numbers);
    set_blob(&part.has_first_states, &part.first_states, &p->first_states);
    set_blob(&part.has_last_states, &part.last_states, &p->last_states);
    set_blob(&part.has_texts, &part.texts, &p->texts);
    set_blob(&part.has_resets, &part.resets, &p->resets);
    set_blob(&part.has_unavailable, &part.unavailable, &p->unavailable);
    set_blob(&part.has_gaps, &part.gaps, &p->gaps);
    if (row_series_read(self->rows, &part) != 0)
        return STORE_DUPLICATE;
    self->given += p->count + 1;
    if (known && p->count && p->tier < self->tier)
        self->tier = p->tier;
    return STORE_OK;
}

/* STORE_DUPLICATE: the page ends within this entity. */
static enum store_result read_entity(series_reader_t *self)
{
    struct plan *plan = &self->plan;
    bool goes_on = plan->position != 0, gap_open = false;
    int64_t from = goes_on ? plan->position : plan->from;
    piece_clear(&self->piece);
    enum store_result result = find_spans(self, plan->entity);
    if (result != STORE_OK)
        return result;
    if (self->spans_count == 0) {
        plan->position = plan->taken = 0;
        return give_piece(self, false, true, false);
    }
    result = plan->is_raw ? series_samples(self, from, goes_on) : series_steps(self, from);
    if (result == STORE_OK && !self->piece.is_full)
        result = store_gaps_of(self->store, self->spans, self->spans_count, plan->from, plan->to < plan->now ? plan->to : plan->now, &gap_open,
                               piece_stretch, &self->piece.gaps);
    if (result == STORE_OK)
        result = give_piece(self, true, !self->piece.is_full, gap_open);
    if (result != STORE_OK)
        return result;
    plan->position = self->piece.is_full ? self->piece.next : 0;
    plan->taken = self->piece.is_full ? plan->taken + self->piece.count : 0;
    return self->piece.is_full ? STORE_DUPLICATE : STORE_OK;
}

/* --- the page ---------------------------------------------------------------------------------------------- */

/* Whether all of it is so little that it can be given sample by sample. */
static enum store_result fits_raw(series_reader_t *self, bool *fits)
{
    struct plan *plan = &self->plan;
    int64_t looked = 0;
    enum store_result result = STORE_OK;
    *fits = true;
    for (size_t i = 0; i < plan->ids_count && *fits && result == STORE_OK; i++) {
        struct sample s;
        int64_t count = 1;
        result = find_spans(self, i);
        history_t *history = history_open(self->store, self->spans, self->spans_count, plan->from, plan->to, false);
        while (result == STORE_OK && count <= plan->points && (result = history_next(history, &s)) == STORE_OK)
            count++;
        history_close(&history);
        looked += count;
        *fits = count <= plan->points && looked <= RAW_LOOKED_MAX;
        result = result == STORE_MISSING ? STORE_OK : result;
    }
    return result;
}

static enum store_result choose(series_reader_t *self)
{
    struct plan *plan = &self->plan;
    bool fits = false;
    enum store_result result = plan->has_stat ? STORE_OK : fits_raw(self, &fits);
    if (result != STORE_OK)
        return result;
    if (fits) {
        plan_set_step(plan, "raw", 3);
    } else if (plan_choose_step(plan)) {
        self->fault = (struct fault){ "points", "are fewer than the months of that time" };
        return STORE_BAD;
    }
    return STORE_OK;
}

/* Before anything is said, whether each of them can be told in that unit. */
static enum store_result check_unit(series_reader_t *self)
{
    struct plan *plan = &self->plan;
    for (size_t i = 0; i < plan->ids_count; i++) {
        struct series_facts facts;
        double number = 1;
        enum store_result result = find_spans(self, i);
        if (result == STORE_OK && self->spans_count)
            result = facts_of_series(facts_of(self->store), self->spans[self->spans_count - 1].series, &facts);
        if (result != STORE_OK)
            return result;
        if (!self->spans_count || units_convert(unit_slice(&facts.unit), plan->unit, &number))
            continue;
        self->fault = (struct fault){ "unit", "is none that all of these can be converted to" };
        return STORE_BAD;
    }
    return STORE_OK;
}

static enum store_result read_page(store_t *store, void *owner)
{
    series_reader_t *self = owner;
    struct plan *plan = &self->plan;
    enum store_result result = STORE_OK;
    (void)store;
    if (self->first_page && plan->has_unit)
        result = check_unit(self);
    if (result == STORE_OK && plan->step_name[0] == '\0')
        result = choose(self);
    for (; result == STORE_OK && plan->entity < plan->ids_count; plan->entity++) {
        if (self->given > 0 && series_is_enough(self, 0))
            return STORE_DUPLICATE;
        result = read_entity(self);
        if (result != STORE_OK)
            break;
    }
    return result;
}

static void tell_end(const series_reader_t *self, struct series_end *end)
{
    const struct plan *plan = &self->plan;
    char names[256];
    size_t size = 0;
    for (size_t i = 0; i < plan->stats_count; i++)
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", i ? "," : "", stat_names[plan->stats[i]]);
    schema_clear(series_end_schema(), end);
    SET(end, from, plan->from);
    SET(end, to, plan->to);
    SET(end, now, plan->now);
    SET_TEXT(end, step, plan->step_name, strlen(plan->step_name));
    SET(end, step_us, !plan->is_raw && plan->step.kind == STEP_FIXED ? plan->step.us : 0);
    if (self->tier < TIERS)
        SET_TEXT(end, tier, tier_names[self->tier], strlen(tier_names[self->tier]));
    SET_TEXT(end, stat, names, size);
}

int series_answer(series_reader_t *self, const struct series_ask *q, const char *home_zone, int64_t now_us, rows_t *rows,
                  struct series_end *end, enum store_result *result, int64_t *given, struct fault *fault)
{
    int verdict = plan_read(&self->plan, q, home_zone, now_us, fault);
    if (verdict != OK)
        return verdict;
    self->rows = rows;
    self->room = actor_rows_room(rows);
    self->deadline_us = clock_us() + LOOK_US;
    self->looked = self->given = 0;
    self->tier = TIERS;
    self->first_page = !q->has_cursor;
    self->fault = (struct fault){ "", "" };
    *result = store_look(self->store, read_page, self);
    if (*result == STORE_BAD)
        *fault = self->fault;
    if (*result == STORE_OK || *result == STORE_DUPLICATE) {
        tell_end(self, end);
        if (*result == STORE_DUPLICATE)
            plan_cursor(&self->plan, end);
    }
    *given = self->given;
    plan_close(&self->plan);
    return OK;
}

/* --- life --------------------------------------------------------------------------------------------------- */

series_reader_t *series_reader_new(store_t *store, size_t page_bytes)
{
    series_reader_t *self = calloc(1, sizeof *self);
    assert(self);
    self->store = store;
    self->page_bytes = page_bytes < PAGE_MAX ? page_bytes : PAGE_MAX;
    return self;
}

void series_reader_destroy(series_reader_t **self_p)
{
    if (!*self_p)
        return;
    piece_close(&(*self_p)->piece);
    free(*self_p);
    *self_p = NULL;
}
