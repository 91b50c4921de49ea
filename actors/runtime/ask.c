/* ask.c - questions of ours. The bus keeps the deadlines and answers every one exactly once. */
#include "actor_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void remember(actor_t *self, struct question question)
{
    self->stirs++;
    self->questions = array_room(self->questions, self->questions_count, &self->questions_size, sizeof question);
    self->questions[self->questions_count++] = question;
}

int actor_ask(actor_t *self, const struct contract *contract, const void *query, int deadline_ms, any_fn *done, int64_t tag)
{
    struct fault fault;
    self->scratch.size = 0;
    if (schema_encode(contract->in(), query, &self->scratch, &fault)) {
        self->mismatches++;
        actor_error(self, "a question of ours breaks its schema and is not asked: %s.%s %s", contract->subject, fault.field, fault.why);
        return -1;
    }
    uint64_t number = bus_ask(self->bus, contract->subject, (struct bus_bytes){ self->scratch.data, self->scratch.size }, deadline_ms);
    remember(self, (struct question){ .number = number, .contract = contract, .done = done, .tag = tag });
    return 0;
}

int actor_ask_raw(actor_t *self, const char *subject, struct slice query, int deadline_ms, raw_done_fn *done, int64_t tag)
{
    uint64_t number = bus_ask(self->bus, subject, (struct bus_bytes){ query.data, query.size }, deadline_ms);
    remember(self, (struct question){ .number = number, .raw_done = done, .tag = tag });
    return 0;
}

/* --- answers ------------------------------------------------------------------------------------ */

/* What the bus and the broker say, in the words of actors. */
static int translate(int verdict, struct fault *fault)
{
    static const struct { int from, to; const char *why; } rows[] = {
        { BUS_NO_OWNER, NO_OWNER, "nobody answers to this" },
        { BUS_TOO_LATE, TOO_LATE, "the deadline passed" },
        { BUS_OWNER_GONE, UNAVAILABLE, "the process that was asked went away" },
        { BUS_NO_CONNECTION, UNAVAILABLE, "the broker is away" },
        { BUS_TOO_LARGE, BROKEN, "the answer is too large" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].from != verdict)
            continue;
        *fault = (struct fault){ "", rows[i].why };
        return rows[i].to;
    }
    return verdict >= OK && verdict <= TOO_LATE ? verdict : BROKEN;
}

static bool unpack_text(const msgpack_object *object, char *to, size_t size)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    size_t length = object->via.str.size < size ? object->via.str.size : size - 1;
    if (length > 0) /* else there may be no ptr */
        memcpy(to, object->via.str.ptr, length);
    to[length] = '\0';
    return true;
}

struct fault_text { char field[128], why[400]; };

/* [field, why]; anything else is no fault. */
static void read_fault(struct slice head, struct fault_text *text, struct fault *fault)
{
    if (head.size > 1024 || frame_check(head, 2))
        return;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 0;
    if (msgpack_unpack_next(&unpacked, head.data, head.size, &at) == MSGPACK_UNPACK_SUCCESS) {
        const msgpack_object_array *array = &unpacked.data.via.array;
        if (unpacked.data.type == MSGPACK_OBJECT_ARRAY && array->size >= 2 &&
            unpack_text(&array->ptr[0], text->field, sizeof text->field) && unpack_text(&array->ptr[1], text->why, sizeof text->why))
            *fault = (struct fault){ text->field, text->why };
    }
    msgpack_unpacked_destroy(&unpacked);
}

static void call_done(actor_t *self, const struct question *question, struct answer *answer)
{
    if (question->raw_done) {
        question->raw_done(self->self, self, question->tag, answer);
        return;
    }
    if (!question->done)
        return;
    const struct schema *schema = question->contract->out();
    void *reply = answer->verdict == OK ? malloc(schema->size) : NULL;
    assert(reply || answer->verdict != OK);
    if (reply && schema_decode(schema, answer->end, reply, &answer->fault)) {
        self->mismatches++;
        actor_warn(self, "an answer breaks its schema: %s: %s %s", question->contract->subject, answer->fault.field, answer->fault.why);
        answer->verdict = BROKEN;
    }
    question->contract->done(question->done, self->self, self, question->tag, answer, answer->verdict == OK ? reply : NULL);
    free(reply);
}

void questions_answered(actor_t *self, uint64_t number, int verdict, struct slice head, struct slice body)
{
    size_t i = 0;
    while (i < self->questions_count && self->questions[i].number != number)
        i++;
    if (i == self->questions_count)
        return;
    struct question question = self->questions[i];
    self->questions[i] = self->questions[--self->questions_count];
    struct answer answer = { .fault = { "", "" } };
    struct fault_text text;
    answer.verdict = translate(verdict, &answer.fault);
    if (answer.verdict != OK && verdict < BUS_NO_OWNER)
        read_fault(head, &text, &answer.fault);
    if (answer.verdict == OK && head.size > 0) {  /* a listing */
        answer.end = head;
        answer.rows = body;
    } else if (answer.verdict == OK) {
        answer.end = body;
    }
    call_done(self, &question, &answer);
}

/* The process ends: nobody is told any more. */
void questions_destroy(actor_t *self) { free(self->questions); }
