/* told_energy.c - the services that tell of energy, and what they need to know of Home Assistant. */
#include "inside.h"

#include "json.h"
#include "rolling.h"

#include <string.h>

#define PREFS_US INT64_C(300000000) /* the dashboard is looked at so often, where anybody asks for energy */
#define AGAIN_US INT64_C(10000000)  /* ... where that told nothing */
enum { ASK_MS = 10000 };

/* --- Home Assistant's energy dashboard ------------------------------------------------------------------------ */

/* The error that it says where nobody has set the dashboard up. */
static bool has_none(const struct ha_result *result)
{
    static const char code[] = "\"not_found\"";
    return !result->success && result->has_error && memmem(result->error.data, result->error.size, code, sizeof code - 1);
}

/* Where it says nothing, or another error, as one that is still starting does, what was said last holds and it is asked again soon. */
static void on_prefs(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct ha_result *result)
{
    (void)tag;
    if (answer->verdict == OK && result->success && result->has_result)
        energy_set_prefs(self->energy, result->result);
    else if (answer->verdict == OK && has_none(result))
        energy_set_prefs(self->energy, (struct slice){ "", 0 });
    else
        self->prefs_asked_us = actor_now_us(actor) - PREFS_US + AGAIN_US;
}

static void ask_prefs(struct self *self, actor_t *actor)
{
    struct ha_command query = { .has_command = false };
    SET(&query, command, slice_of("{\"type\":\"energy/get_prefs\"}"));
    bool is_asked = ask_ingest_ask(actor, &query, ASK_MS, on_prefs, 0) == 0;
    self->prefs_asked_us = actor_now_us(actor) - (is_asked ? 0 : PREFS_US - AGAIN_US);
}

int on_session(struct self *self, actor_t *actor, const struct ingest_session *session)
{
    if (strcmp(session->state, "live") == 0 && session->session != self->session) {
        self->session = session->session;
        ask_prefs(self, actor);
    }
    return OK;
}

int on_home_place(struct self *self, actor_t *actor, const struct home_place *home)
{
    (void)actor;
    if (home->has_currency)
        energy_set_currency(self->energy, home->currency);
    return OK;
}

/* Before each question; the answer is for the next one. */
static void look_again(struct self *self, actor_t *actor)
{
    int64_t ago = actor_now_us(actor) - self->prefs_asked_us;
    if (self->session != 0 && (ago > PREFS_US || ago < 0))
        ask_prefs(self, actor);
}

static void home_zone(struct self *self, char zone[ZONE_NAME])
{
    bool is_set = false;
    if (store_zone(self->store, zone, &is_set) != STORE_OK || !is_set)
        zone_of_machine(zone);
}

/* --- the services ------------------------------------------------------------------------------------------------ */

int on_energy_devices(struct self *self, actor_t *actor, const struct consumption_query *query, rows_t *rows, struct consumption_end *end)
{
    struct fault fault = { "", "" };
    char zone[ZONE_NAME];
    int64_t begun = answer_clock_us();
    look_again(self, actor);
    home_zone(self, zone);
    enum store_result result = energy_devices(self->energy, query, zone, actor_now_us(actor), rows, end, &fault);
    return answer_end(self, actor, result, &fault, begun, result == STORE_OK ? end->count : 0);
}

int on_energy_current(struct self *self, actor_t *actor, const struct nothing *query, struct consumption_now *reply)
{
    struct fault fault = { "", "" };
    char zone[ZONE_NAME];
    int64_t begun = answer_clock_us();
    (void)query;
    look_again(self, actor);
    home_zone(self, zone);
    enum store_result result = energy_current(self->energy, zone, actor_now_us(actor), reply, &fault);
    return answer_end(self, actor, result, &fault, begun, 1);
}

int on_energy_summary(struct self *self, actor_t *actor, const struct consumption_hours *query, struct consumption_totals *reply)
{
    struct fault fault = { "", "" };
    char zone[ZONE_NAME];
    int64_t begun = answer_clock_us();
    look_again(self, actor);
    home_zone(self, zone);
    enum store_result result = energy_summary(self->energy, zone, query->has_hours ? query->hours : 24, actor_now_us(actor), reply, &fault);
    return answer_end(self, actor, result, &fault, begun, 1);
}

int on_energy_circuits(struct self *self, actor_t *actor, const struct circuits_query *query, rows_t *rows, struct page *end)
{
    int64_t begun = answer_clock_us();
    look_again(self, actor);
    answer_page(end);
    enum store_result result = energy_circuits(self->energy, query->has_hours ? query->hours : 1, actor_now_us(actor), rows, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_energy_impact(struct self *self, actor_t *actor, const struct impact_query *query, rows_t *rows, struct page *end)
{
    int64_t begun = answer_clock_us();
    look_again(self, actor);
    answer_page(end);
    enum store_result result = energy_impact(self->energy, query, actor_now_us(actor), rows, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_energy_top(struct self *self, actor_t *actor, const struct top_query *query, rows_t *rows, struct page *end)
{
    int64_t begun = answer_clock_us();
    look_again(self, actor);
    answer_page(end);
    enum store_result result = energy_top(self->energy, query->has_days ? query->days : 7, query->has_limit ? query->limit : 10, actor_now_us(actor), rows, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}
