/* house_orders.c - what can be done to the house: its entities, its registry, its pace and its time. */
#include "orders.h"
#include "read.h"
#include "turn.h"

static struct entity *entity(struct order *order)
{
    char word[256];

    return order_word(order, word, sizeof word) ? world_find(order->home->world, slice_of(word)) : NULL;
}

/* Nothing can happen in a Home Assistant that is not there. */
static bool is_up(const struct order *order)
{
    return order->home->phase != DOWN;
}

static bool do_registry_delay(struct order *order)
{
    order->home->registry_delay_us = (int64_t)(order_number(order, 0) * 1000);
    return true;
}

static bool do_registry_size(struct order *order)
{
    order->home->world->padding_bytes = (size_t)order_number(order, 0);
    return true;
}

static bool do_rename(struct order *order)
{
    char word[256];
    struct entity *found = entity(order);

    return found && is_up(order) && order_word(order, word, sizeof word) && world_rename(order->home->world, found, slice_of(word));
}

static bool do_move(struct order *order)
{
    char word[256] = "";
    struct entity *found = entity(order);

    order_word(order, word, sizeof word);
    return found && is_up(order) && world_move(order->home->world, found, slice_of(word));
}

static bool do_remove(struct order *order)
{
    struct entity *found = entity(order);
    struct home *home = order->home;

    if (!found || !found->present)
        return false;
    if (found->json.size) {
        world_remove(home->world, found);
    } else { /* while Home Assistant was not there: nobody says so, it just does not come back */
        found->present = false;
        truth_note(home->truth, home->now_us, "\"what\":\"gone\",\"entity_id\":\"%s\"", found->id);
    }
    return true;
}

static bool do_add(struct order *order)
{
    char word[256];

    if (!is_up(order) || !order_word(order, word, sizeof word) || !strchr(word, '.'))
        return false;
    struct entity *found = world_find(order->home->world, slice_of(word));
    if (!found)
        world_add_plain(order->home->world, slice_of(word), slice_of("unknown"), slice_of("{}"));
    else if (!found->present)
        world_write(order->home->world, found, slice_of("unknown"), text_view(&found->attributes), NULL);
    return true;
}

static bool do_fire(struct order *order)
{
    char type[256];

    if (!is_up(order) || !order_word(order, type, sizeof type))
        return false;
    struct slice data = slice_of(*order->rest ? order->rest : "{}");
    if (!read_valid(data) || *(const char *)data.data != '{')
        return false;
    world_fire(order->home->world, type, data, "LOCAL", NULL);
    return true;
}

/* set ENTITY STATE [ATTRIBUTES]; the state may be a JSON string, as "" or " 12 " need it. */
static bool do_set(struct order *order)
{
    char id[256], word[1024];
    struct text state = {0};
    struct slice rest, key, value;

    if (!is_up(order) || !order_word(order, id, sizeof id))
        return false;
    if (*order->rest == '"') {
        rest = slice_of(order->rest);
        if (!read_next(&rest, &key, &value) || !read_text(value, &state))
            return false;
        order->rest += value.size;
    } else if (order_word(order, word, sizeof word)) {
        text_set(&state, word, strlen(word));
    }
    while (*order->rest == ' ')
        order->rest++;
    struct slice attributes = slice_of(order->rest);
    struct entity *found = world_find(order->home->world, slice_of(id));
    bool valid = !attributes.size || (read_valid(attributes) && *(const char *)attributes.data == '{');
    if (valid && !found)
        world_add_plain(order->home->world, slice_of(id), text_view(&state), attributes);
    else if (valid)
        world_write(order->home->world, found, text_view(&state),
            attributes.size ? attributes : text_view(&found->attributes), NULL);
    text_free(&state);
    return valid;
}

static bool do_rate(struct order *order)
{
    order->home->rate = order_number(order, order->home->rate);
    order->home->due = 0;
    order->home->generating = true;
    return true;
}

static bool do_stop_events(struct order *order)
{
    order->home->generating = false;
    return true;
}

/* --- time ------------------------------------------------------------------------------------------ */

/* The history before the last SECONDS is gone. */
static bool do_purge(struct order *order)
{
    history_forget(order->home->history, order->home->now_us - (int64_t)(order_number(order, 0) * 1e6));
    return true;
}

/* One event or more at `now_us`, as the house makes them. */
static void live_once(struct home *home)
{
    int64_t before = home->events;

    for (int tries = 0; home->events == before && tries < 100; tries++)
        world_step(home->world, home->now_us);
}

/* The house lives through DAYS in a moment, with so many events a second; then everybody's clock is there. */
static bool do_sleep(struct order *order)
{
    struct home *home = order->home;
    int64_t span_us = (int64_t)(order_number(order, 1) * (double)DAY_US), began_us = home->now_us;
    double rate = order_number(order, 0.01);
    int64_t count = home->phase == RUNNING ? (int64_t)((double)span_us / 1e6 * rate) : 0;

    if (span_us < 0 || count > MAX_SLEEP_EVENTS || !turn_clock(0))
        return false;
    for (int64_t i = 1; i <= count; i++) {
        home->now_us = began_us + span_us / count * i;
        live_once(home);
    }
    turn_clock(span_us);
    home->now_us = home->ticked_us = moment_now_us();
    home->due = 0;
    truth_note(home->truth, home->now_us, "\"what\":\"slept\",\"us\":%lld", (long long)span_us);
    return true;
}

const struct order_row house_orders[HOUSE_ORDERS] = {
    {"registry-delay", "MILLISECONDS", do_registry_delay},
    {"registry-size", "BYTES", do_registry_size},
    {"rename", "ENTITY NEW_ENTITY", do_rename},
    {"move", "ENTITY [AREA]", do_move},
    {"remove", "ENTITY", do_remove},
    {"add", "ENTITY", do_add},
    {"fire", "TYPE [JSON]", do_fire},
    {"set", "ENTITY STATE [ATTRIBUTES]", do_set},
    {"rate", "EVENTS_PER_SECOND", do_rate},
    {"stop-events", "", do_stop_events},
    {"purge", "[SECONDS TO KEEP]", do_purge},
    {"sleep", "DAYS [EVENTS_PER_SECOND]", do_sleep},
};
