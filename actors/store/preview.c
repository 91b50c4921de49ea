/* preview.c - what rules would have done to the last day: read back, decided again, counted. */
#include "inside.h"
#include "pack.h"
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)

/* Ever longer times that end now, until one takes too long: the one before counts, whole. */
static const int64_t periods_us[] = { SECOND_US, 10 * SECOND_US, MINUTE_US, 5 * MINUTE_US, 20 * MINUTE_US, 60 * MINUTE_US, 240 * MINUTE_US, 1440 * MINUTE_US };
enum { PERIODS = sizeof periods_us / sizeof *periods_us, LOOK_US = 1500000, LOOK_EVERY = 256, TOP = 20 };

struct tally { int64_t left_out, series; };
struct totals { int64_t events, filtered, thinned; struct rule_count *rules; struct tally *series; };

struct preview {
    store_t *store;
    const rules_t *rules;
    struct totals totals;
    int64_t series, snapshot;   /* of the row before: what was decided then is true still */
    struct decision decision;
    struct stretch stretch;
    int64_t deadline_us;
    uint64_t looked;
};

static struct totals new_totals(const struct preview *p)
{
    struct totals totals = { .rules = calloc(rules_count(p->rules) + 1, sizeof *totals.rules),
        .series = calloc(p->store->series.count + 1, sizeof *totals.series) };
    assert(totals.rules && totals.series);
    for (size_t i = 0; i < p->store->series.count; i++)
        totals.series[i].series = (int64_t)i;
    return totals;
}

static void free_totals(struct totals *totals)
{
    free(totals->rules);
    free(totals->series);
    *totals = (struct totals){ 0 };
}

/* --- one row --------------------------------------------------------------------------------------------- */

static void count_thinned(struct preview *p, const struct row_key *key, const struct event_full *e, struct tally *tally)
{
    struct store_row gone[2];
    struct kept value = { .row = { .series = key->series, .at = key->at, .rest = key->rest } };
    uint64_t unit;
    if (!thin_number(e, &value.value, &unit)) {
        p->stretch.is_open = false;
        return;
    }
    int64_t count = (int64_t)stretch_add(&p->stretch, rules_thinning(p->rules, p->decision.thin), value, unit, gone);
    p->totals.thinned += count;
    p->totals.rules[p->decision.thin].thinned += count;
    tally->left_out += count;
}

static void decide(struct preview *p, const struct row_key *key, int64_t snapshot, const struct event_full *e)
{
    if (key->series == p->series && snapshot == p->snapshot)
        return;
    if (key->series != p->series)
        p->stretch.is_open = false;
    struct event_full alive = *e;
    SET(&alive, state, (struct slice){ "", 0 });
    p->decision = rules_decide(p->rules, &alive);
    p->series = key->series;
    p->snapshot = e->is_state ? snapshot : -1; /* of others the entity they speak of may differ from row to row */
}

static enum store_result look_at(struct preview *p, struct merge *merge, bool is_sorted)
{
    struct event_full e;
    struct row_refs refs;
    struct slice body;
    const struct row_key *key = merge_key(merge);
    enum store_result result = merge_body(p->store, merge, &body);
    if (result == STORE_OK)
        result = row_names(p->store, key, body, &e, &refs);
    if (result != STORE_OK)
        return result;
    struct tally *tally = &p->totals.series[series_by_id(p->store, key->series) - p->store->series.items];
    decide(p, key, refs.snapshot, &e);
    p->totals.events++;
    if (p->decision.is_dropped && !event_is_kept(&e)) {
        size_t rule = p->decision.rule == NO_RULE ? rules_count(p->rules) : (size_t)p->decision.rule;
        p->totals.filtered++;
        p->totals.rules[rule].filtered++;
        tally->left_out++;
    } else if (p->decision.thin != NO_RULE && is_sorted) {
        count_thinned(p, key, &e, tally);
    }
    return STORE_OK;
}

/* --- a period ----------------------------------------------------------------------------------------------- */

static enum store_result look_at_part(struct preview *p, struct merge *merge, bool is_sorted)
{
    enum store_result result;
    while ((result = merge_next(p->store, merge)) == STORE_OK) {
        result = look_at(p, merge, is_sorted);
        if (result == STORE_OK && ++p->looked % LOOK_EVERY == 0 && clock_us() > p->deadline_us)
            result = STORE_LATE;
        if (result != STORE_OK)
            return result;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Series after series, as they lie; the few rows that lie elsewhere come last, out of their order. */
static enum store_result look_at_period(struct preview *p, int64_t from_us, int64_t to_us)
{
    struct merge merge;
    struct events_query q;
    schema_clear(events_query_schema(), &q);
    SET(&q, start_time, from_us);
    SET(&q, end_time, to_us);
    SET_TEXT(&q, sort, "asc", 3);
    free_totals(&p->totals);
    p->totals = new_totals(p);
    p->series = p->snapshot = -1;
    p->stretch.is_open = false;
    enum store_result result = merge_begin_parts(p->store, &merge, &q);
    while (result == STORE_OK && (result = merge_part(p->store, &merge, &q)) == STORE_OK)
        result = look_at_part(p, &merge, merge.part <= merge.wanted_count);
    merge_close(&merge);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- the answer ------------------------------------------------------------------------------------------------ */

static void put(msgpack_sbuffer *out, const char *text)
{
    pack_bytes(out, text, strlen(text));
}

static void put_count(msgpack_sbuffer *out, const char *before, int64_t count)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)count);
    put(out, before);
    put(out, text);
}

static void rules_json(const struct preview *p, const struct totals *totals, msgpack_sbuffer *out)
{
    size_t given = 0, count = rules_count(p->rules);
    put(out, "[");
    for (size_t i = 0; i <= count; i++) {
        if (totals->rules[i].filtered == 0 && totals->rules[i].thinned == 0)
            continue;
        put(out, given++ ? ",{" : "{");
        if (i < count)
            put_count(out, "\"rule\":", (int64_t)i);
        else
            put(out, "\"rule\":null");
        put_count(out, ",\"filtered\":", totals->rules[i].filtered);
        put_count(out, ",\"thinned\":", totals->rules[i].thinned);
        put(out, "}");
    }
    put(out, "]");
}

static int more_first(const void *a, const void *b)
{
    const struct tally *left = a, *right = b;
    if (left->left_out != right->left_out)
        return left->left_out < right->left_out ? 1 : -1;
    return left->series < right->series ? -1 : 1;
}

static void top_json(const struct preview *p, const struct totals *totals, msgpack_sbuffer *out)
{
    const struct series_list *list = &p->store->series;
    qsort(totals->series, list->count, sizeof *totals->series, more_first);
    put(out, "[");
    for (size_t i = 0; i < list->count && i < TOP && totals->series[i].left_out > 0; i++) {
        const struct series *s = &list->items[totals->series[i].series];
        put(out, i ? ",{" : "{");
        put(out, s->is_state ? "\"entity_id\":" : "\"event_type\":");
        json_write_text((struct slice){ s->name, s->name_size }, out);
        put_count(out, ",\"count\":", totals->series[i].left_out);
        put(out, "}");
    }
    put(out, "]");
}

static void answer(const struct preview *p, const struct totals *totals, struct preview_reply *reply, msgpack_sbuffer *pool)
{
    SET(reply, events, totals->events);
    SET(reply, filtered, totals->filtered);
    SET(reply, thinned, totals->thinned);
    msgpack_sbuffer_clear(pool);
    rules_json(p, totals, pool);
    size_t top_at = pool->size;
    top_json(p, totals, pool);
    SET(reply, rules, (struct slice){ pool->data, top_at });
    SET(reply, top_entities, (struct slice){ pool->data + top_at, pool->size - top_at });
}

/* The longest period that could be read whole within the time; *from_us: where it begins. */
static enum store_result look_back(struct preview *p, int64_t now_us, struct totals *best, int64_t *from_us, bool *is_complete)
{
    int64_t begun_us = clock_us(), before_us = begun_us;
    for (size_t i = 0; i < PERIODS; i++) {
        enum store_result result = look_at_period(p, now_us - periods_us[i], now_us + 1);
        if (result != STORE_OK)
            return result == STORE_LATE ? STORE_OK : result;
        free_totals(best);
        *best = p->totals;
        p->totals = (struct totals){ 0 };
        *from_us = now_us - periods_us[i];
        *is_complete = i + 1 == PERIODS;
        int64_t now = clock_us(), took_us = now - before_us;
        before_us = now;
        if (!*is_complete && now + took_us * (periods_us[i + 1] / periods_us[i]) / 2 > p->deadline_us)
            return STORE_OK; /* the next one would hardly end in time */
    }
    return STORE_OK;
}

enum store_result store_preview(store_t *store, const rules_t *rules, int64_t now_us, struct preview_reply *reply, msgpack_sbuffer *pool)
{
    struct preview p = { .store = store, .rules = rules };
    int64_t from_us = now_us;
    bool empty, is_complete = false;
    schema_clear(preview_reply_schema(), reply);
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK)
        return result;
    p.deadline_us = clock_us() + LOOK_US;
    struct totals best = new_totals(&p);
    if (empty)
        from_us = now_us - periods_us[PERIODS - 1], is_complete = true;
    else
        result = look_back(&p, now_us, &best, &from_us, &is_complete);
    answer(&p, &best, reply, pool);
    SET(reply, from, from_us);
    SET(reply, to, now_us);
    SET(reply, complete, is_complete);
    free_totals(&best);
    free_totals(&p.totals);
    read_end(store);
    return result;
}
