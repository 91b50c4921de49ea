/* chain.c - from the socket into the capture log, and out of it down the chain. */
#include "inside.h"
#include "made.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define PUMP_BEHIND 2           /* ... after a read, while the socket has more than a read takes */
#define AHEAD_BEHIND 32         /* and only while fewer are on their way */
#define BEHIND_MS 5             /* how long after a full read that is so */
#define FLOOD_EVENTS 4096       /* read without once catching up, or in a window: as many as Home Assistant lets wait */
#define FLOOD_WINDOW_US (SECOND_US / 5) /* as long as a large answer may take, here and there */
#define FLOOD_US (5 * SECOND_US) /* after that: beyond a cut and the next connection */
#define BATCH_ITEMS 4096        /* of one write */

static const char *const provenances[PROVENANCES] = { [FROM_LIVE] = "live", [FROM_BACKFILL] = "backfill",
    [FROM_SNAPSHOT] = "snapshot", [FROM_IMPORT] = "import" };

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
bool chain_is_flooded(const struct self *self)
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
void chain_pump(struct self *self, int64_t events)
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

void chain_pump_calmly(struct self *self)
{
    if (is_behind(self))
        actor_wake(self->actor, BEHIND_MS);
    else
        chain_pump(self, PUMP_EVENTS);
}

void chain_lost(void *owner, const struct capture_loss *loss)
{
    struct self *self = owner;
    self->stats.given_up += loss->events;
    actor_error(self->actor, loss->overflow
        ? "the capture log has all the room it may take: its oldest segment (%" PRId64 " bytes, %" PRId64 " events not yet handed on) is given up"
        : "the capture log is damaged: %" PRId64 " bytes cannot be read (%" PRId64 " events known lost)", loss->bytes, loss->events);
    ledger_add(self->ledger, loss->first_us, loss->last_us, loss->overflow ? GAP_OVERFLOW : GAP_DAMAGED, loss->continues);
}

/* --- frames ----------------------------------------------------------------------------- */

/* -1: the disk does not take them now. `list` holds the items of all records, one after the other. */
int chain_take(struct self *self, struct capture_record *records, size_t count, struct item *list)
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
void chain_flush(struct self *self)
{
    size_t count = self->batch_count;
    watch_flood(self, self->batch_items.count);
    if (count == 0)
        return;
    if (chain_take(self, self->batch, count, self->batch_items.list)) {
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

void chain_frame(void *owner, int64_t session, uint32_t first_id, uint32_t last_id, struct slice frame,
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
        chain_flush(self);
}

/* The disk would not take these; read on once it has. */
void chain_retry(struct self *self)
{
    struct capture_record record;
    if (stash_count(self->stash) == 0)
        return;
    while (stash_first(self->stash, &record)) {
        split_items(self->read_split, record.bytes, record.first_id, record.last_id, &self->read_items);
        record.events = (uint32_t)self->read_items.count;
        if (chain_take(self, &record, 1, self->read_items.list))
            return;
        stash_drop_first(self->stash);
    }
    actor_info(self->actor, "the capture log can be written again");
    if (self->home)
        home_hold(self->home, false);
}

void chain_read(struct self *self)
{
    chain_flush(self);
    if (is_behind(self) && capture_waiting(self->capture) < AHEAD_BEHIND)
        chain_pump(self, PUMP_BEHIND);
}

void chain_behind(struct self *self)
{
    self->behind_us = actor_clock_us(self->actor) + BEHIND_MS * MS_US;
}
