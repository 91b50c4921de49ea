/* asking.c - questions of an actor to services, and questions to services of its own. */
#include "bus_inside.h"

#include <assert.h>

/* The broker keeps deadlines; we give up by ourselves only when it has not. */
enum { GRACE_US = 250 * 1000 };

struct question {
    TAILQ_ENTRY(question) link;
    uint64_t number;
    int64_t deadline_us;
    int verdict;                      /* of one that has failed */
};

static size_t hash_number(const void *item)
{
    const uint64_t *number = item;
    return (size_t)(*number * UINT64_C(0x9e3779b97f4a7c15) >> 20);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

static void remember(bus_t *self, struct question *question)
{
    if (!self->questions) {
        self->questions = zhashx_new();
        assert(self->questions);
        zhashx_set_key_hasher(self->questions, hash_number);
        zhashx_set_key_comparator(self->questions, compare_numbers);
        zhashx_set_key_duplicator(self->questions, NULL);
        zhashx_set_key_destructor(self->questions, NULL);
    }
    zhashx_insert(self->questions, &question->number, question);
    struct question *after = TAILQ_LAST(&self->asked, question_list);
    while (after && after->deadline_us > question->deadline_us)
        after = TAILQ_PREV(after, question_list, link);
    if (after)
        TAILQ_INSERT_AFTER(&self->asked, after, question, link);
    else
        TAILQ_INSERT_HEAD(&self->asked, question, link);
}

static void fail(bus_t *self, struct question *question, int verdict)
{
    question->verdict = verdict;
    TAILQ_INSERT_TAIL(&self->failed, question, link);
}

static void take_back(bus_t *self, struct question *question)
{
    zhashx_delete(self->questions, &question->number);
    TAILQ_REMOVE(&self->asked, question, link);
}

/* --- asking ---------------------------------------------------------------------------- */

uint64_t bus_ask(bus_t *self, const char *service, struct bus_bytes query, int deadline_ms)
{
    assert(*service && strlen(service) <= WIRE_SUBJECT);
    int64_t ms = deadline_ms > 0 ? deadline_ms : 0;
    struct question *question = calloc(1, sizeof *question);
    assert(question);
    question->number = ++self->last_question;
    question->deadline_us = self->clock_us + ms * 1000 + GRACE_US;
    if (self->state != BUS_CONNECTED) {
        fail(self, question, BUS_NO_CONNECTION);
        return question->number;
    }
    if (query.size > WIRE_MAX) {
        fail(self, question, BUS_TOO_LARGE);
        return question->number;
    }
    remember(self, question);
    zmq_msg_t parts[2];
    part_of(&parts[0], service, strlen(service));
    part_of(&parts[1], query.data, query.size);
    bus_say(self, &(struct wire){ .verb = VERB_ASK, .number = question->number, .extra = (uint64_t)ms }, parts, 2);
    return question->number;
}

void asking_answered(bus_t *self, const struct letter *letter)
{
    uint64_t number = letter->wire.number;
    struct question *question = self->questions ? zhashx_lookup(self->questions, &number) : NULL;
    if (!question)
        return; /* given up already */
    take_back(self, question);
    free(question);
    int verdict = letter->wire.count > INT32_MAX ? INT32_MAX : (int)letter->wire.count;
    self->options.answered(self->options.owner, number, verdict, part_bytes(&letter->parts[0]), part_bytes(&letter->parts[1]));
}

static void give_up_late(bus_t *self)
{
    struct question *question;
    while ((question = TAILQ_FIRST(&self->asked)) && question->deadline_us <= self->clock_us) {
        take_back(self, question);
        fail(self, question, BUS_TOO_LATE);
    }
}

void asking_settle(bus_t *self)
{
    give_up_late(self);
    struct question_list failed = TAILQ_HEAD_INITIALIZER(failed);
    TAILQ_CONCAT(&failed, &self->failed, link); /* an answer may ask again: that one waits for the next turn */
    struct question *question;
    while ((question = TAILQ_FIRST(&failed))) {
        TAILQ_REMOVE(&failed, question, link);
        uint64_t number = question->number;
        int verdict = question->verdict;
        free(question);
        self->options.answered(self->options.owner, number, verdict, (struct bus_bytes){ 0 }, (struct bus_bytes){ 0 });
    }
}

bool asking_is_due(const bus_t *self)
{
    return !TAILQ_EMPTY(&self->failed);
}

int64_t asking_deadline_us(const bus_t *self)
{
    const struct question *question = TAILQ_FIRST(&self->asked);
    return question ? question->deadline_us : INT64_MAX / 2;
}

/* --- answering ------------------------------------------------------------------------- */

void bus_answers(bus_t *self, const char *service)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->counter_at[i] && streq(self->counter_at[i]->service, service))
            return;
    assert(*service && strlen(service) <= WIRE_SUBJECT && self->topics < WIRE_TOPICS);
    struct counter *counter = calloc(1, sizeof *counter);
    assert(counter);
    counter->topic = self->topics++;
    strcpy(counter->service, service);
    self->counter_at[counter->topic] = counter;
    if (self->state == BUS_CONNECTED)
        bus_declare(self, &(struct wire){ .verb = VERB_ANSWERS, .topic = counter->topic }, counter->service, NULL);
}

void asking_asked(bus_t *self, const struct letter *letter)
{
    char service[WIRE_SUBJECT + 1];
    if (!letter_text(letter, 0, service, sizeof service, false)) {
        self->malformed++;
        return;
    }
    int64_t ms = letter->wire.extra > INT32_MAX ? INT32_MAX : (int64_t)letter->wire.extra;
    self->options.asked(self->options.owner, letter->wire.number, service, ms, part_bytes(&letter->parts[1]));
}

void bus_answer(bus_t *self, uint64_t ticket, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    if (self->state != BUS_CONNECTED)
        return;
    if (head.size > WIRE_MAX || body.size > WIRE_MAX) {
        verdict = BUS_TOO_LARGE;
        head = body = (struct bus_bytes){ 0 };
    }
    zmq_msg_t parts[2];
    part_of(&parts[0], head.data, head.size);
    part_of(&parts[1], body.data, body.size);
    bus_say(self, &(struct wire){ .verb = VERB_ANSWER, .number = ticket, .count = (uint32_t)verdict }, parts, 2);
}

/* --- connection ------------------------------------------------------------------------ */

void asking_replay(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->counter_at[i])
            bus_declare(self, &(struct wire){ .verb = VERB_ANSWERS, .topic = i }, self->counter_at[i]->service, NULL);
}

void asking_lost(bus_t *self)
{
    struct question *question;
    while ((question = TAILQ_FIRST(&self->asked))) {
        take_back(self, question);
        fail(self, question, BUS_NO_CONNECTION);
    }
}

void asking_destroy(bus_t *self)
{
    asking_lost(self);
    struct question *question;
    while ((question = TAILQ_FIRST(&self->failed))) {
        TAILQ_REMOVE(&self->failed, question, link);
        free(question);
    }
    zhashx_destroy(&self->questions);
    for (uint16_t i = 0; i < self->topics; i++)
        free(self->counter_at[i]);
}
