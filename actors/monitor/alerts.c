/* alerts.c - the engine: conditions in, alerts out. */
#include "alerts.h"

#include <assert.h>
#include <czmq.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT = 500,         /* resolved alerts */
    OPEN_MAX = 500,     /* conditions at a time */
    LOADED_S = 60       /* what was there before a restart is given so long to be seen again */
};

struct condition {
    struct alert alert;         /* its id 0: not raised yet */
    enum rule_id rule;
    int64_t since_us;           /* on the clock */
    int64_t keep_us;            /* not over before this, on the clock */
    uint64_t seen;              /* in this look */
    bool is_unsaved;
};

struct alerts {
    const struct rule *rules;
    int64_t percent;
    file_t *file;
    zlistx_t *all;              /* struct condition: pending, raised and resolved; oldest first */
    struct moment moment;
    uint64_t look;
    int64_t last_id, raised, failures;
};

static bool is_over(const struct condition *c)
{
    return c->alert.has_resolved_at;
}

static void save(alerts_t *self, struct condition *c)
{
    c->is_unsaved = !self->file || file_save_alert(self->file, &c->alert) != 0;
    self->failures += c->is_unsaved;
}

static void free_item(void **item_p)
{
    free(*item_p);
    *item_p = NULL;
}

static struct condition *add(alerts_t *self)
{
    struct condition *c = calloc(1, sizeof *c);
    assert(c);
    zlistx_add_end(self->all, c);
    return c;
}

static void load(void *owner, const struct alert *alert)
{
    alerts_t *self = owner;
    int rule = rules_find(self->rules, alert->rule);
    if (alert->id > self->last_id)
        self->last_id = alert->id;
    if (rule < 0)
        return;
    struct condition *c = add(self);
    c->alert = *alert;
    c->rule = (enum rule_id)rule;
    c->since_us = self->moment.clock_us;
    c->keep_us = self->moment.clock_us + alerts_span_us(self, LOADED_S);
}

alerts_t *alerts_new(const struct rule rules[RULES], int64_t percent, file_t *file, struct moment moment)
{
    alerts_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (alerts_t){ .rules = rules, .percent = percent, .file = file, .all = zlistx_new(), .moment = moment };
    assert(self->all);
    zlistx_set_destructor(self->all, free_item);
    if (file)
        file_load_alerts(file, load, self);
    return self;
}

void alerts_destroy(alerts_t **self_p)
{
    if (!*self_p)
        return;
    zlistx_destroy(&(*self_p)->all);
    free(*self_p);
    *self_p = NULL;
}

int64_t alerts_span_us(const alerts_t *self, int64_t seconds)
{
    return seconds * 10000 * self->percent;
}

double alerts_threshold(const alerts_t *self, enum rule_id rule)
{
    double threshold = self->rules[rule].threshold;
    return strcmp(self->rules[rule].unit, "s") == 0 ? threshold * (double)self->percent / 100 : threshold;
}

/* --- a look ------------------------------------------------------------------------------------ */

static struct condition *find_open(alerts_t *self, enum rule_id rule, const char *subject)
{
    for (struct condition *c = zlistx_last(self->all); c; c = zlistx_prev(self->all))
        if (!is_over(c) && c->rule == rule && strcmp(c->alert.subject, subject) == 0)
            return c;
    return NULL;
}

static size_t count_open(alerts_t *self)
{
    size_t count = 0;
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all))
        count += !is_over(c);
    return count;
}

void alerts_begin(alerts_t *self, struct moment moment)
{
    self->moment = moment;
    self->look++;
}

static struct condition *begin_condition(alerts_t *self, enum rule_id rule, const char *subject, const char *service)
{
    if (count_open(self) >= OPEN_MAX)
        return NULL;
    struct condition *c = add(self);
    c->rule = rule;
    c->since_us = self->moment.clock_us;
    SET_TEXT(&c->alert, rule, self->rules[rule].name, strlen(self->rules[rule].name));
    SET_TEXT(&c->alert, subject, subject, strnlen(subject, sizeof c->alert.subject - 1));
    SET_TEXT(&c->alert, service, service, strnlen(service, sizeof c->alert.service - 1));
    SET(&c->alert, since, self->moment.now_us);
    return c;
}

void alerts_see(alerts_t *self, enum rule_id rule, const char *subject, const char *service, double value, const char *format, ...)
{
    char message[sizeof ((struct alert *)0)->message];
    va_list list;
    if (!self->rules[rule].enabled)
        return;
    struct condition *c = find_open(self, rule, subject);
    if (!c && !(c = begin_condition(self, rule, subject, service)))
        return;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    c->seen = self->look;
    SET_TEXT(&c->alert, message, message, strlen(message));
    c->alert.has_value = c->alert.has_threshold = false;
    if (!isnan(value))
        SET(&c->alert, value, value);
    if (!isnan(self->rules[rule].threshold))
        SET(&c->alert, threshold, self->rules[rule].threshold);
}

static void raise_alert(alerts_t *self, struct condition *c)
{
    const char *severity = severity_names[self->rules[c->rule].severity];
    SET(&c->alert, id, ++self->last_id);
    SET(&c->alert, raised_at, self->moment.now_us);
    SET_TEXT(&c->alert, severity, severity, strlen(severity));
    SET_TEXT(&c->alert, status, "active", 6);
    self->raised++;
    save(self, c);
}

static void set_over(alerts_t *self, struct condition *c, const char *by, int64_t now_us)
{
    SET(&c->alert, resolved_at, now_us);
    SET_TEXT(&c->alert, resolved_by, by, strlen(by));
    SET_TEXT(&c->alert, status, "resolved", 8);
    save(self, c);
}

/* Of those that are over the newest are kept, and what was not written is tried again. */
static void tidy(alerts_t *self)
{
    size_t over = zlistx_size(self->all) - count_open(self);
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all)) {
        if (c->is_unsaved)
            save(self, c);
        if (!is_over(c) || over <= KEPT)
            continue;
        over--;
        if (self->file)
            file_drop_alert(self->file, c->alert.id);
        zlistx_delete(self->all, zlistx_cursor(self->all));
    }
}

static bool has_lasted(const alerts_t *self, const struct condition *c)
{
    return self->moment.clock_us - c->since_us >= alerts_span_us(self, self->rules[c->rule].for_s);
}

/* The next that has lasted; raised alerts stand in the order of their numbers. */
static struct condition *take_due(alerts_t *self)
{
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all))
        if (c->seen == self->look && !c->alert.has_id && has_lasted(self, c)) {
            zlistx_move_end(self->all, zlistx_cursor(self->all));
            return c;
        }
    return NULL;
}

void alerts_end(alerts_t *self, bool is_whole, alerts_told_fn *told, void *owner)
{
    for (struct condition *c; (c = take_due(self)) != NULL;) {
        raise_alert(self, c);
        told(owner, &c->alert);
    }
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all)) {
        bool is_seen = c->seen == self->look, is_raised = c->alert.has_id;
        if (is_over(c) || is_seen)
            continue;
        if (!is_raised && is_whole) {
            zlistx_delete(self->all, zlistx_cursor(self->all));
        } else if (is_raised && ((is_whole && self->moment.clock_us >= c->keep_us) || !self->rules[c->rule].enabled)) {
            set_over(self, c, "monitor", self->moment.now_us);
            told(owner, &c->alert);
        }
    }
    tidy(self);
}

/* --- asking and telling -------------------------------------------------------------------------- */

static const struct alert *raised_or_before(alerts_t *self, struct condition *c)
{
    while (c && !c->alert.has_id)
        c = zlistx_prev(self->all);
    return c ? &c->alert : NULL;
}

const struct alert *alerts_first(alerts_t *self)
{
    return raised_or_before(self, zlistx_last(self->all));
}

const struct alert *alerts_next(alerts_t *self)
{
    return raised_or_before(self, zlistx_prev(self->all));
}

static struct condition *find(alerts_t *self, int64_t id)
{
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all))
        if (c->alert.has_id && c->alert.id == id)
            return c;
    return NULL;
}

const struct alert *alerts_find(alerts_t *self, int64_t id)
{
    struct condition *c = find(self, id);
    return c ? &c->alert : NULL;
}

static void take_notes(struct condition *c, const struct alert_change *change)
{
    if (change->has_notes)
        SET_TEXT(&c->alert, notes, change->notes, change->notes_size);
}

enum alerts_result alerts_acknowledge(alerts_t *self, const struct alert_change *change, int64_t now_us)
{
    struct condition *c = find(self, change->id);
    if (!c || is_over(c))
        return c ? ALERTS_OVER : ALERTS_UNKNOWN;
    take_notes(c, change);
    if (!c->alert.has_acknowledged_at) {
        SET(&c->alert, acknowledged_at, now_us);
        SET_TEXT(&c->alert, acknowledged_by, change->by, change->by_size);
        SET_TEXT(&c->alert, status, "acknowledged", 12);
    }
    save(self, c);
    return ALERTS_OK;
}

enum alerts_result alerts_resolve(alerts_t *self, const struct alert_change *change, int64_t now_us)
{
    struct condition *c = find(self, change->id);
    if (!c || is_over(c))
        return c ? ALERTS_OVER : ALERTS_UNKNOWN;
    take_notes(c, change);
    set_over(self, c, change->by, now_us);
    return ALERTS_OK;
}

void alerts_count(alerts_t *self, struct alerts_summary *to)
{
    int64_t of[SEVERITIES] = { 0 }, active = 0, acknowledged = 0, all = 0;
    for (const struct alert *a = alerts_first(self); a; a = alerts_next(self)) {
        int severity = severity_find(a->severity);
        all++;
        if (a->has_resolved_at)
            continue;
        active++;
        acknowledged += a->has_acknowledged_at;
        if (severity >= 0)
            of[severity]++;
    }
    *to = (struct alerts_summary){ 0 };
    SET(to, total_active, active);
    SET(to, critical, of[CRITICAL]);
    SET(to, warning, of[WARNING]);
    SET(to, info, of[INFO]);
    SET(to, acknowledged, acknowledged);
    SET(to, total_alerts, all);
}

int64_t alerts_raised(const alerts_t *self)
{
    return self->raised;
}

bool alerts_unsaved(const alerts_t *self, int64_t *failures)
{
    *failures = self->failures;
    for (struct condition *c = zlistx_first(self->all); c; c = zlistx_next(self->all))
        if (c->is_unsaved)
            return true;
    return false;
}
