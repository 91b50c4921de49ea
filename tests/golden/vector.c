/* vector.c - vectors from their files, and the parts of an input. */
#include "golden.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

size_t file_read(const char *directory, const char *name, char **text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    gzFile file = gzopen(path, "rb"); /* reads plain files as well */
    if (!file) {
        snprintf(path, sizeof path, "%s/%s.gz", directory, name);
        file = gzopen(path, "rb");
    }
    if (!file) {
        fprintf(stderr, "%s/%s: there is no such file, nor one with .gz\n", directory, name);
        exit(2);
    }
    size_t size = 0, room = 1 << 20;
    *text = malloc(room);
    int n;
    while (assert(*text), (n = gzread(file, *text + size, (unsigned)(room - size))) > 0) {
        size += (size_t)n;
        if (size == room)
            *text = realloc(*text, room *= 2);
    }
    gzclose(file);
    if (n < 0)
        exit(2);
    return size;
}

static void pick(json_t *json, struct json_value object, const char *const keys[], size_t count,
    struct json_value values[])
{
    for (size_t i = 0; i < count; i++)
        values[i] = (struct json_value){ .kind = JSON_NOTHING };
    if (object.kind == JSON_OBJECT)
        json_pick(json, object.raw, keys, count, values);
}

static void read_states(struct vector *v, json_t *json)
{
    static const char *const keys[] = { "state", "last_changed", "last_updated", "last_reported", "attributes",
        "entity_id" };
    struct json_value part[6];
    pick(json, v->old_state, keys, 6, part);
    v->old_text = part[0];
    v->old_changed = part[1];
    v->old_entity = part[5];
    pick(json, v->new_state, keys, 6, part);
    v->new_text = part[0];
    v->new_changed = part[1];
    v->new_updated = part[2];
    v->new_reported = part[3];
    v->new_attributes = part[4];
    v->new_entity = part[5];
}

void vector_read(struct vector *v, json_t *json, struct json_value name, struct json_value input)
{
    static const char *const keys[] = { "event_type", "time_fired", "context", "data" };
    static const char *const data_keys[] = { "entity_id", "old_state", "new_state", "domain", "service" };
    struct json_value part[5];
    *v = (struct vector){ .json = json, .event = input, .name = slice_of("(no name)") };
    json_text(json, name, &v->name);
    pick(json, input, keys, 4, part);
    v->type = part[0];
    v->time_fired = part[1];
    v->context = part[2];
    v->data = part[3];
    pick(json, v->data, data_keys, 5, part);
    v->entity = part[0];
    v->old_state = part[1];
    v->new_state = part[2];
    v->domain = part[3];
    v->service = part[4];
    read_states(v, json);
}
