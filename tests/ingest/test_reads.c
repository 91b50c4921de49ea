/* test_reads.c - the actor on a connection: frames of one read are written together, and each is published once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"
#include "probe.h"
#include "websocket.h"

#include <signal.h>
#include <sys/resource.h>

/* A websocket that the test plays (the linker puts it in the place of websocket.c's): as there,
 * the frames of a read live until `done`, and nothing is reported once it is closed. */
struct websocket {
    struct websocket_hooks hooks;
    void *owner;
    char host[64];
    bool is_closed, is_held;
    int asked; /* get_config, with which backfill begins, and get_states */
};

enum { SOCKETS = 8 };
static struct websocket sockets[SOCKETS];
static int opened;

websocket_t *__wrap_websocket_open(struct lws_context *, const struct endpoint *, const struct websocket_options *,
    const struct websocket_hooks *, void *owner, const char **why);
void __wrap_websocket_send(websocket_t *, struct slice text);
void __wrap_websocket_hold(websocket_t *, bool held);
void __wrap_websocket_close(websocket_t *);
struct lws_context *__wrap_actor_lws(actor_t *);

websocket_t *__wrap_websocket_open(struct lws_context *context, const struct endpoint *endpoint,
    const struct websocket_options *options, const struct websocket_hooks *hooks, void *owner, const char **why)
{
    (void)context, (void)options, (void)why;
    assert_true(opened < SOCKETS);
    struct websocket *self = &sockets[opened++];
    *self = (struct websocket){ .hooks = *hooks, .owner = owner };
    snprintf(self->host, sizeof self->host, "%.60s", endpoint->host);
    return self;
}

void __wrap_websocket_send(websocket_t *self, struct slice text)
{
    assert_false(self->is_closed);
    self->asked += memmem(text.data, text.size, "\"get_", 5) != NULL;
}

void __wrap_websocket_hold(websocket_t *self, bool held)
{
    self->is_held = held;
}

void __wrap_websocket_close(websocket_t *self)
{
    assert_false(self->is_closed);
    self->is_closed = true;
}

struct lws_context *__wrap_actor_lws(actor_t *actor)
{
    return (struct lws_context *)(void *)actor; /* not NULL is all that counts */
}

/* --- a read ------------------------------------------------------------------------------ */

enum { MOST_FRAMES = 600 };
struct read { struct websocket *socket; char *frames[MOST_FRAMES]; size_t count; };

static void hear(struct read *read, const char *text)
{
    if (read->socket->is_closed)
        return;
    size_t size = strlen(text);
    char *frame = malloc(size); /* of exactly its size, and gone after `done`: ASan watches */
    assert_non_null(frame);
    memcpy(frame, text, size);
    assert_true(read->count < MOST_FRAMES);
    read->frames[read->count++] = frame;
    read->socket->hooks.received(read->socket->owner, (struct slice){ frame, size });
}

static void end(struct read *read)
{
    if (!read->socket->is_closed && read->count > 0)
        read->socket->hooks.done(read->socket->owner);
    for (size_t i = 0; i < read->count; i++)
        free(read->frames[i]);
    read->count = 0;
}

static void hear_event(struct read *read, int n)
{
    char text[80];
    snprintf(text, sizeof text, "{\"type\":\"event\",\"event\":{\"n\":%d},\"id\":2}", n);
    hear(read, text);
}

static void hear_events(struct websocket *socket, int from, int to)
{
    struct read read = { .socket = socket };
    for (int n = from; n < to; n++)
        hear_event(&read, n);
    end(&read);
}

#define GRANTED "{\"id\":2,\"type\":\"result\",\"success\":true,\"result\":null}"

static void open_up_to_the_grant(struct websocket *socket)
{
    struct read read = { .socket = socket };
    socket->hooks.opened(socket->owner);
    hear(&read, "{\"type\":\"auth_required\",\"ha_version\":\"2026.2.3\"}");
    hear(&read, "{\"type\":\"auth_ok\",\"ha_version\":\"2026.2.3\"}");
    end(&read);
}

static void let_in(struct websocket *socket)
{
    struct read read = { .socket = socket };
    open_up_to_the_grant(socket);
    hear(&read, GRANTED);
    end(&read);
}

static void close_by_the_other_side(struct websocket *socket)
{
    socket->is_closed = true;
    socket->hooks.closed(socket->owner, 0, "closed");
}

/* --- the house ----------------------------------------------------------------------------- */

static int set_up(void **state)
{
    static struct folder folder;
    folder_make(&folder);
    opened = 0;
    *state = &folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state, inner;
    static const char *const parts[] = { "capture", "ingest" };
    for (size_t i = 0; i < 2; i++) {
        snprintf(inner.path, sizeof inner.path, "%.100s/%s", folder->path, parts[i]);
        folder_remove(&inner);
    }
    folder_remove(folder);
    return 0;
}

static probe_t *start(const struct folder *folder)
{
    static const char *const parts[] = { "capture", "ingest" };
    char path[PATH_MAX];
    for (size_t i = 0; i < 2; i++) {
        folder_file(folder, parts[i], path);
        (void)mkdir(path, 0700);
    }
    const char *settings[] = { "data", folder->path, "url", "http://first", "token", "a-token", "url_2", "http://second",
        "better_ms", "1000", NULL };
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    return probe;
}

static struct websocket *dialled(probe_t *probe)
{
    int before = opened;
    for (int i = 0; i < 100 && opened == before; i++)
        probe_advance(probe, 50);
    assert_int_equal(opened, before + 1);
    return &sockets[opened - 1];
}

static struct ingest_stats stats_of(probe_t *probe)
{
    struct ingest_stats stats;
    memcpy(&stats, (char *)probe_self(probe) + actor_spec.stats.at, sizeof stats);
    return stats;
}

static size_t published(probe_t *probe)
{
    return probe_published_count(probe, &event_raw_contract);
}

static void assert_event(probe_t *probe, size_t index, int n, int64_t session)
{
    char expected[32];
    int size = snprintf(expected, sizeof expected, "{\"n\":%d}", n);
    const struct event_raw *event = probe_published(probe, &event_raw_contract, index);
    assert_non_null(event);
    assert_int_equal(event->event.size, size);
    assert_memory_equal(event->event.data, expected, (size_t)size);
    assert_int_equal(event->session, session);
}

/* Everything from 0 on, once, in order, with places that grow. */
static void assert_all_in_order(probe_t *probe, int count, int64_t session)
{
    int64_t place = -1;
    assert_int_equal(published(probe), count);
    for (int n = 0; n < count; n++) {
        assert_event(probe, (size_t)n, n, session);
        const struct event_raw *event = probe_published(probe, &event_raw_contract, (size_t)n);
        assert_true(event->place > place);
        place = event->place;
    }
    assert_int_equal(stats_of(probe).published, count);
}

static int64_t log_bytes(const struct folder *folder)
{
    struct folder capture;
    char name[PATH_MAX], path[PATH_MAX];
    struct stat status;
    snprintf(capture.path, sizeof capture.path, "%.100s/capture", folder->path);
    assert_int_equal(folder_count(&capture, ".log", name), 1);
    folder_file(&capture, name, path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* --- what is promised ------------------------------------------------------------------------ */

static void frames_of_one_read_are_written_together_and_published_in_order(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    let_in(socket);
    struct read read = { .socket = socket };
    for (int n = 0; n < 5; n++)
        hear_event(&read, n);
    assert_int_equal(log_bytes(*state), 0);
    assert_int_equal(published(probe), 0);
    end(&read);
    assert_true(log_bytes(*state) > 0);
    assert_all_in_order(probe, 5, 1);
    probe_destroy(&probe);
}

static void a_read_of_any_size_comes_through(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    let_in(socket);
    struct read read = { .socket = socket };
    for (int n = 0; n < 300; n++) /* more than one write takes */
        hear_event(&read, n);
    char *array = malloc(5000 * 60), *at = array;
    for (int n = 300; n < 5300; n++)
        at += sprintf(at, "%c{\"type\":\"event\",\"event\":{\"n\":%d},\"id\":2}", n == 300 ? '[' : ',', n);
    sprintf(at, "]");
    hear(&read, array);
    hear_event(&read, 5300);
    end(&read);
    assert_all_in_order(probe, 5301, 1);
    free(array);
    probe_destroy(&probe);
}

static void what_came_before_the_end_in_one_read_is_kept(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    let_in(socket);
    struct read read = { .socket = socket };
    hear_event(&read, 0);
    hear_event(&read, 1);
    hear(&read, "{\"type\":\"auth_invalid\"}"); /* ours closes the socket inside of this read */
    assert_true(socket->is_closed);
    hear_event(&read, 9);
    end(&read);
    assert_all_in_order(probe, 2, 1);
    assert_int_equal(stats_of(probe).received, 2);
    assert_true(probe_logged(probe, "the token was revoked; it is left alone for 900 s"));
    probe_destroy(&probe);
}

/* Events may come before the subscription is confirmed, and with the confirmation. */
static void a_read_that_holds_the_confirmation_loses_nothing(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    open_up_to_the_grant(socket);
    struct read read = { .socket = socket };
    hear_event(&read, 0);
    hear(&read, GRANTED);
    assert_int_equal(published(probe), 1); /* in the log before the ledger says that we are live */
    hear_event(&read, 1);
    end(&read);
    assert_all_in_order(probe, 2, 1);
    probe_destroy(&probe);
}

static void the_next_connection_has_its_own_session(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    let_in(socket);
    hear_events(socket, 0, 3);
    close_by_the_other_side(socket);
    socket = dialled(probe);
    let_in(socket);
    hear_events(socket, 3, 5);
    assert_int_equal(published(probe), 5);
    for (int n = 0; n < 5; n++)
        assert_event(probe, (size_t)n, n, n < 3 ? 1 : 2);
    probe_destroy(&probe);
}

static void a_better_connection_takes_over_inside_a_read(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *first = dialled(probe);
    close_by_the_other_side(first);
    struct websocket *second = dialled(probe);
    assert_string_equal(second->host, "second");
    let_in(second);
    hear_events(second, 0, 2);
    struct websocket *better = dialled(probe);
    assert_string_equal(better->host, "first");
    open_up_to_the_grant(better);
    struct read read = { .socket = better };
    hear_event(&read, 2);
    hear(&read, GRANTED);
    hear_event(&read, 3);
    end(&read);
    hear_events(second, 4, 6); /* the old one is read to its end */
    assert_false(second->is_closed);
    struct read last = { .socket = second };
    hear_event(&last, 6);
    hear(&last, "{\"id\":4,\"type\":\"pong\"}"); /* the fence, asked after get_config: all has come, and it is closed */
    assert_true(second->is_closed);
    end(&last);
    assert_int_equal(published(probe), 7);
    static const int64_t sessions[] = { 1, 1, 2, 2, 1, 1, 1 };
    for (int n = 0; n < 7; n++)
        assert_event(probe, (size_t)n, n, sessions[n]);
    probe_destroy(&probe);
}

static void what_the_disk_refuses_is_kept_and_written_later(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    char why[200];
    let_in(socket);
    hear_events(socket, 0, 3);
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = (rlim_t)log_bytes(*state) + 100; /* one frame, and the beginning of a second */
    setrlimit(RLIMIT_FSIZE, &limit);
    struct read read = { .socket = socket };
    for (int n = 3; n < 6; n++)
        hear_event(&read, n);
    end(&read);
    assert_int_equal(published(probe), 3);
    assert_true(socket->is_held);
    hear_events(socket, 6, 8); /* was on its way already */
    probe_advance(probe, 1000);
    assert_int_equal(probe_health(probe, why, sizeof why), UNHEALTHY);
    assert_int_equal(published(probe), 4);
    assert_true(socket->is_held);
    setrlimit(RLIMIT_FSIZE, &before);
    probe_advance(probe, 1000);
    assert_false(socket->is_held);
    hear_events(socket, 8, 10);
    assert_all_in_order(probe, 10, 1);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
}

static void a_window_that_closes_inside_a_read_delays_and_doubles_nothing(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    let_in(socket);
    probe_set_room(probe, &event_raw_contract, 3);
    struct read read = { .socket = socket };
    hear(&read, "[{\"type\":\"event\",\"event\":{\"n\":0},\"id\":2},{\"type\":\"event\",\"event\":{\"n\":1},\"id\":2},"
        "{\"type\":\"event\",\"event\":{\"n\":2},\"id\":2},{\"type\":\"event\",\"event\":{\"n\":3},\"id\":2}]");
    hear_event(&read, 4); /* must not overtake the fourth */
    end(&read);
    assert_int_equal(published(probe), 3);
    probe_set_room(probe, &event_raw_contract, 0);
    hear_events(socket, 5, 8);
    assert_int_equal(published(probe), 3);
    probe_set_room(probe, &event_raw_contract, 100);
    probe_advance(probe, 500);
    hear_events(socket, 8, 10);
    assert_all_in_order(probe, 10, 1);
    probe_destroy(&probe);
}

/* An array: what comes in one read may be more than the test's frames. */
static void hear_flood(struct websocket *socket, int events)
{
    struct read read = { .socket = socket };
    char *array = malloc((size_t)events * 60), *at = array;
    for (int n = 0; n < events; n++)
        at += sprintf(at, "%c{\"type\":\"event\",\"event\":{\"n\":%d},\"id\":2}", n == 0 ? '[' : ',', n);
    sprintf(at, "]");
    hear(&read, array);
    end(&read);
    free(array);
}

static int ask(probe_t *probe)
{
    struct ha_command command = { 0 };
    SET(&command, command, slice_of("{\"type\":\"config/entity_registry/list\"}"));
    return probe_call(probe, &ingest_ask_contract, &command, NULL);
}

/* A large answer stops the events for a moment, and a client that has been cut off would be cut off again. */
static void in_a_flood_nothing_large_is_asked_for_not_even_by_the_next_connection(void **state)
{
    probe_t *probe = start(*state);
    struct websocket *socket = dialled(probe);
    open_up_to_the_grant(socket);
    hear_flood(socket, 5000); /* before there was a moment to ask in */
    struct read read = { .socket = socket };
    hear(&read, GRANTED);
    end(&read);
    assert_int_equal(ask(probe), UNAVAILABLE);
    close_by_the_other_side(socket);
    socket = dialled(probe);
    let_in(socket);
    for (int i = 0; i < 10; i++) { /* the flood goes on */
        hear_flood(socket, 5000);
        probe_advance(probe, 900);
    }
    assert_int_equal(ask(probe), UNAVAILABLE);
    assert_int_equal(socket->asked, 0);
    for (int i = 0; i < 10 && ask(probe) == UNAVAILABLE; i++)
        probe_advance(probe, 1000);
    assert_int_equal(ask(probe), LATER);
    probe_destroy(&probe);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(frames_of_one_read_are_written_together_and_published_in_order),
        IN_A_FOLDER(a_read_of_any_size_comes_through),
        IN_A_FOLDER(what_came_before_the_end_in_one_read_is_kept),
        IN_A_FOLDER(a_read_that_holds_the_confirmation_loses_nothing),
        IN_A_FOLDER(the_next_connection_has_its_own_session),
        IN_A_FOLDER(a_better_connection_takes_over_inside_a_read),
        IN_A_FOLDER(what_the_disk_refuses_is_kept_and_written_later),
        IN_A_FOLDER(a_window_that_closes_inside_a_read_delays_and_doubles_nothing),
        IN_A_FOLDER(in_a_flood_nothing_large_is_asked_for_not_even_by_the_next_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
