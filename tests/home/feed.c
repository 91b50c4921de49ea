/* feed.c - events on their way to the subscribers, and into the truth. */
#include "home.h"
#include "read.h"
#include "shapes.h"
#include "stream.h"

#include <assert.h>
#include <stdlib.h>

static const char *const excluded[] = {"homeassistant_close", "state_reported"};

static bool matches(const struct subscription *subscription, const struct happening *happening)
{
    if (subscription->event_type)
        return strcmp(subscription->event_type, happening->type) == 0;
    return strcmp(happening->type, excluded[0]) != 0 && strcmp(happening->type, excluded[1]) != 0;
}

static void put(struct session *session, struct slice begin, struct slice middle, struct slice end)
{
    if (!session->arraying) {
        outbox_put(&session->outbox, begin, middle, end);
        return;
    }
    text_say(&session->array, session->array.size > 1 ? "," : "");
    text_slice(&session->array, begin);
    text_slice(&session->array, middle);
    text_slice(&session->array, end);
}

/* --- subscribe_entities: additions, changes and removals in their short form ------------------ */

struct difference {
    struct text *text;
    struct slice other;
    bool any, removed;
};

static void compare_members(struct difference *self, struct slice members)
{
    struct slice key, value;
    struct text name = {0};

    while (read_next(&members, &key, &value)) {
        text_set(&name, (const char *)key.data + 1, key.size - 2);
        text_add(&name, "", 1);
        struct slice other = read_member(self->other, name.data);
        if (self->removed ? other.size > 0 : slice_same(other, value))
            continue;
        text_say(self->text, self->any ? "," : "");
        text_slice(self->text, key);
        if (!self->removed) {
            text_say(self->text, ":");
            text_slice(self->text, value);
        }
        self->any = true;
    }
    text_free(&name);
}

static void say_change(struct text *text, const struct happening *happening)
{
    struct slice old = read_member(happening->old_json, "attributes"),
                 new = read_member(happening->new_json, "attributes");
    const struct entity *entity = happening->entity;
    bool same_state = slice_same(read_member(happening->old_json, "state"), read_member(happening->new_json, "state"));

    text_say(text, "{\"+\":{");
    if (!same_state) {
        text_say(text, "\"s\":");
        text_json(text, text_view(&entity->state));
        text_say(text, ",\"lc\":");
        moment_float(text, entity->changed_us);
    } else {
        text_say(text, "\"lu\":");
        moment_float(text, entity->updated_us);
    }
    text_printf(text, ",\"c\":\"%s\"", entity->context.id);
    size_t mark = text->size;
    struct difference added = {.text = text, .other = old};
    text_say(text, ",\"a\":{");
    compare_members(&added, new);
    if (added.any)
        text_say(text, "}");
    else
        text->size = mark;
    text_say(text, "}");
    struct difference gone = {.text = text, .other = new, .removed = true};
    mark = text->size;
    text_say(text, ",\"-\":{\"a\":[");
    compare_members(&gone, old);
    if (gone.any)
        text_say(text, "]}");
    else
        text->size = mark;
    text_say(text, "}");
}

static bool wants(const struct subscription *subscription, const char *entity_id)
{
    const struct text *ids = &subscription->entity_ids;
    char quoted[260];

    if (ids->size == 0)
        return true;
    size_t size = strlen(entity_id);
    quoted[0] = '"';
    memcpy(quoted + 1, entity_id, size);
    quoted[size + 1] = '"';
    return memmem(ids->data, ids->size, quoted, size + 2);
}

static void put_entity(
    struct session *session, const struct subscription *subscription, const struct happening *happening)
{
    struct text *text = &session->home->scratch;
    const char *id = happening->entity->id;

    if (!wants(subscription, id))
        return;
    text->size = 0;
    if (!happening->new_json.size) {
        text_printf(text, "{\"r\":[\"%s\"]}", id);
    } else if (!happening->old_json.size) {
        text_printf(text, "{\"a\":{\"%s\":", id);
        shape_compressed(text, happening->entity, true);
        text_say(text, "}}");
    } else {
        text_printf(text, "{\"c\":{\"%s\":", id);
        say_change(text, happening);
        text_say(text, "}}");
    }
    put(session, slice_of("{\"type\":\"event\",\"event\":"), text_view(text), text_view(&subscription->end));
}

/* --- every subscriber gets it ----------------------------------------------------------------------- */

static bool offer(struct session *session, const struct happening *happening)
{
    static const char begin[] = "{\"type\":\"event\",\"event\":";
    bool sent = false;

    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct subscription *subscription = &session->subscriptions[i];
        if (subscription->entities) {
            if (happening->entity)
                put_entity(session, subscription, happening);
        } else if (matches(subscription, happening)) {
            put(session, (struct slice){begin, sizeof begin - 1}, happening->json, text_view(&subscription->end));
            sent = true;
        }
    }
    return sent;
}

void feed_record(struct home *home, const struct entity *entity, int64_t t_us)
{
    history_add(home->history, &(struct row){.entity_id = slice_of(entity->id),
                                   .state = text_view(&entity->state),
                                   .attributes = text_view(&entity->attributes),
                                   .updated_us = t_us,
                                   .changed_us = entity->changed_us,
                                   .gone = !entity->present});
}

void feed_publish(void *owner, const struct happening *happening)
{
    struct home *home = owner;
    size_t count = 0;

    if (home->session_count > home->sent_room) {
        home->sent_room = home->session_count * 2;
        home->sent_to = realloc(home->sent_to, home->sent_room * sizeof *home->sent_to);
        assert(home->sent_to);
    }
    home->events++;
    for (size_t i = 0; i < home->session_count; i++) {
        struct session *session = home->sessions[i];
        if (!session->subscription_count || session->frozen || session->silent || session->ending)
            continue;
        session->outbox.event = home->events;
        if (offer(session, happening))
            home->sent_to[count++] = session->number;
    }
    truth_event(home->truth, happening->t_us, home->sent_to, count, happening->json);
    if (happening->entity) {
        feed_record(home, happening->entity, happening->t_us);
        stream_happening(home, happening);
    }
}

/* A client that is slow slows the house down; HA would cut it off, and so does --strict. */
bool feed_has_room(const struct home *home)
{
    if (home->options->strict)
        return true;
    for (size_t i = 0; i < home->session_count; i++) {
        const struct session *session = home->sessions[i];
        if (!session->frozen && !session->ending && outbox_bytes(&session->outbox) > OUTBOX_BYTES)
            return false;
    }
    return true;
}

void feed_note_subscription(struct session *session, const struct subscription *subscription)
{
    struct text type = {0};

    text_json_or_null(&type, subscription->event_type);
    text_add(&type, "", 1);
    truth_note(session->home->truth, session->home->now_us,
        "\"connection\":%d,\"what\":\"subscribed\",\"id\":%lld,\"entities\":%s,"
        "\"event_type\":%.200s",
        session->number, (long long)subscription->id, subscription->entities ? "true" : "false", type.data);
    text_free(&type);
    session->home->had_client = true;
}
