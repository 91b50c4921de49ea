/* test_monitor.c - a house in which one thing breaks, in virtual time and with the settings as they are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "monitor.h"
#include "off.h"
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_US INT64_C(1767225600000000) /* where the probe's clock begins */
enum { NOTICED_S = 60 };

static const char *const names[] = { "broker", "ingest", "registry", "enrich", "sink", "query", "gateway" };
enum { NAMES = sizeof names / sizeof *names };

/* The others, as far as they work. */
struct house {
    probe_t *probe;
    int64_t passed_s;
    bool is_silent[NAMES];
    const char *status[NAMES], *why[NAMES], *counters[NAMES];
    int64_t received, in_flight, given_up, stored, quarantined;
    bool home_is_deaf;          /* it does not answer fire_event */
    bool ingest_is_away;        /* nobody answers at all */
    bool home_refuses, home_drops, chain_drops, query_is_empty, sink_is_away;
    char canary[WAYS][48];      /* what has come into the store last */
    char state[16];             /* of the session */
    struct gap gap;
};

static void house_session(struct house *h, const char *state)
{
    struct ingest_session session = { 0 };
    snprintf(h->state, sizeof h->state, "%s", state);
    SET_TEXT(&session, state, state, strlen(state));
    SET(&session, session, 3);
    SET(&session, registry_changes, 0);
    if (strcmp(state, "live") != 0)
        SET_TEXT(&session, why, "refused", 7);
    assert_int_equal(probe_deliver(h->probe, &ingest_session_contract, &session), OK);
}

static void beat(struct house *h, size_t i)
{
    struct heartbeat said = { 0 };
    const char *status = h->status[i] ? h->status[i] : "healthy";
    SET_TEXT(&said, actor, names[i], strlen(names[i]));
    SET_TEXT(&said, instance, "1", 1);
    SET_TEXT(&said, status, status, strlen(status));
    if (h->why[i])
        SET_TEXT(&said, why, h->why[i], strlen(h->why[i]));
    SET_TEXT(&said, version, "1", 1);
    SET(&said, pid, 7);
    SET(&said, started_at, NOW_US);
    SET(&said, at, NOW_US + h->passed_s * SECOND_US);
    SET(&said, every_ms, 2000);
    SET(&said, cpu_us, 1);
    if (h->counters[i])
        SET(&said, counters, slice_of(h->counters[i]));
    assert_int_equal(probe_deliver(h->probe, &actor_heartbeat_contract, &said), OK);
}

/* The id of a canary in what was sent. */
static void take_canary(struct house *h, enum way way, struct slice text)
{
    const char *at = memmem(text.data, text.size, "\"id\":\"", 6);
    assert_non_null(at);
    h->received++;
    if (h->chain_drops)
        return;
    h->stored++;
    snprintf(h->canary[way], sizeof h->canary[way], "%.*s", (int)strcspn(at + 6, "\""), at + 6);
}

static void answer_fire(struct house *h)
{
    const struct ha_command *asked = probe_asked(h->probe, &ingest_ask_contract);
    struct ha_result result = { 0 };
    if (!asked || h->home_is_deaf)
        return;
    if (h->ingest_is_away) {
        probe_answer(h->probe, &ingest_ask_contract, NO_OWNER, NULL);
        return;
    }
    assert_non_null(memmem(asked->command.data, asked->command.size, "\"fire_event\"", 12));
    SET(&result, session, 3);
    SET(&result, success, !h->home_refuses);
    if (h->home_refuses)
        SET(&result, error, slice_of("{\"code\":\"unauthorized\",\"message\":\"Unauthorized\"}"));
    else
        SET(&result, result, slice_of("{\"context\":{\"id\":\"01HXYZ0000000000000000000A\",\"parent_id\":null,\"user_id\":null}}"));
    if (!h->home_refuses && !h->home_drops)
        take_canary(h, WAY_HOME, asked->command);
    probe_answer(h->probe, &ingest_ask_contract, OK, &result);
}

static void answer_again(struct house *h)
{
    const struct again_query *asked = probe_asked(h->probe, &ingest_again_contract);
    struct again_reply reply = { 0 };
    if (!asked)
        return;
    if (h->ingest_is_away) {
        probe_answer(h->probe, &ingest_again_contract, NO_OWNER, NULL);
        return;
    }
    take_canary(h, WAY_EDGE, asked->bytes);
    SET(&reply, events, 1);
    probe_answer(h->probe, &ingest_again_contract, OK, &reply);
}

static void answer_find(struct house *h)
{
    struct page page = { 0 };
    if (!probe_asked(h->probe, &events_find_contract))
        return;
    for (int way = 0; way < WAYS && !h->query_is_empty; way++) {
        struct event_full e = { 0 };
        char data[80];
        snprintf(data, sizeof data, "{\"id\":\"%s\"}", h->canary[way]);
        SET_TEXT(&e, id, "1", 1);
        SET(&e, event_type, slice_of(CANARY_TYPE));
        SET(&e, timestamp, NOW_US);
        SET(&e, received_at, NOW_US);
        SET_TEXT(&e, provenance, "live", 4);
        SET(&e, is_state, false);
        SET(&e, place, 1);
        SET(&e, data, slice_of(data));
        if (*h->canary[way])
            probe_add_row(h->probe, &events_find_contract, &e);
    }
    SET(&page, count, 0);
    probe_answer(h->probe, &events_find_contract, OK, &page);
}

static void answer_sums(struct house *h)
{
    struct page page = { 0 };
    SET(&page, count, 1);
    for (int i = 0; i < 3; i++) {
        struct settled_row row = { 0 };
        struct ingest_totals totals = { 0 };
        SET_TEXT(&row, source, "ingest", 6);
        SET(&row, stored, h->stored);
        SET(&row, quarantined, h->quarantined);
        row.has_duplicate = row.has_filtered = row.has_thinned = row.has_redelivered = true;
        SET(&totals, received, h->received);
        SET(&totals, in_flight, h->in_flight);
        SET(&totals, given_up, h->given_up);
        if (probe_asked(h->probe, &sink_settled_contract) && !h->sink_is_away) {
            probe_add_row(h->probe, &sink_settled_contract, &row);
            probe_answer(h->probe, &sink_settled_contract, OK, &page);
        } else if (probe_asked(h->probe, &ingest_totals_contract)) {
            probe_answer(h->probe, &ingest_totals_contract, OK, &totals);
        }
    }
}

static void answer_gaps(struct house *h)
{
    struct page page = { 0 };
    if (!probe_asked(h->probe, &ingest_gaps_contract))
        return;
    if (h->gap.has_id)
        probe_add_row(h->probe, &ingest_gaps_contract, &h->gap);
    SET(&page, count, 0);
    probe_answer(h->probe, &ingest_gaps_contract, OK, &page);
}

static void house_pass(struct house *h, int seconds)
{
    for (int64_t end = h->passed_s + seconds; h->passed_s < end;) {
        h->passed_s++;
        for (size_t i = 0; i < NAMES; i++)
            if (!h->is_silent[i] && h->passed_s % 2 == 0)
                beat(h, i);
        for (int i = 0; i < 10; i++) {
            probe_advance(h->probe, 100);
            answer_fire(h);
            answer_again(h);
            answer_find(h);
            answer_sums(h);
            answer_gaps(h);
        }
    }
}

static struct house *house_new(const char *key, const char *value)
{
    struct house *h = calloc(1, sizeof *h);
    h->probe = probe_new((const char *const[]){ key, value, NULL });
    assert_non_null(h->probe);
    probe_connected(h->probe, true);
    house_session(h, "live");
    h->received = h->stored = 1000;
    house_pass(h, 60);
    return h;
}

static void house_destroy(struct house **h_p)
{
    probe_destroy(&(*h_p)->probe);
    free(*h_p);
    *h_p = NULL;
}

/* The open alert of this rule and subject (NULL: any), or NULL. */
static const struct alert *open_alert(struct house *h, const char *rule, const char *subject)
{
    static struct alert row;
    struct alerts_query query = { 0 };
    struct page page;
    assert_int_equal(probe_call(h->probe, &monitor_active_contract, &query, &page), OK);
    for (size_t i = 0; i < probe_rows(h->probe); i++)
        if (probe_row(h->probe, i, &row) == 0 && strcmp(row.rule, rule) == 0 && (!subject || strcmp(row.subject, subject) == 0))
            return &row;
    return NULL;
}

static int64_t open_alerts(struct house *h)
{
    struct nothing nothing = { 0 };
    struct alerts_summary summary;
    assert_int_equal(probe_call(h->probe, &monitor_summary_contract, &nothing, &summary), OK);
    return summary.total_active;
}

/* It is noticed in time, and when it is mended it is over. */
#define BREAKS(rule, subject, breaking, mending) do {                                         \
    struct house *h = house_new(NULL, NULL);                                                  \
    assert_int_equal(open_alerts(h), 0);                                                      \
    breaking;                                                                                 \
    for (int s = 0; s < NOTICED_S && !open_alert(h, rule, subject); s++)                      \
        house_pass(h, 1);                                                                     \
    if (!open_alert(h, rule, subject))                                                        \
        fail_msg("%s was not noticed within %d s", rule, NOTICED_S);                          \
    int64_t id = open_alert(h, rule, subject)->id;                                            \
    house_pass(h, 100);                                                                       \
    assert_int_equal(open_alert(h, rule, subject)->id, id);                                   \
    mending;                                                                                  \
    house_pass(h, 100);                                                                       \
    if (open_alert(h, rule, subject))                                                         \
        fail_msg("%s is not over", rule);                                                     \
    house_destroy(&h);                                                                        \
} while (0)

/* --- what breaks --- */

static void a_house_in_which_nothing_breaks_has_no_alert(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    for (int i = 0; i < 100; i++) {
        h->received += 10;
        h->stored += 10;
        house_pass(h, 30);
        assert_int_equal(open_alerts(h), 0);
    }
    house_destroy(&h);
}

static void any_process_that_falls_silent_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s/1", names[i]);
        BREAKS("actor_silent", name, h->is_silent[i] = true, h->is_silent[i] = false);
    }
}

static void who_has_been_switched_off_is_told_as_off_and_not_missed(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    struct nothing nothing = { 0 };
    struct source_row row;
    struct page page;
    h->is_silent[3] = true;
    house_pass(h, NOTICED_S);
    assert_non_null(open_alert(h, "actor_silent", "enrich/1"));
    assert_int_equal(off_note(probe_data(h->probe), "enrich", "is off: ..."), 0);
    house_pass(h, 100);
    assert_int_equal(open_alerts(h), 0);
    assert_int_equal(probe_call(h->probe, &monitor_sources_contract, &nothing, &page), OK);
    assert_int_equal(probe_rows(h->probe), 1);
    assert_int_equal(probe_row(h->probe, 0, &row), 0);
    assert_string_equal(row.source, "enrich");
    assert_string_equal(row.status, "off");
    assert_string_equal(row.why, "is off: ...");
    house_destroy(&h);
}

static void without_the_broker_it_is_the_broker_alone_that_is_missed(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    for (size_t i = 0; i < NAMES; i++)
        h->is_silent[i] = true;
    house_pass(h, 60);
    assert_non_null(open_alert(h, "actor_silent", "broker/1"));
    assert_null(open_alert(h, "actor_silent", "sink/1"));
    for (size_t i = 0; i < NAMES; i++)
        h->is_silent[i] = false;
    house_pass(h, 100);
    assert_int_equal(open_alerts(h), 0);
    probe_connected(h->probe, false);
    house_pass(h, 10);
    assert_non_null(open_alert(h, "actor_silent", "broker/1"));
    house_destroy(&h);
}

static void what_the_processes_say_is_told(void **state)
{
    (void)state;
    BREAKS("actor_unhealthy", "sink/1", (h->status[4] = "unhealthy", h->why[4] = "disk full"), h->status[4] = NULL);
    BREAKS("actor_degraded", "enrich/1", (h->status[3] = "degraded", h->why[3] = "no registry"), h->status[3] = NULL);
    BREAKS("actor_degraded", "query/1", h->status[5] = "starting", h->status[5] = NULL);
}

static void the_way_to_home_assistant_is_watched(void **state)
{
    (void)state;
    BREAKS("home_lost", "home", house_session(h, "waiting"), house_session(h, "live"));
    BREAKS("token_refused", "home", house_session(h, "auth_refused"), house_session(h, "live"));
    /* It answers pings and says that it fires, but the subscription is silent. */
    BREAKS("canary_missing", "home", h->home_drops = true, h->home_drops = false);
    BREAKS("canary_missing", "home", h->home_is_deaf = true, h->home_is_deaf = false);
}

static void what_a_hop_drops_is_missing(void **state)
{
    (void)state;
    BREAKS("conservation", "ingest", h->received += 3, h->stored += 3);
    BREAKS("canary_missing", "home", h->chain_drops = true, h->chain_drops = false);
    BREAKS("canary_missing", "edge", (h->chain_drops = true, h->home_refuses = true), h->chain_drops = false);
    BREAKS("canary_missing", "home", h->query_is_empty = true, h->query_is_empty = false);
    BREAKS("chain_stuck", "ingest", (h->received += 5, h->in_flight = 5, h->chain_drops = true), (h->in_flight = 0, h->stored += 5, h->chain_drops = false));
}

static void a_home_that_takes_no_canary_is_left_alone_and_the_edge_is_used(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    assert_int_equal(probe_self(h->probe)->stats.canaries_home, probe_self(h->probe)->stats.canaries);
    h->home_refuses = true;
    house_pass(h, 120);
    int64_t home = probe_self(h->probe)->stats.canaries_home;
    house_pass(h, 120);
    assert_int_equal(probe_self(h->probe)->stats.canaries_home, home); /* not an administrator's token: once a session */
    assert_int_equal(open_alerts(h), 0);
    assert_true(probe_self(h->probe)->stats.has_canary_p99_us);
    assert_true(probe_self(h->probe)->stats.canary_last_us < SECOND_US);
    house_destroy(&h);
}

static void a_canary_that_nobody_took_is_not_missing(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    h->is_silent[1] = h->ingest_is_away = true;
    for (int seconds = 0; seconds < 120; seconds++) {
        house_pass(h, 1);
        assert_null(open_alert(h, "canary_missing", NULL));
    }
    assert_non_null(open_alert(h, "actor_silent", "ingest/1"));
    h->is_silent[1] = h->ingest_is_away = false;
    h->chain_drops = true;
    house_pass(h, NOTICED_S);
    assert_non_null(open_alert(h, "canary_missing", NULL));
    house_destroy(&h);
}

static void while_home_assistant_is_away_our_own_chain_is_watched_all_the_same(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    house_session(h, "waiting");
    house_pass(h, 60);
    assert_null(open_alert(h, "canary_missing", NULL));
    h->chain_drops = true;
    house_pass(h, NOTICED_S);
    assert_non_null(open_alert(h, "canary_missing", "edge"));
    house_session(h, "live");
    h->chain_drops = false;
    house_pass(h, 60);
    assert_null(open_alert(h, "canary_missing", NULL));
    house_destroy(&h);
}

static void no_canary_where_none_is_wanted(void **state)
{
    (void)state;
    struct house *h = house_new("canary", "off");
    h->received += 100;
    h->stored += 100;
    house_pass(h, 200);
    assert_int_equal(probe_self(h->probe)->stats.canaries, 0);
    house_destroy(&h);
    assert_null(probe_new((const char *const[]){ "canary", "loud", NULL }));
}

static void what_is_damaged_in_the_store_is_told_also_without_home_assistant(void **state)
{
    (void)state;
    BREAKS("store_damaged", "store", h->counters[4] = "{\"bad_chunks\":1,\"bad_sets\":0}", h->counters[4] = "{\"bad_chunks\":0}");
    BREAKS("store_damaged", "store", (house_session(h, "reconnecting"), h->counters[4] = "{\"bad_words\":2}"), (house_session(h, "live"), h->counters[4] = NULL));
}

static void growth_is_told_and_forgotten(void **state)
{
    (void)state;
    BREAKS("quarantine_growing", "sink", (h->quarantined += 11, h->received += 11), house_pass(h, 700));
    BREAKS("given_up", "ingest", (h->given_up += 1, h->received += 1), house_pass(h, 3800));
    BREAKS("stream_dropped", "gateway/1", (h->counters[6] = "{\"stream_dropped\":5}", house_pass(h, 4), h->counters[6] = "{\"stream_dropped\":500}"), house_pass(h, 700));
    BREAKS("capture_large", "ingest/1", h->counters[1] = "{\"capture_bytes\":300000000}", h->counters[1] = "{\"capture_bytes\":3}");
}

static void a_gap_that_could_not_be_filled_is_told_for_a_day(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    SET_TEXT(&h->gap, id, "gap-7", 5);
    SET(&h->gap, start, NOW_US);
    SET_TEXT(&h->gap, cause, "connection_lost", 15);
    SET_TEXT(&h->gap, state, "open", 4);
    h->counters[1] = "{\"gaps\":1}";
    house_pass(h, 10);
    assert_null(open_alert(h, "gap", "gap-7"));
    SET(&h->gap, end, NOW_US + 65 * SECOND_US);
    SET_TEXT(&h->gap, state, "unrecoverable", 13);
    house_pass(h, 10);
    assert_non_null(open_alert(h, "gap", "gap-7"));
    SET_TEXT(&h->gap, state, "partly_filled", 13);
    house_pass(h, 310);
    assert_null(open_alert(h, "gap", "gap-7"));
    assert_string_equal(open_alert(h, "gap_partly", "gap-7")->severity, "info");
    SET_TEXT(&h->gap, state, "filled", 6);
    house_pass(h, 310);
    assert_int_equal(open_alerts(h), 0);
    house_destroy(&h);
}

static void a_house_that_is_more_silent_than_it_ever_was_is_told(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    for (int i = 0; i < 3; i++) { /* it is silent for ten minutes now and then */
        house_pass(h, 590);
        h->received++, h->stored++;
        house_pass(h, 10);
    }
    house_pass(h, 1500);
    assert_null(open_alert(h, "home_quiet", NULL));
    house_pass(h, 600); /* three times that; canaries came all the while */
    assert_non_null(open_alert(h, "home_quiet", NULL));
    h->received += 3, h->stored += 3;
    house_pass(h, 10);
    assert_null(open_alert(h, "home_quiet", NULL));
    house_destroy(&h);
}

static void a_clock_that_jumps_is_told_and_costs_nothing_else(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    probe_set_now(h->probe, NOW_US - 3600 * SECOND_US);
    house_pass(h, 30);
    assert_non_null(open_alert(h, "clock_jump", NULL));
    assert_int_equal(open_alerts(h), 1);
    house_pass(h, 600);
    assert_int_equal(open_alerts(h), 0);
    house_destroy(&h);
}

static void one_that_was_stopped_itself_blames_nobody(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    /* As after SIGSTOP: the clock has moved on, and the heartbeats are read after the tick. */
    probe_self(h->probe)->checked_us -= 100 * SECOND_US;
    for (struct process *p = watch_first(probe_self(h->probe)->watch); p; p = watch_next(probe_self(h->probe)->watch))
        p->heard_us -= 100 * SECOND_US;
    probe_advance(h->probe, 100);
    assert_int_equal(open_alerts(h), 0);
    house_destroy(&h);
}

static void what_was_imported_and_is_done_is_not_expected(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    struct heartbeat said = { 0 };
    SET_TEXT(&said, actor, "import", 6);
    SET_TEXT(&said, instance, "1", 1);
    SET_TEXT(&said, version, "1", 1);
    SET(&said, pid, 7);
    SET(&said, started_at, NOW_US);
    SET(&said, every_ms, 2000);
    SET(&said, cpu_us, 1);
    SET(&said, at, NOW_US);
    SET_TEXT(&said, status, "healthy", 7);
    probe_deliver(h->probe, &actor_heartbeat_contract, &said);
    SET(&said, at, NOW_US + 1);
    SET_TEXT(&said, status, "stopping", 8);
    probe_deliver(h->probe, &actor_heartbeat_contract, &said);
    house_pass(h, 60);
    assert_int_equal(open_alerts(h), 0);
    house_destroy(&h);
}

/* --- what may be done --- */

static int64_t list(struct house *h, const char *status, const char *severity, int64_t limit, const char *cursor, struct page *page)
{
    struct alerts_query query = { 0 };
    if (status)
        SET_TEXT(&query, status, status, strlen(status));
    if (severity)
        SET_TEXT(&query, severity, severity, strlen(severity));
    if (cursor)
        SET_TEXT(&query, cursor, cursor, strlen(cursor));
    SET(&query, limit, limit);
    int verdict = probe_call(h->probe, &monitor_alerts_contract, &query, page);
    return verdict == OK ? (int64_t)probe_rows(h->probe) : -verdict;
}

static void alerts_are_listed_acknowledged_and_resolved(void **state)
{
    (void)state;
    struct house *h = house_new(NULL, NULL);
    struct page page;
    struct alert reply, row;
    h->is_silent[5] = h->is_silent[6] = true;
    h->status[3] = "degraded";
    house_pass(h, 60);
    assert_int_equal(list(h, NULL, NULL, 100, NULL, &page), 3);
    assert_int_equal(list(h, "active,resolved", "CRITICAL", 100, NULL, &page), 2);
    assert_int_equal(list(h, "resolved", NULL, 100, NULL, &page), 0);
    assert_int_equal(list(h, "sleeping", NULL, 100, NULL, &page), -BAD_REQUEST);
    assert_int_equal(list(h, NULL, "dire", 100, NULL, &page), -BAD_REQUEST);
    assert_int_equal(list(h, NULL, NULL, 2, NULL, &page), 2);
    assert_int_equal(list(h, NULL, NULL, 2, page.next_cursor, &page), 1);
    assert_false(page.has_next_cursor);
    struct alert_change change = { 0 };
    SET(&change, id, open_alert(h, "actor_silent", "query/1")->id);
    assert_int_equal(probe_call(h->probe, &monitor_acknowledge_contract, &change, &reply), OK);
    assert_string_equal(reply.status, "acknowledged");
    assert_string_equal(reply.acknowledged_by, "somebody");
    assert_int_equal(probe_call(h->probe, &monitor_resolve_contract, &change, &reply), OK);
    assert_int_equal(probe_call(h->probe, &monitor_resolve_contract, &change, &reply), CONFLICT);
    assert_int_equal(probe_call(h->probe, &monitor_acknowledge_contract, &change, &reply), CONFLICT);
    house_pass(h, 60); /* it is expected no longer */
    assert_null(open_alert(h, "actor_silent", "query/1"));
    assert_non_null(open_alert(h, "actor_silent", "gateway/1"));
    assert_int_equal(probe_call(h->probe, &monitor_alert_contract, &(struct alert_query){ .id = change.id, .has_id = true }, &row), OK);
    assert_string_equal(row.status, "resolved");
    SET(&change, id, 4711);
    assert_int_equal(probe_call(h->probe, &monitor_resolve_contract, &change, &reply), NOT_FOUND);
    assert_int_equal(probe_call(h->probe, &monitor_alert_contract, &(struct alert_query){ .id = 4711, .has_id = true }, &row), NOT_FOUND);
    house_destroy(&h);
}

static void a_rule_is_set_and_stays_so(void **state)
{
    (void)state;
    char folder[] = "/tmp/test-monitor-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    struct house *h = house_new("data", folder);
    struct rule_change change = { 0 };
    struct alert_rule reply;
    SET_TEXT(&change, name, "actor_silent", 12);
    SET(&change, threshold, 100);
    SET_TEXT(&change, severity, "warning", 7);
    assert_int_equal(probe_call(h->probe, &monitor_rule_set_contract, &change, &reply), OK);
    assert_true(reply.changed && reply.enabled);
    house_destroy(&h);
    h = house_new("data", folder);
    h->is_silent[5] = true;
    house_pass(h, 95);
    assert_int_equal(open_alerts(h), 0);
    house_pass(h, 10);
    assert_string_equal(open_alert(h, "actor_silent", "query/1")->severity, "warning");
    change = (struct rule_change){ 0 };
    SET_TEXT(&change, name, "actor_silent", 12);
    SET_TEXT(&change, severity, "grave", 5);
    assert_int_equal(probe_call(h->probe, &monitor_rule_set_contract, &change, &reply), BAD_REQUEST);
    SET_TEXT(&change, name, "nothing", 7);
    assert_int_equal(probe_call(h->probe, &monitor_rule_set_contract, &change, &reply), NOT_FOUND);
    change = (struct rule_change){ 0 };
    SET_TEXT(&change, name, "home_lost", 9);
    SET(&change, threshold, 3);
    assert_int_equal(probe_call(h->probe, &monitor_rule_set_contract, &change, &reply), BAD_REQUEST);
    struct nothing nothing = { 0 };
    struct page page;
    assert_int_equal(probe_call(h->probe, &monitor_rules_contract, &nothing, &page), OK);
    assert_int_equal(probe_rows(h->probe), RULES);
    house_destroy(&h);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void who_was_heard_once_is_expected_after_a_restart(void **state)
{
    (void)state;
    char folder[] = "/tmp/test-monitor-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    struct house *h = house_new("data", folder);
    house_destroy(&h);
    h = calloc(1, sizeof *h);
    h->probe = probe_new((const char *const[]){ "data", folder, NULL });
    probe_connected(h->probe, true);
    h->is_silent[4] = true;
    house_pass(h, 9);
    assert_null(open_alert(h, "actor_silent", NULL));
    house_pass(h, 10);
    assert_non_null(open_alert(h, "actor_silent", "sink/1"));
    house_destroy(&h);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void the_sum_is_shown_with_each_term(void **state)
{
    (void)state;
    struct house *h = house_new("canary", "off");
    struct nothing nothing = { 0 };
    struct page page;
    struct conservation_row row;
    h->received += 7, h->in_flight = 2, h->stored += 3, h->quarantined += 1, h->given_up += 1;
    house_pass(h, 5);
    assert_int_equal(probe_call(h->probe, &monitor_conservation_contract, &nothing, &page), OK);
    assert_int_equal(probe_row(h->probe, 0, &row), 0);
    assert_true(row.has_holds && row.holds);
    assert_int_equal(row.received, row.stored + row.duplicate + row.filtered + row.thinned + row.quarantined + row.in_flight + row.given_up);
    h->received += 4;
    house_pass(h, 5);
    probe_call(h->probe, &monitor_conservation_contract, &nothing, &page);
    probe_row(h->probe, 0, &row);
    assert_false(row.holds);
    assert_int_equal(row.missing, 4);
    h->sink_is_away = true;
    house_pass(h, 60);
    probe_call(h->probe, &monitor_conservation_contract, &nothing, &page);
    probe_row(h->probe, 0, &row);
    assert_false(row.has_holds); /* nobody knows */
    assert_true(row.has_why);
    house_destroy(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_house_in_which_nothing_breaks_has_no_alert),
        cmocka_unit_test(any_process_that_falls_silent_is_named),
        cmocka_unit_test(who_has_been_switched_off_is_told_as_off_and_not_missed),
        cmocka_unit_test(without_the_broker_it_is_the_broker_alone_that_is_missed),
        cmocka_unit_test(what_the_processes_say_is_told),
        cmocka_unit_test(the_way_to_home_assistant_is_watched),
        cmocka_unit_test(what_a_hop_drops_is_missing),
        cmocka_unit_test(a_home_that_takes_no_canary_is_left_alone_and_the_edge_is_used),
        cmocka_unit_test(a_canary_that_nobody_took_is_not_missing),
        cmocka_unit_test(while_home_assistant_is_away_our_own_chain_is_watched_all_the_same),
        cmocka_unit_test(no_canary_where_none_is_wanted),
        cmocka_unit_test(what_is_damaged_in_the_store_is_told_also_without_home_assistant),
        cmocka_unit_test(growth_is_told_and_forgotten),
        cmocka_unit_test(a_gap_that_could_not_be_filled_is_told_for_a_day),
        cmocka_unit_test(a_house_that_is_more_silent_than_it_ever_was_is_told),
        cmocka_unit_test(a_clock_that_jumps_is_told_and_costs_nothing_else),
        cmocka_unit_test(one_that_was_stopped_itself_blames_nobody),
        cmocka_unit_test(what_was_imported_and_is_done_is_not_expected),
        cmocka_unit_test(alerts_are_listed_acknowledged_and_resolved),
        cmocka_unit_test(a_rule_is_set_and_stays_so),
        cmocka_unit_test(who_was_heard_once_is_expected_after_a_restart),
        cmocka_unit_test(the_sum_is_shown_with_each_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
