/* moments.c - answers moment.read, diff.read and history.find: the house at one moment, at two, an entity's events. */
#include "moments.h"

#include "json.h"
#include "moment.h"
#include "rollup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_ROWS = 2000 };
#define NO_LIMIT INT64_MAX

struct moments {
    store_t *store;
    size_t page_bytes, room;
    json_t *json;
    rows_t *rows;
    int64_t at, to, count;
    int64_t left;                     /* rows that may still be told; NO_LIMIT */
    bool removed;                     /* those that were removed are told as well */
    msgpack_sbuffer first, changes, before, after; /* of a comparison: the row at the one moment; what is told of both */
    bool has_first;
};

/* --- a row ------------------------------------------------------------------------------------------------ */

static void copy_slice(bool has, struct slice from, bool *to_has, struct slice *to)
{
    *to_has = has;
    *to = from;
}
#define PASS(to, from, member) copy_slice((from)->has_##member, (from)->member, &(to)->has_##member, &(to)->member)

/* The friendly name as it stands in the attributes. */
static struct slice name_in(moments_t *self, struct slice attributes)
{
    static const char *const keys[] = { "friendly_name" };
    struct json_value root, name;
    const char *why;
    bool found = json_read(self->json, attributes, &root, &why) == 0 && json_pick(self->json, root.raw, keys, 1, &name) == 0
        && name.kind == JSON_TEXT;
    return found ? name.raw : (struct slice){ "", 0 };
}

static void fill_row(moments_t *self, const struct event_full *e, int64_t at, bool in_gap, struct state_row *row)
{
    schema_clear(state_row_schema(), row);
    PASS(row, e, entity_id);
    PASS(row, e, domain);
    PASS(row, e, state);
    PASS(row, e, value);
    PASS(row, e, unit);
    PASS(row, e, area);
    PASS(row, e, area_id);
    PASS(row, e, device_id);
    PASS(row, e, device_class);
    PASS(row, e, attributes);
    SET_TEXT(row, provenance, e->provenance, e->provenance_size);
    SET(row, timestamp, e->timestamp);
    row->has_last_changed = e->has_last_changed, row->last_changed = e->last_changed;
    row->has_last_updated = e->has_last_updated, row->last_updated = e->last_updated;
    int64_t said = e->has_last_updated ? e->last_updated : e->timestamp;
    SET(row, in_gap, in_gap);
    SET(row, age_s, at > said ? (double)(at - said) / 1e6 : 0.0);
    struct slice name = e->has_attributes ? name_in(self, e->attributes) : (struct slice){ "", 0 };
    if (name.size)
        SET(row, name, name);
}

static bool is_full(const moments_t *self)
{
    return self->left == 0 || (self->count > 0 && self->room - actor_rows_room(self->rows) >= self->page_bytes);
}

static void count_row(moments_t *self)
{
    self->count++;
    self->left -= self->left != NO_LIMIT;
}

static void begin(moments_t *self, rows_t *rows, int64_t at)
{
    self->rows = rows;
    self->room = actor_rows_room(rows);
    self->at = at;
    self->count = 0;
    self->left = NO_LIMIT;
    self->removed = self->has_first = false;
}

/* "series moment left": where the next page begins, what was now for the first, and how many rows of the limit are left. */
struct cursor { int64_t series, at, left; };

static bool read_cursor(const char *text, struct cursor *c)
{
    int used = 0;
    return sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 "%n", &c->series, &c->at, &c->left, &used) == 3 && text[used] == '\0' && c->series > 0
        && c->at >= 0 && c->at <= MAX_TIME_US && c->left > 0;
}

static size_t write_cursor(const struct cursor *c, char to[96])
{
    return (size_t)snprintf(to, 96, "%" PRId64 " %" PRId64 " %" PRId64, c->series, c->at, c->left);
}

static enum store_result refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return STORE_BAD;
}

/* --- one moment ----------------------------------------------------------------------------------------------- */

static int take_row(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    moments_t *self = owner;
    struct state_row row;
    (void)which;
    if (!e->has_state && !self->removed)
        return 0;
    if (is_full(self))
        return 1;
    fill_row(self, e, self->at, in_gap, &row);
    if (row_moment_read(self->rows, &row) != 0)
        return 1;
    count_row(self);
    return 0;
}

static int note_gap(void *owner, const struct store_gap *gap)
{
    bool *in_gap = owner;
    *in_gap |= gap->series == 0;
    return 0;
}

enum store_result moments_read(moments_t *self, const struct moment_query *q, int64_t now_us, rows_t *rows, struct moment_end *end, struct fault *fault)
{
    struct moment_question question = { .at_us = { q->has_at ? q->at : now_us }, .moments = 1, .is_now = !q->has_at };
    struct cursor next = { 0, question.at_us[0], q->has_limit ? q->limit : NO_LIMIT };
    char cursor[96];
    bool in_gap = false;
    if (q->has_cursor && !read_cursor(q->cursor, &next))
        return refuse(fault, "cursor", "is none of this question");
    question.series = next.series;
    question.at_us[0] = next.at;
    if (q->has_entity_id)
        question.entities = (struct slice){ q->entity_id, q->entity_id_size };
    if (q->has_domain)
        question.domains = (struct slice){ q->domain, q->domain_size };
    begin(self, rows, question.at_us[0]);
    self->left = next.left;
    self->removed = q->has_removed && q->removed;
    enum store_result result = store_moment(self->store, &question, take_row, self, &next.series);
    next.left = self->left;
    if (result == STORE_OK)
        result = store_gaps(self->store, self->at, self->at + 1, note_gap, &in_gap);
    schema_clear(moment_end_schema(), end);
    SET(end, at, self->at);
    SET(end, in_gap, in_gap);
    SET(end, count, self->count);
    if (next.series && next.left > 0)
        SET_TEXT(end, next_cursor, cursor, write_cursor(&next, cursor));
    return result;
}

/* --- two moments ------------------------------------------------------------------------------------------------ */

static void put_change(msgpack_sbuffer *to, const char *name)
{
    msgpack_sbuffer_write(to, to->size > 1 ? ",\"" : "\"", to->size > 1 ? 2 : 1); /* behind the bracket */
    msgpack_sbuffer_write(to, name, strlen(name));
    msgpack_sbuffer_write(to, "\"", 1);
}

static bool differs(bool has_a, struct slice a, bool has_b, struct slice b)
{
    return has_a != has_b || (has_a && (a.size != b.size || memcmp(a.data, b.data, a.size) != 0));
}
#define COMPARE(to, a, b, member)                                                                  \
    if (differs((a)->has_##member, (a)->member, (b)->has_##member, (b)->member))                   \
        put_change((to), #member)

/* Whatever is kept of the row for the second look. */
static int keep_first(moments_t *self, bool in_gap, const struct event_full *e)
{
    struct state_row row;
    struct fault fault;
    msgpack_sbuffer_clear(&self->first);
    self->has_first = e && e->has_state;
    if (!self->has_first)
        return 0;
    fill_row(self, e, self->at, in_gap, &row);
    return state_row_encode(&row, &self->first, &fault);
}

static const char *change_of(bool before, bool after)
{
    return !before ? "added" : !after ? "removed" : "changed";
}

/* What of it is another. Empty: nothing that is told. */
static void list_changes(const struct state_row *a, const struct state_row *b, msgpack_sbuffer *to)
{
    COMPARE(to, a, b, state);
    COMPARE(to, a, b, attributes);
    COMPARE(to, a, b, name);
    COMPARE(to, a, b, unit);
    COMPARE(to, a, b, area);
}

static struct slice json_of(const struct state_row *row, msgpack_sbuffer *to)
{
    msgpack_sbuffer_clear(to);
    schema_json(state_row_schema(), row, to);
    return (struct slice){ to->data, to->size };
}

static int give_change(moments_t *self, const struct state_row *a, const struct state_row *b)
{
    struct diff_row row;
    const char *change = change_of(a, b);
    msgpack_sbuffer *changes = &self->changes;
    msgpack_sbuffer_clear(changes);
    msgpack_sbuffer_write(changes, "[", 1);
    if (a && b)
        list_changes(a, b, changes);
    if (a && b && changes->size == 1)
        return 0;
    msgpack_sbuffer_write(changes, "]", 1);
    schema_clear(diff_row_schema(), &row);
    SET(&row, entity_id, (a ? a : b)->entity_id);
    SET_TEXT(&row, change, change, strlen(change));
    SET(&row, changed, (struct slice){ changes->data, changes->size });
    if (a)
        SET(&row, before, json_of(a, &self->before));
    if (b)
        SET(&row, after, json_of(b, &self->after));
    if (row_diff_read(self->rows, &row) != 0)
        return 1;
    count_row(self);
    return 0;
}

static int take_both(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    moments_t *self = owner;
    struct state_row before, after;
    struct fault fault;
    bool there = e && e->has_state;
    if (which == 0)
        return keep_first(self, in_gap, e);
    if (!self->has_first && !there)
        return 0;
    if (is_full(self))
        return 1;
    if (self->has_first && state_row_decode((struct slice){ self->first.data, self->first.size }, &before, &fault) != 0)
        return 1;
    if (there)
        fill_row(self, e, self->to, in_gap, &after);
    return give_change(self, self->has_first ? &before : NULL, there ? &after : NULL);
}

enum store_result moments_compare(moments_t *self, const struct diff_query *q, int64_t now_us, rows_t *rows, struct diff_end *end, struct fault *fault)
{
    struct moment_question question = { .at_us = { q->from, q->has_to ? q->to : now_us }, .moments = 2 };
    struct cursor next = { 0, now_us, q->has_limit ? q->limit : NO_LIMIT };
    char cursor[96];
    if (q->has_cursor && !read_cursor(q->cursor, &next))
        return refuse(fault, "cursor", "is none of this question");
    question.series = next.series;
    question.at_us[1] = q->has_to ? q->to : next.at;
    if (question.at_us[0] >= question.at_us[1])
        return refuse(fault, q->has_to ? "to" : "from", q->has_to ? "is not after from" : "is not before now");
    if (q->has_entity_id)
        question.entities = (struct slice){ q->entity_id, q->entity_id_size };
    if (q->has_domain)
        question.domains = (struct slice){ q->domain, q->domain_size };
    begin(self, rows, question.at_us[0]);
    self->to = question.at_us[1];
    self->left = next.left;
    enum store_result result = store_moment(self->store, &question, take_both, self, &next.series);
    next.left = self->left;
    schema_clear(diff_end_schema(), end);
    SET(end, from, question.at_us[0]);
    SET(end, to, question.at_us[1]);
    SET(end, count, self->count);
    if (next.series && next.left > 0)
        SET_TEXT(end, next_cursor, cursor, write_cursor(&next, cursor));
    return result;
}

/* --- an entity's events --------------------------------------------------------------------------------------------- */

static int take_event(void *owner, const struct event_full *e)
{
    moments_t *self = owner;
    if (is_full(self) || row_history_find(self->rows, e) != 0)
        return 1;
    self->count++;
    return 0;
}

/* What is in force when it begins, but for what begins at that very moment: that is in the list. */
static int take_prior(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    const moments_t *self = owner;
    (void)which;
    (void)in_gap;
    return e->has_state && e->timestamp < self->at ? take_event(owner, e) : 0;
}

static enum store_result read_prior(moments_t *self, const struct history_query *q)
{
    struct moment_question question = { .at_us = { self->at }, .moments = 1, .whole = true, .entities = { q->id, q->id_size } };
    int64_t next;
    return store_moment(self->store, &question, take_prior, self, &next);
}

enum store_result moments_history(moments_t *self, const struct history_query *q, int64_t now_us, rows_t *rows, struct page *end, struct fault *fault)
{
    struct events_query events;
    int64_t to = q->has_end_time ? q->end_time : now_us, from = q->has_start_time ? q->start_time : to > DAY_US ? to - DAY_US : 0;
    if (from >= to)
        return refuse(fault, "end_time", "is not after start_time");
    schema_clear(events_query_schema(), &events);
    SET(&events, start_time, from);
    SET(&events, end_time, to);
    SET(&events, limit, HISTORY_ROWS);
    SET_TEXT(&events, entity_id, q->id, q->id_size);
    SET_TEXT(&events, event_type, "state_changed", 13);
    SET_TEXT(&events, sort, "asc", 3);
    if (q->has_cursor)
        SET_TEXT(&events, cursor, q->cursor, q->cursor_size);
    begin(self, rows, from);
    enum store_result result = q->has_cursor ? STORE_OK : read_prior(self, q);
    if (result == STORE_OK)
        result = store_find(self->store, &events, take_event, self, end, fault);
    end->count = self->count;
    return result;
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

moments_t *moments_new(store_t *store, size_t page_bytes)
{
    moments_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (moments_t){ .store = store, .page_bytes = page_bytes, .json = json_new() };
    assert(self->json);
    return self;
}

void moments_destroy(moments_t **self_p)
{
    moments_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    json_destroy(&self->json);
    msgpack_sbuffer_destroy(&self->first);
    msgpack_sbuffer_destroy(&self->changes);
    msgpack_sbuffer_destroy(&self->before);
    msgpack_sbuffer_destroy(&self->after);
    free(self);
}
