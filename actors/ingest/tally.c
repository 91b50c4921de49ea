/* tally.c - the file that remembers how many events were appended before each segment. */
#include "tally.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_MAX = 65536, LINE = 64 };
static const char *const names[] = { "tally.0", "tally.1" };
static const char older_version[] = "tally";

void tally_free(struct tally *self)
{
    free(self->rows);
    *self = (struct tally){ 0 };
}

const struct tally_row *tally_find(const struct tally *self, int64_t start)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->rows[i].start == start)
            return &self->rows[i];
    return NULL;
}

static uint32_t add_line(const struct crc32c *crc, uint32_t sum, const char *line)
{
    return crc32c_add(crc, sum, line, strlen(line));
}

/* Number 0: that of an older version, which had one file without a number. */
static int head_line(const struct tally *self, char line[LINE])
{
    if (self->number == 0)
        return snprintf(line, LINE, "%zu %" PRId64 "\n", self->count, self->given_up);
    return snprintf(line, LINE, "%" PRId64 " %zu %" PRId64 "\n", self->number, self->count, self->given_up);
}

static int row_line(const struct tally_row *row, char line[LINE])
{
    return snprintf(line, LINE, "%" PRId64 " %" PRId64 "\n", row->start, row->before);
}

/* The sum is of the lines as they would be written. */
static bool read_rows(struct tally *self, FILE *file, bool is_numbered, const struct crc32c *crc)
{
    char line[LINE];
    uint32_t sum, is = 0;
    if (is_numbered && fscanf(file, "%" SCNd64, &self->number) != 1)
        return false;
    if (fscanf(file, "%zu %" SCNd64, &self->count, &self->given_up) != 2 || self->count > ROWS_MAX)
        return false;
    self->rows = calloc(self->count + 1, sizeof *self->rows);
    assert(self->rows);
    head_line(self, line);
    is = add_line(crc, is, line);
    for (size_t i = 0; i < self->count; i++) {
        struct tally_row *row = &self->rows[i];
        if (fscanf(file, "%" SCNd64 " %" SCNd64, &row->start, &row->before) != 2)
            return false;
        row_line(row, line);
        is = add_line(crc, is, line);
    }
    return fscanf(file, "%" SCNx32, &sum) == 1 && sum == is;
}

static void path_of(char path[PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    assert(length > 0 && length < PATH_MAX);
}

static bool read_one(struct tally *self, const char *directory, const char *name, const struct crc32c *crc)
{
    char path[PATH_MAX];
    path_of(path, directory, name);
    *self = (struct tally){ 0 };
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool good = read_rows(self, file, name != older_version, crc);
    fclose(file);
    if (!good)
        tally_free(self);
    return good;
}

bool tally_read(struct tally *self, const char *directory, const struct crc32c *crc)
{
    struct tally other;
    bool good = read_one(self, directory, names[0], crc);
    if (!read_one(&other, directory, names[1], crc))
        return good || read_one(self, directory, older_version, crc);
    struct tally older = other.number > self->number ? *self : other;
    *self = other.number > self->number ? other : *self;
    tally_free(&older);
    return true;
}

static int write_out(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t written = pwrite(fd, text, size, 0); /* what an older one had behind that is not read */
    close(fd);
    return written == (ssize_t)size ? 0 : -1;
}

int tally_write(const struct tally *self, const char *directory, const struct crc32c *crc)
{
    char path[PATH_MAX], *text = malloc((self->count + 2) * LINE), *at = text;
    assert(text);
    at += head_line(self, at);
    for (size_t i = 0; i < self->count; i++)
        at += row_line(&self->rows[i], at);
    uint32_t sum = crc32c_add(crc, 0, text, (size_t)(at - text));
    at += snprintf(at, LINE, "%08" PRIx32 "\n", sum);
    path_of(path, directory, names[self->number & 1]);
    int bad = write_out(path, text, (size_t)(at - text));
    free(text);
    return bad;
}
