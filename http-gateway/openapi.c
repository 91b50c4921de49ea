/* openapi.c - describe routes.tbl and the schemas as OpenAPI 3.1. */
#include "reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Parameters of answers made by hand: no fields of a query, or other than the field says. */
static const struct extra { const char *path, *name, *in, *schema, *doc; } extras[] = {
    { "/api/v1/events/export", "limit", "query", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9007199254740991}", "At most so many in all; without it all of them" },
    { "/api/v1/events/export", "sort", "query", "{\"type\":\"string\",\"enum\":[\"asc\",\"desc\"],\"default\":\"asc\"}", "desc: newest first; asc: oldest first" },
    { "/api/v1/events/export", "format", "query", "{\"type\":\"string\",\"enum\":[\"ndjson\",\"json\",\"csv\",\"lp\"],\"default\":\"ndjson\"}", "ndjson: one event a line; json: an array; csv; lp: InfluxDB's line protocol" },
    { "/api/v1/events/export", "precision", "query", "{\"type\":\"string\",\"enum\":[\"ns\",\"us\"],\"default\":\"ns\"}", "Of the times of lp" },
    { "/api/v1/series/export", "limit", "query", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9007199254740991}", "At most so many in all; without it all of them" },
    { "/api/v1/series/export", "format", "query", "{\"type\":\"string\",\"enum\":[\"ndjson\",\"json\",\"csv\",\"lp\"],\"default\":\"ndjson\"}", "ndjson: one row a line; json: an array; csv; lp: InfluxDB's line protocol" },
    { "/api/v1/series/export", "precision", "query", "{\"type\":\"string\",\"enum\":[\"ns\",\"us\"],\"default\":\"ns\"}", "Of the times of lp" },
    { "/api/v1/events/stream", "last_event_id", "query", "{\"type\":\"string\",\"maxLength\":48}", "As the header Last-Event-ID" },
    { "/api/v1/events/stream", "Last-Event-ID", "header", "{\"type\":\"string\",\"maxLength\":48}", "Go on after this event" },
};

/* What a text of a query may be, where its owner takes only some words. */
static const struct choice { const char *query, *name, *schema; } choices[] = {
    { "events_query", "sort", "\"enum\":[\"asc\",\"desc\"]" },
    { "events_query", "fields", "\"pattern\":\"^((entity_id|event_type|state|attributes|data)(,(entity_id|event_type|state|attributes|data))*)?$\"" },
    { "stats_query", "period", "\"enum\":[\"15m\",\"1h\",\"6h\",\"24h\",\"1d\",\"7d\",\"30d\"]" },
    { "activity_query", "group", "\"enum\":[\"entity\",\"domain\",\"area\",\"device\"]" },
    { "activity_query", "sort", "\"enum\":[\"count\",\"changes\",\"last\",\"name\"]" },
    { "storage_query", "sort", "\"enum\":[\"bytes\",\"rows\",\"name\"]" },
    { "points_query", "step", "\"enum\":[\"raw\",\"5m\",\"15m\",\"1h\",\"1d\",\"1mo\"]" },
    { "areas_query", "kind", "\"enum\":[\"area\",\"floor\",\"label\"]" },
};

/* --- fields --- */

static void put_type(msgpack_sbuffer *b, const struct field *f)
{
    if (f->kind == TEXT_KIND || f->kind == VIEW_KIND)
        put(b, "\"type\":\"string\",\"maxLength\":%zu", f->max);
    else if (f->kind == BLOB_KIND)
        put(b, "\"type\":\"string\",\"contentEncoding\":\"base64\"");
    else if (f->kind == FLAG_KIND)
        put(b, "\"type\":\"boolean\"");
    else if (f->kind == INT_KIND && f->flags & TIME)
        put(b, "\"type\":\"string\",\"format\":\"date-time\"");
    else if (f->kind == INT_KIND && f->flags & CLAMP)
        put(b, "\"type\":\"integer\",\"minimum\":%lld", (long long)f->low);
    else if (f->kind == INT_KIND)
        put(b, "\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld", (long long)f->low, (long long)f->high);
    else if (f->kind == REAL_KIND)
        put(b, "\"type\":\"number\",\"minimum\":%.17g,\"maximum\":%.17g", f->least, f->most);
}

static void put_default(msgpack_sbuffer *b, const struct field *f)
{
    if (!f->fallback)
        return;
    put(b, ",\"default\":");
    bool text = f->kind == TEXT_KIND || f->kind == VIEW_KIND || f->flags & TIME;
    if (text)
        put_json(b, f->fallback);
    else
        put(b, "%s", f->fallback);
}

/* Any JSON value, a type, or that type and null. */
static void put_field(msgpack_sbuffer *b, const struct field *f, bool nullable)
{
    put(b, "{\"description\":");
    put_json(b, f->doc);
    if (f->kind != JSON_KIND) {
        put(b, nullable ? ",\"oneOf\":[{" : ",");
        put_type(b, f);
        put(b, nullable ? "},{\"type\":\"null\"}]" : "");
        put_default(b, f);
    }
    if (f->flags & SECRET)
        put(b, ",\"writeOnly\":true");
    put(b, "}");
}

static void put_choice(msgpack_sbuffer *b, const struct schema *query, const struct field *f)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (!strcmp(choices[i].query, query->name) && !strcmp(choices[i].name, f->name))
            put(b, ",%s", choices[i].schema);
}

/* What a question may give for a field; its description stands outside. */
static void put_question_field(msgpack_sbuffer *b, const struct schema *query, const struct field *f)
{
    if (f->kind == INT_KIND && f->flags & TIME) {
        put(b, "{\"anyOf\":[{\"type\":\"string\",\"format\":\"date-time\"},{\"type\":\"number\",\"minimum\":0,"
            "\"maximum\":253402300799}]}");
        return;
    }
    put(b, "{");
    put_type(b, f);
    put_choice(b, query, f);
    put_default(b, f);
    put(b, "}");
}

static void put_question_doc(msgpack_sbuffer *b, const struct field *f)
{
    char text[400];
    snprintf(text, sizeof text, "%s; a larger number counts as %lld", f->doc, (long long)f->high);
    put_json(b, f->flags & CLAMP ? text : f->doc);
}

/* A typed state is a number or a flag; everything else as JSON is what its owner sent. */
static void put_value(msgpack_sbuffer *b, const struct field *f)
{
    put(b, "{\"description\":");
    put_json(b, f->doc);
    put(b, ",\"oneOf\":[{\"type\":\"number\"},{\"type\":\"boolean\"},{\"type\":\"null\"}]}");
}

/* JSON drops the "_us" that a TIME row may have. */
static void put_key(msgpack_sbuffer *b, const struct field *f)
{
    size_t size = strlen(f->name);
    bool cut = f->flags & TIME && size > 3 && !strcmp(f->name + size - 3, "_us");
    put(b, "\"%.*s\"", (int)(cut ? size - 3 : size), f->name);
}

static bool is_shown(const struct field *f)
{
    return !(f->flags & (INTERNAL | SELECTOR));
}

static void put_component(msgpack_sbuffer *b, const struct schema *s)
{
    size_t shown = 0, required = 0;
    put(b, "\"%s\":{\"type\":\"object\",\"description\":", s->name);
    put_json(b, s->doc);
    put(b, ",\"properties\":{");
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (!is_shown(f))
            continue;
        put(b, shown++ ? "," : "");
        put_key(b, f);
        put(b, ":");
        if (s == event_full_schema() && !strcmp(f->name, "value"))
            put_value(b, f);
        else
            put_field(b, f, !(f->flags & (REQUIRED | SPARSE)));
    }
    put(b, "},\"required\":[");
    for (size_t i = 0; i < s->count; i++)
        if (is_shown(&s->fields[i]) && !(s->fields[i].flags & (SPARSE | IF_SELECTED | IF_NOT_SELECTED))) {
            put(b, required++ ? "," : "");
            put_key(b, &s->fields[i]);
        }
    put(b, "]}");
}

/* --- parameters and bodies --- */

static const struct extra *extra_of(const char *path, const char *name)
{
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (!strcmp(extras[i].path, path) && !strcmp(extras[i].name, name))
            return &extras[i];
    return NULL;
}

/* Whether the route takes this field of its query as a parameter. */
static bool is_taken(const struct route *r, const struct field *f, bool hole)
{
    bool live = r->hand == live_start && !live_takes(f->name);
    bool page = !strcmp(f->name, "limit") || !strcmp(f->name, "offset") || !strcmp(f->name, "cursor") || !strcmp(f->name, "sort");
    bool counts = r->service == &events_count_contract && page; /* a count has no pages */
    return !(f->flags & INTERNAL) && (!method_has_body(r->method) || hole) && !live && !counts && !extra_of(r->path, f->name);
}

static void put_parameters(msgpack_sbuffer *b, const struct route *r, const struct schema *query)
{
    size_t count = 0;
    put(b, "\"parameters\":[");
    for (size_t i = 0; i < query->count; i++) {
        const struct field *f = &query->fields[i];
        bool hole = route_has_hole(r, f->name);
        if (!is_taken(r, f, hole))
            continue;
        put(b, "%s{\"name\":\"%s\",\"in\":\"%s\",\"required\":%s,\"description\":", count++ ? "," : "", f->name,
            hole ? "path" : "query", hole || f->flags & REQUIRED ? "true" : "false");
        put_question_doc(b, f);
        put(b, ",\"schema\":");
        put_question_field(b, query, f);
        put(b, "}");
    }
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (!strcmp(extras[i].path, r->path)) {
            put(b, "%s{\"name\":\"%s\",\"in\":\"%s\",\"description\":", count++ ? "," : "", extras[i].name, extras[i].in);
            put_json(b, extras[i].doc);
            put(b, ",\"schema\":%s}", extras[i].schema);
        }
    put(b, "]");
}

static void put_reference(msgpack_sbuffer *b, const char *name)
{
    put(b, "{\"$ref\":\"#/components/schemas/%s\"}", name);
}

/* Texts may be given as lists in a body. */
static void put_body(msgpack_sbuffer *b, const struct route *r, const struct schema *query)
{
    put(b, ",\"requestBody\":{\"required\":%s,\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{",
        r->scope < WRITE ? "true" : "false");
    for (size_t i = 0, count = 0; i < query->count; i++) {
        const struct field *f = &query->fields[i];
        if (f->flags & INTERNAL || route_has_hole(r, f->name))
            continue;
        put(b, "%s\"%s\":", count++ ? "," : "", f->name);
        put(b, "{\"description\":");
        put_question_doc(b, f);
        put(b, ",\"anyOf\":[");
        put_question_field(b, query, f);
        put(b, f->kind == TEXT_KIND ? ",{\"type\":\"array\",\"items\":{\"type\":\"string\"}},{\"type\":\"null\"}]}" : ",{\"type\":\"null\"}]}");
    }
    put(b, "}}}}}");
}

/* --- answers --- */

static void put_list(msgpack_sbuffer *b, const struct route *r)
{
    put(b, "{\"allOf\":[{\"type\":\"object\",\"properties\":{%s\"%s\":{\"type\":\"array\",\"items\":",
        r->shape == WHOLE ? "\"count\":{\"type\":\"integer\"}," : "", r->key);
    put_reference(b, r->service->row()->name);
    put(b, "}},\"required\":[%s\"%s\"]},", r->shape == WHOLE ? "\"count\"," : "", r->key);
    put_reference(b, r->service->out()->name);
    put(b, "]}");
}

static void put_answer(msgpack_sbuffer *b, const struct route *r)
{
    if (r->shape == BY_HAND && !strcmp(r->media, "application/json"))
        put(b, "{\"type\":\"object\"}");
    else if (r->shape == BY_HAND)
        put(b, "{\"type\":\"string\"}");
    else if (r->shape == OBJECT || r->shape == ACCEPTED)
        put_reference(b, r->service->out()->name);
    else if (r->shape == ONE)
        put_reference(b, r->service->row()->name);
    else if (r->shape == LIST || r->shape == WHOLE)
        put_list(b, r);
    else {
        put(b, "{\"type\":\"array\",\"items\":");
        put_reference(b, r->service->row()->name);
        put(b, "}");
    }
}

static void put_answer_headers(msgpack_sbuffer *b, const struct route *r)
{
    if (r->shape == OBJECT || r->shape == ACCEPTED || r->shape == ONE || r->shape == WHOLE || r->shape == BY_HAND)
        return;
    put(b, ",\"headers\":{\"X-Next-Cursor\":{\"description\":\"Ask again with this as cursor to go on; absent at the end\",\"schema\":{\"type\":\"string\"}},"
        "\"X-Truncated\":{\"description\":\"true: there is more than a chain may have, and no cursor goes on with it\",\"schema\":{\"type\":\"boolean\"}},"
        "\"X-Total-Count\":{\"description\":\"Rows there are in all, where that is known\",\"schema\":{\"type\":\"integer\"}},"
        "\"Link\":{\"description\":\"rel=next\",\"schema\":{\"type\":\"string\"}}}");
}

static void put_answers(msgpack_sbuffer *b, const struct route *r)
{
    put(b, ",\"responses\":{\"%d\":{\"description\":", r->shape == ACCEPTED ? 202 : 200);
    put_json(b, r->summary);
    put_answer_headers(b, r);
    put(b, ",\"content\":{\"%s\":{\"schema\":", r->media);
    put_answer(b, r);
    put(b, "}}}");
    if (!strcmp(r->path, "/health"))
        put(b, ",\"503\":{\"description\":\"Gateway, broker, sink or query do not answer\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\"}}}}");
    put(b, ",\"default\":{\"description\":\"Refused or failed\",\"content\":{\"application/json\":{\"schema\":");
    put_reference(b, "error");
    put(b, "}}}}");
}

static void put_operation_id(msgpack_sbuffer *b, const struct route *r)
{
    put(b, ",\"operationId\":\"%s", method_names[r->method]);
    for (const char *p = r->path; *p; p++)
        if (*p != '{' && *p != '}')
            put(b, "%c", isalnum((unsigned char)*p) ? *p : '_');
    put(b, "\"");
}

static void put_operation(msgpack_sbuffer *b, const struct route *r)
{
    const struct schema *query = r->service ? r->service->in() : r->parameters();
    char method[8] = "";
    for (size_t i = 0; method_names[r->method][i]; i++)
        method[i] = (char)tolower((unsigned char)method_names[r->method][i]);
    put(b, "\"%s\":{\"summary\":", method);
    put_json(b, r->summary);
    put_operation_id(b, r);
    put(b, ",");
    put_parameters(b, r, query);
    if (method_has_body(r->method))
        put_body(b, r, query);
    put_answers(b, r);
    put(b, "}");
}

static bool is_first_of_path(const struct route *r)
{
    for (const struct route *before = routes; before < r; before++)
        if (!strcmp(before->path, r->path))
            return false;
    return true;
}

static void put_paths(msgpack_sbuffer *b)
{
    for (const struct route *r = routes; r->path; r++) {
        if (!is_first_of_path(r))
            continue;
        put(b, "%s\"%s\":{", r == routes ? "" : ",", r->path);
        for (const struct route *one = r; one->path; one++)
            if (!strcmp(one->path, r->path)) {
                put(b, one == r ? "" : ",");
                put_operation(b, one);
            }
        put(b, "}");
    }
}

static bool is_answer(const struct schema *s)
{
    for (const struct route *r = routes; r->path; r++)
        if (r->service && (r->service->out() == s || (r->service->row && r->service->row() == s)))
            return true;
    return s == event_full_schema();
}

void openapi_show(connection_t *c)
{
    msgpack_sbuffer *b = &c->self->body;
    msgpack_sbuffer_clear(b);
    put(b, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Home Assistant Ingestor\",\"description\":\"Every change in the house, kept and asked for. Times are from 1970 on; maxLength counts bytes of UTF-8; NUL is taken nowhere.\",\"version\":");
    put_json(b, actor_version());
    put(b, "},\"servers\":[{\"url\":\"/\"}],\"paths\":{");
    put_paths(b);
    put(b, "},\"components\":{\"schemas\":{\"error\":{\"type\":\"object\",\"properties\":{\"success\":{\"const\":false},"
        "\"error\":{\"type\":\"string\"},\"error_code\":{\"type\":\"string\"},\"detail\":{\"oneOf\":[{\"type\":\"string\"},"
        "{\"type\":\"object\",\"properties\":{\"field\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}}}]},"
        "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"},\"request_id\":{\"type\":\"string\"}},"
        "\"required\":[\"success\",\"error\",\"error_code\",\"detail\",\"timestamp\",\"request_id\"]}");
    for (size_t i = 0; all_schemas[i]; i++)
        if (is_answer(all_schemas[i]())) {
            put(b, ",");
            put_component(b, all_schemas[i]());
        }
    put(b, "}}}\n");
    reply_body(c, 200, "application/json", NULL, (struct slice){ b->data, b->size });
}
