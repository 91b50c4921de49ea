/* rules.h - when there is an alert: rules.tbl, and what was set otherwise. */
#ifndef RULES_H
#define RULES_H

#include "schemas.h"

#include <math.h>

#define NOTHING NAN

enum severity { INFO, WARNING, CRITICAL, SEVERITIES };
extern const char *const severity_names[SEVERITIES];

enum rule_id {
#define RULE(id_, ...) id_,
#include "rules.tbl"
#undef RULE
    RULES
};

struct rule {
    const char *name, *doc, *unit;
    enum severity severity;
    double threshold;           /* NAN: there is none */
    int for_s;
    bool enabled, changed;
};

void rules_fill(struct rule rules[RULES]);              /* as they stand in the table */
int rules_find(const struct rule rules[RULES], const char *name); /* -1: there is none of this name */
int severity_find(const char *name);                    /* -1: it is none */
void rule_describe(const struct rule *, struct alert_rule *to);

#endif
