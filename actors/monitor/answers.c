/* answers.c - what monitor is asked: alerts, rules, the sum, the logs. */
#include "logs.h"
#include "monitor.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* --- alerts --------------------------------------------------------------------------------------- */

/* Whether `word` is one of a list like "active, resolved"; an absent list has everything. */
static bool is_listed(bool has, const char *list, const char *word)
{
    size_t size = strlen(word);
    if (!has)
        return true;
    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        size_t length = strcspn(p, ", ");
        if (length == size && strncasecmp(p, word, size) == 0)
            return true;
    }
    return false;
}

/* Every word of the list is one of those. */
static bool are_known(bool has, const char *list, const char *const words[], size_t count)
{
    for (const char *p = has ? list + strspn(list, ", ") : ""; *p; p += strspn(p, ", ")) {
        size_t length = strcspn(p, ", "), i = 0;
        while (i < count && (strlen(words[i]) != length || strncasecmp(words[i], p, length) != 0))
            i++;
        if (i == count)
            return false;
        p += length;
    }
    return true;
}

static const char *const statuses[] = { "active", "acknowledged", "resolved" };

static int check_query(actor_t *actor, const struct alerts_query *query, int64_t *from)
{
    int used = 0;
    *from = INT64_MAX;
    if (!are_known(query->has_status, query->status, statuses, sizeof statuses / sizeof *statuses))
        return actor_refuse(actor, BAD_REQUEST, "status", "is none of active, acknowledged, resolved");
    if (!are_known(query->has_severity, query->severity, severity_names, SEVERITIES))
        return actor_refuse(actor, BAD_REQUEST, "severity", "is none of info, warning, critical");
    if (query->has_cursor && (sscanf(query->cursor, "%" SCNd64 "%n", from, &used) != 1 || query->cursor[used]))
        return actor_refuse(actor, BAD_REQUEST, "cursor", "is none of this list");
    return OK;
}

static bool is_asked_for(const struct alerts_query *query, const struct alert *a, bool only_open)
{
    return (!only_open || !a->has_resolved_at) && is_listed(query->has_status, query->status, a->status)
        && is_listed(query->has_severity, query->severity, a->severity)
        && is_listed(query->has_service, query->service, a->service) && is_listed(query->has_rule, query->rule, a->rule);
}

/* The two lists differ in what they are of; rows are the same. */
static int list_alerts(struct self *self, actor_t *actor, const struct alerts_query *query, bool only_open, rows_t *rows, struct page *end)
{
    int64_t from, count = 0, limit = query->has_limit ? query->limit : 100;
    int bad = check_query(actor, query, &from);
    if (bad)
        return bad;
    for (const struct alert *a = alerts_first(self->alerts); a; a = alerts_next(self->alerts)) {
        char cursor[24];
        if (a->id > from || !is_asked_for(query, a, only_open))
            continue;
        if (count == limit || (only_open ? row_monitor_active(rows, a) : row_monitor_alerts(rows, a))) {
            int size = snprintf(cursor, sizeof cursor, "%" PRId64, a->id);
            SET_TEXT(end, next_cursor, cursor, (size_t)size);
            break;
        }
        count++;
    }
    SET(end, count, count);
    SET(end, limit, limit);
    return OK;
}

int on_alerts(struct self *self, actor_t *actor, const struct alerts_query *query, rows_t *rows, struct page *end)
{
    return list_alerts(self, actor, query, false, rows, end);
}

int on_active(struct self *self, actor_t *actor, const struct alerts_query *query, rows_t *rows, struct page *end)
{
    return list_alerts(self, actor, query, true, rows, end);
}

int on_alert(struct self *self, actor_t *actor, const struct alert_query *query, struct alert *reply)
{
    (void)actor;
    const struct alert *found = alerts_find(self->alerts, query->id);
    if (found)
        *reply = *found;
    return found ? OK : NOT_FOUND;
}

static int answer_change(struct self *self, actor_t *actor, enum alerts_result result, int64_t id, struct alert *reply)
{
    if (result == ALERTS_OVER)
        return actor_refuse(actor, CONFLICT, "id", "is resolved: an alert ends once");
    if (result == ALERTS_UNKNOWN)
        return NOT_FOUND;
    *reply = *alerts_find(self->alerts, id);
    return OK;
}

int on_acknowledge(struct self *self, actor_t *actor, const struct alert_change *query, struct alert *reply)
{
    return answer_change(self, actor, alerts_acknowledge(self->alerts, query, actor_now_us(actor)), query->id, reply);
}

/* Whoever ends it by hand takes it as it is: who is silent is expected no longer, what is missing not looked for. */
int on_resolve(struct self *self, actor_t *actor, const struct alert_change *query, struct alert *reply)
{
    int verdict = answer_change(self, actor, alerts_resolve(self->alerts, query, actor_now_us(actor)), query->id, reply);
    if (verdict != OK)
        return verdict;
    if (strcmp(reply->rule, self->rules[ACTOR_SILENT].name) == 0)
        watch_forget(self->watch, reply->subject);
    if (strcmp(reply->rule, self->rules[CONSERVATION].name) == 0)
        sums_accept(&self->sums);
    return OK;
}

int on_summary(struct self *self, actor_t *actor, const struct nothing *query, struct alerts_summary *reply)
{
    (void)actor, (void)query;
    alerts_count(self->alerts, reply);
    return OK;
}

/* --- rules ------------------------------------------------------------------------------------------- */

int on_rules(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct page *end)
{
    (void)actor, (void)query;
    for (int i = 0; i < RULES; i++) {
        struct alert_rule row;
        rule_describe(&self->rules[i], &row);
        if (row_monitor_rules(rows, &row))
            return BROKEN;
    }
    SET(end, count, RULES);
    return OK;
}

int on_rule_set(struct self *self, actor_t *actor, const struct rule_change *query, struct alert_rule *reply)
{
    int id = rules_find(self->rules, query->name), severity = query->has_severity ? severity_find(query->severity) : 0;
    if (id < 0)
        return NOT_FOUND;
    struct rule *rule = &self->rules[id];
    if (severity < 0)
        return actor_refuse(actor, BAD_REQUEST, "severity", "is none of info, warning, critical");
    if (query->has_threshold && isnan(rule->threshold))
        return actor_refuse(actor, BAD_REQUEST, "threshold", "this rule has nothing to compare");
    if (query->has_enabled)
        rule->enabled = query->enabled;
    if (query->has_severity)
        rule->severity = (enum severity)severity;
    if (query->has_threshold)
        rule->threshold = query->threshold;
    rule->changed = true;
    if (!self->file || file_save_rule(self->file, rule))
        return actor_refuse(actor, UNAVAILABLE, "", "it is in force, but could not be written and is forgotten at the next start");
    rule_describe(rule, reply);
    return OK;
}

/* --- the sum ------------------------------------------------------------------------------------------- */

static void set_settled(struct conservation_row *row, const struct settled_row *settled)
{
    SET(row, stored, settled->stored);
    SET(row, duplicate, settled->duplicate);
    SET(row, filtered, settled->filtered);
    SET(row, thinned, settled->thinned);
    SET(row, quarantined, settled->quarantined);
    SET(row, redelivered, settled->redelivered);
}

static void describe_sum(const struct self *self, struct conservation_row *row)
{
    const struct sums *s = &self->sums;
    int64_t old_us = actor_now_us(self->actor) - s->at_us;
    static const char never[] = "sink and ingest have not both answered yet", stale[] = "sink or ingest does not answer: this is as it was";
    SET_TEXT(row, source, "ingest", 6);
    if (s->at_us == 0) {
        SET_TEXT(row, why, never, sizeof never - 1);
        return;
    }
    struct ingest_totals totals = sums_meanwhile(s);
    set_settled(row, &s->after);
    SET(row, received, totals.received);
    SET(row, in_flight, totals.in_flight);
    SET(row, given_up, totals.given_up);
    SET(row, missing, s->missing);
    SET(row, excess, s->excess > 0 ? s->excess : 0);
    SET(row, at, s->at_us);
    if (old_us > 10 * SECOND_US + 3 * self->config.check_ms * 1000)
        SET_TEXT(row, why, stale, sizeof stale - 1);
    else
        SET(row, holds, s->missing == 0);
}

int on_conservation(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct page *end)
{
    struct conservation_row row = { 0 };
    static const char unknown[] = "nobody says what an import has read";
    (void)actor, (void)query;
    int64_t imported = settled_sum(&self->imported);
    describe_sum(self, &row);
    if (row_monitor_conservation(rows, &row))
        return BROKEN;
    SET(end, count, imported > 0 ? 2 : 1);
    if (imported == 0)
        return OK;
    row = (struct conservation_row){ 0 };
    SET_TEXT(&row, source, "import", 6);
    SET_TEXT(&row, why, unknown, sizeof unknown - 1);
    SET(&row, at, self->sums.at_us);
    set_settled(&row, &self->imported);
    return row_monitor_conservation(rows, &row) ? BROKEN : OK;
}

/* --- logs ------------------------------------------------------------------------------------------------ */

static int give_line(void *owner, const struct log_row *row)
{
    return row_monitor_logs(owner, row);
}

int on_logs(struct self *self, actor_t *actor, const struct logs_query *query, rows_t *rows, struct page *end)
{
    char path[PATH_MAX];
    struct fault fault = { "", "" };
    (void)self;
    if (actor_path(actor, path, sizeof path, "logs"))
        return UNAVAILABLE;
    return logs_find(path, query, give_line, rows, end, &fault) ? actor_refuse(actor, BAD_REQUEST, fault.field, fault.why) : OK;
}

int on_log_counts(struct self *self, actor_t *actor, const struct nothing *query, struct log_counts *reply)
{
    char path[PATH_MAX];
    (void)query;
    if (actor_path(actor, path, sizeof path, "logs"))
        return UNAVAILABLE;
    logs_count(path, actor_now_us(actor), reply, &self->pool);
    return OK;
}
