/* request.h - from a request's target and body to the query of a service. */
#ifndef REQUEST_H
#define REQUEST_H

#include "json.h"
#include "routes.h"

/* Undo percent-encoding (and "+" where `plus`). 0 with *size, or -1: malformed, or no room.
 * `to` is closed with a NUL, `room` counts it. */
int percent_decode(struct slice in, bool plus, char *to, size_t room, size_t *size);

/* Split at the first "?"; a fragment is cut off. */
void target_split(struct slice target, struct slice *path, struct slice *query);

/* Fill `msg` (of `schema`, cleared before) from the holes of the path and the query string.
 * Unknown names and empty texts are ignored, repeated texts are joined by commas; anything else
 * that is given twice, and text that is no UTF-8 or holds NUL, is refused. 0, or the status to
 * refuse with and *fault. What is left out stays absent: its owner knows the default. */
int request_query(const struct route *, const struct schema *, struct slice path, struct slice query, void *msg, struct fault *);

/* Fill more of `msg` from a JSON object; what the path has said stays. Arrays of texts are joined by commas. */
int request_body(const struct route *, const struct schema *, json_t *, struct slice body, void *msg, struct fault *);

/* A parameter of the query string that is no field: true with its text, NUL-terminated. An
 * empty one counts as absent. -1 where it cannot be read or is given twice. */
int request_parameter(struct slice query, const char *name, char *to, size_t room);

/* Whether a Host header names this machine's loopback, or `bind`; the port is not looked at. */
bool host_is_ours(struct slice host, const char *bind);

/* Whether an address is one of the loopback's. */
bool address_is_loopback(const char *address);

/* Whether a page of another site would be the one that asks: an Origin that is not "http://" and
 * this very Host. */
bool origin_is_foreign(struct slice origin, struct slice host);

/* Whether a Content-Type is application/json, whatever its parameters. */
bool media_is_json(struct slice type);

/* A correlation id that may be repeated in a header and a log line. */
bool id_is_plain(struct slice id);

#endif
