/* import.c - reads a database of Home Assistant's recorder once, and sends what is in it down the chain. */
#include "actor.h"

#include "database.h"
#include "flight.h"
#include "record.h"
#include "recorded.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_ROWS = 512, PAGE_BYTES = 1024 * 1024, TELL_US = 1000000, LOG_US = 10000000, BUSY_MS = 100, LOCKED_US = 10000000, SYNC_US = 5000000 };

/* Beyond any place of the capture log: which database, which row, of which kind. */
#define PLACE_FIRST (INT64_C(1) << 60)
enum { PLACE_NUMBER = 44, PLACE_KIND = 2 };

enum topic { EVENT, STATISTIC, BAD };
static const struct contract *const topics[TOPICS] = { [EVENT] = &event_raw_contract, [STATISTIC] = &statistic_row_contract, [BAD] = &event_bad_contract };

struct self {
    struct import_config config;
    struct import_stats stats;
    struct import_status status;
    struct import_progress progress;
    struct record record;
    database_t *db;
    json_t *json;
    msgpack_sbuffer bytes;
    int64_t until[KINDS];            /* the last ids that are read */
    struct reach sent, safe;         /* safe: on the disk, as far as the suite promises that */
    struct reach noted;              /* acknowledged at noted_at: safe once the store has synced since */
    struct flights flights;
    bool has_noted, waits_for_sync, is_ended;
    int64_t noted_at, acked_at;      /* by the wall clock, as the sync's: when it was noted, and the last acknowledgement */
    int64_t told_us, told_rows, logged_us, busy_us, acked_us;
};

/* --- how it goes ---------------------------------------------------------------------------------- */

static int64_t left_of(const struct self *self, const struct reach *reach)
{
    int64_t left = 0;
    for (int kind = 0; kind < KINDS; kind++)
        left += self->until[kind] - reach->id[kind];
    return left;
}

static void set_counts(struct self *self)
{
    const struct reach *done = &self->flights.acked;
    struct import_status *s = &self->status;
    SET(s, states, done->rows[STATES]);
    SET(s, states_all, done->rows[STATES] + self->until[STATES] - done->id[STATES]);
    SET(s, events, done->rows[EVENTS]);
    SET(s, events_all, done->rows[EVENTS] + self->until[EVENTS] - done->id[EVENTS]);
    SET(s, statistics, done->rows[STATISTICS]);
    SET(s, statistics_all, done->rows[STATISTICS] + self->until[STATISTICS] - done->id[STATISTICS]);
    SET(s, short_term, done->rows[SHORT_TERM]);
    SET(s, short_term_all, done->rows[SHORT_TERM] + self->until[SHORT_TERM] - done->id[SHORT_TERM]);
    SET(s, skipped, done->skipped);
}

static void set_rate(struct self *self, int64_t elapsed_us)
{
    int64_t rows = reach_rows(&self->flights.acked), rate = (rows - self->told_rows) * 1000000 / elapsed_us;
    int64_t smooth = self->status.has_rows_per_s ? (self->status.rows_per_s * 3 + rate) / 4 : rate;
    SET(&self->status, rows_per_s, smooth);
    SET(&self->stats, rows_per_s, smooth);
    self->status.has_left_s = self->stats.has_left_s = smooth > 0;
    if (smooth > 0)
        self->status.left_s = self->stats.left_s = left_of(self, &self->flights.acked) / smooth;
    self->told_rows = rows;
}

static void set_text(struct self *self)
{
    char text[400], left[48] = "";
    struct import_status *s = &self->status;
    int64_t done = s->states + s->events + s->statistics + s->short_term, all = s->states_all + s->events_all + s->statistics_all + s->short_term_all;
    if (s->has_left_s)
        snprintf(left, sizeof left, ", %lld s left", (long long)s->left_s);
    int size = snprintf(text, sizeof text, "%lld of %lld rows (%lld states, %lld events, %lld statistics), %lld rows/s%s", (long long)done,
        (long long)all, (long long)s->states, (long long)s->events, (long long)(s->statistics + s->short_term), (long long)s->rows_per_s, left);
    SET_TEXT(s, text, text, (size_t)size);
}

static void write_status(struct self *self, actor_t *actor)
{
    SET(&self->status, at, actor_now_us(actor));
    if (small_file_save(self->record.status, import_status_schema(), &self->status))
        actor_warn(actor, "cannot write how the import goes: %s", strerror(errno));
}

static void set_state(struct self *self, const char *state, const char *text)
{
    SET_TEXT(&self->status, state, state, strlen(state));
    SET_TEXT(&self->status, text, text, strnlen(text, sizeof self->status.text - 1));
}

static void write_progress(struct self *self, actor_t *actor)
{
    progress_set(&self->progress, &self->safe, self->until);
    if (small_file_save(self->record.progress, import_progress_schema(), &self->progress))
        actor_warn(actor, "cannot write how far the import is: %s", strerror(errno));
}

/* Once a second into the files, now and then into the log. */
static void tell(struct self *self, actor_t *actor)
{
    int64_t now = actor_clock_us(actor);
    if (now - self->told_us < TELL_US)
        return;
    set_counts(self);
    set_rate(self, now - self->told_us);
    self->told_us = now;
    set_text(self);
    write_progress(self, actor);
    write_status(self, actor);
    if (now - self->logged_us < LOG_US)
        return;
    self->logged_us = now;
    actor_info(actor, "%s", self->status.text);
}

/* --- the end --------------------------------------------------------------------------------------- */

/* The request goes after the status: whoever asks in between is told what is true. */
static int fail(struct self *self, actor_t *actor, const char *why)
{
    char text[sizeof self->status.text];
    snprintf(text, sizeof text, "%.100s cannot be imported: %s", self->status.path, why);
    actor_error(actor, "%s cannot be imported: %s", self->status.path, why);
    set_state(self, "failed", text);
    SET(&self->status, ended_at, actor_now_us(actor));
    self->status.has_left_s = false;
    write_status(self, actor);
    unlink(self->record.request);
    self->is_ended = true;
    return 100;
}

static void finish(struct self *self, actor_t *actor)
{
    char text[sizeof self->status.text];
    struct import_status *s = &self->status;
    set_counts(self);
    int64_t ms = (actor_now_us(actor) - self->progress.started_at) / 1000;
    snprintf(text, sizeof text, "done: %lld states, %lld events, %lld statistics in %lld.%03lld s", (long long)s->states, (long long)s->events,
        (long long)(s->statistics + s->short_term), (long long)(ms / 1000), (long long)(ms % 1000));
    set_state(self, "done", text);
    SET(s, ended_at, actor_now_us(actor));
    s->has_left_s = s->has_rows_per_s = false;
    write_status(self, actor);
    unlink(self->record.request);
    self->safe = self->flights.acked;
    SET(&self->progress, ended, true);
    write_progress(self, actor);
    actor_info(actor, "%s: %s", s->path, text);
    self->is_ended = true;
    actor_stop(actor, 0);
}

/* --- what is safe ------------------------------------------------------------------------------------ */

/* Acknowledged means committed; where power is cut before the next sync it is gone, and must be
 * read again. */
static void note(struct self *self, actor_t *actor)
{
    if (!self->waits_for_sync) {
        self->safe = self->flights.acked;
    } else if (!self->has_noted) {
        self->noted = self->flights.acked;
        self->noted_at = actor_now_us(actor);
        self->has_noted = true;
    }
}

static int on_synced(struct self *self, actor_t *actor, const struct store_synced *synced)
{
    if (self->has_noted && synced->at > self->noted_at) {
        self->safe = synced->at > self->acked_at ? self->flights.acked : self->noted;
        self->has_noted = false;
        note(self, actor);
        actor_wake(actor, 0);
    }
    return OK;
}

static void on_acked(struct self *self, actor_t *actor, const struct contract *contract, uint64_t first, uint64_t last)
{
    for (int topic = 0; topic < TOPICS; topic++)
        if (topics[topic] == contract)
            flights_acked(&self->flights, topic, first, last);
    self->stats.acknowledged += (int64_t)(last - first + 1);
    self->acked_us = actor_clock_us(actor);
    self->acked_at = actor_now_us(actor);
    note(self, actor);
    actor_wake(actor, 0);
}

static bool is_all_safe(const struct self *self)
{
    return memcmp(&self->safe, &self->flights.acked, sizeof self->safe) == 0;
}

/* A store that was killed after its commit has nothing to sync any more, and does not say so: it
 * is not waited for long. */
static bool is_done(const struct self *self, actor_t *actor)
{
    return left_of(self, &self->sent) == 0 && self->flights.count == 0
        && (is_all_safe(self) || actor_clock_us(actor) - self->acked_us > SYNC_US);
}

/* --- rows ---------------------------------------------------------------------------------------------- */

static int64_t place_of(const struct self *self, enum table kind, int64_t id)
{
    int64_t room = (INT64_C(1) << (PLACE_NUMBER - PLACE_KIND)) - 1;
    return PLACE_FIRST | self->progress.number << PLACE_NUMBER | (id & room) << PLACE_KIND | (int64_t)kind;
}

static int publish_event(struct self *self, actor_t *actor, enum table kind, row_t *row)
{
    struct event_raw raw;
    schema_clear(event_raw_schema(), &raw);
    if (kind == STATES)
        recorded_state(row, self->json, &self->bytes);
    else
        recorded_event(row, self->json, &self->bytes);
    SET(&raw, event, (struct slice){ self->bytes.data, self->bytes.size });
    SET(&raw, place, place_of(self, kind, recorded_id(row)));
    SET(&raw, received_at, actor_now_us(actor));
    SET(&raw, session, 0);
    SET_TEXT(&raw, provenance, "import", 6);
    self->stats.events++;
    return publish_event_raw(actor, &raw);
}

static int publish_refused(struct self *self, actor_t *actor, enum table kind, row_t *row, const struct fault *fault)
{
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    recorded_show(row, &self->bytes);
    SET(&bad, bytes, (struct slice){ self->bytes.data, self->bytes.size });
    SET_TEXT(&bad, stage, "import", 6);
    SET_TEXT(&bad, field, fault->field, strlen(fault->field));
    SET_TEXT(&bad, why, fault->why, strlen(fault->why));
    SET(&bad, place, place_of(self, kind, recorded_id(row)));
    SET_TEXT(&bad, provenance, "import", 6);
    SET(&bad, received_at, actor_now_us(actor));
    self->stats.quarantined++;
    return publish_event_bad(actor, &bad);
}

static int publish_statistic(struct self *self, actor_t *actor, enum table kind, row_t *row)
{
    struct statistic_row statistic;
    struct fault fault;
    if (recorded_statistic(row, kind, &statistic, &fault))
        return publish_refused(self, actor, kind, row, &fault);
    SET(&statistic, place, place_of(self, kind, recorded_id(row)));
    SET(&statistic, received_at, actor_now_us(actor));
    self->stats.statistics++;
    return publish_statistic_row(actor, &statistic);
}

/* Whatever it says, it never comes again. */
static void take_row(struct self *self, actor_t *actor, enum table kind, size_t *bytes)
{
    row_t *row = page_row(self->db, kind);
    msgpack_sbuffer_clear(&self->bytes);
    int rc = kind <= EVENTS ? publish_event(self, actor, kind, row) : publish_statistic(self, actor, kind, row);
    self->stats.received++;
    self->stats.published += rc == 0;
    self->stats.skipped += rc != 0;
    self->sent.skipped += rc != 0;
    self->sent.id[kind] = recorded_id(row);
    self->sent.rows[kind]++;
    *bytes += self->bytes.size;
}

static enum step skip_row(struct self *self, actor_t *actor, enum table kind)
{
    int64_t id = database_large(self->db);
    actor_warn(actor, "row %lld is larger than %d bytes and is left out", (long long)id, ROW_BYTES_MAX);
    self->stats.received++;
    self->stats.skipped++;
    self->sent.skipped++;
    self->sent.rows[kind]++;
    self->sent.id[kind] = id;
    return page_begin(self->db, kind, id, self->until[kind]);
}

/* Of two kinds read side by side the one whose row is earlier; KINDS: there is no row. */
static enum table pick(struct self *self, const enum step steps[KINDS])
{
    if (steps[STATES] == STEP_ROW && steps[EVENTS] == STEP_ROW)
        return recorded_seconds(page_row(self->db, STATES)) <= recorded_seconds(page_row(self->db, EVENTS)) ? STATES : EVENTS;
    for (enum table kind = 0; kind < KINDS; kind++)
        if (steps[kind] == STEP_ROW)
            return kind;
    return KINDS;
}

/* What is read now: states and events side by side, then statistics, then those of five minutes. */
static bool is_turn(const struct self *self, enum table kind)
{
    bool events_left = self->sent.id[STATES] < self->until[STATES] || self->sent.id[EVENTS] < self->until[EVENTS];
    if (kind <= EVENTS || events_left)
        return kind <= EVENTS && events_left;
    return kind == STATISTICS ? self->sent.id[kind] < self->until[kind] : self->sent.id[STATISTICS] >= self->until[STATISTICS];
}

/* One moment of the database, a few milliseconds long. */
static enum step read_rows(struct self *self, actor_t *actor, size_t rows)
{
    enum step steps[KINDS];
    bool turn[KINDS];
    size_t bytes = 0;
    for (enum table kind = 0; kind < KINDS; kind++)
        turn[kind] = is_turn(self, kind);
    for (enum table kind = 0; kind < KINDS; kind++)
        steps[kind] = !turn[kind] ? STEP_END : page_begin(self->db, kind, self->sent.id[kind], self->until[kind]);
    for (enum table next; rows > 0 && bytes < PAGE_BYTES;) {
        for (enum table kind = 0; kind < KINDS; kind++) {
            while (steps[kind] == STEP_LARGE)
                steps[kind] = skip_row(self, actor, kind);
            if (steps[kind] == STEP_BUSY || steps[kind] == STEP_BROKEN)
                return steps[kind];
            if (steps[kind] == STEP_END && turn[kind])
                self->sent.id[kind] = self->until[kind];
        }
        if ((next = pick(self, steps)) == KINDS)
            return STEP_END;
        take_row(self, actor, next, &bytes);
        steps[next] = page_next(self->db, next);
        rows--;
    }
    return STEP_ROW;
}

static size_t room(const struct self *self, actor_t *actor)
{
    size_t least = PAGE_ROWS, flying = (size_t)(self->stats.published - self->stats.acknowledged);
    size_t own = flying < (size_t)self->config.in_flight ? (size_t)self->config.in_flight - flying : 0;
    for (int topic = 0; topic < TOPICS; topic++)
        if (actor_room(actor, topics[topic]) < least)
            least = actor_room(actor, topics[topic]);
    return own < least ? own : least;
}

static enum step read_page(struct self *self, actor_t *actor, size_t rows)
{
    struct flight flight;
    for (int topic = 0; topic < TOPICS; topic++)
        flight.from[topic] = actor_published(actor, topics[topic]) + 1;
    enum step step = database_follow(self->db) ? STEP_BROKEN : read_rows(self, actor, rows);
    page_end(self->db);
    for (int topic = 0; topic < TOPICS; topic++)
        flight.to[topic] = actor_published(actor, topics[topic]) + 1;
    flight.reach = self->sent;
    flights_add(&self->flights, &flight);
    return step;
}

/* --- time ------------------------------------------------------------------------------------------------ */

static int read_on(struct self *self, actor_t *actor)
{
    size_t rows = room(self, actor);
    if (left_of(self, &self->sent) == 0 || flights_full(&self->flights) || rows == 0)
        return (int)(TELL_US / 1000);
    enum step step = read_page(self, actor, rows);
    if (step == STEP_BROKEN) {
        actor_stop(actor, fail(self, actor, database_why(self->db)));
        return -1;
    }
    if (step != STEP_BUSY)
        self->busy_us = 0;
    else if (self->busy_us == 0)
        self->busy_us = actor_clock_us(actor);
    return step == STEP_BUSY ? BUSY_MS : 0;
}

static int tick(struct self *self, actor_t *actor)
{
    if (self->is_ended)
        return -1;
    int ms = read_on(self, actor);
    if (self->is_ended)
        return -1;
    note(self, actor);
    if (is_done(self, actor)) {
        finish(self, actor);
        return -1;
    }
    tell(self, actor);
    return ms;
}

static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    if (self->busy_us == 0 || actor_clock_us(actor) - self->busy_us < LOCKED_US)
        return HEALTHY;
    snprintf(why, size, "%.150s is locked by who writes it", self->status.path);
    return DEGRADED;
}

/* --- life ------------------------------------------------------------------------------------------------ */

static void show_counters(struct self *self)
{
    struct import_stats *s = &self->stats;
    s->has_received = s->has_published = s->has_acknowledged = s->has_events = s->has_statistics = s->has_quarantined = s->has_skipped = true;
}

/* Up to what is there now: what comes later, comes live. */
static int begin(struct self *self, actor_t *actor)
{
    int64_t first[KINDS];
    for (enum table kind = 0; kind < KINDS; kind++)
        if (database_ends(self->db, kind, &first[kind], &self->until[kind]))
            return fail(self, actor, database_why(self->db));
    record_progress(&self->record, actor, self->status.path, database_began(self->db), &self->progress);
    progress_reach(&self->progress, &self->sent);
    bool goes_on = self->progress.has_state_id;
    for (enum table kind = 0; kind < KINDS; kind++) {
        if (!goes_on || self->sent.id[kind] < first[kind] - 1)
            self->sent.id[kind] = first[kind] - 1; /* what has been purged since does not come again */
        if (self->until[kind] < self->sent.id[kind])
            self->until[kind] = self->sent.id[kind];
    }
    self->flights.acked = self->safe = self->sent;
    self->told_rows = reach_rows(&self->sent);
    SET(&self->status, schema_version, database_schema(self->db));
    SET(&self->status, started_at, self->progress.started_at);
    actor_info(actor, "%s %s: schema %lld, %lld rows at most", goes_on ? "going on with" : "importing", self->status.path,
        (long long)database_schema(self->db), (long long)left_of(self, &self->sent));
    return 0;
}

static int open_import(struct self *self, actor_t *actor)
{
    char path[sizeof self->status.path], why[300];
    msgpack_sbuffer_init(&self->bytes);
    self->json = json_new();
    self->is_ended = true; /* until it has begun */
    if (record_open(&self->record, actor) || record_request(&self->record, path, sizeof path)) {
        actor_error(actor, "nothing to import: %s has no path", self->record.request);
        return 100;
    }
    self->waits_for_sync = strcmp(actor_suite(actor)->sync, "interval") == 0;
    self->told_us = self->logged_us = self->acked_us = actor_clock_us(actor);
    show_counters(self);
    SET_TEXT(&self->status, path, path, strlen(path));
    set_state(self, "running", "is about to begin");
    write_status(self, actor);
    self->db = database_open(path, (size_t)self->config.cache_bytes, why, sizeof why);
    if (!self->db)
        return fail(self, actor, why);
    int rc = begin(self, actor);
    self->is_ended = rc != 0;
    return rc;
}

static void close_import(struct self *self, actor_t *actor)
{
    if (!self->is_ended) {
        set_counts(self);
        set_text(self);
        set_state(self, "stopped", "stopped; it goes on when the suite is started again");
        write_progress(self, actor);
        write_status(self, actor);
    }
    database_close(&self->db);
    json_destroy(&self->json);
    msgpack_sbuffer_destroy(&self->bytes);
}

static const struct handler handlers[] = {
    ON(store_synced, on_synced),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "import",
    .doc      = "Reads a database of Home Assistant's recorder once and sends it down the chain",
    .state    = sizeof(struct self),
    .config   = SECTION(config, import_config),
    .stats    = SECTION(stats, import_stats),
    .handlers = handlers,
    .open     = open_import,
    .tick     = tick,
    .acked    = on_acked,
    .health   = health,
    .close    = close_import,
};
