/* rules.h - what the user wants kept: rules, and what they say of an event.
 *
 * A rule is an object with `action` (include, exclude, thin), one selector (a text or an array of
 * texts), of `thin` also `interval_s`, `deadband` or both, and a `note` if one likes. Of the rules
 * that fit, the most specific selector decides: entity_id, glob, device_id, label, area_id,
 * integration, domain, event_type; of two alike include. This is the order of Home Assistant's
 * recorder, with what it does not know put between glob and domain. Where nothing fits, a state is
 * left out if anything wider than an entity is included, or entities alone are. An event that is no
 * state is decided by its type, else by the entity it speaks of; else it is left out where types are
 * included. A removal is always kept, and so is our own canary. */
#ifndef RULES_H
#define RULES_H

#include "schemas.h"
#include "thin.h"

typedef struct rules rules_t;

enum { RULES_MAX = 1000, RULES_TEXTS = 10000, RULES_BYTES = 1024 * 1024 };
enum { NO_RULE = -1 };

/* From a JSON array. NULL: *fault names rule and field, in text that lives until the next call. */
rules_t *rules_read(struct slice json, struct fault *);
void rules_destroy(rules_t **);
size_t rules_count(const rules_t *);

/* The same rules as JSON, as they may be read again; with numbers for each, if there are any. */
struct rule_count { int64_t filtered, thinned; };
void rules_write(const rules_t *, const struct rule_count counts[], msgpack_sbuffer *out);

/* `rule`: the one that decided, NO_RULE: none fits. `thin`: the one that thins, or NO_RULE. */
struct decision { bool is_dropped; int16_t rule, thin; };
struct decision rules_decide(const rules_t *, const struct event_full *);
const struct thinning *rules_thinning(const rules_t *, int16_t rule);

/* What they would have done to the events of the last day that are stored: read back for 1.5 s at
 * most, and said of the longest time up to now that could be read whole. Texts are in `pool`. */
enum store_result store_preview(store_t *, const rules_t *, int64_t now_us, struct preview_reply *, msgpack_sbuffer *pool);

/* A name fits a pattern of `*` (anything), `?` (one character) and [a-z0-9] or [!a-z]. */
bool glob_fits(struct slice pattern, struct slice name);

/* Whether the event may be left out at all. */
bool event_is_kept(const struct event_full *);

#endif
