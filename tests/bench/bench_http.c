/* bench_http.c - how long a GET takes: one connection that stays open, one request after the other.
 *
 * bench_http PORT: reads paths, one a line; prints status, bytes of the body and microseconds of each, one a
 * line. The same client for us and for the peers, so that what it costs itself is the same. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 8192, READ_BYTES = 1 << 18, PATIENCE_S = 120 };

struct reply { int status; long long left, body; bool is_chunked, has_ended; };
struct connection { int socket; char bytes[READ_BYTES]; size_t begin, end; };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *why)
{
    fprintf(stderr, "bench_http: %s\n", why);
    exit(111);
}

static void meet(struct connection *c, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = PATIENCE_S };
    int on = 1;
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->socket < 0 || connect(c->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect");
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    c->begin = c->end = 0;
}

static void more(struct connection *c)
{
    if (c->begin > 0 && c->begin < c->end)
        memmove(c->bytes, c->bytes + c->begin, c->end - c->begin);
    c->end -= c->begin;
    c->begin = 0;
    ssize_t got = c->end < READ_BYTES ? recv(c->socket, c->bytes + c->end, READ_BYTES - c->end, 0) : -1;
    if (got <= 0)
        fail("the answer ended too soon");
    c->end += (size_t)got;
}

/* The next line, cut at its end; lives until the next call. */
static char *line(struct connection *c)
{
    char *end;
    while (!(end = memchr(c->bytes + c->begin, '\n', c->end - c->begin)))
        more(c);
    char *text = c->bytes + c->begin;
    c->begin = (size_t)(end - c->bytes) + 1;
    *(end > text && end[-1] == '\r' ? end - 1 : end) = '\0';
    return text;
}

static void pass(struct connection *c, long long bytes)
{
    while (bytes > 0) {
        if (c->begin == c->end) {
            c->begin = c->end = 0;
            more(c);
        }
        size_t here = c->end - c->begin;
        if ((long long)here > bytes)
            here = (size_t)bytes;
        c->begin += here;
        bytes -= (long long)here;
    }
}

static void read_reply(struct connection *c, struct reply *reply)
{
    *reply = (struct reply){ .status = atoi(strchr(line(c), ' ') + 1) };
    for (char *head; *(head = line(c));) {
        if (strncasecmp(head, "Content-Length:", 15) == 0)
            reply->left = atoll(head + 15);
        if (strncasecmp(head, "Transfer-Encoding: chunked", 26) == 0)
            reply->is_chunked = true;
    }
    reply->body = reply->left;
    pass(c, reply->left);
    while (reply->is_chunked && !reply->has_ended) {
        long long size = strtoll(line(c), NULL, 16);
        pass(c, size);
        line(c);
        reply->body += size;
        reply->has_ended = size == 0;
    }
}

int main(int argc, char **argv)
{
    static struct connection connection;
    static char path[PATH_BYTES], request[PATH_BYTES + 128];
    if (argc != 2)
        fail("bench_http PORT");
    meet(&connection, atoi(argv[1]));
    while (fgets(path, sizeof path, stdin)) {
        struct reply reply;
        path[strcspn(path, "\n")] = '\0';
        int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n", path, argv[1]);
        int64_t begun = now_ns();
        if (send(connection.socket, request, (size_t)size, MSG_NOSIGNAL) != size)
            fail("cannot send");
        read_reply(&connection, &reply);
        printf("%d %lld %.1f\n", reply.status, reply.body, (double)(now_ns() - begun) / 1e3);
    }
    close(connection.socket);
    return 0;
}
