/* series_world.h - a store with a few entities, and the actor that is asked about it. */
#ifndef SERIES_WORLD_H
#define SERIES_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "probe.h"
#include "store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_US  INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z, where the probe's clock begins */
#define SECOND  INT64_C(1000000)
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)

struct world { char directory[64], path[96]; store_t *store; probe_t *probe; int64_t place; };

static inline int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *why = "";
    strcpy(w->directory, "/tmp/test-series-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->store = store_open(&(struct store_options){ .path = w->path, .writer = true }, &why);
    assert_non_null(w->store);
    w->probe = probe_new((const char *const[]){ "data", w->directory, "page_bytes", "65536", NULL });
    assert_non_null(w->probe);
    *state = w;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    probe_destroy(&w->probe);
    store_close(&w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

/* A state with its unit, area and attributes; state NULL: the entity is removed. */
struct said { const char *entity_id; int64_t at; const char *state, *unit, *area, *attributes; };

static inline void say(struct world *w, struct said said)
{
    struct event_full e;
    struct fault fault;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(said.entity_id));
    SET(&e, domain, ((struct slice){ said.entity_id, strcspn(said.entity_id, ".") }));
    SET(&e, timestamp, said.at);
    SET(&e, received_at, said.at);
    SET(&e, place, ++w->place);
    SET_TEXT(&e, provenance, "live", 4);
    if (said.state) {
        SET(&e, state, slice_of(said.state));
        SET(&e, last_updated, said.at);
        SET(&e, attributes, slice_of(said.attributes ? said.attributes : "{}"));
    }
    if (said.unit)
        SET(&e, unit, slice_of(said.unit));
    if (said.area)
        SET(&e, area, slice_of(said.area));
    assert_int_equal(store_append(w->store, &e, &fault), STORE_OK);
}

/* SAY(w, "sensor.a", at, "1", .unit = "W") */
#define SAY(w, name, when, text, ...) say((w), (struct said){ .entity_id = (name), .at = (when), .state = (text), __VA_ARGS__ })

static inline void commit(struct world *w)
{
    assert_int_equal(store_commit(w->store), STORE_OK);
}

static inline void set_text(const struct schema *schema, void *msg, const char *name, const char *text)
{
    struct fault fault;
    assert_int_equal(schema_set_text(schema_field(schema, name, strlen(name)), text, strlen(text), msg, &fault), 0);
}

#endif
