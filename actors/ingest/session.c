/* session.c - the protocol's states, one function a kind of message. */
#include "session.h"

#include <assert.h>
#include <czmq.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_ASKS 256
#define DOUBT_US (2 * INT64_C(1000000))

/* What a token without admin rights may subscribe: SUBSCRIBE_ALLOWLIST of homeassistant/auth/permissions/events.py. */
static const char *const allowed_types[] = {
    "state_changed", "area_registry_updated", "category_registry_updated", "component_loaded", "core_config_updated",
    "device_registry_updated", "entity_registry_updated", "floor_registry_updated", "label_registry_updated",
    "lovelace_updated", "panels_updated", "persistent_notifications_updated", "recorder_5min_statistics_generated",
    "recorder_hourly_statistics_generated", "repairs_issue_registry_updated", "service_registered",
    "service_removed", "shopping_list_updated", "themes_updated",
};
enum { ALLOWED_TYPES = sizeof allowed_types / sizeof *allowed_types };

struct ask { int64_t id, tag, at_us; };

struct session {
    struct session_options options;
    struct session_hooks hooks;
    void *owner;
    char *token;
    enum session_state state;
    enum session_end end;
    char why[160];
    char ha_version[33];
    char event_types[1024];
    int64_t state_since_us, heard_us, due_us;
    int64_t known_us;               /* nothing is missing up to here */
    bool is_doubtful;
    bool ping_sent;                 /* in this silence */
    int64_t ping_id, ping_at_us;    /* the newest, 0: answered */
    int64_t next_id;
    int64_t features_id;
    int64_t fence_id;               /* 0: none */
    uint32_t first_id, last_id;
    size_t unanswered;              /* subscriptions */
    size_t granted;
    bool all_events;
    struct ask asks[OPEN_ASKS];     /* in the order of their ids */
    size_t ask_count;
    struct items items;
    bool fenced;
    bool stopping, starting;
    int64_t registry_changes, ignored;
    int64_t now_us;                 /* of the call that we are in */
};

session_t *session_new(const struct session_options *options, const struct session_hooks *hooks, void *owner,
    int64_t clock_us)
{
    struct session *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->hooks = *hooks;
    self->owner = owner;
    self->token = strndup(options->token.data ? options->token.data : "", options->token.size);
    assert(self->token);
    self->state_since_us = self->heard_us = self->known_us = self->due_us = self->now_us = clock_us;
    self->next_id = 1;
    self->all_events = self->starting = true;
    return self;
}

void session_destroy(session_t **self_p)
{
    struct session *self = *self_p;
    if (!self)
        return;
    explicit_bzero(self->token, strlen(self->token));
    free(self->token);
    items_free(&self->items);
    free(self);
    *self_p = NULL;
}

static void move_to(struct session *self, enum session_state state)
{
    self->state = state;
    self->state_since_us = self->now_us;
    self->hooks.moved(self->owner, state);
}

__attribute__((format(printf, 3, 4)))
static void finish(struct session *self, enum session_end end, const char *format, ...)
{
    if (self->state == SESSION_OVER)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->why, sizeof self->why, format, arguments);
    va_end(arguments);
    self->end = end;
    move_to(self, SESSION_OVER);
}

__attribute__((format(printf, 2, 3)))
static void say(struct session *self, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert(length > 0 && (size_t)length < sizeof text);
    self->hooks.send(self->owner, (struct slice){ text, (size_t)length });
}

/* --- authentication -------------------------------------------------------------------- */

static void note_version(struct session *self, const struct message *message)
{
    const struct json_value *version = &message->values[KEY_HA_VERSION];
    if (version->kind == JSON_TEXT && version->raw.size >= 2 && version->raw.size - 2 < sizeof self->ha_version)
        snprintf(self->ha_version, sizeof self->ha_version, "%.*s", (int)version->raw.size - 2,
            (const char *)version->raw.data + 1);
}

static void send_token(struct session *self)
{
    msgpack_sbuffer text;
    msgpack_sbuffer_init(&text);
    static const char start[] = "{\"type\":\"auth\",\"access_token\":";
    msgpack_sbuffer_write(&text, start, sizeof start - 1);
    json_write_text(slice_of(self->token), &text);
    msgpack_sbuffer_write(&text, "}", 1);
    self->hooks.send(self->owner, (struct slice){ text.data, text.size });
    explicit_bzero(text.data, text.size);
    msgpack_sbuffer_destroy(&text);
}

static void subscribe_all(struct session *self)
{
    self->features_id = self->next_id++;
    say(self, "{\"id\":%" PRId64 ",\"type\":\"supported_features\",\"features\":{\"coalesce_messages\":1}}",
        self->features_id);
    self->first_id = self->last_id = (uint32_t)self->next_id++;
    self->unanswered = 1;
    say(self, "{\"id\":%" PRIu32 ",\"type\":\"subscribe_events\"}", self->first_id);
}

static void on_hello(struct session *self, const struct message *message)
{
    if (message_is(message, "auth_required")) {
        note_version(self, message);
        send_token(self);
        move_to(self, SESSION_AUTH);
    } else if (message_is(message, "auth_ok")) {
        /* The Supervisor's proxy may have spoken for us. */
        note_version(self, message);
        move_to(self, SESSION_SUBSCRIBING);
        subscribe_all(self);
    } else if (message_is(message, "auth_invalid")) {
        finish(self, END_REFUSED, "the token was refused");
    } else {
        finish(self, END_PROTOCOL, "this is no Home Assistant: no auth_required");
    }
}

static void on_auth(struct session *self, const struct message *message)
{
    if (message_is(message, "auth_ok")) {
        note_version(self, message);
        move_to(self, SESSION_SUBSCRIBING);
        subscribe_all(self);
    } else if (message_is(message, "auth_invalid")) {
        finish(self, END_REFUSED, "the token was refused");
    } else {
        finish(self, END_PROTOCOL, "neither auth_ok nor auth_invalid");
    }
}

/* --- subscriptions --------------------------------------------------------------------- */

static void subscribe_allowed(struct session *self)
{
    self->all_events = false;
    self->granted = 0;
    self->unanswered = ALLOWED_TYPES;
    self->first_id = (uint32_t)self->next_id;
    self->last_id = self->first_id + ALLOWED_TYPES - 1;
    self->next_id += ALLOWED_TYPES;
    for (size_t i = 0; i < ALLOWED_TYPES && self->state != SESSION_OVER; i++)
        say(self, "{\"id\":%zu,\"type\":\"subscribe_events\",\"event_type\":\"%s\"}", (size_t)self->first_id + i,
            allowed_types[i]);
}

static void note_type(struct session *self, const char *type)
{
    size_t length = strlen(self->event_types);
    if (length == 0)
        snprintf(self->event_types, sizeof self->event_types, "[\"%s\"]", type);
    else
        snprintf(self->event_types + length - 1, sizeof self->event_types - length + 1, ",\"%s\"]", type);
}

static bool is_unauthorized(const struct message *message)
{
    const struct json_value *error = &message->values[KEY_ERROR];
    return error->kind == JSON_OBJECT && memmem(error->raw.data, error->raw.size, "\"unauthorized\"", 14);
}

static void on_subscribed(struct session *self, const struct message *message)
{
    bool success = message->values[KEY_SUCCESS].kind == JSON_TRUE;
    if (self->state != SESSION_SUBSCRIBING || self->unanswered == 0) {
        self->ignored++;
        return;
    }
    if (!success && self->all_events) {
        if (is_unauthorized(message))
            subscribe_allowed(self);
        else
            finish(self, END_PROTOCOL, "subscribe_events failed");
        return;
    }
    self->unanswered--;
    if (success) {
        self->granted++;
        if (!self->all_events)
            note_type(self, allowed_types[message->id - (int64_t)self->first_id]);
    }
    if (self->unanswered > 0)
        return;
    if (self->granted > 0) {
        self->known_us = self->now_us; /* from here on it is all ours */
        move_to(self, SESSION_LIVE);
    } else {
        finish(self, END_PROTOCOL, "the token may not subscribe to any event");
    }
}

/* --- results --------------------------------------------------------------------------- */

static void on_answer(struct session *self, const struct message *message)
{
    for (size_t i = 0; i < self->ask_count; i++) {
        if (self->asks[i].id != message->id)
            continue;
        int64_t tag = self->asks[i].tag;
        memmove(&self->asks[i], &self->asks[i + 1], (--self->ask_count - i) * sizeof *self->asks);
        self->hooks.answered(self->owner, tag, message->values[KEY_SUCCESS].kind == JSON_TRUE,
            message->values[KEY_RESULT].raw, message->values[KEY_ERROR].raw);
        return;
    }
    self->ignored++;
}

static void on_result(struct session *self, const struct message *message)
{
    if (message->id >= (int64_t)self->first_id && message->id <= (int64_t)self->last_id)
        on_subscribed(self, message);
    else if (message->id != self->features_id) /* an old Home Assistant does not know it: no harm */
        on_answer(self, message);
}

/* --- events ---------------------------------------------------------------------------- */

static void look_at(struct session *self, struct slice event)
{
    if (event_is_state_changed(event))
        return;
    if (event_has(event, "_registry_updated\""))
        self->registry_changes++;
    if (event_has(event, "\"homeassistant_stop\"") || event_has(event, "\"homeassistant_final_write\""))
        self->stopping = true;
    else if (event_has(event, "\"homeassistant_start\"") || event_has(event, "\"homeassistant_started\""))
        self->stopping = false;
    if (event_has(event, "\"homeassistant_started\""))
        self->starting = false;
}

/* Everything sent before this pong has come. One that took its time says nothing of the present. */
static void on_own_pong(struct session *self)
{
    self->ping_id = 0;
    if (self->ping_at_us > self->known_us)
        self->known_us = self->ping_at_us;
    if (self->now_us - self->ping_at_us <= DOUBT_US)
        self->is_doubtful = false;
}

static void on_pong(struct session *self, const struct message *message)
{
    if (self->ping_id != 0 && message->id == self->ping_id)
        on_own_pong(self);
    if (self->fence_id == 0 || message->id != self->fence_id)
        return;
    self->fence_id = 0;
    self->fenced = true; /* said when the frame's own events are out */
}

static void on_message(void *owner, const struct message *message)
{
    struct session *self = owner;
    if (self->state == SESSION_OVER)
        return;
    if (message->why && self->state < SESSION_SUBSCRIBING)
        finish(self, END_PROTOCOL, "this is no Home Assistant: %s", message->why);
    else if (self->state == SESSION_HELLO)
        on_hello(self, message);
    else if (self->state == SESSION_AUTH)
        on_auth(self, message);
    else if (items_take(&self->items, message, self->first_id, self->last_id)) {
        const struct item *item = &self->items.list[self->items.count - 1];
        if (!item->why)
            look_at(self, item->bytes);
    } else if (message_is(message, "result"))
        on_result(self, message);
    else if (message_is(message, "auth_invalid"))
        finish(self, END_REFUSED, "the token was revoked");
    else if (message_is(message, "pong"))
        on_pong(self, message);
    else
        self->ignored++;
}

void session_opened(session_t *self, int64_t clock_us)
{
    self->state_since_us = self->heard_us = self->known_us = self->due_us = self->now_us = clock_us;
}

void session_take(session_t *self, struct slice frame, int64_t clock_us)
{
    const char *why = NULL;
    self->now_us = clock_us;
    session_heard(self, clock_us);
    self->items.count = 0;
    self->items.is_starting = self->starting;
    if (self->state == SESSION_OVER)
        return;
    if (split_messages(self->options.split, frame, on_message, self, &why)) {
        self->items.count = 0;
        if (self->state < SESSION_SUBSCRIBING)
            finish(self, END_PROTOCOL, "this is no Home Assistant: %s", why);
        else
            items_add(&self->items, frame, why);
    }
    if (self->items.count > 0)
        self->hooks.frame(self->owner, frame, &self->items);
    if (self->fenced)
        self->hooks.fenced(self->owner);
    self->fenced = false;
    if (self->items.room > 16384) /* one huge frame must not cost its memory for ever */
        items_free(&self->items);
}

/* --- time ------------------------------------------------------------------------------ */

void session_excuse(session_t *self, int64_t clock_us)
{
    self->heard_us = clock_us;
    self->ping_sent = false;
}

void session_doubt(session_t *self)
{
    self->is_doubtful = true;
}

void session_heard(session_t *self, int64_t clock_us)
{
    if (clock_us - self->heard_us > DOUBT_US)
        session_doubt(self);
    session_excuse(self, clock_us);
    if (!self->is_doubtful)
        self->known_us = clock_us;
}

/* A process that was stopped, and so called long after it asked to be, has not listened: what
 * came meanwhile waits in the socket. It gets the time between ping and silence to be read. */
static void forgive_own_sleep(struct session *self, int64_t clock_us)
{
    if (clock_us - self->due_us > self->options.ping_us / 2 && clock_us - self->heard_us > self->options.ping_us)
        self->heard_us = clock_us - self->options.ping_us;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void send_ping(struct session *self)
{
    self->ping_sent = true;
    self->ping_id = self->next_id++;
    self->ping_at_us = self->now_us;
    say(self, "{\"id\":%" PRId64 ",\"type\":\"ping\"}", self->ping_id);
}

int64_t session_tick(session_t *self, int64_t clock_us)
{
    const struct session_options *o = &self->options;
    self->now_us = clock_us;
    if (self->state == SESSION_OVER)
        return INT64_MAX;
    forgive_own_sleep(self, clock_us);
    int64_t silent_us = clock_us - self->heard_us, in_state_us = clock_us - self->state_since_us;
    if (self->state < SESSION_SUBSCRIBING) {
        if (in_state_us >= o->auth_us)
            finish(self, END_PROTOCOL, self->state == SESSION_HELLO ? "no auth_required in time" : "no answer to auth in time");
        return o->auth_us - in_state_us;
    }
    if (silent_us >= o->silence_us)
        finish(self, END_SILENT, "nothing heard for %" PRId64 " ms", silent_us / 1000);
    else if (self->state == SESSION_SUBSCRIBING && in_state_us >= o->subscribe_us)
        finish(self, END_PROTOCOL, "no answer to subscribe_events in time");
    else if ((silent_us >= o->ping_us && !self->ping_sent) || (self->is_doubtful && self->ping_id == 0))
        send_ping(self);
    int64_t wait_us = self->ping_sent ? o->silence_us - silent_us : earlier(o->ping_us, o->silence_us) - silent_us;
    if (self->state == SESSION_SUBSCRIBING)
        wait_us = earlier(wait_us, o->subscribe_us - in_state_us);
    self->due_us = clock_us + wait_us;
    return wait_us;
}

/* --- asking ---------------------------------------------------------------------------- */

int session_ask(session_t *self, struct slice command, int64_t tag, int64_t clock_us)
{
    const char *text = command.data;
    self->now_us = clock_us;
    if (self->state != SESSION_LIVE || self->ask_count == OPEN_ASKS || command.size < 2 || text[0] != '{')
        return -1;
    char start[32];
    int length = snprintf(start, sizeof start, "{\"id\":%" PRId64, self->next_id);
    size_t rest = 1 + strspn(text + 1, " \t\r\n"); /* the object ends with '}', so this stops */
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    msgpack_sbuffer_write(&out, start, (size_t)length);
    if (text[rest] != '}')
        msgpack_sbuffer_write(&out, ",", 1);
    msgpack_sbuffer_write(&out, text + rest, command.size - rest);
    self->asks[self->ask_count++] = (struct ask){ self->next_id++, tag, clock_us };
    self->hooks.send(self->owner, (struct slice){ out.data, out.size });
    msgpack_sbuffer_destroy(&out);
    return 0;
}

bool session_drop_ask(session_t *self, int64_t until_us, int64_t *tag)
{
    if (self->ask_count == 0 || self->asks[0].at_us > until_us)
        return false;
    *tag = self->asks[0].tag;
    memmove(self->asks, self->asks + 1, --self->ask_count * sizeof *self->asks);
    return true;
}

void session_fence(session_t *self, int64_t clock_us)
{
    self->now_us = clock_us;
    if (self->state == SESSION_OVER)
        return;
    self->fence_id = self->next_id++;
    say(self, "{\"id\":%" PRId64 ",\"type\":\"ping\"}", self->fence_id);
}

/* --- what it knows --------------------------------------------------------------------- */

enum session_state session_state(const session_t *self)
{
    return self->state;
}

enum session_end session_end(const session_t *self)
{
    return self->end;
}

const char *session_why(const session_t *self)
{
    return self->why;
}

const char *session_ha_version(const session_t *self)
{
    return self->ha_version;
}

bool session_all_events(const session_t *self)
{
    return self->all_events;
}

const char *session_event_types(const session_t *self)
{
    return self->event_types;
}

void session_ids(const session_t *self, uint32_t *first, uint32_t *last)
{
    *first = self->first_id;
    *last = self->last_id;
}

bool session_is_starting(const session_t *self)
{
    return self->starting;
}

void session_set_starting(session_t *self, bool starting)
{
    self->starting = starting;
}

bool session_is_stopping(const session_t *self)
{
    return self->stopping;
}

int64_t session_known_at(const session_t *self)
{
    return self->known_us;
}

int64_t session_registry_changes(const session_t *self)
{
    return self->registry_changes;
}

int64_t session_ignored(const session_t *self)
{
    return self->ignored;
}
