/* zone_rule.h - the rule at the end of a zone's file, such as CET-1CEST,M3.5.0,M10.5.0/3. For zone.c alone. */
#ifndef ZONE_RULE_H
#define ZONE_RULE_H

#include "schema.h"

enum zone_day { ZONE_JULIAN /* 1..365, no 29 February */, ZONE_OF_YEAR /* 0..365 */, ZONE_OF_MONTH };
struct zone_change { enum zone_day kind; int day, month, week; int32_t time_s; /* local time, by what is in force before */ };
struct zone_rule { int32_t standard, summer; bool has_summer; struct zone_change begins, ends; };

/* from <= t < to, seconds UTC, and the offset between. */
struct zone_stretch { int64_t from, to; int32_t offset; };

bool zone_rule_read(struct slice text, struct zone_rule *);
struct zone_stretch zone_rule_at(const struct zone_rule *, int64_t at_s);

int64_t days_of_date(int64_t year, int month, int day); /* since the epoch */
void date_of_days(int64_t days, int64_t *year, int *month);

#endif
