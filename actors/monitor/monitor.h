/* monitor.h - what the files of monitor share. */
#ifndef MONITOR_H
#define MONITOR_H

#include "actor.h"
#include "alerts.h"
#include "canary.h"
#include "json.h"
#include "meter.h"
#include "sums.h"
#include "watch.h"

#define SECOND_US INT64_C(1000000)

enum { GAPS_MAX = 32 };
struct known_gap { char id[41], cause[33], state[17]; int64_t start_us, end_us; };

/* How long this house is silent by itself; times on the clock. */
struct rhythm { int64_t last_us, longest_us, heard, base, canaries; bool has_base; };

enum { SOURCES_MAX = 16 };

struct self {
    struct monitor_config config;
    struct monitor_stats stats;
    actor_t *actor;
    file_t *file;
    struct rule rules[RULES];
    alerts_t *alerts;
    watch_t *watch;
    json_t *json;
    struct event_full *event;       /* a row in hand; too large for a stack frame */
    msgpack_sbuffer bytes, pool;    /* of a question; of an answer */
    int64_t checked_us;             /* on the clock: the last look */
    bool is_connected, is_deaf;     /* deaf: the broker, or we ourselves, heard nothing */
    struct ingest_session session;  /* without its slices */
    bool has_session;
    int64_t session_us;             /* on the clock: since when it is in this state */
    struct sums sums;
    bool is_summing;
    struct settled_row imported;
    int64_t settled_us, progress;   /* on the clock: when something was settled last */
    struct canaries canaries;
    struct meter quarantined, given_up, dropped;
    struct rhythm rhythm;
    struct known_gap gaps[GAPS_MAX];
    size_t gap_count;
    int64_t gaps_us, gaps_number;   /* on the clock: asked last; how many there were then */
    int64_t drift_us, jumped_us, jump_us; /* wall less clock; when on the clock it jumped, 0: never; how far */
    struct source_row *sources[SOURCES_MAX]; /* in the order in which they were heard; NULL: no more */
    int pipe;                       /* of the logger, or -1 */
    int64_t piped, piped_us;        /* bytes that waited in it; on the clock: since when none was taken */
};

struct moment moment_of(const struct self *);

/* judge.c: one look at everything. */
void judge(struct self *);
bool is_home_live(const struct self *);

/* asks.c: what is asked of others. */
void ask_sums(struct self *);
void ask_gaps(struct self *);
void canary_step(struct self *);
int64_t canary_due_us(const struct self *); /* on the clock: when canary_step is to be called next */

/* sources.c: what the sources say of themselves. */
source_status_fn on_source;
monitor_sources_fn on_sources;

/* answers.c: what is asked of us. */
monitor_alerts_fn on_alerts;
monitor_active_fn on_active;
monitor_alert_fn on_alert;
monitor_acknowledge_fn on_acknowledge;
monitor_resolve_fn on_resolve;
monitor_summary_fn on_summary;
monitor_rules_fn on_rules;
monitor_rule_set_fn on_rule_set;
monitor_conservation_fn on_conservation;
monitor_logs_fn on_logs;
monitor_log_counts_fn on_log_counts;

#endif
