/* correlations.c - steps of power that energy has found, out of the rows that it has stored. */
#include "inside.h"
#include "json.h"

#include <math.h>
#include <string.h>

enum { HOUR_S = 3600, DAY_HOURS = 24, PAGE_ROWS = 1000, LONGEST_US = 2000000 };

enum { AT_CAUSE, AT_STATE, AT_PREVIOUS, AT_DETAIL, AT_CHANGED, AT_BEGUN, AT_METER, AT_BEFORE, AT_AFTER, AT_CONFIDENCE, AT_CANDIDATES, AT_KEYS };
static const char *const keys[AT_KEYS] = {
    [AT_CAUSE] = "caused_by", [AT_STATE] = "state", [AT_PREVIOUS] = "previous_state", [AT_DETAIL] = "detail", [AT_CHANGED] = "changed_at",
    [AT_BEGUN] = "begun_after", [AT_METER] = "meter", [AT_BEFORE] = "power_before_w", [AT_AFTER] = "power_after_w",
    [AT_CONFIDENCE] = "confidence", [AT_CANDIDATES] = "candidates",
};

struct looking {
    struct answering answering;
    const struct correlations_query *query;
    json_t *json;
    bool is_fitting;           /* a candidate is whom one asks for */
    bool is_full;
};

/* --- which ------------------------------------------------------------------------------------------ */

static bool is_listed(const char *list, struct slice word)
{
    while (*list) {
        list += strspn(list, ", ");
        size_t length = strcspn(list, ", ");
        if (length == word.size && length > 0 && memcmp(list, word.data, length) == 0)
            return true;
        list += length;
    }
    return false;
}

static struct slice domain_of(struct slice entity)
{
    const char *dot = entity.size ? memchr(entity.data, '.', entity.size) : NULL;
    return (struct slice){ entity.data, dot ? (size_t)(dot - (const char *)entity.data) : 0 };
}

static int look_at_candidate(void *owner, struct json_value item)
{
    struct looking *l = owner;
    static const char *const key = "entity_id";
    struct json_value value;
    struct slice entity;
    if (json_pick(l->json, item.raw, &key, 1, &value) || !json_text(l->json, value, &entity))
        return 0;
    if ((!l->query->has_entity_id || is_listed(l->query->entity_id, entity))
        && (!l->query->has_domain || is_listed(l->query->domain, domain_of(entity))))
        l->is_fitting = true;
    return 0;
}

/* Who was named as the cause counts alone; where nobody was, whoever may be. */
static bool is_wanted(struct looking *l, const struct correlation *row)
{
    const struct correlations_query *q = l->query;
    if (fabs(row->power_delta_w) < q->min_delta || row->confidence < q->confidence)
        return false;
    l->is_fitting = !q->has_entity_id && !q->has_domain;
    if (!l->is_fitting && row->has_entity_id)
        return (!q->has_entity_id || is_listed(q->entity_id, row->entity_id)) && (!q->has_domain || is_listed(q->domain, row->domain));
    if (!l->is_fitting)
        json_each_item(l->json, row->candidates, look_at_candidate, l);
    return l->is_fitting;
}

/* --- a row ------------------------------------------------------------------------------------------- */

static void put_text(json_t *json, struct json_value value, struct slice *to, bool *has)
{
    *has = json_text(json, value, to);
}

static bool put_cause(json_t *json, const struct json_value part[], struct correlation *row)
{
    struct slice changed;
    int64_t at_us;
    put_text(json, part[AT_CAUSE], &row->entity_id, &row->has_entity_id);
    if (!row->has_entity_id)
        return true;
    SET(row, domain, domain_of(row->entity_id));
    put_text(json, part[AT_STATE], &row->state, &row->has_state);
    put_text(json, part[AT_PREVIOUS], &row->previous_state, &row->has_previous_state);
    put_text(json, part[AT_DETAIL], &row->detail, &row->has_detail);
    if (!json_text(json, part[AT_CHANGED], &changed) || time_read(changed, &at_us))
        return false;
    SET(row, timestamp, at_us);
    return true;
}

static bool fill(json_t *json, const struct event_full *e, struct correlation *row)
{
    struct json_value root, part[AT_KEYS];
    struct slice begun;
    const char *why;
    double delta;
    *row = (struct correlation){ 0 };
    if (!e->has_state || !e->has_attributes || !number_read(e->state, &delta) || json_read(json, e->attributes, &root, &why)
        || json_pick(json, root.raw, keys, AT_KEYS, part) || part[AT_CANDIDATES].kind != JSON_ARRAY)
        return false;
    SET(row, timestamp, e->timestamp);
    SET(row, seen_at, e->timestamp);
    SET_TEXT(row, id, e->id, e->id_size);
    SET(row, candidates, part[AT_CANDIDATES].raw);
    SET(row, power_delta_w, delta);
    row->has_power_before_w = json_real(part[AT_BEFORE], &row->power_before_w);
    row->has_power_after_w = json_real(part[AT_AFTER], &row->power_after_w);
    row->has_confidence = json_real(part[AT_CONFIDENCE], &row->confidence);
    row->has_begun_after = json_text(json, part[AT_BEGUN], &begun) && time_read(begun, &row->begun_after) == 0;
    put_text(json, part[AT_METER], &row->meter, &row->has_meter);
    double before = row->has_power_before_w ? row->power_before_w : 0;
    SET(row, power_delta_pct, before > 0 ? round(delta / before * 10000) / 100 : 0);
    return put_cause(json, part, row) && row->has_power_before_w && row->has_power_after_w && row->has_confidence && row->has_meter;
}

static int look(void *owner, const struct event_full *e)
{
    struct looking *l = owner;
    struct correlation row;
    if ((int64_t)l->answering.given >= l->query->limit || answer_is_full(&l->answering)) {
        l->is_full = true;
        return -1;
    }
    if (!fill(l->json, e, &row) || !is_wanted(l, &row))
        return 0;
    return answer_gave(&l->answering, row_energy_correlations(l->answering.rows, &row));
}

/* --- all of them --------------------------------------------------------------------------------------- */

static void set_times(const struct correlations_query *q, int64_t now_us, struct events_query *events)
{
    int64_t hours = q->has_hours ? q->hours : DAY_HOURS, to = q->has_to ? q->to : now_us + 1;
    int64_t from = q->has_from ? q->from : to - hours * HOUR_S * 1000000;
    SET(events, start_time, from > 0 ? from : 0);
    SET(events, end_time, to);
    SET(events, limit, PAGE_ROWS);
    SET_TEXT(events, domain, "_energy", 7);
    SET_TEXT(events, sort, "desc", 4);
}

int on_correlations(struct self *self, actor_t *actor, const struct correlations_query *query, rows_t *rows, struct page *end)
{
    struct looking l = { .answering = answer_rows(self, rows), .query = query, .json = json_new() };
    struct events_query events = { 0 };
    struct fault fault = { "", "" };
    struct page page;
    enum store_result result = STORE_OK;
    int64_t begun = answer_clock_us();
    set_times(query, actor_now_us(actor), &events);
    do {
        answer_page(&page);
        result = store_find(self->store, &events, look, &l, &page, &fault);
        if (page.has_next_cursor)
            SET_TEXT(&events, cursor, page.next_cursor, page.next_cursor_size);
        if (page.has_next_cursor && answer_clock_us() - begun > LONGEST_US)
            result = STORE_LATE;
    } while (result == STORE_OK && page.has_next_cursor && !l.is_full);
    json_destroy(&l.json);
    answer_page(end);
    end->count = (int64_t)l.answering.given;
    return answer_end(self, actor, result, &fault, begun, end->count);
}
