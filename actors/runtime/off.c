/* off.c - sources that their settings switch off: each leaves a note in the data directory, for it does not run to say so. */
#include "off.h"
#include "life.h"
#include "small_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = ".off";

static int note_path(const char *data, const char *actor, char to[PATH_MAX])
{
    char name[80];
    snprintf(name, sizeof name, "sources/%.60s%s", actor, suffix);
    return life_path(data, to, PATH_MAX, name);
}

int off_note(const char *data, const char *actor, const char *why)
{
    char path[PATH_MAX];
    return note_path(data, actor, path) ? -1 : small_file_write(path, slice_of(why));
}

int off_forget(const char *data, const char *actor)
{
    char path[PATH_MAX];
    if (note_path(data, actor, path))
        return -1;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

bool off_is(const char *data, const char *actor, char why[OFF_WHY])
{
    char path[PATH_MAX];
    msgpack_sbuffer text;
    msgpack_sbuffer_init(&text);
    bool is_off = !strpbrk(actor, "/.") && note_path(data, actor, path) == 0 && small_file_read(path, &text) == 0;
    if (is_off && why)
        snprintf(why, OFF_WHY, "%.*s", (int)(text.size < OFF_WHY ? text.size : OFF_WHY - 1), text.size ? text.data : "");
    msgpack_sbuffer_destroy(&text);
    return is_off;
}

void off_each(const char *data, off_fn *take, void *owner)
{
    char path[PATH_MAX], name[64], why[OFF_WHY];
    DIR *folder = life_path(data, path, sizeof path, "sources") ? NULL : opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name), end = sizeof suffix - 1;
        if (size <= end || size - end >= sizeof name || strcmp(entry->d_name + size - end, suffix) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(size - end), entry->d_name);
        if (off_is(data, name, why) && take(owner, name, why))
            break;
    }
    if (folder)
        closedir(folder);
}
