/* filler.c - what backfill needs of ingest: questions to Home Assistant and the store, and the log. */
#include "inside.h"
#include "known.h"
#include "made.h"

#include <assert.h>
#include <string.h>

#define FILL_WAITING 4096       /* unacknowledged events beyond which backfill waits */

static int filler_ask(void *owner, struct slice command, int64_t tag)
{
    struct self *self = owner;
    return self->home && !chain_is_flooded(self) ? home_ask(self->home, command, tag, actor_clock_us(self->actor)) : -1;
}

static int filler_give(void *owner, struct slice frame, uint32_t events, enum provenance provenance, int64_t received_us)
{
    struct self *self = owner;
    struct capture_record record = { .received_us = received_us, .session = ledger_session(self->ledger), .first_id = MADE_ID,
        .last_id = MADE_ID, .events = events, .provenance = provenance, .bytes = frame };
    chain_flush(self);
    if (stash_count(self->stash) > 0)
        return -1;
    split_items(self->read_split, frame, MADE_ID, MADE_ID, &self->read_items);
    assert(self->read_items.count == events);
    if (chain_take(self, &record, 1, self->read_items.list))
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
    chain_flush(self);
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

void filler_open(struct self *self)
{
    struct backfill_options options = { .ledger = self->ledger, .is_on = self->config.backfill,
        .commit_us = self->config.backfill_commit_ms * MS_US, .first_days = self->config.backfill_first_days };
    self->backfill = backfill_new(&options, &filler_hooks, self);
}
