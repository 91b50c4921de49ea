/* upkeep.c - what the sink does besides: it rolls up, learns of which times states are missing, and in which zone the home is. */
#include "upkeep.h"

#include "json.h"
#include "rolling.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROLL_MS = 5,      /* between two pieces of work */
    BUSY_MS = 20,     /* ... where rows wait for their commit */
    PRESSING = 50,    /* so often in a row */
    REST_MS = 10000,  /* when there was nothing to do */
    GAPS_MS = 60000, UNSETTLED_MS = 5000, SOON_MS = 1000, ASK_MS = 3000, GAPS_MAX = 65536
};

struct upkeep {
    actor_t *actor;
    store_t *store;
    json_t *json;
    struct gap_said *gaps;      /* of the answer at hand, page after page */
    char **entities;            /* their names */
    size_t gap_count, gap_room, entity_count, entity_room;
    int64_t session;
    int busy;
    bool has_zone, is_asking, is_failing, is_unsettled; /* unsettled: a gap is open, or being filled */
    char state[17], backfill[241];
};

/* --- rolling up ------------------------------------------------------------------------------------ */

static void roll_on(struct self *owner, actor_t *actor, int64_t tag)
{
    upkeep_t *self = sink_upkeep(owner);
    bool is_done = false;
    (void)tag;
    if (!sink_may_write(owner, actor, ++self->busy >= PRESSING)) {
        actor_after(actor, BUSY_MS, roll_on, 0);
        return;
    }
    self->busy = 0;
    bool is_well = store_roll(self->store, actor_now_us(actor), &is_done) == STORE_OK;
    if (!is_well && !self->is_failing)
        actor_error(actor, "nothing can be rolled up, trying again until it can: %s", store_why(self->store));
    else if (is_well && self->is_failing)
        actor_info(actor, "the store can be rolled up again");
    self->is_failing = !is_well;
    actor_after(actor, is_done || !is_well ? REST_MS : ROLL_MS, roll_on, 0);
}

/* --- gaps -------------------------------------------------------------------------------------------- */

static void forget_gaps(upkeep_t *self)
{
    for (size_t i = 0; i < self->entity_count; i++)
        free(self->entities[i]);
    self->entity_count = self->gap_count = 0;
}

static void add_gap(upkeep_t *self, const struct gap *gap, struct slice entity_id)
{
    if (self->gap_count == GAPS_MAX)
        return;
    if (self->gap_count == self->gap_room) {
        self->gap_room = self->gap_room ? self->gap_room * 2 : 16;
        self->gaps = realloc(self->gaps, self->gap_room * sizeof *self->gaps);
        assert(self->gaps);
    }
    struct gap_said *to = &self->gaps[self->gap_count++];
    *to = (struct gap_said){ .entity_id = entity_id, .from = gap->start, .to = gap->has_end ? gap->end : 0 };
    memcpy(to->id, gap->id, gap->id_size);
}

struct reading { upkeep_t *self; const struct gap *gap; };

static int add_entity(void *owner, struct json_value item)
{
    struct reading *reading = owner;
    upkeep_t *self = reading->self;
    struct slice name;
    if (self->gap_count == GAPS_MAX || !json_text(self->json, item, &name) || name.size == 0)
        return 0;
    if (self->entity_count == self->entity_room) {
        self->entity_room = self->entity_room ? self->entity_room * 2 : 16;
        self->entities = realloc(self->entities, self->entity_room * sizeof *self->entities);
        assert(self->entities);
    }
    char *copy = malloc(name.size);
    assert(copy);
    memcpy(copy, name.data, name.size);
    self->entities[self->entity_count++] = copy;
    add_gap(self, reading->gap, (struct slice){ copy, name.size });
    return 0;
}

/* Only what states are missing of: of all, while it is open or being filled or where nothing has them; else of those
 * that history does not know. */
static void take_gap(upkeep_t *self, const struct gap *gap)
{
    static const char *const keys[] = { "states", "excluded_entities" };
    struct json_value root, values[2] = { { 0 } };
    const char *why;
    if (strcmp(gap->cause, "requested") == 0 || (gap->has_end && gap->end <= gap->start))
        return;
    if (gap->has_unrecoverable && json_read(self->json, gap->unrecoverable, &root, &why) == 0)
        json_pick(self->json, root.raw, keys, 2, values);
    bool is_unsettled = !gap->has_end || strcmp(gap->state, "filling") == 0;
    self->is_unsettled |= is_unsettled;
    if (is_unsettled || values[0].kind == JSON_TRUE)
        add_gap(self, gap, (struct slice){ NULL, 0 });
    else if (values[1].kind == JSON_ARRAY)
        json_each_item(self->json, values[1].raw, add_entity, &(struct reading){ self, gap });
}

static void ask_again(struct self *owner, actor_t *actor, int64_t tag);

static void ask_soon(upkeep_t *self, int ms)
{
    actor_cancel(self->actor, ask_again, 0);
    actor_after(self->actor, ms, ask_again, 0);
}

static void on_gaps(struct self *owner, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    upkeep_t *self = sink_upkeep(owner);
    struct slice rest = answer->rows, one;
    struct gap gap;
    struct fault fault;
    (void)tag;
    self->is_asking = false;
    if (answer->verdict != OK) {
        forget_gaps(self);
        return;
    }
    while (frame_next(&rest, &one) && gap_decode(one, &gap, &fault) == 0)
        take_gap(self, &gap);
    struct gaps_query query = { 0 };
    if (end->has_next_cursor && end->next_cursor_size < sizeof query.cursor) {
        SET_TEXT(&query, cursor, end->next_cursor, end->next_cursor_size);
        self->is_asking = ask_ingest_gaps(actor, &query, ASK_MS, on_gaps, 0) == 0;
        return;
    }
    enum store_result result = store_set_gaps(self->store, self->gaps, self->gap_count);
    if (result != STORE_DUPLICATE)
        sink_joined(owner, actor, result);
    forget_gaps(self);
    if (self->is_unsettled)
        ask_soon(self, UNSETTLED_MS);
}

static void ask_gaps(upkeep_t *self)
{
    struct gaps_query query = { 0 };
    if (self->is_asking)
        return;
    forget_gaps(self);
    self->is_unsettled = false;
    self->is_asking = ask_ingest_gaps(self->actor, &query, ASK_MS, on_gaps, 0) == 0;
}

static void ask_again(struct self *owner, actor_t *actor, int64_t tag)
{
    ask_gaps(sink_upkeep(owner));
    if (tag)
        actor_after(actor, GAPS_MS, ask_again, tag);
}

/* --- the home's zone --------------------------------------------------------------------------------------- */

static void set_zone(upkeep_t *self, const char *name, const char *whose)
{
    char before[ZONE_NAME];
    if (store_zone(self->store, before, NULL) != STORE_OK || strcmp(before, name) == 0)
        return;
    enum store_result result = store_set_zone(self->store, name);
    if (result == STORE_OK)
        actor_info(self->actor, "days are cut in %s, as %s says; they were in %s", name, whose, before);
    else
        actor_warn(self->actor, "%s says its zone is %s, which cannot be used; it stays %s", whose, name, before);
}

static void on_home(struct self *owner, actor_t *actor, int64_t tag, const struct answer *answer, const struct ha_result *result)
{
    upkeep_t *self = sink_upkeep(owner);
    struct json_value root;
    struct slice text;
    const char *why;
    char name[ZONE_NAME];
    (void)tag;
    if (answer->verdict != OK || !result->success || !result->has_result || !sink_may_write(owner, actor, true))
        return;
    if (json_read(self->json, result->result, &root, &why) || !json_text(self->json, json_at(self->json, root.raw, "time_zone"), &text)
            || text.size >= sizeof name)
        return;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    set_zone(self, name, "Home Assistant");
}

static void ask_home(upkeep_t *self)
{
    struct ha_command query = { 0 };
    if (self->has_zone)
        return;
    SET(&query, command, slice_of("{\"type\":\"get_config\"}"));
    ask_ingest_ask(self->actor, &query, ASK_MS, on_home, 0);
}

void upkeep_session(upkeep_t *self, const struct ingest_session *session)
{
    const char *backfill = session->has_backfill ? session->backfill : "";
    bool is_news = session->session != self->session || strcmp(session->state, self->state) != 0 || strcmp(backfill, self->backfill) != 0;
    if (!is_news)
        return;
    if (strcmp(session->state, "live") == 0 && (session->session != self->session || strcmp(self->state, "live") != 0))
        ask_home(self);
    self->session = session->session;
    snprintf(self->state, sizeof self->state, "%s", session->state);
    snprintf(self->backfill, sizeof self->backfill, "%s", backfill);
    ask_soon(self, SOON_MS);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

static bool open_zone(upkeep_t *self, const char *zone)
{
    char name[ZONE_NAME];
    bool is_set = false;
    self->has_zone = zone[0] != '\0';
    if (self->has_zone && store_set_zone(self->store, zone) == STORE_BAD) {
        actor_error(self->actor, "sink.zone: %s is no time zone that this machine knows (package tzdata)", zone);
        return false;
    }
    if (self->has_zone || store_zone(self->store, name, &is_set) != STORE_OK || is_set)
        return true;
    zone_of_machine(name);
    store_set_zone(self->store, name); /* until Home Assistant says its own */
    return true;
}

upkeep_t *upkeep_new(actor_t *actor, store_t *store, const char *zone)
{
    upkeep_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (struct upkeep){ .actor = actor, .store = store, .json = json_new(), .session = -1 };
    if (!open_zone(self, zone)) {
        upkeep_destroy(&self);
        return NULL;
    }
    actor_after(actor, SOON_MS, roll_on, 0);
    actor_after(actor, SOON_MS, ask_again, 1);
    return self;
}

void upkeep_destroy(upkeep_t **self_p)
{
    upkeep_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    forget_gaps(self);
    free(self->gaps);
    free(self->entities);
    json_destroy(&self->json);
    free(self);
}
