/* serve.c - questions to us: decode and check, call, check and encode, answer. And the four
 * that every actor answers: <name>.ping, .info, .stats, .config.
 *
 * On the wire an answer is a head and a body. OK: the body is the reply; of a listing the
 * body is its rows and the head its end. Else: the head is [field, why]. */
#include "actor_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bus_bytes bytes_of(const msgpack_sbuffer *bytes) { return (struct bus_bytes){ bytes->data ? bytes->data : "", bytes->size }; }

static void pack_text(msgpack_packer *packer, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    msgpack_pack_str(packer, size);
    msgpack_pack_str_body(packer, text ? text : "", size);
}

static void answer_fault(actor_t *self, uint64_t ticket, int verdict, const struct fault *fault)
{
    msgpack_packer packer;
    self->scratch.size = 0;
    msgpack_packer_init(&packer, &self->scratch, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 2);
    pack_text(&packer, fault->field);
    pack_text(&packer, fault->why);
    bus_answer(self->bus, ticket, verdict, bytes_of(&self->scratch), (struct bus_bytes){ "", 0 });
}

/* Our own fault: logged, and the asker is told. */
static void answer_broken(actor_t *self, uint64_t ticket, const char *subject, const struct fault *fault)
{
    self->mismatches++;
    actor_error(self, "an answer of ours breaks its schema: %s: %s %s", subject, fault->field, fault->why);
    answer_fault(self, ticket, BROKEN, fault);
}

static int answer_ok(actor_t *self, const struct contract *contract, uint64_t ticket, const void *reply, const struct rows *rows)
{
    struct fault fault;
    self->scratch.size = 0;
    if (schema_encode(contract->out(), reply, &self->scratch, &fault)) {
        answer_broken(self, ticket, contract->subject, &fault);
        return -1;
    }
    if (contract->row && rows)
        bus_answer(self->bus, ticket, OK, bytes_of(&self->scratch), bytes_of(&rows->bytes));
    else
        bus_answer(self->bus, ticket, OK, (struct bus_bytes){ "", 0 }, bytes_of(&self->scratch));
    return 0;
}

/* --- handlers of the actor -------------------------------------------------------------------- */

static void reset_rows(struct rows *rows)
{
    if (rows->bytes.alloc > 1024 * 1024) {
        msgpack_sbuffer_destroy(&rows->bytes);
        msgpack_sbuffer_init(&rows->bytes);
    }
    rows->bytes.size = 0;
    rows->max = ROWS_MAX_BYTES;
    rows->count = 0;
    rows->is_broken = false;
}

static void serve(actor_t *self, const struct service *service, uint64_t ticket, struct slice query)
{
    const struct contract *contract = service->contract;
    self->fault = (struct fault){ "", "" };
    if (schema_decode(contract->in(), query, service->query, &self->fault)) {
        answer_fault(self, ticket, UNPROCESSABLE, &self->fault);
        return;
    }
    self->fault = (struct fault){ "", "" };
    self->ticket = ticket;
    reset_rows(&self->rows);
    schema_clear(contract->out(), service->reply);
    int verdict = contract->call(service->fn, self->self, self, service->query, &self->rows, service->reply);
    if (verdict == LATER)
        return;
    if (verdict == OK && self->rows.is_broken)
        answer_broken(self, ticket, contract->subject, &self->rows.fault);
    else if (verdict == OK)
        answer_ok(self, contract, ticket, service->reply, &self->rows);
    else
        answer_fault(self, ticket, verdict, &self->fault);
}

ticket_t actor_ticket(actor_t *self) { return self->ticket; }

int actor_refuse(actor_t *self, int verdict, const char *field, const char *why)
{
    self->fault = (struct fault){ field, why };
    return verdict;
}

int actor_answer(actor_t *self, const struct contract *contract, ticket_t ticket, int verdict, const void *reply)
{
    struct fault fault = self->fault;
    self->stirs++;
    self->fault = (struct fault){ "", "" };
    if (verdict == OK)
        return answer_ok(self, contract, ticket, reply, NULL);
    answer_fault(self, ticket, verdict, &fault);
    return 0;
}

/* --- what every actor answers ------------------------------------------------------------------- */

static void answer_json(actor_t *self, uint64_t ticket, const char *key, struct slice json)
{
    msgpack_packer packer;
    self->scratch.size = 0;
    msgpack_packer_init(&packer, &self->scratch, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, key);
    msgpack_pack_str(&packer, json.size);
    msgpack_pack_str_body(&packer, json.data, json.size);
    bus_answer(self->bus, ticket, OK, (struct bus_bytes){ "", 0 }, bytes_of(&self->scratch));
}

static void answer_section(actor_t *self, uint64_t ticket, const struct section *section, const char *key)
{
    msgpack_sbuffer json;
    msgpack_sbuffer_init(&json);
    if (section->schema)
        schema_json(section->schema(), (const char *)self->self + section->at, &json);
    else
        msgpack_sbuffer_write(&json, "{}", 2);
    answer_json(self, ticket, key, (struct slice){ json.data, json.size });
    msgpack_sbuffer_destroy(&json);
}

static void answer_stats(actor_t *self, uint64_t ticket)
{
    answer_section(self, ticket, &self->spec->stats, "counters");
}

static void answer_config(actor_t *self, uint64_t ticket)
{
    answer_section(self, ticket, &self->spec->config, "settings");
}

static void answer_ping(actor_t *self, uint64_t ticket)
{
    static const char empty_map[] = "\x80";
    bus_answer(self->bus, ticket, OK, (struct bus_bytes){ "", 0 }, (struct bus_bytes){ empty_map, 1 });
}

static void answer_info(actor_t *self, uint64_t ticket)
{
    struct actor_info info = { 0 };
    SET_TEXT(&info, actor, self->spec->name, strlen(self->spec->name));
    SET_TEXT(&info, instance, self->suite.instance, self->suite.instance_size);
    SET_TEXT(&info, doc, self->spec->doc, strlen(self->spec->doc));
    SET_TEXT(&info, version, SUITE_VERSION, strlen(SUITE_VERSION));
    SET(&info, pid, getpid());
    SET(&info, started_at, self->started_us);
    struct fault fault;
    self->scratch.size = 0;
    if (actor_info_encode(&info, &self->scratch, &fault))
        answer_broken(self, ticket, "info", &fault);
    else
        bus_answer(self->bus, ticket, OK, (struct bus_bytes){ "", 0 }, bytes_of(&self->scratch));
}

/* --- declaring -------------------------------------------------------------------------------------- */

static const struct service *find_service(const actor_t *self, const char *subject)
{
    for (size_t i = 0; i < self->services_count; i++)
        if (strcmp(self->services[i].subject, subject) == 0)
            return &self->services[i];
    return NULL;
}

static void add_service(actor_t *self, const char *subject, struct service service)
{
    if (find_service(self, subject))
        return;
    int size = snprintf(service.subject, sizeof service.subject, "%s", subject);
    assert(size > 0 && (size_t)size < sizeof service.subject);
    self->services[self->services_count++] = service;
    bus_answers(self->bus, self->services[self->services_count - 1].subject);
}

static void add_handler(actor_t *self, const struct handler *handler)
{
    struct service service = { .contract = handler->contract, .fn = handler->fn,
        .query = malloc(handler->contract->in()->size), .reply = malloc(handler->contract->out()->size) };
    assert(service.query && service.reply);
    assert(!find_service(self, handler->contract->subject));
    add_service(self, handler->contract->subject, service);
}

void services_declare(actor_t *self)
{
    static const struct { const char *name; void (*answer)(actor_t *, uint64_t); } own[] = {
        { "ping", answer_ping }, { "info", answer_info }, { "stats", answer_stats }, { "config", answer_config },
    };
    size_t count = sizeof own / sizeof *own;
    for (const struct handler *h = self->spec->handlers; h && h->contract; h++)
        count += h->contract->out != NULL;
    self->services = calloc(count, sizeof *self->services);
    assert(self->services);
    for (const struct handler *h = self->spec->handlers; h && h->contract; h++)
        if (h->contract->out)
            add_handler(self, h);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        char subject[80];
        snprintf(subject, sizeof subject, "%s.%s", self->spec->name, own[i].name);
        add_service(self, subject, (struct service){ .own = own[i].answer });
    }
}

void services_asked(actor_t *self, uint64_t ticket, const char *subject, struct slice query)
{
    const struct service *service = find_service(self, subject);
    if (!service)
        answer_fault(self, ticket, NOT_FOUND, &(struct fault){ "", "is no service of this process" });
    else if (self->is_stopping)
        answer_fault(self, ticket, UNAVAILABLE, &(struct fault){ "", "the process is stopping" });
    else if (service->own)
        service->own(self, ticket);
    else
        serve(self, service, ticket, query);
}

void services_destroy(actor_t *self)
{
    for (size_t i = 0; i < self->services_count; i++) {
        free(self->services[i].query);
        free(self->services[i].reply);
    }
    free(self->services);
    msgpack_sbuffer_destroy(&self->rows.bytes);
}
