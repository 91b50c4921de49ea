/* startup.c - Home Assistant stops, is away, and starts again as the recordings show it. */
#include "home.h"
#include "shapes.h"

enum { STEP_US = 100000, LATE_US = 700000 };

static void note(struct home *home, const char *what)
{
    truth_note(home->truth, home->now_us, "\"what\":\"%s\"", what);
}

/* Out of the state machine, and with it the placeholder of one that had not come up. */
static void unload_entity(struct entity *entity)
{
    entity->json.size = 0;
    if (!entity->held)
        return;
    entity->held = false;
    text_set(&entity->state, entity->held_state.data, entity->held_state.size);
    text_set(&entity->attributes, entity->held_attributes.data, entity->held_attributes.size);
}

void startup_stop(struct home *home, int64_t away_us)
{
    world_set_time(home->world, home->now_us);
    world_fire(home->world, "homeassistant_stop", slice_of("{}"), "LOCAL", NULL);
    world_fire(home->world, "homeassistant_final_write", slice_of("{}"), "LOCAL", NULL);
    for (size_t i = 0; i < home->session_count; i++)
        session_end(home->sessions[i], home->sessions[i]->frozen ? ENDS_NOW : ENDS_AFTER_REST, "restart");
    home->phase = DOWN;
    home->core_state = "NOT_RUNNING";
    home->down_until_us = home->now_us + away_us;
    home->late_entities_due_us = 0;
    for (size_t i = 0; i < home->world->count; i++)
        unload_entity(home->world->entities[i]);
    history_sync(home->history, home->world->last_us);
    note(home, "home assistant stopped");
}

static size_t domain_count(void)
{
    size_t count = 0;

    while (domains[count].name)
        count++;
    return count;
}

/* One integration: its services, then that it is there. */
static void load_domain(struct home *home, const struct domain *domain)
{
    struct text data = {0};

    for (int i = 0; domain->services[i]; i++) {
        data.size = 0;
        text_printf(&data, "{\"domain\":\"%s\",\"service\":\"%s\"}", domain->name, domain->services[i]);
        world_fire(home->world, "service_registered", text_view(&data), "LOCAL", NULL);
    }
    data.size = 0;
    text_printf(&data, "{\"component\":\"%s\"}", domain->name);
    world_fire(home->world, "component_loaded", text_view(&data), "LOCAL", NULL);
    text_free(&data);
}

/* An entity comes up: for HA it is new, with the state it had or that of its device. */
static void load_entity(struct home *home, struct entity *entity)
{
    struct text state = {0}, attributes = {0};

    text_set(&state, entity->state.data, entity->state.size);
    text_set(&attributes, entity->attributes.data, entity->attributes.size);
    world_write(home->world, entity, text_view(&state), text_view(&attributes), NULL);
    text_free(&state);
    text_free(&attributes);
}

/* --- integrations that take their time ---------------------------------------------------------- */

static bool is_late(const struct world *world, const struct entity *entity)
{
    const char *platform = entity->device >= 0 ? world->devices[entity->device].platform : "";

    return entity->registered && (strcmp(platform, "shelly") == 0 || strcmp(platform, "mobile_app") == 0);
}

static void say_placeholder(struct text *text, const struct entity *entity)
{
    const struct breed *breed = entity->breed;

    text_say(text, "{\"restored\":true");
    if (breed->state_class)
        text_printf(text, ",\"state_class\":\"%s\"", breed->state_class);
    if (breed->device_class)
        text_printf(text, ",\"device_class\":\"%s\"", breed->device_class);
    text_say(text, ",\"friendly_name\":");
    text_json(text, slice_of(entity->name ? entity->name : entity->full_name));
    text_say(text, ",\"supported_features\":0");
    if (breed->unit) {
        text_say(text, ",\"unit_of_measurement\":");
        text_json(text, slice_of(breed->unit));
    }
    text_say(text, "}");
}

/* With homeassistant_start, the registry puts a placeholder where an entity is not up yet. */
static void hold_late_entities(struct home *home)
{
    for (size_t i = 0; i < home->world->count; i++) {
        struct entity *entity = home->world->entities[i];
        struct text placeholder = {0};
        if (!entity->present || entity->json.size)
            continue;
        text_set(&entity->held_state, entity->state.data, entity->state.size);
        text_set(&entity->held_attributes, entity->attributes.data, entity->attributes.size);
        entity->held = true;
        say_placeholder(&placeholder, entity);
        world_write(home->world, entity, slice_of("unavailable"), text_view(&placeholder), NULL);
        text_free(&placeholder);
    }
    home->late_entities_due_us = home->now_us + LATE_US;
}

static void load_late_entities(struct home *home)
{
    home->late_entities_due_us = 0;
    for (size_t i = 0; i < home->world->count; i++) {
        struct entity *entity = home->world->entities[i];
        if (!entity->held)
            continue;
        entity->held = false;
        if (entity->present)
            world_write(
                home->world, entity, text_view(&entity->held_state), text_view(&entity->held_attributes), NULL);
    }
}

/* --- step by step --------------------------------------------------------------------------------- */

/* One integration with its entities; those of none of them come last. */
static void load(struct home *home, size_t at)
{
    size_t all = domain_count();
    struct world *world = home->world;

    for (size_t i = 0; i < world->count; i++) {
        struct entity *entity = world->entities[i];
        bool its_turn = at >= all || strcmp(entity->breed->domain, domains[at].name) == 0;
        if (its_turn && entity->present && !entity->json.size && !is_late(world, entity))
            load_entity(home, entity);
    }
    if (at < all)
        load_domain(home, &domains[at]);
}

static void step(struct home *home)
{
    size_t at = home->start_at++, all = domain_count();

    if (at <= all) {
        load(home, at);
    } else if (at == all + 1) {
        world_fire(home->world, "core_config_updated", slice_of("{}"), "LOCAL", NULL);
        home->core_state = "STARTING";
        world_fire(home->world, "homeassistant_start", slice_of("{}"), "LOCAL", NULL);
        hold_late_entities(home);
    } else {
        home->core_state = "RUNNING";
        world_fire(home->world, "homeassistant_started", slice_of("{}"), "LOCAL", NULL);
        home->phase = RUNNING;
        note(home, "home assistant started");
    }
}

void startup_tick(struct home *home)
{
    if (home->phase == DOWN && home->now_us >= home->down_until_us) {
        home->phase = STARTING;
        home->start_at = 0;
        note(home, "home assistant starts");
    }
    world_set_time(home->world, home->now_us);
    size_t due = (size_t)((home->now_us - home->down_until_us) / STEP_US) + 1;
    while (home->phase == STARTING && home->start_at < due)
        step(home);
    if (home->phase == RUNNING && home->late_entities_due_us && home->now_us >= home->late_entities_due_us)
        load_late_entities(home);
}
