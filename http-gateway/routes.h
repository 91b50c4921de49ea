/* routes.h - the route table and its one lookup. */
#ifndef ROUTES_H
#define ROUTES_H

#include "actor.h"
#include "http.h"

struct connection;

/* Nobody has a key yet. What changes something is WRITE: no page of another site gets there (connection.c,
 * gateway.c), and its body must say that it is JSON. */
enum scope { OPEN, READ, WRITE, ADMIN };

enum shape {
    OBJECT,       /* a service: its reply */
    ACCEPTED,     /* ... with 202: it is begun, not done */
    ARRAY,        /* a listing: a bare array; how it goes on is told in headers */
    ARRAY_FOUND,  /* ... of which no rows means 404 */
    LIST,         /* a listing: {"key": [rows], the fields of its end} */
    WHOLE,        /* ... whose pages are asked for one after the other: all of its rows */
    ONE,          /* a listing that gives one row: that row, or 404 */
    BY_HAND
};

typedef void hand_fn(struct connection *);

struct route {
    enum method method;
    const char *path;
    const struct contract *service;          /* NULL: by hand */
    const struct schema *(*parameters)(void);
    enum scope scope;
    enum shape shape;
    const char *key;                          /* of LIST and WHOLE */
    hand_fn *hand;
    const char *media;                        /* type of the answer */
    const char *summary;
};
extern const struct route routes[];  /* ends with a NULL path */

hand_fn export_start, series_start, history_start, series_export_start, live_start, health_short, health_long, metrics_show, openapi_show, info_show,
    front_show;

/* The first row that fits the path, as it came, percent-encoded; NULL: none. */
const struct route *route_of_path(struct slice path);

/* That row's sibling for the method (HEAD counts as GET); NULL: 405. */
const struct route *route_of_method(const struct route *, enum method);

/* "GET, HEAD, OPTIONS": what the path takes. */
void route_allow(const struct route *, char *to, size_t size);

/* Whether its path has {name}. */
bool route_has_hole(const struct route *, const char *name);

/* The next hole of a route's path: its name, and the segment of `path` in it. Start with
 * *at = 0; false when there are no more. */
bool route_hole(const struct route *, struct slice path, size_t *at, struct slice *name, struct slice *segment);

#endif
