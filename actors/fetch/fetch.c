/* fetch.c - one HTTP request, then the end: a program of its own, the only one with libcurl.
 *
 * An actor asks a provider every quarter of an hour; what curl, TLS and the thirty libraries behind them keep in memory meanwhile is
 * more than the actor itself, and what breaks in them breaks here. The request comes over standard input, the answer goes
 * over standard output (actors/runtime/fetch_wire.h); whoever asks bounds the time, and this ends with it. */
#include "fetch_wire.h"

#include <curl/curl.h>
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { REDIRECTS = 3, EXIT_USAGE = 100, EXIT_WORLD = 111 };

struct request {
    char *url, *login, *ca_file, *post;
    size_t post_size;
    struct curl_slist *headers;
    struct fetch_way way;

    size_t body_size;
    bool is_too_large, is_deaf;      /* nobody takes what we say */
    char etag[FETCH_WORDS], modified[FETCH_DATE];
    long retry_after_s;
};

/* --- the actor's side --------------------------------------------------------------------------------- */

static int read_whole(void *to, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(STDIN_FILENO, (char *)to + got, size - got);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return -1;
        got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_whole(const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, (const char *)from + done, size - done);
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void say(struct request *self, enum fetch_tag tag, const void *bytes, size_t size)
{
    unsigned char head[FETCH_HEAD] = { (unsigned char)tag };
    uint32_t told = (uint32_t)size;
    memcpy(head + 1, &told, sizeof told);
    if (!self->is_deaf && (write_whole(head, sizeof head) || write_whole(bytes, size)))
        self->is_deaf = true;
}

/* Bytes that end with 0, which nobody counts. NULL: there are not so many, or too many. */
static char *read_bytes(uint32_t size)
{
    char *text = size <= FETCH_REQUEST ? malloc(size + 1) : NULL;
    if (!text || read_whole(text, size)) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

static int take_field(struct request *self, unsigned char tag, char *text, uint32_t size)
{
    char **to = tag == FETCH_URL ? &self->url : tag == FETCH_LOGIN ? &self->login : tag == FETCH_CA ? &self->ca_file
        : tag == FETCH_POST ? &self->post : NULL;
    if (tag == FETCH_HEADER) {
        struct curl_slist *longer = curl_slist_append(self->headers, text);
        self->headers = longer ? longer : self->headers;
        free(text);
        return longer ? 0 : -1;
    }
    if (!to || *to) {
        free(text);
        return -1;
    }
    *to = text;
    if (tag == FETCH_POST)
        self->post_size = size;
    return 0;
}

/* -1: what comes is no request. */
static int read_request(struct request *self)
{
    unsigned char head[FETCH_HEAD];
    uint32_t size;
    while (read_whole(head, sizeof head) == 0) {
        memcpy(&size, head + 1, sizeof size);
        if (head[0] == FETCH_GO)
            return size == sizeof self->way && self->url ? read_whole(&self->way, size) : -1;
        char *text = read_bytes(size);
        if (!text || take_field(self, head[0], text, size))
            return -1;
    }
    return -1;
}

/* Its end of the socket has been closed. */
static bool has_gone(void)
{
    struct pollfd there = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&there, 1, 0) > 0 && there.revents & (POLLHUP | POLLERR);
}

/* --- curl's side -------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct request *self = owner;
    size_t bytes = size * count;
    if (bytes > self->way.body_max - self->body_size) {
        self->is_too_large = true;
        return 0;
    }
    self->body_size += bytes;
    for (size_t done = 0, n; done < bytes; done += n) {
        n = bytes - done < FETCH_PIECE ? bytes - done : FETCH_PIECE;
        say(self, FETCH_BODY, data + done, n);
    }
    return self->is_deaf ? 0 : bytes;
}

/* Copies the header's value if it is the one named; what does not fit is none. */
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
    bool fits = n < room;
    for (size_t i = 0; i < n; i++)
        fits = fits && (unsigned char)at[i] >= ' ' && at[i] != 0x7f; /* it will be said in a header of ours */
    if (fits)
        memcpy(to, at, n);
    to[fits ? n : 0] = '\0';
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
    struct request *self = owner;
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

/* Where each certificate has a link by its hash, as on Debian, TLS reads the one that it wants and not all of them, which
 * is the default and takes longer than the rest. */
static bool has_hashes(void)
{
    glob_t found;
    bool has = glob("/etc/ssl/certs/????????.0", GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return has;
}

static void set_trust(CURL *easy, const struct request *self)
{
    if (self->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, self->ca_file);
    } else if (has_hashes()) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    }
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, self->way.is_unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, self->way.is_unverified ? 0L : 2L);
}

static void set_options(CURL *easy, struct request *self)
{
    curl_easy_setopt(easy, CURLOPT_URL, self->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, self->way.follows ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)(self->way.is_digest ? CURLAUTH_DIGEST : CURLAUTH_BASIC));
    curl_easy_setopt(easy, CURLOPT_USERPWD, self->login);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)self->way.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ha-ingestor/" SUITE_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    if (self->post) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)self->post_size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, self->post);
    }
}

/* --- the whole ---------------------------------------------------------------------------------------- */

static void tell(struct request *self, CURLcode code, long status)
{
    struct fetch_end end;
    const char *error = curl_easy_strerror(code);
    memset(&end, 0, sizeof end);
    end.retry_after_s = self->retry_after_s > INT32_MAX ? INT32_MAX : self->retry_after_s;
    end.status = (int32_t)status;
    end.is_too_large = self->is_too_large;
    end.is_final = self->is_too_large || code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_PEER_FAILED_VERIFICATION;
    say(self, FETCH_ETAG, self->etag, strlen(self->etag));
    say(self, FETCH_MODIFIED, self->modified, strlen(self->modified));
    if (code != CURLE_OK)
        say(self, FETCH_ERROR, error, strlen(error));
    say(self, FETCH_END, &end, sizeof end);
}

static int run(struct request *self)
{
    long status = 0;
    CURL *easy = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_easy_init();
    if (!easy)
        return EXIT_WORLD;
    set_options(easy, self);
    set_trust(easy, self);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    tell(self, code, status < 0 || status > 999 ? 0 : status);
    curl_easy_cleanup(easy);
    return self->is_deaf ? EXIT_WORLD : 0;
}

int main(int argc, char **argv)
{
    struct request request = { .retry_after_s = -1 };
    (void)argv;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* who ended before this line is looked for below */
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fprintf(stderr, "fetch: an actor starts it to ask for something over HTTP; it is of no use by hand\n");
        return EXIT_USAGE;
    }
    int code = read_request(&request) ? EXIT_USAGE : has_gone() ? EXIT_WORLD : run(&request);
    curl_slist_free_all(request.headers);
    free(request.url);
    free(request.login);
    free(request.ca_file);
    free(request.post);
    return code;
}
