/* history.c - what the recorder keeps, in a ring of bytes that is read from its oldest row. */
#include "history.h"
#include "read.h"
#include "recorded.h"

#include <assert.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>

enum { MAX_ATTRIBUTES_BYTES = 16384 };

/* Rows lie in [start, end) and, older, in [start_of_old, end_of_old). */
struct history {
    char *ring, *excluded;
    size_t room, start, end, start_of_old, end_of_old;
    int64_t commit_us, synced_us;
    bool as_2024_3;
};

struct stored {
    uint32_t size, hash;
    uint16_t id_size;
    bool gone;
    uint32_t state_size, attributes_size;
    int64_t updated_us, changed_us;
};

struct history *history_new(const struct history_options *options)
{
    struct history *self = calloc(1, sizeof *self);

    assert(self);
    self->room = options->bytes;
    self->ring = options->bytes ? malloc(options->bytes) : NULL;
    self->excluded = options->excluded ? strdup(options->excluded) : NULL;
    assert((self->ring || !options->bytes) && (self->excluded || !options->excluded));
    self->commit_us = options->commit_us;
    self->as_2024_3 = options->as_2024_3;
    return self;
}

void history_destroy(struct history **self_p)
{
    if (!*self_p)
        return;
    free((*self_p)->ring);
    free((*self_p)->excluded);
    free(*self_p);
    *self_p = NULL;
}

void history_sync(struct history *self, int64_t now_us)
{
    self->synced_us = now_us;
}

double history_seconds(const struct history *self, int64_t us)
{
    return self->as_2024_3 ? (double)us / 1e6 : moment_seconds(us);
}

/* --- keeping -------------------------------------------------------------------------------- */

static struct stored stored_at(const struct history *self, size_t at)
{
    struct stored stored;

    memcpy(&stored, self->ring + at, sizeof stored);
    return stored;
}

static void make_room(struct history *self, size_t size)
{
    if (self->end + size > self->room) {
        self->start_of_old = self->start;
        self->end_of_old = self->end;
        self->start = self->end = 0;
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

static uint32_t hash_of(struct slice id)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < id.size; i++)
        hash = (hash ^ ((const unsigned char *)id.data)[i]) * 16777619u;
    return hash;
}

static bool is_excluded(const struct history *self, struct slice entity_id)
{
    char id[260], glob[260];

    if (!self->excluded || entity_id.size >= sizeof id)
        return false;
    memcpy(id, entity_id.data, entity_id.size);
    id[entity_id.size] = 0;
    for (const char *at = self->excluded; *at; at += strspn(at, ",")) {
        size_t size = strcspn(at, ",");
        if (size < sizeof glob) {
            memcpy(glob, at, size);
            glob[size] = 0;
            if (fnmatch(glob, id, 0) == 0)
                return true;
        }
        at += size;
    }
    return false;
}

void history_add(struct history *self, const struct row *row)
{
    struct slice attributes = row->attributes, state = row->gone ? (struct slice){0} : row->state;

    if (is_excluded(self, row->entity_id))
        return;
    if (row->gone || attributes.size > 4 * MAX_ATTRIBUTES_BYTES)
        attributes = slice_of("{}");
    size_t size = sizeof(struct stored) + row->entity_id.size + state.size + attributes.size;
    if (size > self->room / 4)
        return;
    make_room(self, size);
    struct stored stored = {.size = (uint32_t)size,
        .hash = hash_of(row->entity_id),
        .id_size = (uint16_t)row->entity_id.size,
        .gone = row->gone,
        .state_size = (uint32_t)state.size,
        .attributes_size = (uint32_t)attributes.size,
        .updated_us = row->updated_us,
        .changed_us = row->gone ? row->updated_us : row->changed_us};
    char *at = copy(self->ring + self->end, (struct slice){&stored, sizeof stored});
    copy(copy(copy(at, row->entity_id), state), attributes);
    self->end += size;
}

static size_t forget_from(const struct history *self, size_t from, size_t to, int64_t before_us)
{
    while (from < to && stored_at(self, from).updated_us < before_us)
        from += stored_at(self, from).size;
    return from;
}

void history_forget(struct history *self, int64_t before_us)
{
    self->start_of_old = forget_from(self, self->start_of_old, self->end_of_old, before_us);
    if (self->start_of_old >= self->end_of_old)
        self->start = forget_from(self, self->start, self->end, before_us);
}

/* --- one row's JSON ---------------------------------------------------------------------------- */

static void say_attributes(const struct history *self, struct text *text, const struct row *row)
{
    struct slice rest = row->attributes, key, value;
    size_t began = text->size;

    text_say(text, "{");
    while (read_next(&rest, &key, &value)) {
        if (!recorded_key(row->entity_id, key, self->as_2024_3))
            continue;
        text_say(text, text->size > began + 1 ? "," : "");
        text_slice(text, key);
        text_say(text, ":");
        text_slice(text, value);
    }
    text_say(text, "}");
    if (text->size - began > MAX_ATTRIBUTES_BYTES) {
        text->size = began;
        text_say(text, "{}");
    }
}

static void say_state(struct text *text, const struct row *row)
{
    text_say(text, "{\"s\":");
    if (row->gone)
        text_say(text, "null");
    else
        text_json(text, row->state);
}

static void say_times(struct text *text, double updated_s, int64_t changed_us)
{
    text_say(text, ",\"lu\":");
    text_float(text, updated_s);
    if (changed_us) {
        text_say(text, ",\"lc\":");
        text_float(text, (double)changed_us / 1e6);
    }
    text_say(text, "}");
}

void history_say_live(const struct history *self, struct text *text, const struct row *row, bool attributes)
{
    say_state(text, row);
    if (attributes || recorded_needs_attributes(row->entity_id)) {
        text_say(text, ",\"a\":");
        text_slice(text, row->attributes);
    }
    say_times(text, history_seconds(self, row->updated_us), row->changed_us != row->updated_us ? row->changed_us : 0);
}

/* --- answering -------------------------------------------------------------------------------- */

/* One entity that is asked for, and where its rows lie: in two passes, so that each row of the
 * ring is looked at once, however many entities are asked for. */
struct wanted {
    struct text id;
    uint32_t hash;
    size_t before; /* the row that was current at the start, plus one */
    size_t *rows, count, room;
};

struct answer {
    const struct history *history;
    const struct question *question;
    struct text *text;
    struct wanted *wanted, **by_hash;
    size_t count;
    double newest_s;
};

static struct row row_at(const struct history *self, size_t at, const struct stored *stored)
{
    const char *data = self->ring + at + sizeof *stored;

    return (struct row){.entity_id = {data, stored->id_size},
        .state = {data + stored->id_size, stored->state_size},
        .attributes = {data + stored->id_size + stored->state_size, stored->attributes_size},
        .updated_us = stored->updated_us,
        .changed_us = stored->changed_us,
        .gone = stored->gone};
}

static int compare_hashes(const void *a, const void *b)
{
    const struct wanted *const *left = a, *const *right = b;

    return ((*left)->hash > (*right)->hash) - ((*left)->hash < (*right)->hash);
}

static void read_wanted(struct answer *answer)
{
    struct slice rest = answer->question->entity_ids, key, value;
    struct text id = {0};

    while (read_next(&rest, &key, &value)) {
        if (!read_text(value, &id))
            continue;
        answer->wanted = realloc(answer->wanted, (answer->count + 1) * sizeof *answer->wanted);
        assert(answer->wanted);
        answer->wanted[answer->count++] = (struct wanted){.id = id, .hash = hash_of(text_view(&id))};
        id = (struct text){0};
    }
    text_free(&id);
    answer->by_hash = calloc(answer->count + 1, sizeof *answer->by_hash);
    assert(answer->by_hash);
    for (size_t i = 0; i < answer->count; i++)
        answer->by_hash[i] = &answer->wanted[i];
    qsort(answer->by_hash, answer->count, sizeof *answer->by_hash, compare_hashes);
}

static struct wanted *find_wanted(const struct answer *answer, size_t at, const struct stored *stored)
{
    size_t low = 0, high = answer->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (answer->by_hash[middle]->hash < stored->hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < answer->count && answer->by_hash[low]->hash == stored->hash; low++)
        if (slice_same(text_view(&answer->by_hash[low]->id), row_at(answer->history, at, stored).entity_id))
            return answer->by_hash[low];
    return NULL;
}

static void take(const struct answer *answer, size_t at, const struct stored *stored)
{
    const struct question *question = answer->question;
    double updated_s = history_seconds(answer->history, stored->updated_us);
    struct wanted *wanted = updated_s < question->end_s ? find_wanted(answer, at, stored) : NULL;

    if (!wanted)
        return;
    if (updated_s < question->start_s)
        wanted->before = at + 1;
    bool changed = stored->changed_us == stored->updated_us || recorded_is_significant(text_view(&wanted->id));
    if (updated_s <= question->start_s || (question->significant && !changed))
        return;
    if (wanted->count == wanted->room) {
        wanted->room = wanted->room ? wanted->room * 2 : 16;
        wanted->rows = realloc(wanted->rows, wanted->room * sizeof *wanted->rows);
        assert(wanted->rows);
    }
    wanted->rows[wanted->count++] = at;
}

static void look(const struct answer *answer, size_t from, size_t to)
{
    const struct history *history = answer->history;
    int64_t committed_us = answer->question->now_us - history->commit_us;

    if (committed_us < history->synced_us)
        committed_us = history->synced_us;
    for (size_t size; from < to; from += size) {
        struct stored stored = stored_at(history, from);
        size = stored.size;
        if (stored.updated_us <= committed_us)
            take(answer, from, &stored);
    }
}

/* `previous` is what the row before it said, for a minimal answer. */
static void say_row(struct answer *answer, size_t at, bool first, struct row *previous)
{
    const struct question *question = answer->question;
    struct stored stored = stored_at(answer->history, at);
    struct row row = row_at(answer->history, at, &stored);
    double updated_s = history_seconds(answer->history, row.updated_us);
    bool is_start = updated_s < question->start_s;
    bool minimal = question->minimal && !recorded_needs_attributes(row.entity_id);

    if (minimal && !first && row.gone == previous->gone && slice_same(row.state, previous->state))
        return;
    *previous = row;
    text_say(answer->text, first ? "" : ",");
    say_state(answer->text, &row);
    if (!minimal || (first && question->attributes)) {
        text_say(answer->text, ",\"a\":");
        if (question->attributes)
            say_attributes(answer->history, answer->text, &row);
        else
            text_say(answer->text, "{}");
    }
    updated_s = is_start ? question->start_s : updated_s;
    bool with_changed = !is_start && !question->significant && (first || !minimal) && row.changed_us != row.updated_us;
    say_times(answer->text, updated_s, with_changed ? row.changed_us : 0);
    answer->newest_s = fmax(answer->newest_s, updated_s);
}

static void say_entity(struct answer *answer, const struct wanted *wanted, bool *first)
{
    bool starts = wanted->before && answer->question->start_state;
    struct row previous = {0};

    if (!starts && !wanted->count)
        return;
    text_say(answer->text, *first ? "" : ",");
    text_json(answer->text, text_view(&wanted->id));
    text_say(answer->text, ":[");
    if (starts)
        say_row(answer, wanted->before - 1, true, &previous);
    for (size_t i = 0; i < wanted->count; i++)
        say_row(answer, wanted->rows[i], !starts && i == 0, &previous);
    text_say(answer->text, "]");
    *first = false;
}

double history_answer(struct history *self, struct text *text, const struct question *question)
{
    struct answer answer = {.history = self, .question = question, .text = text};
    bool first = true;

    read_wanted(&answer);
    look(&answer, self->start_of_old, self->end_of_old);
    look(&answer, self->start, self->end);
    text_say(text, "{");
    for (size_t i = 0; i < answer.count; i++) {
        say_entity(&answer, &answer.wanted[i], &first);
        text_free(&answer.wanted[i].id);
        free(answer.wanted[i].rows);
    }
    text_say(text, "}");
    free(answer.wanted);
    free(answer.by_hash);
    return answer.newest_s;
}
