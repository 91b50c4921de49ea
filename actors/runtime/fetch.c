/* fetch.c - HTTP out, one request at a time; the only file that knows libcurl.
 *
 * All of curl's sockets lie behind one epoll descriptor, which the loop watches. A request
 * that meets a 5xx, a 429 or a broken connection is tried again, four times in all, with a
 * delay that doubles, or as Retry-After says; what is refused for longer than two minutes is
 * handed back at once. Redirects are followed only where no header of ours could leak. */
#include "actor_state.h"

#include <assert.h>
#include <curl/curl.h>
#include <glob.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ATTEMPTS = 4, BACK_OFF_MS = 500, RETRY_AFTER_MAX_S = 120, VALIDATORS = 16,
    BODY_MAX = 1024 * 1024, TIMEOUT_MS = 10000, REDIRECTS = 3, URL_MAX = 8192
};

/* What a server said of the copy that we have seen. */
struct validator { char *url, *etag, *modified; };

struct fetcher {
    CURLM *multi;
    CURL *easy;               /* NULL: no request is open */
    int epoll_fd;
    int64_t timer_us;         /* curl's; -1: none */
    int64_t retry_us;         /* the next attempt; -1: one is under way */
    int attempt;

    char url[URL_MAX];
    struct curl_slist *headers;
    bool has_headers;         /* of the actor's: its key may be among them */
    bool is_post;
    char *login;              /* user:password, or NULL */
    long authentication;      /* as curl calls it */
    size_t body_max;
    int timeout_ms;
    fetched_fn *done;

    msgpack_sbuffer body;
    bool is_too_large;
    long retry_after_s;       /* -1: not said */
    char etag[256], modified[64];
    struct validator validators[VALIDATORS];
    size_t validators_next;
    uint64_t random;
};

/* --- curl's side ------------------------------------------------------------------------------ */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *known)
{
    struct fetcher *self = owner;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event event = { .events = events, .data.fd = fd };
    epoll_ctl(self->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    curl_multi_assign(self->multi, fd, self);
    return 0;
}

/* Called from inside curl, where the clock is not at hand: 0 is now, else milliseconds from
 * the start of the turn that asks for the time that is due. */
static int on_timer(CURLM *multi, long timeout_ms, void *owner)
{
    actor_t *actor = owner;
    (void)multi;
    actor->fetcher->timer_us = timeout_ms < 0 ? -1 : actor->clock_us + (int64_t)timeout_ms * 1000;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct fetcher *self = owner;
    size_t bytes = size * count;
    if (bytes > self->body_max - self->body.size) {
        self->is_too_large = true;
        return 0;
    }
    msgpack_sbuffer_write(&self->body, data, bytes);
    return bytes;
}

/* Copies the header's value if it is the one named. */
static bool take_header(const char *line, size_t size, const char *name, char *to, size_t room)
{
    size_t length = strlen(name);
    if (size <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
        return false;
    const char *at = line + length + 1, *end = line + size;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t n = (size_t)(end - at);
    if (n < room)
        memcpy(to, at, n);
    to[n < room ? n : 0] = '\0';
    return true;
}

/* Seconds, or a date. */
static long read_retry_after(const char *text)
{
    char *end;
    long seconds = strtol(text, &end, 10);
    if (end != text && !*end)
        return seconds < 0 ? 0 : seconds;
    time_t at = curl_getdate(text, NULL), now = time(NULL);
    return at == -1 ? -1 : at > now ? (long)(at - now) : 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *owner)
{
    struct fetcher *self = owner;
    size_t bytes = size * count;
    char text[64];
    if (bytes > 5 && memcmp(line, "HTTP/", 5) == 0) {  /* a new answer: after a redirect, too */
        self->retry_after_s = -1;
        *self->etag = *self->modified = '\0';
    }
    take_header(line, bytes, "etag", self->etag, sizeof self->etag);
    take_header(line, bytes, "last-modified", self->modified, sizeof self->modified);
    if (take_header(line, bytes, "retry-after", text, sizeof text))
        self->retry_after_s = read_retry_after(text);
    return bytes;
}

/* --- validators --------------------------------------------------------------------------------- */

static struct validator *find_validator(struct fetcher *self, const char *url)
{
    for (size_t i = 0; i < VALIDATORS; i++)
        if (self->validators[i].url && strcmp(self->validators[i].url, url) == 0)
            return &self->validators[i];
    return NULL;
}

static void free_validator(struct validator *validator)
{
    free(validator->url);
    free(validator->etag);
    free(validator->modified);
    *validator = (struct validator){ 0 };
}

static void remember_validator(struct fetcher *self)
{
    struct validator *validator = find_validator(self, self->url);
    if (!*self->etag && !*self->modified) {
        if (validator)
            free_validator(validator);
        return;
    }
    if (!validator)
        validator = &self->validators[self->validators_next++ % VALIDATORS];
    free_validator(validator);
    *validator = (struct validator){ strdup(self->url), strdup(self->etag), strdup(self->modified) };
    assert(validator->url && validator->etag && validator->modified);
}

/* --- a request ------------------------------------------------------------------------------------ */

static void add_header(struct fetcher *self, const char *name, const char *value)
{
    char line[1024];
    snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(self->headers, line);
    assert(longer);
    self->headers = longer;
}

/* -1: a header that would not fit or would break out of its line, or a URL that is too long. */
static int take_headers(struct fetcher *self, const struct fetch *fetch)
{
    for (size_t i = 0; i < sizeof fetch->headers / sizeof *fetch->headers && fetch->headers[i].name; i++) {
        const struct pair *pair = &fetch->headers[i];
        if (strpbrk(pair->value, "\r\n") || strlen(pair->name) + strlen(pair->value) > 1000)
            return -1;
        add_header(self, pair->name, pair->value);
        self->has_headers = true;
    }
    return 0;
}

static int build_url(struct fetcher *self, const struct fetch *fetch)
{
    size_t n = (size_t)snprintf(self->url, URL_MAX, "%s", fetch->url);
    char mark = strchr(fetch->url, '?') ? '&' : '?';
    for (size_t i = 0; i < sizeof fetch->query / sizeof *fetch->query && fetch->query[i].name && n < URL_MAX; i++, mark = '&') {
        char *name = curl_easy_escape(self->easy, fetch->query[i].name, 0);
        char *value = curl_easy_escape(self->easy, fetch->query[i].value, 0);
        assert(name && value);
        n += (size_t)snprintf(self->url + n, URL_MAX - n, "%c%s=%s", mark, name, value);
        curl_free(name);
        curl_free(value);
    }
    return n < URL_MAX ? 0 : -1;
}

/* Where each certificate has a link by its hash, as on Debian, TLS reads the one that it wants: all of them, which is
 * the default, leave 0.8 MB behind in pieces. */
static bool has_hashes(void)
{
    glob_t found;
    bool has = glob("/etc/ssl/certs/????????.0", GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return has;
}

static void set_trust(CURL *easy, const struct fetch *fetch)
{
    if (fetch->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, fetch->ca_file);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, fetch->is_unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, fetch->is_unverified ? 0L : 2L);
}

static void set_options(struct fetcher *self, struct slice body)
{
    CURL *easy = self->easy;
    curl_easy_setopt(easy, CURLOPT_URL, self->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, self->has_headers || self->login ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, self->authentication);
    curl_easy_setopt(easy, CURLOPT_USERPWD, self->login);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);       /* the next one is minutes away, */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);   /* and what TLS keeps until then is 2 MB */
    if (has_hashes()) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    }
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)self->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ha-ingestor/" SUITE_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    if (self->is_post) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body.size);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.data);
    }
}

static void begin_attempt(struct fetcher *self)
{
    self->retry_us = -1;
    self->retry_after_s = -1;
    self->attempt++;
    self->is_too_large = false;
    self->body.size = 0;
    *self->etag = *self->modified = '\0';
    curl_multi_add_handle(self->multi, self->easy);
}

static void work(actor_t *);
static int64_t due_us(const actor_t *);
static void destroy(actor_t *);
static const struct fetch_ops ops = { work, due_us, destroy };

static void close_request(struct fetcher *self)
{
    if (self->easy)
        curl_easy_cleanup(self->easy);
    curl_slist_free_all(self->headers);
    self->easy = NULL;
    free(self->login);
    self->headers = NULL;
    self->login = NULL;
    self->has_headers = false;
    self->retry_us = -1;
}

static struct fetcher *new_fetcher(actor_t *actor)
{
    struct fetcher *self = calloc(1, sizeof *self);
    assert(self);
    actor->fetcher = self;
    actor->fetch_ops = &ops;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    self->multi = curl_multi_init();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(self->multi && self->epoll_fd >= 0);
    self->timer_us = self->retry_us = -1;
    self->random = ((uint64_t)actor->clock_us ^ (uint64_t)getpid() << 32) | 1;
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERDATA, actor);
    actor_watch(actor, self->epoll_fd);
    return self;
}

int actor_fetch(actor_t *actor, const struct fetch *fetch)
{
    struct fetcher *self = actor->fetcher ? actor->fetcher : new_fetcher(actor);
    if (self->easy)
        return -1;
    self->easy = curl_easy_init();
    assert(self->easy);
    self->body_max = fetch->body_max ? fetch->body_max : BODY_MAX;
    self->timeout_ms = fetch->timeout_ms ? fetch->timeout_ms : TIMEOUT_MS;
    self->done = fetch->done;
    self->is_post = fetch->body.size > 0;
    self->authentication = (long)(fetch->is_digest ? CURLAUTH_DIGEST : CURLAUTH_BASIC);
    self->attempt = 0;
    if (build_url(self, fetch) || take_headers(self, fetch)) {
        actor_error(actor, "a request is too long or holds a line break");
        close_request(self);
        return -1;
    }
    if (fetch->user && asprintf(&self->login, "%s:%s", fetch->user, fetch->password ? fetch->password : "") < 0)
        abort();
    if (self->is_post) {
        add_header(self, "Content-Type", "application/json");
        self->has_headers = true; /* what is posted is followed nowhere */
    }
    const struct validator *known = fetch->is_unconditional || self->is_post ? NULL : find_validator(self, self->url);
    bool has_headers = self->has_headers;
    if (known && *known->etag)
        add_header(self, "If-None-Match", known->etag);
    if (known && *known->modified)
        add_header(self, "If-Modified-Since", known->modified);
    self->has_headers = has_headers;
    set_options(self, fetch->body);
    set_trust(self->easy, fetch);
    begin_attempt(self);
    return 0;
}

/* --- its end ----------------------------------------------------------------------------------------- */

/* Half to all of the delay. */
static int64_t jitter(struct fetcher *self, int64_t us)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return us / 2 + (int64_t)(self->random % (uint64_t)(us / 2 + 1));
}

static bool may_help(const struct fetcher *self, CURLcode code, long status)
{
    if (self->attempt >= ATTEMPTS || self->is_too_large || self->retry_after_s > RETRY_AFTER_MAX_S)
        return false;
    return code == CURLE_OK ? status == 429 || status >= 500
        : code != CURLE_URL_MALFORMAT && code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_PEER_FAILED_VERIFICATION;
}

static void finish(actor_t *actor, CURLcode code)
{
    struct fetcher *self = actor->fetcher;
    long status = 0;
    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(self->multi, self->easy);
    if (may_help(self, code, status)) {
        int64_t delay_us = self->retry_after_s >= 0 ? (int64_t)self->retry_after_s * 1000000
            : jitter(self, (int64_t)BACK_OFF_MS * 1000 << (self->attempt - 1));
        self->retry_us = actor->clock_us + delay_us;
        actor_debug(actor, "a request is tried again in %lld ms: %s, status %ld", (long long)(delay_us / 1000),
            curl_easy_strerror(code), status);
        return;
    }
    if (code == CURLE_OK && status == 200 && !self->is_post)
        remember_validator(self);
    struct fetched fetched = { .status = status, .not_modified = code == CURLE_OK && status == 304,
        .body = { self->body.data, self->body.size }, .attempts = self->attempt, .retry_after_s = self->retry_after_s };
    if (code != CURLE_OK)
        fetched.error = self->is_too_large ? "the body is too large" : curl_easy_strerror(code);
    msgpack_sbuffer body = self->body;  /* done may begin the next request */
    msgpack_sbuffer_init(&self->body);
    close_request(self);
    self->done(actor->self, actor, &fetched);
    msgpack_sbuffer_destroy(&body);
    if (!self->easy)
        malloc_trim(0);
}

static void look_for_end(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(self->multi, &left));)
        if (message->msg == CURLMSG_DONE)
            finish(actor, message->data.result);
}

static void work(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    struct epoll_event events[8];
    int running;
    if (!self || !self->easy)
        return;
    if (self->retry_us >= 0 && self->retry_us <= actor->clock_us)
        begin_attempt(self);
    if (self->timer_us >= 0 && self->timer_us <= actor->clock_us) {
        self->timer_us = -1;
        curl_multi_socket_action(self->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    int count = epoll_wait(self->epoll_fd, events, sizeof events / sizeof *events, 0);
    for (int i = 0; i < count; i++) {
        int what = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
            (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(self->multi, events[i].data.fd, what, &running);
    }
    look_for_end(actor);
}

static int64_t due_us(const actor_t *actor)
{
    const struct fetcher *self = actor->fetcher;
    if (!self || !self->easy)
        return -1;
    return self->timer_us >= 0 && (self->retry_us < 0 || self->timer_us < self->retry_us) ? self->timer_us : self->retry_us;
}

static void destroy(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    if (!self)
        return;
    if (self->easy && self->retry_us < 0)
        curl_multi_remove_handle(self->multi, self->easy);
    close_request(self);
    curl_multi_cleanup(self->multi);
    curl_global_cleanup();
    close(self->epoll_fd);
    for (size_t i = 0; i < VALIDATORS; i++)
        free_validator(&self->validators[i]);
    msgpack_sbuffer_destroy(&self->body);
    free(self);
    actor->fetcher = NULL;
}
