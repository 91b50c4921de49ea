/* asks.c - what monitor asks of others: the terms of the sum, the gaps, a canary. */
#include "monitor.h"

#include <string.h>

enum { ASK_MS = 3000, FIRE_MS = 10000, GAPS_EVERY_S = 300, GAPS_SOON_S = 2 };

struct moment moment_of(const struct self *self)
{
    return (struct moment){ .now_us = actor_now_us(self->actor), .clock_us = actor_clock_us(self->actor) };
}

/* --- the sum: sink, ingest, sink ------------------------------------------------------------------- */

static bool read_settled(struct self *self, const struct answer *answer, struct settled_row *to)
{
    struct slice rest = answer->rows, one;
    struct settled_row row;
    struct fault fault;
    bool found = false;
    while (frame_next(&rest, &one) && settled_row_decode(one, &row, &fault) == 0) {
        if (strcmp(row.source, "import") == 0)
            self->imported = row;
        else
            *to = row, found = true;
    }
    return found;
}

static void note_progress(struct self *self)
{
    int64_t progress = settled_sum(&self->sums.after) + self->sums.after.redelivered;
    if (progress != self->progress || self->sums.received.in_flight == 0)
        self->settled_us = actor_clock_us(self->actor);
    self->progress = progress;
}

/* What monitor knows of a sum that was, it needs after a start to see that a total has fallen. */
static void save_sums(struct self *self, int64_t excess_before)
{
    if (!self->file || (self->sums.excess == excess_before && self->stats.sums % 30))
        return;
    file_save_number(self->file, "excess", self->sums.excess);
    file_save_number(self->file, "received", self->sums.received.received);
    file_save_number(self->file, "settled", settled_sum(&self->sums.after));
}

static void on_after(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    (void)tag, (void)end;
    struct settled_row after;
    self->is_summing = false;
    if (answer->verdict != OK || !read_settled(self, answer, &after))
        return;
    int64_t excess = self->sums.excess;
    struct ingest_totals received = self->sums.asked;
    SET(&self->stats, sum_missing, sums_close(&self->sums, &received, &after, actor_now_us(actor)));
    self->stats.sums++;
    note_progress(self);
    save_sums(self, excess);
}

static void on_received(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct ingest_totals *totals)
{
    (void)tag;
    struct nothing nothing = { 0 };
    if (answer->verdict == OK)
        self->sums.asked = *totals;
    if (answer->verdict != OK || ask_sink_settled(actor, &nothing, ASK_MS, on_after, 0))
        self->is_summing = false;
}

static void on_before(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    (void)tag, (void)end;
    struct nothing nothing = { 0 };
    if (answer->verdict != OK || !read_settled(self, answer, &self->sums.before) || ask_ingest_totals(actor, &nothing, ASK_MS, on_received, 0))
        self->is_summing = false;
}

void ask_sums(struct self *self)
{
    struct nothing nothing = { 0 };
    if (!self->is_connected || self->is_summing)
        return;
    self->is_summing = ask_sink_settled(self->actor, &nothing, ASK_MS, on_before, 0) == 0;
}

/* --- gaps -------------------------------------------------------------------------------------------- */

static void on_gaps(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    (void)actor, (void)tag, (void)end;
    struct slice rest = answer->rows, one;
    struct gap gap;
    struct fault fault;
    if (answer->verdict != OK)
        return;
    self->gap_count = 0;
    while (frame_next(&rest, &one) && gap_decode(one, &gap, &fault) == 0) {
        if (self->gap_count == GAPS_MAX) /* the newest ones */
            memmove(self->gaps, self->gaps + 1, --self->gap_count * sizeof *self->gaps);
        struct known_gap *to = &self->gaps[self->gap_count++];
        *to = (struct known_gap){ .start_us = gap.start, .end_us = gap.has_end ? gap.end : 0 };
        memcpy(to->id, gap.id, sizeof to->id);
        memcpy(to->cause, gap.cause, sizeof to->cause);
        memcpy(to->state, gap.state, sizeof to->state);
    }
}

void ask_gaps(struct self *self)
{
    struct gaps_query query = { 0 };
    int64_t clock_us = actor_clock_us(self->actor), age_us = clock_us - self->gaps_us;
    bool is_filling = false;
    for (size_t i = 0; i < self->gap_count; i++)
        is_filling |= self->gaps[i].end_us == 0 || strcmp(self->gaps[i].state, "filling") == 0;
    if (!self->is_connected || (self->gaps_us && age_us < (is_filling ? GAPS_SOON_S : GAPS_EVERY_S) * SECOND_US))
        return;
    SET(&query, start_time, actor_now_us(self->actor) - 86400 * SECOND_US);
    if (ask_ingest_gaps(self->actor, &query, ASK_MS, on_gaps, 0) == 0)
        self->gaps_us = clock_us;
}

/* --- canaries ------------------------------------------------------------------------------------------ */

static void send_edge(struct self *self);

/* Without ingest nothing went in, and its silence is told by its own rule. If it takes none, or does not say, that is told here. */
static void on_taken(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct again_reply *reply)
{
    (void)actor, (void)tag, (void)reply;
    struct canary *canary = &self->canaries.of[WAY_EDGE];
    canary->is_accepted = answer->verdict == OK;
    if (answer->verdict == NO_OWNER)
        canary->sent_us = 0;
}

/* The id of the context that Home Assistant gave the event: {"context":{"id":...}}. */
static void read_context(struct self *self, struct slice result, struct canary *canary)
{
    struct json_value root;
    struct slice text;
    const char *why;
    if (json_read(self->json, result, &root, &why) || !json_text(self->json, json_at(self->json, root.raw, "context.id"), &text)
            || text.size >= sizeof canary->context)
        return;
    memcpy(canary->context, text.data, text.size);
    canary->context[text.size] = '\0';
}

/* Nobody takes it on this way: that is told by other rules. What he does not answer may be in. */
static void on_fired(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct ha_result *result)
{
    (void)actor, (void)tag;
    struct canary *canary = &self->canaries.of[WAY_HOME];
    bool is_away = answer->verdict != OK && answer->verdict != TOO_LATE;
    bool is_refused = answer->verdict == OK && !result->success;
    canary->is_accepted = answer->verdict == OK && result->success;
    if (canary->is_accepted && result->has_result)
        read_context(self, result->result, canary);
    if (is_refused)
        self->canaries.refused_session = result->session;
    if (is_refused || is_away)
        canary->sent_us = 0;
    if (!canary->is_accepted)
        send_edge(self);
}

static void send_edge(struct self *self)
{
    struct canary *canary = &self->canaries.of[WAY_EDGE];
    struct again_query query = { 0 };
    if (canary->sent_us && !canary->is_late)
        return;
    canary_begin(&self->canaries, WAY_EDGE, actor_now_us(self->actor), actor_clock_us(self->actor));
    msgpack_sbuffer_clear(&self->bytes);
    canary_frame(canary, actor_now_us(self->actor), &self->bytes);
    SET(&query, bytes, (struct slice){ self->bytes.data, self->bytes.size });
    self->stats.canaries++;
    (void)ask_ingest_again(self->actor, &query, FIRE_MS, on_taken, 0);
}

static void send_home(struct self *self)
{
    struct canary *canary = &self->canaries.of[WAY_HOME];
    struct ha_command query = { 0 };
    if (canary->sent_us && !canary->is_late)
        return;
    canary_begin(&self->canaries, WAY_HOME, actor_now_us(self->actor), actor_clock_us(self->actor));
    msgpack_sbuffer_clear(&self->bytes);
    canary_command(canary, &self->bytes);
    SET(&query, command, (struct slice){ self->bytes.data, self->bytes.size });
    self->stats.canaries++;
    self->stats.canaries_home++;
    (void)ask_ingest_ask(self->actor, &query, FIRE_MS, on_fired, 0);
}

static bool is_home_way(const struct self *self)
{
    return strcmp(self->config.canary, "home") == 0 && is_home_live(self) && self->canaries.refused_session != self->session.session;
}

static void send_due(struct self *self)
{
    struct canaries *c = &self->canaries;
    int64_t clock_us = actor_clock_us(self->actor);
    if (clock_us < c->next_us)
        return;
    c->next_us = clock_us + self->config.canary_s * SECOND_US;
    bool by_home = is_home_way(self);
    if (by_home)
        send_home(self);
    else
        c->missing_since_us[WAY_HOME] = c->of[WAY_HOME].sent_us = 0;
    if (!by_home || c->missing_since_us[WAY_HOME] || c->missing_since_us[WAY_EDGE])
        send_edge(self);
}

static bool has_canary(struct self *self, const struct answer *answer, const struct canary *canary)
{
    struct slice rest = answer->rows, one;
    struct fault fault;
    while (frame_next(&rest, &one) && event_full_decode(one, self->event, &fault) == 0)
        if (self->event->has_data && memmem(self->event->data.data, self->event->data.size, canary->id, strlen(canary->id)))
            return true;
    return false;
}

static void count_found(struct self *self, enum way way)
{
    struct canaries *c = &self->canaries;
    int64_t us;
    canary_found(c, way, actor_clock_us(self->actor));
    self->stats.canaries_found++;
    self->rhythm.canaries++;
    SET(&self->stats, canary_last_us, c->latency_us[(c->latencies - 1) % LATENCIES]);
    if (canary_percentile(c, 50, &us))
        SET(&self->stats, canary_p50_us, us);
    if (canary_percentile(c, 99, &us))
        SET(&self->stats, canary_p99_us, us);
}

static void on_found(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    (void)end;
    struct canary *canary = &self->canaries.of[tag];
    canary->is_asking = false;
    if (canary->sent_us == 0)
        return;
    if (answer->verdict == OK && has_canary(self, answer, canary))
        count_found(self, (enum way)tag);
    else
        canary_not_yet(canary, actor_clock_us(actor));
    actor_wake(actor, 0);
}

static void look_for(struct self *self, enum way way)
{
    struct canary *canary = &self->canaries.of[way];
    static struct events_query query; /* large, and all of it is set each time */
    if (canary->is_asking || actor_clock_us(self->actor) < canary->look_us)
        return;
    schema_clear(events_query_schema(), &query);
    SET_TEXT(&query, event_type, CANARY_TYPE, sizeof CANARY_TYPE - 1);
    if (*canary->context)
        SET_TEXT(&query, context_id, canary->context, strlen(canary->context));
    SET(&query, limit, 5);
    canary->is_asking = ask_events_find(self->actor, &query, ASK_MS, on_found, way) == 0;
    if (!canary->is_asking)
        canary_not_yet(canary, actor_clock_us(self->actor));
}

static void check_late(struct self *self, enum way way)
{
    struct canary *canary = &self->canaries.of[way];
    if (canary->is_late || actor_clock_us(self->actor) - canary->sent_us < self->config.canary_late_s * SECOND_US)
        return;
    canary->is_late = true;
    self->stats.canaries_missing++;
    if (self->canaries.missing_since_us[way] == 0)
        self->canaries.missing_since_us[way] = canary->sent_us;
}

void canary_step(struct self *self)
{
    if (strcmp(self->config.canary, "off") == 0)
        return;
    send_due(self);
    for (int way = 0; way < WAYS; way++) {
        if (self->canaries.of[way].sent_us == 0)
            continue;
        check_late(self, (enum way)way);
        look_for(self, (enum way)way);
    }
}

int64_t canary_due_us(const struct self *self)
{
    const struct canaries *c = &self->canaries;
    int64_t due_us = c->next_us;
    if (strcmp(self->config.canary, "off") == 0)
        return INT64_MAX;
    for (int way = 0; way < WAYS; way++)
        if (c->of[way].sent_us && !c->of[way].is_asking && c->of[way].look_us < due_us)
            due_us = c->of[way].look_us;
    return due_us;
}
