/* filter.c - which events a query wants: the exact answer, row by row. */
#include "inside.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { IN_ENTITY = 1, IN_TYPE = 2, IN_STATE = 4, IN_ATTRIBUTES = 8, IN_DATA = 16, IN_ALL = 31 };

static const struct { const char *name; unsigned bit; } places[] = {
    { "entity_id", IN_ENTITY }, { "event_type", IN_TYPE }, { "state", IN_STATE },
    { "attributes", IN_ATTRIBUTES }, { "data", IN_DATA },
};

static int bad(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

/* Cut the next name off a list; spaces around it and empty ones do not count. */
bool list_next(struct slice *rest, struct slice *item)
{
    const char *at = rest->data;
    size_t left = rest->size;
    while (left > 0 && (*at == ',' || *at == ' '))
        at++, left--;
    size_t size = 0;
    while (size < left && at[size] != ',')
        size++;
    *rest = (struct slice){ at + size, left - size };
    while (size > 0 && at[size - 1] == ' ')
        size--;
    *item = (struct slice){ at, size };
    return size > 0;
}

bool list_has(const char *list, size_t size, struct slice wanted)
{
    struct slice rest = { list, size }, item;
    while (list_next(&rest, &item))
        if (slice_equal(item, wanted))
            return true;
    return false;
}

struct slice name_domain(struct slice entity_id)
{
    const char *dot = entity_id.size ? memchr(entity_id.data, '.', entity_id.size) : NULL;
    return (struct slice){ entity_id.data, dot ? (size_t)(dot - (const char *)entity_id.data) : 0 };
}

static bool read_places(const struct events_query *q, unsigned *bits)
{
    struct slice rest = { q->fields, q->fields_size }, item;
    *bits = 0;
    while (list_next(&rest, &item)) {
        size_t i = 0, count = sizeof places / sizeof *places;
        while (i < count && !slice_equal(item, slice_of(places[i].name)))
            i++;
        if (i == count)
            return false;
        *bits |= places[i].bit;
    }
    return *bits != 0;
}

int filter_open(struct filter *filter, const struct events_query *q, struct fault *fault)
{
    struct row_key key;
    *filter = (struct filter){ q, IN_ALL, events_mark(q) };
    if (q->has_start_time && q->has_end_time && q->start_time >= q->end_time)
        return bad(fault, "end_time", "is not after start_time");
    if (q->has_sort && strcmp(q->sort, "asc") != 0 && strcmp(q->sort, "desc") != 0)
        return bad(fault, "sort", "is neither asc nor desc");
    if (q->has_fields && !read_places(q, &filter->fields))
        return bad(fault, "fields", "knows entity_id, event_type, state, attributes, data");
    return q->has_cursor ? cursor_check((struct slice){ q->cursor, q->cursor_size }, filter->mark, &key, fault) : 0;
}

bool filter_takes_all(const struct events_query *q)
{
    return !q->has_entity_id && !q->has_event_type && !q->has_domain && !q->has_device_id && !q->has_area_id
        && !q->has_entity_category && !q->has_exclude_category && !q->has_context_id && !q->has_query;
}

bool filter_is_of_series(const struct events_query *q)
{
    return !q->has_device_id && !q->has_area_id && !q->has_entity_category && !q->has_exclude_category && !q->has_context_id && !q->has_query;
}

/* Case is ignored for the letters of ASCII. */
static bool occurs(struct slice hay, struct slice needle)
{
    const char *at = hay.data;
    if (needle.size == 0)
        return true;
    if (hay.size < needle.size)
        return false;
    const char *n = needle.data;
    int low = tolower((unsigned char)n[0]), high = toupper((unsigned char)n[0]);
    for (size_t i = 0; i + needle.size <= hay.size; i++)
        if (((unsigned char)at[i] == low || (unsigned char)at[i] == high) && strncasecmp(at + i, n, needle.size) == 0
                && !memchr(at + i, '\0', needle.size))
            return true;
    return false;
}

static bool takes_text(const struct filter *f, const struct event_full *e)
{
    struct slice needle = { f->query->query, f->query->query_size };
    return (f->fields & IN_ENTITY && e->has_entity_id && occurs(e->entity_id, needle))
        || (f->fields & IN_TYPE && occurs(e->event_type, needle))
        || (f->fields & IN_STATE && e->has_state && occurs(e->state, needle))
        || (f->fields & IN_ATTRIBUTES && e->has_attributes && occurs(e->attributes, needle))
        || (f->fields & IN_DATA && e->has_data && occurs(e->data, needle));
}

/* One name asked for against the one that a row has. */
static bool takes(bool asked, const char *list, uint32_t size, bool had, struct slice name)
{
    return !asked || (had && list_has(list, size, name));
}

bool filter_takes_registry(const struct events_query *q, const struct event_full *e)
{
    return takes(q->has_device_id, q->device_id, q->device_id_size, e->has_device_id, e->device_id)
        && takes(q->has_area_id, q->area_id, q->area_id_size, e->has_area_id, e->area_id)
        && takes(q->has_entity_category, q->entity_category, q->entity_category_size, e->has_entity_category, e->entity_category);
}

static bool takes_names(const struct events_query *q, const struct event_full *e)
{
    return takes(q->has_entity_id, q->entity_id, q->entity_id_size, e->has_entity_id, e->entity_id)
        && takes(q->has_event_type, q->event_type, q->event_type_size, e->has_event_type, e->event_type)
        && takes(q->has_domain, q->domain, q->domain_size, e->has_domain, e->domain) && filter_takes_registry(q, e);
}

bool filter_takes(const struct filter *f, const struct event_full *e)
{
    const struct events_query *q = f->query;
    if (!takes_names(q, e))
        return false;
    if (q->has_exclude_category && e->has_entity_category
            && list_has(q->exclude_category, q->exclude_category_size, e->entity_category))
        return false;
    if (q->has_context_id
            && !(e->has_context_id && slice_equal(e->context_id, (struct slice){ q->context_id, q->context_id_size })))
        return false;
    return !q->has_query || takes_text(f, e);
}

/* --- cursors: where to go on, for any process ------------------------------------------------------ */

int key_order(const struct row_key *a, const struct row_key *b)
{
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    if (a->series != b->series)
        return a->series < b->series ? -1 : 1;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->rest < b->rest ? -1 : a->rest > b->rest;
}

static uint32_t mark_of(const struct schema *schema, const void *query)
{
    struct fault fault;
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    int rc = schema_encode(schema, query, &bytes, &fault);
    assert(rc == 0); /* it was decoded */
    uint64_t hash = hash_bytes(HASH_SEED, (struct slice){ bytes.data, bytes.size });
    msgpack_sbuffer_destroy(&bytes);
    (void)rc;
    return (uint32_t)(hash ^ hash >> 32);
}

uint32_t events_mark(const struct events_query *q)
{
    struct events_query asked = *q;
    asked.has_limit = asked.has_offset = asked.has_cursor = false;
    if (!asked.has_sort)
        SET_TEXT(&asked, sort, "desc", 4);
    return mark_of(events_query_schema(), &asked);
}

uint32_t latest_mark(const struct latest_query *q)
{
    struct latest_query asked = *q;
    asked.has_limit = asked.has_cursor = false;
    return mark_of(latest_query_schema(), &asked);
}

uint32_t statistics_mark(const struct statistics_query *q)
{
    struct statistics_query asked = *q;
    asked.has_limit = asked.has_cursor = false;
    if (!asked.has_period)
        SET_TEXT(&asked, period, "hour", 4);
    return mark_of(statistics_query_schema(), &asked);
}

uint32_t series_mark(const struct series_query *q)
{
    struct series_query asked = *q;
    asked.has_limit = asked.has_cursor = false;
    return mark_of(series_query_schema(), &asked);
}

uint32_t lineage_mark(const struct lineage_list_query *q)
{
    struct lineage_list_query asked = *q;
    asked.has_limit = asked.has_cursor = false;
    return mark_of(lineage_list_query_schema(), &asked);
}

uint32_t points_mark(const struct points_query *q)
{
    struct points_query asked = *q;
    asked.has_limit = asked.has_cursor = false;
    return mark_of(points_query_schema(), &asked);
}

void cursor_write(const struct row_key *key, uint32_t mark, struct page *page)
{
    char text[160];
    int size = snprintf(text, sizeof text, "%llx-%llx-%llx-%llx-%lx-%lx", (unsigned long long)key->time, (unsigned long long)key->place,
                        (unsigned long long)key->series, (unsigned long long)key->at, (unsigned long)(uint32_t)key->rest, (unsigned long)mark);
    SET_TEXT(page, next_cursor, text, (size_t)size);
}

int cursor_read(struct slice text, struct row_key *key, uint32_t *mark)
{
    uint64_t parts[6] = { 0 };
    size_t part = 0, digits = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = ((const char *)text.data)[i];
        if (c == '-' && digits > 0 && part < 5) {
            part++;
            digits = 0;
        } else if (((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) && digits < 16) {
            parts[part] = parts[part] << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
            digits++;
        } else {
            return -1;
        }
    }
    if (part != 5 || digits == 0 || parts[0] > MAX_TIME_US || parts[1] > INT64_MAX || parts[2] > INT64_MAX || parts[3] > MAX_TIME_US
            || parts[4] > UINT32_MAX || parts[5] > UINT32_MAX)
        return -1;
    *key = (struct row_key){ (int64_t)parts[0], (int64_t)parts[1], (int64_t)parts[2], (int64_t)parts[3], (int32_t)(uint32_t)parts[4] };
    *mark = (uint32_t)parts[5];
    return 0;
}

int cursor_check(struct slice text, uint32_t mark, struct row_key *key, struct fault *fault)
{
    uint32_t its;
    if (cursor_read(text, key, &its) != 0)
        return bad(fault, "cursor", "is none that was given out");
    return its == mark ? 0 : bad(fault, "cursor", "belongs to another question: ask the one that gave it");
}
