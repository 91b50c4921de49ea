/* folder.h - a temporary directory for one test. */
#ifndef FOLDER_H
#define FOLDER_H

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder { char path[128]; };

static inline void folder_make(struct folder *self)
{
    snprintf(self->path, sizeof self->path, "/tmp/ingest-test-XXXXXX");
    assert(mkdtemp(self->path));
}

static inline void folder_file(const struct folder *self, const char *name, char to[PATH_MAX])
{
    snprintf(to, PATH_MAX, "%s/%.255s", self->path, name);
}

/* How many files end so; the first one's name (in order) into `first`, if not NULL. */
static inline int folder_count(const struct folder *self, const char *end, char first[PATH_MAX])
{
    int count = 0;
    DIR *directory = opendir(self->path);
    assert(directory);
    for (struct dirent *e; (e = readdir(directory)) != NULL;) {
        size_t size = strlen(e->d_name), end_size = strlen(end);
        if (e->d_name[0] == '.' || size < end_size || strcmp(e->d_name + size - end_size, end) != 0)
            continue;
        if (first && (count == 0 || strcmp(e->d_name, first) < 0))
            snprintf(first, PATH_MAX, "%s", e->d_name);
        count++;
    }
    closedir(directory);
    return count;
}

static inline void folder_remove(struct folder *self)
{
    char path[PATH_MAX];
    DIR *directory = opendir(self->path);
    assert(directory);
    for (struct dirent *e; (e = readdir(directory)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        folder_file(self, e->d_name, path);
        unlink(path);
    }
    closedir(directory);
    rmdir(self->path);
}

static inline size_t folder_read(const struct folder *self, const char *name, char *to, size_t room)
{
    char path[PATH_MAX];
    folder_file(self, name, path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t size = fread(to, 1, room, file);
    fclose(file);
    return size;
}

static inline void folder_write(const struct folder *self, const char *name, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    folder_file(self, name, path);
    FILE *file = fopen(path, "wb");
    assert(file);
    assert(fwrite(bytes, 1, size, file) == size);
    fclose(file);
}

#endif
