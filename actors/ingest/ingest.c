/* ingest.c - the one connection to Home Assistant: capture every event, then hand it on. */
#include "actor.h"
#include "again.h"
#include "backfill.h"
#include "capture.h"
#include "coverage.h"
#include "home.h"
#include "known.h"
#include "ledger.h"
#include "made.h"
#include "stash.h"
#include "view.h"
#include "wall.h"
#include "websocket.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define MS_US INT64_C(1000)
#define PUMP_EVENTS 4096        /* read back from the log in one turn, so that reading goes on */
#define PUMP_BEHIND 2           /* ... after a read, while the socket has more than a read takes */
#define AHEAD_BEHIND 32         /* and only while fewer are on their way */
#define BEHIND_MS 5             /* how long after a full read that is so */
#define FLOOD_EVENTS 4096       /* read without once catching up, or in a window: as many as Home Assistant lets wait */
#define FLOOD_WINDOW_US (SECOND_US / 5) /* as long as a large answer may take, here and there */
#define FLOOD_US (5 * SECOND_US) /* after that: beyond a cut and the next connection */
#define BATCH_ITEMS 4096        /* of one write */
#define FILL_WAITING 4096       /* unacknowledged events beyond which backfill waits */
#define SESSION_MS 100          /* between two announcements of the connection's state */
#define WARN_US (60 * SECOND_US)

enum { RAW, BAD };              /* topics, as the capture log numbers them */

struct self {
    struct ingest_config config;
    struct ingest_stats stats;
    actor_t *actor;
    struct endpoint endpoints[MAX_ENDPOINTS];
    int endpoint_count;
    capture_t *capture;
    ledger_t *ledger;
    backfill_t *backfill;
    int64_t filled_us;          /* UTC: when backfill gave something last */
    int64_t known_asks;         /* how often the store was asked what it knows: the tag of the last question */
    home_t *home;               /* NULL: unconfigured, or stopping */
    split_t *live_split;        /* frames of the connections */
    split_t *read_split;        /* frames read back */
    struct items read_items;
    struct capture_record batch[CAPTURE_BATCH]; /* frames of this read, not written yet */
    size_t batch_count;
    struct items batch_items;   /* theirs, one record after the other */
    stash_t *stash;             /* frames that the disk would not take yet */
    json_t *json;
    int64_t kept;               /* told last: how far back the log goes */
    bool session_changed;
    int64_t session_told_us;    /* monotonic */
    int64_t noted_us;           /* monotonic */
    int64_t behind_us;          /* monotonic: the socket has more than we have read, until then */
    int64_t behind_events;      /* taken since it had not */
    int64_t window_us, window_events; /* monotonic: begin of a FLOOD_WINDOW_US; taken in it */
    int64_t flooded_us;         /* monotonic: until then nothing large is asked for */
    int64_t noted_syncs;        /* of the capture log, by then */
    bool is_store_synced;       /* since then */
    int64_t lost_us;            /* monotonic: the open gap began no later than this */
    struct wall wall;
    uint64_t random;
};

/* UTC of a moment up to which everything is known. */
static int64_t wall(struct self *self, int64_t known_us)
{
    wall_look(&self->wall, actor_clock_us(self->actor), actor_now_us(self->actor), known_us);
    return wall_at(&self->wall, known_us);
}

static const char *const provenances[PROVENANCES] = { [FROM_LIVE] = "live", [FROM_BACKFILL] = "backfill",
    [FROM_SNAPSHOT] = "snapshot", [FROM_IMPORT] = "import" };

/* --- down the chain --------------------------------------------------------------------- */

static void publish_bad(struct self *self, const struct capture_record *record, const struct item *item)
{
    struct event_bad bad = { 0 };
    SET(&bad, bytes, item->bytes);
    SET_TEXT(&bad, stage, "ingest", 6);
    SET_TEXT(&bad, why, item->why, strlen(item->why));
    SET(&bad, place, record->place + ((const char *)item->bytes.data - (const char *)record->bytes.data));
    SET(&bad, received_at, record->received_us);
    if (record->first_id == ANY_FIRST_ID && record->last_id == ANY_LAST_ID)
        SET(&bad, again, true);
    if (publish_event_bad(self->actor, &bad) == 0)
        capture_sent(self->capture, BAD, actor_published(self->actor, &event_bad_contract));
    self->stats.quarantined++;
}

static void publish_item(struct self *self, const struct capture_record *record, const struct item *item)
{
    struct event_raw raw;
    raw.has_event = raw.has_place = raw.has_received_at = raw.has_session = raw.has_provenance = true;
    raw.event = item->bytes;
    raw.place = record->place + ((const char *)item->bytes.data - (const char *)record->bytes.data);
    raw.received_at = record->received_us;
    raw.session = record->session;
    const char *provenance = provenances[record->provenance];
    raw.provenance_size = (uint32_t)strlen(provenance);
    memcpy(raw.provenance, provenance, raw.provenance_size + 1);
    raw.has_starting = record->is_starting; /* absent is no, and costs less */
    raw.starting = record->is_starting;
    self->stats.published++;
    if (record->replayed)
        self->stats.replayed++;
    if (!item->why && publish_event_raw(self->actor, &raw) == 0)
        capture_sent(self->capture, RAW, actor_published(self->actor, &event_raw_contract));
    else
        publish_bad(self, record, &(struct item){ item->bytes, item->why ? item->why : "the runtime refused it" });
}

/* The rest of the record under the cursor; false: the window closed before its end. */
static bool publish_record(struct self *self, const struct capture_record *record, const struct items *items)
{
    size_t room = actor_room(self->actor, &event_raw_contract);
    for (size_t i = record->done; i < items->count; i++) {
        const struct item *item = &items->list[i];
        if (item->why ? actor_room(self->actor, &event_bad_contract) == 0 : room == 0)
            return false;
        room -= !item->why;
        publish_item(self, record, item);
    }
    capture_next(self->capture);
    return true;
}

/* Home Assistant cuts off whoever does not read fast enough, and the log waits. While the socket has more
 * than we have read, it comes first: what arrives is captured and no more, and of the log only so little is
 * handed on that those behind us do not take the processor away from us. */
static bool is_behind(const struct self *self)
{
    return actor_clock_us(self->actor) < self->behind_us;
}

/* An answer of many megabytes between the events of a flood, and what is made of it, would have us cut off. */
static bool is_flooded(const struct self *self)
{
    return actor_clock_us(self->actor) < self->flooded_us;
}

static void watch_flood(struct self *self, size_t events)
{
    int64_t now_us = actor_clock_us(self->actor);
    if (now_us - self->window_us >= FLOOD_WINDOW_US) {
        self->window_us = now_us;
        self->window_events = 0;
    }
    self->window_events += (int64_t)events;
    self->behind_events = is_behind(self) ? self->behind_events + (int64_t)events : 0;
    if (self->behind_events >= FLOOD_EVENTS || self->window_events >= FLOOD_EVENTS)
        self->flooded_us = now_us + FLOOD_US;
}

/* Go on with what is in the log. */
static void pump(struct self *self, int64_t events)
{
    struct capture_record record;
    int64_t until = self->stats.published + events;
    while (!capture_at_end(self->capture) && actor_room(self->actor, &event_raw_contract) > 0) {
        if (self->stats.published >= until) {
            actor_wake(self->actor, is_behind(self) ? BEHIND_MS : 0);
            return;
        }
        if (!capture_read(self->capture, &record))
            return;
        split_items(self->read_split, record.bytes, record.first_id, record.last_id, &self->read_items);
        if (!publish_record(self, &record, &self->read_items))
            return;
    }
}

static void pump_calmly(struct self *self)
{
    if (is_behind(self))
        actor_wake(self->actor, BEHIND_MS);
    else
        pump(self, PUMP_EVENTS);
}

static void on_loss(void *owner, const struct capture_loss *loss)
{
    struct self *self = owner;
    self->stats.given_up += loss->events;
    actor_error(self->actor, loss->overflow
        ? "the capture log has all the room it may take: its oldest segment (%" PRId64 " bytes, %" PRId64 " events not yet handed on) is given up"
        : "the capture log is damaged: %" PRId64 " bytes cannot be read (%" PRId64 " events known lost)", loss->bytes, loss->events);
    ledger_add(self->ledger, loss->first_us, loss->last_us, loss->overflow ? GAP_OVERFLOW : GAP_DAMAGED, loss->continues);
}

/* When the machine was, by the clock as it is now. Not the time of this turn: both clocks are read at once. */
static int64_t booted_us(void)
{
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (int64_t)(now.tv_sec - up.tv_sec) * SECOND_US + (now.tv_nsec - up.tv_nsec) / 1000;
}

/* Unsynced files reach the disk by themselves within 35 s. */
static int64_t safe_until(const struct self *self)
{
    int64_t now_us = actor_now_us(self->actor);
    return strcmp(actor_suite(self->actor)->sync, "never") == 0 ? now_us - 35 * SECOND_US : capture_safe(self->capture, now_us);
}

static void tell_safe(struct self *self)
{
    int64_t safe_us = safe_until(self);
    if (safe_us > 0)
        ledger_safe(self->ledger, safe_us);
    ledger_booted(self->ledger, booted_us());
}

/* --- frames ----------------------------------------------------------------------------- */

/* -1: the disk does not take them now. `list` holds the items of all records, one after the other. */
static int take(struct self *self, struct capture_record *records, size_t count, struct item *list)
{
    if (capture_append(self->capture, records, count, actor_now_us(self->actor)))
        return -1;
    for (size_t i = 0; i < count; i++)
        self->stats.received += records[i].events;
    if (records[count - 1].provenance == FROM_LIVE && records[count - 1].received_us > self->stats.last_event_at)
        SET(&self->stats, last_event_at, records[count - 1].received_us);
    if (is_behind(self))
        return 0;
    for (size_t i = 0; i < count && capture_is_next(self->capture, &records[i]); list += records[i++].events)
        if (!publish_record(self, &records[i], &(struct items){ .list = list, .count = records[i].events }))
            break;
    return 0;
}

static void forget_batch(struct self *self)
{
    self->batch_count = self->batch_items.count = 0;
    if (self->batch_items.room > BATCH_ITEMS)
        items_free(&self->batch_items);
}

/* Write what has come in this read: frames that arrive together cost one write. */
static void flush(struct self *self)
{
    size_t count = self->batch_count;
    watch_flood(self, self->batch_items.count);
    if (count == 0)
        return;
    if (take(self, self->batch, count, self->batch_items.list)) {
        actor_error(self->actor, "the capture log cannot be written: %s; reading stops until it can",
            capture_why(self->capture));
        for (size_t i = 0; i < count; i++)
            stash_add(self->stash, &self->batch[i]);
        forget_batch(self);
        home_hold(self->home, true);
        return;
    }
    forget_batch(self);
}

static void on_frame(void *owner, int64_t session, uint32_t first_id, uint32_t last_id, struct slice frame,
    const struct items *items)
{
    struct self *self = owner;
    struct capture_record record = { .received_us = actor_now_us(self->actor), .session = session,
        .first_id = first_id, .last_id = last_id, .events = (uint32_t)items->count, .is_starting = items->is_starting,
        .bytes = frame };
    if (stash_count(self->stash) > 0) {
        stash_add(self->stash, &record);
        return;
    }
    self->batch[self->batch_count++] = record;
    for (size_t i = 0; i < items->count; i++)
        items_add(&self->batch_items, items->list[i].bytes, items->list[i].why);
    if (self->batch_count == CAPTURE_BATCH || self->batch_items.count >= BATCH_ITEMS)
        flush(self);
}

/* The disk would not take these; read on once it has. */
static void retry_stash(struct self *self)
{
    struct capture_record record;
    if (stash_count(self->stash) == 0)
        return;
    while (stash_first(self->stash, &record)) {
        split_items(self->read_split, record.bytes, record.first_id, record.last_id, &self->read_items);
        record.events = (uint32_t)self->read_items.count;
        if (take(self, &record, 1, self->read_items.list))
            return;
        stash_drop_first(self->stash);
    }
    actor_info(self->actor, "the capture log can be written again");
    if (self->home)
        home_hold(self->home, false);
}

/* --- the connection ---------------------------------------------------------------------- */

static const enum gap_cause gap_causes[] = { [CAUSE_CONNECTION_LOST] = GAP_CONNECTION_LOST, [CAUSE_SILENT] = GAP_SILENT,
    [CAUSE_RESTART] = GAP_RESTART, [CAUSE_AUTH_REFUSED] = GAP_REFUSED };

static int64_t on_number(void *owner)
{
    struct self *self = owner;
    return ledger_next_session(self->ledger);
}

static double on_random(void *owner)
{
    struct self *self = owner;
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (double)(self->random >> 11) / 9007199254740992.0;
}

static void on_changed(void *owner)
{
    struct self *self = owner;
    self->session_changed = true;
    actor_wake(self->actor, SESSION_MS / 2);
}

static void on_live(void *owner, bool took_over)
{
    struct self *self = owner;
    struct home_view view;
    flush(self); /* what was heard is in the log before the ledger says so */
    home_view(self->home, &view);
    if (!took_over)
        ledger_began_by(self->ledger, wall(self, self->lost_us));
    tell_safe(self);
    ledger_live(self->ledger, actor_now_us(self->actor));
    (void)wall(self, actor_clock_us(self->actor));
    if (!took_over)
        backfill_live(self->backfill, actor_clock_us(self->actor), actor_now_us(self->actor));
    actor_info(self->actor, "%s %s: Home Assistant %s, session %" PRId64 "%s", took_over ? "moved to" : "connected to",
        view.endpoint->url, view.ha_version, view.session,
        view.all_events ? "" : "; the token is no administrator's: only some event types are given");
}

static void lose(struct self *self, int64_t known_us, enum gap_cause cause)
{
    self->lost_us = known_us;
    ledger_lost(self->ledger, wall(self, known_us), cause);
}

static void on_lost(void *owner, int64_t known_us, enum home_cause cause)
{
    struct self *self = owner;
    flush(self);
    lose(self, known_us, gap_causes[cause]);
    backfill_lost(self->backfill);
}

static void on_cause(void *owner, enum home_cause cause)
{
    struct self *self = owner;
    ledger_cause(self->ledger, gap_causes[cause]);
}

/* A text of its own for each: repeats of one text are left out of the log, and must not hide another. */
static void on_failed(void *owner, enum home_failure failure, const char *url, const char *why)
{
    struct self *self = owner;
    if (failure == FAILED_REFUSED)
        actor_error(self->actor, "%s: %s; it is left alone for %" PRId64 " s: is HOME_ASSISTANT_TOKEN right?", url, why,
            self->config.auth_retry_ms / 1000);
    else if (failure == FAILED_LIVE)
        actor_warn(self->actor, "the connection to %s is lost: %s", url, why);
    else
        actor_warn(self->actor, "%s: %s", url, why);
}

static void on_answered(void *owner, int64_t tag, bool success, struct slice result, struct slice error)
{
    struct self *self = owner;
    struct ha_result answer = { 0 };
    struct home_view view;
    if (backfill_asked(self->backfill, tag)) {
        flush(self); /* what came before the answer is in the log before what is made of it */
        backfill_answered(self->backfill, tag, success, result, error, actor_clock_us(self->actor), actor_now_us(self->actor));
        actor_wake(self->actor, 0);
        return;
    }
    home_view(self->home, &view);
    SET(&answer, success, success);
    SET(&answer, session, view.session);
    if (result.size > 0)
        SET(&answer, result, result);
    if (error.size > 0)
        SET(&answer, error, error);
    (void)answer_ingest_ask(self->actor, (ticket_t)tag, OK, &answer);
}

static void on_unanswered(void *owner, int64_t tag)
{
    struct self *self = owner;
    if (backfill_asked(self->backfill, tag))
        backfill_unanswered(self->backfill, tag);
    else
        (void)answer_ingest_ask(self->actor, (ticket_t)tag, UNAVAILABLE, NULL);
}

static const struct home_hooks home_hooks = { .number = on_number, .random = on_random, .changed = on_changed,
    .live = on_live, .lost = on_lost, .cause = on_cause, .frame = on_frame, .answered = on_answered,
    .unanswered = on_unanswered, .failed = on_failed };

/* --- backfill ----------------------------------------------------------------------------- */

static int filler_ask(void *owner, struct slice command, int64_t tag)
{
    struct self *self = owner;
    return self->home && !is_flooded(self) ? home_ask(self->home, command, tag, actor_clock_us(self->actor)) : -1;
}

static int filler_give(void *owner, struct slice frame, uint32_t events, enum provenance provenance, int64_t received_us)
{
    struct self *self = owner;
    struct capture_record record = { .received_us = received_us, .session = ledger_session(self->ledger), .first_id = MADE_ID,
        .last_id = MADE_ID, .events = events, .provenance = provenance, .bytes = frame };
    flush(self);
    if (stash_count(self->stash) > 0)
        return -1;
    split_items(self->read_split, frame, MADE_ID, MADE_ID, &self->read_items);
    assert(self->read_items.count == events);
    if (take(self, &record, 1, self->read_items.list))
        return -1;
    self->filled_us = actor_now_us(self->actor);
    return 0;
}

static bool filler_is_safe(void *owner)
{
    struct self *self = owner;
    int64_t now_us = actor_now_us(self->actor);
    if (self->filled_us > now_us) /* the clock was set back */
        self->filled_us = now_us;
    return safe_until(self) > self->filled_us;
}

static bool filler_is_behind(void *owner)
{
    struct self *self = owner;
    return stash_count(self->stash) > 0 || !capture_at_end(self->capture) || capture_waiting(self->capture) > FILL_WAITING;
}

static int64_t filler_mark(void *owner)
{
    struct self *self = owner;
    flush(self);
    return stash_count(self->stash) == 0 && capture_at_end(self->capture) ? capture_mark(self->capture) : -1;
}

static bool filler_is_settled(void *owner, int64_t mark)
{
    struct self *self = owner;
    return capture_is_settled(self->capture, mark);
}

static void on_known(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *page)
{
    if (tag != self->known_asks) /* asked for a run that is over: its end is not this one's */
        return;
    known_read(self->backfill, answer);
    backfill_stored_end(self->backfill, answer->verdict == OK, page && page->has_next_cursor ? page->next_cursor : "");
    actor_wake(actor, 0);
}

static int filler_ask_store(void *owner, const char *cursor)
{
    struct self *self = owner;
    struct latest_query query = { 0 };
    SET(&query, limit, 1000);
    SET(&query, removed, true); /* they may have been there in a gap */
    if (*cursor)
        SET_TEXT(&query, cursor, cursor, strlen(cursor));
    return ask_events_latest(self->actor, &query, 10000, on_known, ++self->known_asks);
}

static void filler_starting(void *owner, bool starting)
{
    struct self *self = owner;
    if (self->home)
        home_set_starting(self->home, starting);
}

static bool filler_is_starting(void *owner)
{
    const struct self *self = owner;
    return self->home && home_is_starting(self->home);
}

static void filler_say(void *owner, bool is_warning, const char *text)
{
    struct self *self = owner;
    if (is_warning)
        actor_warn(self->actor, "%s", text);
    else
        actor_info(self->actor, "%s", text);
}

static const struct backfill_hooks filler_hooks = { .ask = filler_ask, .give = filler_give, .is_safe = filler_is_safe, .is_behind = filler_is_behind,
    .mark = filler_mark, .is_settled = filler_is_settled, .ask_store = filler_ask_store, .starting = filler_starting,
    .is_starting = filler_is_starting, .say = filler_say };

static void open_backfill(struct self *self)
{
    struct backfill_options options = { .ledger = self->ledger, .is_on = self->config.backfill,
        .commit_us = self->config.backfill_commit_ms * MS_US, .first_days = self->config.backfill_first_days };
    self->backfill = backfill_new(&options, &filler_hooks, self);
}

/* --- sockets ----------------------------------------------------------------------------- */

struct wire { struct self *self; struct link *link; websocket_t *websocket; };

static void wire_opened(void *owner)
{
    struct wire *wire = owner;
    link_opened(wire->link, actor_clock_us(wire->self->actor));
}

static void wire_received(void *owner, struct slice message)
{
    struct wire *wire = owner;
    wire->self->stats.frames++;
    wire->self->stats.bytes += (int64_t)message.size;
    link_received(wire->link, message, actor_clock_us(wire->self->actor));
}

static void wire_done(void *owner)
{
    struct wire *wire = owner;
    struct self *self = wire->self;
    flush(self);
    if (is_behind(self) && capture_waiting(self->capture) < AHEAD_BEHIND)
        pump(self, PUMP_BEHIND);
}

/* It is missing, and was fired after what came before it. */
static void wire_skipped(void *owner, uint64_t size)
{
    struct wire *wire = owner;
    struct self *self = wire->self;
    struct home_view view = { 0 };
    flush(self);
    if (self->home)
        home_view(self->home, &view);
    actor_error(self->actor, "a message of %" PRIu64 " bytes from Home Assistant is lost: INGEST_FRAME_MAX_BYTES is %" PRId64,
        size, self->config.frame_max_bytes);
    int64_t before_us = capture_last_heard(self->capture), now_us = actor_now_us(self->actor);
    if (view.state == HOME_LIVE)
        ledger_add(self->ledger, before_us > 0 ? before_us - SECOND_US : now_us - SECOND_US, now_us, GAP_TOO_LARGE, false);
}

static void wire_heard(void *owner)
{
    struct wire *wire = owner;
    link_heard(wire->link, actor_clock_us(wire->self->actor));
}

static void wire_behind(void *owner)
{
    struct wire *wire = owner;
    wire->self->behind_us = actor_clock_us(wire->self->actor) + BEHIND_MS * MS_US;
    link_behind(wire->link);
}

static void wire_closed(void *owner, int http_status, const char *why)
{
    struct wire wire = *(struct wire *)owner;
    free(owner);
    link_closed(wire.link, http_status, why, actor_clock_us(wire.self->actor));
    actor_wake(wire.self->actor, 0);
}

static const struct websocket_hooks wire_hooks = { .opened = wire_opened, .received = wire_received,
    .done = wire_done, .skipped = wire_skipped, .heard = wire_heard, .behind = wire_behind, .closed = wire_closed };

static void *open_socket(void *owner, const struct endpoint *endpoint, struct link *link)
{
    struct self *self = owner;
    struct lws_context *context = actor_lws(self->actor);
    struct wire *wire = context ? malloc(sizeof *wire) : NULL;
    if (!wire)
        return NULL;
    *wire = (struct wire){ .self = self, .link = link };
    struct websocket_options options = { .message_max = (size_t)self->config.frame_max_bytes,
        .verify = self->config.tls_verify, .ca_file = self->config.has_ca_file ? self->config.ca_file : NULL };
    const char *why;
    wire->websocket = websocket_open(context, endpoint, &options, &wire_hooks, wire, &why);
    if (wire->websocket)
        return wire;
    actor_warn(self->actor, "%s: %s", endpoint->url, why);
    free(wire);
    return NULL;
}

static void send_text(void *socket, struct slice text)
{
    struct wire *wire = socket;
    websocket_send(wire->websocket, text);
}

static void hold_socket(void *socket, bool held)
{
    struct wire *wire = socket;
    websocket_hold(wire->websocket, held);
}

static void close_socket(void *socket)
{
    struct wire *wire = socket;
    flush(wire->self); /* it may be closed by what it has just said */
    websocket_close(wire->websocket);
    free(wire);
}

static const struct socket_calls socket_calls = { .open = open_socket, .send = send_text, .hold = hold_socket,
    .close = close_socket };

/* --- services ---------------------------------------------------------------------------- */

static void describe(struct self *self, struct ingest_session *to)
{
    if (!self->home) {
        view_unconfigured(to, ledger_session(self->ledger));
        return;
    }
    struct home_view view;
    home_view(self->home, &view);
    view_session(&view, ledger_session(self->ledger), actor_clock_us(self->actor), actor_now_us(self->actor), to);
    char text[241];
    backfill_describe(self->backfill, actor_clock_us(self->actor), text, sizeof text);
    if (*text)
        SET_TEXT(to, backfill, text, strlen(text));
}

static int on_status(struct self *self, actor_t *actor, const struct nothing *query, struct ingest_session *reply)
{
    (void)actor, (void)query;
    describe(self, reply);
    return OK;
}

/* Where a list goes on: with the gap of this id. `count`: there is none. */
static size_t find_gap(const struct gap_entry *sorted, size_t count, const char *cursor)
{
    char id[40];
    size_t i = 0;
    for (; i < count; i++) {
        snprintf(id, sizeof id, "gap-%" PRId64, sorted[i].number);
        if (strcmp(id, cursor) == 0)
            break;
    }
    return i;
}

static int on_gaps(struct self *self, actor_t *actor, const struct gaps_query *query, rows_t *rows, struct page *end)
{
    struct gap_entry *sorted = view_sorted(self->ledger);
    size_t count = ledger_count(self->ledger), first = query->has_cursor ? find_gap(sorted, count, query->cursor) : 0;
    int64_t given = 0;
    bool has_room = true;
    if (query->has_cursor && first == count) {
        free(sorted);
        return actor_refuse(actor, UNPROCESSABLE, "cursor", "is none of this list");
    }
    for (size_t i = first; i < count && has_room; i++) {
        const struct gap_entry *entry = &sorted[i];
        if ((query->has_start_time && entry->end_us != 0 && entry->end_us <= query->start_time)
            || (query->has_end_time && entry->start_us >= query->end_time))
            continue;
        struct gap row;
        char *unrecorded = ledger_list(self->ledger, entry->unrecorded);
        struct backfill_view fill;
        backfill_view(self->backfill, entry, actor_clock_us(actor), &fill);
        view_gap(entry, &fill, unrecorded, &row);
        has_room = row_ingest_gaps(rows, &row) == 0;
        if (!has_room)
            SET_TEXT(end, next_cursor, row.id, row.id_size);
        free(unrecorded);
        given += has_room;
    }
    free(sorted);
    SET(end, count, given);
    return OK;
}

static int check_command(struct self *self, actor_t *actor, struct slice command)
{
    static const char *const keys[] = { "id", "type" };
    struct json_value root, values[2];
    const char *why;
    if (json_read(self->json, command, &root, &why) || root.kind != JSON_OBJECT
        || json_pick(self->json, root.raw, keys, 2, values))
        return actor_refuse(actor, UNPROCESSABLE, "command", "must be a JSON object");
    if (values[0].kind != JSON_NOTHING)
        return actor_refuse(actor, BAD_REQUEST, "command", "must not have an id: ingest gives it one");
    if (values[1].kind != JSON_TEXT)
        return actor_refuse(actor, BAD_REQUEST, "command", "must have a type");
    return OK;
}

static struct slice trim(struct slice text)
{
    const char *at = text.data;
    while (text.size > 0 && strchr(" \t\r\n", *at))
        at++, text.size--;
    while (text.size > 0 && strchr(" \t\r\n", at[text.size - 1]))
        text.size--;
    return (struct slice){ at, text.size };
}

static int on_ask(struct self *self, actor_t *actor, const struct ha_command *query, struct ha_result *reply)
{
    (void)reply;
    struct home_view view = { 0 };
    int bad = check_command(self, actor, query->command);
    if (bad)
        return bad;
    if (self->home)
        home_view(self->home, &view);
    if (!self->home || view.state != HOME_LIVE)
        return actor_refuse(actor, UNAVAILABLE, "", "there is no connection to Home Assistant now");
    if (query->has_session && query->session != view.session)
        return actor_refuse(actor, CONFLICT, "session", "is over: another one answers now");
    if (is_flooded(self))
        return actor_refuse(actor, UNAVAILABLE, "", "Home Assistant sends more than is read: nothing is asked of it now");
    ticket_t ticket = actor_ticket(actor);
    if (home_ask(self->home, trim(query->command), (int64_t)ticket, actor_clock_us(actor)))
        return actor_refuse(actor, UNAVAILABLE, "", "too many commands are open");
    return LATER;
}

static int on_again(struct self *self, actor_t *actor, const struct again_query *query, struct again_reply *reply)
{
    struct capture_record record;
    const char *why;
    flush(self); /* what came before is in the log before */
    if (stash_count(self->stash) > 0)
        return actor_refuse(actor, UNAVAILABLE, "", "the capture log cannot be written");
    if (again_cut(self->read_split, query, actor_now_us(actor), &record, &self->read_items, &why))
        return actor_refuse(actor, UNPROCESSABLE, "bytes", why);
    if (take(self, &record, 1, self->read_items.list))
        return actor_refuse(actor, UNAVAILABLE, "", "the capture log cannot be written");
    self->stats.again++;
    SET(reply, events, record.events);
    return OK;
}

static int on_totals(struct self *self, actor_t *actor, const struct nothing *query, struct ingest_totals *reply)
{
    (void)actor, (void)query;
    struct capture_totals totals = capture_totals(self->capture);
    SET(reply, received, totals.received);
    SET(reply, in_flight, totals.in_flight);
    SET(reply, given_up, totals.given_up);
    return OK;
}

static int on_backfill(struct self *self, actor_t *actor, const struct backfill_query *query, struct backfill_reply *reply)
{
    const char *field, *why;
    struct slice ids = { query->entity_id, query->has_entity_id ? query->entity_id_size : 0 };
    int64_t number = backfill_request(self->backfill, query->start_time, query->end_time, ids, actor_now_us(actor), &field, &why);
    if (number < 0)
        return actor_refuse(actor, number == -1 ? UNPROCESSABLE : CONFLICT, field, why);
    snprintf(reply->id, sizeof reply->id, "gap-%" PRId64, number);
    reply->id_size = (uint32_t)strlen(reply->id);
    reply->has_id = true;
    actor_wake(actor, 0);
    return OK;
}

static int on_coverage(struct self *self, actor_t *actor, const struct coverage_query *query, rows_t *rows, struct page *end)
{
    struct coverage coverage = coverage_of(self->ledger, self->backfill, actor_now_us(actor), actor_clock_us(actor));
    struct coverage_span span;
    int64_t given = 0;
    while (coverage_next(&coverage, query, &span) && row_ingest_coverage(rows, &span) == 0)
        given++;
    coverage_free(&coverage);
    SET(end, count, given);
    return OK;
}

static int on_synced(struct self *self, actor_t *actor, const struct store_synced *message)
{
    capture_stored(self->capture, message->at, actor_now_us(actor));
    self->is_store_synced = true;
    return OK;
}

/* --- life -------------------------------------------------------------------------------- */

static int add_endpoint(struct self *self, struct slice url, struct slice token, const char *key)
{
    const char *why = "";
    if (self->endpoint_count == MAX_ENDPOINTS || endpoint_read(&self->endpoints[self->endpoint_count], url, token, &why)) {
        actor_error(self->actor, "ingest.%s: %s", key, why);
        return -1;
    }
    self->endpoint_count++;
    return 0;
}

static int read_endpoints(struct self *self)
{
    const struct ingest_config *c = &self->config;
    struct slice first = { c->token, c->has_token ? c->token_size : 0 };
    memset(self->endpoints, 0, sizeof self->endpoints);
    self->endpoint_count = 0;
    if (c->has_url && c->url_size > 0 && add_endpoint(self, (struct slice){ c->url, c->url_size }, first, "url"))
        return -1;
    if (c->has_url_2 && c->url_2_size > 0 && add_endpoint(self, (struct slice){ c->url_2, c->url_2_size },
        c->has_token_2 ? (struct slice){ c->token_2, c->token_2_size } : first, "url_2"))
        return -1;
    if (c->has_url_3 && c->url_3_size > 0 && add_endpoint(self, (struct slice){ c->url_3, c->url_3_size },
        c->has_token_3 ? (struct slice){ c->token_3, c->token_3_size } : first, "url_3"))
        return -1;
    if (self->endpoint_count == 0 && c->has_supervisor_token && c->supervisor_token_size > 0)
        return add_endpoint(self, slice_of("http://supervisor/core"),
            (struct slice){ c->supervisor_token, c->supervisor_token_size }, "supervisor_token");
    return 0;
}

static void start_home(struct self *self)
{
    const struct ingest_config *c = &self->config;
    if (self->endpoint_count == 0) {
        actor_warn(self->actor, "no Home Assistant is named: set HOME_ASSISTANT_URL and HOME_ASSISTANT_TOKEN");
        return;
    }
    struct home_options options = { .endpoints = self->endpoints, .open_us = 15 * SECOND_US,
        .plan = { .count = self->endpoint_count, .retry_min_us = c->retry_min_ms * MS_US,
            .retry_max_us = c->retry_max_ms * MS_US, .auth_retry_us = c->auth_retry_ms * MS_US,
            .better_us = c->better_ms * MS_US },
        .session = { .split = self->live_split, .auth_us = 10 * SECOND_US, .subscribe_us = 60 * SECOND_US,
            .ping_us = c->ping_ms * MS_US, .silence_us = c->silence_ms * MS_US } };
    self->home = home_new(&options, &socket_calls, self, &home_hooks, self, actor_clock_us(self->actor));
}

static int open_capture(struct self *self)
{
    const struct suite_config *suite = actor_suite(self->actor);
    char position[PATH_MAX];
    const char *why = "the data directory's path is too long";
    if (actor_path(self->actor, position, sizeof position, "capture/position") == 0) {
        *strrchr(position, '/') = '\0';
        struct capture_options options = { .directory = position, .segment_bytes = self->config.segment_bytes,
            .max_bytes = self->config.capture_max_bytes, .sync_us = suite->sync_ms * MS_US, .sync_aside = true, .on_loss = on_loss,
            .owner = self, .sync = strcmp(suite->sync, "always") == 0 ? CAPTURE_ALWAYS
                : strcmp(suite->sync, "never") == 0 ? CAPTURE_NEVER : CAPTURE_INTERVAL };
        self->capture = capture_open(&options, actor_now_us(self->actor), &why);
    }
    if (!self->capture)
        actor_error(self->actor, "the capture log cannot be opened: %s", why);
    else if (capture_torn(self->capture) > 0)
        actor_warn(self->actor, "%" PRId64 " bytes of a torn record were cut off the capture log", capture_torn(self->capture));
    return self->capture ? 0 : -1;
}

static int open_ledger(struct self *self)
{
    char known[PATH_MAX], boot[64] = "";
    const char *why = "the data directory's path is too long", *damaged = NULL;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file) {
        if (fscanf(file, "%63s", boot) != 1)
            boot[0] = '\0';
        fclose(file);
    }
    if (actor_path(self->actor, known, sizeof known, "ingest/known") == 0) {
        *strrchr(known, '/') = '\0';
        struct ledger_options options = { .directory = known, .boot_id = boot, .booted_us = booted_us(), .latency_us = SECOND_US,
            .captured_us = capture_last_heard(self->capture), .is_torn = capture_torn(self->capture) > 0 };
        self->ledger = ledger_open(&options, actor_now_us(self->actor), &why, &damaged);
    }
    if (!self->ledger)
        actor_error(self->actor, "the gap ledger cannot be opened: %s", why);
    else if (damaged)
        actor_error(self->actor, "the gap ledger was damaged; it is kept as %s", damaged);
    return self->ledger ? 0 : -1;
}

static int ingest_open(struct self *self, actor_t *actor)
{
    self->actor = actor;
    if (read_endpoints(self))
        return 100;
    if (getrandom(&self->random, sizeof self->random, 0) != sizeof self->random || self->random == 0)
        self->random = (uint64_t)actor_now_us(actor) | 1;
    self->live_split = split_new();
    self->read_split = split_new();
    self->json = json_new();
    self->stash = stash_new();
    self->session_changed = true;
    self->lost_us = actor_clock_us(actor);
    if (open_capture(self) || open_ledger(self))
        return 111;
    tell_safe(self);
    open_backfill(self);
    start_home(self);
    return 0;
}

static void count(struct self *self)
{
    struct home_view view = { 0 };
    if (self->home)
        home_view(self->home, &view);
    SET(&self->stats, connections, view.connections);
    SET(&self->stats, failures, view.failures);
    SET(&self->stats, ignored, view.ignored);
    SET(&self->stats, capture_bytes, capture_bytes(self->capture));
    SET(&self->stats, syncs, capture_syncs(self->capture));
    SET(&self->stats, gaps, (int64_t)ledger_count(self->ledger));
    SET(&self->stats, backfilled, backfill_rows(self->backfill));
    SET(&self->stats, history_questions, backfill_questions(self->backfill));
    self->stats.has_frames = self->stats.has_bytes = self->stats.has_received = self->stats.has_published = true;
    self->stats.has_acknowledged = self->stats.has_replayed = self->stats.has_quarantined = true;
    self->stats.has_given_up = self->stats.has_again = true;
}

static void note(struct self *self)
{
    struct home_view view = { 0 };
    if (actor_clock_us(self->actor) - self->noted_us < SECOND_US)
        return;
    self->noted_us = actor_clock_us(self->actor);
    ledger_retry(self->ledger);
    if (self->home)
        home_view(self->home, &view);
    if (!self->home || view.state != HOME_LIVE || stash_count(self->stash) > 0)
        return;
    tell_safe(self);
    ledger_note(self->ledger, wall(self, view.known_us));
    if (self->is_store_synced || self->noted_syncs != capture_syncs(self->capture))
        capture_sync_also(self->capture, ledger_fd(self->ledger)); /* the disk has been busy anyway */
    self->is_store_synced = false;
    self->noted_syncs = capture_syncs(self->capture);
}

static void tell_session(struct self *self)
{
    int64_t clock_us = actor_clock_us(self->actor);
    if (!self->session_changed || (self->session_told_us && clock_us - self->session_told_us < SESSION_MS * MS_US))
        return;
    struct ingest_session session;
    describe(self, &session);
    self->session_changed = false;
    self->session_told_us = clock_us;
    (void)publish_ingest_session(self->actor, &session);
}

/* Who remembers places of the log need not remember those that are gone. */
static void tell_kept(struct self *self)
{
    int64_t oldest = capture_oldest(self->capture);
    struct ingest_kept kept = { 0 };
    if (oldest == self->kept)
        return;
    self->kept = oldest;
    SET(&kept, place, oldest);
    (void)publish_ingest_kept(self->actor, &kept);
}

static int ingest_tick(struct self *self, actor_t *actor)
{
    int64_t due_us = SECOND_US / 4;
    if (self->home)
        due_us = home_tick(self->home, actor_clock_us(actor));
    retry_stash(self);
    int64_t fill_us = backfill_tick(self->backfill, actor_clock_us(actor), actor_now_us(actor));
    due_us = fill_us < due_us ? fill_us : due_us;
    capture_tick(self->capture, actor_now_us(actor));
    pump_calmly(self);
    note(self);
    tell_session(self);
    tell_kept(self);
    count(self);
    if (self->session_changed && due_us > SESSION_MS * MS_US)
        due_us = SESSION_MS * MS_US;
    return (int)(due_us / MS_US) + 1;
}

static void ingest_connected(struct self *self, actor_t *actor, bool up)
{
    (void)actor;
    if (up)
        pump_calmly(self);
}

static void ingest_acked(struct self *self, actor_t *actor, const struct contract *topic, uint64_t first, uint64_t last)
{
    size_t which = topic == &event_raw_contract ? RAW : BAD;
    self->stats.acknowledged += capture_acked(self->capture, which, first, last, actor_now_us(actor));
    pump_calmly(self);
}

static enum health ingest_health(struct self *self, actor_t *actor, char *why, size_t size)
{
    (void)actor;
    struct home_view view;
    if (stash_count(self->stash) > 0) {
        snprintf(why, size, "the capture log cannot be written: %s", capture_why(self->capture));
        return UNHEALTHY;
    }
    if (capture_unsynced(self->capture)) {
        snprintf(why, size, "the capture log cannot be synced: %s", capture_unsynced(self->capture));
        return UNHEALTHY;
    }
    if (ledger_is_failing(self->ledger)) {
        snprintf(why, size, "the gap ledger cannot be written");
        return UNHEALTHY;
    }
    if (capture_bytes(self->capture) > capture_limit(self->capture) / 2) {
        snprintf(why, size, "%" PRId64 " MB wait in the capture log; at %" PRId64 " MB its oldest is given up",
            capture_bytes(self->capture) / 1000000, capture_limit(self->capture) / 1000000);
        return DEGRADED;
    }
    if (!self->home) {
        snprintf(why, size, "unconfigured: no Home Assistant is named");
        return DEGRADED;
    }
    home_view(self->home, &view);
    if (view.state == HOME_LIVE)
        return HEALTHY;
    snprintf(why, size, "%s%s%s", view_state_name(view.state), *view.why ? ": " : "", view.why);
    return DEGRADED;
}

/* Let the connection go; what is known up to now is written down. */
static void stop_home(struct self *self)
{
    struct home_view view;
    if (!self->home)
        return;
    home_view(self->home, &view);
    if (view.state == HOME_LIVE)
        ledger_note(self->ledger, wall(self, view.known_us));
    home_destroy(&self->home);
    if (self->backfill)
        backfill_lost(self->backfill);
}

static void ingest_reload(struct self *self, actor_t *actor)
{
    struct endpoint before[MAX_ENDPOINTS];
    memcpy(before, self->endpoints, sizeof before);
    int before_count = self->endpoint_count;
    bool good = read_endpoints(self) == 0;
    bool same = good && before_count == self->endpoint_count && memcmp(before, self->endpoints, sizeof before) == 0;
    if (!good) {
        actor_warn(actor, "the endpoints stay as they were");
        memcpy(self->endpoints, before, sizeof before);
        self->endpoint_count = before_count;
    } else if (!same) {
        struct home_view view = { 0 };
        if (self->home)
            home_view(self->home, &view);
        if (view.state == HOME_LIVE)
            lose(self, view.known_us, GAP_CONNECTION_LOST);
        stop_home(self);
        start_home(self);
        on_changed(self);
    }
    explicit_bzero(before, sizeof before);
}

static int ingest_drain(struct self *self, actor_t *actor)
{
    (void)actor;
    stop_home(self);
    if (!self->capture)
        return 0;
    pump(self, PUMP_EVENTS);
    return capture_waiting(self->capture) > 0 ? 20 : 0;
}

static void ingest_close(struct self *self, actor_t *actor)
{
    (void)actor;
    stop_home(self);
    bool in_order = self->stash && stash_count(self->stash) == 0;
    stash_destroy(&self->stash);
    backfill_destroy(&self->backfill);
    in_order = capture_close(&self->capture) == 0 && in_order;
    ledger_close(&self->ledger, in_order); /* after what it says of the log is so */
    items_free(&self->read_items);
    items_free(&self->batch_items);
    split_destroy(&self->live_split);
    split_destroy(&self->read_split);
    json_destroy(&self->json);
    explicit_bzero(self->endpoints, sizeof self->endpoints);
}

static void ingest_lws(struct self *self, actor_t *actor, struct lws_context_creation_info *info)
{
    (void)self, (void)actor;
    websocket_prepare(info);
}

static const struct handler handlers[] = {
    ON(store_synced, on_synced),
    ANSWER(ingest_status, on_status),
    ANSWER(ingest_gaps, on_gaps),
    ANSWER(ingest_ask, on_ask),
    ANSWER(ingest_again, on_again),
    ANSWER(ingest_totals, on_totals),
    ANSWER(ingest_backfill, on_backfill),
    ANSWER(ingest_coverage, on_coverage),
    { 0 },
};

const struct actor_spec actor_spec = {
    .name = "ingest",
    .doc = "The one connection to Home Assistant: captures every event before handing it on",
    .state = sizeof(struct self),
    .config = SECTION(config, ingest_config),
    .stats = SECTION(stats, ingest_stats),
    .handlers = handlers,
    .open = ingest_open,
    .tick = ingest_tick,
    .connected = ingest_connected,
    .acked = ingest_acked,
    .health = ingest_health,
    .reload = ingest_reload,
    .drain = ingest_drain,
    .close = ingest_close,
    .lws = ingest_lws,
};
