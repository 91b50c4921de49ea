/* replay.c - a recording of a real Home Assistant instead of a world: its events, in its frames. */
#include "home.h"
#include "read.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { TICK_FRAMES = 200 };

struct recorded {
    struct text result;
    char *type;
};

/* The messages of one recorded frame as a list; `array` if they came as one. */
struct frame {
    struct text messages;
    bool array;
};

struct replay {
    struct frame *frames;
    size_t frame_count, next;
    struct recorded *results;
    size_t result_count;
    int64_t subscriptions[8];
    size_t subscription_count; /* ids of the recorded subscribe_events */
    struct {
        int64_t id;
        char *type;
    } sent[256];
    size_t sent_count;
    char version[32];
};

static bool is_subscription(const struct replay *self, int64_t id)
{
    for (size_t i = 0; i < self->subscription_count; i++)
        if (self->subscriptions[i] == id)
            return true;
    return false;
}

static void learn_command(struct replay *self, struct slice message)
{
    struct text type = {0};
    int64_t id;

    if (!read_int(read_member(message, "id"), &id) || !read_text(read_member(message, "type"), &type)) {
        text_free(&type);
        return;
    }
    if (slice_is(text_view(&type), "subscribe_events") && self->subscription_count < 8)
        self->subscriptions[self->subscription_count++] = id;
    if (self->sent_count < 256) {
        self->sent[self->sent_count].id = id;
        self->sent[self->sent_count++].type = type.data;
    } else {
        text_free(&type);
    }
}

static const struct recorded *find_result(const struct replay *self, const char *type)
{
    for (size_t i = 0; i < self->result_count; i++)
        if (strcmp(self->results[i].type, type) == 0)
            return &self->results[i];
    return NULL;
}

/* The first result of each command is the home as the recorded client found it. */
static void learn_result(struct replay *self, struct slice message)
{
    struct slice result = read_member(message, "result");
    int64_t id = 0;

    read_int(read_member(message, "id"), &id);
    for (size_t i = 0; i < self->sent_count; i++) {
        if (self->sent[i].id != id || !result.size || find_result(self, self->sent[i].type))
            continue;
        self->results = realloc(self->results, (self->result_count + 1) * sizeof *self->results);
        assert(self->results);
        struct recorded *recorded = &self->results[self->result_count++];
        *recorded = (struct recorded){.type = strdup(self->sent[i].type)};
        text_set(&recorded->result, result.data, result.size);
    }
}

static bool is_event(const struct replay *self, struct slice message)
{
    int64_t id = 0;

    return slice_is(read_member(message, "type"), "\"event\"") && read_int(read_member(message, "id"), &id) &&
           is_subscription(self, id);
}

/* One message of a frame: an event is kept, a result or the hello is learnt from. */
static void learn_message(struct replay *self, struct slice message, struct text *kept)
{
    struct text type = {0}, version = {0};

    if (is_event(self, message)) {
        text_say(kept, kept->size > 1 ? "," : "");
        text_slice(kept, message);
    } else if (read_text(read_member(message, "type"), &type) && slice_is(text_view(&type), "result")) {
        learn_result(self, message);
    } else if (slice_is(text_view(&type), "auth_required") && read_text(read_member(message, "ha_version"), &version)) {
        snprintf(self->version, sizeof self->version, "%s", version.data);
    }
    text_free(&type);
    text_free(&version);
}

/* Keep what the subscriptions brought, as a list. */
static void learn_frame(struct replay *self, struct slice text)
{
    struct slice rest = text, key, message;
    struct text kept = {0};
    bool array = text.size && *(const char *)text.data == '[';

    text_say(&kept, "[");
    if (!array)
        learn_message(self, text, &kept);
    while (array && read_next(&rest, &key, &message))
        learn_message(self, message, &kept);
    if (kept.size == 1) {
        text_free(&kept);
        return;
    }
    text_say(&kept, "]");
    if ((self->frame_count & (self->frame_count - 1)) == 0)
        self->frames = realloc(self->frames, (self->frame_count ? self->frame_count * 2 : 1) * sizeof *self->frames);
    assert(self->frames);
    self->frames[self->frame_count++] = (struct frame){.messages = kept, .array = array};
}

static void learn_line(struct replay *self, struct slice line)
{
    struct text text = {0};
    struct slice direction = read_member(line, "dir");

    if (read_text(read_member(line, "text"), &text)) {
        if (slice_is(direction, "\">\"") && read_valid(text_view(&text)))
            learn_command(self, text_view(&text));
        else if (slice_is(direction, "\"<\""))
            learn_frame(self, text_view(&text));
    }
    text_free(&text);
}

struct replay *replay_new(const char *path)
{
    gzFile file = gzopen(path, "rbe");
    struct text all = {0};
    int got;

    if (!file) {
        fprintf(stderr, "home: cannot read %s\n", path);
        return NULL;
    }
    struct replay *self = calloc(1, sizeof *self);
    assert(self);
    do {
        text_reserve(&all, 1 << 16);
        got = gzread(file, all.data + all.size, 1 << 16);
        all.size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    gzclose(file);
    for (char *at = all.data, *end; (end = memchr(at, '\n', all.size - (size_t)(at - all.data))); at = end + 1)
        learn_line(self, (struct slice){at, (size_t)(end - at)});
    text_free(&all);
    if (got < 0 || !self->frame_count) {
        fprintf(stderr, "home: %s is no recording with events\n", path);
        replay_destroy(&self);
    }
    return self;
}

void replay_destroy(struct replay **self_p)
{
    struct replay *self = *self_p;

    if (!self)
        return;
    for (size_t i = 0; i < self->frame_count; i++)
        text_free(&self->frames[i].messages);
    for (size_t i = 0; i < self->result_count; i++) {
        text_free(&self->results[i].result);
        free(self->results[i].type);
    }
    for (size_t i = 0; i < self->sent_count; i++)
        free(self->sent[i].type);
    free(self->frames);
    free(self->results);
    free(self);
    *self_p = NULL;
}

const char *replay_version(const struct replay *self)
{
    return self->version[0] ? self->version : "2026.2.3";
}

bool replay_answer(struct replay *self, const char *type, struct text *result)
{
    const struct recorded *recorded = find_result(self, type);

    if (recorded)
        text_slice(result, text_view(&recorded->result));
    else if (strstr(type, "_registry/list") || strcmp(type, "config_entries/get") == 0 ||
             strcmp(type, "get_states") == 0)
        text_say(result, "[]"); /* the recorded client did not ask */
    else
        return false;
    return true;
}

/* The bytes as recorded, but for the subscription's id. */
static void rewrite(struct text *out, struct slice message, int64_t id)
{
    struct slice raw = read_member(message, "id");
    size_t before = (size_t)((const char *)raw.data - (const char *)message.data);

    text_add(out, message.data, before);
    text_int(out, id);
    text_add(out, (const char *)raw.data + raw.size, message.size - before - raw.size);
}

static const struct subscription *wanting(const struct session *session, struct slice event_type)
{
    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct subscription *subscription = &session->subscriptions[i];
        const char *wanted = subscription->event_type;
        if (!subscription->entities &&
            (!wanted || (event_type.size == strlen(wanted) + 2 &&
                            memcmp((const char *)event_type.data + 1, wanted, strlen(wanted)) == 0)))
            return subscription;
    }
    return NULL;
}

static void send_frame(struct home *home, struct session *session, const struct frame *frame)
{
    struct slice rest = text_view(&frame->messages), key, message;
    struct text *out = &home->scratch;

    out->size = 0;
    while (read_next(&rest, &key, &message)) {
        const struct subscription *subscription =
            wanting(session, read_member(read_member(message, "event"), "event_type"));
        if (!subscription)
            continue;
        text_say(out, out->size ? "," : frame->array ? "[" : "");
        rewrite(out, message, subscription->id);
    }
    if (!out->size)
        return;
    text_say(out, frame->array ? "]" : "");
    outbox_put_frame(&session->outbox, text_view(out));
}

static bool listens(const struct session *session)
{
    return session->subscription_count && !session->frozen && !session->silent && !session->ending;
}

/* A replay goes to whoever is subscribed when it is played; each frame once. */
static void play(struct home *home, const struct frame *frame)
{
    struct slice rest = text_view(&frame->messages), key, message;
    int sent_to[16];

    while (read_next(&rest, &key, &message)) {
        struct slice event = read_member(message, "event");
        size_t count = 0;
        home->events++;
        for (size_t i = 0; i < home->session_count && count < 16; i++)
            if (listens(home->sessions[i]) && wanting(home->sessions[i], read_member(event, "event_type")))
                sent_to[count++] = home->sessions[i]->number;
        truth_event(home->truth, home->now_us, sent_to, count, event);
    }
    for (size_t i = 0; i < home->session_count; i++) {
        home->sessions[i]->outbox.event = home->events;
        if (listens(home->sessions[i]))
            send_frame(home, home->sessions[i], frame);
    }
}

static bool someone_listens(const struct home *home)
{
    for (size_t i = 0; i < home->session_count; i++)
        if (home->sessions[i]->subscription_count && !home->sessions[i]->ending)
            return true;
    return false;
}

void replay_tick(struct home *home)
{
    struct replay *self = home->replay;

    for (int n = 0; n < TICK_FRAMES && self->next < self->frame_count; n++) {
        if (!someone_listens(home) || !feed_has_room(home) || !home->generating)
            return;
        play(home, &self->frames[self->next++]);
    }
}
