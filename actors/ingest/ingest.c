/* ingest.c - the one connection to Home Assistant: its life, and what is known of the time without it. */
#include "inside.h"
#include "view.h"
#include "websocket.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SESSION_MS 100          /* between two announcements of the connection's state */
#define WARN_US (60 * SECOND_US)

/* UTC of a moment up to which everything is known. */
static int64_t wall(struct self *self, int64_t known_us)
{
    wall_look(&self->wall, actor_clock_us(self->actor), actor_now_us(self->actor), known_us);
    return wall_at(&self->wall, known_us);
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
int64_t safe_until(const struct self *self)
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
    chain_flush(self); /* what was heard is in the log before the ledger says so */
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
    chain_flush(self);
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
        chain_flush(self); /* what came before the answer is in the log before what is made of it */
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
    .live = on_live, .lost = on_lost, .cause = on_cause, .frame = chain_frame, .answered = on_answered,
    .unanswered = on_unanswered, .failed = on_failed };

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
    self->home = home_new(&options, &wire_calls, self, &home_hooks, self, actor_clock_us(self->actor));
}

static int open_capture(struct self *self)
{
    const struct suite_config *suite = actor_suite(self->actor);
    char position[PATH_MAX];
    const char *why = "the data directory's path is too long";
    if (actor_path(self->actor, position, sizeof position, "capture/position") == 0) {
        *strrchr(position, '/') = '\0';
        struct capture_options options = { .directory = position, .segment_bytes = self->config.segment_bytes,
            .max_bytes = self->config.capture_max_bytes, .sync_us = suite->sync_ms * MS_US, .sync_aside = true, .on_loss = chain_lost,
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
    filler_open(self);
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
    asked_describe(self, &session);
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
    chain_retry(self);
    int64_t fill_us = backfill_tick(self->backfill, actor_clock_us(actor), actor_now_us(actor));
    due_us = fill_us < due_us ? fill_us : due_us;
    capture_tick(self->capture, actor_now_us(actor));
    chain_pump_calmly(self);
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
        chain_pump_calmly(self);
}

static void ingest_acked(struct self *self, actor_t *actor, const struct contract *topic, uint64_t first, uint64_t last)
{
    size_t which = topic == &event_raw_contract ? RAW : BAD;
    self->stats.acknowledged += capture_acked(self->capture, which, first, last, actor_now_us(actor));
    chain_pump_calmly(self);
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
    chain_pump(self, PUMP_EVENTS);
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

const struct actor_spec actor_spec = {
    .name = "ingest",
    .doc = "The one connection to Home Assistant: captures every event before handing it on",
    .state = sizeof(struct self),
    .config = SECTION(config, ingest_config),
    .stats = SECTION(stats, ingest_stats),
    .handlers = asked_handlers,
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
