/* actor.c - one actor: made, opened, turned over and over, stopped. */
#include "actor_state.h"
#include "life.h"
#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { READY_US = 2 * 1000 * 1000, STOP_US = 2 * 1000 * 1000, STOP_ALONE_US = 300 * 1000, FLIGHT_US = 1000 * 1000, LONGEST_WAIT_MS = 60 * 1000, ROUNDS = 16, DRAIN_MS = 20 };

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void actor_clock(actor_t *self)
{
    self->now_us = read_clock_us(CLOCK_REALTIME);
    self->clock_us = read_clock_us(CLOCK_BOOTTIME);
}

/* --- what the bus tells ------------------------------------------------------------------------- */

static void on_connected(void *owner, bool up)
{
    actor_t *self = owner;
    self->stirs++;
    self->is_connected = up;
    if (!up) {
        actor_warn(self, "the connection to the broker is lost");
        outlets_lost(self);
        inlets_lost(self);
    } else {
        actor_info(self, "connected to the broker");
    }
    if (self->spec->connected)
        self->spec->connected(self->self, self, up);
}

static void on_deliver(void *owner, delivery_t *delivery, const char *subject, struct bus_bytes key,
    struct bus_bytes payload, uint32_t count, uint32_t dropped)
{
    actor_t *self = owner;
    (void)key;
    self->stirs++;
    if (dropped)
        inlets_missed(self, subject, dropped);
    inlets_take(self, delivery, subject, (struct slice){ payload.data, payload.size }, count);
}

static void on_acked(void *owner, const char *subject, uint64_t batch)
{
    actor_t *self = owner;
    self->stirs++;
    outlets_acked(self, subject, batch);
}

static void on_asked(void *owner, uint64_t ticket, const char *service, int64_t deadline_ms, struct bus_bytes query)
{
    actor_t *self = owner;
    (void)deadline_ms;
    self->stirs++;
    services_asked(self, ticket, service, (struct slice){ query.data, query.size });
}

static void on_answered(void *owner, uint64_t question, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    actor_t *self = owner;
    self->stirs++;
    questions_answered(self, question, verdict, (struct slice){ head.data, head.size }, (struct slice){ body.data, body.size });
}

/* --- making ---------------------------------------------------------------------------------------- */

static bus_t *make_bus(actor_t *self)
{
    char endpoint[ENDPOINT_SIZE];
    const struct suite_config *suite = &self->suite;
    suite_endpoint(suite, endpoint);
    return bus_new(&(struct bus_options){
        .endpoint = endpoint, .name = self->spec->name, .instance = suite->instance,
        .server_key = suite->has_broker_key ? suite->broker_key : NULL,
        .public_key = suite->has_public_key ? suite->public_key : NULL,
        .secret_key = suite->has_secret_key ? suite->secret_key : NULL,
        .owner = self, .connected = on_connected, .deliver = on_deliver, .acked = on_acked, .asked = on_asked,
        .answered = on_answered });
}

actor_t *actor_new(const struct actor_spec *spec, const struct suite_config *suite, const void *config, log_t *log)
{
    actor_t *self = calloc(1, sizeof *self);
    assert(self);
    self->spec = spec;
    self->suite = *suite;
    self->log = log;
    self->timers_next_us = self->signal_fd = self->statm_fd = self->descriptors_fd = self->exit_code = -1;
    self->self = calloc(1, spec->state ? spec->state : 1);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(self->self && self->epoll_fd >= 0);
    if (spec->config.schema)
        memcpy((char *)self->self + spec->config.at, config, spec->config.schema()->size);
    actor_clock(self);
    self->started_us = self->now_us;
    return self;
}

void actor_watch(actor_t *self, int fd)
{
    int rc = epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN });
    assert(rc == 0);
}

static void fill_lws(actor_t *self, struct lws_context_creation_info *info)
{
    if (self->spec->lws)
        self->spec->lws(self->self, self, info);
}

/* Made when open asks for it, else right after open. */
static int make_loop(actor_t *self)
{
    if (!self->loop)
        self->loop = loop_new(self, self->epoll_fd, fill_lws);
    return self->loop ? 0 : EXIT_WORLD;
}

int actor_open(actor_t *self, int signal_fd)
{
    self->bus = make_bus(self);
    if (!self->bus) {
        actor_error(self, "suite.broker is no address that can be connected to: %s", strerror(errno));
        return EXIT_SETTINGS;
    }
    actor_watch(self, bus_fd(self->bus));
    self->signal_fd = signal_fd;
    if (signal_fd >= 0)
        actor_watch(self, signal_fd);
    self->is_begun = true;
    int rc = self->spec->open ? self->spec->open(self->self, self) : 0;
    if (rc == 0)
        rc = make_loop(self);
    if (rc)
        return rc;
    self->is_open = true;
    inlets_declare(self);
    services_declare(self);
    return 0;
}

void actor_destroy(actor_t **self_p)
{
    actor_t *self = *self_p;
    if (!self)
        return;
    if (self->is_begun && self->spec->close)
        self->spec->close(self->self, self);
    if (self->loop)
        loop_destroy(&self->loop);
    if (self->fetcher)
        self->fetch_ops->destroy(self);
    if (self->bus) {
        outlets_destroy(self);
        inlets_destroy(self);
        services_destroy(self);
        questions_destroy(self);
        bus_destroy(&self->bus);
    }
    if (self->statm_fd >= 0)
        close(self->statm_fd);
    descriptors_destroy(self);
    close(self->epoll_fd);
    msgpack_sbuffer_destroy(&self->scratch);
    free(self->timers);
    free(self->self);
    free(self);
    *self_p = NULL;
}

/* --- turning ------------------------------------------------------------------------------------------ */

static void do_what_is_due(actor_t *self)
{
    inlets_resume(self);
    descriptors_work(self);
    timers_fire(self);
    if (self->fetcher)
        self->fetch_ops->work(self);
    heartbeat_work(self);
    outlets_flush(self, false);
}

static int64_t earlier(int64_t a, int64_t b) { return b >= 0 && (a < 0 || b < a) ? b : a; }

static int wait_ms(const actor_t *self, int most_ms)
{
    int64_t due = earlier(timers_due_us(self), self->beat_us);
    due = earlier(due, inlets_due_us(self));
    due = earlier(due, outlets_due_us(self));
    if (self->fetcher)
        due = earlier(due, self->fetch_ops->due_us(self));
    int64_t ms = due < 0 ? most_ms : due <= self->clock_us ? 0 : (due - self->clock_us + 999) / 1000;
    int bus_ms = bus_wait_ms(self->bus, self->clock_us);
    if (bus_ms >= 0 && bus_ms < ms)
        ms = bus_ms;
    return ms < most_ms ? (int)ms : most_ms;
}

/* The bus is worked until nothing stirs any more, right before every wait: its descriptor tells
 * of changes only, and what we have sent may have swallowed one. */
void actor_turn(actor_t *self, int most_ms)
{
    bool is_busy = true;
    for (int rounds = 0; is_busy && rounds < ROUNDS; rounds++) {
        uint64_t before = self->stirs;
        actor_clock(self);
        bool has_more = bus_work(self->bus, self->clock_us);
        do_what_is_due(self);
        is_busy = has_more || self->stirs != before;
    }
    loop_wait(self->loop, is_busy ? 0 : wait_ms(self, most_ms));
    actor_clock(self);
}

/* --- signals, stopping -------------------------------------------------------------------------------- */

static void take_settings(actor_t *self, const struct suite_config *suite, const void *config)
{
    const struct section *section = &self->spec->config;
    if (section->schema)
        memcpy((char *)self->self + section->at, config, section->schema()->size);
    self->suite.sync_ms = suite->sync_ms;
    SET_TEXT(&self->suite, sync, suite->sync, suite->sync_size);
    SET_TEXT(&self->suite, log_level, suite->log_level, suite->log_level_size);
    log_set_level(self->log, log_level_of(suite->log_level));
    if (section->schema)
        log_secrets(self->log, section->schema(), config);
    actor_info(self, "settings read again");
    if (self->spec->reload)
        self->spec->reload(self->self, self);
}

static void reload(actor_t *self)
{
    const struct schema *schema = self->spec->config.schema ? self->spec->config.schema() : NULL;
    struct suite_config suite;
    char why[700];
    void *config = schema ? malloc(schema->size) : NULL;
    struct settings_input input = { .actor = self->spec->name, .doc = self->spec->doc, .schema = schema,
        .arguments = self->arguments, .environment = environ };
    if (settings_read(&input, &suite, config, why, sizeof why) == SETTINGS_READY)
        take_settings(self, &suite, config);
    else
        actor_error(self, "the settings stay as they were: %s", why);
    free(config);
}

static void take_signals(actor_t *self)
{
    for (int number; self->signal_fd >= 0 && (number = life_signal(self->signal_fd)) > 0;) {
        if (number == SIGHUP)
            reload(self);
        else
            actor_stop(self, 0);
    }
}

void actor_stop(actor_t *self, int exit_code)
{
    if (self->exit_code < 0 || exit_code > self->exit_code)
        self->exit_code = exit_code;
}

static void become_ready(actor_t *self, int64_t began_us)
{
    if (self->is_ready || (!self->is_connected && self->clock_us - began_us < READY_US))
        return;
    if (!self->is_connected)
        actor_warn(self, "the broker is away; going on without it");
    self->is_ready = true;
    life_ready();
}

static bool is_in_flight(const actor_t *self)
{
    return self->is_connected && (self->incoming_count > 0 || self->flights_count > 0);
}

/* No new messages, no ticks; the actor brings in what it has, what is in flight lands. Without
 * the broker nothing more can land, so that the wait is short. */
static void drain(actor_t *self)
{
    self->is_stopping = true;
    life_stopping();
    inlets_stop(self);
    actor_clock(self);
    self->beat_us = 0;
    heartbeat_work(self); /* who has nothing to bring in is gone before the next turn */
    int64_t began_us = self->clock_us, ask_us = began_us;
    bool is_drained = !self->spec->drain;
    while (self->clock_us - began_us < (self->is_connected ? STOP_US : STOP_ALONE_US)) {
        if (self->spec->drain && self->clock_us >= ask_us) {
            int ms = self->spec->drain(self->self, self);
            is_drained = ms == 0;
            ask_us = self->clock_us + (int64_t)(is_drained ? DRAIN_MS : ms) * 1000;
        }
        outlets_flush(self, true);
        if (is_drained && (!is_in_flight(self) || self->clock_us - began_us >= FLIGHT_US))
            break;
        actor_turn(self, DRAIN_MS);
        take_signals(self);
    }
    bus_work(self->bus, self->clock_us);
}

int actor_run(actor_t *self, int signal_fd)
{
    int rc = actor_open(self, signal_fd);
    if (rc)
        return rc;
    int64_t began_us = self->clock_us;
    while (self->exit_code < 0) {
        actor_turn(self, self->is_ready ? LONGEST_WAIT_MS : 20);
        take_signals(self);
        become_ready(self, began_us);
    }
    actor_info(self, "stopping");
    int exit_code = self->exit_code;
    drain(self);
    return exit_code;
}

/* --- time, words, settings ------------------------------------------------------------------------------ */

/* libwebsockets calls an actor from inside the wait, long after the turn began. */
int64_t actor_now_us(const actor_t *self) { return self->spec->lws ? read_clock_us(CLOCK_REALTIME) : self->now_us; }
int64_t actor_clock_us(const actor_t *self) { return self->spec->lws ? read_clock_us(CLOCK_BOOTTIME) : self->clock_us; }
const struct suite_config *actor_suite(const actor_t *self) { return &self->suite; }

int actor_path(const actor_t *self, char *to, size_t size, const char *name) { return life_path(self->suite.data, to, size, name); }

struct lws_context *actor_lws(actor_t *self) { return make_loop(self) ? NULL : loop_lws(self->loop); }

void actor_debug(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_DEBUG, 0, format, arguments);
    va_end(arguments);
}

void actor_info(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_INFO, 0, format, arguments);
    va_end(arguments);
}

void actor_warn(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_WARN, 0, format, arguments);
    va_end(arguments);
}

void actor_error(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_ERROR, 0, format, arguments);
    va_end(arguments);
}

void actor_warn_of(actor_t *self, uint64_t of, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_WARN, of, format, arguments);
    va_end(arguments);
}

void actor_error_of(actor_t *self, uint64_t of, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self->log, LOG_LEVEL_ERROR, of, format, arguments);
    va_end(arguments);
}
