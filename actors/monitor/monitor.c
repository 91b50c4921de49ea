/* monitor.c - watches the others: who lives, whether the sum holds, whether a canary comes out. */
#include "monitor.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { SETTLE_S = 5 }; /* a start of everything together is given so long before the first canary */

static int on_heartbeat(struct self *self, actor_t *actor, const struct heartbeat *said)
{
    (void)watch_hear(self->watch, said, actor_clock_us(actor));
    return OK;
}

static int on_session(struct self *self, actor_t *actor, const struct ingest_session *said)
{
    bool was_live = is_home_live(self), is_first = !self->has_session;
    self->session = *said;
    self->session.has_event_types = false; /* a slice that dies now */
    self->has_session = true;
    if (is_first || was_live != is_home_live(self))
        self->session_us = actor_clock_us(actor);
    return OK;
}

static void on_connected(struct self *self, actor_t *actor, bool up)
{
    if (up && !self->is_connected)
        watch_pardon(self->watch, actor_clock_us(actor));
    self->is_connected = up;
    actor_wake(actor, 0);
}

static void count(struct self *self)
{
    struct alerts_summary summary;
    int64_t failures;
    alerts_count(self->alerts, &summary);
    alerts_unsaved(self->alerts, &failures);
    SET(&self->stats, alerts_active, summary.total_active);
    SET(&self->stats, alerts_raised, alerts_raised(self->alerts));
    SET(&self->stats, save_failures, failures);
    self->stats.has_sums = self->stats.has_canaries = self->stats.has_canaries_home = true;
    self->stats.has_canaries_found = self->stats.has_canaries_missing = true;
}

static int tick(struct self *self, actor_t *actor)
{
    int64_t clock_us = actor_clock_us(actor), check_us = self->config.check_ms * 1000;
    canary_step(self);
    if (clock_us - self->checked_us >= check_us) {
        judge(self);
        ask_sums(self);
        ask_gaps(self);
        count(self);
    }
    int64_t due_us = self->checked_us + check_us, canary_us = canary_due_us(self);
    due_us = (canary_us < due_us ? canary_us : due_us) - clock_us;
    return due_us <= 0 ? 1 : (int)(due_us / 1000) + 1;
}

static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    int64_t failures;
    (void)actor;
    if (!alerts_unsaved(self->alerts, &failures))
        return HEALTHY;
    snprintf(why, size, "alerts cannot be kept on the disk: %s", self->file ? file_why(self->file) : "monitor.db cannot be opened");
    return DEGRADED;
}

/* --- life --------------------------------------------------------------------------------------------- */

static bool is_canary_word(const char *word)
{
    return strcmp(word, "home") == 0 || strcmp(word, "edge") == 0 || strcmp(word, "off") == 0;
}

/* Without its file it watches all the same. */
static void open_file(struct self *self, actor_t *actor)
{
    char path[PATH_MAX], why[200];
    if (actor_path(actor, path, sizeof path, "monitor.db"))
        return;
    self->file = file_open(path, why, sizeof why);
    if (!self->file)
        actor_error(actor, "monitor.db cannot be opened, alerts are not kept over a restart: %s", why);
    else if (why[0])
        actor_error(actor, "monitor.db was damaged and is begun anew, the old one is kept beside it: %s", why);
}

static void load_numbers(struct self *self)
{
    int64_t settled = 0;
    if (!self->file)
        return;
    file_load_rules(self->file, self->rules);
    file_load_number(self->file, "longest_silence_us", &self->rhythm.longest_us);
    self->sums.is_known = file_load_number(self->file, "excess", &self->sums.excess)
        && file_load_number(self->file, "received", &self->sums.received.received) && file_load_number(self->file, "settled", &settled);
    self->sums.after.stored = settled; /* only the sum of them counts here */
}

static int open_monitor(struct self *self, actor_t *actor)
{
    char path[PATH_MAX];
    self->actor = actor;
    self->pipe = -1;
    if (!is_canary_word(self->config.canary)) {
        actor_error(actor, "monitor.canary is none of home, edge, off");
        return 100;
    }
    rules_fill(self->rules);
    open_file(self, actor);
    load_numbers(self);
    self->json = json_new();
    self->event = malloc(sizeof *self->event);
    if (!self->event)
        return 111;
    self->alerts = alerts_new(self->rules, self->config.for_percent, self->file, moment_of(self));
    self->watch = watch_new(self->file, actor_clock_us(actor));
    if (actor_path(actor, path, sizeof path, "run/log.fifo") == 0)
        self->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (getrandom(&self->canaries.salt, sizeof self->canaries.salt, 0) != sizeof self->canaries.salt)
        self->canaries.salt = actor_now_us(actor);
    self->settled_us = self->piped_us = self->checked_us = actor_clock_us(actor);
    self->canaries.next_us = actor_clock_us(actor) + SETTLE_S * SECOND_US;
    self->gaps_number = -1;
    count(self);
    return 0;
}

static void close_monitor(struct self *self, actor_t *actor)
{
    (void)actor;
    alerts_destroy(&self->alerts);
    watch_destroy(&self->watch);
    file_close(&self->file);
    if (self->json)
        json_destroy(&self->json);
    free(self->event);
    for (size_t i = 0; i < SOURCES_MAX; i++)
        free(self->sources[i]);
    if (self->pipe >= 0)
        close(self->pipe);
    msgpack_sbuffer_destroy(&self->bytes);
    msgpack_sbuffer_destroy(&self->pool);
}

static const struct handler handlers[] = {
    ON(actor_heartbeat, on_heartbeat),
    ON(ingest_session, on_session),
    ON(source_status, on_source),
    ANSWER(monitor_sources, on_sources),
    ANSWER(monitor_alerts, on_alerts),
    ANSWER(monitor_active, on_active),
    ANSWER(monitor_alert, on_alert),
    ANSWER(monitor_acknowledge, on_acknowledge),
    ANSWER(monitor_resolve, on_resolve),
    ANSWER(monitor_summary, on_summary),
    ANSWER(monitor_rules, on_rules),
    ANSWER(monitor_rule_set, on_rule_set),
    ANSWER(monitor_conservation, on_conservation),
    ANSWER(monitor_logs, on_logs),
    ANSWER(monitor_log_counts, on_log_counts),
    { 0 },
};

const struct actor_spec actor_spec = {
    .name = "monitor",
    .doc = "Watches the others: heartbeats, conservation, canaries; alerts and logs",
    .state = sizeof(struct self),
    .config = SECTION(config, monitor_config),
    .stats = SECTION(stats, monitor_stats),
    .handlers = handlers,
    .open = open_monitor,
    .tick = tick,
    .connected = on_connected,
    .health = health,
    .close = close_monitor,
};
