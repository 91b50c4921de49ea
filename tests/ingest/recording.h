/* recording.h - the frames that a real Home Assistant sent, from tests/recorded. */
#ifndef RECORDING_H
#define RECORDING_H

#include "json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef void recorded_fn(void *owner, bool received, struct slice text);

/* Calls back for each frame of a recording, in order; returns how many there were, -1: no such file. */
static inline int recording_each(const char *name, recorded_fn *fn, void *owner)
{
    char path[256];
    snprintf(path, sizeof path, "../recorded/%s.jsonl.gz", name);
    gzFile file = gzopen(path, "rb");
    if (!file)
        return -1;
    size_t room = 8 * 1024 * 1024;
    char *line = malloc(room);
    json_t *json = json_new();
    assert(line && json);
    int count = 0;
    while (gzgets(file, line, (int)room)) {
        struct json_value root, values[2];
        static const char *const keys[] = { "dir", "text" };
        const char *why;
        struct slice text;
        assert(json_read(json, (struct slice){ line, strlen(line) }, &root, &why) == 0);
        assert(json_pick(json, root.raw, keys, 2, values) == 0);
        if (((const char *)values[0].raw.data)[1] == 'r' || !json_text(json, values[1], &text))
            continue; /* REST */
        fn(owner, ((const char *)values[0].raw.data)[1] == '<', text);
        count++;
    }
    json_destroy(&json);
    free(line);
    gzclose(file);
    return count;
}

#endif
