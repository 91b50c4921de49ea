/* http.c - the syntax of HTTP/1.1 requests. */
#include "http.h"

#include <string.h>
#include <strings.h>

const char *const method_names[OTHER_METHOD] = {
    [GET] = "GET", [HEAD] = "HEAD", [POST] = "POST", [PUT] = "PUT", [PATCH] = "PATCH", [DELETE] = "DELETE",
    [OPTIONS] = "OPTIONS",
};

bool method_has_body(enum method method)
{
    return method == POST || method == PUT || method == PATCH;
}

bool slice_is(struct slice s, const char *text)
{
    return strlen(text) == s.size && !memcmp(text, s.data, s.size);
}

bool slice_is_nocase(struct slice s, const char *text)
{
    return strlen(text) == s.size && !strncasecmp(text, s.data, s.size);
}

const char *status_text(int status)
{
    static const struct { int status; const char *text; } texts[] = {
        { 200, "OK" }, { 202, "Accepted" }, { 204, "No Content" }, { 304, "Not Modified" }, { 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 413, "Content Too Large" },
        { 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

static bool is_token(struct slice s)
{
    const unsigned char *p = s.data;
    for (size_t i = 0; i < s.size; i++)
        if (p[i] <= ' ' || p[i] >= 127 || strchr("()<>@,;:\\\"/[]?={}", p[i]))
            return false;
    return s.size > 0;
}

static struct slice trim(struct slice s)
{
    const char *p = s.data;
    while (s.size && (p[0] == ' ' || p[0] == '\t'))
        p++, s.size--;
    while (s.size && (p[s.size - 1] == ' ' || p[s.size - 1] == '\t'))
        s.size--;
    return (struct slice){ p, s.size };
}

static struct slice cut(struct slice *rest, char at)
{
    const char *p = rest->data, *found = memchr(p, at, rest->size);
    struct slice one = { p, found ? (size_t)(found - p) : rest->size };
    size_t taken = found ? one.size + 1 : one.size;
    *rest = (struct slice){ p + taken, rest->size - taken };
    return one;
}

static int read_request_line(struct slice line, struct head *h, const char **why)
{
    struct slice method = cut(&line, ' ');
    h->target = cut(&line, ' ');
    h->method = OTHER_METHOD;
    for (int i = 0; i < OTHER_METHOD; i++)
        if (slice_is(method, method_names[i]))
            h->method = (enum method)i;
    *why = "the request line is not one of HTTP/1.1";
    if (!is_token(method) || h->target.size == 0)
        return 400;
    if (h->target.size > TARGET_MAX) {
        *why = "the request target is longer than 8192 bytes";
        return 414;
    }
    const unsigned char *t = h->target.data;
    for (size_t i = 0; i < h->target.size; i++)
        if (t[i] <= ' ' || t[i] == 127)
            return 400;
    if (slice_is(line, "HTTP/1.1"))
        h->minor = 1;
    else if (!slice_is(line, "HTTP/1.0")) {
        bool is_http = line.size == 8 && !memcmp(line.data, "HTTP/", 5);
        *why = is_http ? "only HTTP/1.0 and HTTP/1.1 are spoken here" : *why;
        return is_http ? 505 : 400;
    }
    h->keep_alive = h->minor == 1;
    return READ_WHOLE;
}

static int read_length(struct slice value, struct head *h, const char **why)
{
    *why = "Content-Length is not one number";
    if (h->has_length || value.size == 0 || value.size > 18)
        return 400;
    const char *p = value.data;
    for (size_t i = 0; i < value.size; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 400;
        h->length = h->length * 10 + (p[i] - '0');
    }
    h->has_length = true;
    return READ_WHOLE;
}

static int read_coding(struct slice value, struct head *h, const char **why)
{
    if (h->chunked || h->minor == 0) {
        *why = "Transfer-Encoding is repeated, or not for HTTP/1.0";
        return 400;
    }
    if (!slice_is_nocase(value, "chunked")) {
        *why = "the only Transfer-Encoding is chunked";
        return 501;
    }
    h->chunked = true;
    return READ_WHOLE;
}

static int read_host(struct slice value, struct head *h, const char **why)
{
    *why = "Host is repeated";
    if (h->has_host)
        return 400;
    h->has_host = true;
    h->host = value;
    return READ_WHOLE;
}

static void read_connection(struct slice value, struct head *h)
{
    while (value.size) {
        struct slice one = trim(cut(&value, ','));
        if (slice_is_nocase(one, "close"))
            h->keep_alive = false;
        else if (slice_is_nocase(one, "keep-alive") && h->minor == 0)
            h->keep_alive = true;
    }
}

static int read_header(struct slice name, struct slice value, struct head *h, const char **why)
{
    static const struct { const char *name; size_t at; } kept[] = {
        { "content-type", offsetof(struct head, content_type) }, { "accept", offsetof(struct head, accept) },
        { "origin", offsetof(struct head, origin) },
        { "x-correlation-id", offsetof(struct head, correlation_id) },
        { "x-request-id", offsetof(struct head, request_id) },
        { "last-event-id", offsetof(struct head, last_event_id) },
        { "if-none-match", offsetof(struct head, if_none_match) },
    };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (slice_is_nocase(name, kept[i].name)) {
            memcpy((char *)h + kept[i].at, &value, sizeof value);
            return READ_WHOLE;
        }
    if (slice_is_nocase(name, "content-length"))
        return read_length(value, h, why);
    if (slice_is_nocase(name, "transfer-encoding"))
        return read_coding(value, h, why);
    if (slice_is_nocase(name, "host"))
        return read_host(value, h, why);
    if (slice_is_nocase(name, "connection"))
        read_connection(value, h);
    if (slice_is_nocase(name, "expect"))
        h->wants_continue = slice_is_nocase(value, "100-continue");
    return READ_WHOLE;
}

static int read_header_line(struct slice line, struct head *h, const char **why)
{
    struct slice value = line, name = cut(&value, ':');
    *why = "a header line is malformed";
    if (name.size == line.size || !is_token(name))
        return 400;
    const unsigned char *p = value.data;
    for (size_t i = 0; i < value.size; i++)
        if ((p[i] < ' ' && p[i] != '\t') || p[i] == 127)
            return 400;
    return read_header(name, trim(value), h, why);
}

/* The next line without its CR LF; false if a CR or LF stands alone. */
static bool next_line(struct slice *rest, struct slice *line)
{
    *line = cut(rest, '\n');
    const char *p = line->data;
    if (line->size == 0 || p[line->size - 1] != '\r')
        return false;
    line->size--;
    return memchr(p, '\r', line->size) == NULL;
}

static int read_lines(struct slice text, struct head *h, const char **why)
{
    struct slice line;
    *why = "a line does not end with CR LF";
    if (!next_line(&text, &line))
        return 400;
    int status = read_request_line(line, h, why);
    for (int count = 0; status == READ_WHOLE && text.size; count++) {
        *why = "a line does not end with CR LF";
        if (!next_line(&text, &line))
            return 400;
        if (line.size == 0)
            break;
        if (count == HEADERS_MAX) {
            *why = "more than 100 headers";
            return 431;
        }
        status = read_header_line(line, h, why);
    }
    return status;
}

static int check_head(struct head *h, const char **why)
{
    *why = "Host is missing";
    if (h->minor == 1 && !h->has_host)
        return 400;
    *why = "Content-Length and Transfer-Encoding contradict each other";
    if (h->has_length && h->chunked)
        return 400;
    const char *t = h->target.data;
    if (t[0] == '/' || (h->method == OPTIONS && slice_is(h->target, "*")))
        return READ_WHOLE;
    *why = "the request target is not a path";
    if (h->target.size < 7 || strncasecmp(t, "http://", 7))
        return 400;
    struct slice rest = { t + 7, h->target.size - 7 }, from = rest;
    h->host = cut(&rest, '/');
    if (h->host.size == from.size)
        return 400;
    h->target = (struct slice){ t + 7 + h->host.size, from.size - h->host.size };
    return READ_WHOLE;
}

/* Neither the end of the head nor room for more. */
static int too_long(struct slice input, const char **why)
{
    const char *end = memchr(input.data, '\n', input.size < TARGET_MAX + 32 ? input.size : TARGET_MAX + 32);
    *why = end ? "the headers are longer than 16 KiB" : "the request target is longer than 8192 bytes";
    return end ? 431 : 414;
}

int head_read(struct slice input, size_t *scanned, struct head *h, size_t *size, const char **why)
{
    const char *p = input.data;
    size_t start = 0;
    while (input.size - start >= 2 && p[start] == '\r' && p[start + 1] == '\n' && start < 8)
        start += 2; /* empty lines before a request are forgiven */
    size_t from = *scanned > start + 3 ? *scanned - 3 : start;
    const char *end = input.size > from ? memmem(p + from, input.size - from, "\r\n\r\n", 4) : NULL;
    const char *head_end = end ? end : p + input.size;
    *why = "a line does not end with CR LF";
    if (p + from < head_end && memmem(p + from, (size_t)(head_end - p) - from, "\n\n", 2))
        return 400; /* typed by hand: the end would never come */
    if (!end || (size_t)(end - p) + 4 > HEAD_MAX) {
        *scanned = input.size;
        return end || input.size >= HEAD_MAX ? too_long(input, why) : READ_MORE;
    }
    *h = (struct head){ 0 };
    *size = (size_t)(end - p) + 4;
    int status = read_lines((struct slice){ p + start, *size - start }, h, why);
    return status == READ_WHOLE ? check_head(h, why) : status;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int read_chunk_size(struct slice line, uint64_t *size)
{
    const char *p = line.data;
    size_t i = 0;
    for (*size = 0; i < line.size && i < 15 && hex_digit(p[i]) >= 0; i++)
        *size = *size << 4 | (uint64_t)hex_digit(p[i]);
    return i == 0 || (i < line.size && p[i] != ';' && p[i] != ' ' && p[i] != '\t') ? -1 : 0;
}

/* One line of the chunked framing: a size, the end of a chunk, a trailer. */
static int chunk_line(struct chunked *c, struct slice input, size_t *used, const char **why)
{
    const char *p = input.data, *end = memchr(p + *used, '\n', input.size - *used);
    struct slice line = { p + *used, end ? (size_t)(end - p) - *used : input.size - *used };
    *why = "the chunked body is malformed";
    if (!end)
        return line.size > 1024 ? 400 : READ_MORE;
    if (line.size == 0 || line.size > 1024 || p[*used + line.size - 1] != '\r')
        return 400;
    *used += line.size + 1;
    line.size--;
    switch (c->at) {
    case CHUNK_SIZE:
        if (read_chunk_size(line, &c->left))
            return 400;
        c->at = c->left ? CHUNK_DATA : TRAILER;
        return READ_WHOLE;
    case CHUNK_END:
        c->at = CHUNK_SIZE;
        return line.size ? 400 : READ_WHOLE;
    case TRAILER:
        return ++c->line > HEADERS_MAX ? 400 : line.size ? READ_WHOLE : -2;
    case CHUNK_DATA: break;
    }
    return 400;
}

int chunked_read(struct chunked *c, struct slice input, size_t *used, size_t most, msgpack_sbuffer *body, const char **why)
{
    for (*used = 0;;) {
        if (c->at == CHUNK_DATA) {
            size_t there = input.size - *used, take = there < c->left ? there : (size_t)c->left;
            *why = "the body is larger than body_max_bytes";
            if (c->left > most || body->size > most - c->left)
                return 413;
            if (take)
                msgpack_sbuffer_write(body, (const char *)input.data + *used, take);
            *used += take;
            c->left -= take;
            if (c->left)
                return READ_MORE;
            c->at = CHUNK_END;
        }
        int status = chunk_line(c, input, used, why);
        if (status == -2)
            return READ_WHOLE;
        if (status != READ_WHOLE)
            return status;
    }
}
