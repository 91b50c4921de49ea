/* series.c - answers series.read: columns of many entities, in pieces that fit into a page. */
#include "series.h"

#include "absent.h"
#include "spans.h"
#include "units.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_US = 300000, LOOK_EVERY = 256, SPANS_MAX = 256, RAW_LOOKED_MAX = 200000, PAGE_MAX = 2097152 /* an answer takes twice that */ };

enum { BUFFERS = 9 };
/* One entity's columns while they are made. `lacking`: runs of steps in which a value was missing for a while. */
struct piece {
    msgpack_sbuffer start, numbers, first_states, last_states, texts, resets, unavailable, gaps, lacking;
    int64_t count;
    bool is_full, is_cut;          /* the page is; ROWS_MAX is */
    bool lacks;                    /* of samples: somewhere there is no value */
    int64_t next;                  /* where it goes on then */
    enum tier tier;
    int64_t open_from;             /* 0: none */
};

struct series_reader {
    store_t *store;
    size_t page_bytes;
    struct plan plan;
    struct series_facts facts;     /* of the entity at hand */
    struct lineage_span spans[SPANS_MAX];
    size_t spans_count;
    struct piece piece;
    rows_t *rows;
    size_t room;                   /* the rows' at the beginning */
    int64_t deadline_us, looked, given;
    enum tier tier;
    struct fault fault;
    bool first_page;
};

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- pieces ------------------------------------------------------------------------------------------ */

static void buffers_of(struct piece *p, msgpack_sbuffer *list[BUFFERS])
{
    msgpack_sbuffer *all[BUFFERS] = { &p->start, &p->numbers, &p->first_states, &p->last_states, &p->texts, &p->resets, &p->unavailable, &p->gaps,
        &p->lacking };
    memcpy(list, all, sizeof all);
}

static void piece_clear(struct piece *p)
{
    msgpack_sbuffer *list[BUFFERS];
    buffers_of(p, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_clear(list[i]);
    p->count = p->open_from = p->next = 0;
    p->is_full = p->is_cut = p->lacks = false;
    p->tier = TIER_DAY;
}

static size_t piece_bytes(struct piece *p)
{
    msgpack_sbuffer *list[BUFFERS];
    size_t bytes = 0;
    buffers_of(p, list);
    for (size_t i = 0; i < BUFFERS; i++)
        bytes += list[i]->size;
    return bytes;
}

static void put_int(msgpack_sbuffer *to, int64_t n)
{
    msgpack_sbuffer_write(to, (const char *)&n, sizeof n);
}

static void put_real(msgpack_sbuffer *to, double n)
{
    msgpack_sbuffer_write(to, (const char *)&n, sizeof n);
}

static void put_comma(msgpack_sbuffer *to)
{
    if (to->size)
        msgpack_sbuffer_write(to, ",", 1);
}

static void put_text(msgpack_sbuffer *to, bool has, struct slice text)
{
    put_comma(to);
    if (has)
        json_write_text(text, to);
    else
        msgpack_sbuffer_write(to, "null", 4);
}

static struct slice slice_from(const msgpack_sbuffer *b)
{
    return (struct slice){ b->size ? b->data : "", b->size };
}

/* The page is full, or it has taken long enough. */
static bool is_enough(series_reader_t *self, size_t more)
{
    return self->room - actor_rows_room(self->rows) + more >= self->page_bytes
        || (self->looked++ % LOOK_EVERY == 0 && clock_us() > self->deadline_us);
}

/* Never before something is in it. */
static bool is_full(series_reader_t *self)
{
    return self->piece.count > 0 && is_enough(self, piece_bytes(&self->piece));
}

/* Stretches that touch are one. */
static int put_stretch(void *owner, int64_t from_us, int64_t to_us)
{
    msgpack_sbuffer *to = owner;
    int64_t last;
    if (to->size && (memcpy(&last, to->data + to->size - sizeof last, sizeof last), last == from_us))
        to->size -= sizeof last;
    else
        put_int(to, from_us);
    put_int(to, to_us);
    return 0;
}

/* --- steps --------------------------------------------------------------------------------------------- */

static void put_durations(msgpack_sbuffer *to, const struct bucket *b)
{
    char text[NUMBER_TEXT];
    put_comma(to);
    const char *comma = "{";
    for (size_t i = 0; i < b->states + (b->other_us > 0); i++, comma = ",") {
        int64_t us = i < b->states ? b->durations[i].us : b->other_us;
        msgpack_sbuffer_write(to, comma, 1);
        json_write_text(i < b->states ? b->durations[i].state : slice_of("(others)"), to);
        msgpack_sbuffer_write(to, ":", 1);
        msgpack_sbuffer_write(to, text, number_write((double)us / 1e6, text));
    }
    msgpack_sbuffer_write(to, *comma == '{' ? "{}" : "}", *comma == '{' ? 2 : 1);
}

static double stat_of(const struct bucket *b, enum series_class class, enum stat stat)
{
    double mean;
    switch (stat) {
    case STAT_COUNT: return (double)b->count;
    case STAT_MEAN: return bucket_mean(b, class, &mean) ? mean : NAN;
    case STAT_MIN: return b->has_range ? b->min : NAN;
    case STAT_MAX: return b->has_range ? b->max : NAN;
    case STAT_FIRST: return b->has_first && class != CLASS_STATES ? b->first : NAN;
    case STAT_LAST: return b->has_last && class != CLASS_STATES ? b->last : NAN;
    case STAT_INCREASE: return b->has_increase ? b->increase : NAN;
    case STAT_RESETS: return class_counts(class) ? (double)b->resets : NAN;
    case STAT_SECONDS: return (double)b->value_us / 1e6;
    case STAT_SECONDS_UNAVAILABLE: return (double)b->unavailable_us / 1e6;
    case STAT_SECONDS_GAP: return (double)b->gap_us / 1e6;
    case STAT_DURATIONS: case STATS: break;
    }
    return NAN;
}

/* Runs of steps are looked up when all have been read: the reading must not be disturbed. */
static void note_lack(msgpack_sbuffer *lacking, const struct bucket *b)
{
    if (b->unavailable_us > 0)
        put_stretch(lacking, b->from, b->to);
}

static enum store_result find_absences(series_reader_t *self)
{
    const msgpack_sbuffer *lacking = &self->piece.lacking;
    enum store_result result = STORE_OK;
    for (size_t at = 0; at < lacking->size && result == STORE_OK; at += 2 * sizeof(int64_t)) {
        int64_t run[2];
        memcpy(run, lacking->data + at, sizeof run);
        result = store_absent(self->store, self->spans, self->spans_count, self->facts.class == CLASS_STATES, run[0], run[1], put_stretch,
                              &self->piece.unavailable);
    }
    return result;
}

static int take_bucket(void *owner, const struct bucket *b)
{
    series_reader_t *self = owner;
    struct piece *p = &self->piece;
    bool states = self->facts.class == CLASS_STATES;
    if (is_full(self)) {
        p->is_full = true;
        p->next = b->from;
        return 1;
    }
    put_int(&p->start, b->from);
    for (size_t i = 0; i < self->plan.stats_count; i++)
        if (self->plan.stats[i] != STAT_DURATIONS)
            put_real(&p->numbers, stat_of(b, self->facts.class, self->plan.stats[i]));
    if (states && plan_has(&self->plan, STAT_FIRST))
        put_text(&p->first_states, b->has_first, b->first_state);
    if (states && plan_has(&self->plan, STAT_LAST))
        put_text(&p->last_states, b->has_last, b->last_state);
    if (plan_has(&self->plan, STAT_DURATIONS))
        put_durations(&p->texts, b);
    if (plan_has(&self->plan, STAT_RESETS))
        for (int64_t i = 0; i < b->resets && i < RESETS_MAX && b->reset_at; i++)
            put_int(&p->resets, b->reset_at[i]);
    p->count++;
    p->tier = b->tier < p->tier ? b->tier : p->tier;
    p->open_from = b->is_open ? b->from : 0;
    note_lack(&p->lacking, b);
    return 0;
}

static enum store_result read_steps(series_reader_t *self, int64_t from)
{
    const struct plan *plan = &self->plan;
    int64_t to = plan->to < plan->now ? plan->to : from < plan->now ? plan->now : from + 1; /* none begins later than now */
    struct bucket_question q = { .from_us = from, .to_us = to, .now_us = plan->now, .step = plan->step, .has_unit = plan->has_unit,
        .unit = plan->unit, .told = &self->facts };
    enum store_result result = store_buckets_of(self->store, self->spans, self->spans_count, &q, take_bucket, self);
    return result == STORE_OK ? find_absences(self) : result;
}

/* --- samples --------------------------------------------------------------------------------------------- */

static enum store_result put_sample(series_reader_t *self, const struct sample *s)
{
    struct piece *p = &self->piece;
    const struct unit_name *unit;
    double number = NAN;
    p->lacks |= s->kind != SAMPLE_NUMBER && (s->kind != SAMPLE_TEXT || self->facts.class != CLASS_STATES);
    if (s->kind == SAMPLE_NUMBER) {
        enum store_result result = facts_unit(facts_of(self->store), s->snapshot, &unit);
        if (result != STORE_OK)
            return result;
        number = s->number;
        if (!units_convert(unit_slice(unit), unit_slice(&self->facts.unit), &number))
            number = NAN;
    }
    put_int(&p->start, s->at);
    put_real(&p->numbers, number);
    put_text(&p->texts, s->kind != SAMPLE_REMOVED, s->state);
    p->count++;
    return STORE_OK;
}

/* A stretch of samples ends only where time goes on: those of one moment stay together. */
static bool ends_before(series_reader_t *self, const struct sample *s, int64_t last_at)
{
    struct piece *p = &self->piece;
    if (s->at == last_at)
        return false;
    p->is_cut = self->plan.taken + p->count >= ROWS_MAX;
    p->is_full = !p->is_cut && is_full(self);
    if (p->is_cut || p->is_full)
        p->next = s->at;
    return p->is_cut || p->is_full;
}

/* The value in force at the beginning comes first, if there is one and no other at that very moment. */
static enum store_result take_samples(series_reader_t *self, history_t *history, int64_t from)
{
    struct sample s, prior = { 0 };
    bool has_prior = false;
    char *text = NULL;
    int64_t last_at = -1;
    self->piece.lacks = self->plan.position == 0; /* until it is known what was in force at the beginning */
    enum store_result result;
    while ((result = history_next(history, &s)) == STORE_OK) {
        if (s.at < from) {
            prior = s;
            has_prior = s.kind != SAMPLE_REMOVED;
            self->piece.lacks = !has_prior;
            free(text);
            text = malloc(s.state.size + 1);
            assert(text);
            memcpy(text, s.state.size ? s.state.data : "", s.state.size);
            prior.state.data = text;
            continue;
        }
        if (has_prior && s.at > from)
            result = put_sample(self, &prior);
        has_prior = false;
        self->piece.lacks &= s.at > from || last_at >= 0;
        if (result != STORE_OK || ends_before(self, &s, last_at))
            break;
        last_at = s.at;
        result = put_sample(self, &s);
        if (result != STORE_OK)
            break;
    }
    if (result == STORE_MISSING && has_prior)
        result = put_sample(self, &prior);
    free(text);
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result read_samples(series_reader_t *self, int64_t from, bool goes_on)
{
    const struct plan *plan = &self->plan;
    int64_t end = plan->to;
    enum store_result result = facts_of_series(facts_of(self->store), self->spans[self->spans_count - 1].series, &self->facts);
    if (result != STORE_OK)
        return result;
    if (plan->has_unit) {
        self->facts.unit.size = plan->unit.size < UNIT_BYTES ? plan->unit.size : UNIT_BYTES;
        memcpy(self->facts.unit.text, plan->unit.data, self->facts.unit.size);
    }
    self->piece.tier = TIER_RAW;
    history_t *history = history_open(self->store, self->spans, self->spans_count, from, end, !goes_on);
    result = take_samples(self, history, from);
    history_close(&history);
    if (result == STORE_OK && self->piece.lacks)
        result = store_absent(self->store, self->spans, self->spans_count, self->facts.class == CLASS_STATES, from,
                              self->piece.next ? self->piece.next : end < plan->now ? end : plan->now, put_stretch, &self->piece.unavailable);
    return result;
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
    result = plan->is_raw ? read_samples(self, from, goes_on) : read_steps(self, from);
    if (result == STORE_OK && !self->piece.is_full)
        result = store_gaps_of(self->store, self->spans, self->spans_count, plan->from, plan->to < plan->now ? plan->to : plan->now, &gap_open,
                               put_stretch, &self->piece.gaps);
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
        if (self->given > 0 && is_enough(self, 0))
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
    msgpack_sbuffer *list[BUFFERS];
    if (!*self_p)
        return;
    buffers_of(&(*self_p)->piece, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_destroy(list[i]);
    free(*self_p);
    *self_p = NULL;
}
