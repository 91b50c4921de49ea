/* upgrade.c - ask for a WebSocket, and look closely at the answer. */
#include "upgrade.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHA1_BYTES 20
#define ACCEPT_TEXT 29 /* Base64 of that, and the end */

void upgrade_key(char key[UPGRADE_KEY], const unsigned char random[16])
{
    int size = EVP_EncodeBlock((unsigned char *)key, random, 16);
    assert(size == UPGRADE_KEY - 1);
}

size_t upgrade_request(char to[UPGRADE_REQUEST], const struct endpoint *endpoint, const char *key)
{
    bool is_ip6 = strchr(endpoint->host, ':') != NULL;
    int size = snprintf(to, UPGRADE_REQUEST,
        "GET %s HTTP/1.1\r\nHost: %s%s%s:%d\r\nUser-Agent: ha-ingestor\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
        endpoint->path, is_ip6 ? "[" : "", endpoint->host, is_ip6 ? "]" : "", endpoint->port, key);
    assert(size > 0 && size < UPGRADE_REQUEST);
    return (size_t)size;
}

static void accept_of(char to[ACCEPT_TEXT], const char *key)
{
    char text[UPGRADE_KEY + 36];
    unsigned char sum[SHA1_BYTES];
    unsigned sum_size = 0;
    int size = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    int good = EVP_Digest(text, (size_t)size, sum, &sum_size, EVP_sha1(), NULL);
    assert(good && sum_size == SHA1_BYTES);
    (void)EVP_EncodeBlock((unsigned char *)to, sum, SHA1_BYTES);
}

/* --- the answer ------------------------------------------------------------------------- */

static bool is_text(struct slice slice, const char *text)
{
    return slice.size == strlen(text) && strncasecmp(slice.data, text, slice.size) == 0;
}

static struct slice trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct slice){ at, (size_t)(end - at) };
}

/* A list such as `keep-alive, Upgrade`. */
static bool has_word(struct slice list, const char *word)
{
    const char *at = list.data, *end = at + list.size;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (is_text(trim(at, comma ? comma : end), word))
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

struct seen { bool upgrade, connection, accept; const char *why; };

static void look_at(struct seen *seen, struct slice name, struct slice value, const char *accept)
{
    if (is_text(name, "Upgrade"))
        seen->upgrade = is_text(value, "websocket");
    else if (is_text(name, "Connection"))
        seen->connection |= has_word(value, "upgrade");
    else if (is_text(name, "Sec-WebSocket-Extensions") || is_text(name, "Sec-WebSocket-Protocol"))
        seen->why = "it wants an extension or protocol that nobody asked for";
    else if (is_text(name, "Sec-WebSocket-Accept")) {
        seen->accept = value.size == strlen(accept) && memcmp(value.data, accept, value.size) == 0;
        if (!seen->accept)
            seen->why = "its Sec-WebSocket-Accept is wrong";
    }
}

static const char *check_fields(const char *at, const char *end, const char *key)
{
    char accept[ACCEPT_TEXT];
    struct seen seen = { 0 };
    accept_of(accept, key);
    while (at < end) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (!colon)
            return "a header line without a colon";
        look_at(&seen, (struct slice){ at, (size_t)(colon - at) }, trim(colon + 1, line_end), accept);
        at = line_end + 2;
    }
    if (seen.why)
        return seen.why;
    if (!seen.upgrade || !seen.connection)
        return "it does not upgrade to a WebSocket";
    return seen.accept ? NULL : "it has no Sec-WebSocket-Accept";
}

static bool is_status_line(const char *line, size_t size)
{
    return size >= 12 && memcmp(line, "HTTP/1.", 7) == 0 && line[8] == ' ' && strspn(line + 9, "0123456789") >= 3
        && (size == 12 || line[12] == ' ');
}

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -1;
}

int upgrade_answer(struct slice so_far, const char *key, int *status, const char **why)
{
    static const char start[] = "HTTP/1.";
    const char *text = so_far.data;
    size_t known = so_far.size < sizeof start - 1 ? so_far.size : sizeof start - 1;
    *status = 0;
    *why = NULL;
    if (memcmp(text, start, known) != 0)
        return refuse(why, "what answers does not speak HTTP/1.1");
    const char *line_end = memmem(text, so_far.size, "\r\n", 2);
    if (line_end && !is_status_line(text, (size_t)(line_end - text)))
        return refuse(why, "what answers does not speak HTTP/1.1");
    if (line_end)
        *status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + text[11] - '0';
    if (line_end && *status != 101)
        return refuse(why, *status / 100 == 3 ? "it redirects: name the address that it leads to" : NULL);
    const char *end = line_end ? memmem(line_end, so_far.size - (size_t)(line_end - text), "\r\n\r\n", 4) : NULL;
    if (!end)
        return so_far.size < UPGRADE_ANSWER ? 0 : refuse(why, "its answer is too long");
    *why = check_fields(line_end + 2, end + 2, key);
    return *why ? -1 : (int)(end + 4 - text);
}
