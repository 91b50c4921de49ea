/* body.h - what a row's body holds, and a body taken to pieces: for chunks, which keep each kind of piece by itself. */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "inside.h"

enum { BODY_FORM = 1 };

/* The flags, in the order in which what they speak of is written. */
enum {
    PROVENANCE      = 3, /* two bits: a place in the table below */
    HAS_STATE       = 1 << 2,
    HAS_OLD         = 1 << 3,
    OLD_IS_STATE    = 1 << 4,
    HAS_UPDATED     = 1 << 5,
    UPDATED_IS_AT   = 1 << 6,
    HAS_CHANGED_AT  = 1 << 7,
    CHANGED_IS_AT   = 1 << 8,
    HAS_REPORTED    = 1 << 9,
    REPORTED_IS_AT  = 1 << 10,
    HAS_ATTRIBUTES  = 1 << 11,
    HAS_CHANGED     = 1 << 12,
    IS_CHANGED      = 1 << 13,
    HAS_DURATION    = 1 << 14,
    DURATION_IN_US  = 1 << 15,
    HAS_VALUE       = 1 << 16,
    VALUE_IS_STATE  = 1 << 17,
    HAS_CANONICAL   = 1 << 18,
    CANONICAL_IS_VALUE = 1 << 19,
    CONTEXT_FORM    = 20, /* three bits each */
    PARENT_FORM     = 23,
    HAS_USER        = 1 << 26,
    HAS_DATA        = 1 << 27,
    HAS_READINGS    = 1 << 28,
    HAS_RESTORED    = 1 << 29, /* bodies of before have none */
    IS_RESTORED     = 1 << 30
};

enum { OWN_CONTEXT, PARENT_CONTEXT, CONTEXTS };

/* A context as it is written: its form, and its bytes whole (a near one's first six follow from the time). */
struct context_part { enum context_form form; uint8_t bytes[16]; uint64_t late_ms; struct slice text; };

/* Times are differences to `at`. What the flags do not name is not set. */
struct body_parts {
    uint32_t flags;
    int64_t snapshot, attributes, readings, user;
    struct context_part contexts[CONTEXTS];
    int64_t received, updated, changed, reported;
    struct slice state, old_state, value, data;
    uint64_t duration_us;
    double duration, canonical;
};

/* -1: it is none. Its slices point into the body. */
int  parts_read(struct slice body, int64_t timestamp, struct body_parts *);
void parts_write(const struct body_parts *, msgpack_sbuffer *out);

const char *provenance_of(uint32_t flags);

static inline bool has_all(uint32_t flags, uint32_t has, uint32_t without)
{
    return (flags & (has | without)) == has;
}

/* The milliseconds between a near context and its event. */
static inline void set_late(struct context_part *c, int64_t timestamp)
{
    uint64_t made = 0;
    for (int i = 0; i < 6; i++)
        made = made << 8 | c->bytes[i];
    c->late_ms = (uint64_t)(timestamp / 1000) - made;
}

#endif
