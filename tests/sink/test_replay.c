/* test_replay.c - what was refused goes down the chain again, and leaves the quarantine only when it has arrived. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "probe.h"
#include "store.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define START INT64_C(1767225600000000)

struct place { char directory[64]; store_t *reader; probe_t *probe; msgpack_sbuffer bytes; };

static void open_sink(struct place *place)
{
    place->probe = probe_new((const char *const[]){ "data", place->directory, NULL });
    assert_non_null(place->probe);
    probe_connected(place->probe, true);
}

/* What is not committed is lost, as with kill -9. */
static void kill_sink(struct place *place)
{
    probe_destroy(&place->probe);
    open_sink(place);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char path[96];
    const char *why;
    strcpy(place->directory, "/tmp/test-replay-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    msgpack_sbuffer_init(&place->bytes);
    open_sink(place);
    snprintf(path, sizeof path, "%s/store.db", place->directory);
    place->reader = store_open(&(struct store_options){ .path = path }, &why);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[96];
    probe_destroy(&place->probe);
    store_close(&place->reader);
    msgpack_sbuffer_destroy(&place->bytes);
    snprintf(command, sizeof command, "rm -rf %s", place->directory);
    free(place);
    return system(command);
}

static struct event_full an_event(int64_t place)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of("sensor.a"));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, timestamp, START + place);
    SET(&e, last_updated, e.timestamp);
    SET(&e, received_at, e.timestamp);
    SET(&e, place, place);
    SET(&e, state, slice_of("1"));
    SET_TEXT(&e, provenance, "live", 4);
    event_id_set(&e);
    return e;
}

static void refuse(struct place *p, const char *stage, int64_t at, struct slice bytes, const char *why)
{
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, bytes);
    SET_TEXT(&bad, stage, stage, strlen(stage));
    SET_TEXT(&bad, why, why, strlen(why));
    SET(&bad, received_at, START - 5);
    if (at >= 0)
        SET(&bad, place, at);
    assert_int_equal(probe_deliver(p->probe, &event_bad_contract, &bad), HOLD);
    probe_advance(p->probe, 100);
}

static void refuse_events(struct place *p, int count)
{
    for (int i = 0; i < count; i++)
        refuse(p, "enrich", i, slice_of("{\"event_type\":\"x\"}"), "no time");
}

struct seen { int64_t count, id, total; char stage[33], why[241]; };

static int look(void *owner, const struct bad_row *row)
{
    struct seen *seen = owner;
    seen->count++;
    seen->id = row->id;
    memcpy(seen->stage, row->stage, sizeof seen->stage);
    memcpy(seen->why, row->why, sizeof seen->why);
    return 0;
}

/* The quarantine; of several rows the oldest is told. */
static struct seen quarantine(struct place *p)
{
    struct seen seen = { 0 };
    struct page end;
    struct fault fault;
    struct bad_query q;
    schema_clear(bad_query_schema(), &q);
    SET(&q, limit, 1000);
    assert_int_equal(store_bad_rows(p->reader, &q, look, &seen, &end, &fault), STORE_OK);
    seen.total = end.total;
    return seen;
}

static int64_t stored(struct place *p)
{
    int64_t count;
    struct fault fault;
    struct events_query q;
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_count(p->reader, &q, &count, &fault), STORE_OK);
    return count;
}

static struct sink_stats stats(probe_t *probe)
{
    return *(struct sink_stats *)((char *)probe_self(probe) + actor_spec.stats.at);
}

static void assert_conserved(struct place *p)
{
    struct sink_stats s = stats(p->probe);
    assert_int_equal(s.received, s.stored + s.duplicate + s.redelivered + s.quarantined);
}

static struct replay_query everything(void)
{
    struct replay_query q;
    schema_clear(replay_query_schema(), &q);
    SET(&q, all, true);
    return q;
}

static ticket_t begin(struct place *p)
{
    struct replay_query q = everything();
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), LATER);
    probe_advance(p->probe, 1);
    return probe_ticket(p->probe);
}

static struct replay_reply answer_to(struct place *p, ticket_t ticket)
{
    struct replay_reply reply;
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, ticket, &reply), OK);
    return reply;
}

static size_t handed_down(struct place *p)
{
    return probe_published_count(p->probe, &event_raw_contract);
}

static void deliver(struct place *p, int64_t at)
{
    struct event_full e = an_event(at);
    assert_int_equal(probe_deliver(p->probe, &event_full_contract, &e), HOLD);
    probe_advance(p->probe, 100);
}

/* --- what enrich refused --- */

static void an_event_leaves_the_quarantine_when_it_is_acknowledged_and_not_before(void **state)
{
    struct place *p = *state;
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, slice_of("{\"event_type\":\"x\"}"));
    SET_TEXT(&bad, stage, "enrich", 6);
    SET_TEXT(&bad, why, "no time", 7);
    SET_TEXT(&bad, provenance, "backfill", 8);
    SET(&bad, received_at, START - 5);
    SET(&bad, place, 7);
    probe_deliver(p->probe, &event_bad_contract, &bad);
    probe_advance(p->probe, 100);
    ticket_t ticket = begin(p);
    assert_int_equal(handed_down(p), 1);
    const struct event_raw *raw = probe_published(p->probe, &event_raw_contract, 0);
    assert_memory_equal(raw->event.data, "{\"event_type\":\"x\"}", raw->event.size);
    assert_int_equal(raw->place, 7);
    assert_int_equal(raw->received_at, START - 5);
    assert_string_equal(raw->provenance, "backfill");
    deliver(p, 7); /* enrich takes it now; it is committed */
    assert_int_equal(stored(p), 1);
    assert_int_equal(quarantine(p).count, 1);
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, ticket, NULL), -1);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.replayed, 1);
    assert_int_equal(reply.stored, 1);
    assert_int_equal(reply.refused, 0);
    assert_int_equal(reply.waiting, 0);
    assert_false(reply.has_next);
    assert_int_equal(quarantine(p).count, 0);
    assert_int_equal(stats(p->probe).replayed, 1);
    assert_conserved(p);
}

static void what_is_refused_again_stays_one_row_with_the_new_reason(void **state)
{
    struct place *p = *state;
    refuse_events(p, 1);
    int64_t id = quarantine(p).id;
    ticket_t ticket = begin(p);
    refuse(p, "enrich", 0, slice_of("{\"event_type\":\"x\"}"), "no time yet");
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.refused, 1);
    assert_int_equal(reply.stored, 0);
    assert_int_equal(quarantine(p).count, 1);
    assert_int_equal(quarantine(p).id, id);
    assert_string_equal(quarantine(p).why, "no time yet");
    assert_conserved(p);
}

static void what_the_next_stage_refuses_stays_one_row_of_that_stage(void **state)
{
    struct place *p = *state;
    refuse_events(p, 1);
    ticket_t ticket = begin(p);
    struct event_full e = an_event(0);
    e.has_entity_id = false;
    probe_deliver(p->probe, &event_full_contract, &e);
    probe_advance(p->probe, 100);
    assert_int_equal(quarantine(p).count, 1); /* in one commit */
    assert_string_equal(quarantine(p).stage, "sink");
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, ticket).refused, 1);
    assert_int_equal(quarantine(p).count, 1);
    assert_string_equal(quarantine(p).stage, "sink");
}

static void a_message_that_enrich_could_not_read_is_given_back_as_it_was(void **state)
{
    struct place *p = *state;
    struct event_raw raw;
    struct fault fault;
    schema_clear(event_raw_schema(), &raw);
    SET(&raw, event, slice_of("{\"event_type\":\"y\"}"));
    SET(&raw, place, 77);
    SET(&raw, received_at, START - 9);
    SET(&raw, session, 5);
    SET_TEXT(&raw, provenance, "import", 6);
    assert_int_equal(event_raw_encode(&raw, &p->bytes, &fault), 0);
    refuse(p, "enrich", -1, (struct slice){ p->bytes.data, p->bytes.size }, "a field of tomorrow");
    refuse(p, "enrich", -1, slice_of("junk"), "is cut short");
    ticket_t ticket = begin(p);
    assert_int_equal(handed_down(p), 1);
    const struct event_raw *again = probe_published(p->probe, &event_raw_contract, 0);
    assert_int_equal(again->place, 77);
    assert_int_equal(again->session, 0);
    assert_string_equal(again->provenance, "import");
    refuse(p, "enrich", 77, raw.event, "still not"); /* by its place now, which its first row did not know */
    assert_int_equal(quarantine(p).count, 2);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, ticket).refused, 2);
    assert_int_equal(quarantine(p).count, 2);
}

/* As left by a version that had no totals yet. */
static void what_was_refused_before_there_were_totals_is_replayed_all_the_same(void **state)
{
    struct place *p = *state;
    struct page end;
    struct settled_row row;
    refuse_events(p, 1);
    probe_destroy(&p->probe);
    sqlite3 *db;
    char path[96];
    snprintf(path, sizeof path, "%s/store.db", p->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM settled", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    open_sink(p);
    ticket_t ticket = begin(p);
    deliver(p, 0);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, ticket).stored, 1);
    assert_int_equal(probe_call(p->probe, &sink_settled_contract, &(struct nothing){ 0 }, &end), OK);
    assert_int_equal(probe_row(p->probe, 0, &row), 0);
    assert_int_equal(row.stored, 1);
    assert_int_equal(row.quarantined, 0);
}

/* --- kills --- */

static void a_kill_at_any_moment_loses_nothing_and_stores_nothing_twice(void **state)
{
    struct place *p = *state;
    refuse_events(p, 1);
    begin(p);
    kill_sink(p); /* handed down, nobody has said anything */
    assert_int_equal(quarantine(p).count, 1);
    deliver(p, 0); /* enrich had it: it comes, and is acknowledged by nobody who knows */
    assert_int_equal(stored(p), 1);
    kill_sink(p);
    ticket_t ticket = begin(p); /* the row is there still, so it goes down again */
    assert_int_equal(handed_down(p), 1);
    struct event_full e = an_event(0);
    probe_deliver(p->probe, &event_full_contract, &e);
    kill_sink(p); /* before the commit */
    assert_int_equal(quarantine(p).count, 1);
    ticket = begin(p);
    deliver(p, 0);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, ticket).stored, 1);
    kill_sink(p);
    assert_int_equal(quarantine(p).count, 0);
    assert_int_equal(stored(p), 1);
}

/* --- what the sink refused --- */

static void what_the_sink_takes_now_is_stored_and_leaves_in_one_commit(void **state)
{
    struct place *p = *state;
    struct event_full e = an_event(3);
    struct fault fault;
    assert_int_equal(event_full_encode(&e, &p->bytes, &fault), 0);
    refuse(p, "sink", 3, (struct slice){ p->bytes.data, p->bytes.size }, "a rule of yesterday");
    refuse(p, "sink", -1, slice_of("\x91\x01"), "event.full: is cut short");
    e.has_entity_id = false;
    probe_deliver(p->probe, &event_full_contract, &e);
    probe_advance(p->probe, 100);
    assert_int_equal(quarantine(p).count, 2); /* the same place: one row */
    ticket_t ticket = begin(p);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.replayed, 2);
    assert_int_equal(reply.stored, 1);
    assert_int_equal(reply.refused, 1);
    assert_int_equal(stored(p), 1);
    assert_int_equal(quarantine(p).count, 1);
    kill_sink(p);
    assert_int_equal(stored(p), 1);
    assert_int_equal(quarantine(p).count, 1);
    assert_string_not_equal(quarantine(p).why, "event.full: is cut short");
    assert_conserved(p);
}

/* --- what ingest refused --- */

static void a_frame_goes_back_to_ingest_and_leaves_when_its_log_has_it(void **state)
{
    struct place *p = *state;
    refuse(p, "ingest", 3, slice_of("[1]"), "not an object");
    refuse(p, "ingest", 4, slice_of("[2]"), "not an object");
    ticket_t ticket = begin(p);
    const struct again_query *query = probe_asked(p->probe, &ingest_again_contract);
    assert_memory_equal(query->bytes.data, "[1]", 3);
    assert_int_equal(query->received_at, START - 5);
    assert_int_equal(probe_asked_count(p->probe, &ingest_again_contract), 1); /* one after the other */
    struct again_reply taken = { 0 };
    SET(&taken, events, 1);
    probe_answer(p->probe, &ingest_again_contract, OK, &taken);
    probe_advance(p->probe, 1);
    assert_int_equal(quarantine(p).count, 1);
    probe_answer_fault(p->probe, &ingest_again_contract, UNPROCESSABLE, "bytes", "not an object, still");
    probe_advance(p->probe, 1);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.stored, 1);
    assert_int_equal(reply.refused, 1);
    assert_int_equal(quarantine(p).count, 1);
    assert_string_equal(quarantine(p).why, "not an object, still");
}

static void without_ingest_frames_stay_and_it_is_said(void **state)
{
    struct place *p = *state;
    refuse(p, "ingest", 3, slice_of("[1]"), "not an object");
    refuse(p, "ingest", 4, slice_of("[2]"), "not an object");
    ticket_t ticket = begin(p);
    probe_answer(p->probe, &ingest_again_contract, NO_OWNER, NULL);
    probe_advance(p->probe, 1);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.stored + reply.refused, 0);
    assert_true(reply.has_why);
    assert_int_equal(quarantine(p).count, 2);
}

static void a_frame_that_is_taken_late_leaves_all_the_same(void **state)
{
    struct place *p = *state;
    refuse(p, "ingest", 3, slice_of("[1]"), "not an object");
    ticket_t ticket = begin(p);
    probe_advance(p->probe, 2990); /* just before the deadline */
    assert_int_equal(quarantine(p).count, 1);
    struct again_reply taken = { 0 };
    SET(&taken, events, 1);
    probe_answer(p->probe, &ingest_again_contract, OK, &taken);
    assert_int_equal(quarantine(p).count, 0);
    probe_advance(p->probe, 10);
    assert_int_equal(answer_to(p, ticket).stored, 1);
}

/* Two items alike of one frame have places of their own; given back once more they are known. */
static void bytes_that_were_given_back_before_are_known_by_their_time(void **state)
{
    struct place *p = *state;
    struct event_bad bad;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, slice_of("7"));
    SET_TEXT(&bad, stage, "ingest", 6);
    SET_TEXT(&bad, why, "not an object", 13);
    SET(&bad, received_at, START - 5);
    SET(&bad, again, true);
    for (int i = 0; i < 3; i++) {
        SET(&bad, place, 100 + i);
        probe_deliver(p->probe, &event_bad_contract, &bad);
    }
    probe_advance(p->probe, 100);
    assert_int_equal(quarantine(p).count, 1);
    assert_conserved(p);
}

/* --- how many, how long --- */

static void more_rows_than_may_be_under_way_go_down_as_they_are_acknowledged(void **state)
{
    struct place *p = *state;
    refuse_events(p, 300);
    ticket_t ticket = begin(p);
    size_t most = 0;
    for (int i = 0; i < 50 && probe_answered(p->probe, &sink_replay_contract, ticket, NULL) == -1; i++) {
        probe_advance(p->probe, 1);
        size_t now = handed_down(p);
        most = now > most ? now : most;
        probe_ack_all(p->probe);
        probe_clear(p->probe);
    }
    assert_true(most <= 128);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.replayed, 300);
    assert_int_equal(reply.stored, 300);
    assert_int_equal(quarantine(p).count, 0);
}

static void a_full_window_holds_the_replay_and_no_live_event(void **state)
{
    struct place *p = *state;
    refuse_events(p, 5);
    probe_set_room(p->probe, &event_raw_contract, 0);
    ticket_t ticket = begin(p);
    assert_int_equal(handed_down(p), 0);
    size_t released = probe_released(p->probe);
    deliver(p, 100);
    assert_int_equal(probe_released(p->probe), released + 1);
    assert_int_equal(stored(p), 1);
    probe_set_room(p->probe, &event_raw_contract, 2); /* the probe's room does not shrink by what is sent */
    probe_ack_all(p->probe);
    probe_advance(p->probe, 3000);
    assert_true(handed_down(p) > 0);
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, ticket, NULL), OK);
}

static void an_answer_comes_in_time_and_what_is_under_way_is_settled_later(void **state)
{
    struct place *p = *state;
    refuse_events(p, 200);
    ticket_t ticket = begin(p);
    probe_advance(p->probe, 2900);
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, ticket, NULL), -1);
    probe_advance(p->probe, 200);
    struct replay_reply reply = answer_to(p, ticket);
    assert_int_equal(reply.waiting, 128);
    assert_int_equal(reply.stored, 0);
    assert_true(reply.has_next);
    struct replay_query q = everything();
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), CONFLICT);
    assert_int_equal(quarantine(p).count, 200);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(quarantine(p).count, 72);
    SET(&q, from, reply.next);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), LATER);
    probe_advance(p->probe, 1);
    probe_clear(p->probe);
    probe_advance(p->probe, 1);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, probe_ticket(p->probe)).replayed, 72);
    assert_int_equal(quarantine(p).count, 0);
}

static void rows_are_chosen_by_number_and_by_stage(void **state)
{
    struct place *p = *state;
    refuse_events(p, 3);
    refuse(p, "sink", 9, slice_of("x"), "no");
    struct replay_query q;
    schema_clear(replay_query_schema(), &q);
    SET(&q, ids, slice_of("[3, 1, 99, 1]"));
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), LATER);
    probe_advance(p->probe, 1);
    assert_int_equal(handed_down(p), 2);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(quarantine(p).count, 2);
    schema_clear(replay_query_schema(), &q);
    SET_TEXT(&q, stage, "sink", 4);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), LATER);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, probe_ticket(p->probe)).refused, 1);
    assert_int_equal(quarantine(p).count, 2);
}

static void a_question_that_is_none_is_refused(void **state)
{
    struct place *p = *state;
    struct replay_query q;
    schema_clear(replay_query_schema(), &q);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), BAD_REQUEST);
    SET(&q, all, false);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), BAD_REQUEST);
    SET(&q, all, true);
    SET_TEXT(&q, stage, "sink", 4);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), BAD_REQUEST);
    schema_clear(replay_query_schema(), &q);
    SET_TEXT(&q, stage, "sinc", 4);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), BAD_REQUEST);
    assert_string_equal(probe_fault(p->probe).field, "stage");
    static const char *const bad[] = { "{}", "[1.5]", "[\"1\"]", "[-1]", "7", "[", "[]" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        schema_clear(replay_query_schema(), &q);
        SET(&q, ids, slice_of(bad[i]));
        assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), UNPROCESSABLE);
        assert_string_equal(probe_fault(p->probe).field, "ids");
    }
}

static void a_row_that_the_user_deletes_is_counted_and_its_number_never_given_again(void **state)
{
    struct place *p = *state;
    refuse_events(p, 2);
    struct bad_id q = { 0 }, reply;
    SET(&q, id, quarantine(p).id + 1); /* the newest */
    assert_int_equal(probe_call(p->probe, &sink_discard_contract, &q, &reply), OK);
    assert_int_equal(quarantine(p).count, 1);
    assert_int_equal(stats(p->probe).discarded, 1);
    assert_int_equal(probe_call(p->probe, &sink_discard_contract, &q, &reply), NOT_FOUND);
    kill_sink(p);
    refuse(p, "enrich", 50, slice_of("{}"), "empty");
    assert_int_equal(probe_call(p->probe, &sink_discard_contract, &q, &reply), NOT_FOUND);
    assert_int_equal(quarantine(p).count, 2);
    begin(p);
    SET(&q, id, quarantine(p).id);
    assert_int_equal(probe_call(p->probe, &sink_discard_contract, &q, &reply), CONFLICT);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_ends_the_replay_and_leaves_every_row(void **state)
{
    struct place *p = *state;
    signal(SIGXFSZ, SIG_IGN);
    refuse_events(p, 5);
    ticket_t ticket = begin(p);
    limit_files(4096);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, ticket, NULL), UNAVAILABLE);
    limit_files(RLIM_INFINITY);
    assert_int_equal(quarantine(p).count, 5);
    probe_advance(p->probe, 1000);
    probe_clear(p->probe);
    ticket = begin(p);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(answer_to(p, ticket).stored, 5);
    assert_int_equal(quarantine(p).count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_event_leaves_the_quarantine_when_it_is_acknowledged_and_not_before),
        TEST(what_is_refused_again_stays_one_row_with_the_new_reason),
        TEST(what_the_next_stage_refuses_stays_one_row_of_that_stage),
        TEST(a_message_that_enrich_could_not_read_is_given_back_as_it_was),
        TEST(what_was_refused_before_there_were_totals_is_replayed_all_the_same),
        TEST(a_kill_at_any_moment_loses_nothing_and_stores_nothing_twice),
        TEST(what_the_sink_takes_now_is_stored_and_leaves_in_one_commit),
        TEST(a_frame_goes_back_to_ingest_and_leaves_when_its_log_has_it),
        TEST(without_ingest_frames_stay_and_it_is_said),
        TEST(a_frame_that_is_taken_late_leaves_all_the_same),
        TEST(bytes_that_were_given_back_before_are_known_by_their_time),
        TEST(more_rows_than_may_be_under_way_go_down_as_they_are_acknowledged),
        TEST(a_full_window_holds_the_replay_and_no_live_event),
        TEST(an_answer_comes_in_time_and_what_is_under_way_is_settled_later),
        TEST(rows_are_chosen_by_number_and_by_stage),
        TEST(a_question_that_is_none_is_refused),
        TEST(a_row_that_the_user_deletes_is_counted_and_its_number_never_given_again),
        TEST(a_full_disk_ends_the_replay_and_leaves_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
