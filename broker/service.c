/* service.c - questions: passed to an owner whose turn it is, answered, or given up. */
#include "core.h"

#include <assert.h>

enum { MOST_SERVICES = 4096, MOST_QUESTIONS = 4096, MOST_MS = 24 * 3600 * 1000 };

struct service {
    char name[WIRE_SUBJECT + 1];
    broker_service_fn *own;           /* answered by the broker's process itself */
    struct service_owner_list owners; /* whose turn it is comes first */
};

struct question {
    TAILQ_ENTRY(question) link;
    uint64_t ticket, number;          /* ours; the asker's */
    struct peer *asker, *owner;
    int64_t deadline_us;
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

void service_init(broker_t *self)
{
    self->services = zhashx_new();
    self->questions = zhashx_new();
    assert(self->services && self->questions);
    zhashx_set_key_hasher(self->questions, hash_number);
    zhashx_set_key_comparator(self->questions, compare_numbers);
    zhashx_set_key_duplicator(self->questions, NULL);
    zhashx_set_key_destructor(self->questions, NULL);
    TAILQ_INIT(&self->open);
}

static struct service *service_of(broker_t *self, const char *name)
{
    struct service *service = zhashx_lookup(self->services, name);
    if (service || zhashx_size(self->services) >= MOST_SERVICES)
        return service;
    service = calloc(1, sizeof *service);
    assert(service);
    strcpy(service->name, name);
    TAILQ_INIT(&service->owners);
    zhashx_insert(self->services, service->name, service);
    return service;
}

bool service_answers(broker_t *self, struct peer *peer, const struct letter *letter)
{
    char name[WIRE_SUBJECT + 1];
    struct channel *channel = peer_channel(peer, letter->wire.topic);
    if (!channel || !channel_is_free(channel) || !letter_text(letter, 0, name, sizeof name, false))
        return false;
    struct service *service = service_of(self, name);
    if (!service || service->own)
        return false;
    struct service_owner *owner = calloc(1, sizeof *owner);
    assert(owner);
    *owner = (struct service_owner){ .service = service, .peer = peer, .channel = letter->wire.topic };
    TAILQ_INSERT_TAIL(&service->owners, owner, link);
    channel->service_owner = owner;
    return true;
}

void service_owner_destroy(broker_t *self, struct service_owner *owner)
{
    struct service *service = owner->service;
    TAILQ_REMOVE(&service->owners, owner, link);
    free(owner);
    if (!TAILQ_EMPTY(&service->owners))
        return;
    zhashx_delete(self->services, service->name); /* one that the broker answers itself has no owners */
    free(service);
}

/* --- asking ---------------------------------------------------------------------------- */

static void answer_empty(broker_t *self, struct peer *asker, uint64_t number, uint32_t verdict)
{
    zmq_msg_t parts[2];
    zmq_msg_init(&parts[0]);
    zmq_msg_init(&parts[1]);
    broker_post(self, asker, &(struct wire){ .verb = VERB_ANSWERED, .number = number, .count = verdict }, parts, 2);
}

static void free_bytes(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void take_over(zmq_msg_t *part, void *data, size_t size)
{
    int rc = zmq_msg_init_data(part, data, size, free_bytes, NULL);
    assert(rc == 0);
}

static void answer_ourselves(broker_t *self, struct peer *asker, const struct service *service, const struct letter *letter)
{
    struct broker_reply reply = { 0 };
    struct bus_bytes query = { part_data(&letter->parts[1]), part_size(&letter->parts[1]) };
    int verdict = service->own(self->options.owner, service->name, query, &reply);
    zmq_msg_t parts[2];
    take_over(&parts[0], reply.head, reply.head_size);
    take_over(&parts[1], reply.body, reply.body_size);
    self->counters.answered++;
    broker_post(self, asker, &(struct wire){ .verb = VERB_ANSWERED, .number = letter->wire.number,
        .count = (uint32_t)verdict }, parts, 2);
}

static void insert_by_deadline(broker_t *self, struct question *question)
{
    struct question *before = TAILQ_LAST(&self->open, question_list);
    while (before && before->deadline_us > question->deadline_us)
        before = TAILQ_PREV(before, question_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&self->open, before, question, link);
    else
        TAILQ_INSERT_HEAD(&self->open, question, link);
}

static struct question *question_new(broker_t *self, struct peer *asker, const struct wire *wire)
{
    struct question *question = calloc(1, sizeof *question);
    assert(question);
    int64_t ms = wire->extra > MOST_MS ? MOST_MS : (int64_t)wire->extra;
    *question = (struct question){ .ticket = ++self->last_ticket, .number = wire->number, .asker = asker,
        .deadline_us = self->clock_us + ms * 1000 };
    zhashx_insert(self->questions, &question->ticket, question);
    insert_by_deadline(self, question);
    asker->open_questions++;
    return question;
}

static void question_destroy(broker_t *self, struct question *question)
{
    question->asker->open_questions--;
    zhashx_delete(self->questions, &question->ticket);
    TAILQ_REMOVE(&self->open, question, link);
    free(question);
}

/* The first who can be reached; he goes to the end of the line. */
static struct peer *pass_on(broker_t *self, struct service *service, const struct wire *wire, const struct letter *letter)
{
    struct service_owner *owner;
    TAILQ_FOREACH(owner, &service->owners, link) {
        if (owner->peer->is_lost)
            continue;
        zmq_msg_t parts[2];
        part_share(&parts[0], &letter->parts[0]);
        part_share(&parts[1], &letter->parts[1]);
        broker_post(self, owner->peer, wire, parts, 2);
        if (owner->peer->is_lost)
            continue;
        TAILQ_REMOVE(&service->owners, owner, link);
        TAILQ_INSERT_TAIL(&service->owners, owner, link);
        return owner->peer;
    }
    return NULL;
}

bool service_ask(broker_t *self, struct peer *asker, struct letter *letter)
{
    char name[WIRE_SUBJECT + 1];
    if (letter->wire.number == 0 || !letter_text(letter, 0, name, sizeof name, false))
        return false;
    struct service *service = zhashx_lookup(self->services, name);
    self->counters.asked++;
    if (service && service->own) {
        answer_ourselves(self, asker, service, letter);
        return true;
    }
    if (!service || TAILQ_EMPTY(&service->owners) || asker->open_questions >= MOST_QUESTIONS) {
        self->counters.unowned++;
        answer_empty(self, asker, letter->wire.number, BUS_NO_OWNER);
        return true;
    }
    struct question *question = question_new(self, asker, &letter->wire);
    question->owner = pass_on(self, service, &(struct wire){ .verb = VERB_ASKED, .number = question->ticket,
        .extra = letter->wire.extra }, letter);
    if (!question->owner) {
        question_destroy(self, question);
        self->counters.unowned++;
        answer_empty(self, asker, letter->wire.number, BUS_NO_OWNER);
    }
    return true;
}

bool service_answer(broker_t *self, struct peer *peer, struct letter *letter)
{
    uint64_t ticket = letter->wire.number;
    struct question *question = zhashx_lookup(self->questions, &ticket);
    if (!question || question->owner != peer)
        return true; /* too late, or of an asker who has gone */
    struct peer *asker = question->asker;
    uint64_t number = question->number;
    question_destroy(self, question);
    self->counters.answered++;
    zmq_msg_t parts[2];
    for (size_t i = 0; i < 2; i++) {
        zmq_msg_init(&parts[i]);
        zmq_msg_move(&parts[i], &letter->parts[i]);
    }
    broker_post(self, asker, &(struct wire){ .verb = VERB_ANSWERED, .number = number, .count = letter->wire.count }, parts, 2);
    return true;
}

/* --- giving up ------------------------------------------------------------------------- */

static void give_up(broker_t *self, struct question *question, uint32_t verdict)
{
    struct peer *asker = question->asker;
    uint64_t number = question->number;
    question_destroy(self, question);
    answer_empty(self, asker, number, verdict);
}

void service_forget(broker_t *self, struct peer *peer)
{
    for (struct question *question = TAILQ_FIRST(&self->open), *next; question; question = next) {
        next = TAILQ_NEXT(question, link);
        if (question->asker == peer)
            question_destroy(self, question);
        else if (question->owner == peer)
            give_up(self, question, BUS_OWNER_GONE);
    }
}

void service_expire(broker_t *self)
{
    struct question *question;
    while ((question = TAILQ_FIRST(&self->open)) && question->deadline_us <= self->clock_us) {
        self->counters.late++;
        give_up(self, question, BUS_TOO_LATE);
    }
}

int64_t service_deadline_us(const broker_t *self)
{
    const struct question *question = TAILQ_FIRST(&self->open);
    return question ? question->deadline_us : INT64_MAX / 2;
}

void broker_answers(broker_t *self, const char *name, broker_service_fn *own)
{
    assert(*name && strlen(name) <= WIRE_SUBJECT);
    struct service *service = service_of(self, name);
    assert(service);
    service->own = own;
}

static void free_service(void **item)
{
    free(*item);
    *item = NULL;
}

void service_destroy(broker_t *self)
{
    zhashx_set_destructor(self->services, free_service);
    zhashx_destroy(&self->services);
    zhashx_destroy(&self->questions);
}
