/* reread.c - what did not come, or came late, is read from the store.
 *
 * We hear events as a bystander, so that we can never hold them up: what we are too slow for is left
 * out, what happens while we are away is not kept for us. But the store has all of it. So what may
 * be missing, up to the first sample that is heard again, is asked of `query`, in slices, and goes
 * into the same flow; and a time of which something came late is looked at once more, by a flow of its own. */
#include "inside.h"

#include <string.h>

enum { ASK_MS = 10000, PAGE = 200, TRIES = 15, SLICE_MIN_S = 120, SLICE_MAX_S = 3600, SLICE_ROWS = 250, ROWS_MAX = 1000,
    MARGIN_S = 5, TRY_S = 2, SILENT_S = 60, QUIET_S = 20, BEFORE_S = 180, AFTER_S = 100 };

/* --- what is missing ---------------------------------------------------------------------------------- */

/* What waits is given up where there is no room for more: it is read from the store as well. */
void missed_overflow(struct self *self)
{
    flow_drop_waiting(self->kept.flow);
    missed_begin(self);
}

void missed_begin(struct self *self)
{
    struct rereading *r = &self->missed;
    if (!self->meters[0])
        return; /* nothing is looked at yet */
    if (!r->flow)
        *r = (struct rereading){ .flow = self->kept.flow, .done_us = flow_passed_us(self->kept.flow) };
    int64_t oldest = actor_now_us(self->actor) - self->config.catch_up_s * SECOND_US;
    if (r->done_us < oldest) {
        actor_warn(self->actor, "more than energy.catch_up_s was missed: what was before is not looked at");
        flow_forget(r->flow);
        flow_start(r->flow, oldest);
        r->done_us = oldest;
    }
    r->goal_us = r->sample_us = 0;
    r->slice_us = r->done_us;
    r->has_sample = false;
    r->tries = 0;
    r->since_us = actor_clock_us(self->actor);
}

void missed_sample(struct self *self, int64_t at_us)
{
    struct rereading *r = &self->missed;
    if (!r->flow || r->goal_us)
        return;
    r->sample_us = at_us;
    r->goal_us = at_us + MARGIN_S * SECOND_US;
}

void late_note(struct self *self, int64_t at_us)
{
    int64_t oldest = actor_now_us(self->actor) - self->config.catch_up_s * SECOND_US;
    struct kept *kept = &self->kept;
    self->stats.late++;
    if (at_us < oldest)
        return;
    if (!kept->late_from || at_us < kept->late_from)
        kept->late_from = at_us;
    if (!kept->late_to || at_us > kept->late_to)
        kept->late_to = at_us;
    self->late_us = actor_clock_us(self->actor);
    self->is_unsaved = true;
}

/* --- one slice after the other --------------------------------------------------------------------------- */

/* The next one is longer where there is little to read. */
static void next_slice(struct rereading *r, int64_t length_us)
{
    if (length_us < SLICE_MIN_S * SECOND_US)
        length_us = SLICE_MIN_S * SECOND_US;
    else if (r->rows < SLICE_ROWS && length_us < SLICE_MAX_S * SECOND_US)
        length_us *= 2;
    r->slice_us = r->done_us + length_us < r->goal_us ? r->done_us + length_us : r->goal_us;
    r->rows = 0;
    r->is_domains = false;
    r->cursor[0] = '\0';
}

static void finish(struct self *self, struct rereading *r)
{
    flow_t *flow = r->flow;
    pass(self);
    r->flow = NULL;
    self->is_unsaved = true;
    if (flow != self->again)
        return;
    flow_destroy(&self->again);
    self->again_from = self->again_to = 0;
}

/* All of a slice is there. The last one is read again until the store has the sample that was heard. */
static void end_slice(struct self *self, struct rereading *r)
{
    int64_t length_us = r->slice_us - r->done_us;
    bool is_last = r->slice_us >= r->goal_us, is_missing = is_last && r->sample_us && !r->has_sample;
    if (is_missing && r->tries++ < TRIES) {
        r->must_wait = true;
        next_slice(r, length_us);
        return;
    }
    if (is_missing)
        actor_warn(self->actor, "a sample of the meter is not in the store: what was missed may be incomplete");
    r->done_us = r->slice_us;
    if (is_last) {
        finish(self, r);
        return;
    }
    pass(self);
    next_slice(r, length_us);
}

/* There is too much for one slice: it ends before the last row. */
static bool cut_slice(struct rereading *r, int64_t last_us)
{
    if (r->rows < ROWS_MAX || last_us - 1 <= r->done_us)
        return false;
    r->slice_us = last_us - 1;
    return true;
}

static int64_t take_rows(struct self *self, struct rereading *r, struct slice rows)
{
    struct slice one;
    struct fault fault;
    int64_t last_us = 0;
    int meter;
    while (frame_next(&rows, &one)) {
        if (schema_decode(event_full_schema(), one, &self->row, &fault))
            continue;
        self->stats.read++;
        r->rows++;
        last_us = self->row.timestamp;
        if (take_event(self, r->flow, &self->row, &meter) == FULL) {
            actor_warn(self->actor, "so much happened at once that there was no room for it");
            if (r == &self->missed)
                missed_overflow(self);
            return last_us;
        }
        r->has_sample |= meter >= 0 && last_us == r->sample_us;
    }
    return last_us;
}

static void on_rows(struct self *self, actor_t *actor, int64_t is_late, const struct answer *answer, const struct page *end)
{
    struct rereading *r = is_late ? &self->late : &self->missed;
    r->is_asked = false;
    r->since_us = actor_clock_us(actor);
    r->must_wait = answer->verdict != OK;
    if (!r->flow || !r->goal_us || r->slice_us <= r->done_us || r->must_wait)
        return; /* or more was missed meanwhile: the slice is begun anew */
    int64_t last_us = take_rows(self, r, answer->rows);
    if (!r->goal_us)
        return;
    bool is_more = end->has_next_cursor && !cut_slice(r, last_us);
    r->cursor[0] = '\0';
    if (is_more)
        memcpy(r->cursor, end->next_cursor, end->next_cursor_size + 1);
    else if (r->is_domains)
        end_slice(self, r);
    else
        r->is_domains = true;
    reread_step(self);
}

static void ask(struct self *self, struct rereading *r)
{
    struct events_query query = { 0 };
    const char *which = r->is_domains ? self->config.domains : self->meters;
    SET(&query, start_time, r->done_us + 1);
    SET(&query, end_time, r->slice_us + 1);
    SET(&query, limit, PAGE);
    SET_TEXT(&query, sort, "asc", 3);
    if (r->is_domains)
        SET_TEXT(&query, domain, which, strlen(which));
    else
        SET_TEXT(&query, entity_id, which, strlen(which));
    if (r->cursor[0])
        SET_TEXT(&query, cursor, r->cursor, strlen(r->cursor));
    r->is_asked = ask_events_find(self->actor, &query, ASK_MS, on_rows, r == &self->late) == 0;
}

/* --- when --------------------------------------------------------------------------------------------------- */

/* Without a sample there is nothing that would tell where the hole ends: after a while it ends now. */
static void set_goal(struct self *self, struct rereading *r)
{
    if (!r->goal_us && actor_clock_us(self->actor) - r->since_us > SILENT_S * SECOND_US && settled_us(self) > r->done_us)
        r->goal_us = settled_us(self);
}

static bool may_ask(const struct self *self, const struct rereading *r)
{
    int64_t clock_us = actor_clock_us(self->actor);
    return r->flow && !r->is_asked && !outbox_is_busy(&self->outbox) && r->goal_us && actor_now_us(self->actor) >= r->goal_us + TRY_S * SECOND_US
        && (!r->must_wait || clock_us - r->since_us >= TRY_S * SECOND_US);
}

static void begin_late(struct self *self)
{
    struct kept *kept = &self->kept;
    struct flow_options options = options_of(self);
    int64_t clock_us = actor_clock_us(self->actor), before_us = BEFORE_S * SECOND_US;
    if (self->again || self->missed.flow || !kept->late_from || clock_us - self->late_us < QUIET_S * SECOND_US
        || settled_us(self) < kept->late_to + AFTER_S * SECOND_US)
        return;
    for (size_t i = 0; flow_meter(kept->flow, i); i++) {
        int64_t needed_us = (int64_t)(meter_interval_s(flow_meter(kept->flow, i)) * 15) * SECOND_US;
        before_us = needed_us > before_us ? needed_us : before_us;
    }
    self->again = flow_new(&options, kept->devices, true, on_found, self);
    flow_meters(self, self->again);
    self->again_from = kept->late_from;
    self->again_to = kept->late_to;
    kept->late_from = kept->late_to = 0;
    int64_t from = self->again_from > before_us ? self->again_from - before_us : 1;
    flow_start(self->again, from);
    self->late = (struct rereading){ .flow = self->again, .done_us = from, .goal_us = self->again_to + AFTER_S * SECOND_US };
}

void reread_step(struct self *self)
{
    set_goal(self, &self->missed);
    begin_late(self);
    struct rereading *both[] = { &self->missed, &self->late };
    for (size_t i = 0; i < 2; i++) {
        struct rereading *r = both[i];
        if (!may_ask(self, r))
            continue;
        if (r->slice_us <= r->done_us)
            next_slice(r, 0);
        ask(self, r);
    }
}
