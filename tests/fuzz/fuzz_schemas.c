/* fuzz_schemas.c - bytes from anyone as every message: decoded, said again, as JSON, as text.
 *
 * The first byte chooses the message, the second what the rest is taken for. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../schemas/strict_json.h"
#include "json.h"
#include "schemas.h"

static const struct schema *schema_at(size_t number)
{
    size_t count = 0;
    while (all_schemas[count])
        count++;
    return all_schemas[number % count]();
}

static struct slice bytes_of(const msgpack_sbuffer *buffer)
{
    return (struct slice){ buffer->data, buffer->size };
}

/* JSON rows of a frame may hold anything, as they are checked where they are made. */
static void drop_what_is_no_json(const struct schema *schema, void *msg)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        bool *has = (bool *)((char *)msg + f->has_at);
        const struct slice *json = (const struct slice *)(const void *)((char *)msg + f->at);
        if (f->kind == JSON_KIND && *has)
            *has = is_strict_json(json->data, json->size, 250);
    }
}

static void check_json(const struct schema *schema, void *msg)
{
    struct json_value root = { JSON_NOTHING, { NULL, 0 } };
    struct fault fault;
    const char *why = NULL;
    msgpack_sbuffer out, pool;
    msgpack_sbuffer_init(&out);
    msgpack_sbuffer_init(&pool);
    drop_what_is_no_json(schema, msg);
    schema_json(schema, msg, &out);
    json_t *json = json_new();
    int rc = json_read(json, bytes_of(&out), &root, &why);
    assert(rc == 0 && root.kind == JSON_OBJECT);
    json_destroy(&json);
    void *back = malloc(schema->size);
    assert(back);
    if (schema_from_json(schema, bytes_of(&out), back, &pool, &fault) == 0)
        assert(schema_check(schema, back, &fault) == 0);
    else
        assert(fault.field && fault.why);
    free(back);
    msgpack_sbuffer_destroy(&pool);
    msgpack_sbuffer_destroy(&out);
}

static void try_frame(const struct schema *schema, struct slice frame)
{
    struct fault fault = { NULL, NULL };
    msgpack_sbuffer first, second;
    void *msg = malloc(schema->size), *again = malloc(schema->size);
    assert(msg && again);
    msgpack_sbuffer_init(&first);
    msgpack_sbuffer_init(&second);
    if (schema_decode(schema, frame, msg, &fault) == 0) {
        assert(frame_check(frame, 40) == 0); /* whatever is decoded is well-formed */
        int rc = schema_encode(schema, msg, &first, &fault);
        assert(rc == 0 && frame_check(bytes_of(&first), 2) == 0);
        rc = schema_decode(schema, bytes_of(&first), again, &fault);
        assert(rc == 0);
        rc = schema_encode(schema, again, &second, &fault);
        assert(rc == 0 && first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        check_json(schema, msg);
    } else {
        assert(fault.field && fault.why);
    }
    msgpack_sbuffer_destroy(&first);
    msgpack_sbuffer_destroy(&second);
    free(msg);
    free(again);
}

static void try_frames(struct slice rest)
{
    struct slice one;
    const char *at = rest.data;
    while (frame_next(&rest, &one)) {
        assert(one.data == at && one.size > 0 && frame_check(one, 40) == 0);
        at += one.size;
        assert(rest.data == at);
    }
}

static void try_json(const struct schema *schema, struct slice text)
{
    struct fault fault = { NULL, NULL };
    msgpack_sbuffer pool, frame;
    msgpack_sbuffer_init(&pool);
    msgpack_sbuffer_init(&frame);
    void *msg = malloc(schema->size);
    assert(msg);
    if (schema_from_json(schema, text, msg, &pool, &fault) == 0) {
        assert(is_strict_json(text.data, text.size, 256));
        int rc = schema_encode(schema, msg, &frame, &fault);
        assert(rc == 0);
        try_frame(schema, bytes_of(&frame));
    } else {
        assert(fault.field && fault.why);
    }
    free(msg);
    msgpack_sbuffer_destroy(&pool);
    msgpack_sbuffer_destroy(&frame);
}

static void try_text(const struct schema *schema, struct slice text)
{
    char first[512], second[512];
    struct fault fault;
    void *msg = malloc(schema->size);
    assert(msg);
    schema_clear(schema, msg);
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (schema_set_text(f, text.data, text.size, msg, &fault))
            continue;
        size_t size = schema_get_text(f, msg, first, sizeof first);
        assert(strlen(first) < sizeof first);
        if (size >= sizeof first || f->flags & SECRET)
            continue;
        int rc = schema_set_text(f, first, size, msg, &fault); /* what we say we understand */
        assert(rc == 0 && schema_get_text(f, msg, second, sizeof second) == size && memcmp(first, second, size) == 0);
    }
    check_json(schema, msg);
    free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t at_us;
    if (size < 2)
        return 0;
    const struct schema *schema = schema_at(data[0]);
    uint8_t *exact = malloc(size - 2 + (size == 2));
    assert(exact);
    memcpy(exact, data + 2, size - 2);
    struct slice rest = { exact, size - 2 };
    switch (data[1] & 3) {
    case 0: try_frame(schema, rest); break;
    case 1: try_json(schema, rest); break;
    case 2: try_text(schema, rest); break;
    default: try_frames(rest); break;
    }
    if (time_read(rest, &at_us) == 0) {
        char text[TIME_TEXT];
        int64_t again;
        time_text(at_us, text);
        int rc = time_read(slice_of(text), &again);
        assert(rc == 0 && again == at_us);
    }
    free(exact);
    return 0;
}
