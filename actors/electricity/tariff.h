/* tariff.h - a tariff out of words: "0.32", "22:00-06:00 0.24; 0.36", "sat-sun 0.2; mon-fri 10:00-14:00 0.4; 0.3".
 *
 * Rules are tried in their order, the first that fits counts; days and times are local, a day's own:
 * "fri 22:00-06:00" is the first six and the last two hours of Friday. */
#ifndef TARIFF_H
#define TARIFF_H

#include <stdbool.h>
#include <stddef.h>

enum { RULES_MAX = 24 };

struct tariff_rule { unsigned days; int from, to; double price; }; /* days: bit 0 is Monday; minutes of the day */
struct tariff { size_t count; struct tariff_rule rules[RULES_MAX]; };

/* 0, or -1 and *why: it cannot be read, or leaves a time without a price. */
int tariff_read(const char *text, struct tariff *, const char **why);
double tariff_price(const struct tariff *, int weekday, int minute); /* 0 is Monday */

#endif
