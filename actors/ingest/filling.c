/* filling.c - slice by slice and batch by batch: which question for history comes next, and its rows. */
#include "filling.h"

#include <string.h>

/* When, in parts of commit_us since get_states was answered, what is not witnessed is asked for again. */
static const int64_t round_parts[ROUNDS] = { 60, 20, 5, 1 };

static void put(msgpack_sbuffer *to, const char *text)
{
    msgpack_sbuffer_write(to, text, strlen(text));
}

static void put_time(msgpack_sbuffer *to, const char *key, int64_t at_us)
{
    char text[TIME_TEXT];
    time_text(at_us < 0 ? 0 : at_us, text);
    put(to, key);
    put(to, text);
    put(to, "\"");
}

/* History of the entities in `asked`. */
static bool ask_history(struct backfill *self, int64_t from_us, int64_t to_us)
{
    msgpack_sbuffer text;
    msgpack_sbuffer_init(&text);
    put(&text, "{\"type\":\"history/history_during_period\"");
    put_time(&text, ",\"start_time\":\"", from_us);
    put_time(&text, ",\"end_time\":\"", to_us);
    put(&text, ",\"significant_changes_only\":false,\"minimal_response\":false,\"no_attributes\":false,"
        "\"include_start_time_state\":true,\"entity_ids\":[");
    for (size_t i = 0; i < self->asked_count; i++) {
        put(&text, i > 0 ? "," : "");
        json_write_text(slice_of(snapshot_at(self->snapshot, self->asked[i])->id), &text);
    }
    put(&text, "]}");
    self->question_from_us = from_us;
    self->batch_rows = 0;
    bool asked = fill_ask(self, (struct slice){ text.data, text.size }, HISTORY_ASKED);
    msgpack_sbuffer_destroy(&text);
    return asked;
}

/* --- rows ------------------------------------------------------------------------------------ */

static bool in_tail(const struct backfill *self, const struct job *job, int64_t at_us)
{
    const struct gap_entry *gap = job->state == ASKED_BUT_TAIL ? ledger_find(self->options.ledger, job->number) : NULL;
    return gap && at_us >= job->tail_from_us && at_us < gap->end_us;
}

static void count_row(struct backfill *self, struct seen_entity *entity, int64_t at_us)
{
    if (!self->is_witnessing) {
        self->batch_rows += at_us >= self->slice.from_us && at_us < self->slice.to_us;
    } else if (at_us > entity->newest_us) {
        for (size_t i = 0; i < self->job_count; i++)
            self->jobs[i].tail_rows += in_tail(self, &self->jobs[i], at_us);
    }
    if (self->is_witnessing || self->slice.is_tail)
        entity->newest_us = later(entity->newest_us, at_us);
}

/* Whatever was in force when a slice began is told with it, if the recorder goes back that far. */
static void note_told(struct backfill *self, int64_t at_us)
{
    struct slice_of_time *slice = &self->slice;
    if (slice->told_us == 0 || at_us < slice->told_us)
        slice->told_us = at_us;
}

static void on_row(void *owner, const struct history_row *row)
{
    struct backfill *self = owner;
    struct seen_entity *entity = snapshot_find(self->snapshot, row->entity_id);
    if (!entity)
        return; /* nobody asked for it */
    entity->has_history = true;
    if (!self->is_witnessing)
        note_told(self, row->is_start ? self->slice.from_us : row->now.updated_us);
    if (row->now.updated_us >= entity->last_us && row->now.updated_us <= self->snapshot_us) /* it may have come back since */
        entity->is_removed = !row->now.state.data;
    entity->last_us = later(entity->last_us, row->now.updated_us);
    if (row->is_start)
        return;
    if (!entity->is_absent && row->now.state.data && row->now.updated_us == entity->updated_us) {
        entity->is_witnessed = true;
        snapshot_forget_state(entity);
    }
    count_row(self, entity, row->now.updated_us);
    struct made_state old = row->old;
    if (!memmem(old.attributes.data ? old.attributes.data : "", old.attributes.size, "\"restored\"", 10))
        old.attributes = (struct slice){ NULL, 0 }; /* of the old state no more is stored */
    made_change(&self->made, row->entity_id, row->has_old ? &old : NULL, &row->now);
}

bool fill_is_given(struct backfill *self)
{
    if (self->made.events == 0)
        return true;
    if (self->hooks.is_behind(self->owner))
        return false;
    struct slice frame = { self->made.text.data, self->made.text.size };
    if (!self->is_made)
        frame = made_frame(&self->made);
    self->is_made = true;
    if (self->hooks.give(self->owner, frame, self->made.events, self->made_of, self->answered_us))
        return false;
    self->rows_made += self->made.events;
    self->is_made = false;
    if (self->made.text.size > 4 * STEP_BYTES)
        made_free(&self->made);
    else
        made_clear(&self->made);
    return true;
}

/* The rows of an answer, some in a step; then what it had is counted. */
int64_t fill_read(struct backfill *self)
{
    const char *why = "";
    if (!fill_is_given(self))
        return BEHIND_US;
    int more = 1;
    while (more > 0 && self->made.events < STEP_ROWS && self->made.text.size < STEP_BYTES)
        more = history_step(self->history, 20, on_row, self, &why);
    if (more < 0) {
        fill_try_fewer(self, why);
        return 0;
    }
    if (more > 0 || self->made.events > 0)
        return 0;
    if (!self->is_witnessing)
        self->slice.rows += self->batch_rows;
    self->batch = self->batch * 2 < BATCH ? self->batch * 2 : BATCH;
    self->phase = PAUSED;
    return 0;
}

/* --- which question comes next --------------------------------------------------------------- */

bool fill_lists(const char *list, const char *id)
{
    size_t size = strlen(id);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, id, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return false;
}

/* The next entities of the slice; false: there are no more. */
static bool choose_entities(struct backfill *self, const struct gap_entry *gap)
{
    size_t count = snapshot_count(self->snapshot);
    self->asked_count = 0;
    for (; self->slice.next < count && self->asked_count < self->batch; self->slice.next++) {
        const struct seen_entity *entity = snapshot_at(self->snapshot, self->slice.next);
        if (!entity->is_refused && (!gap->entity_id || fill_lists(gap->entity_id, entity->id)))
            self->asked[self->asked_count++] = self->slice.next;
    }
    return self->asked_count > 0;
}

/* What the recorder may not have written yet is a slice of its own: nothing of it is noted before it is witnessed. */
static void choose_slice(struct backfill *self, const struct gap_entry *gap)
{
    int64_t from_us = later(gap->start_us, gap->filled_us), written_us = self->snapshot_us - self->options.commit_us;
    int64_t to_us = earlier(gap->end_us, from_us + self->slice_us);
    bool is_tail = to_us > written_us;
    if (is_tail && written_us - from_us >= SLICE_MIN_US) {
        to_us = written_us;
        is_tail = false;
    } else if (is_tail) {
        to_us = gap->end_us;
    }
    self->slice = (struct slice_of_time){ .from_us = from_us, .to_us = to_us, .is_tail = is_tail,
        .begun_us = self->slice.begun_us };
}

static void note_silence(struct backfill *self)
{
    const struct slice_of_time *slice = &self->slice;
    int64_t until_us = slice->told_us == 0 ? slice->to_us : earlier(slice->told_us, slice->to_us);
    if (until_us > slice->from_us)
        self->job->silent_until_us = until_us;
}

static void end_slice(struct backfill *self, const struct gap_entry *gap)
{
    struct job *job = self->job;
    note_silence(self);
    job->asked_us = self->slice.to_us;
    if (self->slice.is_tail) {
        job->tail_from_us = self->slice.from_us;
        job->tail_rows = self->slice.rows;
        job->state = ASKED_BUT_TAIL;
        self->job = NULL;
        return;
    }
    self->slice_us = self->slice.is_heavy ? later(self->slice_us / 2, SLICE_MIN_US) : earlier(self->slice_us * 2, DAY_US);
    struct gap_entry noted = *gap;
    noted.filled_us = self->slice.to_us;
    noted.recovered += self->slice.rows;
    ledger_fill(self->options.ledger, &noted);
    if (noted.filled_us >= gap->end_us) {
        job->state = ASKED_ALL;
        self->job = NULL;
        return;
    }
    choose_slice(self, &noted);
}

static bool choose_job(struct backfill *self)
{
    for (size_t i = 0; i < self->job_count; i++) {
        struct job *job = &self->jobs[i];
        const struct gap_entry *gap = ledger_find(self->options.ledger, job->number);
        if (job->state != TO_ASK)
            continue;
        if (!gap || gap->end_us <= later(gap->start_us, gap->filled_us)) {
            job->asked_us = gap ? gap->end_us : 0;
            job->state = ASKED_ALL; /* no time is missing */
            continue;
        }
        self->job = job;
        self->slice.begun_us = self->clock_us;
        choose_slice(self, gap);
        return true;
    }
    return false;
}

/* Of what was there the very state that get_states showed; of what was gone its removal, or something newer. */
static bool has_witness(const struct backfill *self, const struct seen_entity *entity)
{
    if (entity->is_absent)
        return entity->is_refused || entity->is_removed || entity->last_us > self->snapshot_us;
    return entity->is_refused || entity->is_witnessed;
}

bool fill_lacks_witness(const struct backfill *self, const struct seen_entity *entity)
{
    bool is_gone = entity->is_absent && entity->state;
    if (has_witness(self, entity))
        return false;
    for (size_t i = 0; i < self->job_count; i++) {
        const struct job *job = &self->jobs[i];
        bool is_tail = job->state == ASKED_BUT_TAIL;
        if (is_tail && (is_gone || entity->updated_us >= job->tail_from_us))
            return true;
        if ((is_tail || job->state == ASKED_ALL) && !self->is_first && !entity->is_absent && !entity->has_history
            && entity->updated_us >= job->start_us)
            return true;
    }
    return false;
}

static bool choose_unwitnessed(struct backfill *self)
{
    size_t count = snapshot_count(self->snapshot);
    self->asked_count = 0;
    for (; self->next < count && self->asked_count < self->batch; self->next++)
        if (fill_lacks_witness(self, snapshot_at(self->snapshot, self->next)))
            self->asked[self->asked_count++] = self->next;
    return self->asked_count > 0;
}

/* The recorder writes in the order of what happened: what is missing of an entity is newer than what it has given. */
static int64_t ask_unwitnessed(struct backfill *self)
{
    int64_t tail_us = INT64_MAX, from_us = INT64_MAX;
    for (size_t i = 0; i < self->job_count; i++)
        if (self->jobs[i].state == ASKED_BUT_TAIL)
            tail_us = earlier(tail_us, self->jobs[i].tail_from_us);
    for (size_t i = 0; i < self->asked_count; i++) {
        const struct seen_entity *entity = snapshot_at(self->snapshot, self->asked[i]);
        from_us = earlier(from_us, entity->newest_us > 0 ? entity->newest_us : earlier(tail_us, entity->updated_us));
    }
    size_t first = self->asked[0];
    if (ask_history(self, from_us - MARGIN_US, self->now_us + MARGIN_US))
        return SECOND_US;
    self->next = first;
    return SECOND_US / 4;
}

static bool any_unwitnessed(const struct backfill *self)
{
    for (size_t i = 0; i < snapshot_count(self->snapshot); i++)
        if (fill_lacks_witness(self, snapshot_at(self->snapshot, i)))
            return true;
    return false;
}

static int64_t round_due(const struct backfill *self, int round)
{
    return self->witness_from_us + self->options.commit_us / round_parts[round] - self->clock_us;
}

/* Microseconds until the round; of those that are due already only the last one counts. */
static int64_t begin_round(struct backfill *self)
{
    while (self->round < ROUNDS - 1 && round_due(self, self->round + 1) <= 0)
        self->round++;
    return round_due(self, self->round);
}

static void end_asking(struct backfill *self)
{
    self->next = 0;
    self->phase = FINISHING;
}

/* All slices are asked: now for what has no witness, round after round. */
static int64_t witness(struct backfill *self)
{
    if (!self->is_witnessing) {
        self->is_witnessing = true;
        self->next = 0;
    }
    if (self->next == 0) {
        int64_t wait_us = begin_round(self);
        if (!any_unwitnessed(self)) {
            end_asking(self);
            return 0;
        }
        if (wait_us > 0)
            return earlier(wait_us, SECOND_US);
    }
    if (choose_unwitnessed(self))
        return ask_unwitnessed(self);
    self->next = 0;
    if (++self->round == ROUNDS)
        end_asking(self);
    return 0;
}

int64_t fill_choose(struct backfill *self)
{
    if (self->hooks.is_behind(self->owner))
        return BEHIND_US;
    while (self->job || choose_job(self)) {
        const struct gap_entry *gap = ledger_find(self->options.ledger, self->job->number);
        if (!gap) {
            self->job->state = ASKED_ALL;
            self->job = NULL;
            continue;
        }
        size_t before = self->slice.next;
        if (!choose_entities(self, gap)) {
            if (!self->slice.is_tail && !self->hooks.is_safe(self->owner))
                return BEHIND_US;
            end_slice(self, gap);
            continue;
        }
        int64_t to_us = self->slice.is_tail ? later(self->slice.to_us, self->snapshot_us) : self->slice.to_us;
        if (ask_history(self, self->slice.from_us - MARGIN_US, to_us + MARGIN_US))
            return SECOND_US;
        self->slice.next = before;
        return SECOND_US / 4;
    }
    return witness(self);
}
