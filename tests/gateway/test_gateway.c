/* test_gateway.c - questions by HTTP, as a client sees them. */
#include "client.h"

static json_t *json;

static struct json_value at(const char *text, const char *path)
{
    struct json_value root;
    const char *why = "";
    if (json_read(json, slice_of(text), &root, &why))
        fail_msg("no JSON: %s: %s", why, text);
    return json_at(json, root.raw, path);
}

static bool json_is(const char *text, const char *path, const char *raw)
{
    return slice_is(at(text, path).raw, raw);
}

static void fill_event(struct event_full *e, const char *id)
{
    *e = (struct event_full){ 0 };
    SET_TEXT(e, id, id, strlen(id));
    SET(e, event_type, slice_of("state_changed"));
    SET(e, timestamp, 1795485404524490);
    SET_TEXT(e, provenance, "live", 4);
    SET(e, received_at, 1795485404524500);
    SET(e, is_state, true);
    SET(e, place, 1);
    SET(e, entity_id, slice_of("light.a"));
    SET(e, domain, slice_of("light"));
    SET(e, state, slice_of("on"));
    SET(e, attributes, slice_of("{\"a\":\n1e-7}"));
}

static void fill_page(struct page *p, int64_t count)
{
    *p = (struct page){ 0 };
    SET(p, count, count);
    SET(p, limit, 100);
}

static void passes_a_query_to_its_owner_and_rows_back(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events?entity_id=light.a&limit=20000&unknown=1&area_id=&entity_id=light.b%2Bc+d&start_time=2026-01-01T00:00:00%2B01:00");
    const struct events_query *query = probe_asked(probe, &events_find_contract);
    assert_non_null(query);
    assert_string_equal(query->entity_id, "light.a,light.b+c d");
    assert_int_equal(query->limit, 10000);
    assert_int_equal(query->start_time, INT64_C(1767222000000000));
    assert_false(query->has_area_id);
    struct event_full e;
    struct page page;
    fill_event(&e, "one");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    SET_TEXT(&page, next_cursor, "c1", 2);
    SET(&page, total, 7);
    assert_int_equal(client->size, 0);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_int_equal(client_status(client), 200);
    assert_true(json_is(client_body(client), "0.id", "\"one\""));
    assert_true(json_is(client_body(client), "0.attributes", "{\"a\":\n1e-7}"));
    assert_true(client_has(client, "X-Next-Cursor: c1\r\n"));
    assert_true(client_has(client, "X-Total-Count: 7\r\n"));
    assert_true(client_has(client, "Link: </api/v1/events?entity_id=light.a&limit=20000&"));
    assert_true(client_has(client, "&cursor=c1>; rel=\"next\"\r\n"));
    assert_true(client_has(client, "Cache-Control: no-store\r\n"));
    assert_true(client_has(client, "X-Content-Type-Options: nosniff\r\n"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void wraps_a_listing_in_its_envelope(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    for (int i = 0; i < 2; i++) {
        client_forget(client);
        client_get(client, i ? "/api/v1/devices" : "/api/devices?limit=100");
        struct device_row row = { 0 };
        SET_TEXT(&row, device_id, "d1", 2);
        SET(&row, timestamp, 1795485404524490);
        probe_add_row(probe, &registry_devices_contract, &row);
        struct page page;
        fill_page(&page, 1);
        assert_int_equal(probe_answer(probe, &registry_devices_contract, OK, &page), 0);
        assert_int_equal(client_status(client), 200);
        assert_true(json_is(client_body(client), "devices.0.device_id", "\"d1\""));
        assert_true(json_is(client_body(client), "devices.0.timestamp", "\"2026-11-24T01:56:44.524490Z\""));
        assert_true(json_is(client_body(client), "count", "1"));
        assert_true(json_is(client_body(client), "limit", "100"));
    }
    client_destroy(&client);
    probe_destroy(&probe);
}

static void fill_state(struct state_row *row, const char *entity_id)
{
    schema_clear(state_row_schema(), row);
    SET(row, entity_id, slice_of(entity_id));
    SET(row, state, slice_of("on"));
    SET(row, timestamp, 1795485404524490);
    SET(row, age_s, 1.5);
    SET(row, name, slice_of("\"K\u00fcche\""));
    SET(row, in_gap, false);
    SET_TEXT(row, provenance, "live", 4);
}

static void answer_states(probe_t *probe, const char *entity_id, const char *cursor)
{
    struct state_row row;
    struct moment_end end;
    fill_state(&row, entity_id);
    probe_add_row(probe, &moment_read_contract, &row);
    schema_clear(moment_end_schema(), &end);
    SET(&end, at, 1795485404524490);
    SET(&end, in_gap, false);
    SET(&end, count, 1);
    if (cursor)
        SET_TEXT(&end, next_cursor, cursor, strlen(cursor));
    assert_int_equal(probe_answer(probe, &moment_read_contract, OK, &end), 0);
}

static void gives_the_states_in_force_with_their_moment(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/states?at=2026-11-24T01:56:44.52449Z");
    const struct moment_query *query = probe_asked(probe, &moment_read_contract);
    assert_int_equal(query->at, 1795485404524490);
    answer_states(probe, "light.a", NULL);
    assert_int_equal(client_status(client), 200);
    assert_true(json_is(client_body(client), "at", "\"2026-11-24T01:56:44.524490Z\""));
    assert_true(json_is(client_body(client), "in_gap", "false"));
    assert_true(json_is(client_body(client), "states.0.entity_id", "\"light.a\""));
    assert_true(json_is(client_body(client), "states.0.name", "\"K\u00fcche\""));
    assert_true(json_is(client_body(client), "states.0.area", "null"));
    assert_true(json_is(client_body(client), "count", "1"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void what_takes_several_pages_is_one_reply(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/states");
    answer_states(probe, "light.a", "7 8");
    assert_true(client_has(client, "Transfer-Encoding: chunked\r\n"));
    const struct moment_query *query = probe_asked(probe, &moment_read_contract);
    assert_string_equal(query->cursor, "7 8");
    answer_states(probe, "light.b", NULL);
    assert_true(client_has(client, "\"light.b\""));
    assert_true(client_has(client, "],\"count\":2}\r\n0\r\n\r\n"));
    assert_int_equal(probe_self(probe)->paged, 0);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void a_client_that_has_it_is_told_so(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    char tag[64] = "", request[300];
    client_get(client, "/api/v1/states?at=5");
    answer_states(probe, "light.a", NULL);
    assert_int_equal(sscanf(strstr(client->received, "ETag: "), "ETag: %40s", tag), 1);
    client_forget(client);
    snprintf(request, sizeof request, "GET /api/v1/states?at=5 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %s\r\n\r\n", tag);
    client_say(client, request);
    answer_states(probe, "light.a", NULL);
    assert_int_equal(client_status(client), 304);
    client_forget(client);
    client_say(client, request);
    answer_states(probe, "light.b", NULL);
    assert_int_equal(client_status(client), 200);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void half_an_answer_is_never_whole(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/states");
    answer_states(probe, "light.a", "7 8");
    assert_int_equal(probe_answer(probe, &moment_read_contract, UNAVAILABLE, NULL), 0);
    assert_null(probe_asked(probe, &moment_read_contract));
    probe_advance(probe, 300); /* another query process */
    assert_non_null(probe_asked(probe, &moment_read_contract));
    assert_int_equal(probe_answer(probe, &moment_read_contract, BROKEN, NULL), 0);
    assert_true(client->closed);
    assert_false(client_has(client, "\r\n0\r\n\r\n"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void so_many_large_answers_and_no_more(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *clients[PAGED_MAX + 1];
    for (size_t i = 0; i <= PAGED_MAX; i++) {
        clients[i] = client_new(probe);
        clients[i]->blocked = true; /* it takes nothing, so no other page is asked for */
        client_get(clients[i], "/api/v1/states");
        answer_states(probe, "light.a", "7 8");
        clients[i]->blocked = i < PAGED_MAX;
    }
    client_flush(clients[PAGED_MAX]->connection);
    assert_int_equal(client_status(clients[PAGED_MAX]), 503);
    for (size_t i = 0; i <= PAGED_MAX; i++)
        client_destroy(&clients[i]);
    assert_int_equal(probe_self(probe)->paged, 0);
    probe_destroy(&probe);
}

static void gives_one_event_or_404(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct event_full e;
    struct page page;
    client_get(client, "/api/v1/events/a%2Fb");
    assert_string_equal(((const struct event_query *)probe_asked(probe, &events_get_contract))->id, "a/b");
    fill_event(&e, "one");
    probe_add_row(probe, &events_get_contract, &e);
    fill_page(&page, 1);
    probe_answer(probe, &events_get_contract, OK, &page);
    assert_int_equal(client_status(client), 200);
    assert_true(json_is(client_body(client), "id", "\"one\""));
    client_forget(client);
    client_get(client, "/api/v1/events/none");
    fill_page(&page, 0);
    probe_answer(probe, &events_get_contract, OK, &page);
    assert_int_equal(client_status(client), 404);
    client_forget(client);
    client_get(client, "/api/v1/events/none");
    probe_answer(probe, &events_get_contract, NOT_FOUND, NULL);
    assert_int_equal(client_status(client), 404);
    assert_true(json_is(client_body(client), "error_code", "\"RESOURCE_NOT_FOUND\""));
    client_forget(client);
    client_get(client, "/api/v1/events/automation-trace/unknown");
    probe_answer(probe, &events_chain_contract, OK, &page);
    assert_int_equal(client_status(client), 404);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void searches_with_a_json_body(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    const char *body = "{\"query\":\"k\\u00fcche\",\"fields\":[\"entity_id\",\"attributes\"],\"limit\":5,\"other\":{}}";
    char text[500];
    snprintf(text, sizeof text, "POST /api/v1/events/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    client_say(client, text);
    const struct events_query *query = probe_asked(probe, &events_find_contract);
    assert_non_null(query);
    assert_string_equal(query->query, "küche");
    assert_string_equal(query->fields, "entity_id,attributes");
    assert_int_equal(query->limit, 5);
    struct page page;
    fill_page(&page, 0);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_string_equal(client_body(client), "[]");
    client_destroy(&client);
    probe_destroy(&probe);
}

static void takes_a_chunked_body_and_says_continue(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_string_equal(client->received, "HTTP/1.1 100 Continue\r\n\r\n");
    client_forget(client);
    client_say(client, "8\r\n{\"query\"\r\n");
    client_say(client, "5\r\n:\"x\"}\r\n0\r");
    client_say(client, "\n\r\nGET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_string_equal(((const struct events_query *)probe_asked(probe, &events_find_contract))->query, "x");
    struct page page;
    fill_page(&page, 0);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_true(client_has(client, "[]HTTP/1.1 200 OK")); /* and the next request was answered, too */
    client_destroy(&client);
    probe_destroy(&probe);
}

static int refusal(probe_t *probe, const char *target, const char *field)
{
    struct client *client = client_new(probe);
    client_get(client, target);
    int status = client_status(client);
    assert_true(json_is(client_body(client), "success", "false"));
    assert_true(json_is(client_body(client), "detail.field", field));
    assert_int_equal(at(client_body(client), "error").kind, JSON_TEXT);
    assert_int_equal(at(client_body(client), "timestamp").kind, JSON_TEXT);
    assert_int_equal(at(client_body(client), "request_id").kind, JSON_TEXT);
    client_destroy(&client);
    return status;
}

static void names_the_field_that_it_cannot_read(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    assert_int_equal(refusal(probe, "/api/v1/events?limit=invalid", "\"limit\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?limit=0", "\"limit\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?limit=", "\"limit\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?offset=100001", "\"offset\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?start_time=yesterday", "\"start_time\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?entity_id=%zz", "\"entity_id\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events/0123456789012345678901234567890123456789012345678", "\"id\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events/export?format=xml", "\"format\""), 400);
    assert_int_equal(refusal(probe, "/api/v1/events/export?format=lp&precision=ms", "\"precision\""), 400);
    assert_int_equal(refusal(probe, "/api/v1/events/export?limit=x", "\"limit\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events/stream?last_event_id=x", "\"last_event_id\""), 422);
    assert_int_equal(refusal(probe, "/api/v1/events?limit=1&limit=2", "\"limit\""), 400);
    assert_int_equal(refusal(probe, "/api/v1/events/export?format=json&format=ndjson", "\"format\""), 400);
    assert_int_equal(probe_asked_count(probe, &events_find_contract), 0);
    probe_destroy(&probe);
}

static void refuses_text_that_is_no_utf_8_or_holds_nul(void **state)
{
    (void)state;
    static const char *const bad[] = { "%00", "a%00", "%ff", "%C3%28", "%c3", "%e2%82", "%C0%80", "%E0%80%80", "%F0%80%80%80", "%F4%90%80%80",
        "%F5%80%80%80", "a%80", "\xff" };
    static const char *const good[] = { "%C3%A9", "%E2%82%AC", "%F0%9F%98%80", "%ED%A0%80", "a" };
    probe_t *probe = gateway_new(NULL, NULL);
    char target[100];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(target, sizeof target, "/api/v1/events?query=%s", bad[i]);
        assert_int_equal(refusal(probe, target, "\"query\""), 422);
        snprintf(target, sizeof target, "/api/devices/%s", bad[i]);
        assert_int_equal(refusal(probe, target, "\"device_id\""), 422);
    }
    assert_int_equal(probe_asked_count(probe, &events_find_contract), 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct client *client = client_new(probe);
        snprintf(target, sizeof target, "/api/v1/events?query=%s", good[i]);
        client_get(client, target);
        assert_non_null(probe_asked(probe, &events_find_contract));
        client_destroy(&client);
    }
    probe_destroy(&probe);
}

static int posted(probe_t *probe, const char *headers)
{
    char request[400];
    snprintf(request, sizeof request, "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost:8006\r\n%sContent-Length: 2\r\n\r\n[]", headers);
    return ask_status(probe, request);
}

/* 422: it was read, and is no object. */
static void takes_nothing_that_a_page_of_another_site_sends(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    assert_int_equal(posted(probe, ""), 422);
    assert_int_equal(posted(probe, "Origin: http://localhost:8006\r\n"), 422);
    assert_int_equal(posted(probe, "Origin: HTTP://LOCALHOST:8006\r\n"), 422);
    assert_int_equal(posted(probe, "Origin: null\r\n"), 403);
    assert_int_equal(posted(probe, "Origin: http://localhost:80060\r\n"), 403);
    assert_int_equal(posted(probe, "Origin: http://localhost:3000\r\n"), 403);
    assert_int_equal(posted(probe, "Origin: https://localhost:8006\r\n"), 403);
    assert_int_equal(posted(probe, "Origin: http://evil.example\r\n"), 403);
    assert_int_equal(posted(probe, "Content-Type: text/plain\r\n"), 415);
    assert_int_equal(posted(probe, "Content-Type: application/jsonx\r\n"), 415);
    assert_int_equal(posted(probe, "Content-Type: application/json; charset=utf-8\r\n"), 422);
    assert_int_equal(ask_status(probe, "GET http://evil.example/api/info HTTP/1.0\r\n\r\n"), 421);
    assert_int_equal(ask_status(probe, GET_WITH("Origin: http://evil.example")), 200); /* it cannot read the answer */
    probe_destroy(&probe);
}

static int changed(probe_t *probe, const char *method, const char *path, const char *headers, const char *body)
{
    char request[600];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost:8006\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
        headers, strlen(body), body);
    struct client *client = client_new(probe);
    client_say(client, request);
    int status = client->size ? client_status(client) : 0; /* 0: its owner has been asked */
    client_destroy(&client);
    return status;
}

#define JSON_BODY "Content-Type: application/json\r\n"

/* Three media types are what a form, or a page without asking first, can send. */
static void changes_nothing_that_does_not_say_it_is_json(void **state)
{
    (void)state;
    static const char path[] = "/api/v1/alerts/5/acknowledge", rule[] = "/api/v1/alerts/rules/actor_silent";
    static const char *const media[] = { "", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n", "Content-Type: application/jsonx\r\n" };
    probe_t *probe = gateway_new(NULL, NULL);
    for (size_t i = 0; i < sizeof media / sizeof *media; i++) {
        assert_int_equal(changed(probe, "POST", path, media[i], "{}"), 415);
        assert_int_equal(changed(probe, "PUT", rule, media[i], "{\"enabled\":false}"), 415);
        assert_int_equal(changed(probe, "POST", path, media[i], ""), i ? 415 : 0); /* no words are needed */
    }
    assert_int_equal(probe_asked_count(probe, &monitor_rule_set_contract), 0);
    assert_int_equal(changed(probe, "POST", path, JSON_BODY "Origin: http://evil.example\r\n", "{}"), 403);
    assert_int_equal(changed(probe, "PUT", rule, JSON_BODY "Origin: null\r\n", "{}"), 403);
    assert_int_equal(changed(probe, "PUT", rule, JSON_BODY "Origin: http://localhost:3000\r\n", "{}"), 403);
    assert_int_equal(ask_status(probe, "POST /api/v1/alerts/5/resolve HTTP/1.1\r\nHost: rebound.example:8006\r\nContent-Length: 0\r\n\r\n"), 421);
    assert_int_equal(changed(probe, "OPTIONS", rule, "Origin: http://evil.example\r\n", ""), 204); /* and allows nobody */
    assert_int_equal(changed(probe, "GET", path, "", ""), 405);
    assert_int_equal(probe_asked_count(probe, &monitor_resolve_contract), 0);
    assert_int_equal(changed(probe, "PUT", rule, JSON_BODY "Origin: http://localhost:8006\r\n", "{\"enabled\":false}"), 0);
    probe_destroy(&probe);
}

static void what_the_path_says_is_not_what_the_body_says(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    const char *body = "{\"name\":\"other\",\"enabled\":false,\"threshold\":2.5,\"doc\":\"as it was listed\"}";
    char text[500];
    snprintf(text, sizeof text, "PUT /api/v1/alerts/rules/actor_silent HTTP/1.1\r\nHost: localhost\r\n" JSON_BODY "Content-Length: %zu\r\n\r\n%s",
        strlen(body), body);
    client_say(client, text);
    const struct rule_change *asked = probe_asked(probe, &monitor_rule_set_contract);
    assert_non_null(asked);
    assert_string_equal(asked->name, "actor_silent");
    assert_true(asked->has_enabled && !asked->enabled);
    assert_true(asked->threshold == 2.5);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void tells_the_one_for_whom_there_is_no_room(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct self *self = probe_self(probe);
    msgpack_sbuffer told;
    self->open_max = 1;
    struct client *client = client_new(probe);
    assert_null(connection_new(self, client));
    connection_refusal(self, &told);
    msgpack_sbuffer_write(&told, "", 1);
    assert_non_null(strstr(told.data, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(told.data, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(told.data, "\"error_code\":\"ACTOR_UNAVAILABLE\""));
    msgpack_sbuffer_destroy(&told);
    client_destroy(&client);
    client = client_new(probe); /* there is room again */
    client_destroy(&client);
    probe_destroy(&probe);
}

static void runs_no_more_exports_than_it_may(void **state)
{
    (void)state;
    enum { MOST = 8 };
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *clients[MOST], *late = client_new(probe);
    for (int i = 0; i < MOST; i++) {
        clients[i] = client_new(probe);
        client_get(clients[i], "/api/v1/events/export");
        assert_int_equal(clients[i]->size, 0);
    }
    client_get(late, "/api/v1/events/export");
    assert_int_equal(client_status(late), 503);
    client_destroy(&clients[0]);
    client_forget(late);
    client_get(late, "/api/v1/events/export");
    assert_int_equal(late->size, 0);
    client_destroy(&late);
    for (int i = 1; i < MOST; i++)
        client_destroy(&clients[i]);
    assert_int_equal(((struct self *)probe_self(probe))->exports, 0);
    probe_destroy(&probe);
}

static void turns_verdicts_into_statuses(void **state)
{
    (void)state;
    static const struct { int verdict, status; const char *slug; } cases[] = {
        { BAD_REQUEST, 400, "\"VALIDATION_ERROR\"" }, { UNPROCESSABLE, 422, "\"VALIDATION_ERROR\"" },
        { NOT_FOUND, 404, "\"RESOURCE_NOT_FOUND\"" }, { CONFLICT, 409, "\"CONFLICT\"" },
        { UNAVAILABLE, 503, "\"ACTOR_UNAVAILABLE\"" }, { BROKEN, 500, "\"INTERNAL_ERROR\"" },
    };
    probe_t *probe = gateway_new(NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *client = client_new(probe);
        client_get(client, "/api/v1/events/count?start_time=2");
        probe_answer_fault(probe, &events_count_contract, cases[i].verdict, "start_time", "lies after end_time");
        assert_int_equal(client_status(client), cases[i].status);
        assert_true(json_is(client_body(client), "error_code", cases[i].slug));
        assert_true(json_is(client_body(client), "detail.field", "\"start_time\""));
        assert_true(json_is(client_body(client), "detail.message", "\"lies after end_time\""));
        assert_int_equal(client_has(client, "Retry-After: "), cases[i].status == 503);
        client_destroy(&client);
    }
    probe_destroy(&probe);
}

static void answers_504_when_nobody_answers(void **state)
{
    (void)state;
    probe_t *probe = gateway_new("ask_ms", "100");
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/count");
    assert_int_equal(client->size, 0);
    probe_advance(probe, 200);
    assert_int_equal(client_status(client), 504);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void a_client_that_leaves_gets_no_answer_and_nobody_elses(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/count");
    client_destroy(&client);
    client = client_new(probe);
    struct count_reply reply = { 0 };
    SET(&reply, count, 3);
    assert_int_equal(probe_answer(probe, &events_count_contract, OK, &reply), 0);
    assert_int_equal(client->size, 0);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void knows_paths_and_methods(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, "DELETE /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 405);
    assert_true(client_has(client, "Allow: GET, HEAD, OPTIONS\r\n"));
    client_forget(client);
    client_say(client, "GET /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 405);
    assert_true(client_has(client, "Allow: POST, OPTIONS\r\n"));
    client_forget(client);
    client_say(client, "BREW /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 405);
    client_forget(client);
    client_say(client, "OPTIONS /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 204);
    assert_false(client_has(client, "Access-Control"));
    client_forget(client);
    client_get(client, "/api/v1/nothing");
    assert_int_equal(client_status(client), 404);
    assert_true(json_is(client_body(client), "error_code", "\"RESOURCE_NOT_FOUND\""));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void head_is_get_without_its_body(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, "HEAD /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 200);
    assert_true(client_has(client, "Content-Length: "));
    assert_false(client_has(client, "Content-Length: 0"));
    assert_string_equal(client_body(client), "");
    client_destroy(&client);
    probe_destroy(&probe);
}

static void answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, "GET /api/v1/events/count HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: one\r\n\r\n"
        "GET /api/info HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: two\r\n\r\n"
        "GET /api/v1/events/count HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: three\r\nConnection: close\r\n\r\n");
    assert_int_equal(client->size, 0);
    struct count_reply reply = { 0 };
    SET(&reply, count, 3);
    probe_answer(probe, &events_count_contract, OK, &reply);
    probe_answer(probe, &events_count_contract, OK, &reply);
    const char *one = strstr(client->received, "X-Request-ID: one"), *two = strstr(client->received, "X-Request-ID: two"),
        *three = strstr(client->received, "X-Request-ID: three");
    assert_true(one && two && three && one < two && two < three);
    assert_true(client->finished);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void a_request_may_come_byte_by_byte_while_another_waits(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    const char *text = "GET /api/v1/events?limit=7 HTTP/1.1\r\nHost: localhost\r\nX-Correlation-ID: c-1\r\n\r\n";
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; text[i]; i++)
            connection_take(client->connection, (struct slice){ text + i, 1 });
    for (int i = 0; i < 2; i++) {
        struct page page;
        fill_page(&page, 0);
        SET_TEXT(&page, next_cursor, "next", 4);
        client_forget(client);
        assert_int_equal(probe_answer(probe, &events_find_contract, OK, &page), 0);
        assert_true(client_has(client, "X-Correlation-ID: c-1\r\n"));
        assert_true(client_has(client, "Link: </api/v1/events?limit=7&cursor=next>"));
    }
    client_destroy(&client);
    probe_destroy(&probe);
}

static void repeats_plain_request_ids_and_makes_others(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, GET_WITH("X-Request-ID: a-1"));
    assert_true(client_has(client, "X-Correlation-ID: a-1\r\nX-Request-ID: a-1\r\n"));
    client_forget(client);
    client_say(client, GET_WITH("X-Correlation-ID: <script>"));
    assert_true(client_has(client, "X-Correlation-ID: req_"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void serves_only_names_of_the_loopback(void **state)
{
    (void)state;
    static const struct { const char *request; int status; } cases[] = {
        { "GET /api/info HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421 },
        { "GET /api/info HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421 },
        { "GET /api/info HTTP/1.1\r\nHost: localhost.evil\r\n\r\n", 421 },
        { "GET /api/info HTTP/1.1\r\nHost:\r\n\r\n", 421 },
        { "GET /api/info HTTP/1.1\r\nHost: 192.168.1.2\r\n\r\n", 421 },
        { "GET http://evil.example/api/info HTTP/1.1\r\nHost: localhost\r\n\r\n", 421 },
        { "GET /api/info HTTP/1.1\r\nHost: LOCALHOST:1\r\n\r\n", 200 },
        { "GET /api/info HTTP/1.1\r\nHost: 127.1.2.3:8006\r\n\r\n", 200 },
        { "GET /api/info HTTP/1.1\r\nHost: [::1]:8006\r\n\r\n", 200 },
        { "GET /api/info HTTP/1.0\r\n\r\n", 200 },
    };
    probe_t *probe = gateway_new(NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ask_status(probe, cases[i].request) != cases[i].status)
            fail_msg("not %d: %s", cases[i].status, cases[i].request);
    probe_destroy(&probe);
}

static void refuses_bodies_that_are_too_large_or_no_json(void **state)
{
    (void)state;
    static const struct { const char *request; int status; } cases[] = {
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n", 413 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n", 413 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[]", 422 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 422 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n{\"query\":12}", 422 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n{\"limit\":\"1\"}", 422 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\n{\"query\":[[]]}", 422 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415 },
    };
    probe_t *probe = gateway_new("body_max_bytes", "1024");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ask_status(probe, cases[i].request) != cases[i].status)
            fail_msg("not %d: %s", cases[i].status, cases[i].request);
    probe_destroy(&probe);
}

static void closes_after_a_request_it_cannot_read(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_say(client, "nonsense\r\n\r\nGET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(client), 400);
    assert_true(client_has(client, "Connection: close\r\n"));
    assert_true(client->finished);
    size_t size = client->size;
    client_get(client, "/api/info");
    assert_int_equal(client->size, size);
    probe_advance(probe, 4000);
    assert_true(client->closed); /* the client did not close */
    client_destroy(&client);
    probe_destroy(&probe);
}

static void waits_ten_seconds_for_a_request_and_longer_between_them(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *slow = client_new(probe), *idle = client_new(probe);
    client_say(slow, "GET / HT");
    client_get(idle, "/api/info");
    probe_advance(probe, 9000);
    assert_int_equal(slow->size, 0);
    probe_advance(probe, 3000);
    assert_int_equal(client_status(slow), 408);
    assert_false(idle->closed);
    probe_advance(probe, 80000);
    assert_true(idle->closed);
    client_destroy(&slow);
    client_destroy(&idle);
    probe_destroy(&probe);
}

static void stops_reading_a_client_that_sends_while_it_waits(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/count");
    for (int i = 0; i < 2000 && !client->unread; i++)
        client_get(client, "/api/v1/events/count");
    assert_true(client->unread);
    assert_true(client->connection->in.size < 200000);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void describes_every_route_and_every_hole_is_a_field(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/openapi.json");
    assert_int_equal(client_status(client), 200);
    const char *body = client_body(client);
    assert_true(json_is(body, "openapi", "\"3.1.0\""));
    for (const struct route *r = routes; r->path; r++) {
        char key[200];
        snprintf(key, sizeof key, "\"%s\":{", r->path);
        assert_non_null(strstr(body, key));
        struct slice name, segment;
        for (size_t hole = 0; route_hole(r, slice_of(r->path), &hole, &name, &segment);)
            assert_non_null(schema_field(r->service ? r->service->in() : r->parameters(), name.data, name.size));
        assert_ptr_equal(route_of_path(slice_of(r->path))->path, r->path); /* no row hides another */
    }
    client_destroy(&client);
    probe_destroy(&probe);
}

static void binds_to_the_loopback_alone(void **state)
{
    (void)state;
    assert_null(probe_new((const char *const[]){ "bind", "0.0.0.0", NULL }));
    assert_null(probe_new((const char *const[]){ "bind", "192.168.1.2", NULL }));
    assert_null(probe_new((const char *const[]){ "bind", "::", NULL }));
    assert_null(probe_new((const char *const[]){ "bind", "127.0.0.1.example", NULL }));
    for (size_t i = 0; i < 4; i++) {
        probe_t *probe = gateway_new("bind", ((const char *const[]){ "127.0.0.2", "::1", "localhost", "127.0.0.1" })[i]);
        probe_destroy(&probe);
    }
}

/* --- export --- */

static void exports_page_after_page_as_the_client_takes_them(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct event_full e;
    struct page page;
    client_get(client, "/api/v1/events/export?domain=light");
    const struct events_query *query = probe_asked(probe, &events_find_contract);
    assert_string_equal(query->sort, "asc");
    assert_string_equal(query->domain, "light");
    client->blocked = true;
    fill_event(&e, "one");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    SET_TEXT(&page, next_cursor, "c1", 2);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_int_equal(probe_asked_count(probe, &events_find_contract), 0); /* not before the first is written */
    client->blocked = false;
    client_wake(client->connection);
    query = probe_asked(probe, &events_find_contract);
    assert_string_equal(query->cursor, "c1");
    fill_event(&e, "two");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_true(client_has(client, "Content-Type: application/x-ndjson\r\n"));
    assert_true(client_has(client, "Transfer-Encoding: chunked\r\n"));
    assert_true(client_has(client, "{\"id\":\"one\""));
    assert_true(client_has(client, "\"attributes\":{\"a\": 1e-7}")); /* one event is one line */
    assert_true(client_has(client, "{\"id\":\"two\""));
    assert_string_equal(client->received + client->size - 7, "\r\n0\r\n\r\n");
    client_forget(client);
    client_get(client, "/api/info"); /* the connection is good for more */
    assert_int_equal(client_status(client), 200);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void an_export_goes_on_when_the_query_process_is_back(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct event_full e;
    struct page page;
    client_get(client, "/api/v1/events/export");
    fill_event(&e, "one");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    SET_TEXT(&page, next_cursor, "c1", 2);
    probe_answer(probe, &events_find_contract, OK, &page);
    for (int i = 0; i < 20; i++) { /* five seconds without one */
        probe_answer(probe, &events_find_contract, i ? NO_OWNER : UNAVAILABLE, NULL);
        assert_int_equal(probe_asked_count(probe, &events_find_contract), 0);
        probe_advance(probe, 250);
    }
    assert_string_equal(((const struct events_query *)probe_asked(probe, &events_find_contract))->cursor, "c1");
    fill_event(&e, "two");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_true(client_has(client, "{\"id\":\"two\""));
    assert_string_equal(client->received + client->size - 7, "\r\n0\r\n\r\n");
    client_destroy(&client);
    probe_destroy(&probe);
}

static void an_export_that_fails_half_way_never_ends_well(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct event_full e;
    struct page page;
    client_get(client, "/api/v1/events/export");
    fill_event(&e, "one");
    probe_add_row(probe, &events_find_contract, &e);
    fill_page(&page, 1);
    SET_TEXT(&page, next_cursor, "c1", 2);
    probe_answer(probe, &events_find_contract, OK, &page);
    for (int i = 0; i < 300 && !client->closed; i++) { /* for a minute */
        probe_answer(probe, &events_find_contract, UNAVAILABLE, NULL);
        probe_advance(probe, 250);
    }
    assert_true(client->closed);
    assert_null(strstr(client->received, "\r\n0\r\n\r\n"));
    client_destroy(&client);
    client = client_new(probe);
    client_get(client, "/api/v1/events/export");
    probe_answer(probe, &events_find_contract, UNAVAILABLE, NULL);
    assert_int_equal(client_status(client), 503);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void an_empty_export_is_empty_in_both_formats(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct page page;
    fill_page(&page, 0);
    client_get(client, "/api/v1/events/export?limit=3");
    assert_int_equal(((const struct events_query *)probe_asked(probe, &events_find_contract))->limit, 3);
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_string_equal(client_body(client), "0\r\n\r\n");
    client_forget(client);
    client_get(client, "/api/v1/events/export?format=json");
    probe_answer(probe, &events_find_contract, OK, &page);
    assert_string_equal(client_body(client), "1\r\n[\r\n3\r\n\n]\n\r\n0\r\n\r\n");
    client_destroy(&client);
    probe_destroy(&probe);
}

static int open_json(void **state)
{
    (void)state;
    json = json_new();
    return json ? 0 : -1;
}

static int close_json(void **state)
{
    (void)state;
    json_destroy(&json);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_a_query_to_its_owner_and_rows_back),
        cmocka_unit_test(wraps_a_listing_in_its_envelope),
        cmocka_unit_test(gives_the_states_in_force_with_their_moment),
        cmocka_unit_test(what_takes_several_pages_is_one_reply),
        cmocka_unit_test(a_client_that_has_it_is_told_so),
        cmocka_unit_test(half_an_answer_is_never_whole),
        cmocka_unit_test(so_many_large_answers_and_no_more),
        cmocka_unit_test(gives_one_event_or_404),
        cmocka_unit_test(searches_with_a_json_body),
        cmocka_unit_test(takes_a_chunked_body_and_says_continue),
        cmocka_unit_test(names_the_field_that_it_cannot_read),
        cmocka_unit_test(refuses_text_that_is_no_utf_8_or_holds_nul),
        cmocka_unit_test(takes_nothing_that_a_page_of_another_site_sends),
        cmocka_unit_test(changes_nothing_that_does_not_say_it_is_json),
        cmocka_unit_test(what_the_path_says_is_not_what_the_body_says),
        cmocka_unit_test(tells_the_one_for_whom_there_is_no_room),
        cmocka_unit_test(runs_no_more_exports_than_it_may),
        cmocka_unit_test(turns_verdicts_into_statuses),
        cmocka_unit_test(answers_504_when_nobody_answers),
        cmocka_unit_test(a_client_that_leaves_gets_no_answer_and_nobody_elses),
        cmocka_unit_test(knows_paths_and_methods),
        cmocka_unit_test(head_is_get_without_its_body),
        cmocka_unit_test(answers_pipelined_requests_in_order),
        cmocka_unit_test(a_request_may_come_byte_by_byte_while_another_waits),
        cmocka_unit_test(repeats_plain_request_ids_and_makes_others),
        cmocka_unit_test(serves_only_names_of_the_loopback),
        cmocka_unit_test(refuses_bodies_that_are_too_large_or_no_json),
        cmocka_unit_test(closes_after_a_request_it_cannot_read),
        cmocka_unit_test(waits_ten_seconds_for_a_request_and_longer_between_them),
        cmocka_unit_test(stops_reading_a_client_that_sends_while_it_waits),
        cmocka_unit_test(describes_every_route_and_every_hole_is_a_field),
        cmocka_unit_test(binds_to_the_loopback_alone),
        cmocka_unit_test(exports_page_after_page_as_the_client_takes_them),
        cmocka_unit_test(an_export_goes_on_when_the_query_process_is_back),
        cmocka_unit_test(an_export_that_fails_half_way_never_ends_well),
        cmocka_unit_test(an_empty_export_is_empty_in_both_formats),
    };
    return cmocka_run_group_tests(tests, open_json, close_json);
}
