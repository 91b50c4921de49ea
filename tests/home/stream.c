/* stream.c - history/stream: what was, what the recorder had not committed yet, and what comes. */
#include "stream.h"
#include "recorded.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* As HA: its recorder is told to commit at once; live states are put together for a while; a
 * client that lets too many of them wait is unsubscribed without a word. */
enum { SYNC_US = 50000, COALESCE_US = 350000, MAX_PENDING_STATES = 2048 };

struct change {
    struct text id, json;
};

struct stream {
    struct stream *next;
    int session_number;
    int64_t id, opened_us, sync_due_us, live_due_us; /* due 0: is not waited for */
    struct text entity_ids;
    struct question question;
    double newest_s;
    struct change *changes;
    size_t change_count;
};

static struct session *session_of(const struct home *home, const struct stream *stream)
{
    for (size_t i = 0; i < home->session_count; i++)
        if (home->sessions[i]->number == stream->session_number && !home->sessions[i]->ending)
            return home->sessions[i];
    return NULL;
}

static void send_history(struct home *home, struct session *session, struct stream *stream, bool even_empty)
{
    struct text *text = &home->reply;

    text->size = 0;
    text_printf(text, "{\"id\":%lld,\"type\":\"event\",\"event\":{\"states\":", (long long)stream->id);
    stream->newest_s = history_answer(home->history, text, &stream->question);
    if (stream->newest_s == 0 && !even_empty)
        return;
    text_say(text, ",\"start_time\":");
    text_float(text, stream->question.start_s);
    text_say(text, ",\"end_time\":");
    text_float(text, stream->newest_s != 0 ? stream->newest_s : stream->question.end_s);
    text_say(text, "}}");
    session_send(session, text_view(text));
}

static void stream_free(struct stream *stream)
{
    for (size_t i = 0; i < stream->change_count; i++) {
        text_free(&stream->changes[i].id);
        text_free(&stream->changes[i].json);
    }
    free(stream->changes);
    text_free(&stream->entity_ids);
    free(stream);
}

void stream_open(struct session *session, int64_t id, const struct question *question, bool ended)
{
    struct home *home = session->home;
    struct stream *stream = calloc(1, sizeof *stream);

    assert(stream);
    text_set(&stream->entity_ids, question->entity_ids.data, question->entity_ids.size);
    stream->question = *question;
    stream->question.entity_ids = text_view(&stream->entity_ids);
    stream->session_number = session->number;
    stream->id = id;
    stream->opened_us = home->now_us;
    stream->sync_due_us = home->now_us + SYNC_US;
    if (!ended)
        stream->question.end_s = (double)home->now_us / 1e6;
    send_history(home, session, stream, true);
    if (ended) {
        stream_free(stream);
        return;
    }
    stream->next = home->streams;
    home->streams = stream;
}

bool stream_close(struct home *home, int session_number, int64_t id)
{
    bool found = false;

    for (struct stream **at = &home->streams; *at;) {
        struct stream *stream = *at;
        if (stream->session_number != session_number || (id && stream->id != id)) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        stream_free(stream);
        found = true;
    }
    return found;
}

/* --- what comes ------------------------------------------------------------------------------ */

static bool wants(const struct stream *stream, const struct happening *happening)
{
    struct text quoted = {0};
    struct slice id = slice_of(happening->entity->id);
    const struct question *question = &stream->question;

    if (!happening->old_json.size || !happening->new_json.size || happening->t_us <= stream->opened_us)
        return false;
    if ((question->significant || question->minimal) && !recorded_is_significant(id) &&
        happening->entity->changed_us != happening->entity->updated_us)
        return false;
    text_json(&quoted, id);
    bool wanted = memmem(stream->entity_ids.data, stream->entity_ids.size, quoted.data, quoted.size);
    text_free(&quoted);
    return wanted;
}

static void add_change(struct home *home, struct stream *stream, const struct entity *entity)
{
    const struct row row = {.entity_id = slice_of(entity->id),
        .state = text_view(&entity->state),
        .attributes = text_view(&entity->attributes),
        .updated_us = entity->updated_us,
        .changed_us = entity->changed_us};

    stream->changes = realloc(stream->changes, (stream->change_count + 1) * sizeof *stream->changes);
    assert(stream->changes);
    struct change *change = &stream->changes[stream->change_count++];
    *change = (struct change){0};
    text_json(&change->id, row.entity_id);
    history_say_live(home->history, &change->json, &row, stream->question.attributes);
    if (!stream->live_due_us)
        stream->live_due_us = home->now_us + COALESCE_US;
}

void stream_happening(struct home *home, const struct happening *happening)
{
    struct stream *next;

    for (struct stream *stream = home->streams; happening->entity && stream; stream = next) {
        next = stream->next;
        if (!wants(stream, happening))
            continue;
        if (stream->change_count == MAX_PENDING_STATES)
            stream_close(home, stream->session_number, stream->id);
        else
            add_change(home, stream, happening->entity);
    }
}

/* All changes of the entity that the i-th is of; they are taken out. */
static void say_changes(struct text *text, struct stream *stream, size_t i)
{
    struct text id = stream->changes[i].id;
    const char *comma = "";

    stream->changes[i].id = (struct text){0};
    text_slice(text, text_view(&id));
    text_say(text, ":[");
    for (; i < stream->change_count; i++) {
        struct change *change = &stream->changes[i];
        if (!change->json.size || (change->id.size && !slice_same(text_view(&change->id), text_view(&id))))
            continue;
        text_say(text, comma);
        text_slice(text, text_view(&change->json));
        text_free(&change->json);
        text_free(&change->id);
        comma = ",";
    }
    text_say(text, "]");
    text_free(&id);
}

static void send_changes(struct home *home, struct session *session, struct stream *stream)
{
    struct text *text = &home->reply;
    const char *comma = "";

    text->size = 0;
    text_printf(text, "{\"id\":%lld,\"type\":\"event\",\"event\":{\"states\":{", (long long)stream->id);
    for (size_t i = 0; i < stream->change_count; i++) {
        if (!stream->changes[i].json.size)
            continue;
        text_say(text, comma);
        say_changes(text, stream, i);
        comma = ",";
    }
    text_say(text, "}}}");
    stream->change_count = 0;
    stream->live_due_us = 0;
    session_send(session, text_view(text));
}

/* What was not committed when the first message was made, and no start state again. */
static void catch_up(struct home *home, struct session *session, struct stream *stream)
{
    bool empty = stream->newest_s == 0;

    stream->sync_due_us = 0;
    history_sync(home->history, home->now_us);
    if (!empty)
        stream->question.start_s = stream->newest_s;
    stream->question.start_state = false;
    stream->question.now_us = home->now_us;
    send_history(home, session, stream, empty);
}

void stream_tick(struct home *home)
{
    for (struct stream *stream = home->streams; stream; stream = stream->next) {
        struct session *session = session_of(home, stream);
        if (!session || session->frozen)
            continue;
        if (stream->sync_due_us && home->now_us >= stream->sync_due_us)
            catch_up(home, session, stream);
        if (stream->live_due_us && home->now_us >= stream->live_due_us)
            send_changes(home, session, stream);
    }
}
