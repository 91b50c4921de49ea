/* golden.h - a vector, what enrich made of it, and the rules by which the two may differ. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "json.h"
#include "probe.h"

#include <string.h>

/* The parts of an input that rules look at; JSON_NOTHING where there is none. */
struct vector {
    struct slice name;
    struct json_value event, type, time_fired, context, data;
    struct json_value domain, service;                        /* of the data */
    struct json_value entity, old_state, new_state;           /* of the data */
    struct json_value old_text, old_changed, old_entity;      /* of the old state */
    struct json_value new_text, new_changed, new_updated, new_reported, new_attributes, new_entity;
    json_t *json;
};

/* One of the two. */
struct outcome {
    const struct event_full *full;
    const struct event_bad *bad;
};

struct rule {
    const char *key;      /* what differs */
    const char *name;     /* the difference, in words */
    const char *because;  /* the defect or decision behind it */
    bool (*explains)(const struct vector *, const struct outcome *);
};
enum { RULES = 20 };
extern const struct rule rules[RULES];

/* The rule that explains this difference: its input is of that kind and our outcome is what the
 * rule says it must be. NULL if there is none. */
const struct rule *rule_find(const char *key, const struct vector *, const struct outcome *);

void vector_read(struct vector *, json_t *, struct json_value name, struct json_value input);

/* A file of the directory, plain or with .gz behind its name; exits if there is none. */
size_t file_read(const char *directory, const char *name, char **text);

static inline bool is_text(struct slice text, const char *other)
{
    struct slice o = slice_of(other);
    return text.size == o.size && !memcmp(text.data, other, o.size);
}

#endif
