/* probe.c - the test's half of the probe: time, deliveries, calls, answers. */
#include "probe_state.h"
#include "life.h"
#include "settings.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t begin_us = INT64_C(1767225600000000); /* 2026-01-01T00:00:00Z */

/* --- copies ------------------------------------------------------------------------------- */

int copy_of_bytes(struct copy *copy, const struct contract *contract, const struct schema *schema, struct slice bytes,
    struct fault *fault)
{
    *copy = (struct copy){ .contract = contract, .bytes = malloc(bytes.size + 1), .size = bytes.size,
        .message = malloc(schema->size) };
    assert(copy->bytes && copy->message);
    if (bytes.size)
        memcpy(copy->bytes, bytes.data, bytes.size);
    return schema_decode(schema, (struct slice){ copy->bytes, copy->size }, copy->message, fault);
}

int copy_make(struct copy *copy, const struct contract *contract, const struct schema *schema, const void *message,
    struct fault *fault)
{
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    *copy = (struct copy){ 0 };
    int rc = schema_encode(schema, message, &bytes, fault);
    if (rc == 0)
        rc = copy_of_bytes(copy, contract, schema, (struct slice){ bytes.data, bytes.size }, fault);
    msgpack_sbuffer_destroy(&bytes);
    return rc;
}

void copy_free(struct copy *copy)
{
    free(copy->bytes);
    free(copy->message);
    *copy = (struct copy){ 0 };
}

void *array_add(void *array, size_t *count, size_t size)
{
    if ((*count & (*count - 1)) == 0)
        array = realloc(array, size * (*count ? *count * 2 : 1));
    assert(array);
    memset((char *)array + *count * size, 0, size);
    (*count)++;
    return array;
}

static void copies_free(struct copy *copies, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        copy_free(&copies[i]);
    *count = 0;
}

/* --- life ----------------------------------------------------------------------------------- */

static _Thread_local char refused[700];

const char *probe_refused(void) { return refused; }
struct self *probe_self(probe_t *self) { return self->self; }
const char *probe_data(const probe_t *self) { return self->suite.data; }

static const char *find_setting(const char *const settings[], const char *key)
{
    for (; settings && *settings; settings += 2)
        if (strcmp(*settings, key) == 0)
            return settings[1];
    return NULL;
}

/* The settings as a command line, without any environment. */
static int configure(struct suite_config *suite, void *own, const char *data, const char *const settings[])
{
    char *arguments[130] = { 0 }, *environment[130] = { 0 };
    size_t n = 0, variables = 1;
    const struct schema *schema = actor_spec.config.schema ? actor_spec.config.schema() : NULL;
    int size = asprintf(&environment[0], "HA_INGESTOR_DATA=%s", data);
    for (; settings && *settings; settings += 2) {
        const struct field *f = schema ? schema_field(schema, settings[0], strlen(settings[0])) : NULL;
        char variable[128];
        assert(size > 0 && n < 128 && variables < 128);
        if (f && f->flags & SECRET) { /* refused on a command line */
            settings_variable(actor_spec.name, f, variable, sizeof variable);
            size = asprintf(&environment[variables++], "%s=%s", variable, settings[1]);
        } else {
            size = asprintf(&arguments[n++], "--%s=%s", settings[0], settings[1]);
        }
    }
    assert(size > 0);
    struct settings_input input = { .actor = actor_spec.name, .doc = actor_spec.doc, .schema = schema,
        .arguments = arguments, .environment = environment };
    int rc = settings_read(&input, suite, own, refused, sizeof refused) == SETTINGS_READY ? 0 : -1;
    while (n > 0)
        free(arguments[--n]);
    while (variables > 0)
        free(environment[--variables]);
    return rc;
}

static struct self *new_self(void)
{
    struct self *self = calloc(1, actor_spec.state ? actor_spec.state : 1);
    assert(self);
    return self;
}

static void make_data(probe_t *self, const char *const settings[], char data[256])
{
    const char *given = find_setting(settings, "data"), *temporary = getenv("TMPDIR");
    snprintf(data, 256, "%s/ha-ingestor-probe-XXXXXX", temporary ? temporary : "/tmp");
    if (given)
        snprintf(data, 256, "%s", given);
    else if (mkdtemp(data))
        self->owns_data = true;
}

probe_t *probe_new(const char *const settings[])
{
    probe_t *self = calloc(1, sizeof *self);
    assert(self);
    char data[256];
    *refused = '\0';
    make_data(self, settings, data);
    SET_TEXT(&self->suite, data, data, strlen(data));
    self->self = new_self();
    self->now_us = begin_us;
    self->again_us = self->stopped = -1;
    self->rows_room = ROWS_MAX_BYTES;
    if (configure(&self->suite, (char *)self->self + actor_spec.config.at, data, settings)) {
        SET_TEXT(&self->suite, data, data, strlen(data));
        free(self->self);
        self->self = NULL;
        probe_destroy(&self);
        return NULL;
    }
    int rc = actor_spec.open ? actor_spec.open(self->self, self) : 0;
    if (rc) {
        snprintf(refused, sizeof refused, "open returned %d: %.*s", rc, (int)(self->log.size < 600 ? self->log.size : 600),
            self->log.data ? self->log.data : "");
        probe_destroy(&self);
    }
    return self;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

void probe_destroy(probe_t **self_p)
{
    probe_t *self = *self_p;
    if (!self)
        return;
    if (self->self && actor_spec.close)
        actor_spec.close(self->self, self);
    if (self->owns_data)
        nftw(self->suite.data, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    copies_free(self->published, &self->published_count);
    copies_free(self->held, &self->held_count);
    copy_free(&self->query);
    for (size_t i = 0; i < self->questions_count; i++)
        copy_free(&self->questions[i].query);
    for (size_t i = 0; i < self->replies_count; i++)
        copy_free(&self->replies[i].copy);
    free(self->published), free(self->held), free(self->timers), free(self->questions), free(self->replies);
    msgpack_sbuffer_destroy(&self->answer_rows);
    msgpack_sbuffer_destroy(&self->rows.bytes);
    msgpack_sbuffer_destroy(&self->log);
    free(self->self);
    free(self);
    *self_p = NULL;
}

int probe_reload(probe_t *self, const char *const settings[])
{
    const struct schema *schema = actor_spec.config.schema ? actor_spec.config.schema() : NULL;
    struct suite_config suite;
    char data[sizeof self->suite.data];
    memcpy(data, self->suite.data, sizeof data);
    void *own = schema ? malloc(schema->size) : NULL;
    int rc = configure(&suite, own, data, settings);
    if (rc == 0 && schema)
        memcpy((char *)self->self + actor_spec.config.at, own, schema->size);
    if (rc == 0 && actor_spec.reload)
        actor_spec.reload(self->self, self);
    free(own);
    return rc;
}

int probe_drain(probe_t *self) { return actor_spec.drain ? actor_spec.drain(self->self, self) : 0; }
int probe_stopped(const probe_t *self) { return self->stopped; }

enum health probe_health(probe_t *self, char *why, size_t size)
{
    if (size)
        *why = '\0';
    return actor_spec.health ? actor_spec.health(self->self, self, why, size) : HEALTHY;
}

bool probe_logged(const probe_t *self, const char *part)
{
    return self->log.size && memmem(self->log.data, self->log.size, part, strlen(part));
}

void probe_connected(probe_t *self, bool up)
{
    if (actor_spec.connected)
        actor_spec.connected(self->self, self, up);
}

void probe_miss(probe_t *self, const struct contract *topic, uint32_t count)
{
    if (actor_spec.missed)
        actor_spec.missed(self->self, self, topic, count);
}

/* --- topics ------------------------------------------------------------------------------------ */

static any_fn *find_handler(const struct contract *contract)
{
    for (const struct handler *h = actor_spec.handlers; h && h->contract; h++)
        if (h->contract == contract)
            return h->fn;
    return NULL;
}

struct topic *probe_topic(const probe_t *self, const struct contract *contract)
{
    struct topic *topics = ((probe_t *)self)->topics;
    for (size_t i = 0; i < TOPICS; i++) {
        if (!topics[i].contract)
            topics[i].contract = contract;
        if (topics[i].contract == contract)
            return &topics[i];
    }
    assert(0 && "more topics than the probe has room for");
    return NULL;
}

bool probe_paused(const probe_t *self, const struct contract *contract) { return probe_topic(self, contract)->is_paused; }
size_t probe_held(const probe_t *self) { return self->held_count; }
size_t probe_released(const probe_t *self) { return self->released; }

static int due(const probe_t *self, int64_t at_us)
{
    return at_us < 0 ? -1 : at_us <= self->clock_us ? 0 : (int)((at_us - self->clock_us + 999) / 1000);
}

int probe_again_due(const probe_t *self) { return due(self, self->again_us); }
int probe_tick_due(const probe_t *self) { return due(self, self->tick_us); }

/* The copy is ours; a handler that holds it gets it again at actor_again. */
static int hand_over(probe_t *self, struct copy *copy)
{
    const struct contract *contract = copy->contract;
    int verdict = contract->call(find_handler(contract), self->self, self, copy->message, NULL, NULL);
    if (verdict != HOLD) {
        copy_free(copy);
        return verdict;
    }
    self->held = array_add(self->held, &self->held_count, sizeof *self->held);
    self->held[self->held_count - 1] = *copy;
    return verdict;
}

int probe_deliver(probe_t *self, const struct contract *contract, const void *message)
{
    struct copy copy;
    struct fault fault;
    if (probe_paused(self, contract) || !find_handler(contract))
        return -1;
    int rc = copy_make(&copy, contract, contract->in(), message, &fault);
    assert(rc == 0 && "the test delivers a message that breaks its schema");
    return hand_over(self, &copy);
}

int probe_deliver_bytes(probe_t *self, const struct contract *contract, struct slice bytes)
{
    struct copy copy;
    struct fault fault;
    if (probe_paused(self, contract) || !find_handler(contract))
        return -1;
    if (copy_of_bytes(&copy, contract, contract->in(), bytes, &fault) == 0)
        return hand_over(self, &copy);
    if (actor_spec.poison)
        actor_spec.poison(self->self, self, contract, bytes, &fault);
    copy_free(&copy);
    return BAD_REQUEST;
}

static void hand_over_again(probe_t *self)
{
    struct copy *held = self->held;
    size_t count = self->held_count;
    self->again_us = -1;
    self->held = NULL;
    self->held_count = 0;
    for (size_t i = 0; i < count; i++)
        hand_over(self, &held[i]);
    free(held);
}

size_t probe_published_count(const probe_t *self, const struct contract *contract)
{
    size_t count = 0;
    for (size_t i = 0; i < self->published_count; i++)
        count += self->published[i].contract == contract;
    return count;
}

const void *probe_published(const probe_t *self, const struct contract *contract, size_t index)
{
    for (size_t i = 0; i < self->published_count; i++)
        if (self->published[i].contract == contract && index-- == 0)
            return self->published[i].message;
    return NULL;
}

void probe_clear(probe_t *self)
{
    copies_free(self->published, &self->published_count);
    free(self->published);
    self->published = NULL;
}

void probe_ack(probe_t *self, const struct contract *contract, uint64_t first, uint64_t last)
{
    if (probe_topic(self, contract)->acked < last)
        probe_topic(self, contract)->acked = last;
    if (actor_spec.acked)
        actor_spec.acked(self->self, self, contract, first, last);
}

void probe_ack_all(probe_t *self)
{
    for (struct topic *t = self->topics; t < self->topics + TOPICS && t->contract; t++)
        if (t->acked < t->published)
            probe_ack(self, t->contract, t->acked + 1, t->published);
}

void probe_set_room(probe_t *self, const struct contract *contract, size_t messages)
{
    struct topic *topic = probe_topic(self, contract);
    topic->room = messages;
    topic->has_room = true;
}

/* --- services -------------------------------------------------------------------------------------- */

void probe_set_rows_room(probe_t *self, size_t bytes) { self->rows_room = bytes; }
struct fault probe_fault(const probe_t *self) { return self->fault; }
ticket_t probe_ticket(const probe_t *self) { return self->ticket; }
size_t probe_rows(const probe_t *self) { return self->rows.count; }

static void begin_call(probe_t *self)
{
    msgpack_sbuffer_destroy(&self->rows.bytes);
    self->rows = (struct rows){ .max = self->rows_room };
    self->fault = (struct fault){ "", "" };
    copy_free(&self->query);
}

int probe_call(probe_t *self, const struct contract *contract, const void *in, void *out)
{
    any_fn *fn = find_handler(contract);
    struct fault fault;
    if (!fn)
        return NO_OWNER;
    begin_call(self);
    void *nothing = calloc(1, contract->in()->size), *reply = out ? out : malloc(contract->out()->size);
    assert(nothing && reply);
    schema_clear(contract->out(), reply);
    int verdict = UNPROCESSABLE;
    if (copy_make(&self->query, contract, contract->in(), in ? in : nothing, &self->fault) == 0)
        verdict = contract->call(fn, self->self, self, self->query.message, &self->rows, reply);
    if (verdict == OK && (self->rows.is_broken || schema_check(contract->out(), reply, &fault))) {
        self->fault = self->rows.is_broken ? self->rows.fault : fault;
        verdict = BROKEN;
    }
    free(nothing);
    if (!out)
        free(reply);
    return verdict;
}

int probe_row(const probe_t *self, size_t index, void *row)
{
    struct slice rest = { self->rows.bytes.data, self->rows.bytes.size }, one;
    struct fault fault;
    while (frame_next(&rest, &one))
        if (index-- == 0)
            return schema_decode(self->query.contract->row(), one, row, &fault);
    return -1;
}

int probe_answered(probe_t *self, const struct contract *contract, ticket_t ticket, void *out)
{
    for (size_t i = 0; i < self->replies_count; i++) {
        struct reply *reply = &self->replies[i];
        if (reply->ticket != ticket)
            continue;
        self->fault = reply->fault;
        if (out && reply->copy.message)
            memcpy(out, reply->copy.message, contract->out()->size);
        return reply->verdict;
    }
    return -1;
}

/* --- questions --------------------------------------------------------------------------------------- */

size_t probe_asked_count(const probe_t *self, const struct contract *contract)
{
    size_t count = 0;
    for (size_t i = 0; i < self->questions_count; i++)
        count += self->questions[i].contract == contract;
    return count;
}

static struct question *find_question(const probe_t *self, const struct contract *contract)
{
    for (size_t i = 0; i < self->questions_count; i++)
        if (self->questions[i].contract == contract)
            return &self->questions[i];
    return NULL;
}

const void *probe_asked(const probe_t *self, const struct contract *contract)
{
    const struct question *question = find_question(self, contract);
    return question ? question->query.message : NULL;
}

void probe_add_row(probe_t *self, const struct contract *contract, const void *row)
{
    struct fault fault;
    int rc = schema_encode(contract->row(), row, &self->answer_rows, &fault);
    assert(rc == 0 && "the test answers with a row that breaks its schema");
}

static void call_done(probe_t *self, const struct question *question, const struct answer *answer, const void *reply)
{
    if (question->raw_done)
        question->raw_done(self->self, self, question->tag, answer);
    else if (question->done)
        question->contract->done(question->done, self->self, self, question->tag, answer, reply);
}

static void settle(probe_t *self, size_t index, struct answer answer, const void *reply)
{
    struct question question = self->questions[index];
    msgpack_sbuffer rows = self->answer_rows;
    struct copy copy = { 0 };
    memmove(&self->questions[index], &self->questions[index + 1], (--self->questions_count - index) * sizeof question);
    msgpack_sbuffer_init(&self->answer_rows);
    if (answer.verdict == OK && reply) {
        int rc = copy_make(&copy, question.contract, question.contract->out(), reply, &answer.fault);
        assert(rc == 0 && "the test answers with a reply that breaks its schema");
        answer.end = (struct slice){ copy.bytes, copy.size };
        answer.rows = (struct slice){ rows.data, rows.size };
    }
    call_done(self, &question, &answer, copy.message);
    copy_free(&copy);
    copy_free(&question.query);
    msgpack_sbuffer_destroy(&rows);
}

static int answer_question(probe_t *self, const struct contract *contract, struct answer answer, const void *reply)
{
    struct question *question = find_question(self, contract);
    if (!question)
        return -1;
    settle(self, (size_t)(question - self->questions), answer, reply);
    return 0;
}

int probe_answer(probe_t *self, const struct contract *contract, int verdict, const void *reply)
{
    return answer_question(self, contract, (struct answer){ .verdict = verdict, .fault = { "", "" } }, reply);
}

int probe_answer_fault(probe_t *self, const struct contract *contract, int verdict, const char *field, const char *why)
{
    return answer_question(self, contract, (struct answer){ .verdict = verdict, .fault = { field, why } }, NULL);
}

/* --- HTTP ------------------------------------------------------------------------------------------------ */

const char *probe_fetch_url(const probe_t *self) { return self->fetched ? self->url : NULL; }

const char *probe_fetch_body(const probe_t *self) { return self->fetched ? self->posted : NULL; }

const char *probe_fetching(const probe_t *self, const char *parameter)
{
    for (size_t i = 0; self->fetched && i < sizeof self->words / sizeof *self->words; i++)
        if (strcmp(self->words[i].name, parameter) == 0)
            return self->words[i].value;
    return NULL;
}

static void finish_fetch(probe_t *self, const struct fetched *fetched)
{
    fetched_fn *done = self->fetched;
    assert(done && "the actor has not asked for anything");
    self->fetched = NULL;
    done(self->self, self, fetched);
}

void probe_fetched(probe_t *self, long status, const char *body)
{
    finish_fetch(self, &(struct fetched){ .status = status, .body = slice_of(body), .not_modified = status == 304,
        .attempts = 1, .retry_after_s = -1 });
}

void probe_fetched_as(probe_t *self, const struct fetched *fetched) { finish_fetch(self, fetched); }

void probe_fetch_failed(probe_t *self, const char *error) { finish_fetch(self, &(struct fetched){ .error = error, .attempts = 1, .retry_after_s = -1 }); }

/* --- time --------------------------------------------------------------------------------------------------- */

void probe_set_now(probe_t *self, int64_t now_us) { self->now_us = now_us; }

int probe_tick(probe_t *self)
{
    self->tick_us = -1;
    int ms = actor_spec.tick ? actor_spec.tick(self->self, self) : -1;
    if (ms >= 0)
        actor_wake(self, ms);
    return ms;
}

static void fire_timer(probe_t *self, size_t index)
{
    struct timer timer = self->timers[index];
    memmove(&self->timers[index], &self->timers[index + 1], (--self->timers_count - index) * sizeof timer);
    timer.fn(self->self, self, timer.tag);
}

struct next { int64_t at_us; enum { NONE, TICK, AGAIN, TIMER, DEADLINE } what; size_t index; };

static struct next earlier(struct next a, struct next b)
{
    return b.at_us >= 0 && (a.what == NONE || b.at_us < a.at_us) ? b : a;
}

static struct next find_next(const probe_t *self)
{
    struct next next = { 0 };
    for (size_t i = 0; i < self->timers_count; i++)
        next = earlier(next, (struct next){ self->timers[i].at_us, TIMER, i });
    if (actor_spec.tick)
        next = earlier(next, (struct next){ self->tick_us, TICK, 0 });
    next = earlier(next, (struct next){ self->again_us, AGAIN, 0 });
    for (size_t i = 0; i < self->questions_count; i++)
        next = earlier(next, (struct next){ self->questions[i].deadline_us, DEADLINE, i });
    return next;
}

static void pass(probe_t *self, int64_t until_us)
{
    if (until_us > self->clock_us) {
        self->now_us += until_us - self->clock_us;
        self->clock_us = until_us;
    }
}

/* What a callback makes due at this very moment waits for the next call, or a tick that
 * returns 0 would never let go. */
void probe_advance(probe_t *self, int ms)
{
    int64_t until_us = self->clock_us + (int64_t)ms * 1000;
    for (size_t fired = 0; fired < 100000; fired++) {
        struct next next = find_next(self);
        if (next.what == NONE || next.at_us > until_us)
            break;
        pass(self, next.at_us);
        switch (next.what) {
        case TICK:     if (probe_tick(self) == 0 && self->clock_us == until_us) return; break;
        case AGAIN:    hand_over_again(self); break;
        case TIMER:    fire_timer(self, next.index); break;
        case DEADLINE: settle(self, next.index, (struct answer){ .verdict = TOO_LATE, .fault = { "", "" } }, NULL); break;
        case NONE:     break;
        }
    }
    pass(self, until_us);
}
