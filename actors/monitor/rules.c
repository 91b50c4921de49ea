/* rules.c - from rules.tbl. */
#include "rules.h"

#include <string.h>

const char *const severity_names[SEVERITIES] = { [INFO] = "info", [WARNING] = "warning", [CRITICAL] = "critical" };

void rules_fill(struct rule rules[RULES])
{
    static const struct rule table[RULES] = {
#define RULE(id_, name_, severity_, threshold_, unit_, for_, doc_) [id_] = { .name = name_, .doc = doc_, .unit = unit_, \
        .severity = severity_, .threshold = threshold_, .for_s = for_, .enabled = true },
#include "rules.tbl"
#undef RULE
    };
    memcpy(rules, table, sizeof table);
}

int rules_find(const struct rule rules[RULES], const char *name)
{
    for (int i = 0; i < RULES; i++)
        if (strcmp(rules[i].name, name) == 0)
            return i;
    return -1;
}

int severity_find(const char *name)
{
    for (int i = 0; i < SEVERITIES; i++)
        if (strcmp(severity_names[i], name) == 0)
            return i;
    return -1;
}

void rule_describe(const struct rule *rule, struct alert_rule *to)
{
    *to = (struct alert_rule){ 0 };
    SET_TEXT(to, name, rule->name, strlen(rule->name));
    SET_TEXT(to, doc, rule->doc, strlen(rule->doc));
    SET(to, enabled, rule->enabled);
    SET_TEXT(to, severity, severity_names[rule->severity], strlen(severity_names[rule->severity]));
    if (!isnan(rule->threshold))
        SET(to, threshold, rule->threshold);
    if (rule->unit[0])
        SET_TEXT(to, unit, rule->unit, strlen(rule->unit));
    SET(to, for_s, rule->for_s);
    SET(to, changed, rule->changed);
}
