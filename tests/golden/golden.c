/* golden.c - what the Python system made of its events, against what enrich makes of them.
 *
 * golden [DIR]: DIR holds core-path.jsonl and registry.json, plain or with .gz behind.
 * Each vector's `ingest_valid` and every key of its `flat` is compared. A difference is
 * explained by a rule of rules.c or it is a failure. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    probe_t *probe;
    json_t *json, *flat;        /* the line, and its `flat` while that is walked */
    int place;
    size_t vectors, equal, explained, unexplained;
    size_t used[RULES];
    /* the vector in hand */
    struct vector vector;
    struct outcome ours;
    bool differs, is_unexplained;
};

/* --- the registry --------------------------------------------------------------------------- */

static void deliver(struct golden *g, const struct contract *topic, const void *message)
{
    if (probe_deliver(g->probe, topic, message) != OK) {
        fprintf(stderr, "%s was not taken\n", topic->subject);
        exit(2);
    }
}

static void set_text(struct golden *g, struct json_value value, char *to, size_t room, uint32_t *size, bool *has)
{
    struct slice text;
    if (json_text(g->json, value, &text))
        text_store(to, room, size, has, text.data, text.size);
}

#define SET_JSON(row, member, value) \
    set_text(g, value, (row).member, sizeof (row).member, &(row).member##_size, &(row).has_##member)

static int give_device(void *owner, struct json_value item)
{
    static const char *const keys[] = { "id", "area_id", "manufacturer", "model", "sw_version", "parent_device_id" };
    struct golden *g = owner;
    struct json_value v[6];
    struct device_row row;
    schema_clear(device_row_schema(), &row);
    json_pick(g->json, item.raw, keys, 6, v);
    SET_JSON(row, device_id, v[0]);
    SET_JSON(row, area_id, v[1]);
    SET_JSON(row, manufacturer, v[2]);
    SET_JSON(row, model, v[3]);
    SET_JSON(row, sw_version, v[4]);
    SET_JSON(row, parent_device_id, v[5]);
    SET(&row, timestamp, 1);
    deliver(g, &registry_device_contract, &row);
    return 0;
}

static int give_entity(void *owner, struct json_value item)
{
    static const char *const keys[] = { "entity_id", "device_id", "area_id", "platform" };
    struct golden *g = owner;
    struct json_value v[4];
    struct entity_row row;
    schema_clear(entity_row_schema(), &row);
    json_pick(g->json, item.raw, keys, 4, v);
    SET_JSON(row, entity_id, v[0]);
    SET_JSON(row, device_id, v[1]);
    SET_JSON(row, area_id, v[2]);
    SET_JSON(row, platform, v[3]);
    SET_TEXT(&row, domain, row.entity_id, strcspn(row.entity_id, "."));
    SET(&row, disabled, false);
    SET(&row, timestamp, 1);
    deliver(g, &registry_entity_contract, &row);
    return 0;
}

static void give_registry(struct golden *g, struct slice text)
{
    static const char *const keys[] = { "devices", "entities" };
    struct json_value root, lists[2];
    const char *why;
    if (json_read(g->json, text, &root, &why)) {
        fprintf(stderr, "registry.json: %s\n", why);
        exit(2);
    }
    struct json_value registry = json_at(g->json, root.raw, "registry");
    json_pick(g->json, registry.kind == JSON_OBJECT ? registry.raw : root.raw, keys, 2, lists);
    json_each_item(g->json, lists[0].raw, give_device, g);
    json_each_item(g->json, lists[1].raw, give_entity, g);
    struct registry_mark mark = { .has_session = true, .session = 1, .has_registry_changes = true, .has_partial = true,
        .has_at = true, .at = 1 };
    deliver(g, &registry_mark_contract, &mark);
}

/* --- one vector ------------------------------------------------------------------------------- */

static void explain(struct golden *g, const char *key, const char *theirs, const char *ours)
{
    const struct rule *rule = rule_find(key, &g->vector, &g->ours);
    g->differs = true;
    if (rule) {
        g->used[rule - rules]++;
        return;
    }
    g->is_unexplained = true;
    printf("UNEXPLAINED  %.*s: %s: theirs %s, ours %s\n", (int)g->vector.name.size, (const char *)g->vector.name.data,
        key, theirs, ours);
}

static void differ(struct golden *g, const char *key, struct json_value theirs, struct slice ours, bool has)
{
    char a[120], b[120];
    snprintf(a, sizeof a, "%.*s", (int)(theirs.raw.size > 100 ? 100 : theirs.raw.size), (const char *)theirs.raw.data);
    snprintf(b, sizeof b, "%.*s", has ? (int)(ours.size > 100 ? 100 : ours.size) : 4,
        has ? (const char *)ours.data : "null");
    explain(g, key, a, b);
}

static void compare_text(struct golden *g, const char *key, struct json_value theirs, struct slice ours, bool has)
{
    struct slice text;
    bool is_null = theirs.kind == JSON_NULL || theirs.kind == JSON_NOTHING;
    bool is_same = is_null ? !has : has && json_text(g->flat, theirs, &text) && text.size == ours.size &&
        !memcmp(text.data, ours.data, ours.size);
    if (!is_same)
        differ(g, key, theirs, ours, has);
}

static void compare_number(struct golden *g, const char *key, struct json_value theirs, double ours, bool has)
{
    double number = 0;
    bool is_same = theirs.kind == JSON_NULL ? !has : has && json_real(theirs, &number) && number == ours;
    char text[40];
    int n = snprintf(text, sizeof text, "%.17g", ours);
    if (!is_same)
        differ(g, key, theirs, (struct slice){ text, (size_t)n }, has);
}

static void compare_flag(struct golden *g, const char *key, struct json_value theirs, bool ours, bool has)
{
    bool is_same = theirs.kind == JSON_NULL ? !has : has && theirs.kind == (ours ? JSON_TRUE : JSON_FALSE);
    if (!is_same)
        differ(g, key, theirs, slice_of(ours ? "true" : "false"), has);
}

static void compare_unknown(struct golden *g, struct slice key, struct json_value theirs)
{
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)key.size, (const char *)key.data);
    if (theirs.kind != JSON_NULL)
        differ(g, name, theirs, slice_of("(not compared)"), true);
}

static int compare_metadata(void *owner, struct slice key, struct json_value theirs)
{
    struct golden *g = owner;
    const struct event_full *e = g->ours.full;
    if (is_text(key, "manufacturer"))
        compare_text(g, "manufacturer", theirs, e->manufacturer, e->has_manufacturer);
    else if (is_text(key, "model"))
        compare_text(g, "model", theirs, e->model, e->has_model);
    else if (is_text(key, "sw_version"))
        compare_text(g, "sw_version", theirs, e->sw_version, e->has_sw_version);
    else if (!is_text(key, "name") && !is_text(key, "name_by_user")) /* of the device: not in our row */
        compare_unknown(g, key, theirs);
    return 0;
}

static int compare_change(void *owner, struct slice key, struct json_value theirs)
{
    struct golden *g = owner;
    const struct event_full *e = g->ours.full;
    if (is_text(key, "from"))
        compare_text(g, "from", theirs, e->old_state, e->has_old_state);
    else if (is_text(key, "to"))
        compare_text(g, "to", theirs, e->state, e->has_state);
    else if (is_text(key, "changed"))
        compare_flag(g, "changed", theirs, e->changed, e->has_changed);
    else
        compare_unknown(g, key, theirs);
    return 0;
}

static void compare_object(struct golden *g, const char *key, struct json_value theirs, bool has, json_member_fn *fn)
{
    json_t *inner = json_new();
    struct json_value root;
    const char *why;
    if (theirs.kind == JSON_OBJECT && !json_read(inner, theirs.raw, &root, &why))
        json_each_member(inner, root.raw, fn, g);
    else if (theirs.kind != JSON_NULL || has)
        differ(g, key, theirs, slice_of("something"), has);
    json_destroy(&inner);
}

static int compare_key(void *owner, struct slice key, struct json_value theirs)
{
    struct golden *g = owner;
    const struct event_full *e = g->ours.full;
    const struct { const char *name; struct slice ours; bool has; } texts[] = {
        { "entity_id", e->entity_id, e->has_entity_id }, { "domain", e->domain, e->has_domain },
        { "context_id", e->context_id, e->has_context_id },
        { "context_parent_id", e->context_parent_id, e->has_context_parent_id },
        { "context_user_id", e->context_user_id, e->has_context_user_id },
        { "device_id", e->device_id, e->has_device_id }, { "area_id", e->area_id, e->has_area_id },
        { "event_type", e->event_type, e->has_event_type }, { "origin", e->origin, e->has_origin },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (is_text(key, texts[i].name)) {
            compare_text(g, texts[i].name, theirs, texts[i].ours, texts[i].has);
            return 0;
        }
    if (is_text(key, "duration_in_state"))
        compare_number(g, "duration_in_state", theirs, e->duration_in_state_s, e->has_duration_in_state_s);
    else if (is_text(key, "device_metadata"))
        compare_object(g, "device_metadata", theirs, e->has_manufacturer || e->has_model || e->has_sw_version,
            compare_metadata);
    else if (is_text(key, "state_change"))
        compare_object(g, "state_change", theirs, e->is_state, compare_change);
    else
        compare_unknown(g, key, theirs);
    return 0;
}

static void run_enrich(struct golden *g, struct slice event)
{
    struct event_raw raw = { .has_event = true, .event = event, .has_place = true, .place = ++g->place,
        .has_received_at = true, .received_at = 1760322601000000, .has_session = true, .session = 1 };
    SET_TEXT(&raw, provenance, "live", 4);
    probe_clear(g->probe);
    deliver(g, &event_raw_contract, &raw);
    g->ours = (struct outcome){ .full = probe_published(g->probe, &event_full_contract, 0),
        .bad = probe_published(g->probe, &event_bad_contract, 0) };
    if (!g->ours.full == !g->ours.bad) {
        fprintf(stderr, "an event came out twice, or not at all\n");
        exit(2);
    }
}

static void compare_vector(struct golden *g, struct json_value valid, struct json_value flat)
{
    struct json_value root;
    const char *why;
    bool theirs = valid.kind == JSON_TRUE, ours = g->ours.full != NULL;
    if (theirs != ours)
        explain(g, "ingest_valid", theirs ? "true" : "false", ours ? "true" : g->ours.bad->field);
    else if (ours && flat.kind == JSON_OBJECT && !json_read(g->flat, flat.raw, &root, &why))
        json_each_member(g->flat, root.raw, compare_key, g);
}

static void run_vector(struct golden *g, struct slice line)
{
    static const char *const keys[] = { "name", "input", "ingest_valid", "flat" };
    struct json_value root, v[4];
    const char *why;
    if (json_read(g->json, line, &root, &why) || json_pick(g->json, root.raw, keys, 4, v)) {
        fprintf(stderr, "a vector cannot be read: %s\n", why);
        exit(2);
    }
    run_enrich(g, v[1].raw);
    vector_read(&g->vector, g->json, v[0], v[1]);
    g->differs = g->is_unexplained = false;
    compare_vector(g, v[2], v[3]);
    g->vectors++;
    g->equal += !g->differs;
    g->explained += g->differs && !g->is_unexplained;
    g->unexplained += g->is_unexplained;
}

static void run_vectors(struct golden *g, struct slice text)
{
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            line_end = end;
        if (line_end > at)
            run_vector(g, (struct slice){ at, (size_t)(line_end - at) });
        at = line_end + 1;
    }
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "vectors";
    static struct golden g;
    char *registry, *vectors;
    size_t registry_size = file_read(directory, "registry.json", &registry);
    size_t vectors_size = file_read(directory, "core-path.jsonl", &vectors);
    g.probe = probe_new((const char *const[]){ NULL });
    g.json = json_new();
    g.flat = json_new();
    if (!g.probe)
        return 2;
    probe_set_now(g.probe, 0); /* all that comes is of now: nothing waits for what the sources said before */
    probe_connected(g.probe, true);
    give_registry(&g, (struct slice){ registry, registry_size });
    run_vectors(&g, (struct slice){ vectors, vectors_size });
    for (size_t i = 0; i < RULES; i++)
        if (g.used[i])
            printf("rule  %3zu x  %s\n             because %s\n", g.used[i], rules[i].name, rules[i].because);
    printf("%zu vectors: %zu equal, %zu explained, %zu unexplained\n", g.vectors, g.equal, g.explained,
        g.unexplained);
    bool is_good = g.vectors && !g.unexplained;
    json_destroy(&g.json);
    json_destroy(&g.flat);
    probe_destroy(&g.probe);
    free(registry);
    free(vectors);
    return is_good ? 0 : 1;
}
