/* fetch.c - HTTP out, one request at a time, each attempt by a program of its own (actors/fetch).
 *
 * The program lives for as long as the request takes. It is told everything over a socket and answers over it; that it has ended is the socket's
 * end, so that this is all that the loop watches. What it says is read with distrust, and where it hangs it is killed. A request
 * that meets a 5xx, a 429, a broken connection or a program that dies is tried again, four times in all, with a
 * delay that doubles, or as Retry-After says; what is refused for longer than two minutes is
 * handed back at once. Redirects are followed only where no header of ours could leak. */
#include "actor_state.h"
#include "child.h"
#include "fetch_answer.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ATTEMPTS = 4, BACK_OFF_MS = 500, RETRY_AFTER_MAX_S = 120, VALIDATORS = 16,
    BODY_MAX = 1024 * 1024, TIMEOUT_MS = 10000, URL_MAX = 8192,
    GRACE_MS = 15000          /* to start and to end, beyond what the request may take: where all run before it, that is long */
};

/* What a server said of the copy that we have seen. */
struct validator { char *url, *etag, *modified; };

struct fetcher {
    bool is_open;             /* a request is */
    struct child child;
    int epoll_fd;             /* of its socket: the loop knows this one for good */
    int64_t deadline_us;      /* the child's; -1: none, or it has been killed */
    int64_t retry_us;         /* the next attempt; -1: one is under way */
    int attempt;
    const char *why;          /* what we say of the attempt ourselves, before what it says; NULL: nothing */
    bool is_hopeless;         /* ... and trying again would not help */

    msgpack_sbuffer request;  /* as it is said to each child */
    char url[URL_MAX];
    bool has_headers;         /* of the actor's: its key may be among them */
    bool is_post;
    int timeout_ms;
    fetched_fn *done;

    struct fetch_answer answer;
    char error[120];
    struct validator validators[VALIDATORS];
    size_t validators_next;
    uint64_t random;
};

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
    const struct fetch_answer *answer = &self->answer;
    struct validator *validator = find_validator(self, self->url);
    if (!*answer->etag && !*answer->modified) {
        if (validator)
            free_validator(validator);
        return;
    }
    if (!validator)
        validator = &self->validators[self->validators_next++ % VALIDATORS];
    free_validator(validator);
    *validator = (struct validator){ strdup(self->url), strdup(answer->etag), strdup(answer->modified) };
    assert(validator->url && validator->etag && validator->modified);
}

/* --- the program -------------------------------------------------------------------------------------- */

/* 0, or an errno: there is none then. The whole request fits into the socket, so nobody waits. */
static int start_child(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    int rc = child_start(&self->child, actor->fetch_program ? actor->fetch_program : "fetch");
    if (rc)
        return rc;
    struct epoll_event event = { .events = EPOLLIN };
    epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->child.fd, &event);
    if (send(self->child.fd, self->request.data, self->request.size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)self->request.size)
        kill(self->child.pid, SIGKILL); /* or it is dead already; its end comes as that of any other */
    return 0;
}

/* Says nothing more to it: the socket's end is next. */
static void kill_child(struct fetcher *self, const char *why, bool is_hopeless)
{
    self->why = why;
    self->is_hopeless = is_hopeless;
    self->deadline_us = -1;
    kill(self->child.pid, SIGKILL);
}

/* --- a request ------------------------------------------------------------------------------------ */

static void say(struct fetcher *self, enum fetch_tag tag, const void *bytes, size_t size)
{
    char head[FETCH_HEAD] = { (char)tag };
    uint32_t told = (uint32_t)size;
    memcpy(head + 1, &told, sizeof told);
    msgpack_sbuffer_write(&self->request, head, sizeof head);
    msgpack_sbuffer_write(&self->request, bytes, size);
}

static void say_header(struct fetcher *self, const char *name, const char *value)
{
    char line[1024];
    int size = snprintf(line, sizeof line, "%s: %s", name, value);
    say(self, FETCH_HEADER, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
}

/* -1: a header that would not fit or would break out of its line. */
static int say_headers(struct fetcher *self, const struct fetch *fetch)
{
    for (size_t i = 0; i < sizeof fetch->headers / sizeof *fetch->headers && fetch->headers[i].name; i++) {
        const struct pair *pair = &fetch->headers[i];
        if (strpbrk(pair->value, "\r\n") || strlen(pair->name) + strlen(pair->value) > 1000)
            return -1;
        say_header(self, pair->name, pair->value);
        self->has_headers = true;
    }
    return 0;
}

/* RFC 3986: what is not unreserved is escaped. */
static size_t add_escaped(char *to, size_t n, const char *text)
{
    for (; *text && n < URL_MAX; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = c < 0x80 && (isalnum(c) || strchr("-._~", c));
        n += (size_t)snprintf(to + n, URL_MAX - n, is_plain ? "%c" : "%%%02X", c);
    }
    return n;
}

/* -1: it is too long. */
static int say_url(struct fetcher *self, const struct fetch *fetch)
{
    size_t n = (size_t)snprintf(self->url, URL_MAX, "%s", fetch->url);
    char mark = strchr(fetch->url, '?') ? '&' : '?';
    for (size_t i = 0; i < sizeof fetch->query / sizeof *fetch->query && fetch->query[i].name && n + 1 < URL_MAX; i++, mark = '&') {
        self->url[n++] = mark;
        n = add_escaped(self->url, n, fetch->query[i].name);
        if (n + 1 < URL_MAX)
            self->url[n++] = '=';
        n = add_escaped(self->url, n, fetch->query[i].value);
    }
    if (n + 1 >= URL_MAX)
        return -1;
    self->url[n] = '\0';
    say(self, FETCH_URL, self->url, n);
    return 0;
}

static void say_login(struct fetcher *self, const struct fetch *fetch)
{
    char *login;
    int size = asprintf(&login, "%s:%s", fetch->user, fetch->password ? fetch->password : "");
    if (size < 0)
        abort();
    say(self, FETCH_LOGIN, login, (size_t)size);
    free(login);
}

static void say_way(struct fetcher *self, const struct fetch *fetch)
{
    struct fetch_way way;
    memset(&way, 0, sizeof way);
    way.body_max = self->answer.body_max;
    way.timeout_ms = (uint32_t)self->timeout_ms;
    way.follows = !self->has_headers && !self->is_post && !fetch->user; /* what is posted is followed nowhere, as little as a key */
    way.is_digest = fetch->is_digest;
    way.is_unverified = fetch->is_unverified;
    say(self, FETCH_GO, &way, sizeof way);
}

/* -1: it is too long, or breaks out of its line. */
static int say_request(struct fetcher *self, const struct fetch *fetch)
{
    if (say_url(self, fetch) || say_headers(self, fetch))
        return -1;
    if (fetch->user)
        say_login(self, fetch);
    if (fetch->ca_file)
        say(self, FETCH_CA, fetch->ca_file, strlen(fetch->ca_file));
    if (self->is_post) {
        say_header(self, "Content-Type", "application/json");
        say(self, FETCH_POST, fetch->body.data, fetch->body.size);
    }
    const struct validator *known = fetch->is_unconditional || self->is_post ? NULL : find_validator(self, self->url);
    if (known && *known->etag)
        say_header(self, "If-None-Match", known->etag);
    if (known && *known->modified)
        say_header(self, "If-Modified-Since", known->modified);
    say_way(self, fetch);
    return self->request.size <= FETCH_REQUEST ? 0 : -1;
}

static void work(actor_t *);
static int64_t due_us(const actor_t *);
static void destroy(actor_t *);
static const struct fetch_ops ops = { work, due_us, destroy };

/* What was said may have held a key. */
static void close_request(struct fetcher *self)
{
    if (self->request.data)
        explicit_bzero(self->request.data, self->request.alloc);
    msgpack_sbuffer_destroy(&self->request);
    msgpack_sbuffer_init(&self->request);
    self->is_open = self->has_headers = false;
    self->retry_us = -1;
}

static struct fetcher *new_fetcher(actor_t *actor)
{
    struct fetcher *self = calloc(1, sizeof *self);
    assert(self);
    actor->fetcher = self;
    actor->fetch_ops = &ops;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(self->epoll_fd >= 0);
    self->child.fd = -1;
    self->deadline_us = self->retry_us = -1;
    self->random = ((uint64_t)actor->clock_us ^ (uint64_t)getpid() << 32) | 1;
    actor_watch(actor, self->epoll_fd);
    return self;
}

static void begin_attempt(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    self->retry_us = -1;
    self->attempt++;
    self->why = NULL;
    self->is_hopeless = false;
    fetch_answer_begin(&self->answer);
    int rc = start_child(actor);
    int grace_ms = actor->fetch_grace_ms ? actor->fetch_grace_ms : GRACE_MS;
    self->deadline_us = actor->clock_us + (rc ? 0 : (int64_t)(self->timeout_ms + grace_ms) * 1000);
    if (rc) {
        snprintf(self->error, sizeof self->error, "the program fetch cannot be started: %s", strerror(rc));
        self->why = self->error;
    }
}

int actor_fetch(actor_t *actor, const struct fetch *fetch)
{
    struct fetcher *self = actor->fetcher ? actor->fetcher : new_fetcher(actor);
    if (self->is_open)
        return -1;
    self->is_open = true;
    self->answer.body_max = fetch->body_max ? fetch->body_max : BODY_MAX;
    self->timeout_ms = fetch->timeout_ms ? fetch->timeout_ms : TIMEOUT_MS;
    self->done = fetch->done;
    self->is_post = fetch->body.size > 0;
    self->attempt = 0;
    if (say_request(self, fetch)) {
        actor_error(actor, "a request is too long or holds a line break");
        close_request(self);
        return -1;
    }
    begin_attempt(actor);
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

/* What kept us from an answer; NULL: nothing did. */
static const char *error_of(struct fetcher *self, int status)
{
    const struct fetch_answer *answer = &self->answer;
    if (self->why)
        return self->why;
    if (!answer->is_whole) {
        snprintf(self->error, sizeof self->error, "the program fetch ended without an answer: %s %d",
            WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return self->error;
    }
    if (answer->end.is_too_large)
        return "the body is too large";
    return *answer->error ? answer->error : NULL;
}

static bool may_help(const struct fetcher *self, const char *error)
{
    const struct fetch_end *end = &self->answer.end;
    if (self->attempt >= ATTEMPTS || self->is_hopeless || end->is_final || end->retry_after_s > RETRY_AFTER_MAX_S)
        return false;
    return error || end->status == 429 || end->status >= 500;
}

static void hand_over(actor_t *actor, const char *error)
{
    struct fetcher *self = actor->fetcher;
    const struct fetch_end *end = &self->answer.end;
    if (!error && end->status == 200 && !self->is_post)
        remember_validator(self);
    char words[sizeof self->answer.error] = "";
    snprintf(words, sizeof words, "%s", error ? error : "");
    struct fetched fetched = { .status = end->status, .not_modified = !error && end->status == 304, .error = error ? words : NULL,
        .body = { self->answer.body.data, self->answer.body.size }, .attempts = self->attempt, .retry_after_s = end->retry_after_s };
    msgpack_sbuffer body = self->answer.body;  /* done may begin the next request */
    msgpack_sbuffer_init(&self->answer.body);
    close_request(self);
    self->done(actor->self, actor, &fetched);
    msgpack_sbuffer_destroy(&body);
    if (!self->is_open)
        malloc_trim(0);
}

/* The attempt is over, and its program, where there was one, is no more. */
static void look_at_end(actor_t *actor, int status)
{
    struct fetcher *self = actor->fetcher;
    if (!self->answer.is_whole)
        self->answer.end = (struct fetch_end){ .retry_after_s = -1 };
    const char *error = error_of(self, status);
    const struct fetch_end *end = &self->answer.end;
    if (!may_help(self, error)) {
        hand_over(actor, error);
        return;
    }
    int64_t delay_us = end->retry_after_s >= 0 ? end->retry_after_s * 1000000
        : jitter(self, (int64_t)BACK_OFF_MS * 1000 << (self->attempt - 1));
    self->retry_us = actor->clock_us + delay_us;
    actor_debug(actor, "a request is tried again in %lld ms: %s, status %d", (long long)(delay_us / 1000),
        error ? error : "no error", end->status);
}

/* Takes what there is to read: false when that was the end. */
static bool take_answer(struct fetcher *self)
{
    char bytes[16384];
    for (;;) {
        ssize_t n = recv(self->child.fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (self->why)
            continue; /* it has been killed: nobody listens any more */
        enum fetch_verdict verdict = fetch_answer_take(&self->answer, bytes, (size_t)n);
        if (verdict == FETCH_TOO_LARGE)
            kill_child(self, "the body is too large", true);
        else if (verdict == FETCH_NONSENSE)
            kill_child(self, "the program fetch says nonsense", true);
    }
}

static void work(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    if (!self || !self->is_open)
        return;
    if (self->retry_us >= 0) {
        if (self->retry_us <= actor->clock_us)
            begin_attempt(actor);
        return;
    }
    bool is_due = self->deadline_us >= 0 && self->deadline_us <= actor->clock_us;
    if (!self->child.pid) {
        if (is_due)
            look_at_end(actor, 0);
        return;
    }
    if (!take_answer(self))
        look_at_end(actor, child_end(&self->child));
    else if (is_due)
        kill_child(self, "the program fetch hung and was killed", false);
}

static int64_t due_us(const actor_t *actor)
{
    const struct fetcher *self = actor->fetcher;
    if (!self || !self->is_open)
        return -1;
    return self->retry_us >= 0 ? self->retry_us : self->deadline_us;
}

static void destroy(actor_t *actor)
{
    struct fetcher *self = actor->fetcher;
    if (!self)
        return;
    child_end(&self->child);
    close_request(self);
    close(self->epoll_fd);
    for (size_t i = 0; i < VALIDATORS; i++)
        free_validator(&self->validators[i]);
    msgpack_sbuffer_destroy(&self->answer.body);
    free(self);
    actor->fetcher = NULL;
}
