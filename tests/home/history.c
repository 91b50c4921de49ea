/* history.c - the states of the last while, in a ring of bytes that is read from its oldest row. */
#include "history.h"
#include "read.h"

#include <assert.h>
#include <stdlib.h>

struct history {
    char *ring;
    size_t room, end, start_of_old, end_of_old;
};

/* Rows lie in [0, end) and, older, in [start_of_old, end_of_old). */
struct stored {
    uint32_t size;
    uint16_t id_size;
    uint32_t state_size, attributes_size;
    int64_t updated_us, changed_us;
};

struct history *history_new(size_t bytes)
{
    struct history *self = calloc(1, sizeof *self);

    assert(self);
    self->room = bytes;
    self->ring = bytes ? malloc(bytes) : NULL;
    assert(self->ring || !bytes);
    return self;
}

void history_destroy(struct history **self_p)
{
    if (!*self_p)
        return;
    free((*self_p)->ring);
    free(*self_p);
    *self_p = NULL;
}

static struct stored stored_at(const struct history *self, size_t at)
{
    struct stored stored;

    memcpy(&stored, self->ring + at, sizeof stored);
    return stored;
}

static void make_room(struct history *self, size_t size)
{
    if (self->end + size > self->room) {
        self->start_of_old = 0;
        self->end_of_old = self->end;
        self->end = 0;
    }
    while (self->start_of_old < self->end_of_old && self->start_of_old < self->end + size)
        self->start_of_old += stored_at(self, self->start_of_old).size;
}

static char *copy(char *to, struct slice from)
{
    if (from.size)
        memcpy(to, from.data, from.size);
    return to + from.size;
}

void history_add(struct history *self, const struct row *row)
{
    size_t size = sizeof(struct stored) + row->entity_id.size + row->state.size + row->attributes.size;

    if (size > self->room / 4)
        return;
    make_room(self, size);
    struct stored stored = {.size = (uint32_t)size,
        .id_size = (uint16_t)row->entity_id.size,
        .state_size = (uint32_t)row->state.size,
        .attributes_size = (uint32_t)row->attributes.size,
        .updated_us = row->updated_us,
        .changed_us = row->changed_us};
    char *at = copy(self->ring + self->end, (struct slice){&stored, sizeof stored});
    copy(copy(copy(at, row->entity_id), row->state), row->attributes);
    self->end += size;
}

static struct row row_at(const struct history *self, size_t at, size_t *size)
{
    struct stored stored = stored_at(self, at);
    const char *data = self->ring + at + sizeof stored;

    *size = stored.size;
    return (struct row){.entity_id = {data, stored.id_size},
        .state = {data + stored.id_size, stored.state_size},
        .attributes = {data + stored.id_size + stored.state_size, stored.attributes_size},
        .updated_us = stored.updated_us,
        .changed_us = stored.changed_us};
}

static void say_row(
    struct text *text, const struct row *row, int64_t at_us, const struct question *question, bool first)
{
    text_say(text, first ? "{\"s\":" : ",{\"s\":");
    text_json(text, row->state);
    if (question->attributes && (first || !question->minimal)) {
        text_say(text, ",\"a\":");
        text_slice(text, row->attributes);
    }
    if (row->changed_us != row->updated_us && at_us == row->updated_us) {
        text_say(text, ",\"lc\":");
        moment_float(text, row->changed_us);
    }
    text_say(text, ",\"lu\":");
    moment_float(text, at_us);
    text_say(text, "}");
}

struct answer {
    struct text *text;
    const struct question *question;
    struct slice entity_id;
    struct row before;
    bool any;
};

static void flush_before(struct answer *answer)
{
    if (answer->before.updated_us && answer->question->start_state) {
        say_row(answer->text, &answer->before, answer->question->start_us, answer->question, !answer->any);
        answer->any = true;
    }
    answer->before.updated_us = 0;
}

static void look(const struct history *self, size_t from, size_t to, struct answer *answer)
{
    size_t size;

    for (; from < to; from += size) {
        struct row row = row_at(self, from, &size);
        if (!slice_same(row.entity_id, answer->entity_id) || row.updated_us >= answer->question->end_us)
            continue;
        if (row.updated_us < answer->question->start_us) {
            answer->before = row;
            continue;
        }
        flush_before(answer);
        say_row(answer->text, &row, row.updated_us, answer->question, !answer->any);
        answer->any = true;
    }
}

static void answer_entity(struct history *self, struct answer *answer, bool *first)
{
    size_t began = answer->text->size;

    text_say(answer->text, *first ? "" : ",");
    text_json(answer->text, answer->entity_id);
    text_say(answer->text, ":[");
    look(self, self->start_of_old, self->end_of_old, answer);
    look(self, 0, self->end, answer);
    flush_before(answer);
    if (!answer->any) {
        answer->text->size = began;
        return;
    }
    text_say(answer->text, "]");
    *first = false;
}

void history_answer(struct history *self, struct text *text, const struct question *question)
{
    struct slice rest = question->entity_ids, key, value;
    struct text id = {0};
    bool first = true;

    text_say(text, "{");
    while (read_next(&rest, &key, &value)) {
        if (!read_text(value, &id))
            continue;
        struct answer answer = {.text = text, .question = question, .entity_id = text_view(&id)};
        answer_entity(self, &answer, &first);
    }
    text_say(text, "}");
    text_free(&id);
}
