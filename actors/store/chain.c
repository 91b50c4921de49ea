/* chain.c - what led to a context and what followed from it, by parents and children. */
#include "inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTEXTS = 2000, MAX_UP = 50 };

struct link { char *text; size_t size; int depth; };
struct chain {
    store_t *store;
    struct link links[MAX_CONTEXTS];
    size_t count;
    int64_t limit;
    store_chain_fn *row;
    void *owner;
    struct page *end;
};

typedef enum store_result visit_fn(struct chain *, const struct event_full *, int depth);

static struct slice link_text(const struct link *link)
{
    return (struct slice){ link->text, link->size };
}

static bool has_link(const struct chain *chain, struct slice text)
{
    for (size_t i = 0; i < chain->count; i++)
        if (slice_equal(link_text(&chain->links[i]), text))
            return true;
    return false;
}

/* Every context once: a loop ends there. */
static void add_link(struct chain *chain, struct slice text, int depth)
{
    if (has_link(chain, text))
        return;
    if (chain->count == MAX_CONTEXTS) {
        SET(chain->end, cut, true);
        return;
    }
    char *copy = malloc(text.size + 1);
    assert(copy);
    memcpy(copy, text.data, text.size);
    chain->links[chain->count++] = (struct link){ copy, text.size, depth };
}

static void drop_links(struct chain *chain)
{
    while (chain->count > 0)
        free(chain->links[--chain->count].text);
}

/* Visit the events of one context (or those that it caused), oldest first. */
static enum store_result visit(struct chain *chain, struct slice text, bool caused, int depth, visit_fn *fn)
{
    struct merge merge = { .from = 0, .to = MAX_TIME_US + 1, .current = MAX_SOURCES };
    struct event_full e;
    struct slice body;
    enum store_result result = caused ? merge_parent(chain->store, &merge, text) : merge_context(chain->store, &merge, text);
    while (result == STORE_OK && (result = merge_next(chain->store, &merge)) == STORE_OK) {
        result = merge_body(chain->store, &merge, &body);
        if (result == STORE_OK)
            result = row_read(chain->store, merge_key(&merge), body, &e);
        if (result != STORE_OK)
            break;
        bool has = caused ? e.has_context_parent_id : e.has_context_id;
        if (clock_us() > chain->store->late_us)
            result = STORE_LATE;
        else if (has && slice_equal(caused ? e.context_parent_id : e.context_id, text))
            result = fn(chain, &e, depth);
    }
    merge_close(&merge);
    return result;
}

static enum store_result note_parent(struct chain *chain, const struct event_full *e, int depth)
{
    (void)depth;
    if (e->has_context_parent_id)
        add_link(chain, e->context_parent_id, 0);
    return STORE_OK;
}

static enum store_result note_child(struct chain *chain, const struct event_full *e, int depth)
{
    if (e->has_context_id)
        add_link(chain, e->context_id, depth);
    return STORE_OK;
}

/* Below the last level that was asked for. */
static enum store_result note_beyond(struct chain *chain, const struct event_full *e, int depth)
{
    (void)depth;
    if (!e->has_context_id || has_link(chain, e->context_id))
        return STORE_OK;
    SET(chain->end, cut, true);
    return STORE_DUPLICATE; /* one is enough */
}

static enum store_result is_there(struct chain *chain, const struct event_full *e, int depth)
{
    (void)chain;
    (void)e;
    (void)depth;
    return STORE_DUPLICATE; /* one is enough */
}

/* Up to the highest context that has events of its own; it becomes the only link. */
static enum store_result climb(struct chain *chain)
{
    size_t root = 0;
    enum store_result result = STORE_OK;
    for (size_t at = 0; at < chain->count && at < MAX_UP; at++) {
        result = visit(chain, link_text(&chain->links[at]), false, 0, is_there);
        if (result == STORE_DUPLICATE)
            root = at;
        else if (result != STORE_MISSING)
            return result;
        result = visit(chain, link_text(&chain->links[at]), false, 0, note_parent);
        if (result != STORE_MISSING)
            return result;
    }
    struct link top = chain->links[root];
    chain->links[root].text = NULL;
    drop_links(chain);
    chain->links[chain->count++] = top;
    return STORE_OK;
}

static enum store_result give(struct chain *chain, const struct event_full *e, int depth)
{
    struct chain_row row;
    if (chain->end->count == chain->limit) {
        SET(chain->end, cut, true);
        return STORE_DUPLICATE;
    }
    schema_clear(chain_row_schema(), &row);
    SET(&row, depth, depth);
    SET_TEXT(&row, id, e->id, e->id_size);
    SET(&row, timestamp, e->timestamp);
    SET(&row, event_type, e->event_type);
    row.has_context_id = e->has_context_id, row.context_id = e->context_id;
    row.has_context_parent_id = e->has_context_parent_id, row.context_parent_id = e->context_parent_id;
    row.has_entity_id = e->has_entity_id, row.entity_id = e->entity_id;
    row.has_state = e->has_state, row.state = e->state;
    row.has_old_state = e->has_old_state, row.old_state = e->old_state;
    if (chain->row(chain->owner, &row) != 0) {
        SET(chain->end, cut, true);
        return STORE_DUPLICATE;
    }
    chain->end->count++;
    return STORE_OK;
}

static enum store_result descend(struct chain *chain, int max_depth)
{
    enum store_result result = STORE_MISSING;
    for (size_t at = 0; at < chain->count && result == STORE_MISSING; at++) {
        int depth = chain->links[at].depth;
        result = visit(chain, link_text(&chain->links[at]), false, depth, give);
        if (result == STORE_MISSING && depth < max_depth)
            result = visit(chain, link_text(&chain->links[at]), true, depth + 1, note_child);
        else if (result == STORE_MISSING && visit(chain, link_text(&chain->links[at]), true, depth + 1, note_beyond) == STORE_LATE)
            result = STORE_LATE;
    }
    return result == STORE_MISSING || result == STORE_DUPLICATE ? STORE_OK : result;
}

enum store_result store_chain(store_t *store, const struct chain_query *q, store_chain_fn *row, void *owner, struct page *end)
{
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    struct chain *chain = calloc(1, sizeof *chain);
    assert(chain);
    *chain = (struct chain){ .store = store, .limit = q->has_limit ? q->limit : 1000, .row = row, .owner = owner, .end = end };
    SET(end, limit, chain->limit);
    add_link(chain, (struct slice){ q->context_id, q->context_id_size }, 0);
    result = climb(chain);
    if (result == STORE_OK)
        result = descend(chain, q->has_max_depth ? (int)q->max_depth : 10);
    drop_links(chain);
    free(chain);
    read_end(store);
    return result;
}
