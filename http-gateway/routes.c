/* routes.c - from routes.tbl. */
#include "routes.h"

#include <stdio.h>
#include <string.h>

const struct route routes[] = {
#define ROUTE(method_, path_, service_, scope_, shape_, key_, summary_)                       \
    { .method = method_, .path = path_, .service = &service_##_contract, .scope = scope_, .shape = shape_, \
      .key = key_, .media = "application/json", .summary = summary_ },
#define HAND(method_, path_, function_, parameters_, media_, summary_)                        \
    { .method = method_, .path = path_, .hand = function_, .parameters = parameters_##_schema, .scope = READ, \
      .shape = BY_HAND, .media = media_, .summary = summary_ },
#include "routes.tbl"
#undef ROUTE
#undef HAND
    { .path = NULL }
};

static size_t segment_size(const char *at, const char *end)
{
    const char *slash = memchr(at, '/', (size_t)(end - at));
    return (size_t)((slash ? slash : end) - at);
}

static bool matches(const char *pattern, struct slice path)
{
    const char *p = path.data, *end = p + path.size, *pattern_end = pattern + strlen(pattern);
    while (pattern < pattern_end && p < end && *p == '/') {
        size_t want = segment_size(pattern + 1, pattern_end), have = segment_size(p + 1, end);
        bool hole = pattern[1] == '{' && have > 0;
        if (!hole && (want != have || memcmp(pattern + 1, p + 1, want)))
            return false;
        pattern += 1 + want;
        p += 1 + have;
    }
    return pattern == pattern_end && p == end;
}

const struct route *route_of_path(struct slice path)
{
    for (const struct route *r = routes; r->path; r++)
        if (matches(r->path, path))
            return r;
    return NULL;
}

const struct route *route_of_method(const struct route *found, enum method method)
{
    for (const struct route *r = routes; r->path; r++)
        if (r->method == (method == HEAD ? GET : method) && !strcmp(r->path, found->path))
            return r;
    return NULL;
}

void route_allow(const struct route *found, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (const struct route *r = routes; r->path; r++)
        if (!strcmp(r->path, found->path) && used < size)
            used += (size_t)snprintf(to + used, size - used, "%s%s, ", method_names[r->method], r->method == GET ? ", HEAD" : "");
    if (used < size)
        snprintf(to + used, size - used, "OPTIONS");
}

bool route_has_hole(const struct route *r, const char *name)
{
    char hole[80];
    snprintf(hole, sizeof hole, "{%s}", name);
    return strstr(r->path, hole) != NULL;
}

bool route_hole(const struct route *r, struct slice path, size_t *at, struct slice *name, struct slice *segment)
{
    const char *pattern = r->path, *pattern_end = pattern + strlen(pattern);
    const char *p = path.data, *end = p + path.size;
    for (size_t i = 0; pattern < pattern_end && p < end; i++) {
        size_t want = segment_size(pattern + 1, pattern_end), have = segment_size(p + 1, end);
        if (pattern[1] == '{' && i >= *at) {
            *name = (struct slice){ pattern + 2, want - 2 };
            *segment = (struct slice){ p + 1, have };
            *at = i + 1;
            return true;
        }
        pattern += 1 + want;
        p += 1 + have;
    }
    return false;
}
