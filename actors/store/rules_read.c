/* rules_read.c - rules from JSON and back. */
#include "rules_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 255, NOTE_MAX = 200, FIELD_MAX = 64 };

const char *const rule_actions[ACTIONS] = { [INCLUDE] = "include", [EXCLUDE] = "exclude", [THIN] = "thin" };
const char *const rule_levels[LEVELS] = { [BY_ENTITY] = "entity_id", [BY_GLOB] = "glob", [BY_DEVICE] = "device_id",
    [BY_LABEL] = "label", [BY_AREA] = "area_id", [BY_INTEGRATION] = "integration", [BY_DOMAIN] = "domain", [BY_TYPE] = "event_type" };

struct reading {
    struct rules *rules;
    struct rule *rule;      /* at hand */
    bool has_action, has_selector;
    const char *key;        /* at hand, for whoever refuses it */
    char unknown[32];
    const char *why;
};

static char field_at_fault[FIELD_MAX]; /* lives until the next rules are read */

static int refuse(struct reading *r, const char *key, const char *why)
{
    r->key = key;
    r->why = why;
    return 1;
}

static bool text_is(struct slice text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/* --- texts --------------------------------------------------------------------------------------------- */

/* The pool has room for all of the JSON, and no text is longer than it was written: it never moves. */
static struct slice keep(struct rules *rules, struct slice text)
{
    char *to = rules->pool.data + rules->pool.size;
    assert(rules->pool.alloc - rules->pool.size >= text.size);
    if (text.size)
        memcpy(to, text.data, text.size);
    rules->pool.size += text.size;
    return (struct slice){ to, text.size };
}

static int add_text(void *owner, struct json_value value)
{
    struct reading *r = owner;
    struct rules *rules = r->rules;
    struct slice text;
    if (!json_text(rules->json, value, &text))
        return refuse(r, r->key, "must be a text or an array of texts");
    if (text.size == 0 || text.size > TEXT_MAX || !text_is_plain(text))
        return refuse(r, r->key, "must be texts of 1 to 255 bytes");
    if (rules->texts_count == RULES_TEXTS)
        return refuse(r, r->key, "is one text too many: at most 10000 in all rules");
    rules->texts[rules->texts_count++] = keep(rules, text);
    r->rule->count++;
    return 0;
}

static int read_selector(struct reading *r, enum rule_level level, struct json_value value)
{
    if (r->has_selector)
        return refuse(r, rule_levels[level], "is a second selector: a rule has one");
    r->has_selector = true;
    r->key = rule_levels[level];
    r->rule->level = level;
    r->rule->first = r->rules->texts_count;
    r->rule->is_list = value.kind == JSON_ARRAY;
    if (!r->rule->is_list)
        return add_text(r, value);
    int rc = json_each_item(r->rules->json, value.raw, add_text, r);
    return rc == 0 && r->rule->count == 0 ? refuse(r, r->key, "must not be empty") : rc;
}

/* --- one rule ------------------------------------------------------------------------------------------- */

static int read_action(struct reading *r, struct json_value value)
{
    struct slice text;
    for (int i = 0; json_text(r->rules->json, value, &text) && i < ACTIONS; i++)
        if (text_is(text, rule_actions[i])) {
            r->rule->action = (enum rule_action)i;
            r->has_action = true;
            return 0;
        }
    return refuse(r, "action", "is none of include, exclude, thin");
}

static int read_interval(struct reading *r, struct json_value value)
{
    double seconds;
    if (!json_real(value, &seconds) || !(seconds >= 0.001 && seconds <= 86400.0))
        return refuse(r, "interval_s", "must be a number from 0.001 to 86400");
    r->rule->thinning.interval_us = (int64_t)(seconds * 1e6 + 0.5);
    r->rule->has_interval = true;
    return 0;
}

static int read_deadband(struct reading *r, struct json_value value)
{
    double band;
    if (!json_real(value, &band) || !(band > 0.0 && band <= 1e12))
        return refuse(r, "deadband", "must be a number above 0, at most 1e12");
    r->rule->thinning.deadband = band;
    r->rule->has_deadband = true;
    return 0;
}

static int read_note(struct reading *r, struct json_value value)
{
    struct slice text;
    if (!json_text(r->rules->json, value, &text) || text.size > NOTE_MAX || !text_is_plain(text))
        return refuse(r, "note", "must be a text of at most 200 bytes");
    r->rule->note = keep(r->rules, text);
    r->rule->has_note = true;
    return 0;
}

static int read_member(void *owner, struct slice key, struct json_value value)
{
    struct reading *r = owner;
    if (value.kind == JSON_NULL || text_is(key, "filtered") || text_is(key, "thinned"))
        return 0; /* numbers as rules_write() gives them */
    if (text_is(key, "action"))
        return read_action(r, value);
    for (int i = 0; i < LEVELS; i++)
        if (text_is(key, rule_levels[i]))
            return read_selector(r, (enum rule_level)i, value);
    if (text_is(key, "interval_s"))
        return read_interval(r, value);
    if (text_is(key, "deadband"))
        return read_deadband(r, value);
    if (text_is(key, "note"))
        return read_note(r, value);
    snprintf(r->unknown, sizeof r->unknown, "%.*s", (int)(key.size < 31 && text_is_plain(key) ? key.size : 0), (const char *)key.data);
    return refuse(r, r->unknown, "is no key of a rule: there are action, one selector, interval_s, deadband and note");
}

static int check_rule(struct reading *r)
{
    const struct rule *rule = r->rule;
    bool is_thin = rule->action == THIN, has_amount = rule->has_interval || rule->has_deadband;
    if (!r->has_action)
        return refuse(r, "action", "is missing");
    if (!r->has_selector)
        return refuse(r, "", "has no selector: entity_id, glob, device_id, label, area_id, integration, domain or event_type");
    if (is_thin && !has_amount)
        return refuse(r, "", "thins by nothing: give interval_s, deadband or both");
    if (!is_thin && has_amount)
        return refuse(r, rule->has_interval ? "interval_s" : "deadband", "is for rules that thin");
    if (is_thin && rule->level == BY_TYPE)
        return refuse(r, "event_type", "cannot be thinned: only states are numbers");
    return 0;
}

static void note_kind(struct rules *rules, const struct rule *rule)
{
    bool is_wider = rule->level > BY_ENTITY && rule->level < BY_TYPE;
    rules->includes_entities |= rule->action == INCLUDE && rule->level == BY_ENTITY;
    rules->includes_wider |= rule->action == INCLUDE && is_wider;
    rules->includes_types |= rule->action == INCLUDE && rule->level == BY_TYPE;
    rules->excludes_wider |= rule->action == EXCLUDE && is_wider;
}

static int read_rule(void *owner, struct json_value item)
{
    struct reading *r = owner;
    struct rules *rules = r->rules;
    if (rules->count == RULES_MAX)
        return refuse(r, NULL, "holds more than 1000 rules");
    r->rule = &rules->list[rules->count];
    *r->rule = (struct rule){ .level = LEVELS };
    r->has_action = r->has_selector = false;
    r->key = "";
    if (item.kind != JSON_OBJECT)
        return refuse(r, "", "must be an object");
    int rc = json_each_member(rules->json, item.raw, read_member, r);
    if (rc == 0)
        rc = check_rule(r);
    if (rc != 0)
        return rc;
    note_kind(rules, r->rule);
    rules->count++;
    return 0;
}

/* --- all of them --------------------------------------------------------------------------------------------- */

static void name_fault(const struct reading *r, struct fault *fault)
{
    if (!r->key)
        snprintf(field_at_fault, sizeof field_at_fault, "rules");
    else
        snprintf(field_at_fault, sizeof field_at_fault, "rules[%zu]%s%s", r->rules->count, r->key[0] ? "." : "", r->key);
    *fault = (struct fault){ field_at_fault, r->why ? r->why : "cannot be read" };
}

static struct rules *new_rules(size_t bytes)
{
    struct rules *rules = calloc(1, sizeof *rules);
    assert(rules);
    rules->list = calloc(RULES_MAX, sizeof *rules->list);
    rules->texts = calloc(RULES_TEXTS, sizeof *rules->texts);
    rules->json = json_new();
    rules->pool = (msgpack_sbuffer){ .data = malloc(bytes + 1), .alloc = bytes + 1 };
    assert(rules->list && rules->texts && rules->json && rules->pool.data);
    return rules;
}

/* What is kept takes the room it needs. */
static void trim(struct rules *rules)
{
    struct rule *list = realloc(rules->list, (rules->count + 1) * sizeof *list);
    struct slice *texts = realloc(rules->texts, (rules->texts_count + 1) * sizeof *texts);
    rules->list = list ? list : rules->list;
    rules->texts = texts ? texts : rules->texts;
}

rules_t *rules_read(struct slice json, struct fault *fault)
{
    struct json_value root;
    struct reading r = { .key = NULL };
    if (json.size > RULES_BYTES) {
        *fault = (struct fault){ "rules", "are longer than 1 MiB" };
        return NULL;
    }
    r.rules = new_rules(json.size);
    int rc = json_read(r.rules->json, json, &root, &r.why);
    if (rc == 0 && root.kind != JSON_ARRAY)
        rc = refuse(&r, NULL, "must be an array of rules");
    if (rc == 0)
        rc = json_each_item(r.rules->json, root.raw, read_rule, &r);
    if (rc == 0) {
        trim(r.rules);
        return r.rules;
    }
    name_fault(&r, fault);
    rules_destroy(&r.rules);
    return NULL;
}

void rules_destroy(rules_t **rules_p)
{
    struct rules *rules = *rules_p;
    if (!rules)
        return;
    free(rules->list);
    free(rules->texts);
    msgpack_sbuffer_destroy(&rules->pool);
    json_destroy(&rules->json);
    free(rules);
    *rules_p = NULL;
}

/* --- and back ------------------------------------------------------------------------------------------------- */

static void put(msgpack_sbuffer *out, const char *text)
{
    msgpack_sbuffer_write(out, text, strlen(text));
}

static void put_number(msgpack_sbuffer *out, const char *name, double number)
{
    char text[NUMBER_TEXT];
    put(out, name);
    msgpack_sbuffer_write(out, text, number_write(number, text));
}

static void put_count(msgpack_sbuffer *out, const char *name, int64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)count);
    put(out, name);
    put(out, text);
}

static void put_rule(const struct rules *rules, const struct rule *rule, msgpack_sbuffer *out)
{
    put(out, "{\"action\":\"");
    put(out, rule_actions[rule->action]);
    put(out, "\",\"");
    put(out, rule_levels[rule->level]);
    put(out, rule->is_list ? "\":[" : "\":");
    for (size_t i = 0; i < rule->count; i++) {
        put(out, i ? "," : "");
        json_write_text(rules->texts[rule->first + i], out);
    }
    put(out, rule->is_list ? "]" : "");
    if (rule->has_interval)
        put_number(out, ",\"interval_s\":", (double)rule->thinning.interval_us / 1e6);
    if (rule->has_deadband)
        put_number(out, ",\"deadband\":", rule->thinning.deadband);
    if (rule->has_note) {
        put(out, ",\"note\":");
        json_write_text(rule->note, out);
    }
}

void rules_write(const rules_t *rules, const struct rule_count counts[], msgpack_sbuffer *out)
{
    put(out, "[");
    for (size_t i = 0; i < rules->count; i++) {
        put(out, i ? "," : "");
        put_rule(rules, &rules->list[i], out);
        if (counts) {
            put_count(out, ",\"filtered\":", counts[i].filtered);
            put_count(out, ",\"thinned\":", counts[i].thinned);
        }
        put(out, "}");
    }
    put(out, "]");
}
