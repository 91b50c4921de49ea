/* test_session.c - the conversation with Home Assistant, scripted and as recorded. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recording.h"
#include "session.h"

#define SECOND INT64_C(1000000)
#define HELLO "{\"type\":\"auth_required\",\"ha_version\":\"2026.2.3\"}"
#define AUTH_OK "{\"type\":\"auth_ok\",\"ha_version\":\"2026.2.3\"}"
#define GRANTED "{\"id\":2,\"type\":\"result\",\"success\":true,\"result\":null}"

struct talk {
    session_t *session;
    split_t *split;
    int64_t now;
    char sent[16384];        /* what was said, a line each */
    int sent_count;
    char events[65536];      /* the items of each frame, a line each; bad ones with ! */
    int event_count, frame_count;
    enum session_state states[8];
    int state_count;
    int64_t answered_tag;
    bool answered_success;
    char answered_result[256], answered_error[256];
    int answered_count, fenced;
};

static void on_send(void *owner, struct slice text)
{
    struct talk *talk = owner;
    size_t at = strlen(talk->sent);
    snprintf(talk->sent + at, sizeof talk->sent - at, "%.*s\n", (int)text.size, (const char *)text.data);
    talk->sent_count++;
}

static void on_moved(void *owner, enum session_state state)
{
    struct talk *talk = owner;
    assert_true(talk->state_count < 8);
    talk->states[talk->state_count++] = state;
}

static void on_frame(void *owner, struct slice frame, const struct items *items)
{
    struct talk *talk = owner;
    assert_true(items->count > 0);
    talk->frame_count++;
    for (size_t i = 0; i < items->count; i++) {
        const struct item *item = &items->list[i];
        const char *begin = frame.data, *at = item->bytes.data;
        assert_true(at >= begin && at + item->bytes.size <= begin + frame.size);
        size_t end = strlen(talk->events);
        snprintf(talk->events + end, sizeof talk->events - end, "%s%.*s\n", item->why ? "!" : "",
            (int)(item->bytes.size > 200 ? 200 : item->bytes.size), at);
        talk->event_count++;
    }
}

static void copy(char *to, size_t room, struct slice from)
{
    snprintf(to, room, "%.*s", (int)from.size, from.data ? (const char *)from.data : "");
}

static void on_answered(void *owner, int64_t tag, bool success, struct slice result, struct slice error)
{
    struct talk *talk = owner;
    talk->answered_count++;
    talk->answered_tag = tag;
    talk->answered_success = success;
    copy(talk->answered_result, sizeof talk->answered_result, result);
    copy(talk->answered_error, sizeof talk->answered_error, error);
}

static void on_fenced(void *owner)
{
    struct talk *talk = owner;
    talk->fenced++;
}

static int set_up(void **state)
{
    static const struct session_hooks hooks = { .send = on_send, .moved = on_moved, .frame = on_frame,
        .answered = on_answered, .fenced = on_fenced };
    struct talk *talk = calloc(1, sizeof *talk);
    talk->split = split_new();
    talk->now = 50 * SECOND;
    struct session_options options = { .split = talk->split, .token = slice_of("the-token"), .auth_us = 10 * SECOND,
        .subscribe_us = 60 * SECOND, .ping_us = 10 * SECOND, .silence_us = 30 * SECOND };
    talk->session = session_new(&options, &hooks, talk, talk->now);
    *state = talk;
    return 0;
}

static int tear_down(void **state)
{
    struct talk *talk = *state;
    session_destroy(&talk->session);
    split_destroy(&talk->split);
    free(talk);
    return 0;
}

static void hear(struct talk *talk, const char *text)
{
    /* A copy of exactly its size, so that a read beyond it is found. */
    size_t size = strlen(text);
    char *exact = malloc(size);
    memcpy(exact, text, size);
    session_take(talk->session, (struct slice){ exact, size }, talk->now);
    free(exact);
}

static void go_live(struct talk *talk)
{
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    hear(talk, GRANTED);
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
    talk->sent[0] = '\0';
}

/* Ticks as the loop would until the session says something or ends; returns the seconds that took. */
static int64_t wait_for_news(struct talk *talk, int64_t most_s)
{
    int sent = talk->sent_count;
    int64_t from = talk->now;
    while (talk->now - from < most_s * SECOND) {
        int64_t due = session_tick(talk->session, talk->now);
        if (talk->sent_count > sent || session_state(talk->session) == SESSION_OVER)
            break;
        assert_true(due > 0);
        talk->now += due < SECOND / 4 ? due : SECOND / 4;
    }
    return (talk->now - from + SECOND / 2) / SECOND;
}

/* --- the way to live ------------------------------------------------------------------- */

static void it_authenticates_opts_in_and_subscribes_to_everything(void **state)
{
    struct talk *talk = *state;
    assert_int_equal(talk->sent_count, 0); /* never before it is asked */
    hear(talk, HELLO);
    assert_string_equal(talk->sent, "{\"type\":\"auth\",\"access_token\":\"the-token\"}\n");
    hear(talk, AUTH_OK);
    assert_string_equal(talk->sent + 43, "{\"id\":1,\"type\":\"supported_features\",\"features\":{\"coalesce_messages\":1}}\n"
        "{\"id\":2,\"type\":\"subscribe_events\"}\n");
    assert_string_equal(session_ha_version(talk->session), "2026.2.3");
    hear(talk, "[{\"id\":1,\"type\":\"result\",\"success\":true,\"result\":null}," GRANTED "]");
    static const enum session_state expected[] = { SESSION_AUTH, SESSION_SUBSCRIBING, SESSION_LIVE };
    assert_int_equal(talk->state_count, 3);
    assert_memory_equal(talk->states, expected, sizeof expected);
    assert_true(session_all_events(talk->session));
    assert_string_equal(session_event_types(talk->session), "");
}

static void an_old_home_assistant_without_features_does_no_harm(void **state)
{
    struct talk *talk = *state;
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    hear(talk, "{\"id\":1,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"unknown_command\",\"message\":\"x\"}}");
    hear(talk, GRANTED);
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
}

static void a_token_that_may_not_have_all_events_gets_the_allowed_list(void **state)
{
    struct talk *talk = *state;
    char text[200];
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    talk->sent[0] = '\0';
    int before = talk->sent_count;
    hear(talk, "{\"id\":2,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"unauthorized\",\"message\":\"Unauthorized\"}}");
    int asked = talk->sent_count - before;
    assert_true(asked > 10);
    assert_non_null(strstr(talk->sent, "{\"id\":3,\"type\":\"subscribe_events\",\"event_type\":\"state_changed\"}\n"));
    for (int i = 0; i < asked; i++) {
        assert_int_equal(session_state(talk->session), SESSION_SUBSCRIBING);
        snprintf(text, sizeof text, "{\"id\":%d,\"type\":\"result\",\"success\":%s,\"result\":null}", 3 + i, i == 1 ? "false" : "true");
        hear(talk, text);
        if (i == 0) /* its events come at once, before the others are answered */
            hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\"},\"id\":3}");
    }
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
    assert_int_equal(talk->event_count, 1);
    assert_false(session_all_events(talk->session));
    assert_non_null(strstr(session_event_types(talk->session), "[\"state_changed\","));
    assert_null(strstr(session_event_types(talk->session), "area_registry_updated"));
    snprintf(text, sizeof text, "{\"type\":\"event\",\"event\":{\"event_type\":\"themes_updated\"},\"id\":%d}", 2 + asked);
    hear(talk, text);
    assert_int_equal(talk->event_count, 2);
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"x\"},\"id\":2}"); /* the one that was refused */
    assert_int_equal(talk->event_count, 2);
}

static void a_token_that_may_have_nothing_is_an_error_not_a_silence(void **state)
{
    struct talk *talk = *state;
    char text[200];
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    hear(talk, "{\"id\":2,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"unauthorized\"}}");
    for (int id = 3; session_state(talk->session) != SESSION_OVER && id < 100; id++) {
        snprintf(text, sizeof text, "{\"id\":%d,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"unauthorized\"}}", id);
        hear(talk, text);
    }
    assert_int_equal(session_end(talk->session), END_PROTOCOL);
    assert_non_null(strstr(session_why(talk->session), "may not subscribe"));
}

static void a_refused_token_ends_the_session(void **state)
{
    struct talk *talk = *state;
    hear(talk, HELLO);
    hear(talk, "{\"type\":\"auth_invalid\",\"message\":\"Invalid access token or password\"}");
    assert_int_equal(session_state(talk->session), SESSION_OVER);
    assert_int_equal(session_end(talk->session), END_REFUSED);
    assert_null(strstr(session_why(talk->session), "the-token"));
    int sent = talk->sent_count;
    hear(talk, HELLO); /* nothing more is said */
    session_tick(talk->session, talk->now + 100 * SECOND);
    assert_int_equal(talk->sent_count, sent);
}

static void something_else_than_home_assistant_is_left(void **state)
{
    static const char *const openings[] = { "hello", "{}", "[]x", "{\"type\":\"welcome\"}", "\"auth_required\"", "[1]", "{\"type\":1}" };
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        struct talk *talk = *state;
        hear(talk, openings[i]);
        assert_int_equal(session_end(talk->session), END_PROTOCOL);
        assert_int_equal(talk->sent_count, 0); /* above all not the token */
        assert_int_equal(talk->event_count, 0);
    }
}

static void an_authentication_that_takes_too_long_is_given_up(void **state)
{
    struct talk *talk = *state;
    assert_int_equal(wait_for_news(talk, 100), 10);
    assert_int_equal(session_end(talk->session), END_PROTOCOL);
    tear_down(state);
    set_up(state);
    talk = *state;
    talk->now += 8 * SECOND; /* the socket took so long to open */
    session_opened(talk->session, talk->now);
    talk->now += 5 * SECOND;
    hear(talk, HELLO);
    assert_int_equal(wait_for_news(talk, 100), 10);
    assert_int_equal(session_end(talk->session), END_PROTOCOL);
}

/* --- events ---------------------------------------------------------------------------- */

static void events_are_routed_by_id_wherever_it_stands(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2}");
    hear(talk, "{\"id\":2,\"event\":{\"a\":2},\"type\":\"event\"}");
    hear(talk, " { \"event\" : { \"a\" : 3 } , \"id\" : 2 , \"type\" : \"event\" } ");
    hear(talk, "{\"type\":\"event\",\"event\":{\"states\":{}},\"id\":9}"); /* of somebody's stream */
    assert_string_equal(talk->events, "{\"a\":1}\n{\"a\":2}\n{ \"a\" : 3 }\n");
    assert_int_equal(session_ignored(talk->session), 1);
}

static void a_coalesced_array_is_many_events_and_one_frame(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    size_t room = 1 << 20, at = 0;
    char *text = malloc(room);
    at += (size_t)snprintf(text, room, "[");
    for (int i = 0; i < 5000; i++)
        at += (size_t)snprintf(text + at, room - at, "%s{\"type\":\"event\",\"event\":{\"n\":%d},\"id\":2}", i ? "," : "", i);
    snprintf(text + at, room - at, "]");
    hear(talk, text);
    assert_int_equal(talk->frame_count, 1);
    assert_int_equal(talk->event_count, 5000);
    free(text);
    hear(talk, "[{\"type\":\"event\",\"event\":{\"x\":1},\"id\":2},{\"id\":77,\"type\":\"result\",\"success\":true,\"result\":null},"
        "{\"type\":\"event\",\"event\":{\"x\":2},\"id\":2}]");
    assert_int_equal(talk->event_count, 5002);
    hear(talk, "[]");
    assert_int_equal(talk->frame_count, 2);
}

static void what_cannot_be_read_is_kept_whole(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2"); /* cut */
    hear(talk, "[{\"type\":\"event\",\"event\":{\"a\":2},\"id\":2},17,{\"type\":\"event\",\"event\":[],\"id\":2},{\"type\":\"event\",\"id\":2}]");
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":\"\xff\"},\"id\":2}");
    assert_string_equal(talk->events, "!{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2\n"
        "{\"a\":2}\n!17\n!{\"type\":\"event\",\"event\":[],\"id\":2}\n!{\"type\":\"event\",\"id\":2}\n"
        "!{\"type\":\"event\",\"event\":{\"a\":\"\xff\"},\"id\":2}\n");
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
}

static void registry_changes_and_a_stop_are_noticed(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"x\":\"_registry_updated\",\"y\":\"homeassistant_stop\"}},\"id\":2}");
    assert_int_equal(session_registry_changes(talk->session), 0);
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"entity_registry_updated\",\"data\":{}},\"id\":2}");
    hear(talk, "[{\"type\":\"event\",\"event\":{\"event_type\":\"area_registry_updated\",\"data\":{}},\"id\":2},"
        "{\"type\":\"event\",\"event\":{\"data\":{},\"event_type\":\"floor_registry_updated\"},\"id\":2}]");
    assert_int_equal(session_registry_changes(talk->session), 3);
    assert_false(session_is_stopping(talk->session));
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"homeassistant_stop\",\"data\":{}},\"id\":2}");
    assert_true(session_is_stopping(talk->session));
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"homeassistant_started\",\"data\":{}},\"id\":2}");
    assert_false(session_is_stopping(talk->session));
}

/* --- asking ---------------------------------------------------------------------------- */

static void a_start_ends_when_home_assistant_says_that_it_has_started(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    assert_true(session_is_starting(talk->session)); /* nobody has asked yet */
    session_set_starting(talk->session, false);
    assert_false(session_is_starting(talk->session));
    session_set_starting(talk->session, true);
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"homeassistant_start\",\"data\":{}},\"id\":2}");
    assert_true(session_is_starting(talk->session));
    hear(talk, "{\"type\":\"event\",\"event\":{\"event_type\":\"homeassistant_started\",\"data\":{}},\"id\":2}");
    assert_false(session_is_starting(talk->session));
}

static void answers_go_to_who_asked_in_any_order(void **state)
{
    struct talk *talk = *state;
    assert_int_equal(session_ask(talk->session, slice_of("{\"type\":\"get_states\"}"), 5, talk->now), -1); /* not live */
    go_live(talk);
    assert_int_equal(session_ask(talk->session, slice_of("{\"type\":\"get_states\"}"), 100, talk->now), 0);
    assert_int_equal(session_ask(talk->session, slice_of("{ \n }"), 101, talk->now), 0);
    assert_int_equal(session_ask(talk->session, slice_of("{\"type\":\"get_config\"}"), 102, talk->now), 0);
    assert_string_equal(talk->sent, "{\"id\":3,\"type\":\"get_states\"}\n{\"id\":4}\n{\"id\":5,\"type\":\"get_config\"}\n");
    hear(talk, "{\"id\":5,\"type\":\"result\",\"success\":true,\"result\":{\"a\":[1,2]}}");
    assert_int_equal(talk->answered_tag, 102);
    assert_true(talk->answered_success);
    assert_string_equal(talk->answered_result, "{\"a\":[1,2]}");
    hear(talk, "{\"id\":3,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"x\"}}");
    assert_int_equal(talk->answered_tag, 100);
    assert_false(talk->answered_success);
    assert_string_equal(talk->answered_error, "{\"code\":\"x\"}");
    hear(talk, "{\"id\":3,\"type\":\"result\",\"success\":true,\"result\":1}"); /* twice */
    hear(talk, "{\"id\":999,\"type\":\"result\",\"success\":true,\"result\":1}"); /* nobody's */
    assert_int_equal(talk->answered_count, 2);
    assert_int_equal(session_ignored(talk->session), 2);
    int64_t tag;
    assert_false(session_drop_ask(talk->session, talk->now - 1, &tag));
    assert_true(session_drop_ask(talk->session, talk->now, &tag));
    assert_int_equal(tag, 101);
    assert_false(session_drop_ask(talk->session, INT64_MAX, &tag));
}

static void what_is_asked_at_once_is_bounded(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    int count = 0;
    while (session_ask(talk->session, slice_of("{\"type\":\"x\"}"), count, talk->now) == 0)
        count++;
    assert_int_equal(count, 256);
}

static void ids_only_grow(void **state)
{
    struct talk *talk = *state;
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    hear(talk, "{\"id\":2,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"unauthorized\"}}");
    for (int id = 3; session_state(talk->session) != SESSION_LIVE; id++) {
        char text[100];
        snprintf(text, sizeof text, "{\"id\":%d,\"type\":\"result\",\"success\":true,\"result\":null}", id);
        hear(talk, text);
    }
    for (int i = 0; i < 20; i++) {
        session_ask(talk->session, slice_of("{\"type\":\"x\"}"), i, talk->now);
        session_fence(talk->session, talk->now);
        talk->now += 10 * SECOND;
        session_tick(talk->session, talk->now);
        session_heard(talk->session, talk->now);
    }
    long last = 0;
    for (const char *at = talk->sent; (at = strstr(at, "{\"id\":")) != NULL; at += 6) {
        long id = strtol(at + 6, NULL, 10);
        assert_true(id > last);
        last = id;
    }
    assert_true(last > 60);
}

/* --- silence --------------------------------------------------------------------------- */

static void silence_is_answered_by_a_ping_and_then_by_the_end(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    int64_t heard = talk->now;
    assert_int_equal(wait_for_news(talk, 100), 10);
    assert_string_equal(talk->sent, "{\"id\":3,\"type\":\"ping\"}\n");
    assert_int_equal(wait_for_news(talk, 100), 20);
    assert_int_equal(session_end(talk->session), END_SILENT);
    assert_int_equal(session_known_at(talk->session), heard);
    assert_int_equal(talk->sent_count, 4);
}

static void a_pong_keeps_a_quiet_house_connected(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    for (int i = 0; i < 50; i++) {
        char text[64];
        assert_int_equal(wait_for_news(talk, 100), 10);
        snprintf(text, sizeof text, "{\"id\":%d,\"type\":\"pong\"}", 3 + i);
        hear(talk, text);
    }
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
    assert_int_equal(session_ignored(talk->session), 0);
    assert_int_equal(session_known_at(talk->session), talk->now);
}

static void a_process_that_was_stopped_does_not_blame_the_other_side(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    session_tick(talk->session, talk->now);
    talk->now += 300 * SECOND; /* SIGSTOP */
    session_tick(talk->session, talk->now);
    assert_int_equal(session_state(talk->session), SESSION_LIVE);
    assert_string_equal(talk->sent, "{\"id\":3,\"type\":\"ping\"}\n");
    assert_int_equal(wait_for_news(talk, 100), 20);
    assert_int_equal(session_end(talk->session), END_SILENT);
}

/* What comes after a standstill may be old, and the other side may have given up long ago: only
 * the answer to a question asked since tells that nothing is missing. */
static void after_a_standstill_nothing_newer_is_known_until_a_ping_is_answered(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2}");
    int64_t known = talk->now;
    session_tick(talk->session, talk->now);
    talk->now += 15 * SECOND;
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":2},\"id\":2}");
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":3},\"id\":2}");
    assert_int_equal(session_known_at(talk->session), known);
    session_tick(talk->session, talk->now);
    assert_string_equal(talk->sent, "{\"id\":3,\"type\":\"ping\"}\n");
    int64_t asked = talk->now;
    for (int i = 0; i < 12; i++) { /* a slow answer: no other question meanwhile */
        talk->now += SECOND / 4;
        hear(talk, "{\"type\":\"event\",\"event\":{\"a\":4},\"id\":2}");
        session_tick(talk->session, talk->now);
    }
    assert_int_equal(talk->sent_count, 4);
    hear(talk, "{\"id\":3,\"type\":\"pong\"}");
    assert_int_equal(session_known_at(talk->session), asked);
    session_tick(talk->session, talk->now);
    assert_int_equal(talk->sent_count, 5);
    hear(talk, "{\"id\":4,\"type\":\"pong\"}"); /* at once: we are up to date */
    talk->now += SECOND;
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":5},\"id\":2}");
    assert_int_equal(session_known_at(talk->session), talk->now);
}

static void while_more_waits_than_is_read_nothing_newer_is_known(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    int64_t known = talk->now;
    session_doubt(talk->session);
    talk->now += SECOND;
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2}");
    session_excuse(talk->session, talk->now);
    assert_int_equal(session_known_at(talk->session), known);
}

static void a_subscription_that_is_never_answered_ends_the_session(void **state)
{
    struct talk *talk = *state;
    hear(talk, HELLO);
    hear(talk, AUTH_OK);
    for (int i = 0; i < 20 && session_state(talk->session) != SESSION_OVER; i++) {
        wait_for_news(talk, 5);
        session_heard(talk->session, talk->now);
    }
    assert_int_equal(session_end(talk->session), END_PROTOCOL);
}

static void a_fence_is_told_after_the_events_before_it(void **state)
{
    struct talk *talk = *state;
    go_live(talk);
    session_fence(talk->session, talk->now);
    assert_string_equal(talk->sent, "{\"id\":3,\"type\":\"ping\"}\n");
    hear(talk, "{\"type\":\"event\",\"event\":{\"a\":1},\"id\":2}");
    hear(talk, "{\"id\":2,\"type\":\"pong\"}");
    assert_int_equal(talk->fenced, 0);
    hear(talk, "[{\"type\":\"event\",\"event\":{\"a\":2},\"id\":2},{\"id\":3,\"type\":\"pong\"}]");
    assert_int_equal(talk->fenced, 1);
    assert_int_equal(talk->event_count, 2);
    hear(talk, "{\"id\":3,\"type\":\"pong\"}");
    assert_int_equal(talk->fenced, 1);
}

/* --- recordings ------------------------------------------------------------------------ */

struct replay { struct talk *talk; int64_t subscription, expected; uint32_t first, last; };

/* Find the recorded client's own id of subscribe_events, then count what came for it. */
static void count_events(void *owner, bool received, struct slice text)
{
    struct replay *replay = owner;
    static const char subscribe[] = "\"type\": \"subscribe_events\"";
    if (!received) {
        const char *id = memmem(text.data, text.size, "\"id\": ", 6);
        if (memmem(text.data, text.size, subscribe, sizeof subscribe - 1) && id)
            replay->subscription = strtol(id + 6, NULL, 10);
        return;
    }
    char mark[32];
    int size = snprintf(mark, sizeof mark, ",\"id\":%d}", (int)replay->subscription);
    for (const char *at = text.data, *end = at + text.size; replay->subscription > 0
            && (at = memmem(at, (size_t)(end - at), mark, (size_t)size)) != NULL; at += size)
        replay->expected++;
    struct items items = { 0 };
    split_items(replay->talk->split, text, (uint32_t)replay->subscription, (uint32_t)replay->subscription, &items);
    for (size_t i = 0; i < items.count; i++) {
        assert_null(items.list[i].why);
        assert_memory_equal(items.list[i].bytes.data, "{\"event_type\":\"", 15);
        const char *last = (const char *)items.list[i].bytes.data + items.list[i].bytes.size - 1;
        assert_int_equal(*last, '}');
    }
    replay->talk->event_count += (int)items.count;
    items_free(&items);
}

static void every_recorded_event_is_found_and_nothing_else(void **state)
{
    static const char *const names[] = { "ha-2024.3.3", "ha-2025.4.4", "ha-2026.2.3", "ha-2024.3.3-coalesced",
        "ha-2025.4.4-coalesced", "ha-2026.2.3-coalesced", "ha-2024.3.3-startup", "ha-2025.4.4-startup", "ha-2026.2.3-startup" };
    struct talk *talk = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct replay replay = { .talk = talk };
        talk->event_count = 0;
        assert_true(recording_each(names[i], count_events, &replay) > 10);
        assert_true(replay.subscription > 0);
        assert_true(talk->event_count > 20);
        assert_int_equal(talk->event_count, replay.expected);
    }
}

int main(void)
{
#define TALKING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TALKING(it_authenticates_opts_in_and_subscribes_to_everything),
        TALKING(an_old_home_assistant_without_features_does_no_harm),
        TALKING(a_token_that_may_not_have_all_events_gets_the_allowed_list),
        TALKING(a_token_that_may_have_nothing_is_an_error_not_a_silence),
        TALKING(a_refused_token_ends_the_session),
        TALKING(something_else_than_home_assistant_is_left),
        TALKING(an_authentication_that_takes_too_long_is_given_up),
        TALKING(events_are_routed_by_id_wherever_it_stands),
        TALKING(a_coalesced_array_is_many_events_and_one_frame),
        TALKING(what_cannot_be_read_is_kept_whole),
        TALKING(registry_changes_and_a_stop_are_noticed),
        TALKING(a_start_ends_when_home_assistant_says_that_it_has_started),
        TALKING(answers_go_to_who_asked_in_any_order),
        TALKING(what_is_asked_at_once_is_bounded),
        TALKING(ids_only_grow),
        TALKING(silence_is_answered_by_a_ping_and_then_by_the_end),
        TALKING(a_pong_keeps_a_quiet_house_connected),
        TALKING(a_process_that_was_stopped_does_not_blame_the_other_side),
        TALKING(a_subscription_that_is_never_answered_ends_the_session),
        TALKING(after_a_standstill_nothing_newer_is_known_until_a_ping_is_answered),
        TALKING(while_more_waits_than_is_read_nothing_newer_is_known),
        TALKING(a_fence_is_told_after_the_events_before_it),
        TALKING(every_recorded_event_is_found_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
