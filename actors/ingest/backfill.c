/* backfill.c - one run after a subscription: its phases, what is asked of whom, and what is answered. */
#include "filling.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- words ------------------------------------------------------------------------------- */

void fill_say(struct backfill *self, bool is_warning, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    self->hooks.say(self->owner, is_warning, text);
}

bool backfill_asked(const backfill_t *self, int64_t tag)
{
    return tag == self->tag;
}
/* --- life -------------------------------------------------------------------------------- */

backfill_t *backfill_new(const struct backfill_options *options, const struct backfill_hooks *hooks, void *owner)
{
    struct backfill *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->hooks = *hooks;
    self->owner = owner;
    self->tag = INT64_MIN + INT32_MAX; /* far from those of others */
    self->slice_us = DAY_US;
    self->history = history_new();
    self->json = json_new();
    assert(self->json);
    made_init(&self->made);
    return self;
}

void fill_forget(struct backfill *self)
{
    snapshot_destroy(&self->snapshot);
    free(self->jobs);
    self->jobs = NULL;
    self->job = NULL;
    self->job_count = 0;
    made_free(&self->made);
    self->is_made = false;
}

void backfill_destroy(backfill_t **self_p)
{
    struct backfill *self = *self_p;
    if (!self)
        return;
    fill_forget(self);
    history_destroy(&self->history);
    json_destroy(&self->json);
    free(self->failed);
    free(self);
    *self_p = NULL;
}

/* --- asking ------------------------------------------------------------------------------- */

bool fill_ask(struct backfill *self, struct slice command, enum phase next)
{
    if (self->hooks.ask(self->owner, command, self->tag - 1))
        return false;
    self->tag--;
    self->asked_us = self->clock_us;
    self->questions++;
    self->phase = next;
    return true;
}

/* --- jobs --------------------------------------------------------------------------------- */

static bool has_failed(const struct backfill *self, int64_t number)
{
    for (size_t i = 0; i < self->failed_count; i++)
        if (self->failed[i] == number)
            return true;
    return false;
}

bool fill_is_wanted(const struct backfill *self, const struct gap_entry *gap)
{
    return gap->result == GAP_UNFILLED && gap->end_us != 0 && !has_failed(self, gap->number);
}

static int by_turn(const void *a, const void *b)
{
    const struct job *one = a, *other = b;
    if (one->is_request != other->is_request)
        return one->is_request ? 1 : -1;
    return (one->start_us > other->start_us) - (one->start_us < other->start_us);
}

/* Gaps oldest first, then requests. The very first connection is a run of its own. */
static bool collect_jobs(struct backfill *self)
{
    const ledger_t *ledger = self->options.ledger;
    size_t count = ledger_count(ledger);
    self->jobs = calloc(count + 1, sizeof *self->jobs);
    assert(self->jobs);
    self->is_first = false;
    for (size_t i = 0; i < count; i++) {
        const struct gap_entry *gap = ledger_gap(ledger, i);
        if (!fill_is_wanted(self, gap) || self->is_first)
            continue;
        if (gap->cause == GAP_FIRST_START) {
            self->is_first = true;
            self->job_count = 0;
        }
        self->jobs[self->job_count++] = (struct job){ .number = gap->number, .start_us = gap->start_us,
            .is_request = gap->cause == GAP_REQUESTED };
    }
    qsort(self->jobs, self->job_count, sizeof *self->jobs, by_turn);
    return self->job_count > 0;
}

/* States before this need no witness. */
static int64_t keep_from(const struct backfill *self)
{
    int64_t from_us = INT64_MAX;
    for (size_t i = 0; i < self->job_count; i++)
        if (!self->jobs[i].is_request)
            from_us = earlier(from_us, self->jobs[i].start_us - MARGIN_US);
    return self->is_first ? 0 : from_us;
}

static int64_t begin_run(struct backfill *self)
{
    fill_forget(self);
    if (!collect_jobs(self))
        return SECOND_US;
    if (self->hooks.is_starting(self->owner) && self->clock_us - self->live_us < STARTING_US) {
        fill_forget(self);
        return SECOND_US / 4; /* what is not up yet would look like removed */
    }
    self->snapshot = snapshot_new(keep_from(self));
    self->batch = BATCH;
    self->is_compared = self->is_witnessing = false;
    self->refused = self->next = 0;
    self->round = self->store_tries = 0;
    self->cursor[0] = '\0';
    return fill_ask(self, slice_of("{\"type\":\"get_states\"}"), STATES_ASKED) ? SECOND_US : SECOND_US / 4;
}

static void note_failed(struct backfill *self, int64_t number)
{
    self->failed = realloc(self->failed, (self->failed_count + 1) * sizeof *self->failed);
    assert(self->failed);
    self->failed[self->failed_count++] = number;
}

/* Nothing more can be had over this connection; what is filled stays so. */
static void fail(struct backfill *self, const char *why)
{
    size_t gaps = 0;
    for (size_t i = 0; i < self->job_count; i++) {
        struct job *job = &self->jobs[i];
        const struct gap_entry *gap = ledger_find(self->options.ledger, job->number);
        if (!gap || job->state == ASKED_ALL || job->state == FAILED)
            continue;
        struct gap_entry noted = *gap;
        noted.troubles += TROUBLE_ERROR;
        if (noted.troubles >= MAX_TROUBLES)
            noted.result = noted.recovered > 0 ? GAP_PARTLY : GAP_UNRECOVERABLE;
        ledger_fill(self->options.ledger, &noted);
        note_failed(self, job->number);
        job->state = FAILED;
        gaps++;
    }
    fill_say(self, true, "%zu gaps cannot be filled from Home Assistant's history now: %s", gaps, why);
    self->job = NULL;
    self->next = 0;
    self->phase = FINISHING;
}

/* --- what there is ------------------------------------------------------------------------- */

/* Known to be asked for, whether Home Assistant has it or not. */
static void add_requested(struct backfill *self)
{
    for (size_t i = 0; i < self->job_count; i++) {
        const struct gap_entry *gap = ledger_find(self->options.ledger, self->jobs[i].number);
        for (const char *at = gap ? gap->entity_id : NULL; at && *at;) {
            size_t size = strcspn(at, ",");
            snapshot_stored(self->snapshot, (struct slice){ at, size }, (struct slice){ NULL, 0 }, 0);
            at += size + (at[size] == ',');
        }
    }
}

static void begin_asking(struct backfill *self)
{
    add_requested(self);
    snapshot_close(self->snapshot);
    self->next = 0;
    self->phase = CHOOSING;
}

static int64_t read_states(struct backfill *self)
{
    const char *why = "";
    int more = snapshot_step(self->snapshot, STEP_STATES, &why);
    if (more > 0)
        return 0;
    if (more < 0) {
        fail(self, why);
        return 0;
    }
    if (snapshot_count(self->snapshot) == 0)
        fail(self, "get_states gives no states");
    else if (self->is_recovering || self->is_first)
        begin_asking(self); /* then everything would look like removed, or nothing can be */
    else
        self->phase = MARKING;
    return 0;
}

/* Only what is stored can be compared: all that came before the states did. */
static int64_t settle(struct backfill *self)
{
    if (self->phase == MARKING) {
        self->mark = self->hooks.mark(self->owner);
        if (self->mark < 0)
            return BEHIND_US;
        self->phase = SETTLING;
    }
    if (!self->hooks.is_settled(self->owner, self->mark))
        return BEHIND_US;
    self->phase = STORE_WAITS;
    self->wait_until_us = self->clock_us;
    return 0;
}

static int64_t ask_store(struct backfill *self)
{
    if (self->clock_us < self->wait_until_us)
        return self->wait_until_us - self->clock_us;
    self->phase = STORE_ASKED;
    if (self->hooks.ask_store(self->owner, self->cursor))
        backfill_stored_end(self, false, "");
    return SECOND_US;
}

void backfill_stored(backfill_t *self, struct slice entity_id, struct slice state, int64_t at_us)
{
    if (self->phase == STORE_ASKED)
        snapshot_stored(self->snapshot, entity_id, state, at_us);
}

void backfill_stored_end(backfill_t *self, bool success, const char *cursor)
{
    if (self->phase != STORE_ASKED)
        return;
    self->phase = STORE_WAITS;
    if (success && *cursor) {
        snprintf(self->cursor, sizeof self->cursor, "%s", cursor);
    } else if (!success && ++self->store_tries < STORE_TRIES) {
        self->wait_until_us = self->clock_us + STORE_RETRY_US;
    } else {
        self->is_compared = success;
        if (!success)
            fill_say(self, true, "the store cannot be asked which entities it knows: removals are not looked for");
        begin_asking(self);
    }
}

/* --- trouble with a question ------------------------------------------------------------------ */

void fill_try_fewer(struct backfill *self, const char *why)
{
    made_clear(&self->made);
    self->is_made = false;
    self->phase = CHOOSING;
    if (self->asked_count > 1) {
        self->batch = self->asked_count / 2;
        size_t first = self->asked[0];
        if (self->is_witnessing)
            self->next = first;
        else
            self->slice.next = first;
        return;
    }
    struct seen_entity *entity = snapshot_at(self->snapshot, self->asked[0]);
    entity->is_refused = true;
    fill_say(self, true, "the history of %s cannot be read: %s", entity->id, why);
    if (++self->refused > MAX_REFUSED)
        fail(self, why);
}

static void shorten(struct backfill *self)
{
    self->slice_us = later(self->slice_us / 2, SLICE_MIN_US);
}

/* An error that will be the same for whatever is asked. */
static bool is_final(struct slice error)
{
    return memmem(error.data ? error.data : "", error.size, "\"unknown_command\"", 17)
        || memmem(error.data ? error.data : "", error.size, "\"unauthorized\"", 14);
}

static void refused(struct backfill *self, struct slice error)
{
    static const char *const keys[] = { "message" };
    struct json_value root, message;
    struct slice text;
    const char *why = "";
    char told[200] = "it answers with an error";
    if (error.size > 0 && json_read(self->json, error, &root, &why) == 0 && json_pick(self->json, root.raw, keys, 1, &message) == 0
        && json_text(self->json, message, &text))
        snprintf(told, sizeof told, "%.*s", (int)(text.size < 190 ? text.size : 190), (const char *)text.data);
    if (self->phase != HISTORY_ASKED || is_final(error))
        fail(self, told);
    else
        fill_try_fewer(self, told);
}

/* --- answers ----------------------------------------------------------------------------------- */

static void on_config(struct backfill *self, bool success, struct slice result)
{
    static const char *const keys[] = { "state", "recovery_mode", "safe_mode" };
    struct json_value root, part[3] = { { JSON_NOTHING, { NULL, 0 } } };
    const char *why;
    self->phase = IDLE;
    bool is_read = success && json_read(self->json, result, &root, &why) == 0 && root.kind == JSON_OBJECT
        && json_pick(self->json, root.raw, keys, 3, part) == 0;
    self->is_recovering = is_read && part[1].kind == JSON_TRUE;
    static const char running[] = "\"RUNNING\"";
    bool is_running = part[0].raw.size == sizeof running - 1 && memcmp(part[0].raw.data, running, sizeof running - 1) == 0;
    self->hooks.starting(self->owner, is_read && part[0].kind == JSON_TEXT && !is_running);
}

static void on_states(struct backfill *self, struct slice result)
{
    const char *why = "";
    self->snapshot_us = self->answered_us = self->now_us;
    self->witness_from_us = self->clock_us;
    self->phase = STATES_READ;
    if (snapshot_take(self->snapshot, result, &why))
        fail(self, why);
}

static void on_history(struct backfill *self, struct slice result)
{
    const char *why = "";
    int64_t took_us = self->clock_us - self->asked_us;
    self->slice.is_heavy |= result.size > LARGE_BYTES || took_us > SLOW_US;
    self->answered_us = self->now_us;
    self->made_of = FROM_BACKFILL;
    self->wait_until_us = self->clock_us + took_us; /* as long as it had to work, it rests */
    self->phase = HISTORY_READ;
    if (history_take(self->history, result, self->question_from_us, &why))
        fill_try_fewer(self, why);
}

void backfill_answered(backfill_t *self, int64_t tag, bool success, struct slice result, struct slice error, int64_t clock_us, int64_t now_us)
{
    if (tag != self->tag)
        return;
    self->clock_us = clock_us;
    self->now_us = now_us;
    if (self->phase == CONFIG_ASKED)
        on_config(self, success, result);
    else if (self->phase != STATES_ASKED && self->phase != HISTORY_ASKED)
        return;
    else if (!success)
        refused(self, error);
    else if (self->phase == STATES_ASKED)
        on_states(self, result);
    else
        on_history(self, result);
}

void backfill_unanswered(backfill_t *self, int64_t tag)
{
    if (tag != self->tag)
        return;
    if (self->phase == CONFIG_ASKED) {
        on_config(self, false, (struct slice){ NULL, 0 });
    } else if (self->phase == STATES_ASKED) {
        fail(self, "get_states is not answered");
    } else if (self->phase == HISTORY_ASKED) {
        shorten(self);
        fill_try_fewer(self, "no answer in time");
    }
}


/* --- time ------------------------------------------------------------------------------------------ */

void backfill_live(backfill_t *self, int64_t clock_us, int64_t now_us)
{
    fill_forget(self);
    self->live_us = self->clock_us = clock_us;
    self->live_at_us = now_us;
    self->failed_count = 0;
    self->is_recovering = false;
    if (!fill_ask(self, slice_of("{\"type\":\"get_config\"}"), CONFIG_ASKED))
        self->phase = IDLE;
}

/* A question that may be what cost the connection is not asked for ever. */
void backfill_lost(backfill_t *self)
{
    const struct gap_entry *gap = self->job && self->phase == HISTORY_ASKED ? ledger_find(self->options.ledger, self->job->number) : NULL;
    if (gap) {
        struct gap_entry noted = *gap;
        noted.troubles += TROUBLE_LOST;
        if (noted.troubles >= MAX_TROUBLES)
            noted.result = noted.recovered > 0 ? GAP_PARTLY : GAP_UNRECOVERABLE;
        ledger_fill(self->options.ledger, &noted);
        shorten(self);
    }
    fill_forget(self);
    self->phase = AWAY;
}

int64_t backfill_snapshot_us(const backfill_t *self)
{
    return self->snapshot_us;
}

static int64_t step(struct backfill *self)
{
    switch (self->phase) {
    case IDLE: return self->options.is_on ? begin_run(self) : SECOND_US;
    case STATES_READ: return read_states(self);
    case MARKING:
    case SETTLING: return settle(self);
    case STORE_WAITS: return ask_store(self);
    case CHOOSING: return fill_choose(self);
    case HISTORY_READ: return fill_read(self);
    case FINISHING: return fill_finish(self);
    case PAUSED:
        if (self->clock_us < self->wait_until_us)
            return self->wait_until_us - self->clock_us;
        self->phase = CHOOSING;
        return 0;
    default: return SECOND_US; /* an answer is awaited */
    }
}

int64_t backfill_tick(backfill_t *self, int64_t clock_us, int64_t now_us)
{
    self->clock_us = clock_us;
    self->now_us = now_us;
    return step(self);
}
