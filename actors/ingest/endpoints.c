/* endpoints.c - URLs as people write them, and the order and pace of dialling. */
#include "endpoints.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FLOOR_US INT64_C(100000)

/* --- URLs ------------------------------------------------------------------------------ */

static const struct scheme { const char *prefix; bool tls; } schemes[] = {
    { "http://", false }, { "https://", true }, { "ws://", false }, { "wss://", true },
};

static const char *read_scheme(struct endpoint *self, const char *at)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t size = strlen(schemes[i].prefix);
        if (strncasecmp(at, schemes[i].prefix, size) == 0) {
            self->tls = schemes[i].tls;
            return at + size;
        }
    }
    return NULL;
}

static const char *read_host(struct endpoint *self, const char *at)
{
    bool is_ip6 = *at == '[';
    const char *from = at + is_ip6;
    size_t size = is_ip6 ? strcspn(from, "]") : strcspn(from, ":/");
    if (size == 0 || size >= sizeof self->host || (is_ip6 && from[size] != ']'))
        return NULL;
    if (is_ip6 ? strspn(from, "0123456789abcdefABCDEF:.%_") < size : strcspn(from, " \t\"\\[]<>") < size)
        return NULL;
    memcpy(self->host, from, size);
    self->host[size] = '\0';
    return from + size + is_ip6;
}

static const char *read_port(struct endpoint *self, const char *at)
{
    self->port = self->tls ? 443 : 80;
    if (*at != ':')
        return *at == '/' || *at == '\0' ? at : NULL;
    size_t digits = strspn(++at, "0123456789");
    if (digits == 0 || digits > 5 || (at[digits] != '/' && at[digits] != '\0'))
        return NULL;
    self->port = atoi(at);
    return self->port >= 1 && self->port <= 65535 ? at + digits : NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static int set_path(struct endpoint *self, const char *path)
{
    if (strcspn(path, " \t\r\n\"\\") < strlen(path) || strlen(path) + sizeof "/api/websocket" > sizeof self->path)
        return -1;
    strcpy(self->path, path);
    size_t size = strlen(self->path);
    while (size > 0 && self->path[size - 1] == '/')
        self->path[--size] = '\0';
    bool is_supervisor = strcasecmp(self->host, "supervisor") == 0;
    if (is_supervisor && strcmp(self->path, "/core") == 0)
        strcat(self->path, "/websocket");
    else if (is_supervisor && strcmp(self->path, "/core/api") == 0)
        strcpy(self->path, "/core/websocket");
    else if (ends_with(self->path, "/api"))
        strcat(self->path, "/websocket");
    else if (!ends_with(self->path, "/api/websocket") && !(is_supervisor && ends_with(self->path, "/core/websocket")))
        strcat(self->path, "/api/websocket");
    return 0;
}

static int set_token(struct endpoint *self, struct slice token)
{
    if (token.size == 0 || token.size >= sizeof self->token)
        return -1;
    memcpy(self->token, token.data, token.size);
    self->token[token.size] = '\0';
    return strspn(self->token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+/=~") == token.size ? 0 : -1;
}

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -1;
}

int endpoint_read(struct endpoint *self, struct slice url, struct slice token, const char **why)
{
    char text[513];
    *self = (struct endpoint){ 0 };
    if (url.size >= sizeof text || memchr(url.data, '\0', url.size))
        return refuse(why, "the URL is too long");
    memcpy(text, url.data, url.size);
    text[url.size] = '\0';
    const char *at = read_scheme(self, text);
    for (const char *c = text; *c; c++)
        if (*c > 0 && (*c <= ' ' || *c == 0x7f))
            return refuse(why, "the URL must not hold a space or a control character");
    if (!at)
        return refuse(why, "the URL must begin with http://, https://, ws:// or wss://");
    if (strcspn(at, "@") < strcspn(at, "/"))
        return refuse(why, "the URL must not hold a user name");
    if (strcspn(at, "?#") < strlen(at))
        return refuse(why, "the URL must not hold a query");
    if (!(at = read_host(self, at)))
        return refuse(why, "the URL names no host");
    if (!(at = read_port(self, at)))
        return refuse(why, "the URL's port is not a number from 1 to 65535");
    if (set_path(self, at))
        return refuse(why, "the URL's path cannot be read");
    if (set_token(self, token))
        return refuse(why, "the token is empty or has characters that no token has");
    bool is_ip6 = strchr(self->host, ':') != NULL;
    snprintf(self->url, sizeof self->url, "%s://%s%s%s:%d%.300s", self->tls ? "wss" : "ws", is_ip6 ? "[" : "", self->host,
        is_ip6 ? "]" : "", self->port, self->path);
    return 0;
}

/* --- the plan -------------------------------------------------------------------------- */

int64_t plan_delay_us(const struct plan *self, int n, double random)
{
    int64_t base = self->retry_min_us;
    for (int i = 1; i < n && base < self->retry_max_us; i++)
        base *= 2;
    if (n < 1)
        base = 0;
    if (base > self->retry_max_us)
        base = self->retry_max_us;
    double least = 0.9 * (double)base, most = 1.1 * (double)base;
    if (most > (double)self->retry_max_us)
        most = (double)self->retry_max_us;
    if (least > most)
        least = most;
    int64_t delay = (int64_t)(least + random * (most - least));
    return delay < FLOOR_US ? FLOOR_US : delay;
}

static bool is_refused(const struct plan *self, int endpoint, int64_t clock_us)
{
    return self->refused_until_us[endpoint] > clock_us;
}

bool plan_all_refused(const struct plan *self, int64_t clock_us)
{
    for (int i = 0; i < self->count; i++)
        if (!is_refused(self, i, clock_us))
            return false;
    return self->count > 0;
}

/* The next endpoint of this round from `from` on that has not refused us; else a new round. */
static void aim(struct plan *self, int from, int64_t clock_us, double random)
{
    for (self->next = from; self->next < self->count; self->next++)
        if (!is_refused(self, self->next, clock_us)) {
            self->due_us = clock_us + FLOOR_US;
            return;
        }
    self->failures++;
    self->due_us = clock_us + plan_delay_us(self, self->failures, random);
    self->next = 0;
    int64_t soonest = INT64_MAX;
    for (int i = self->count - 1; i >= 0; i--) {
        int64_t at = is_refused(self, i, self->due_us) ? self->refused_until_us[i] : self->due_us;
        if (at <= soonest) {
            soonest = at;
            self->next = i;
        }
    }
    self->due_us = soonest;
}

void plan_start(struct plan *self, int64_t clock_us)
{
    assert(self->count > 0 && self->count <= MAX_ENDPOINTS);
    self->next = 0;
    self->due_us = clock_us;
    self->failures = 0;
}

int plan_dial(const struct plan *self, int64_t clock_us)
{
    return clock_us >= self->due_us && !is_refused(self, self->next, clock_us) ? self->next : -1;
}

void plan_failed(struct plan *self, int endpoint, int64_t clock_us, double random)
{
    aim(self, endpoint + 1, clock_us, random);
}

void plan_refused(struct plan *self, int endpoint, int64_t clock_us, double random)
{
    self->refused_until_us[endpoint] = clock_us + self->auth_retry_us;
    aim(self, endpoint + 1, clock_us, random);
}

void plan_live(struct plan *self, int endpoint, int64_t clock_us)
{
    self->failures = 0;
    self->refused_until_us[endpoint] = 0;
    self->better_due_us = clock_us + self->better_us;
    self->better_next = 0;
}

void plan_lost(struct plan *self, int64_t clock_us, double random)
{
    aim(self, self->count, clock_us, random);
}

int plan_better(struct plan *self, int endpoint, int64_t clock_us)
{
    if (endpoint <= 0 || clock_us < self->better_due_us)
        return -1;
    for (int i = 0; i < endpoint; i++) {
        int candidate = (self->better_next + i) % endpoint;
        if (is_refused(self, candidate, clock_us))
            continue;
        self->better_next = candidate + 1;
        if (self->better_next >= endpoint)
            self->better_next = 0;
        /* All better ones are tried within one better_us. */
        self->better_due_us = clock_us + (self->better_next == 0 ? self->better_us : FLOOR_US);
        return candidate;
    }
    self->better_due_us = clock_us + self->better_us;
    return -1;
}
