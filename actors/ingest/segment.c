/* segment.c - the bytes of a capture segment on the disk. */
#include "segment.h"
#include "syncer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NAME_DIGITS 20
#define READ_BYTES ((size_t)256 * 1024)

static void path_of(char to[PATH_MAX], const char *directory, int64_t start)
{
    int length = snprintf(to, PATH_MAX, "%s/%0*" PRId64 ".log", directory, NAME_DIGITS, start);
    assert(length > 0 && length < PATH_MAX);
}

static struct segment *segment_new(int64_t start)
{
    struct segment *self = calloc(1, sizeof *self);
    assert(self);
    self->start = start;
    self->write_fd = self->read_fd = -1;
    return self;
}

static bool read_name(const char *name, int64_t *start)
{
    if (strspn(name, "0123456789") != NAME_DIGITS || strcmp(name + NAME_DIGITS, ".log") != 0)
        return false;
    errno = 0;
    *start = strtoll(name, NULL, 10);
    return errno == 0;
}

struct segment *segment_find(const char *directory, const char *name)
{
    int64_t start;
    char path[PATH_MAX];
    struct stat status;
    if (!read_name(name, &start))
        return NULL;
    path_of(path, directory, start);
    if (stat(path, &status) || !S_ISREG(status.st_mode))
        return NULL;
    struct segment *self = segment_new(start);
    self->bytes = status.st_size;
    self->is_old = self->is_finished = self->is_named = true;
    return self;
}

struct segment *segment_create(const char *directory, int64_t start, int64_t now_us)
{
    char path[PATH_MAX];
    path_of(path, directory, start);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    struct segment *self = segment_new(start);
    self->write_fd = fd;
    self->created_us = now_us;
    return self;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void segment_forget(struct segment *self)
{
    close_fd(&self->read_fd);
    free(self->buffer);
    self->buffer = NULL;
    self->buffer_bytes = self->buffer_room = 0;
}

void segment_destroy(struct segment **self_p)
{
    struct segment *self = *self_p;
    if (!self)
        return;
    segment_forget(self);
    close_fd(&self->write_fd);
    free(self);
    *self_p = NULL;
}

void segment_unlink(struct segment *self, const char *directory)
{
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    (void)unlink(path);
    self->safe_bytes = self->bytes;
}

bool segment_is_safe(const struct segment *self)
{
    return self->safe_bytes >= self->bytes;
}

/* --- records --------------------------------------------------------------------------- */

static void put32(unsigned char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(n >> 8 * i);
}

static void put64(unsigned char *to, int64_t n)
{
    put32(to, (uint32_t)((uint64_t)n & UINT32_MAX));
    put32(to + 4, (uint32_t)((uint64_t)n >> 32));
}

static uint32_t get32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static int64_t get64(const unsigned char *from)
{
    return (int64_t)((uint64_t)get32(from) | (uint64_t)get32(from + 4) << 32);
}

static void write_header(unsigned char to[CAPTURE_HEADER], const struct crc32c *crc, const struct capture_record *record)
{
    put32(to, (uint32_t)record->bytes.size);
    put64(to + 8, record->received_us);
    put64(to + 16, record->session);
    put32(to + 24, record->first_id);
    put32(to + 28, record->last_id);
    put32(to + 32, record->events);
    put32(to + 36, (uint32_t)record->provenance | (uint32_t)record->is_starting << 8);
    uint32_t sum = crc32c_add(crc, 0, to, 4);
    sum = crc32c_add(crc, sum, to + 8, CAPTURE_HEADER - 8);
    put32(to + 4, crc32c_add(crc, sum, record->bytes.data, record->bytes.size));
}

/* What is made of history or given back says nothing of the connection. */
bool record_is_heard(const struct capture_record *record)
{
    return record->session > 0 && record->provenance == FROM_LIVE;
}

static void span_add(struct segment_span *span, const struct capture_record *record)
{
    if (span->records++ == 0)
        span->first_us = record->received_us;
    if (record->received_us > span->last_us) /* one given back keeps its time */
        span->last_us = record->received_us;
    if (record_is_heard(record) && record->received_us > span->heard_us)
        span->heard_us = record->received_us;
    span->events += record->events;
    span->end += CAPTURE_HEADER + (int64_t)record->bytes.size;
}

int segment_append(struct segment *self, const struct crc32c *crc, const struct capture_record *records, size_t count)
{
    unsigned char headers[CAPTURE_BATCH][CAPTURE_HEADER];
    struct iovec parts[2 * CAPTURE_BATCH];
    int64_t whole = 0;
    assert(count <= CAPTURE_BATCH && !self->is_finished);
    for (size_t i = 0; i < count; i++) {
        struct slice bytes = records[i].bytes;
        assert(bytes.size > 0 && bytes.size <= MAX_FRAME);
        write_header(headers[i], crc, &records[i]);
        parts[2 * i] = (struct iovec){ headers[i], CAPTURE_HEADER };
        parts[2 * i + 1] = (struct iovec){ (void *)(uintptr_t)bytes.data, bytes.size };
        whole += CAPTURE_HEADER + (int64_t)bytes.size;
    }
    ssize_t written;
    do
        written = writev(self->write_fd, parts, 2 * (int)count);
    while (written < 0 && errno == EINTR);
    if (written == whole) {
        self->bytes += whole;
        for (size_t i = 0; i < count; i++)
            span_add(&self->written, &records[i]);
        return 0;
    }
    int error = written < 0 ? errno : ENOSPC;
    if (written > 0 && ftruncate(self->write_fd, self->bytes)) {
        /* A torn record in the middle would end the segment there: nothing may follow it. */
        perror("capture: cannot cut a torn record off");
        abort();
    }
    errno = error;
    return -1;
}

static int fill(struct segment *self, const char *directory, int64_t at, size_t bytes)
{
    if (self->buffer && at >= self->buffer_at && at + (int64_t)bytes <= self->buffer_at + (int64_t)self->buffer_bytes)
        return 0;
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    if (self->read_fd < 0 && (self->read_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return -1;
    size_t room = bytes > READ_BYTES ? bytes : READ_BYTES;
    if (self->buffer_room < room || self->buffer_room > 4 * room) {
        free(self->buffer);
        self->buffer = malloc(room);
        assert(self->buffer);
        self->buffer_room = room;
    }
    self->buffer_at = at;
    self->buffer_bytes = 0;
    while (self->buffer_bytes < bytes) {
        ssize_t got = pread(self->read_fd, self->buffer + self->buffer_bytes, self->buffer_room - self->buffer_bytes,
            at + (int64_t)self->buffer_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        self->buffer_bytes += (size_t)got;
    }
    return 0;
}

int segment_read(struct segment *self, const char *directory, const struct crc32c *crc, int64_t at,
    struct capture_record *record)
{
    if (at + CAPTURE_HEADER >= self->bytes || fill(self, directory, at, CAPTURE_HEADER))
        return -1;
    uint32_t length = get32((unsigned char *)self->buffer + (at - self->buffer_at));
    if (length == 0 || length > MAX_FRAME || at + CAPTURE_HEADER + (int64_t)length > self->bytes)
        return -1;
    if (fill(self, directory, at, CAPTURE_HEADER + (size_t)length))
        return -1;
    const unsigned char *header = (unsigned char *)self->buffer + (at - self->buffer_at);
    uint32_t sum = crc32c_add(crc, 0, header, 4);
    if (crc32c_add(crc, sum, header + 8, CAPTURE_HEADER - 8 + (size_t)length) != get32(header + 4))
        return -1;
    *record = (struct capture_record){ .place = self->start + at + CAPTURE_HEADER, .received_us = get64(header + 8),
        .session = get64(header + 16), .first_id = get32(header + 24), .last_id = get32(header + 28),
        .events = get32(header + 32), .provenance = (enum provenance)(header[36] % PROVENANCES),
        .is_starting = header[37] & 1, .bytes = { header + CAPTURE_HEADER, length } };
    return 0;
}

struct segment_span segment_walk(struct segment *self, const char *directory, const struct crc32c *crc, int64_t from)
{
    struct segment_span span = { .end = from };
    struct capture_record record;
    while (span.end < self->bytes && segment_read(self, directory, crc, span.end, &record) == 0) {
        span_add(&span, &record);
    }
    segment_forget(self);
    return span;
}

/* What was appended here need not be read again. */
struct segment_span segment_all(struct segment *self, const char *directory, const struct crc32c *crc)
{
    return self->is_old ? segment_walk(self, directory, crc, 0) : self->written;
}

int segment_cut(struct segment *self, const char *directory, int64_t bytes)
{
    if (bytes >= self->bytes)
        return 0;
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    self->bytes = bytes;
    self->safe_bytes = self->safe_bytes < bytes ? self->safe_bytes : bytes;
    self->marked_bytes = self->marked_bytes < bytes ? self->marked_bytes : bytes;
    segment_forget(self);
    return truncate(path, bytes);
}

/* --- the disk -------------------------------------------------------------------------- */

static int sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? errno : sync_names(fd);
    close_fd(&fd);
    errno = error;
    return error ? -1 : 0;
}

/* What a process before us wrote may be in the kernel's hands still. */
static int sync_data(const struct segment *self, const char *directory)
{
    if (self->write_fd >= 0)
        return fdatasync(self->write_fd);
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fdatasync(fd);
    close_fd(&fd);
    return rc;
}

int segment_sync(struct segment *self, const char *directory)
{
    if (segment_is_safe(self))
        return 0;
    if (sync_data(self, directory))
        return -1;
    if (!self->is_named && sync_directory(directory))
        return -1;
    segment_synced(self, self->bytes);
    return 0;
}

char *segment_path(const struct segment *self, const char *directory)
{
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    char *copy = strdup(path);
    assert(copy);
    return copy;
}

int segment_sync_fd(const struct segment *self, const char *directory)
{
    char path[PATH_MAX];
    path_of(path, directory, self->start);
    return self->write_fd >= 0 ? fcntl(self->write_fd, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
}

void segment_synced(struct segment *self, int64_t bytes)
{
    self->is_named = true;
    if (self->safe_bytes < bytes)
        self->safe_bytes = bytes;
    if (self->is_finished && segment_is_safe(self))
        close_fd(&self->write_fd);
}

void segment_finish(struct segment *self)
{
    self->is_finished = true;
    if (segment_is_safe(self))
        close_fd(&self->write_fd);
}

enum position position_read(const char *directory, const struct crc32c *crc, int64_t *limit)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/position", directory);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? POSITION_NONE : POSITION_DAMAGED;
    char text[64] = "";
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    if (size != NAME_DIGITS + 1 + 8 + 1 || strspn(text, "0123456789") != NAME_DIGITS)
        return POSITION_DAMAGED;
    errno = 0;
    *limit = strtoll(text, NULL, 10);
    uint32_t sum = (uint32_t)strtoul(text + NAME_DIGITS + 1, NULL, 16);
    return errno == 0 && sum == crc32c_add(crc, 0, text, NAME_DIGITS) ? POSITION_OK : POSITION_DAMAGED;
}

int position_write(const char *directory, const struct crc32c *crc, int64_t limit)
{
    char path[PATH_MAX], new_path[PATH_MAX], text[NAME_DIGITS + 1];
    snprintf(path, sizeof path, "%s/position", directory);
    snprintf(new_path, sizeof new_path, "%s/position.new", directory);
    snprintf(text, sizeof text, "%0*" PRId64, NAME_DIGITS, limit);
    FILE *file = fopen(new_path, "we");
    if (!file)
        return -1;
    int bad = fprintf(file, "%s %08x\n", text, (unsigned)crc32c_add(crc, 0, text, NAME_DIGITS)) < 0;
    bad |= fflush(file) != 0 || fsync(fileno(file)) != 0;
    bad |= fclose(file) != 0;
    return bad || rename(new_path, path) ? -1 : sync_directory(directory);
}
