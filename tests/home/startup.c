/* startup.c - Home Assistant stops, is away, and starts again as the recordings show it. */
#include "home.h"
#include "shapes.h"

enum { STEP_US = 100000 };

void startup_stop(struct home *home, int64_t away_us)
{
    world_set_time(home->world, home->now_us);
    world_fire(home->world, "homeassistant_stop", slice_of("{}"), "LOCAL", NULL);
    world_fire(home->world, "homeassistant_final_write", slice_of("{}"), "LOCAL", NULL);
    for (size_t i = 0; i < home->session_count; i++)
        session_end(home->sessions[i], home->sessions[i]->frozen ? ENDS_NOW : ENDS_AFTER_REST, "restart");
    home->phase = DOWN;
    home->down_until_us = home->now_us + away_us;
    for (size_t i = 0; i < home->world->count; i++)
        home->world->entities[i]->json.size = 0;
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

    if (!entity->present)
        return;
    entity->present = false;
    text_set(&state, entity->state.data, entity->state.size);
    text_set(&attributes, entity->attributes.data, entity->attributes.size);
    world_write(home->world, entity, text_view(&state), text_view(&attributes), NULL);
    text_free(&state);
    text_free(&attributes);
}

/* One integration with its entities; those of none of them come last. */
static void step(struct home *home)
{
    size_t at = home->start_at++, all = domain_count();
    struct world *world = home->world;

    for (size_t i = 0; i < world->count; i++) {
        struct entity *entity = world->entities[i];
        if (!entity->json.size && (at >= all || strcmp(entity->breed->domain, domains[at].name) == 0))
            load_entity(home, entity);
    }
    if (at < all) {
        load_domain(home, &domains[at]);
        return;
    }
    world_fire(world, "core_config_updated", slice_of("{}"), "LOCAL", NULL);
    world_fire(world, "homeassistant_start", slice_of("{}"), "LOCAL", NULL);
    world_fire(world, "homeassistant_started", slice_of("{}"), "LOCAL", NULL);
    home->phase = RUNNING;
}

void startup_tick(struct home *home)
{
    if (home->phase == DOWN && home->now_us >= home->down_until_us) {
        home->phase = STARTING;
        home->start_at = 0;
    }
    if (home->phase != STARTING)
        return;
    size_t due = (size_t)((home->now_us - home->down_until_us) / STEP_US) + 1;
    world_set_time(home->world, home->now_us);
    while (home->phase == STARTING && home->start_at < due)
        step(home);
}
