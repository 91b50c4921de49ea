/* recorded.h - what a row of the recorder says, as Home Assistant had said it when it happened.
 *
 * SQLite has no types: a time may be a text, a state a blob. What cannot be meant is written as
 * it is, as a text, so that enrich refuses it and names the field. */
#ifndef RECORDED_H
#define RECORDED_H

#include "database.h"
#include "json.h"
#include "schemas.h"

int64_t recorded_id(row_t *);
double recorded_seconds(row_t *);  /* when, to order states and events by; 0 where it does not say */

/* The event object as it comes over the WebSocket API. `json` looks whether attributes and data
 * are JSON. Appended to `out`. */
void recorded_state(row_t *, json_t *json, msgpack_sbuffer *out);
void recorded_event(row_t *, json_t *json, msgpack_sbuffer *out);

/* All but place and received_at. 0, or -1: *fault says which column is none that can be read. */
int recorded_statistic(row_t *, enum table, struct statistic_row *, struct fault *);
void recorded_show(row_t *, msgpack_sbuffer *out); /* its columns, as a JSON array, to be looked at */

#endif
