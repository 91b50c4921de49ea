/* protocol.c - one client's conversation: hello, authentication, commands, its end. */
#include "home.h"
#include "read.h"
#include "shapes.h"
#include "stream.h"

#include <assert.h>
#include <stdlib.h>

static const char *version_of(const struct home *home)
{
    return home->replay ? replay_version(home->replay) : version_names[home->options->version];
}

void session_send(struct session *self, struct slice message)
{
    outbox_put(&self->outbox, message, (struct slice){0}, (struct slice){0});
    self->home->wake(self);
}

struct session *session_open(struct home *home, void *socket)
{
    struct session *self = calloc(1, sizeof *self);

    assert(self);
    self->home = home;
    self->socket = socket;
    self->number = ++home->connections;
    self->opened_us = home->now_us;
    self->ping_due_us = home->now_us + PING_SECONDS * SECOND_US;
    home->sessions = realloc(home->sessions, (home->session_count + 1) * sizeof *home->sessions);
    assert(home->sessions);
    home->sessions[home->session_count++] = self;
    truth_note(home->truth, home->now_us, "\"connection\":%d,\"what\":\"opened\"", self->number);
    home->reply.size = 0;
    text_printf(&home->reply, "{\"type\":\"auth_required\",\"ha_version\":\"%s\"}", version_of(home));
    session_send(self, text_view(&home->reply));
    return self;
}

void session_closed(struct session *self, const char *why)
{
    struct home *home = self->home;

    truth_note(home->truth, home->now_us, "\"connection\":%d,\"what\":\"closed\",\"why\":\"%s\",\"unsent\":%zu,\"sent_event\":%lld",
        self->number, why, self->outbox.pending, (long long)self->outbox.sent_event);
    for (size_t i = 0; i < home->session_count; i++)
        if (home->sessions[i] == self)
            home->sessions[i] = home->sessions[--home->session_count];
    for (size_t i = 0; i < self->subscription_count; i++) {
        free(self->subscriptions[i].event_type);
        text_free(&self->subscriptions[i].end);
        text_free(&self->subscriptions[i].entity_ids);
    }
    free(self->subscriptions);
    stream_close(home, self->number, 0);
    outbox_free(&self->outbox);
    text_free(&self->input);
    text_free(&self->wire);
    text_free(&self->array);
    free(self);
}

void session_end(struct session *self, enum ending ending, const char *why)
{
    if (self->ending >= ending)
        return;
    self->ending = ending;
    truth_note(self->home->truth, self->home->now_us, "\"connection\":%d,\"what\":\"ending\",\"why\":\"%s\"",
        self->number, why);
    self->home->wake(self);
}

static void refuse(struct session *self, const char *why)
{
    struct text *reply = &self->home->reply;

    reply->size = 0;
    text_printf(reply, "{\"type\":\"auth_invalid\",\"message\":\"%s\"}", why);
    session_send(self, text_view(reply));
    session_end(self, ENDS_AFTER_REST, "auth_invalid");
}

static void authenticate(struct session *self, struct slice message)
{
    struct home *home = self->home;
    struct text type = {0}, token = {0};
    bool is_auth = read_text(read_member(message, "type"), &type) && slice_is(text_view(&type), "auth");
    bool has_token = read_text(read_member(message, "access_token"), &token);

    self->admin = has_token && slice_is(text_view(&token), home->options->token);
    bool limited =
        has_token && home->options->limited_token && slice_is(text_view(&token), home->options->limited_token);
    if (!is_auth || !has_token) {
        refuse(self, "Auth message incorrectly formatted");
    } else if ((!self->admin && !limited) || home->refuse_auth || home->revoked) {
        refuse(self, "Invalid access token or password");
    } else {
        self->authenticated = true;
        home->reply.size = 0;
        text_printf(&home->reply, "{\"type\":\"auth_ok\",\"ha_version\":\"%s\"}", version_of(home));
        session_send(self, text_view(&home->reply));
        truth_note(home->truth, home->now_us, "\"connection\":%d,\"what\":\"authenticated\",\"admin\":%s", self->number,
            self->admin ? "true" : "false");
    }
    text_free(&type);
    text_free(&token);
}

void session_receive(struct session *self, struct slice text)
{
    struct slice key, message;

    if (self->ending)
        return;
    if (!read_valid(text)) {
        session_end(self, ENDS_AFTER_REST, "received invalid JSON");
    } else if (!self->authenticated) {
        authenticate(self, text);
    } else if (*(const char *)text.data == '[') {
        while (read_next(&text, &key, &message))
            command_run(self, message);
    } else {
        command_run(self, text);
    }
}

/* As HA does: more than 4096 waiting, or more than 1024 for ten seconds, and the client is cut. */
void session_drop_if_behind(struct session *self)
{
    struct home *home = self->home;
    size_t pending = self->outbox.pending;

    home->pending_peak = pending > home->pending_peak ? pending : home->pending_peak;
    if (!home->options->strict || self->ending || self->frozen)
        return;
    if (pending <= PEAK_PENDING)
        self->peak_since_us = 0;
    else if (!self->peak_since_us)
        self->peak_since_us = home->now_us;
    bool too_many = pending > MAX_PENDING;
    if (!too_many && !(self->peak_since_us && home->now_us - self->peak_since_us > PEAK_SECONDS * SECOND_US))
        return;
    home->dropped++;
    truth_note(home->truth, home->now_us, "\"connection\":%d,\"what\":\"dropped\",\"why\":\"%s\",\"pending\":%zu",
        self->number, too_many ? "reached 4096 pending messages" : "stayed over 1024 pending messages", pending);
    session_end(self, ENDS_NOW, "client unable to keep up");
}

void session_tick(struct session *self)
{
    int64_t now_us = self->home->now_us;

    if (self->frozen || self->ending)
        return;
    if (!self->authenticated && now_us - self->opened_us > AUTH_SECONDS * SECOND_US)
        session_end(self, ENDS_NOW, "no authentication in time");
    if (self->pong_due_us && now_us > self->pong_due_us)
        session_end(self, ENDS_NOW, "no pong");
    session_drop_if_behind(self);
    if (now_us >= self->ping_due_us)
        self->home->wake(self);
}
