/* fuzz_json.c - Home Assistant's JSON: what is taken is JSON, and what is picked lies in it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../schemas/strict_json.h"
#include "json.h"

struct walk { json_t *json; struct slice text; int budget; };

static void check_inside(const struct walk *w, struct slice part)
{
    const char *begin = w->text.data, *at = part.data;
    assert(at >= begin && at + part.size <= begin + w->text.size);
    assert(is_strict_json(part.data, part.size, 256));
}

static int visit(void *owner, struct json_value value);

static int visit_member(void *owner, struct slice key, struct json_value value)
{
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < key.size; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)key.data)[i]);
    return visit(owner, value);
}

static void check_text(struct walk *w, struct json_value value)
{
    struct slice text, again;
    struct json_value root = { JSON_NOTHING, { NULL, 0 } };
    const char *why = NULL;
    msgpack_sbuffer out;
    assert(json_text(w->json, value, &text));
    msgpack_sbuffer_init(&out);
    json_write_text(text, &out); /* what we write reads back as the same text */
    assert(is_strict_json(out.data, out.size, 1));
    json_t *other = json_new();
    int rc = json_read(other, (struct slice){ out.data, out.size }, &root, &why);
    assert(rc == 0 && json_text(other, root, &again));
    assert(again.size == text.size && memcmp(again.data, text.data, text.size) == 0);
    json_destroy(&other);
    msgpack_sbuffer_destroy(&out);
}

static int visit(void *owner, struct json_value value)
{
    static const char *const keys[] = { "id", "type", "event", "data", "new_state", "a", "" };
    struct walk *w = owner;
    struct json_value picked[sizeof keys / sizeof *keys];
    int64_t whole;
    double real;
    check_inside(w, value.raw);
    if (w->budget-- == 0)
        return 1;
    int rc = 0;
    bool is_object = value.kind == JSON_OBJECT;
    if (is_object)
        rc = json_each_member(w->json, value.raw, visit_member, w);
    else if (value.kind == JSON_ARRAY)
        rc = json_each_item(w->json, value.raw, visit, w);
    else if (value.kind == JSON_TEXT)
        check_text(w, value);
    assert(rc >= 0);
    assert(json_pick(w->json, value.raw, keys, sizeof keys / sizeof *keys, picked) == (is_object ? 0 : -1));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (picked[i].kind != JSON_NOTHING)
            check_inside(w, picked[i].raw);
    bool is_int = json_int(value, &whole), is_real = json_real(value, &real);
    assert(!is_int || is_real || value.raw.size > 100);
    return rc;
}

static int same_value(void *owner, struct json_value value)
{
    struct slice **next = owner;
    assert((*next)->data == value.raw.data && (*next)->size == value.raw.size);
    ++*next;
    return 0;
}

static int same_member(void *owner, struct slice key, struct json_value value)
{
    (void)key;
    return same_value(owner, value);
}

struct list { struct slice *parts; size_t count; };

static int note_value(void *owner, struct json_value value)
{
    struct list *list = owner;
    if (list->count == 64)
        return 1;
    list->parts[list->count++] = value.raw;
    return 0;
}

static int note_member(void *owner, struct slice key, struct json_value value)
{
    (void)key;
    return note_value(owner, value);
}

/* With one level read, what is good is good, and what lies in it ends where it ended. */
static void check_outer_level(json_t *json, struct slice text, bool is_good, struct json_value whole)
{
    struct slice parts[64], *next = parts;
    struct list list = { parts, 0 };
    struct json_value root;
    const char *why = NULL;
    int full = 0;
    if (is_good && whole.kind == JSON_OBJECT)
        full = json_each_member(json, whole.raw, note_member, &list);
    else if (is_good && whole.kind == JSON_ARRAY)
        full = json_each_item(json, whole.raw, note_value, &list);
    int rc = json_read_levels(json, text, 1, &root, &why);
    assert(rc == 0 || (!is_good && why));
    if (full != 0 || !is_good)
        return;
    assert(root.kind == whole.kind && root.raw.data == whole.raw.data && root.raw.size == whole.raw.size);
    if (root.kind == JSON_OBJECT)
        json_each_member(json, root.raw, same_member, &next);
    else if (root.kind == JSON_ARRAY)
        json_each_item(json, root.raw, same_value, &next);
    assert(next == parts + list.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *json; /* used again and again, as by its owners */
    struct json_value root;
    const char *why = NULL;
    if (!json)
        json = json_new();
    uint8_t *exact = malloc(size + (size == 0));
    assert(exact);
    if (size > 0)
        memcpy(exact, data, size);
    struct walk w = { json, { exact, size }, 200 };
    bool taken = json_read(json, w.text, &root, &why) == 0;
    assert(taken == is_strict_json(exact, size, 256));
    assert(taken || why);
    if (taken) {
        visit(&w, root);
        struct json_value at = json_at(json, root.raw, "event.0.data");
        if (at.kind != JSON_NOTHING)
            check_inside(&w, at.raw);
    }
    check_outer_level(json, w.text, taken, root);
    free(exact);
    return 0;
}
