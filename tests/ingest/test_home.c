/* test_home.c - dialling, fail-over, return to the better way and outages, with a virtual clock and no socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "home.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)

enum { ENDPOINTS = 2, SOCKETS = 8 };

struct fake { struct link *link; int endpoint; char sent[8192]; bool is_open, is_closed, is_held; };

struct world {
    home_t *home;
    split_t *split;
    struct endpoint endpoints[ENDPOINTS];
    struct fake sockets[SOCKETS]; /* all that were ever opened, the newest last */
    int socket_count;
    int dialled[ENDPOINTS];
    bool fails_at_once;
    int64_t now, numbers;
    char log[4096];               /* what the home told, a word each */
    int64_t known_us, frame_session;
    int lives, frames, unanswered, failed[FAILED_REFUSED + 1];
};

static void tell(struct world *world, const char *what)
{
    size_t at = strlen(world->log);
    snprintf(world->log + at, sizeof world->log - at, "%s ", what);
}

static void *open_socket(void *owner, const struct endpoint *endpoint, struct link *link)
{
    struct world *world = owner;
    int which = (int)(endpoint - world->endpoints);
    world->dialled[which]++;
    if (world->fails_at_once)
        return NULL;
    assert_true(world->socket_count < SOCKETS);
    struct fake *fake = &world->sockets[world->socket_count++];
    *fake = (struct fake){ .link = link, .endpoint = which };
    return fake;
}

static void send_text(void *socket, struct slice text)
{
    struct fake *fake = socket;
    assert_true(fake->is_open && !fake->is_closed);
    size_t at = strlen(fake->sent);
    snprintf(fake->sent + at, sizeof fake->sent - at, "%.*s\n", (int)text.size, (const char *)text.data);
}

static void hold(void *socket, bool held)
{
    ((struct fake *)socket)->is_held = held;
}

static void close_socket(void *socket)
{
    struct fake *fake = socket;
    assert_false(fake->is_closed);
    fake->is_closed = true;
}

static int64_t on_number(void *owner) { return ++((struct world *)owner)->numbers; }
static double on_random(void *owner) { return (void)owner, 0.0; }
static void on_changed(void *owner) { (void)owner; }
static void on_failed(void *owner, enum home_failure failure, const char *url, const char *why)
{
    struct world *world = owner;
    (void)url, (void)why;
    world->failed[failure]++;
}

static void on_live(void *owner, bool took_over)
{
    struct world *world = owner;
    world->lives++;
    tell(world, took_over ? "moved" : "live");
}

static const char *const causes[] = { [CAUSE_CONNECTION_LOST] = "lost", [CAUSE_SILENT] = "silent", [CAUSE_RESTART] = "restart",
    [CAUSE_AUTH_REFUSED] = "refused" };

static void on_lost(void *owner, int64_t known_us, enum home_cause cause)
{
    struct world *world = owner;
    world->known_us = known_us;
    tell(world, causes[cause]);
}

static void on_cause(void *owner, enum home_cause cause)
{
    char text[32];
    snprintf(text, sizeof text, "cause:%s", causes[cause]);
    tell(owner, text);
}

static void on_frame(void *owner, int64_t session, uint32_t first_id, uint32_t last_id, struct slice frame,
    const struct items *items)
{
    struct world *world = owner;
    (void)first_id, (void)last_id, (void)frame, (void)items;
    world->frames++;
    world->frame_session = session;
}

static void on_answered(void *owner, int64_t tag, bool success, struct slice result, struct slice error)
{
    (void)owner, (void)tag, (void)success, (void)result, (void)error;
}

static void on_unanswered(void *owner, int64_t tag)
{
    (void)tag;
    ((struct world *)owner)->unanswered++;
}

static int set_up(void **state)
{
    static const struct socket_calls calls = { .open = open_socket, .send = send_text, .hold = hold, .close = close_socket };
    static const struct home_hooks hooks = { .number = on_number, .random = on_random, .changed = on_changed,
        .live = on_live, .lost = on_lost, .cause = on_cause, .frame = on_frame, .answered = on_answered,
        .unanswered = on_unanswered, .failed = on_failed };
    struct world *world = calloc(1, sizeof *world);
    const char *why;
    world->now = 1000 * SECOND;
    world->split = split_new();
    assert_int_equal(endpoint_read(&world->endpoints[0], slice_of("http://first"), slice_of("one"), &why), 0);
    assert_int_equal(endpoint_read(&world->endpoints[1], slice_of("http://second"), slice_of("two"), &why), 0);
    struct home_options options = { .endpoints = world->endpoints, .open_us = 15 * SECOND,
        .plan = { .count = ENDPOINTS, .retry_min_us = SECOND, .retry_max_us = 300 * SECOND, .auth_retry_us = 900 * SECOND,
            .better_us = 60 * SECOND },
        .session = { .split = world->split, .auth_us = 10 * SECOND, .subscribe_us = 60 * SECOND, .ping_us = 10 * SECOND,
            .silence_us = 30 * SECOND } };
    world->home = home_new(&options, &calls, world, &hooks, world, world->now);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    home_destroy(&world->home);
    split_destroy(&world->split);
    free(world);
    return 0;
}

static struct fake *newest(struct world *world)
{
    assert_true(world->socket_count > 0);
    return &world->sockets[world->socket_count - 1];
}

static void hear(struct world *world, struct fake *fake, const char *text)
{
    assert_false(fake->is_closed);
    link_received(fake->link, slice_of(text), world->now);
}

static void let_in(struct world *world, struct fake *fake)
{
    link_opened(fake->link, world->now);
    fake->is_open = true;
    hear(world, fake, "{\"type\":\"auth_required\",\"ha_version\":\"2026.2.3\"}");
    hear(world, fake, "{\"type\":\"auth_ok\",\"ha_version\":\"2026.2.3\"}");
    hear(world, fake, "{\"id\":2,\"type\":\"result\",\"success\":true,\"result\":null}");
}

static void refuse(struct world *world, struct fake *fake)
{
    link_opened(fake->link, world->now);
    fake->is_open = true;
    hear(world, fake, "{\"type\":\"auth_required\"}");
    hear(world, fake, "{\"type\":\"auth_invalid\"}");
}

/* Let time pass until a new socket is dialled; returns it, or NULL. */
static struct fake *wait_dial(struct world *world, int64_t seconds)
{
    int before = world->socket_count;
    for (int64_t until = world->now + seconds * SECOND; world->now <= until; world->now += SECOND / 20) {
        assert_true(home_tick(world->home, world->now) >= 0);
        if (world->socket_count > before)
            return newest(world);
    }
    return NULL;
}

/* Answers pings on all open sockets, so that nothing looks silent. */
static void pass(struct world *world, int64_t seconds)
{
    for (int64_t until = world->now + seconds * SECOND; world->now < until; world->now += SECOND / 20) {
        home_tick(world->home, world->now);
        for (int i = 0; i < world->socket_count; i++)
            if (world->sockets[i].is_open && !world->sockets[i].is_closed)
                link_heard(world->sockets[i].link, world->now);
    }
}

static enum home_state state_of(struct world *world)
{
    struct home_view view;
    home_view(world->home, &view);
    return view.state;
}

static void the_first_endpoint_is_dialled_at_once(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    assert_non_null(fake);
    assert_int_equal(fake->endpoint, 0);
    assert_int_equal(state_of(world), HOME_CONNECTING);
    let_in(world, fake);
    assert_int_equal(state_of(world), HOME_LIVE);
    assert_string_equal(world->log, "live ");
    assert_non_null(strstr(fake->sent, "\"access_token\":\"one\""));
    struct home_view view;
    home_view(world->home, &view);
    assert_int_equal(view.session, 1);
    assert_string_equal(view.ha_version, "2026.2.3");
    assert_string_equal(view.endpoint->url, "ws://first:80/api/websocket");
    assert_null(wait_dial(world, 5)); /* and no second one beside it */
}

static void frames_carry_their_session(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    hear(world, fake, "{\"type\":\"event\",\"event\":{},\"id\":2}");
    assert_int_equal(world->frame_session, 1);
    assert_int_equal(world->frames, 1);
}

static void when_the_first_fails_the_second_is_tried(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    link_closed(fake->link, 0, "refused", world->now);
    fake->is_closed = true;
    assert_int_equal(state_of(world), HOME_WAITING);
    fake = wait_dial(world, 1);
    assert_non_null(fake);
    assert_int_equal(fake->endpoint, 1);
    let_in(world, fake);
    assert_int_equal(state_of(world), HOME_LIVE);
    assert_non_null(strstr(fake->sent, "\"access_token\":\"two\""));
}

static void a_connection_that_never_opens_is_given_up(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    int64_t dialled = world->now;
    struct fake *second = wait_dial(world, 60);
    assert_true(first->is_closed);
    assert_int_equal(second->endpoint, 1);
    assert_in_range((world->now - dialled) / SECOND, 14, 16);
}

static void failing_at_once_is_no_storm(void **state)
{
    struct world *world = *state;
    world->fails_at_once = true;
    assert_null(wait_dial(world, 3600));
    assert_in_range(world->dialled[0], 10, 25);
    assert_in_range(world->dialled[1], 10, 25);
}

static void a_lost_connection_is_told_and_dialled_again(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    hear(world, fake, "{\"type\":\"event\",\"event\":{},\"id\":2}");
    int64_t heard = world->now;
    assert_int_equal(home_ask(world->home, slice_of("{\"type\":\"x\"}"), 1, world->now), 0);
    world->now += 3 * SECOND;
    link_closed(fake->link, 0, "closed", world->now);
    fake->is_closed = true;
    assert_int_equal(world->unanswered, 1);
    assert_int_equal(world->failed[FAILED_LIVE], 1);
    assert_string_equal(world->log, "live lost ");
    assert_int_equal(world->known_us, heard);
    assert_int_equal(home_ask(world->home, slice_of("{\"type\":\"x\"}"), 1, world->now), -1);
    int64_t lost = world->now;
    fake = wait_dial(world, 10);
    assert_int_equal(fake->endpoint, 0);
    assert_in_range(world->now - lost, SECOND * 8 / 10, SECOND * 12 / 10);
    let_in(world, fake);
    assert_string_equal(world->log, "live lost live ");
    assert_int_equal(world->numbers, 2);
}

static void a_silent_connection_is_found_out(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    int64_t heard = world->now;
    while (!fake->is_closed) {
        home_tick(world->home, world->now);
        world->now += SECOND / 4;
    }
    assert_non_null(strstr(fake->sent, "\"type\":\"ping\""));
    assert_string_equal(world->log, "live silent ");
    assert_int_equal(world->known_us, heard);
    assert_in_range((world->now - heard) / SECOND, 29, 31);
}

static void a_restart_of_home_assistant_is_told_apart(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    hear(world, fake, "{\"type\":\"event\",\"event\":{\"event_type\":\"homeassistant_final_write\"},\"id\":2}");
    link_closed(fake->link, 0, "closed", world->now);
    fake->is_closed = true;
    assert_string_equal(world->log, "live restart ");
}

static void the_supervisors_502_means_a_restart(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    link_closed(fake->link, 502, "HTTP 502", world->now);
    fake->is_closed = true;
    assert_string_equal(world->log, "cause:restart ");
    assert_int_equal(state_of(world), HOME_WAITING);
}

static void refused_tokens_are_a_state_and_no_storm(void **state)
{
    struct world *world = *state;
    for (int64_t end = world->now + 3600 * SECOND; world->now < end;) {
        struct fake *fake = wait_dial(world, 3600);
        if (!fake)
            break;
        refuse(world, fake);
        assert_true(fake->is_closed);
        if (fake->endpoint == 1)
            assert_int_equal(state_of(world), HOME_AUTH_REFUSED);
        world->socket_count = 0; /* room for the next */
    }
    assert_int_equal(world->dialled[0], 5); /* 0, 15, 30, 45, 60 minutes */
    assert_in_range(world->dialled[1], 4, 5);
    assert_null(strstr(world->log, "live"));
    assert_non_null(strstr(world->log, "cause:refused"));
    assert_int_equal(world->failed[FAILED_REFUSED], world->dialled[0] + world->dialled[1]);
}

static void it_returns_to_the_better_endpoint_and_loses_nothing(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    link_closed(first->link, 0, "refused", world->now);
    first->is_closed = true;
    struct fake *second = wait_dial(world, 1);
    let_in(world, second);
    pass(world, 50);
    assert_int_equal(world->socket_count, 2);
    pass(world, 15);
    assert_int_equal(world->socket_count, 3);
    struct fake *better = newest(world);
    assert_int_equal(better->endpoint, 0);
    assert_false(second->is_closed);
    hear(world, second, "{\"type\":\"event\",\"event\":{},\"id\":2}"); /* still the one in use */
    assert_int_equal(world->frame_session, 1);
    let_in(world, better);
    assert_string_equal(world->log, "live moved ");
    assert_false(second->is_closed); /* what is on its way is still wanted */
    const char *fence = strstr(second->sent, "\"type\":\"ping\"");
    assert_non_null(fence);
    hear(world, second, "{\"type\":\"event\",\"event\":{},\"id\":2}");
    assert_int_equal(world->frames, 2);
    assert_int_equal(world->frame_session, 1);
    hear(world, second, "{\"id\":3,\"type\":\"pong\"}");
    assert_true(second->is_closed);
    hear(world, better, "{\"type\":\"event\",\"event\":{},\"id\":2}");
    assert_int_equal(world->frame_session, 2);
    struct home_view view;
    home_view(world->home, &view);
    assert_int_equal(view.session, 2);
    assert_string_equal(view.endpoint->host, "first");
    pass(world, 200);
    assert_int_equal(world->socket_count, 3); /* there is nothing better */
}

static void a_better_endpoint_that_fails_disturbs_nothing(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    link_closed(first->link, 0, "refused", world->now);
    first->is_closed = true;
    struct fake *second = wait_dial(world, 1);
    let_in(world, second);
    pass(world, 61);
    refuse(world, newest(world));
    assert_int_equal(state_of(world), HOME_LIVE);
    assert_string_equal(world->log, "live ");
    pass(world, 600); /* its token was refused: left alone */
    assert_int_equal(world->socket_count, 3);
    assert_false(second->is_closed);
}

static void an_old_connection_that_dies_before_its_end_leaves_a_gap(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    link_closed(first->link, 0, "refused", world->now);
    first->is_closed = true;
    struct fake *second = wait_dial(world, 1);
    let_in(world, second);
    pass(world, 61);
    let_in(world, newest(world));
    link_closed(second->link, 0, "closed", world->now);
    second->is_closed = true;
    assert_string_equal(world->log, "live moved lost moved ");
    assert_int_equal(state_of(world), HOME_LIVE);
}

static void while_trying_the_better_one_a_loss_makes_it_the_way_back(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    link_closed(first->link, 0, "refused", world->now);
    first->is_closed = true;
    struct fake *second = wait_dial(world, 1);
    let_in(world, second);
    pass(world, 61);
    struct fake *better = newest(world);
    assert_int_equal(better->endpoint, 0);
    link_closed(second->link, 0, "closed", world->now);
    second->is_closed = true;
    let_in(world, better);
    assert_string_equal(world->log, "live lost live ");
    assert_int_equal(world->socket_count, 3);
}

static void reading_stops_and_starts_on_all_sockets_and_is_no_silence(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    home_hold(world->home, true);
    assert_true(fake->is_held);
    for (int i = 0; i < 400; i++)
        home_tick(world->home, world->now += SECOND / 4);
    assert_int_equal(state_of(world), HOME_LIVE);
    home_hold(world->home, false);
    assert_false(fake->is_held);
}

static void what_was_not_read_while_reading_stood_still_is_in_the_gap(void **state)
{
    struct world *world = *state;
    struct fake *fake = wait_dial(world, 1);
    let_in(world, fake);
    int64_t known = world->now;
    home_hold(world->home, true);
    for (int i = 0; i < 400; i++)
        home_tick(world->home, world->now += SECOND / 4);
    home_hold(world->home, false);
    hear(world, fake, "{\"type\":\"event\",\"event\":{},\"id\":2}"); /* the last that the buffers had */
    link_closed(fake->link, 0, "closed", world->now);
    fake->is_closed = true;
    assert_string_equal(world->log, "live lost ");
    assert_int_equal(world->known_us, known);
}

/* The new connection is lost while the old one still gives what was on its way. */
static void an_old_connection_that_dies_last_closes_no_gap(void **state)
{
    struct world *world = *state;
    struct fake *first = wait_dial(world, 1);
    link_closed(first->link, 0, "refused", world->now);
    first->is_closed = true;
    struct fake *second = wait_dial(world, 1);
    let_in(world, second);
    pass(world, 61);
    struct fake *better = newest(world);
    let_in(world, better);
    int64_t known = world->now;
    world->now += SECOND;
    hear(world, better, "{\"type\":\"event\",\"event\":{},\"id\":2}");
    struct home_view view;
    home_view(world->home, &view);
    assert_true(view.known_us <= known); /* what the old one still has is not known */
    link_closed(better->link, 0, "closed", world->now);
    better->is_closed = true;
    link_closed(second->link, 0, "closed", world->now);
    second->is_closed = true;
    assert_string_equal(world->log, "live moved lost lost ");
    assert_true(world->known_us <= known);
}

int main(void)
{
#define AT_HOME(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        AT_HOME(the_first_endpoint_is_dialled_at_once),
        AT_HOME(frames_carry_their_session),
        AT_HOME(when_the_first_fails_the_second_is_tried),
        AT_HOME(a_connection_that_never_opens_is_given_up),
        AT_HOME(failing_at_once_is_no_storm),
        AT_HOME(a_lost_connection_is_told_and_dialled_again),
        AT_HOME(a_silent_connection_is_found_out),
        AT_HOME(a_restart_of_home_assistant_is_told_apart),
        AT_HOME(the_supervisors_502_means_a_restart),
        AT_HOME(refused_tokens_are_a_state_and_no_storm),
        AT_HOME(it_returns_to_the_better_endpoint_and_loses_nothing),
        AT_HOME(a_better_endpoint_that_fails_disturbs_nothing),
        AT_HOME(an_old_connection_that_dies_before_its_end_leaves_a_gap),
        AT_HOME(while_trying_the_better_one_a_loss_makes_it_the_way_back),
        AT_HOME(reading_stops_and_starts_on_all_sockets_and_is_no_silence),
        AT_HOME(what_was_not_read_while_reading_stood_still_is_in_the_gap),
        AT_HOME(an_old_connection_that_dies_last_closes_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
