/* past.c - what the sources have said: the readings in force at an event's own time. */
#include "past_inside.h"
#include "row.h"

#include <stdlib.h>
#include <string.h>

/* Recent is what is younger than KEEP; what happens within NOW of our start is not waited for. */
static const int64_t keep_us = 2 * DAY_US, now_us = 60 * SECOND_US;
enum { WAIT_MS = 10000 };

#define OBJECT(member) .at = offsetof(struct event_full, member), .has = offsetof(struct event_full, has_##member)
const struct source_kind source_kinds[SOURCES] = {
    [OF_WEATHER]     = { .name = "weather", .schema = weather_reading_schema, OBJECT(weather), .lasts_us = 5400 * SECOND_US },
    [OF_CARBON]      = { .name = "carbon", .schema = carbon_reading_schema, OBJECT(carbon), .lasts_us = 5400 * SECOND_US },
    [OF_ELECTRICITY] = { .name = "electricity", .schema = electricity_reading_schema, OBJECT(price), .lasts_us = 3600 * SECOND_US, .is_slots = true },
    [OF_AIRQUALITY]  = { .name = "airquality", .schema = airquality_reading_schema, OBJECT(air), .lasts_us = 14400 * SECOND_US },
    [OF_SMARTMETER]  = { .name = "smartmeter", .schema = smartmeter_reading_schema, OBJECT(meter), .lasts_us = 3600 * SECOND_US, .members = { "power_w", "import_kwh", "export_kwh" }, .is_thinned = true },
    [OF_CALENDAR]    = { .name = "calendar", .schema = calendar_reading_schema, OBJECT(occupancy), .lasts_us = 3600 * SECOND_US, .always = "confidence", .is_kept = true },
};
#undef OBJECT

past_t *past_new(actor_t *actor)
{
    past_t *self = calloc(1, sizeof *self);
    assert(self);
    self->actor = actor;
    self->begun_us = actor_now_us(actor);
    msgpack_sbuffer_init(&self->json);
    for (int i = 0; i < SOURCES; i++) {
        self->recent[i] = readings_new();
        self->lasts_us[i] = source_kinds[i].lasts_us;
        self->first_us[i] = self->thinned_us[i] = NEVER;
        self->stepped[i].step_us = -1;
    }
    return self;
}

void past_forget_day(struct day *day)
{
    for (int i = 0; i < SOURCES; i++)
        readings_destroy(&day->of[i]);
    *day = (struct day){ .is_used = false };
}

void past_destroy(past_t **self_p)
{
    past_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (int i = 0; i < SOURCES; i++) {
        readings_destroy(&self->recent[i]);
        free(self->stepped[i].text);
    }
    for (int i = 0; i < DAYS_MAX; i++)
        past_forget_day(&self->days[i]);
    loading_close(&self->loading);
    msgpack_sbuffer_destroy(&self->json);
    free(self);
}

/* --- hearing ----------------------------------------------------------------------------------------- */

static int64_t time_in(const struct schema *schema, const void *reading, const char *name)
{
    const struct field *f = schema_field(schema, name, strlen(name));
    return f && row_is_set(f, reading) ? *(const int64_t *)row_in(f, reading) : -1;
}

bool past_tells(enum of_source source, const struct field *f)
{
    const char *const *members = source_kinds[source].members;
    while (*members && strcmp(*members, f->name) != 0)
        members++;
    return f->flags & FIELD && (*members || !source_kinds[source].members[0]);
}

/* Its members that are series, so that it reads the same whether it was heard or comes out of them, and as_of. */
struct slice past_write(struct past *self, enum of_source source, const void *reading)
{
    const struct schema *schema = source_kinds[source].schema();
    uint64_t columns = 0;
    bool any = false;
    assert(schema->count <= 64);
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        bool is_said = past_tells(source, f), is_of_it = !strcmp(f->name, "currency") || (!strcmp(f->name, "as_of") && !source_kinds[source].is_thinned);
        if (!(is_said || is_of_it) || !row_is_set(f, reading))
            continue;
        any |= is_said;
        columns |= UINT64_C(1) << i;
    }
    self->json.size = 0;
    if (any)
        schema_json_columns(schema, reading, columns, &self->json);
    return (struct slice){ self->json.data, self->json.size };
}

/* Of those of one step only the last one is in force when another begins. False: a newer one was heard before the source began anew. */
static bool thin(past_t *self, enum of_source source, int64_t as_of_us)
{
    if (as_of_us < self->newest_us[source])
        return false;
    self->newest_us[source] = as_of_us;
    readings_cut(self->recent[source], thinned_before(as_of_us));
    if (as_of_us < self->thinned_us[source])
        self->thinned_us[source] = as_of_us;
    return true;
}

void past_hear(past_t *self, enum of_source source, const void *reading)
{
    const struct schema *schema = source_kinds[source].schema();
    int64_t as_of_us = time_in(schema, reading, "as_of"), until_us = time_in(schema, reading, "valid_to");
    struct slice json = past_write(self, source, reading);
    bool is_thinned = source_kinds[source].is_thinned;
    if (is_thinned ? !thin(self, source, as_of_us) : json.size == 0) /* that nothing is known any more ends what was in force */
        return;
    bool has_end = source_kinds[source].is_slots && until_us > as_of_us;
    readings_add(self->recent[source], as_of_us, has_end ? until_us : READING_OPEN, json);
    if (as_of_us < self->first_us[source])
        self->first_us[source] = as_of_us;
    int64_t before_us = actor_now_us(self->actor) - keep_us;
    readings_forget(self->recent[source], before_us);
    if (self->since_us < before_us)
        self->since_us = before_us;
    if (self->since_us < readings_gone_until(self->recent[source]))
        self->since_us = readings_gone_until(self->recent[source]);
}

void past_hear_status(past_t *self, const struct source_row *row)
{
    for (int i = 0; i < SOURCES; i++)
        if (!source_kinds[i].is_slots && !strcmp(row->source, source_kinds[i].name) && row->has_stale_at && row->has_as_of
                && row->stale_at > row->as_of)
            self->lasts_us[i] = row->stale_at - row->as_of;
}

void past_connected(past_t *self)
{
    self->begun_us = actor_now_us(self->actor);
    self->is_loaded = false;
    memset(self->has_recent, 0, sizeof self->has_recent);
    for (int i = 0; i < SOURCES; i++)
        self->thinned_us[i] = NEVER;
    past_load(self);
}

/* --- the join -------------------------------------------------------------------------------------------- */

/* A reading as it was when a step began: that is what it is `as_of`. The same for all events of the step. */
static struct slice at_step(past_t *self, int source, int64_t step_us, struct slice json)
{
    struct stepped *s = &self->stepped[source];
    char when[TIME_TEXT];
    size_t size = json.size - 1; /* without the brace */
    if (step_us == s->step_us && s->of_size == size && memcmp(s->text, json.data, size) == 0)
        return (struct slice){ s->text, s->size };
    time_text(step_us, when);
    s->text = realloc(s->text, size + sizeof when + 16);
    assert(s->text);
    memcpy(s->text, json.data, size);
    s->size = size + (size_t)sprintf(s->text + size, ",\"as_of\":\"%s\"}", when);
    s->of_size = size;
    s->step_us = step_us;
    return (struct slice){ s->text, s->size };
}

static struct slice in_force(past_t *self, readings_t *const of[SOURCES], int i, int64_t at_us)
{
    const struct source_kind *kind = &source_kinds[i];
    int64_t lasts_us = of != self->recent && kind->is_kept ? DAY_US : self->lasts_us[i], begun_us = kind->is_thinned ? thinned_step(at_us) : at_us;
    struct slice json = of[i] ? readings_at(of[i], begun_us, lasts_us) : (struct slice){ NULL, 0 };
    if (!kind->is_thinned || !json.data)
        return json;
    return json.size > 0 ? at_step(self, i, begun_us, json) : (struct slice){ NULL, 0 };
}

static void join(past_t *self, readings_t *const of[SOURCES], struct event_full *e)
{
    char *base = (char *)e;
    for (int i = 0; i < SOURCES; i++) {
        struct slice json = in_force(self, of, i, e->timestamp);
        *(struct slice *)(void *)(base + source_kinds[i].at) = json;
        *(bool *)(base + source_kinds[i].has) = json.data != NULL;
    }
}

static int64_t first_of_all(const past_t *self)
{
    int64_t first_us = NEVER;
    for (int i = 0; i < SOURCES; i++)
        if (!self->has_first[i])
            return 0;
        else if (self->first_us[i] < first_us)
            first_us = self->first_us[i];
    return first_us;
}

/* The one that is asked for now is not given away; of the others, the one unused for longest. */
static struct day *find_day(past_t *self, int64_t at_us)
{
    struct day *oldest = NULL;
    int64_t from_us = at_us - at_us % DAY_US;
    for (struct day *day = self->days; day < self->days + DAYS_MAX; day++) {
        if (day->is_used && day->from_us == from_us) {
            day->turn = ++self->turn;
            return day;
        }
        bool is_busy = day->is_used && !day->is_whole && !self->is_given_up;
        if (!is_busy && !(self->is_asking && self->loading.day == day) && (!oldest || day->turn < oldest->turn))
            oldest = day;
    }
    if (!oldest)
        return NULL; /* as many as there is room for are being asked for */
    past_forget_day(oldest);
    *oldest = (struct day){ .is_used = true, .from_us = from_us, .turn = ++self->turn };
    past_load(self);
    return oldest;
}

static void on_wait_over(struct self *owner, actor_t *actor, int64_t tag)
{
    past_t *self = enrich_past(owner);
    (void)tag;
    self->has_waiting = false;
    self->is_given_up = true;
    actor_warn(actor, "query has told nothing of earlier readings for %d s: states of then are stored without them until it does", WAIT_MS / 1000);
    enrich_past_is_known(owner, actor);
}

void past_wait_no_more(struct past *self)
{
    if (self->has_waiting)
        actor_cancel(self->actor, on_wait_over, 0);
    self->has_waiting = false;
}

static bool must_wait(past_t *self)
{
    if (self->is_given_up) {
        self->unread++;
        return false;
    }
    if (!self->has_waiting)
        actor_after(self->actor, WAIT_MS, on_wait_over, 0);
    return self->has_waiting = true;
}

bool past_join(past_t *self, struct event_full *e)
{
    if (e->timestamp >= (self->is_loaded ? self->since_us : self->begun_us - now_us)) {
        join(self, self->recent, e);
        return true;
    }
    if (e->timestamp < first_of_all(self))
        return true;
    struct day *day = self->is_loaded ? find_day(self, e->timestamp) : NULL;
    if (day && day->is_whole) {
        join(self, day->of, e);
        return true;
    }
    if (must_wait(self))
        return false;
    join(self, self->recent, e);
    return true;
}

int64_t past_unread(const past_t *self)
{
    return self->unread;
}
