/* alerts.h - conditions that last become alerts, one each, and end as alerts when they are over.
 *
 * A condition is a rule and a subject. A look at the world is alerts_begin(), alerts_see() for
 * each condition that holds, alerts_end(): what was not seen is over. A condition that has
 * lasted as long as its rule says becomes an alert; that same alert stays while it lasts,
 * across restarts. Times are microseconds: `now` the wall clock's, `clock` monotonic. */
#ifndef ALERTS_H
#define ALERTS_H

#include "file.h"

typedef struct alerts alerts_t;

struct moment { int64_t now_us, clock_us; };

/* Rules are borrowed. `percent`: how much of for_s and of thresholds in seconds counts. */
alerts_t *alerts_new(const struct rule rules[RULES], int64_t percent, file_t *, struct moment);
void alerts_destroy(alerts_t **);

void alerts_begin(alerts_t *, struct moment);
void alerts_see(alerts_t *, enum rule_id, const char *subject, const char *service, double value, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* `is_whole`: all that can be seen was looked at; else what was not seen is left as it is. */
typedef void alerts_told_fn(void *owner, const struct alert *); /* raised, or over */
void alerts_end(alerts_t *, bool is_whole, alerts_told_fn *, void *owner);

double alerts_threshold(const alerts_t *, enum rule_id);  /* seconds shortened by percent */
int64_t alerts_span_us(const alerts_t *, int64_t seconds); /* likewise */

/* Newest first; NULL: there is none older. */
const struct alert *alerts_first(alerts_t *), *alerts_next(alerts_t *);
const struct alert *alerts_find(alerts_t *, int64_t id);
enum alerts_result { ALERTS_OK, ALERTS_UNKNOWN, ALERTS_OVER };
enum alerts_result alerts_acknowledge(alerts_t *, const struct alert_change *, int64_t now_us);
enum alerts_result alerts_resolve(alerts_t *, const struct alert_change *, int64_t now_us);
void alerts_count(alerts_t *, struct alerts_summary *);
int64_t alerts_raised(const alerts_t *);                  /* since the start */
bool alerts_unsaved(const alerts_t *, int64_t *failures); /* something could not be written */

#endif
