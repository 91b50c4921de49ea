/* rules.c - what the rules say of an event: the most specific one decides. */
#include "rules_inside.h"

#include <assert.h>
#include <string.h>

static bool same(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

size_t rules_count(const rules_t *rules)
{
    return rules->count;
}

const struct thinning *rules_thinning(const rules_t *rules, int16_t rule)
{
    assert(rule >= 0 && (size_t)rule < rules->count);
    return &rules->list[rule].thinning;
}

/* --- globs ------------------------------------------------------------------------------------------ */

/* The character, or set of them, at the pattern's head: true if `c` is in it. *size: how long it is. */
static bool head_fits(const char *p, size_t left, char c, size_t *size)
{
    const char *end = p[0] == '[' && left > 3 ? memchr(p + 2 + (p[1] == '!'), ']', left - 2 - (p[1] == '!')) : NULL;
    *size = end ? (size_t)(end - p) + 1 : 1;
    if (!end)
        return p[0] == '?' || p[0] == c;
    bool inverse = p[1] == '!', found = false;
    for (const char *at = p + 1 + inverse; at < end; at++) {
        bool is_range = at + 2 < end && at[1] == '-';
        found |= is_range ? (unsigned char)c >= (unsigned char)at[0] && (unsigned char)c <= (unsigned char)at[2] : c == at[0];
        at += is_range ? 2 : 0;
    }
    return found != inverse;
}

/* A star that was met last takes one character more when what follows does not fit: no pattern
 * takes longer than its length times the name's. */
bool glob_fits(struct slice pattern, struct slice name)
{
    const char *p = pattern.data, *n = name.data, *p_end = p + pattern.size, *n_end = n + name.size;
    const char *star = NULL, *from = NULL;
    size_t size;
    while (n < n_end) {
        if (p < p_end && *p == '*') {
            star = ++p;
            from = n;
        } else if (p < p_end && head_fits(p, (size_t)(p_end - p), *n, &size)) {
            p += size;
            n++;
        } else if (star) {
            p = star;
            n = ++from;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

/* --- one rule ------------------------------------------------------------------------------------------ */

struct label { struct slice wanted; json_t *json; };

static int is_label(void *owner, struct json_value item)
{
    const struct label *label = owner;
    struct slice text;
    return json_text(label->json, item, &text) && same(text, label->wanted);
}

static bool has_label(const struct rules *rules, const struct event_full *e, struct slice wanted)
{
    struct label label = { wanted, rules->json };
    struct json_value root;
    const char *why;
    return e->has_labels && json_read(rules->json, e->labels, &root, &why) == 0 && root.kind == JSON_ARRAY
        && json_each_item(rules->json, root.raw, is_label, &label) > 0;
}

static struct slice domain_of(const struct event_full *e)
{
    const char *dot = e->has_entity_id && e->entity_id.size ? memchr(e->entity_id.data, '.', e->entity_id.size) : NULL;
    return (struct slice){ e->entity_id.data, dot ? (size_t)(dot - (const char *)e->entity_id.data) : 0 };
}

static bool text_fits(const struct rules *rules, enum rule_level level, const struct event_full *e, struct slice text)
{
    switch (level) {
    case BY_ENTITY:      return e->has_entity_id && same(e->entity_id, text);
    case BY_GLOB:        return e->has_entity_id && glob_fits(text, e->entity_id);
    case BY_DEVICE:      return e->has_device_id && same(e->device_id, text);
    case BY_LABEL:       return has_label(rules, e, text);
    case BY_AREA:        return e->has_area_id && same(e->area_id, text);
    case BY_INTEGRATION: return e->has_integration && same(e->integration, text);
    case BY_DOMAIN:      return e->has_entity_id && same(domain_of(e), text);
    case BY_TYPE:        return e->has_event_type && same(e->event_type, text);
    case LEVELS:         break;
    }
    return false;
}

static bool rule_fits(const struct rules *rules, const struct rule *rule, const struct event_full *e)
{
    for (size_t i = rule->first; i < rule->first + rule->count; i++)
        if (text_fits(rules, rule->level, e, rules->texts[i]))
            return true;
    return false;
}

/* --- all of them ------------------------------------------------------------------------------------------ */

/* The lower, the stronger. Of an event that is no state its type is the most specific thing. */
static int strength(const struct rule *rule, bool is_state)
{
    return !is_state && rule->level == BY_TYPE ? -1 : (int)rule->level;
}

static bool is_left_out_by_default(const struct rules *rules, const struct event_full *e)
{
    if (!e->is_state)
        return rules->includes_types;
    return rules->includes_wider || (rules->includes_entities && !rules->excludes_wider);
}

bool event_is_kept(const struct event_full *e)
{
    return (e->is_state && !e->has_state) || (!e->is_state && same(e->event_type, slice_of("ha_ingestor_canary")));
}

struct decision rules_decide(const rules_t *rules, const struct event_full *e)
{
    int best[ACTIONS] = { LEVELS, LEVELS, LEVELS };
    int16_t rule[ACTIONS] = { NO_RULE, NO_RULE, NO_RULE };
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *one = &rules->list[i];
        int level = strength(one, e->is_state);
        if (level >= best[one->action] || (one->action == THIN && !e->is_state) || !rule_fits(rules, one, e))
            continue;
        best[one->action] = level;
        rule[one->action] = (int16_t)i;
    }
    struct decision decision = { .rule = NO_RULE, .thin = rule[THIN] };
    if (rule[INCLUDE] == NO_RULE && rule[EXCLUDE] == NO_RULE) {
        decision.is_dropped = is_left_out_by_default(rules, e);
    } else {
        decision.is_dropped = best[EXCLUDE] < best[INCLUDE];
        decision.rule = decision.is_dropped ? rule[EXCLUDE] : rule[INCLUDE];
    }
    if (event_is_kept(e))
        decision.is_dropped = false;
    return decision;
}
