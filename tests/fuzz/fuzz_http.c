/* fuzz_http.c - whatever a client sends: head, target, query string, body. */
#include "../../http-gateway/http.c"
#include "../../http-gateway/routes.c"
#include "../../http-gateway/request.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What routes.tbl names (routes.h) and nobody calls here. */
#define NOBODY(function) void function(struct connection *c) { (void)c; }
NOBODY(export_start)
NOBODY(series_start)
NOBODY(history_start)
NOBODY(series_export_start)
NOBODY(live_start)
NOBODY(health_short)
NOBODY(health_long)
NOBODY(metrics_show)
NOBODY(openapi_show)
NOBODY(info_show)
NOBODY(front_show)
#undef NOBODY

struct tools { json_t *json; void *query; };

static struct tools make_tools(void)
{
    size_t most = sizeof(struct events_query);
    for (const struct route *r = routes; r->path; r++)
        if (r->service && r->service->in()->size > most)
            most = r->service->in()->size;
    struct tools t = { json_new(), malloc(most) };
    assert(t.json && t.query);
    return t;
}

static void read_body(const struct head *h, struct slice rest, msgpack_sbuffer *body)
{
    struct chunked chunked = { 0 };
    const char *why;
    size_t used = 0;
    if (h->chunked)
        chunked_read(&chunked, rest, &used, 65536, body, &why);
    else if (rest.size)
        msgpack_sbuffer_write(body, rest.data, rest.size);
    assert(used <= rest.size && body->size <= rest.size);
}

static void read_request(const struct tools *t, const struct head *h, const struct route *r, struct slice body)
{
    const struct schema *schema = r->service ? r->service->in() : r->parameters();
    struct slice path, query;
    struct fault fault = { "", "" };
    char text[64];
    target_split(h->target, &path, &query);
    request_parameter(query, "format", text, sizeof text);
    msgpack_sbuffer packed = { 0 };
    int status = request_query(r, schema, path, query, t->query, &fault);
    if (status == 0 && method_has_body(r->method))
        status = request_body(r, schema, t->json, body, t->query, &fault);
    if (status == 0 && schema_check(schema, t->query, &fault) == 0)
        assert(schema_encode(schema, t->query, &packed, &fault) == 0);
    assert(status == 0 || (fault.field && fault.why));
    msgpack_sbuffer_destroy(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tools tools;
    struct head h;
    size_t scanned = 0, taken = 0;
    const char *why = NULL;
    if (!tools.json)
        tools = make_tools();
    int status = head_read((struct slice){ data, size }, &scanned, &h, &taken, &why);
    if (status != READ_WHOLE) {
        assert(status == READ_MORE || (status >= 400 && why));
        return 0;
    }
    assert(taken <= size);
    host_is_ours(h.host, "127.0.0.1");
    id_is_plain(h.request_id);
    struct slice path, query;
    target_split(h.target, &path, &query);
    const struct route *found = route_of_path(path), *r = found ? route_of_method(found, h.method) : NULL;
    msgpack_sbuffer body = { 0 };
    read_body(&h, (struct slice){ data + taken, size - taken }, &body);
    if (r)
        read_request(&tools, &h, r, (struct slice){ body.data, body.size });
    msgpack_sbuffer_destroy(&body);
    return 0;
}
