/* commands.c - the commands of Home Assistant's WebSocket API, one row each. */
#include "home.h"
#include "read.h"
#include "stream.h"
#include "shapes.h"

#include <assert.h>
#include <stdlib.h>

struct call {
    struct session *session;
    struct home *home;
    struct text *reply;
    int64_t id;
    struct slice message;
    const char *type;
};

static void send_or_hold(struct call *call, int64_t delay_us)
{
    struct home *home = call->home;

    if (delay_us <= 0) {
        session_send(call->session, text_view(call->reply));
        return;
    }
    struct late *late = calloc(1, sizeof *late), **end = &home->late;
    assert(late);
    late->due_us = home->now_us + delay_us;
    late->number = call->session->number;
    text_set(&late->message, call->reply->data, call->reply->size);
    while (*end)
        end = &(*end)->next;
    *end = late;
}

static struct text *begin(struct call *call)
{
    call->reply->size = 0;
    text_printf(call->reply, "{\"id\":%lld,\"type\":\"result\",\"success\":true,\"result\":", (long long)call->id);
    return call->reply;
}

static void finish(struct call *call)
{
    text_say(call->reply, "}");
    send_or_hold(call, 0);
}

static void succeed(struct call *call)
{
    text_say(begin(call), "null");
    finish(call);
}

static void fail(struct call *call, const char *code, const char *message)
{
    call->reply->size = 0;
    text_printf(call->reply,
        "{\"id\":%lld,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
        (long long)call->id, code, message);
    send_or_hold(call, 0);
}

/* A text member, or NULL if there is none; the caller frees it. */
static char *member(struct call *call, const char *key)
{
    struct text text = {0};

    if (read_text(read_member(call->message, key), &text))
        return text.data;
    text_free(&text);
    return NULL;
}

static bool flag(struct call *call, const char *key, bool otherwise)
{
    struct slice value = read_member(call->message, key);

    return value.size ? slice_is(value, "true") : otherwise;
}

/* --- what there is -------------------------------------------------------------------------- */

static void on_ping(struct call *call)
{
    call->reply->size = 0;
    text_printf(call->reply, "{\"id\":%lld,\"type\":\"pong\"}", (long long)call->id);
    send_or_hold(call, 0);
}

static void on_supported_features(struct call *call)
{
    int64_t wanted = 0;

    read_int(read_member(read_member(call->message, "features"), "coalesce_messages"), &wanted);
    call->session->coalesce = wanted == 1;
    succeed(call);
}

static void on_get_states(struct call *call)
{
    shape_states(call->home->world, begin(call));
    finish(call);
}

static void on_get_config(struct call *call)
{
    shape_config(call->home->world, begin(call), call->home->core_state);
    finish(call);
}

/* A recorded home has other entities than this one knows. */
static void on_energy_prefs(struct call *call)
{
    if (call->home->replay) {
        fail(call, "not_found", "No prefs");
        return;
    }
    shape_energy_prefs(call->home->world, begin(call));
    finish(call);
}

static void on_get_services(struct call *call)
{
    shape_services(begin(call));
    finish(call);
}

static void on_current_user(struct call *call)
{
    const char *admin = call->session->admin ? "true" : "false";

    text_printf(begin(call),
        "{\"id\":\"%s\",\"name\":\"Anna\",\"is_owner\":%s,\"is_admin\":%s,\"credentials\":[],\"mfa_modules\":[]}",
        call->home->world->user_id, admin, admin);
    finish(call);
}

static void on_recorder_info(struct call *call)
{
    text_printf(begin(call),
        "{\"backlog\":0,%s\"max_backlog\":65000,\"migration_in_progress\":false,\"migration_is_live\":false,"
        "\"recording\":true,\"thread_running\":true}",
        call->home->world->version > HA_2024_3 ? "\"db_in_default_location\":true," : "");
    finish(call);
}

static const struct {
    const char *type;
    void (*shape)(struct world *, struct text *);
} lists[] = {
    {"config/entity_registry/list", shape_entities},
    {"config/device_registry/list", shape_devices},
    {"config/area_registry/list", shape_areas},
    {"config/floor_registry/list", shape_floors},
    {"config/label_registry/list", shape_labels},
    {"config_entries/get", shape_config_entries},
};

static void on_registry_list(struct call *call)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strcmp(lists[i].type, call->type) == 0)
            lists[i].shape(call->home->world, begin(call));
    text_say(call->reply, "}");
    send_or_hold(call, call->home->registry_delay_us);
}

/* --- subscriptions ------------------------------------------------------------------------------ */

static struct subscription *subscribe(struct call *call, char *event_type)
{
    struct session *session = call->session;
    size_t size = (session->subscription_count + 1) * sizeof *session->subscriptions;

    session->subscriptions = realloc(session->subscriptions, size);
    assert(session->subscriptions);
    struct subscription *subscription = &session->subscriptions[session->subscription_count++];
    *subscription = (struct subscription){.id = call->id, .event_type = event_type};
    text_printf(&subscription->end, ",\"id\":%lld}", (long long)call->id);
    return subscription;
}

static bool allowed(const char *event_type)
{
    static const char *const types[] = {"area_registry_updated", "category_registry_updated", "component_loaded",
        "core_config_updated", "device_registry_updated", "entity_registry_updated", "floor_registry_updated",
        "issue_registry_updated", "label_registry_updated", "lovelace_updated", "panels_updated",
        "persistent_notifications_updated", "recorder_5min_statistics_generated",
        "recorder_hourly_statistics_generated", "repairs_issue_registry_updated", "service_registered",
        "service_removed", "shopping_list_updated", "state_changed", "themes_updated"};

    for (size_t i = 0; event_type && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i], event_type) == 0)
            return true;
    return false;
}

static void on_subscribe_events(struct call *call)
{
    char *event_type = member(call, "event_type");

    if (event_type && strcmp(event_type, "*") == 0) {
        free(event_type);
        event_type = NULL;
    }
    if (!call->session->admin && !allowed(event_type)) {
        free(event_type);
        fail(call, "unauthorized", "Unauthorized");
        return;
    }
    succeed(call);
    feed_note_subscription(call->session, subscribe(call, event_type));
}

static void on_unsubscribe_events(struct call *call)
{
    struct session *session = call->session;
    int64_t id = 0;

    read_int(read_member(call->message, "subscription"), &id);
    for (size_t i = 0; i < session->subscription_count; i++) {
        struct subscription *subscription = &session->subscriptions[i];
        if (subscription->id != id)
            continue;
        free(subscription->event_type);
        text_free(&subscription->end);
        text_free(&subscription->entity_ids);
        *subscription = session->subscriptions[--session->subscription_count];
        truth_note(call->home->truth, call->home->now_us, "\"connection\":%d,\"what\":\"unsubscribed\",\"id\":%lld",
            session->number, (long long)id);
        succeed(call);
        return;
    }
    if (stream_close(call->home, session->number, id))
        succeed(call);
    else
        fail(call, "not_found", "Subscription not found.");
}

static void on_subscribe_entities(struct call *call)
{
    struct world *world = call->home->world;
    struct text *reply = call->reply;
    bool first = true;

    succeed(call);
    struct subscription *subscription = subscribe(call, NULL);
    subscription->entities = true;
    struct slice ids = read_member(call->message, "entity_ids");
    text_set(&subscription->entity_ids, ids.data, ids.size);
    feed_note_subscription(call->session, subscription);
    reply->size = 0;
    text_say(reply, "{\"type\":\"event\",\"event\":{\"a\":{");
    for (size_t i = 0; i < world->count; i++) {
        const struct entity *entity = world->entities[i];
        struct text quoted = {0};
        text_json(&quoted, slice_of(entity->id));
        if (entity->present && entity->json.size && (!ids.size || memmem(ids.data, ids.size, quoted.data, quoted.size))) {
            text_printf(reply, "%s\"%s\":", first ? "" : ",", entity->id);
            shape_compressed(reply, entity, true);
            first = false;
        }
        text_free(&quoted);
    }
    text_printf(reply, "}},\"id\":%lld}", (long long)call->id);
    send_or_hold(call, 0);
}

/* --- doing things --------------------------------------------------------------------------------- */

static void reply_context(struct call *call, const struct context *context, const char *rest)
{
    text_say(begin(call), "{\"context\":");
    shape_context(call->reply, context);
    text_say(call->reply, rest);
    finish(call);
}

static void on_fire_event(struct call *call)
{
    char *type = member(call, "event_type");
    struct slice data = read_member(call->message, "event_data");

    if (!type) {
        fail(call, "invalid_format", "required key not provided @ data['event_type']. Got None");
    } else if (!call->session->admin) {
        fail(call, "unauthorized", "Unauthorized");
    } else {
        struct context context = world_context(call->home->world, NULL, true);
        if (!call->home->swallows)
            world_fire(call->home->world, type, data.size ? data : slice_of("{}"), "REMOTE", &context);
        reply_context(call, &context, "}");
    }
    free(type);
}

static bool has_service(const char *domain, const char *service)
{
    for (const struct domain *known = domains; known->name; known++)
        for (int i = 0; strcmp(known->name, domain) == 0 && known->services[i]; i++)
            if (strcmp(known->services[i], service) == 0)
                return true;
    return false;
}

/* The call's data with its target's entities in it, as HA puts it into the event. */
static void say_service_data(struct text *text, struct slice data, struct slice entities)
{
    struct slice rest = data, key, value;
    const char *comma = "";

    text_say(text, "{");
    while (data.size && read_next(&rest, &key, &value)) {
        if (slice_is(key, "\"entity_id\""))
            continue;
        text_say(text, comma);
        text_slice(text, key);
        text_say(text, ":");
        text_slice(text, value);
        comma = ",";
    }
    if (entities.size) {
        text_printf(text, "%s\"entity_id\":", comma);
        text_slice(text, entities);
    }
    text_say(text, "}");
}

static void call_entity(struct call *call, struct slice raw, const char *domain, const char *service, struct slice data,
    const struct context *context)
{
    struct text id = {0};
    struct entity *entity = read_text(raw, &id) ? world_find(call->home->world, text_view(&id)) : NULL;

    if (entity && entity->present &&
        (strcmp(domain, "homeassistant") == 0 || strcmp(domain, entity->breed->domain) == 0))
        world_call(call->home->world, entity, slice_of(service), data, context);
    text_free(&id);
}

static void call_entities(
    struct call *call, const char *domain, const char *service, struct slice data, struct slice entities)
{
    struct world *world = call->home->world;
    struct context context = world_context(world, NULL, true);
    struct text event = {0};
    struct slice key, item;

    text_printf(&event, "{\"domain\":\"%s\",\"service\":\"%s\",\"service_data\":", domain, service);
    say_service_data(&event, data, entities);
    text_say(&event, "}");
    world_fire(world, "call_service", text_view(&event), "LOCAL", &context);
    text_free(&event);
    if (entities.size && *(const char *)entities.data == '[')
        while (read_next(&entities, &key, &item))
            call_entity(call, item, domain, service, data, &context);
    else if (entities.size)
        call_entity(call, entities, domain, service, data, &context);
    reply_context(call, &context, ",\"response\":null}");
}

static void on_call_service(struct call *call)
{
    char *domain = member(call, "domain"), *service = member(call, "service");
    struct slice data = read_member(call->message, "service_data");
    struct slice entities = read_member(read_member(call->message, "target"), "entity_id");

    if (!entities.size)
        entities = read_member(data, "entity_id");
    if (!domain || !service) {
        fail(call, "invalid_format", "required key not provided @ data['service']. Got None");
    } else if (!has_service(domain, service)) {
        call->reply->size = 0;
        text_printf(call->reply,
            "{\"id\":%lld,\"type\":\"result\",\"success\":false,\"error\":{\"code\":\"not_found\",\"message\":"
            "\"Service %.60s.%.60s not "
            "found.\",\"translation_key\":\"service_not_found\",\"translation_domain\":\"homeassistant\","
            "\"translation_placeholders\":{\"domain\":\"%.60s\",\"service\":\"%.60s\"}}}",
            (long long)call->id, domain, service, domain, service);
        send_or_hold(call, 0);
    } else {
        call_entities(call, domain, service, data, entities);
    }
    free(domain);
    free(service);
}

static const char *apply_update(struct call *call, struct entity *entity)
{
    struct slice name = read_member(call->message, "name"), area = read_member(call->message, "area_id");
    struct slice new_id = read_member(call->message, "new_entity_id");
    struct text text = {0};
    const char *why = NULL;

    if (name.size)
        world_name(call->home->world, entity, read_text(name, &text) ? text.data : NULL);
    if (area.size &&
        !world_move(call->home->world, entity, read_text(area, &text) ? text_view(&text) : (struct slice){0}))
        why = "Area does not exist";
    if (new_id.size && (!read_text(new_id, &text) || !world_rename(call->home->world, entity, text_view(&text))))
        why = "Entity with this ID is already registered";
    text_free(&text);
    return why;
}

static void on_entity_update(struct call *call)
{
    char *id = member(call, "entity_id");
    struct entity *entity = id ? world_find(call->home->world, slice_of(id)) : NULL;
    const char *why = NULL;

    free(id);
    if (!entity || !entity->registered) {
        fail(call, "not_found", "Entity not found");
    } else if ((why = apply_update(call, entity))) {
        fail(call, "invalid_info", why);
    } else {
        text_say(begin(call), "{\"entity_entry\":");
        shape_entity_extended(call->home->world, call->reply, entity);
        text_say(call->reply, "}");
        finish(call);
    }
}

static void on_area_create(struct call *call)
{
    char *name = member(call, "name");
    struct area *area = name ? world_add_area(call->home->world, slice_of(name)) : NULL;
    struct text data = {0};

    free(name);
    if (!area) {
        fail(call, "invalid_info", "The name is already in use");
        return;
    }
    text_printf(&data, "{\"action\":\"create\",\"area_id\":\"%s\"}", area->id);
    world_fire(call->home->world, "area_registry_updated", text_view(&data), "LOCAL", NULL);
    text_free(&data);
    shape_area(call->home->world, begin(call), area);
    finish(call);
}

/* --- history ------------------------------------------------------------------------------------ */

static bool are_entity_ids(struct slice list)
{
    struct slice key, item;
    bool all = true;

    while (all && read_next(&list, &key, &item))
        all = item.size > 2 && memchr(item.data, '.', item.size);
    return all;
}

/* A moment of the question, or `otherwise` if there is none; -1 if it is not one. */
static int64_t asked_moment(struct call *call, const char *key, int64_t otherwise)
{
    char *text = member(call, key);
    int64_t us = text ? moment_parse(slice_of(text)) : otherwise;

    free(text);
    return us;
}

/* What is wrong with the question is answered, and it is false. */
static bool read_question(struct call *call, struct question *question, int64_t *end_us)
{
    int64_t start_us = asked_moment(call, "start_time", -1);

    *end_us = asked_moment(call, "end_time", INT64_MAX);
    *question = (struct question){.entity_ids = read_member(call->message, "entity_ids"),
        .start_s = (double)start_us / 1e6,
        .end_s = (double)*end_us / 1e6,
        .now_us = call->home->now_us,
        .start_state = flag(call, "include_start_time_state", true),
        .attributes = !flag(call, "no_attributes", false),
        .minimal = flag(call, "minimal_response", false),
        .significant = flag(call, "significant_changes_only", true)};
    if (start_us < 0)
        fail(call, "invalid_start_time", "Invalid start_time");
    else if (*end_us < 0)
        fail(call, "invalid_end_time", "Invalid end_time");
    else if (!question->entity_ids.size)
        fail(call, "invalid_format", "required key not provided @ data['entity_ids']. Got None");
    else if (slice_is(question->entity_ids, "[]"))
        fail(call, "unknown_error", "Unknown error");
    else if (!are_entity_ids(question->entity_ids))
        fail(call, "invalid_entity_ids", "Invalid entity_ids");
    else
        return true;
    return false;
}

static void on_history(struct call *call)
{
    struct question question;
    int64_t end_us;

    if (!read_question(call, &question, &end_us))
        return;
    if (question.start_s > (double)call->home->now_us / 1e6)
        text_say(begin(call), "{}");
    else
        history_answer(call->home->history, begin(call), &question);
    finish(call);
}

static void on_history_stream(struct call *call)
{
    struct question question;
    int64_t end_us;

    if (!read_question(call, &question, &end_us))
        return;
    if (question.start_s > (double)call->home->now_us / 1e6) {
        fail(call, "invalid_start_time", "Invalid start_time");
    } else if (question.end_s < question.start_s) {
        fail(call, "invalid_end_time", "Invalid end_time");
    } else {
        succeed(call);
        stream_open(call->session, call->id, &question, end_us <= call->home->now_us);
    }
}

static const struct {
    const char *type;
    void (*run)(struct call *);
} commands[] = {
    {"ping", on_ping},
    {"supported_features", on_supported_features},
    {"auth/current_user", on_current_user},
    {"get_states", on_get_states},
    {"get_config", on_get_config},
    {"get_services", on_get_services},
    {"energy/get_prefs", on_energy_prefs},
    {"subscribe_events", on_subscribe_events},
    {"unsubscribe_events", on_unsubscribe_events},
    {"subscribe_entities", on_subscribe_entities},
    {"fire_event", on_fire_event},
    {"call_service", on_call_service},
    {"config/entity_registry/list", on_registry_list},
    {"config/device_registry/list", on_registry_list},
    {"config/area_registry/list", on_registry_list},
    {"config/floor_registry/list", on_registry_list},
    {"config/label_registry/list", on_registry_list},
    {"config_entries/get", on_registry_list},
    {"config/entity_registry/update", on_entity_update},
    {"config/area_registry/create", on_area_create},
    {"history/history_during_period", on_history},
    {"history/stream", on_history_stream},
    {"recorder/info", on_recorder_info},
};

/* What a replayed home answers with what was recorded, all but the conversation itself. */
static bool replayed(struct call *call)
{
    static const char *const own[] = {"ping", "supported_features", "subscribe_events", "unsubscribe_events"};

    if (!call->home->replay)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i], call->type) == 0)
            return false;
    begin(call);
    if (!replay_answer(call->home->replay, call->type, call->reply))
        return false;
    text_say(call->reply, "}");
    send_or_hold(call, call->home->registry_delay_us);
    return true;
}

static void dispatch(struct call *call)
{
    if (replayed(call))
        return;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].type, call->type) == 0) {
            commands[i].run(call);
            return;
        }
    fail(call, "unknown_command", "Unknown command.");
}

void command_run(struct session *session, struct slice message)
{
    struct call call = {.session = session, .home = session->home, .reply = &session->home->reply, .message = message};
    char *type = member(&call, "type");

    call.type = type;
    world_set_time(session->home->world, session->home->now_us);
    if (!type || !read_int(read_member(message, "id"), &call.id) || call.id < 1) {
        fail(&call, "invalid_format", "Message incorrectly formatted.");
    } else if (call.id <= session->last_id) {
        fail(&call, "id_reuse", "Identifier values have to increase.");
    } else {
        session->last_id = call.id;
        dispatch(&call);
    }
    free(type);
}
