/* tally.c - the file that remembers how many events were appended before each segment. */
#include "tally.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 65536, LINE = 64 };

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

static int head_line(const struct tally *self, char line[LINE])
{
    return snprintf(line, LINE, "%zu %" PRId64 "\n", self->count, self->given_up);
}

static int row_line(const struct tally_row *row, char line[LINE])
{
    return snprintf(line, LINE, "%" PRId64 " %" PRId64 "\n", row->start, row->before);
}

/* The sum is of the lines as they would be written. */
static bool read_rows(struct tally *self, FILE *file, const struct crc32c *crc)
{
    char line[LINE];
    uint32_t sum, is = 0;
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

bool tally_read(struct tally *self, const char *directory, const struct crc32c *crc)
{
    char path[PATH_MAX];
    *self = (struct tally){ 0 };
    snprintf(path, sizeof path, "%s/tally", directory);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool good = read_rows(self, file, crc);
    fclose(file);
    if (!good)
        tally_free(self);
    return good;
}

int tally_write(const struct tally *self, const char *directory, const struct crc32c *crc)
{
    char path[PATH_MAX], new_path[PATH_MAX], line[LINE];
    snprintf(path, sizeof path, "%s/tally", directory);
    snprintf(new_path, sizeof new_path, "%s/tally.new", directory);
    FILE *file = fopen(new_path, "we");
    if (!file)
        return -1;
    head_line(self, line);
    uint32_t sum = add_line(crc, 0, line);
    int bad = fputs(line, file) < 0;
    for (size_t i = 0; i < self->count; i++) {
        row_line(&self->rows[i], line);
        sum = add_line(crc, sum, line);
        bad |= fputs(line, file) < 0;
    }
    bad |= fprintf(file, "%08" PRIx32 "\n", sum) < 0;
    bad |= fclose(file) != 0;
    return bad || rename(new_path, path) ? -1 : 0;
}
