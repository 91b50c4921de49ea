/* segment.c - the bytes of a capture segment on the disk. */
#include "segment.h"
#include "bytes.h"
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
    self->end = INT64_MAX;
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
    free(self->plain);
    self->buffer = self->plain = NULL;
    self->buffer_bytes = self->buffer_room = 0;
    self->piece = self->piece_end = (struct segment_place){ 0 };
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

static void write_header(unsigned char to[CAPTURE_HEADER], const struct capture_record *record)
{
    put32(to, (uint32_t)record->bytes.size);
    put64(to + 8, record->received_us);
    put64(to + 16, record->session);
    put32(to + 24, record->first_id);
    put32(to + 28, record->last_id);
    put32(to + 32, record->events);
    put32(to + 36, (uint32_t)record->provenance | (uint32_t)record->is_starting << 8);
    put32(to + 4, 0); /* in a piece: its own checksum does for all */
}

static void sum_up(unsigned char to[CAPTURE_HEADER], const struct crc32c *crc, const struct capture_record *record)
{
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

/* All of it, or nothing: -1. */
static int write_out(struct segment *self, const struct iovec *parts, size_t count, int64_t whole)
{
    ssize_t written;
    do
        written = writev(self->write_fd, parts, (int)count);
    while (written < 0 && errno == EINTR);
    if (written == whole) {
        self->bytes += whole;
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

static int append_plain(struct segment *self, const struct crc32c *crc, const struct capture_record *records, size_t count, int64_t whole)
{
    unsigned char headers[CAPTURE_BATCH][CAPTURE_HEADER];
    struct iovec parts[2 * CAPTURE_BATCH];
    for (size_t i = 0; i < count; i++) {
        struct slice bytes = records[i].bytes;
        write_header(headers[i], &records[i]);
        sum_up(headers[i], crc, &records[i]);
        parts[2 * i] = (struct iovec){ headers[i], CAPTURE_HEADER };
        parts[2 * i + 1] = (struct iovec){ (void *)(uintptr_t)bytes.data, bytes.size };
    }
    return write_out(self, parts, 2 * count, whole);
}

/* 1: it would be no smaller. */
static int append_packed(struct segment *self, struct pack *pack, const struct capture_record *records, size_t count, int64_t whole)
{
    char *at = pack_room(pack);
    for (size_t i = 0; i < count; i++) {
        write_header((unsigned char *)at, &records[i]);
        memcpy(at + CAPTURE_HEADER, records[i].bytes.data, records[i].bytes.size);
        at += CAPTURE_HEADER + records[i].bytes.size;
    }
    struct slice piece = pack_piece(pack, (size_t)whole);
    if (piece.size == 0)
        return 1;
    return write_out(self, &(struct iovec){ (void *)(uintptr_t)piece.data, piece.size }, 1, (int64_t)piece.size);
}

int segment_append(struct segment *self, struct pack *pack, const struct capture_record *records, size_t count)
{
    int64_t whole = 0;
    assert(count <= CAPTURE_BATCH && !self->is_finished);
    for (size_t i = 0; i < count; i++) {
        assert(records[i].bytes.size > 0 && records[i].bytes.size <= MAX_FRAME);
        whole += CAPTURE_HEADER + (int64_t)records[i].bytes.size;
    }
    int rc = whole >= PACK_LEAST && whole <= PACK_MOST ? append_packed(self, pack, records, count, whole) : 1;
    if (rc > 0)
        rc = append_plain(self, &pack->crc, records, count, whole);
    if (rc)
        return -1;
    self->end += whole;
    for (size_t i = 0; i < count; i++)
        span_add(&self->written, &records[i]);
    return 0;
}

void segment_mark(struct segment *self)
{
    self->mark = (struct segment_place){ self->end, self->bytes };
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

static const unsigned char *bytes_at(const struct segment *self, int64_t at)
{
    return (unsigned char *)self->buffer + (at - self->buffer_at);
}

static int load_record(struct segment *self, const char *directory, const struct crc32c *crc, int64_t at, size_t *size)
{
    if (at + CAPTURE_HEADER >= self->bytes || fill(self, directory, at, CAPTURE_HEADER))
        return -1;
    uint32_t length = get32(bytes_at(self, at));
    *size = CAPTURE_HEADER + (size_t)length;
    if (length == 0 || length > MAX_FRAME || at + (int64_t)*size > self->bytes || fill(self, directory, at, *size))
        return -1;
    const unsigned char *header = bytes_at(self, at);
    uint32_t sum = crc32c_add(crc, 0, header, 4);
    return crc32c_add(crc, sum, header + 8, CAPTURE_HEADER - 8 + (size_t)length) == get32(header + 4) ? 0 : -1;
}

static int load_packed(struct segment *self, const char *directory, struct pack *pack, int64_t at, size_t *size, size_t *plain)
{
    if (pack_look(bytes_at(self, at), size, plain) || at + (int64_t)*size > self->bytes || fill(self, directory, at, *size))
        return -1;
    if (!self->plain)
        self->plain = malloc(PACK_MOST);
    assert(self->plain);
    return pack_unpack(pack, (struct slice){ bytes_at(self, at), *size }, self->plain, *plain);
}

/* The record or the piece behind the one that was loaded last. */
static int load_next(struct segment *self, const char *directory, struct pack *pack)
{
    struct segment_place begin = self->piece_end;
    size_t size, plain;
    if (begin.in_file == self->bytes) {
        self->end = begin.at;
        return SEGMENT_END;
    }
    if (begin.in_file + PACK_HEADER > self->bytes || fill(self, directory, begin.in_file, PACK_HEADER))
        return -1;
    self->is_packed = get32(bytes_at(self, begin.in_file)) & PACK_BIT;
    int bad = self->is_packed ? load_packed(self, directory, pack, begin.in_file, &size, &plain)
                              : load_record(self, directory, &pack->crc, begin.in_file, &size);
    if (bad)
        return -1;
    self->piece = begin;
    self->piece_end = (struct segment_place){ begin.at + (int64_t)(self->is_packed ? plain : size), begin.in_file + (int64_t)size };
    return 0;
}

static int load(struct segment *self, const char *directory, struct pack *pack, int64_t at)
{
    int rc = 0;
    if (at < self->piece.at || (self->mark.at <= at && self->mark.at > self->piece_end.at))
        self->piece = self->piece_end = self->mark.at <= at ? self->mark : (struct segment_place){ 0 };
    while (rc == 0 && at >= self->piece_end.at)
        rc = load_next(self, directory, pack);
    return rc;
}

int segment_read(struct segment *self, const char *directory, struct pack *pack, int64_t at, struct capture_record *record)
{
    int rc = load(self, directory, pack, at);
    if (rc)
        return rc;
    int64_t left = self->piece_end.at - at, in_piece = at - self->piece.at;
    if (!self->is_packed && (in_piece > 0 || fill(self, directory, self->piece.in_file, (size_t)left)))
        return -1; /* no record begins there; what was loaded may have been overwritten by a larger one since */
    const unsigned char *header = self->is_packed ? (unsigned char *)self->plain + in_piece : bytes_at(self, self->piece.in_file);
    if (left <= CAPTURE_HEADER)
        return -1;
    uint32_t length = get32(header);
    if (length == 0 || CAPTURE_HEADER + (int64_t)length > left)
        return -1;
    *record = (struct capture_record){ .place = self->start + at + CAPTURE_HEADER, .received_us = get64(header + 8),
        .session = get64(header + 16), .first_id = get32(header + 24), .last_id = get32(header + 28),
        .events = get32(header + 32), .provenance = (enum provenance)(header[36] % PROVENANCES),
        .is_starting = header[37] & 1, .bytes = { header + CAPTURE_HEADER, length } };
    return 0;
}

struct segment_span segment_walk(struct segment *self, const char *directory, struct pack *pack)
{
    struct segment_span span = { 0 };
    struct capture_record record;
    segment_forget(self);
    while (segment_read(self, directory, pack, span.end, &record) == 0) {
        span_add(&span, &record);
        if (span.end == self->piece_end.at)
            span.in_file = self->piece_end.in_file;
    }
    segment_forget(self);
    return span;
}

/* What was appended here need not be read again. */
struct segment_span segment_all(struct segment *self, const char *directory, struct pack *pack)
{
    return self->is_old ? segment_walk(self, directory, pack) : self->written;
}

int segment_cut(struct segment *self, const char *directory, const struct segment_span *good)
{
    int64_t bytes = good->in_file;
    self->end = good->end;
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
