/* static.c - the web page's files, and what `/` and `/api/info` say. */
#include "reply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8 * 1024 * 1024, NAME_MAX_BYTES = 512 };

#define FILE_ALLOW "Allow: GET, HEAD, OPTIONS\r\n"

static int open_directory(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Beside the binary: <prefix>/lib/ha-ingestor/gateway has <prefix>/share/ha-ingestor/www, and
 * build/<preset>/gateway has the source's dashboard. */
static int open_default(void)
{
    static const char *const beside[] = { "../../share/ha-ingestor/www", "../../dashboard/dist", "../../dashboard" };
    char program[400], path[480];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return -1;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(path, sizeof path, "%s/%s/index.html", program, beside[i]);
        if (access(path, R_OK) == 0) {
            *strrchr(path, '/') = '\0';
            return open_directory(path);
        }
    }
    return -1;
}

int static_open(struct self *self, actor_t *actor)
{
    if (!self->config.has_web_root || !self->config.web_root_size) {
        self->web_root = open_default();
        return 0;
    }
    self->web_root = open_directory(self->config.web_root);
    if (self->web_root >= 0)
        return 0;
    actor_error(actor, "web_root: %s: %s", self->config.web_root, strerror(errno));
    return 100;
}

static const char *media_of(const char *name)
{
    static const struct { const char *ending, *media; } types[] = {
        { ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
        { ".mjs", "text/javascript; charset=utf-8" }, { ".css", "text/css; charset=utf-8" },
        { ".json", "application/json" }, { ".svg", "image/svg+xml" }, { ".png", "image/png" },
        { ".jpg", "image/jpeg" }, { ".webp", "image/webp" }, { ".ico", "image/x-icon" }, { ".woff2", "font/woff2" },
        { ".webmanifest", "application/manifest+json" }, { ".txt", "text/plain; charset=utf-8" },
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (!strcmp(dot, types[i].ending))
            return types[i].media;
    return "application/octet-stream";
}

/* A relative path without hidden, empty or parent segments; false if it is none. */
static bool file_name(struct slice path, char to[NAME_MAX_BYTES])
{
    size_t size;
    if (path.size < 2 || percent_decode(path, false, to, NAME_MAX_BYTES, &size) || memchr(to, '\0', size) || memchr(to, '\\', size))
        return false;
    for (size_t i = 0; i < size; i++)
        if (to[i] == '/' && (to[i + 1] == '.' || to[i + 1] == '/' || to[i + 1] == '\0'))
            return false;
    memmove(to, to + 1, size);
    return true;
}

static int read_whole(int fd, size_t size, msgpack_sbuffer *to)
{
    char piece[16384];
    msgpack_sbuffer_clear(to);
    while (to->size < size) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0)
            return -1;
        msgpack_sbuffer_write(to, piece, (size_t)n);
    }
    return to->size == size ? 0 : -1;
}

static void send_file(connection_t *c, const char *name, int fd, const struct stat *about)
{
    char lines[700], tag[64];
    msgpack_sbuffer *b = &c->self->body;
    snprintf(tag, sizeof tag, "\"%llx-%llx\"", (unsigned long long)about->st_size,
        (unsigned long long)about->st_mtim.tv_sec * 1000000000u + (unsigned long long)about->st_mtim.tv_nsec);
    snprintf(lines, sizeof lines, "ETag: %s\r\nCache-Control: no-cache\r\nVary: Accept\r\nContent-Security-Policy: default-src 'none'; "
        "script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n", tag);
    if (c->head.if_none_match.size && memmem(c->head.if_none_match.data, c->head.if_none_match.size, tag, strlen(tag)))
        reply_body(c, 304, NULL, lines, (struct slice){ "", 0 });
    else if (read_whole(fd, (size_t)about->st_size, b))
        reply_error(c, 500, NULL, "the file cannot be read", NULL);
    else
        reply_body(c, 200, media_of(name), lines, (struct slice){ b->data, b->size });
}

static bool serve_name(connection_t *c, const char *name)
{
    struct stat about;
    int fd = c->self->web_root < 0 ? -1 : openat(c->self->web_root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool good = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= FILE_MAX_BYTES;
    if (good && c->head.method == OPTIONS)
        reply_body(c, 204, NULL, FILE_ALLOW, (struct slice){ "", 0 });
    else if (good && c->head.method != GET && c->head.method != HEAD)
        reply_error(c, 405, NULL, "a file takes no such method", FILE_ALLOW);
    else if (good)
        send_file(c, name, fd, &about);
    close(fd);
    return good;
}

bool static_serve(connection_t *c)
{
    char name[NAME_MAX_BYTES];
    return file_name(connection_path(c), name) && serve_name(c, name);
}

void info_show(connection_t *c)
{
    msgpack_sbuffer *b = &c->self->body;
    msgpack_sbuffer_clear(b);
    put(b, "{\"success\":true,\"data\":{\"service\":\"ha-ingestor\",\"title\":\"Home Assistant Ingestor\",\"version\":");
    put_json(b, actor_version());
    put(b, ",\"status\":\"running\",\"authentication\":false,\"endpoints\":{\"description\":\"/openapi.json\","
        "\"health\":\"/health\",\"metrics\":\"/metrics\",\"events\":\"/api/v1/events\",\"devices\":\"/api/devices\","
        "\"entities\":\"/api/entities\"},\"timestamp\":");
    put_time(b, actor_now_us(c->actor));
    put(b, "},\"message\":\"Home Assistant Ingestor\",\"timestamp\":");
    put_time(b, actor_now_us(c->actor));
    put(b, "}");
    reply_body(c, 200, "application/json", "Vary: Accept\r\n", (struct slice){ b->data, b->size });
}

void front_show(connection_t *c)
{
    struct slice accept = c->head.accept;
    bool browser = accept.size && memmem(accept.data, accept.size, "text/html", 9);
    if (!browser || !serve_name(c, "index.html"))
        info_show(c);
}
