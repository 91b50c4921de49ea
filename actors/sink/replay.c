/* replay.c - refused bytes go down the chain again, each from the stage that refused them. */
#include "replay.h"

#include "json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_MS = 3000,   /* an answer comes within the patience of whoever asks */
    PENDING = 128,      /* events under way */
    STEP_ROWS = 64,     /* of one turn: live events come between */
    IDS = 1000
};

/* An event under way: published as message `number`. */
struct pending { int64_t id, place; uint64_t number; bool has_own_place, is_acked, is_refused, is_gone; char stage[33]; };

struct replay {
    struct self *self;
    actor_t *actor;
    store_t *store;
    struct replay_hooks hooks;
    struct pending pending[PENDING];
    size_t count;
    int64_t replayed;           /* since the start */
    bool is_running, is_asking, is_over; /* over: nothing more is taken */
    ticket_t ticket;
    struct replay_reply reply;
    int64_t ids[IDS];
    size_t ids_count, ids_at;   /* none: by stage */
    char stage[33];             /* "": of any */
    int64_t next, last, deadline_us;
};

replay_t *replay_new(struct self *self, actor_t *actor, store_t *store, const struct replay_hooks *hooks)
{
    struct replay *replay = calloc(1, sizeof *replay);
    assert(replay);
    *replay = (struct replay){ .self = self, .actor = actor, .store = store, .hooks = *hooks };
    return replay;
}

void replay_destroy(replay_t **replay_p)
{
    free(*replay_p);
    *replay_p = NULL;
}

int64_t replay_count(const replay_t *replay)
{
    return replay->replayed;
}

/* --- what is asked for ----------------------------------------------------------------------------- */

static int add_id(void *owner, struct json_value item)
{
    struct replay *replay = owner;
    int64_t id;
    if (replay->ids_count == IDS || !json_int(item, &id) || id < 0)
        return 1;
    replay->ids[replay->ids_count++] = id;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static int read_ids(struct replay *replay, struct slice text)
{
    struct json_value root;
    const char *why;
    json_t *json = json_new();
    replay->ids_count = replay->ids_at = 0;
    int rc = json_read(json, text, &root, &why) || root.kind != JSON_ARRAY || json_each_item(json, root.raw, add_id, replay)
        || replay->ids_count == 0;
    json_destroy(&json);
    qsort(replay->ids, replay->ids_count, sizeof *replay->ids, by_number);
    return rc;
}

static const char *const stages[] = { "ingest", "enrich", "sink" };

static bool is_stage(const char *name)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(name, stages[i]) == 0)
            return true;
    return false;
}

static int read_query(struct replay *replay, const struct replay_query *query)
{
    bool all = query->has_all && query->all;
    replay->ids_count = replay->ids_at = 0;
    if (query->has_ids + query->has_stage + all != 1)
        return actor_refuse(replay->actor, BAD_REQUEST, "", "give one of ids, stage and all");
    if (query->has_ids && read_ids(replay, query->ids))
        return actor_refuse(replay->actor, UNPROCESSABLE, "ids", "must be an array of 1 to 1000 row numbers");
    if (query->has_stage && !is_stage(query->stage))
        return actor_refuse(replay->actor, BAD_REQUEST, "stage", "must be ingest, enrich or sink");
    memcpy(replay->stage, query->has_stage ? query->stage : "", query->has_stage ? query->stage_size + 1 : 1);
    replay->next = query->has_from ? query->from : 0;
    return OK;
}

int replay_begin(replay_t *replay, const struct replay_query *query)
{
    if (replay->is_running || replay->count > 0)
        return actor_refuse(replay->actor, CONFLICT, "", "what is being replayed is still on its way");
    int bad = read_query(replay, query);
    if (bad != OK)
        return bad;
    if (store_refused_last(replay->store, &replay->last) != STORE_OK)
        return actor_refuse(replay->actor, UNAVAILABLE, "", "the store cannot be read");
    schema_clear(replay_reply_schema(), &replay->reply);
    replay->reply.has_replayed = replay->reply.has_stored = replay->reply.has_refused = true;
    replay->is_running = true;
    replay->is_over = replay->is_asking = false;
    replay->ticket = actor_ticket(replay->actor);
    replay->deadline_us = actor_clock_us(replay->actor) + REPLAY_MS * INT64_C(1000);
    actor_wake(replay->actor, 0);
    return LATER;
}

/* --- one row ------------------------------------------------------------------------------------------ */

static void say_why(struct replay *replay, const char *why)
{
    SET_TEXT(&replay->reply, why, why, strlen(why) < 240 ? strlen(why) : 239);
    replay->is_over = true;
}

static enum store_result refuse_again(struct replay *replay, int64_t id, const struct fault *fault)
{
    replay->reply.refused++;
    return store_refused_say(replay->store, id, fault);
}

static enum store_result take_off(struct replay *replay, int64_t id)
{
    enum store_result result = store_refused_settle(replay->store, id);
    replay->reply.stored += result == STORE_OK;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Its events have been received anew: they are counted as what becomes of them. */
static enum store_result take_off_frame(struct replay *replay, int64_t id)
{
    enum store_result result = store_refused_drop(replay->store, id);
    replay->reply.stored += result == STORE_OK;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* What the sink refused: bytes of an event.full; they join the store together with the row's end. */
static enum store_result replay_full(struct replay *replay, const struct store_refused *row)
{
    struct event_full e;
    struct fault fault = { "", "" };
    if (event_full_decode(row->bytes, &e, &fault))
        return refuse_again(replay, row->id, &fault);
    enum store_result result = replay->hooks.append(replay->self, replay->actor, &e, &fault);
    if (result == STORE_BAD)
        return refuse_again(replay, row->id, &fault);
    return result == STORE_TROUBLE ? result : take_off(replay, row->id);
}

/* What enrich refused: the event as it came; or a whole event.raw that it could not read. */
static enum store_result replay_raw(struct replay *replay, const struct store_refused *row)
{
    struct event_raw raw;
    struct fault fault;
    if (!row->has_place) {
        if (event_raw_decode(row->bytes, &raw, &fault))
            return refuse_again(replay, row->id, &fault);
    } else {
        schema_clear(event_raw_schema(), &raw);
        SET(&raw, event, row->bytes);
        SET(&raw, place, row->place);
        SET(&raw, received_at, row->received_at);
        SET_TEXT(&raw, provenance, row->provenance, strlen(row->provenance));
    }
    SET(&raw, session, 0); /* it belongs to no connection: joined with the registry as it is now */
    if (publish_event_raw(replay->actor, &raw)) {
        if (!schema_check(event_raw_schema(), &raw, &fault))
            fault = (struct fault){ "event", "cannot be sent" };
        return refuse_again(replay, row->id, &fault);
    }
    struct pending *pending = &replay->pending[replay->count++];
    *pending = (struct pending){ .id = row->id, .place = raw.place, .has_own_place = row->has_place,
        .number = actor_published(replay->actor, &event_raw_contract) };
    memcpy(pending->stage, row->stage, sizeof pending->stage);
    return STORE_OK;
}

/* What ingest could not cut: the frame, or one message of it. */
static enum store_result replay_frame(struct replay *replay, const struct store_refused *row)
{
    struct again_query query = { 0 };
    SET(&query, bytes, row->bytes);
    SET(&query, received_at, row->received_at);
    replay->is_asking = replay->hooks.ask(replay->self, replay->actor, &query, REPLAY_MS, row->id) == 0;
    if (!replay->is_asking)
        return refuse_again(replay, row->id, &(struct fault){ "bytes", "cannot be sent" });
    return STORE_OK;
}

enum store_result replay_answered(replay_t *replay, int64_t id, const struct answer *answer)
{
    enum store_result result = STORE_OK;
    bool is_old = !replay->is_asking; /* the store was rolled back meanwhile */
    replay->is_asking = false;
    if (answer->verdict == OK)
        result = take_off_frame(replay, id);
    else if (answer->verdict == UNPROCESSABLE)
        result = refuse_again(replay, id, &answer->fault);
    else if (!is_old)
        say_why(replay, "ingest does not take frames back now");
    actor_wake(replay->actor, 0);
    return result;
}

/* --- one after the other ---------------------------------------------------------------------------------- */

static enum store_result find_next(struct replay *replay, struct store_refused *row)
{
    if (replay->ids_count == 0) {
        enum store_result result = store_refused_next(replay->store, replay->next, replay->stage, row);
        return result == STORE_OK && row->id > replay->last ? STORE_MISSING : result;
    }
    while (replay->ids_at < replay->ids_count) {
        int64_t id = replay->ids[replay->ids_at];
        enum store_result result = id < replay->next ? STORE_MISSING : store_refused_next(replay->store, id, "", row);
        if (result == STORE_TROUBLE || (result == STORE_OK && row->id == id))
            return result;
        replay->ids_at++;
    }
    return STORE_MISSING;
}

static enum store_result replay_row(struct replay *replay, const struct store_refused *row)
{
    replay->next = row->id + 1;
    replay->replayed++;
    replay->reply.replayed++;
    if (strcmp(row->stage, "sink") == 0)
        return replay_full(replay, row);
    if (strcmp(row->stage, "enrich") == 0)
        return replay_raw(replay, row);
    if (strcmp(row->stage, "ingest") == 0)
        return replay_frame(replay, row);
    return refuse_again(replay, row->id, &(struct fault){ "stage", "nobody takes this stage's bytes back" });
}

/* Rows while there is room for them. */
static enum store_result take_rows(struct replay *replay)
{
    struct store_refused row;
    for (int i = 0; i < STEP_ROWS && !replay->is_over && !replay->is_asking && replay->count < PENDING; i++) {
        if (actor_clock_us(replay->actor) >= replay->deadline_us)
            break;
        if (actor_room(replay->actor, &event_raw_contract) == 0)
            break;
        enum store_result result = find_next(replay, &row);
        replay->is_over = result == STORE_MISSING;
        if (result == STORE_OK)
            result = replay_row(replay, &row);
        if (result == STORE_TROUBLE)
            return result;
    }
    return STORE_OK;
}

/* --- what became of them ------------------------------------------------------------------------------------ */

void replay_acked(replay_t *replay, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < replay->count; i++)
        if (replay->pending[i].number >= first && replay->pending[i].number <= last)
            replay->pending[i].is_acked = true;
    if (replay->count > 0)
        actor_wake(replay->actor, 0);
}

bool replay_has_place(const replay_t *replay, int64_t place)
{
    for (size_t i = 0; i < replay->count; i++)
        if (replay->pending[i].place == place)
            return true;
    return false;
}

bool replay_has_row(const replay_t *replay, int64_t id)
{
    for (size_t i = 0; i < replay->count; i++)
        if (replay->pending[i].id == id)
            return true;
    return false;
}

enum store_result replay_refused(replay_t *replay, const struct event_bad *bad)
{
    for (size_t i = 0; bad->has_place && i < replay->count; i++) {
        struct pending *pending = &replay->pending[i];
        if (pending->place != bad->place)
            continue;
        pending->is_refused = true;
        if (pending->is_gone || (pending->has_own_place && strcmp(pending->stage, bad->stage) == 0))
            continue; /* the same row, with the new reason */
        pending->is_gone = true;
        if (store_refused_settle(replay->store, pending->id) == STORE_TROUBLE)
            return STORE_TROUBLE;
    }
    return STORE_OK;
}

static enum store_result settle(struct replay *replay)
{
    size_t kept = 0;
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < replay->count && result == STORE_OK; i++) {
        const struct pending *pending = &replay->pending[i];
        if (!pending->is_acked)
            replay->pending[kept++] = *pending;
        else if (pending->is_refused)
            replay->reply.refused++;
        else
            result = take_off(replay, pending->id);
    }
    if (result == STORE_OK)
        replay->count = kept;
    return result;
}

void replay_forget(replay_t *replay)
{
    replay->count = 0;
    replay->is_asking = false;
    if (!replay->is_running)
        return;
    replay->is_running = false;
    actor_refuse(replay->actor, UNAVAILABLE, "", "the store takes nothing now: what is in the quarantine stays there");
    (void)answer_sink_replay(replay->actor, replay->ticket, UNAVAILABLE, NULL);
}

static void answer(struct replay *replay)
{
    struct replay_reply *reply = &replay->reply;
    SET(reply, waiting, (int64_t)replay->count + replay->is_asking);
    if (!replay->is_over || reply->has_why)
        SET(reply, next, replay->next);
    replay->is_running = false;
    (void)answer_sink_replay(replay->actor, replay->ticket, OK, reply);
}

bool replay_is_busy(const replay_t *replay)
{
    return replay->is_running || replay->count > 0;
}

enum store_result replay_step(replay_t *replay)
{
    enum store_result result = settle(replay);
    return result == STORE_OK && replay->is_running ? take_rows(replay) : result;
}

int replay_tell(replay_t *replay)
{
    int64_t left_us = replay->deadline_us - actor_clock_us(replay->actor);
    bool is_done = replay->is_over && replay->count == 0 && !replay->is_asking;
    if (replay->is_running && (is_done || left_us <= 0))
        answer(replay);
    if (!replay->is_running)
        return -1;
    bool waits = replay->is_over || replay->is_asking || replay->count == PENDING
        || actor_room(replay->actor, &event_raw_contract) == 0;
    return waits ? (int)(left_us / 1000) + 1 : 0;
}
