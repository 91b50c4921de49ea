/* log.c - one line per event on standard error: time, level, who, what. */
#include "log.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 2048, SECRET_MAX = 1024, SECRETS = 16, SECRET_MIN = 4, REPEATS = 64, MINUTE_US = 60 * 1000 * 1000 };

static const struct { const char *word; unsigned burst; } levels[] = {
    [LOG_LEVEL_DEBUG] = { "debug", 0 }, [LOG_LEVEL_INFO] = { "info", 20 },
    [LOG_LEVEL_WARN] = { "warn", 1 }, [LOG_LEVEL_ERROR] = { "error", 1 },
};

/* A format string that was seen, and what of it was left out in the minute that began then. */
struct repeat { const char *format; uint64_t of; int64_t since_us; uint64_t shown, hidden; enum log_level level; };

struct log {
    struct log_options options;
    int pipe;                    /* our own way to the pipe that options.fd is; -1: it is none */
    uint64_t lost;               /* lines that the pipe had no room for, not told yet */
    char actor[80];
    char *secrets[SECRETS];
    size_t secrets_count;
    struct repeat repeats[REPEATS];
};

static int64_t wall_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A pipe whose reader stands still (a full disk, a stopped terminal) must not stop us. The flag belongs to
 * the open file, which others share: so it is opened anew. */
static int open_pipe(int fd)
{
    struct stat status;
    char path[40];
    if (fstat(fd, &status) || !S_ISFIFO(status.st_mode))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

log_t *log_new(const struct log_options *options)
{
    log_t *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->pipe = open_pipe(options->fd);
    if (!self->options.now_us)
        self->options.now_us = wall_clock_us;
    bool has_instance = options->instance && strcmp(options->instance, "1") != 0;
    snprintf(self->actor, sizeof self->actor, "%s%s%s", options->actor, has_instance ? "." : "",
        has_instance ? options->instance : "");
    return self;
}

void log_set_level(log_t *self, enum log_level level) { self->options.level = level; }

enum log_level log_level_of(const char *word)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].word, word) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO;
}

static void add_secret(log_t *self, const char *secret)
{
    if (strlen(secret) < SECRET_MIN)
        return;
    for (size_t i = 0; i < self->secrets_count; i++)
        if (strcmp(self->secrets[i], secret) == 0)
            return;
    if (self->secrets_count == SECRETS) {  /* reloaded many times: the oldest is out of use */
        free(self->secrets[0]);
        memmove(self->secrets, self->secrets + 1, (SECRETS - 1) * sizeof *self->secrets);
        self->secrets_count--;
    }
    self->secrets[self->secrets_count] = strdup(secret);
    assert(self->secrets[self->secrets_count]);
    self->secrets_count++;
}

void log_secrets(log_t *self, const struct schema *schema, const void *message)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        const char *at = (const char *)message;
        bool is_set = *(const bool *)(at + f->has_at);
        if (is_set && f->flags & SECRET && f->kind == TEXT_KIND)
            add_secret(self, at + f->at);
    }
}

/* Each occurrence is shortened to *** in place; text shorter than that is no secret. */
static void redact(const log_t *self, char *text)
{
    for (size_t i = 0; i < self->secrets_count; i++) {
        size_t size = strlen(self->secrets[i]);
        for (char *at = text; (at = strstr(at, self->secrets[i])); at += 3) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + size, strlen(at + size) + 1);
        }
    }
}

/* Control characters as \xHH; bytes above 0x7f pass. */
static size_t escape(const char *text, char *to, size_t size)
{
    size_t n = 0;
    for (; *text && n + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != 0x7f)
            to[n++] = *text;
        else
            n += (size_t)snprintf(to + n, size - n, "\\x%02x", c);
    }
    to[n] = '\0';
    return n;
}

/* One call: lines of several processes stay whole. */
static bool write_line(const log_t *self, const char *bytes, size_t size)
{
    return write(self->pipe < 0 ? self->options.fd : self->pipe, bytes, size) == (ssize_t)size;
}

static bool say_json(const log_t *self, const char *time, enum log_level level, const char *text)
{
    msgpack_sbuffer line;
    char head[256];
    msgpack_sbuffer_init(&line);
    int size = snprintf(head, sizeof head, "{\"time\":\"%s\",\"level\":\"%s\",\"actor\":\"%s\",\"message\":", time,
        levels[level].word, self->actor);
    msgpack_sbuffer_write(&line, head, (size_t)size);
    json_write_text(slice_of(text), &line);
    msgpack_sbuffer_write(&line, "}\n", 2);
    bool is_written = write_line(self, line.data, line.size);
    msgpack_sbuffer_destroy(&line);
    return is_written;
}

static bool say(const log_t *self, int64_t now_us, enum log_level level, const char *text)
{
    char time[TIME_TEXT], line[TEXT_MAX_BYTES * 4 + 200];
    time_text(now_us > 0 ? now_us : 0, time);
    if (self->options.json)
        return say_json(self, time, level, text);
    size_t n = (size_t)snprintf(line, sizeof line, "%s %-5s %s ", time, levels[level].word, self->actor);
    n += escape(text, line + n, sizeof line - n - 1);
    line[n++] = '\n';
    return write_line(self, line, n);
}

static void emit(log_t *self, int64_t now_us, enum log_level level, const char *text)
{
    char note[80];
    snprintf(note, sizeof note, "%llu lines before this could not be written", (unsigned long long)self->lost);
    if (self->lost && say(self, now_us, LOG_LEVEL_WARN, note))
        self->lost = 0;
    if (self->lost || !say(self, now_us, level, text))
        self->lost++;
}

static void say_hidden(log_t *self, int64_t now_us, const struct repeat *repeat)
{
    char text[200];
    snprintf(text, sizeof text, "%llu more like this were left out: %.120s", (unsigned long long)repeat->hidden, repeat->format);
    emit(self, now_us, repeat->level, text);
}

/* The slot of this format; another one's is taken over, once what it hides has been said. */
static struct repeat *find_repeat(log_t *self, int64_t now_us, uint64_t of, const char *format, enum log_level level)
{
    struct repeat *oldest = self->repeats;
    for (struct repeat *r = self->repeats; r < self->repeats + REPEATS; r++) {
        if (r->format == format && r->of == of)
            return r;
        if (r->since_us < oldest->since_us)
            oldest = r;
    }
    if (oldest->hidden)
        say_hidden(self, now_us, oldest);
    *oldest = (struct repeat){ .format = format, .of = of, .since_us = now_us, .level = level };
    return oldest;
}

/* True if the line may be shown now; *hidden is what to say beside it. */
static bool may_show(log_t *self, int64_t now_us, uint64_t of, const char *format, enum log_level level, uint64_t *hidden)
{
    *hidden = 0;
    if (!levels[level].burst)
        return true;
    struct repeat *r = find_repeat(self, now_us, of, format, level);
    if (now_us - r->since_us >= MINUTE_US || now_us < r->since_us) {
        *hidden = r->hidden;
        r->since_us = now_us;
        r->shown = r->hidden = 0;
    }
    if (r->shown++ < levels[level].burst)
        return true;
    r->hidden++;
    return false;
}

void log_write_list(log_t *self, enum log_level level, uint64_t of, const char *format, va_list arguments)
{
    char text[TEXT_MAX_BYTES + SECRET_MAX + 48];
    uint64_t hidden;
    if (level < self->options.level)
        return;
    int64_t now_us = self->options.now_us();
    if (!may_show(self, now_us, of, format, level, &hidden))
        return;
    if (vsnprintf(text, TEXT_MAX_BYTES + SECRET_MAX, format, arguments) < 0)
        return;
    redact(self, text);
    text[TEXT_MAX_BYTES] = '\0';  /* only now: a secret cut in two would not be recognised */
    if (hidden)
        snprintf(text + strlen(text), 48, " (%llu more left out)", (unsigned long long)hidden);
    emit(self, now_us, level, text);
}

void log_write(log_t *self, enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self, level, 0, format, arguments);
    va_end(arguments);
}

void log_write_of(log_t *self, enum log_level level, uint64_t of, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(self, level, of, format, arguments);
    va_end(arguments);
}

void log_destroy(log_t **self_p)
{
    log_t *self = *self_p;
    if (!self)
        return;
    for (struct repeat *r = self->repeats; r < self->repeats + REPEATS; r++)
        if (r->hidden)
            say_hidden(self, self->options.now_us(), r);
    for (size_t i = 0; i < self->secrets_count; i++)
        free(self->secrets[i]);
    if (self->pipe >= 0)
        close(self->pipe);
    free(self);
    *self_p = NULL;
}
