/* outcome.c - what a run leaves: states from get_states, removals, results; and what others may see and ask for. */
#include "filling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- the end of a run --------------------------------------------------------------------------- */

/* No history told it: what is in force now is better than nothing. */
static bool is_worth_keeping(const struct backfill *self, const struct seen_entity *entity)
{
    if (!entity->state || entity->is_witnessed)
        return false;
    for (size_t i = 0; i < self->job_count; i++)
        if (self->jobs[i].state == FAILED && entity->updated_us >= self->jobs[i].start_us)
            return true;
    return self->is_first || entity->is_refused || fill_lacks_witness(self, entity);
}

static void finish_entity(struct backfill *self, const struct seen_entity *entity)
{
    struct slice id = slice_of(entity->id);
    if (entity->is_absent) {
        if (entity->state && !entity->is_removed)
            made_removal(&self->made, id, slice_of(entity->state), self->snapshot_us);
    } else if (is_worth_keeping(self, entity)) {
        made_snapshot(&self->made, id, slice_of(entity->state), slice_of(entity->context), entity->updated_us);
    }
}

/* It did something since the gap began, or is gone since, and history knows nothing of it. */
static bool is_unrecorded(const struct seen_entity *entity, const struct gap_entry *gap)
{
    if (entity->has_history || (gap->entity_id && !fill_lists(gap->entity_id, entity->id)))
        return false;
    return (entity->is_absent && entity->state) || entity->updated_us >= gap->start_us;
}

/* The ids of those; 0: none. */
static uint64_t list_unrecorded(struct backfill *self, const struct gap_entry *gap)
{
    msgpack_sbuffer text;
    size_t count = 0;
    msgpack_sbuffer_init(&text);
    for (size_t i = 0; i < snapshot_count(self->snapshot); i++) {
        const struct seen_entity *entity = snapshot_at(self->snapshot, i);
        if (!is_unrecorded(entity, gap) || text.size + 2 * strlen(entity->id) + 8 > LIST_BYTES)
            continue;
        msgpack_sbuffer_write(&text, count++ == 0 ? "[" : ",", 1);
        json_write_text(slice_of(entity->id), &text);
    }
    msgpack_sbuffer_write(&text, "]", 1);
    uint64_t key = count > 0 ? ledger_keep_list(self->options.ledger, (struct slice){ text.data, text.size }) : 0;
    msgpack_sbuffer_destroy(&text);
    return key;
}

static bool any_history(const struct backfill *self)
{
    for (size_t i = 0; i < snapshot_count(self->snapshot); i++)
        if (snapshot_at(self->snapshot, i)->has_history)
            return true;
    return false;
}

/* Somebody of whom history knows was there before the gap: what was in force then is in any history that goes back so far. */
static bool anybody_was_there(const struct backfill *self, int64_t start_us)
{
    for (size_t i = 0; i < snapshot_count(self->snapshot); i++) {
        const struct seen_entity *entity = snapshot_at(self->snapshot, i);
        if (entity->has_history && ((entity->stored_us > 0 && entity->stored_us < start_us)
            || (!entity->is_absent && entity->updated_us < start_us)))
            return true;
    }
    return false;
}

static void settle_job(struct backfill *self, const struct job *job)
{
    const struct gap_entry *gap = ledger_find(self->options.ledger, job->number);
    if (!gap || job->state == FAILED || job->state == TO_ASK)
        return;
    struct gap_entry noted = *gap;
    bool is_long = gap->end_us > gap->start_us;
    noted.filled_us = job->asked_us;
    noted.recovered += job->state == ASKED_BUT_TAIL ? job->tail_rows : 0;
    if (gap->end_us > job->asked_us) { /* it has grown: the rest is another run's */
        ledger_fill(self->options.ledger, &noted);
        return;
    }
    noted.is_compared = self->is_compared && gap->end_us + SECOND_US >= self->live_at_us; /* what went and came since was not seen */
    bool is_short = is_long && !job->is_request && job->silent_until_us > gap->start_us && anybody_was_there(self, gap->start_us);
    bool is_silent = is_long && noted.recovered == 0 && (job->silent_until_us >= gap->end_us || !any_history(self));
    noted.unrecorded = is_long && !is_silent ? list_unrecorded(self, gap) : 0;
    noted.result = is_long && (noted.unrecorded || self->refused > 0 || is_short) ? GAP_PARTLY : GAP_FILLED;
    if (is_silent) /* not even what was in force then */
        noted.result = GAP_UNRECOVERABLE;
    ledger_fill(self->options.ledger, &noted);
    if (is_short && !is_silent)
        ledger_unreached(self->options.ledger, noted.start_us, job->silent_until_us);
    if (is_long)
        fill_say(self, false, "gap-%" PRId64 " is %s: %" PRId64 " states from Home Assistant's history%s", noted.number,
            noted.result == GAP_FILLED ? "filled" : noted.result == GAP_PARTLY ? "filled in part" : "not in its history", noted.recovered,
            noted.unrecorded ? "; some entities are not in its recorder" : "");
}

/* Offer what the recorder has of the time before us, or fetch it. */
static void after_first(struct backfill *self)
{
    if (self->options.first_days > 0) {
        int64_t start_us = later(self->snapshot_us - self->options.first_days * DAY_US, 0);
        (void)ledger_request(self->options.ledger, start_us, self->snapshot_us, (struct slice){ NULL, 0 });
        fill_say(self, false, "the last %" PRId64 " days are fetched from Home Assistant's history", self->options.first_days);
        return;
    }
    fill_say(self, false, "Home Assistant's recorder has what was before, usually ten days: POST /api/v1/gaps/backfill "
        "{\"start_time\": ..., \"end_time\": ...} fetches it");
}

int64_t fill_finish(struct backfill *self)
{
    self->made_of = FROM_SNAPSHOT;
    self->answered_us = self->snapshot_us;
    if (!fill_is_given(self))
        return BEHIND_US;
    while (self->next < snapshot_count(self->snapshot) && self->made.events < STEP_ROWS && self->made.text.size < STEP_BYTES)
        finish_entity(self, snapshot_at(self->snapshot, self->next++));
    if (self->made.events > 0 || self->next < snapshot_count(self->snapshot))
        return 0;
    if (!self->hooks.is_safe(self->owner))
        return BEHIND_US;
    for (size_t i = 0; i < self->job_count; i++)
        settle_job(self, &self->jobs[i]);
    if (self->is_first)
        after_first(self);
    fill_forget(self);
    self->phase = IDLE;
    return 0;
}

/* --- requests and views --------------------------------------------------------------------------- */

static bool is_id_list(struct slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (at[i] <= ' ' || at[i] == 0x7f || at[i] == '"' || at[i] == '\\')
            return false;
    return true;
}

int64_t backfill_request(backfill_t *self, int64_t start_us, int64_t end_us, struct slice entity_id, int64_t now_us,
    const char **field, const char **why)
{
    *field = "start_time";
    *why = "must be before end_time";
    if (start_us >= end_us)
        return -1;
    *field = "end_time";
    *why = "must not lie in the future";
    if (end_us > now_us)
        return -1;
    *field = "entity_id";
    *why = "is too long, or holds what no entity id has";
    if (entity_id.size > GAP_ENTITY || !is_id_list(entity_id))
        return -1;
    *field = "";
    *why = "backfill is switched off: ingest.backfill";
    if (!self->options.is_on)
        return -2;
    *why = "another request is being filled";
    for (size_t i = 0; i < ledger_count(self->options.ledger); i++) {
        const struct gap_entry *gap = ledger_gap(self->options.ledger, i);
        if (gap->cause == GAP_REQUESTED && gap->result == GAP_UNFILLED)
            return -2;
    }
    *why = "the ledger of gaps is full";
    int64_t number = ledger_request(self->options.ledger, start_us, end_us, entity_id);
    return number < 0 ? -2 : number;
}

static const struct job *job_of(const struct backfill *self, int64_t number)
{
    for (size_t i = 0; i < self->job_count; i++)
        if (self->jobs[i].number == number)
            return &self->jobs[i];
    return NULL;
}

void backfill_view(const backfill_t *self, const struct gap_entry *gap, int64_t clock_us, struct backfill_view *view)
{
    const struct job *job = job_of(self, gap->number);
    double length = (double)(gap->end_us - gap->start_us), done = gap->filled_us > 0 ? (double)(gap->filled_us - gap->start_us) : 0.0;
    *view = (struct backfill_view){ .is_waiting = self->options.is_on && fill_is_wanted(self, gap), .rows = gap->recovered, .remaining_s = -1 };
    view->is_active = view->is_waiting && job && (job == self->job || job->state == ASKED_BUT_TAIL);
    if (job && job == self->job && self->snapshot && snapshot_count(self->snapshot) > 0) {
        done += (double)(self->slice.to_us - self->slice.from_us) * (double)self->slice.next / (double)snapshot_count(self->snapshot);
        view->rows += self->slice.rows;
    } else if (job && job->state == ASKED_BUT_TAIL) {
        done = length;
        view->rows += job->tail_rows;
    }
    view->percent = gap->result != GAP_UNFILLED || length <= 0 ? 100.0 : 100.0 * done / length;
    if (job && job == self->job && view->percent > 1.0 && view->percent < 100.0)
        view->remaining_s = (int64_t)((double)(clock_us - self->slice.begun_us) / 1e6 * (100.0 - view->percent) / view->percent);
}

void backfill_describe(const backfill_t *self, int64_t clock_us, char *to, size_t size)
{
    struct backfill_view view = { 0 };
    const struct gap_entry *gap = NULL;
    size_t waiting = 0;
    *to = '\0';
    for (size_t i = 0; i < ledger_count(self->options.ledger); i++) {
        const struct gap_entry *entry = ledger_gap(self->options.ledger, i);
        struct backfill_view one;
        backfill_view(self, entry, clock_us, &one);
        waiting += one.is_waiting && entry->end_us > entry->start_us;
        if (one.is_active && !view.is_active) {
            gap = entry;
            view = one;
        }
    }
    if (gap && view.percent >= 100.0)
        snprintf(to, size, "gap-%" PRId64 ": %" PRId64 " states so far; waiting for the recorder to have written the last ones", gap->number,
            view.rows);
    else if (gap)
        snprintf(to, size, "filling gap-%" PRId64 ": %.0f %%, %" PRId64 " states so far", gap->number, view.percent, view.rows);
    else if (waiting > 0)
        snprintf(to, size, "%zu gaps wait to be filled", waiting);
    else if (!self->options.is_on)
        snprintf(to, size, "backfill is switched off");
    else if (self->phase != AWAY)
        snprintf(to, size, "nothing to fill; POST /api/v1/gaps/backfill fetches a span of Home Assistant's history, such as the days before "
            "the first start");
}

int64_t backfill_rows(const backfill_t *self)
{
    return self->rows_made;
}

int64_t backfill_questions(const backfill_t *self)
{
    return self->questions;
}
