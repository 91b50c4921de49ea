/* request.c - from a request's target and body to the query of a service. */
#include "request.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 16384 };

static int hex(unsigned char c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

int percent_decode(struct slice in, bool plus, char *to, size_t room, size_t *size)
{
    const unsigned char *p = in.data;
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        int c = p[i];
        if (c == '%') {
            if (in.size - i < 3 || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0)
                return -1;
            c = hex(p[i + 1]) << 4 | hex(p[i + 2]);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (n + 1 >= room)
            return -1;
        to[n++] = (char)c;
    }
    to[n] = '\0';
    *size = n;
    return 0;
}

void target_split(struct slice target, struct slice *path, struct slice *query)
{
    const char *p = target.data, *fragment = memchr(p, '#', target.size);
    size_t size = fragment ? (size_t)(fragment - p) : target.size;
    const char *mark = memchr(p, '?', size);
    *path = (struct slice){ p, mark ? (size_t)(mark - p) : size };
    *query = mark ? (struct slice){ mark + 1, size - path->size - 1 } : (struct slice){ p + size, 0 };
}

/* The next name=value of a query string, still encoded. */
static bool next_pair(struct slice *rest, struct slice *name, struct slice *value)
{
    if (rest->size == 0)
        return false;
    const char *p = rest->data, *end = memchr(p, '&', rest->size);
    size_t size = end ? (size_t)(end - p) : rest->size;
    *rest = (struct slice){ p + size + (end ? 1 : 0), rest->size - size - (end ? 1 : 0) };
    const char *equals = memchr(p, '=', size);
    *name = (struct slice){ p, equals ? (size_t)(equals - p) : size };
    *value = equals ? (struct slice){ equals + 1, size - name->size - 1 } : (struct slice){ p + size, 0 };
    return true;
}

static int refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return 422;
}

static bool is_set(const struct field *f, const void *msg)
{
    return *(const bool *)((const char *)msg + f->has_at);
}

/* The length of the well-formed UTF-8 sequence at p, or 0. Surrogates are well-formed here, as
 * everywhere inside: Home Assistant sends lone ones. */
static size_t sequence_size(const unsigned char *p, size_t left)
{
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < size; i++)
        if (i >= left || p[i] >> 6 != 2)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90), beyond = p[0] == 0xf4 && p[1] > 0x8f;
    return size > 1 && (overlong || beyond) ? 0 : size;
}

static const char *check_text(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t at = 0, one; at < size; at += one) {
        if (p[at] == '\0')
            return "must not hold NUL";
        one = sequence_size(p + at, size - at);
        if (one == 0)
            return "is not UTF-8";
    }
    return NULL;
}

/* Set a field; a text that is set already gets the new one behind a comma. */
static int set_or_join(const struct field *f, const char *text, size_t size, void *msg, struct fault *fault)
{
    char joined[2 * VALUE_MAX + 2];
    const char *why = check_text(text, size);
    if (why)
        return refuse(fault, f->name, why);
    if (f->kind != TEXT_KIND && is_set(f, msg)) {
        refuse(fault, f->name, "is given twice");
        return 400;
    }
    if (f->kind == TEXT_KIND && is_set(f, msg)) {
        uint32_t had;
        memcpy(&had, (char *)msg + f->size_at, sizeof had);
        if (size > VALUE_MAX || had > VALUE_MAX)
            return refuse(fault, f->name, "too long");
        memcpy(joined, (char *)msg + f->at, had);
        joined[had] = ',';
        memcpy(joined + had + 1, text, size);
        text = joined;
        size += had + 1;
    }
    if (schema_set_text(f, text, size, msg, fault) == 0)
        return 0;
    if (!fault->field || !fault->field[0])
        fault->field = f->name;
    return 422;
}

static int set_holes(const struct route *r, const struct schema *schema, struct slice path, void *msg, uint64_t *taken, struct fault *fault)
{
    char text[VALUE_MAX + 1];
    struct slice name, segment;
    size_t size;
    for (size_t at = 0; route_hole(r, path, &at, &name, &segment);) {
        const struct field *f = schema_field(schema, name.data, name.size);
        assert(f);
        if (percent_decode(segment, false, text, sizeof text, &size))
            return refuse(fault, f->name, "its percent-encoding is malformed, or it is too long");
        int status = set_or_join(f, text, size, msg, fault);
        if (status)
            return status;
        *taken |= UINT64_C(1) << (f - schema->fields);
    }
    return 0;
}

int request_query(const struct route *r, const struct schema *schema, struct slice path, struct slice query, void *msg, struct fault *fault)
{
    char text[VALUE_MAX + 1];
    struct slice name, value;
    size_t size;
    uint64_t taken = 0;
    assert(schema->count <= 64);
    schema_clear(schema, msg);
    int status = r ? set_holes(r, schema, path, msg, &taken, fault) : 0;
    if (status)
        return status;
    while (next_pair(&query, &name, &value)) {
        if (percent_decode(name, true, text, sizeof text, &size))
            continue; /* no name of ours */
        const struct field *f = schema_field(schema, text, size);
        if (!f || f->flags & INTERNAL || taken >> (f - schema->fields) & 1)
            continue;
        if (percent_decode(value, true, text, sizeof text, &size))
            return refuse(fault, f->name, "its percent-encoding is malformed, or it is too long");
        if (size == 0 && f->kind == TEXT_KIND)
            continue;
        status = set_or_join(f, text, size, msg, fault);
        if (status)
            return status;
    }
    return 0;
}

int request_parameter(struct slice query, const char *wanted, char *to, size_t room)
{
    struct slice name, value;
    char text[64];
    size_t size;
    int found = 0;
    while (next_pair(&query, &name, &value)) {
        if (percent_decode(name, true, text, sizeof text, &size) || size != strlen(wanted) || memcmp(text, wanted, size))
            continue;
        if (found || percent_decode(value, true, to, room, &size) || check_text(to, size))
            return -1;
        found = size > 0;
    }
    return found;
}

/* --- JSON bodies --- */

struct joining { json_t *json; const struct field *field; void *msg; struct fault *fault; };

static int set_value(struct joining *j, struct json_value v)
{
    struct slice text = v.raw;
    if (v.kind == JSON_TEXT && !json_text(j->json, v, &text))
        return refuse(j->fault, j->field->name, "not readable");
    if (v.kind == JSON_TEXT && j->field->kind != TEXT_KIND && !(j->field->flags & TIME))
        return refuse(j->fault, j->field->name, "must not be a text");
    if (v.kind != JSON_TEXT && j->field->kind == TEXT_KIND)
        return refuse(j->fault, j->field->name, "must be a text");
    if (v.kind == JSON_ARRAY || v.kind == JSON_OBJECT)
        return refuse(j->fault, j->field->name, "must be a single value");
    return set_or_join(j->field, text.data, text.size, j->msg, j->fault);
}

/* Any value, as it was written; it lives as long as the body. */
static int set_json(const struct field *f, struct json_value v, void *msg, struct fault *fault)
{
    if (v.raw.size > f->max)
        return refuse(fault, f->name, "is too long");
    *(struct slice *)(void *)((char *)msg + f->at) = v.raw;
    *(bool *)((char *)msg + f->has_at) = true;
    return 0;
}

static int set_item(void *owner, struct json_value item)
{
    return set_value(owner, item);
}

int request_body(const struct route *r, const struct schema *schema, json_t *json, struct slice body, void *msg, struct fault *fault)
{
    enum { KEYS = 32 };
    const char *keys[KEYS], *why;
    struct json_value root, values[KEYS];
    assert(schema->count <= KEYS);
    if (json_read(json, body, &root, &why) || root.kind != JSON_OBJECT)
        return refuse(fault, "body", "must be a JSON object");
    for (size_t i = 0; i < schema->count; i++)
        keys[i] = schema->fields[i].name;
    if (json_pick(json, root.raw, keys, schema->count, values))
        return refuse(fault, "body", "must be a JSON object");
    for (size_t i = 0; i < schema->count; i++) {
        struct joining j = { json, &schema->fields[i], msg, fault };
        if (values[i].kind == JSON_NOTHING || values[i].kind == JSON_NULL || j.field->flags & INTERNAL ||
            route_has_hole(r, j.field->name))
            continue;
        bool list = values[i].kind == JSON_ARRAY && j.field->kind == TEXT_KIND;
        int status = j.field->kind == JSON_KIND ? set_json(j.field, values[i], msg, fault)
            : list ? json_each_item(json, values[i].raw, set_item, &j) : set_value(&j, values[i]);
        if (status)
            return status > 0 ? status : refuse(fault, j.field->name, "not readable");
    }
    return 0;
}

/* --- who may be meant --- */

bool address_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (!strcmp(address, "localhost"))
        return true;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool host_is_ours(struct slice host, const char *bind)
{
    char name[256];
    const char *p = host.data;
    size_t size = host.size;
    if (size == 0)
        return false;
    if (p[0] == '[') { /* [::1]:8006 */
        const char *end = memchr(p, ']', size);
        if (!end || (end + 1 < p + size && end[1] != ':'))
            return false;
        size = (size_t)(end - ++p);
    } else {
        const char *colon = memchr(p, ':', size);
        size = colon ? (size_t)(colon - p) : size;
    }
    if (size == 0 || size >= sizeof name)
        return false;
    for (size_t i = 0; i < size; i++)
        name[i] = (char)tolower((unsigned char)p[i]);
    name[size] = '\0';
    return address_is_loopback(name) || !strcmp(name, bind);
}

bool origin_is_foreign(struct slice origin, struct slice host)
{
    static const char scheme[] = "http://";
    const size_t size = sizeof scheme - 1;
    if (origin.size == 0)
        return false; /* no browser, or its own page asks */
    return origin.size != size + host.size || strncasecmp(origin.data, scheme, size) ||
        strncasecmp((const char *)origin.data + size, host.data, host.size);
}

bool media_is_json(struct slice type)
{
    static const char json[] = "application/json";
    const char *p = type.data;
    const size_t size = sizeof json - 1;
    return type.size >= size && !strncasecmp(p, json, size) && (type.size == size || memchr("; \t", p[size], 3));
}

bool id_is_plain(struct slice id)
{
    const unsigned char *p = id.data;
    for (size_t i = 0; i < id.size; i++)
        if (!isalnum(p[i]) && !memchr("._:-/+=@", p[i], 8))
            return false;
    return id.size > 0 && id.size <= 128;
}
