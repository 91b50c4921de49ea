/* past_load.c - asking query for what the sources said before: one question at a time, so that it has time for others. */
#include "past_inside.h"
#include "row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 5000, AGAIN_MS = 100, AGAIN_MOST_MS = 3000, ROWS = 5000, DRAFTS_MAX = 600 };

static void on_rows(struct self *, actor_t *, int64_t tag, const struct answer *, const struct page *end);

void loading_close(struct loading *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->drafts[i].reading);
    free(self->drafts);
    *self = (struct loading){ .drafts = NULL };
}

/* --- asking ------------------------------------------------------------------------------------------ */

static bool is_series(enum of_source source, const struct field *f, bool is_one)
{
    const struct source_kind *kind = &source_kinds[source];
    bool has_each = f->flags & REQUIRED || kind->members[0] || (kind->always && !strcmp(f->name, kind->always));
    return past_tells(source, f) && (has_each || !is_one);
}

/* Names of its series; of the first question only one that every reading has. Of chosen members the first row is of the first that there is. */
static void tell_ids(enum of_source source, bool is_one, struct points_query *query)
{
    const struct schema *schema = source_kinds[source].schema();
    char ids[4096] = "";
    size_t size = 0;
    is_one = is_one && !source_kinds[source].members[0];
    for (size_t i = 0; i < schema->count && !(is_one && size > 0); i++)
        if (is_series(source, &schema->fields[i], is_one)) {
            int n = snprintf(ids + size, sizeof ids - size, "%s_%s.%s", size ? "," : "", source_kinds[source].name, schema->fields[i].name);
            assert(n > 0 && (size_t)n < sizeof ids - size);
            size += (size_t)n;
        }
    SET_TEXT(query, ids, ids, size);
}

static void on_again(struct self *owner, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    past_load(enrich_past(owner));
}

/* What is thinned is asked for as it is told: what was in force when each step began, whenever that was said. */
static bool is_by_steps(const struct loading *l)
{
    return source_kinds[l->source].is_thinned && l->what != LOAD_FIRST;
}

static void ask(struct past *self, const struct page *before)
{
    struct points_query query = { .has_ids = false };
    struct loading *l = &self->loading;
    tell_ids(l->source, l->what == LOAD_FIRST, &query);
    if (is_by_steps(l)) {
        SET_TEXT(&query, step, "5m", 2);
        SET_TEXT(&query, stat, "first", 5);
    } else {
        SET_TEXT(&query, step, "raw", 3);
    }
    SET(&query, limit, l->what == LOAD_FIRST ? 1 : ROWS);
    SET(&query, from, l->from_us);
    if (l->to_us < NEVER)
        SET(&query, to, l->to_us);
    if (before)
        SET_TEXT(&query, cursor, before->next_cursor, before->next_cursor_size);
    self->is_asking = ask_points_find(self->actor, &query, ANSWER_MS, on_rows, 0) == 0;
}

/* A reading may be in force for so long before the time that is asked for. */
static int64_t reaches_back(const struct past *self, enum of_source source)
{
    const struct source_kind *kind = &source_kinds[source];
    return kind->is_thinned ? 0 : kind->is_slots || kind->is_kept ? DAY_US : self->lasts_us[source];
}

static bool want(struct past *self, struct loading what)
{
    self->loading = what;
    if (what.what != LOAD_FIRST)
        self->loading.from_us = what.from_us > reaches_back(self, what.source) ? what.from_us - reaches_back(self, what.source) : 0;
    ask(self, NULL);
    return true;
}

/* Whether something was asked for. Where there is nothing in the store of a source, it is not asked for. */
static bool want_recent(struct past *self)
{
    for (enum of_source i = 0; i < SOURCES; i++)
        if (!self->has_first[i])
            return want(self, (struct loading){ .what = LOAD_FIRST, .source = i, .to_us = NEVER });
    for (enum of_source i = 0; i < SOURCES; i++) {
        if (self->has_recent[i])
            continue;
        if (self->first_us[i] < NEVER)
            return want(self, (struct loading){ .what = LOAD_RECENT, .source = i, .from_us = self->begun_us - DAY_US, .to_us = NEVER });
        self->has_recent[i] = true;
    }
    return false;
}

static bool is_complete(const struct past *self, const struct day *day, enum of_source *lacks)
{
    for (enum of_source i = 0; i < SOURCES; i++)
        if (!day->has[i] && self->first_us[i] < day->from_us + DAY_US) {
            *lacks = i;
            return false;
        }
    return true;
}

/* True if one has become whole; else one more is asked for. */
static bool want_day(struct past *self)
{
    struct day *lacking = NULL;
    enum of_source source = 0, lacks;
    for (struct day *day = self->days; day < self->days + DAYS_MAX; day++) {
        if (!day->is_used || day->is_whole)
            continue;
        if (is_complete(self, day, &lacks))
            return day->is_whole = true;
        if (lacking && lacking->turn < day->turn)
            continue;
        lacking = day;
        source = lacks;
    }
    if (lacking)
        want(self, (struct loading){ .what = LOAD_DAY, .source = source, .day = lacking, .from_us = lacking->from_us, .to_us = lacking->from_us + DAY_US });
    return false;
}

/* True if something has become whole. */
static bool go_on(struct past *self)
{
    if (self->is_asking || want_recent(self))
        return false;
    if (!self->is_loaded) {
        self->is_loaded = true;
        self->since_us = self->begun_us - DAY_US;
        for (int i = 0; i < SOURCES; i++)
            if (self->since_us < readings_gone_until(self->recent[i]))
                self->since_us = readings_gone_until(self->recent[i]);
        return true;
    }
    return want_day(self);
}

void past_load(struct past *self)
{
    while (!self->is_asking && go_on(self))
        ;
}

/* --- what it says ------------------------------------------------------------------------------------------ */

static size_t count_before(const struct loading *self, int64_t at_us)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->drafts[middle].as_of_us < at_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void *draft_at(struct loading *self, const struct schema *schema, int64_t at_us)
{
    size_t at = count_before(self, at_us);
    if (at < self->count && self->drafts[at].as_of_us == at_us)
        return self->drafts[at].reading;
    if (self->count == DRAFTS_MAX)
        return NULL;
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 64;
        self->drafts = realloc(self->drafts, self->room * sizeof *self->drafts);
        assert(self->drafts);
    }
    memmove(self->drafts + at + 1, self->drafts + at, (self->count++ - at) * sizeof *self->drafts);
    self->drafts[at] = (struct draft){ at_us, calloc(1, schema->size) };
    assert(self->drafts[at].reading);
    row_put_int(schema_field(schema, "as_of", 5), at_us, self->drafts[at].reading);
    return self->drafts[at].reading;
}

/* The currency is not a series: it stands before the "/kWh" of the price's unit. */
static void take_currency(const struct schema *schema, const struct field *f, const struct point *point, void *reading)
{
    const struct field *currency = schema_field(schema, "currency", 8);
    size_t size = f->unit ? strlen(f->unit) : 0;
    if (currency && size > 0 && f->unit[0] == '/' && point->has_unit && point->unit.size > size)
        row_put_bytes(currency, (struct slice){ point->unit.data, point->unit.size - size }, reading);
}

static bool says_nothing(struct slice state)
{
    return (state.size == 7 && !memcmp(state.data, "unknown", 7)) || (state.size == 11 && !memcmp(state.data, "unavailable", 11));
}

static void take_point(struct loading *self, const struct point *point)
{
    const struct source_kind *kind = &source_kinds[self->source];
    const struct schema *schema = kind->schema();
    const char *name = point->entity_id.data;
    size_t prefix = strlen(kind->name) + 2; /* "_name." */
    if (point->entity_id.size <= prefix || !(point->has_time || point->has_start))
        return;
    const struct field *f = schema_field(schema, name + prefix, point->entity_id.size - prefix);
    if (is_by_steps(self)) {
        void *reading = f && point->has_start && point->has_first ? draft_at(self, schema, point->start) : NULL;
        if (reading)
            row_put_real(f, point->first, reading);
        return;
    }
    bool has = f && (f->kind == TEXT_KIND ? point->has_state && !says_nothing(point->state) : point->has_value);
    void *reading = has ? draft_at(self, schema, point->time) : NULL;
    if (!reading)
        return;
    if (f->kind == TEXT_KIND)
        row_put_bytes(f, point->state, reading);
    else if (f->kind == REAL_KIND)
        row_put_real(f, point->value, reading);
    else if (f->kind == INT_KIND)
        row_put_int(f, (int64_t)point->value, reading);
    else if (f->kind == FLAG_KIND)
        row_put_flag(f, point->value != 0.0, reading);
    take_currency(schema, f, point, reading);
}

/* A slot's end is no series either: no slot is longer than the shortest time between two of them. */
static int64_t slot_length(const struct loading *self)
{
    int64_t length_us = 0;
    for (size_t i = 1; i < self->count; i++) {
        int64_t step_us = self->drafts[i].as_of_us - self->drafts[i - 1].as_of_us;
        if (length_us == 0 || step_us < length_us)
            length_us = step_us;
    }
    return length_us ? length_us : 3600 * SECOND_US;
}

/* How long each was in force, 0: until the next one. Of what is thinned each step has its own, or none. */
static int64_t length_of_each(const struct loading *l)
{
    return is_by_steps(l) ? THINNED_STEP_US : source_kinds[l->source].is_slots ? slot_length(l) : 0;
}

static void keep(struct past *self, readings_t *readings, int64_t before_us)
{
    struct loading *l = &self->loading;
    int64_t length_us = length_of_each(l);
    for (size_t i = 0; i < l->count && l->drafts[i].as_of_us < before_us; i++) {
        struct slice json = past_write(self, l->source, l->drafts[i].reading);
        if (json.size > 0)
            readings_add(readings, l->drafts[i].as_of_us, length_us ? l->drafts[i].as_of_us + length_us : READING_OPEN, json);
    }
}

/* Of what is thinned the series say what was before the first that was heard, and that says the rest. */
static void keep_recent(struct past *self, enum of_source source)
{
    if (source_kinds[source].is_thinned)
        readings_drop(self->recent[source], self->thinned_us[source]);
    keep(self, self->recent[source], source_kinds[source].is_thinned ? self->thinned_us[source] : NEVER);
}

static void finish(struct past *self)
{
    struct loading *l = &self->loading;
    if (l->what == LOAD_FIRST) {
        if (l->count > 0 && l->drafts[0].as_of_us < self->first_us[l->source])
            self->first_us[l->source] = l->drafts[0].as_of_us;
        self->has_first[l->source] = true;
    } else if (l->what == LOAD_RECENT) {
        keep_recent(self, l->source);
        self->has_recent[l->source] = true;
    } else {
        l->day->of[l->source] = readings_new();
        keep(self, l->day->of[l->source], NEVER);
        l->day->has[l->source] = true;
    }
    loading_close(l);
}

static void on_rows(struct self *owner, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    struct past *self = enrich_past(owner);
    struct slice rest = answer->rows, one;
    struct point point;
    struct fault fault;
    (void)tag;
    self->is_asking = false;
    if (answer->verdict != OK) {
        loading_close(&self->loading);
        self->again_ms = !self->again_ms ? AGAIN_MS : 2 * self->again_ms < AGAIN_MOST_MS ? 2 * self->again_ms : AGAIN_MOST_MS;
        actor_after(actor, self->again_ms, on_again, 0);
        return;
    }
    self->is_given_up = false;
    self->again_ms = 0;
    while (frame_next(&rest, &one) && point_decode(one, &point, &fault) == 0)
        take_point(&self->loading, &point);
    if (self->loading.what != LOAD_FIRST && end->has_next_cursor && self->loading.count < DRAFTS_MAX) {
        ask(self, end);
        return;
    }
    finish(self);
    bool is_news = false;
    while (!self->is_asking && go_on(self))
        is_news = true;
    if (!is_news)
        return;
    past_wait_no_more(self); /* who is not served yet begins to wait anew */
    enrich_past_is_known(owner, actor);
}
