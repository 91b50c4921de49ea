/* judge.c - every condition that there is a rule for, looked at together. */
#include "monitor.h"
#include "event_id.h"
#include "off.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

enum { QUIET_S = 900, TEN_MINUTES_S = 600, HOUR_S = 3600, RHYTHM_DAYS = 14 };
#define DAY_US (86400 * SECOND_US)

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

static int64_t clock_of(const struct self *self)
{
    return actor_clock_us(self->actor);
}

bool is_home_live(const struct self *self)
{
    return self->has_session && strcmp(self->session.state, "live") == 0;
}

/* --- processes --------------------------------------------------------------------------------- */

static bool is_silent(const struct self *self, const struct process *p)
{
    double limit_s = alerts_threshold(self->alerts, ACTOR_SILENT), beats_s = (double)p->every_ms * 2.5 / 1000;
    return seconds(clock_of(self) - p->heard_us) > (limit_s > beats_s ? limit_s : beats_s);
}

static bool is_broker(const struct process *p)
{
    return strcmp(p->actor, "broker") == 0;
}

/* Without the broker nobody is heard: then it is the broker alone that is missed. */
static bool is_deaf(struct self *self)
{
    for (struct process *p = watch_first(self->watch); p; p = watch_next(self->watch))
        if (is_broker(p) && is_silent(self, p))
            return true;
    return !self->is_connected;
}

static void judge_words(struct self *self, const struct process *p)
{
    bool is_starting = strcmp(p->status, "starting") == 0;
    if (strcmp(p->status, "unhealthy") == 0)
        alerts_see(self->alerts, ACTOR_UNHEALTHY, p->name, p->actor, NAN, "%s: %s", p->name, p->why);
    else if (is_starting || (strcmp(p->status, "degraded") == 0 && is_home_live(self)))
        alerts_see(self->alerts, ACTOR_DEGRADED, p->name, p->actor, NAN, "%s is %s%s%s", p->name, p->status, *p->why ? ": " : "", p->why);
}

static void judge_process(struct self *self, const struct process *p)
{
    int64_t silent_us = clock_of(self) - p->heard_us;
    int starts = watch_starts(p, clock_of(self) - alerts_span_us(self->alerts, TEN_MINUTES_S));
    if (starts > self->rules[ACTOR_RESTARTS].threshold)
        alerts_see(self->alerts, ACTOR_RESTARTS, p->name, p->actor, starts, "%s was started anew %d times or more within ten minutes", p->name, starts);
    if (is_silent(self, p)) {
        self->stats.silent++;
        alerts_see(self->alerts, ACTOR_SILENT, p->name, p->actor, seconds(silent_us), "%s has not been heard of for %.0f s", p->name, seconds(silent_us));
    } else if (p->is_heard) {
        judge_words(self, p);
    }
}

/* Whoever has been switched off is no longer expected: true, if it was somebody. */
static bool forget_one(struct self *self)
{
    char name[sizeof ((struct process *)0)->name];
    for (struct process *p = watch_first(self->watch); p; p = watch_next(self->watch))
        if (is_silent(self, p) && off_is(actor_suite(self->actor)->data, p->actor, NULL)) {
            snprintf(name, sizeof name, "%s", p->name);
            watch_forget(self->watch, name);
            return true;
        }
    return false;
}

static void judge_processes(struct self *self)
{
    while (!self->is_deaf && forget_one(self))
        continue;
    SET(&self->stats, silent, 0);
    SET(&self->stats, expected, (int64_t)watch_count(self->watch));
    for (struct process *p = watch_first(self->watch); p; p = watch_next(self->watch))
        if (!self->is_deaf || is_broker(p))
            judge_process(self, p);
    if (!self->is_connected && self->stats.silent == 0)
        alerts_see(self->alerts, ACTOR_SILENT, "broker/1", "broker", NAN, "there is no connection to the broker");
}

/* --- Home Assistant ------------------------------------------------------------------------------ */

static void judge_home(struct self *self)
{
    const char *state = self->session.state;
    if (!self->has_session || is_home_live(self) || strcmp(state, "unconfigured") == 0)
        return;
    const char *why = self->session.has_why ? self->session.why : "";
    double lost_s = seconds(clock_of(self) - self->session_us);
    if (strcmp(state, "auth_refused") == 0)
        alerts_see(self->alerts, TOKEN_REFUSED, "home", "ingest", NAN, "Home Assistant refuses the token: %s", why);
    else
        alerts_see(self->alerts, HOME_LOST, "home", "ingest", lost_s, "not connected to Home Assistant for %.0f s (%s)%s%s", lost_s, state, *why ? ": " : "", why);
}

static void note_event(struct self *self)
{
    struct rhythm *r = &self->rhythm;
    int64_t gap_us = clock_of(self) - r->last_us;
    r->longest_us -= (int64_t)((double)r->longest_us * seconds(gap_us) / (RHYTHM_DAYS * 86400.0));
    r->last_us = clock_of(self);
    if (gap_us <= r->longest_us)
        return;
    r->longest_us = gap_us;
    if (self->file)
        file_save_number(self->file, "longest_silence_us", gap_us);
}

/* Neither canaries nor readings of our own count: what has been received beyond them has never been so much. */
static void judge_rhythm(struct self *self)
{
    struct rhythm *r = &self->rhythm;
    if (!is_home_live(self) || self->sums.at_us == 0) {
        r->last_us = clock_of(self);
        return;
    }
    int64_t received = self->sums.received.received - self->sums.received.own;
    if (!r->has_base)
        *r = (struct rhythm){ .has_base = true, .base = received, .last_us = clock_of(self), .longest_us = r->longest_us };
    int64_t heard = received - r->base - r->canaries;
    if (heard > r->heard) {
        r->heard = heard;
        note_event(self);
    }
    int64_t quiet_us = clock_of(self) - r->last_us, least_us = alerts_span_us(self->alerts, QUIET_S);
    double limit_s = seconds(r->longest_us) * self->rules[HOME_QUIET].threshold;
    limit_s = limit_s < seconds(least_us) ? seconds(least_us) : limit_s;
    if (seconds(quiet_us) > limit_s)
        alerts_see(self->alerts, HOME_QUIET, "home", "ingest", seconds(quiet_us) / (seconds(r->longest_us) + 1e-3),
            "connected, but no event has come for %.0f s; the longest silence known is %.0f s", seconds(quiet_us), seconds(r->longest_us));
}

static void judge_gaps(struct self *self)
{
    int64_t now_us = actor_now_us(self->actor);
    for (size_t i = 0; i < self->gap_count; i++) {
        const struct known_gap *g = &self->gaps[i];
        bool is_lost = strcmp(g->state, "unrecoverable") == 0, is_partly = strcmp(g->state, "partly_filled") == 0;
        if (g->end_us == 0 || (!is_lost && !is_partly) || now_us - g->end_us > DAY_US || strcmp(g->cause, "first_start") == 0)
            continue;
        double length_s = seconds(g->end_us - g->start_us);
        alerts_see(self->alerts, is_lost ? GAP : GAP_PARTLY, g->id, "ingest", length_s, "%s: %.0f s (%s) are %s", g->id, length_s, g->cause,
            is_lost ? "missing" : "filled but for what Home Assistant does not keep");
    }
}

/* --- the chain ------------------------------------------------------------------------------------ */

static void judge_sum(struct self *self)
{
    const struct sums *s = &self->sums;
    int64_t span_us = alerts_span_us(self->alerts, HOUR_S);
    if (s->at_us == 0)
        return;
    if ((double)s->missing > self->rules[CONSERVATION].threshold)
        alerts_see(self->alerts, CONSERVATION, "ingest", "ingest", (double)s->missing, "%" PRId64 " events were received and are nowhere: they are lost", s->missing);
    double stuck_s = seconds(clock_of(self) - self->settled_us);
    if (s->received.in_flight > 0 && stuck_s > alerts_threshold(self->alerts, CHAIN_STUCK))
        alerts_see(self->alerts, CHAIN_STUCK, "ingest", "ingest", stuck_s, "%" PRId64 " events are in flight and none was settled for %.0f s", s->received.in_flight, stuck_s);
    int64_t lost = meter_growth(&self->given_up, s->received.given_up, clock_of(self), span_us);
    if ((double)lost > self->rules[GIVEN_UP].threshold)
        alerts_see(self->alerts, GIVEN_UP, "ingest", "ingest", (double)lost, "%" PRId64 " events were given up within the last hour: the capture log was full", lost);
    int64_t bad = meter_growth(&self->quarantined, s->after.quarantined, clock_of(self), alerts_span_us(self->alerts, TEN_MINUTES_S));
    if ((double)bad > self->rules[QUARANTINE].threshold)
        alerts_see(self->alerts, QUARANTINE, "sink", "sink", (double)bad, "%" PRId64 " events could not be read within the last ten minutes", bad);
}

static void judge_canaries(struct self *self)
{
    const struct canaries *c = &self->canaries;
    static const char *const ways[WAYS] = { [WAY_HOME] = "fired through Home Assistant", [WAY_EDGE] = "given to the capture log" };
    for (int way = 0; way < WAYS; way++) {
        if (c->missing_since_us[way] == 0)
            continue;
        double late_s = seconds(clock_of(self) - c->missing_since_us[way]);
        bool other_came = way == WAY_HOME && c->missing_since_us[WAY_EDGE] == 0 && c->latencies > 0;
        alerts_see(self->alerts, CANARY_MISSING, way_names[way], way == WAY_HOME ? "home" : "ingest", late_s,
            "what was %s %.0f s ago has not come out of the store%s", ways[way], late_s,
            other_came ? "; if what is given to the capture log comes, it is lost between Home Assistant and us" : "");
    }
    if (self->stats.has_canary_last_us && seconds(self->stats.canary_last_us) > alerts_threshold(self->alerts, CANARY_SLOW))
        alerts_see(self->alerts, CANARY_SLOW, "chain", "sink", seconds(self->stats.canary_last_us), "the last canary took %.1f s from end to end", seconds(self->stats.canary_last_us));
}

/* A counter of a heartbeat; false: it has none of this name. */
static bool read_counter(struct self *self, const struct process *p, const char *name, int64_t *value)
{
    struct json_value root, found;
    const char *why;
    if (!p->counters || json_read(self->json, slice_of(p->counters), &root, &why) || json_pick(self->json, root.raw, &name, 1, &found))
        return false;
    return json_int(found, value);
}

/* Also while there is no Home Assistant: what is damaged is missing in every answer. */
static void judge_store(struct self *self, const struct process *p)
{
    int64_t chunks = 0, sets = 0, words = 0;
    read_counter(self, p, "bad_chunks", &chunks);
    read_counter(self, p, "bad_sets", &sets);
    read_counter(self, p, "bad_words", &words);
    if (chunks + sets + words > 0)
        alerts_see(self->alerts, STORE_DAMAGED, "store", "sink", (double)(chunks + sets + words), "damaged in the store, and put aside: %" PRId64 " chunks of old rows, %" PRId64
            " attribute sets, %" PRId64 " snapshots, readings or users", chunks, sets, words);
}

static void judge_counters(struct self *self)
{
    int64_t capture, gaps, dropped;
    for (struct process *p = watch_first(self->watch); p; p = watch_next(self->watch)) {
        if (strcmp(p->actor, "ingest") == 0 && read_counter(self, p, "capture_bytes", &capture) && (double)capture / 1048576 > self->rules[CAPTURE_LARGE].threshold)
            alerts_see(self->alerts, CAPTURE_LARGE, p->name, "ingest", (double)capture / 1048576, "the capture log has %.0f MiB: the chain is behind", (double)capture / 1048576);
        if (strcmp(p->actor, "ingest") == 0 && read_counter(self, p, "gaps", &gaps) && gaps != self->gaps_number) {
            self->gaps_number = gaps;
            self->gaps_us = 0; /* asked for at once */
        }
        if (strcmp(p->actor, "sink") == 0)
            judge_store(self, p);
        if (strcmp(p->actor, "gateway") != 0 || !read_counter(self, p, "stream_dropped", &dropped))
            continue;
        int64_t grown = meter_growth(&self->dropped, dropped, clock_of(self), alerts_span_us(self->alerts, TEN_MINUTES_S));
        if ((double)grown > self->rules[STREAM_DROPPED].threshold)
            alerts_see(self->alerts, STREAM_DROPPED, p->name, "gateway", (double)grown, "slow readers of event streams did not get %" PRId64 " events within ten minutes", grown);
    }
}

/* --- the machine ----------------------------------------------------------------------------------- */

static void judge_disk(struct self *self)
{
    struct statvfs fs;
    if (statvfs(actor_suite(self->actor)->data, &fs) || fs.f_blocks == 0)
        return;
    double free_percent = 100.0 * (double)fs.f_bavail / (double)fs.f_blocks, free_mib = (double)fs.f_bavail * (double)fs.f_frsize / 1048576;
    if (free_percent < self->rules[DISK_FULL].threshold)
        alerts_see(self->alerts, DISK_FULL, "data", "sink", free_percent, "%.1f %% (%.0f MiB) are free where the data are kept", free_percent, free_mib);
}

static void judge_clock(struct self *self)
{
    int64_t drift_us = actor_now_us(self->actor) - clock_of(self), moved_us = drift_us - self->drift_us;
    if (self->drift_us && seconds(llabs(moved_us)) > alerts_threshold(self->alerts, CLOCK_JUMP)) {
        self->jumped_us = clock_of(self);
        self->jump_us = moved_us;
    }
    self->drift_us = drift_us;
    if (self->jumped_us && clock_of(self) - self->jumped_us < alerts_span_us(self->alerts, TEN_MINUTES_S))
        alerts_see(self->alerts, CLOCK_JUMP, "clock", "monitor", seconds(self->jump_us), "this machine's clock was set by %+.1f s", seconds(self->jump_us));
}

static void judge_logs(struct self *self)
{
    int waiting = 0;
    if (self->pipe < 0 || ioctl(self->pipe, FIONREAD, &waiting) != 0)
        return;
    if (waiting == 0 || waiting < self->piped)
        self->piped_us = clock_of(self);
    self->piped = waiting;
    double stuck_s = seconds(clock_of(self) - self->piped_us);
    if (stuck_s > alerts_threshold(self->alerts, LOGS_STUCK))
        alerts_see(self->alerts, LOGS_STUCK, "log", "log", stuck_s, "%d bytes of log lines wait and none has been taken for %.0f s", waiting, stuck_s);
}

/* --- together ---------------------------------------------------------------------------------------- */

/* Repeats are left out of the log: of one rule and subject, and never of another. */
static uint64_t key_of(const struct alert *alert)
{
    return hash_bytes(hash_bytes(HASH_SEED, slice_of(alert->rule)), slice_of(alert->subject));
}

static void tell(void *owner, const struct alert *alert)
{
    struct self *self = owner;
    int rule = rules_find(self->rules, alert->rule);
    if (alert->has_resolved_at || rule < 0)
        actor_info(self->actor, "over: %s %s", alert->rule, alert->subject);
    else if (strcmp(alert->severity, "critical") == 0)
        actor_error_of(self->actor, key_of(alert), "alert %" PRId64 " (%s %s): %s", alert->id, alert->rule, alert->subject, alert->message);
    else
        actor_warn_of(self->actor, key_of(alert), "alert %" PRId64 " (%s %s): %s", alert->id, alert->rule, alert->subject, alert->message);
}

/* Whoever was stopped himself has heard nobody. */
static void pardon(struct self *self)
{
    bool was_deaf = self->is_deaf, was_stopped = clock_of(self) - self->checked_us > 3 * SECOND_US + 3 * self->config.check_ms * 1000;
    self->checked_us = clock_of(self);
    if (was_stopped)
        watch_pardon(self->watch, clock_of(self));
    self->is_deaf = is_deaf(self);
    if (was_deaf && !self->is_deaf)
        watch_pardon(self->watch, clock_of(self));
}

void judge(struct self *self)
{
    pardon(self);
    alerts_begin(self->alerts, moment_of(self));
    judge_processes(self);
    if (!self->is_deaf) {
        judge_home(self);
        judge_rhythm(self);
        judge_gaps(self);
        judge_sum(self);
        judge_counters(self);
    }
    judge_canaries(self);
    judge_disk(self);
    judge_clock(self);
    judge_logs(self);
    alerts_end(self->alerts, !self->is_deaf, tell, self);
}
