/* settings_yaml.c - one YAML text as a walk over its scalars; the only file that knows libyaml. */
#include "settings_yaml.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { NAME_MAX_BYTES = 128 };

struct walk {
    yaml_parser_t parser;
    yaml_event_t event;   /* the last one read; owned */
    bool has_event;
    setting_fn *fn;
    void *owner;
    char *why;
    size_t size;
};

static int complain(struct walk *walk, size_t line, const char *text)
{
    snprintf(walk->why, walk->size, "line %zu: %s", line + 1, text);
    return -1;
}

static void forget(struct walk *walk)
{
    if (walk->has_event)
        yaml_event_delete(&walk->event);
    walk->has_event = false;
}

static int next(struct walk *walk)
{
    forget(walk);
    if (yaml_parser_parse(&walk->parser, &walk->event)) {
        walk->has_event = true;
        return 0;
    }
    const char *problem = walk->parser.problem ? walk->parser.problem : "is no YAML";
    return complain(walk, walk->parser.problem_mark.line, problem);
}

/* Behind a value that began a list or a mapping: read to its end. */
static int skip_rest(struct walk *walk)
{
    for (size_t depth = 1; depth > 0;) {
        if (next(walk))
            return -1;
        yaml_event_type_t type = walk->event.type;
        if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
            depth--;
    }
    return 0;
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp((const char *)event->data.scalar.value, nulls[i]) == 0)
            return true;
    return false;
}

/* The key is copied: the next event takes its place. */
static int take_key(struct walk *walk, char key[NAME_MAX_BYTES], struct slice *name)
{
    const yaml_event_t *event = &walk->event;
    size_t line = event->start_mark.line;
    if (event->type != YAML_SCALAR_EVENT)
        return complain(walk, line, "a key is no text");
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    if (size >= NAME_MAX_BYTES || memchr(text, '\0', size))
        return complain(walk, line, "a key is too long or holds a NUL");
    memcpy(key, text, size);
    key[size] = '\0';
    *name = (struct slice){ key, size };
    return 0;
}

static int walk_section(struct walk *walk, struct slice section);

static int walk_value(struct walk *walk, struct slice section, struct slice key, bool in_section)
{
    if (next(walk))
        return -1;
    const yaml_event_t *event = &walk->event;
    if (event->type == YAML_MAPPING_START_EVENT && !in_section)
        return walk_section(walk, key);
    struct setting setting = { .section = section, .key = key, .line = event->start_mark.line + 1,
        .is_scalar = event->type == YAML_SCALAR_EVENT };
    if (setting.is_scalar && !is_null(event))
        setting.value = (struct slice){ event->data.scalar.value, event->data.scalar.length };
    bool nested = event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    int rc = walk->fn(walk->owner, &setting);
    return rc || !nested ? rc : skip_rest(walk);
}

/* Behind the start of a mapping: its members up to its end. */
static int walk_members(struct walk *walk, struct slice section, bool in_section)
{
    for (;;) {
        char key[NAME_MAX_BYTES];
        struct slice name;
        if (next(walk))
            return -1;
        if (walk->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        if (take_key(walk, key, &name))
            return -1;
        int rc = walk_value(walk, section, name, in_section);
        if (rc)
            return rc;
    }
}

static int walk_section(struct walk *walk, struct slice section)
{
    return walk_members(walk, section, true);
}

static int walk_document(struct walk *walk)
{
    if (next(walk) || next(walk))  /* the stream's start, the document's */
        return -1;
    if (walk->event.type == YAML_STREAM_END_EVENT || next(walk))
        return walk->has_event ? 0 : -1;
    size_t line = walk->event.start_mark.line;
    if (walk->event.type == YAML_SCALAR_EVENT && is_null(&walk->event))
        return 0;
    if (walk->event.type != YAML_MAPPING_START_EVENT)
        return complain(walk, line, "the file is no mapping of sections");
    int rc = walk_members(walk, (struct slice){ "", 0 }, false);
    if (rc)
        return rc;
    if (next(walk) || next(walk))  /* the document's end, and what follows */
        return -1;
    return walk->event.type == YAML_STREAM_END_EVENT ? 0
        : complain(walk, walk->event.start_mark.line, "a second document begins");
}

int yaml_walk(struct slice text, setting_fn *fn, void *owner, char *why, size_t size)
{
    struct walk walk = { .fn = fn, .owner = owner, .why = why, .size = size };
    int made = yaml_parser_initialize(&walk.parser);
    assert(made);
    yaml_parser_set_input_string(&walk.parser, text.data, text.size);
    int rc = walk_document(&walk);
    forget(&walk);
    yaml_parser_delete(&walk.parser);
    return rc;
}
