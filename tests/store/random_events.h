/* random_events.h - events of every shape, made from a seed, and whether two are equal. */
#ifndef RANDOM_EVENTS_H
#define RANDOM_EVENTS_H

#include "event_id.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 4096 };
struct maker { uint64_t seed; char pool[POOL]; size_t used; int64_t place; };

#define START_US INT64_C(1767225600000000)

static inline uint64_t chance(struct maker *m, uint64_t of)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return m->seed % of;
}

static inline struct slice say(struct maker *m, const char *format, int n)
{
    char *at = m->pool + m->used;
    int size = snprintf(at, POOL - m->used, format, n);
    m->used += (size_t)size + 1;
    assert(m->used < POOL);
    return (struct slice){ at, (size_t)size };
}

static inline struct slice a_state(struct maker *m)
{
    static const char odd[] = "a\0b\xed\xa0\x80";
    switch (chance(m, 8)) {
    case 0: return (struct slice){ odd, sizeof odd - 1 };
    case 1: return (struct slice){ "", 0 };
    case 2: return slice_of(" 12 ");
    case 3: return slice_of("unavailable");
    default: return say(m, "%d.5", (int)chance(m, 1000));
    }
}

static inline struct slice a_context(struct maker *m, int64_t at_us)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    if (chance(m, 8) == 0)
        return say(m, "%032x", (int)chance(m, 1 << 30));
    if (chance(m, 8) == 0)
        return say(m, "my own context %d", (int)chance(m, 1000));
    struct slice text = say(m, "%026d", 0);
    char *at = m->pool + m->used - 27;
    uint64_t ms = (uint64_t)(at_us / 1000) - (chance(m, 4) ? 0 : chance(m, 5000));
    for (int i = 9; i >= 0; i--, ms >>= 5)
        at[i] = digits[ms & 31];
    for (int i = 10; i < 26; i++)
        at[i] = digits[chance(m, 32)];
    return text;
}

static inline void make_shared(struct maker *m, struct event_full *e)
{
    int device = (int)chance(m, 5);
    if (chance(m, 3)) {
        SET(e, device_id, say(m, "device%d", device));
        SET(e, area_id, say(m, "area%d", device % 2));
        SET(e, area, say(m, "Area %d", device % 2));
    }
    if (chance(m, 3) == 0)
        SET(e, entity_category, slice_of(chance(m, 2) ? "config" : "diagnostic"));
    if (chance(m, 2))
        SET(e, labels, slice_of("[\"a\",\"b\"]"));
    SET(e, unit, slice_of("W"));
    SET(e, integration, slice_of("shelly"));
}

static inline void make_state(struct maker *m, struct event_full *e)
{
    static const char *const domains[] = { "sensor", "light", "switch" };
    int entity = (int)chance(m, 30);
    struct slice domain = slice_of(domains[entity % 3]);
    char format[32];
    snprintf(format, sizeof format, "%s.thing_%%d", domains[entity % 3]);
    SET(e, event_type, slice_of("state_changed"));
    SET(e, entity_id, say(m, format, entity));
    SET(e, domain, domain);
    make_shared(m, e);
    if (chance(m, 3))
        SET(e, old_state, a_state(m));
    if (chance(m, 15) == 0)
        return; /* a removal */
    SET(e, state, a_state(m));
    SET(e, last_updated, e->timestamp - (chance(m, 20) ? 0 : (int64_t)chance(m, 3000)));
    SET(e, last_changed, e->last_updated - (chance(m, 2) ? 0 : (int64_t)chance(m, 1 << 30)));
    if (chance(m, 2))
        SET(e, last_reported, e->last_updated);
    SET(e, attributes, say(m, "{\"level\":%d,\"Name\":\"x\",\"about\":\"what is said again with every state, and costs next to nothing the second time\"}", (int)chance(m, 20)));
    SET(e, changed, chance(m, 2) != 0);
    if (chance(m, 2))
        SET(e, duration_in_state_s, (double)chance(m, 1 << 30) / (chance(m, 2) ? 1e6 : 7.0));
    if (chance(m, 2))
        SET(e, value, chance(m, 2) ? e->state.size ? slice_of("12.5") : slice_of("true") : say(m, "%d.25", (int)chance(m, 100)));
    if (e->has_value && chance(m, 2))
        SET(e, canonical_value, chance(m, 2) ? 12.5 : (double)chance(m, 1 << 20) / 3.0);
    if (chance(m, 5) == 0)
        SET(e, weather, say(m, "{\"temp_c\":%d}", (int)chance(m, 3)));
    if (chance(m, 3) == 0)
        SET(e, restored, chance(m, 2) != 0);
    if (chance(m, 5) == 0)
        SET(e, meter, slice_of("{\"wh\":1}"));
}

static inline void make_other(struct maker *m, struct event_full *e)
{
    SET(e, event_type, slice_of(chance(m, 2) ? "call_service" : "automation_triggered"));
    if (chance(m, 2))
        SET(e, entity_id, say(m, "sensor.thing_%d", (int)chance(m, 30)));
    SET(e, data, say(m, "{\"n\":%d}", (int)chance(m, 1 << 30)));
}

/* One event at about `at_us`; slices live until the next one is made. */
static inline void make_event(struct maker *m, struct event_full *e, int64_t at_us)
{
    schema_clear(event_full_schema(), e);
    m->used = 0;
    SET(e, timestamp, at_us);
    SET(e, received_at, at_us + (int64_t)chance(m, 100000) - 100);
    SET(e, place, m->place += 1 + (int64_t)chance(m, 1000));
    SET_TEXT(e, provenance, "live", 4);
    SET(e, is_state, chance(m, 8) != 0);
    if (chance(m, 4))
        SET(e, origin, slice_of("LOCAL"));
    SET(e, context_id, a_context(m, at_us));
    if (chance(m, 4) == 0)
        SET(e, context_parent_id, a_context(m, at_us));
    if (chance(m, 4) == 0)
        SET(e, context_user_id, say(m, "user%d", (int)chance(m, 3)));
    if (e->is_state)
        make_state(m, e);
    else
        make_other(m, e);
    event_id_set(e);
}

/* All that is not inline, in one buffer: equal events have equal bytes. */
static inline void encoded(const struct event_full *e, msgpack_sbuffer *out)
{
    struct fault fault;
    msgpack_sbuffer_clear(out);
    int rc = event_full_encode(e, out, &fault);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fault.field, fault.why);
    assert(rc == 0);
}

#endif
