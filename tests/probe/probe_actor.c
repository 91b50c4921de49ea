/* probe_actor.c - the actor's half of the probe: actor.h, played by a test. */
#include "probe_state.h"
#include "life.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- topics ------------------------------------------------------------------------------- */

int actor_publish(actor_t *self, const struct contract *contract, const void *message)
{
    struct copy copy;
    struct fault fault;
    if (copy_make(&copy, contract, contract->in(), message, &fault)) {
        actor_error(self, "%s breaks its schema: %s %s", contract->subject, fault.field, fault.why);
        copy_free(&copy);
        return -1;
    }
    self->published = array_add(self->published, &self->published_count, sizeof *self->published);
    self->published[self->published_count - 1] = copy;
    if (contract->policy == LOSSLESS)
        probe_topic(self, contract)->published++;
    return 0;
}

uint64_t actor_published(const actor_t *self, const struct contract *contract) { return probe_topic(self, contract)->published; }

size_t actor_room(const actor_t *self, const struct contract *contract)
{
    const struct topic *topic = probe_topic(self, contract);
    uint64_t in_flight = topic->published - topic->acked;
    if (topic->has_room)
        return topic->room;
    return in_flight < ROOM ? (size_t)(ROOM - in_flight) : 0;
}

void actor_pause(actor_t *self, const struct contract *contract) { probe_topic(self, contract)->is_paused = true; }

void actor_resume(actor_t *self, const struct contract *contract, size_t messages, size_t bytes)
{
    (void)messages, (void)bytes;
    probe_topic(self, contract)->is_paused = false;
}

void actor_release(actor_t *self)
{
    for (size_t i = 0; i < self->held_count; i++)
        copy_free(&self->held[i]);
    self->released += self->held_count;
    self->held_count = 0;
    self->again_us = -1;
    free(self->held);
    self->held = NULL;
}

void actor_again(actor_t *self, int ms) { self->again_us = self->clock_us + (int64_t)ms * 1000; }

/* --- questions -------------------------------------------------------------------------------- */

static struct question *add_question(actor_t *self, int deadline_ms, int64_t tag)
{
    self->questions = array_add(self->questions, &self->questions_count, sizeof *self->questions);
    struct question *question = &self->questions[self->questions_count - 1];
    question->deadline_us = self->clock_us + (int64_t)deadline_ms * 1000;
    question->tag = tag;
    return question;
}

int actor_ask(actor_t *self, const struct contract *contract, const void *query, int deadline_ms, any_fn *done, int64_t tag)
{
    struct copy copy;
    struct fault fault;
    if (copy_make(&copy, contract, contract->in(), query, &fault)) {
        actor_error(self, "%s breaks its schema: %s %s", contract->subject, fault.field, fault.why);
        copy_free(&copy);
        return -1;
    }
    struct question *question = add_question(self, deadline_ms, tag);
    question->contract = contract;
    question->query = copy;
    question->done = done;
    return 0;
}

int actor_ask_raw(actor_t *self, const char *subject, struct slice query, int deadline_ms, raw_done_fn *done, int64_t tag)
{
    struct question *question = add_question(self, deadline_ms, tag);
    struct fault fault;
    question->raw_done = done;
    for (const struct contract *const *c = all_contracts; *c && !question->contract; c++)
        if ((*c)->out && strcmp((*c)->subject, subject) == 0)
            question->contract = *c;
    if (question->contract && copy_of_bytes(&question->query, question->contract, question->contract->in(), query, &fault))
        actor_error(self, "%s breaks its schema: %s %s", subject, fault.field, fault.why);
    return 0;
}

ticket_t actor_ticket(actor_t *self) { return ++self->ticket; }

int actor_answer(actor_t *self, const struct contract *contract, ticket_t ticket, int verdict, const void *message)
{
    self->replies = array_add(self->replies, &self->replies_count, sizeof *self->replies);
    struct reply *reply = &self->replies[self->replies_count - 1];
    *reply = (struct reply){ .ticket = ticket, .verdict = verdict, .fault = self->fault };
    self->fault = (struct fault){ "", "" };
    if (verdict == OK && copy_make(&reply->copy, contract, contract->out(), message, &reply->fault)) {
        copy_free(&reply->copy);
        reply->verdict = BROKEN;
        return -1;
    }
    return 0;
}

int actor_refuse(actor_t *self, int verdict, const char *field, const char *why)
{
    self->fault = (struct fault){ field, why };
    return verdict;
}

/* --- time, words, settings ---------------------------------------------------------------------- */

int64_t actor_now_us(const actor_t *self) { return self->now_us; }
int64_t actor_clock_us(const actor_t *self) { return self->clock_us; }

void actor_wake(actor_t *self, int ms)
{
    int64_t at_us = self->clock_us + (int64_t)ms * 1000;
    if (self->tick_us < 0 || at_us < self->tick_us)
        self->tick_us = at_us;
}

void actor_after(actor_t *self, int ms, timer_fn *fn, int64_t tag)
{
    self->timers = array_add(self->timers, &self->timers_count, sizeof *self->timers);
    self->timers[self->timers_count - 1] = (struct timer){ self->clock_us + (int64_t)ms * 1000, fn, tag };
}

void actor_cancel(actor_t *self, timer_fn *fn, int64_t tag)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->timers_count; i++)
        if (self->timers[i].fn != fn || self->timers[i].tag != tag)
            self->timers[kept++] = self->timers[i];
    self->timers_count = kept;
}

/* --- descriptors ------------------------------------------------------------------------------------ */

void actor_unlisten(actor_t *self, int fd)
{
    for (size_t i = 0; i < self->descriptors_count; i++)
        if (self->descriptors[i].fd == fd)
            self->descriptors[i--] = self->descriptors[--self->descriptors_count];
}

void actor_listen(actor_t *self, int fd, uint32_t events, ready_fn *ready)
{
    actor_unlisten(self, fd);
    assert(self->descriptors_count < sizeof self->descriptors / sizeof *self->descriptors);
    size_t at = self->descriptors_count++;
    self->descriptors[at].fd = fd;
    self->descriptors[at].events = events;
    self->descriptors[at].ready = ready;
}

int probe_wait(probe_t *self, int most_ms)
{
    struct pollfd polls[8];
    size_t count = self->descriptors_count;
    int ready = 0;
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){ .fd = self->descriptors[i].fd, .events = (short)self->descriptors[i].events };
    poll(polls, count, most_ms);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; polls[i].revents && j < self->descriptors_count; j++)
            if (self->descriptors[j].fd == polls[i].fd) {
                ready++;
                self->descriptors[j].ready(self->self, self, polls[i].fd, (uint32_t)polls[i].revents);
                break;
            }
    return ready;
}

static void __attribute__((format(printf, 3, 0))) note(actor_t *self, const char *level, const char *format, va_list arguments)
{
    char line[2048];
    size_t n = (size_t)snprintf(line, sizeof line, "%s ", level);
    vsnprintf(line + n, sizeof line - n - 1, format, arguments);
    strcat(line, "\n");
    msgpack_sbuffer_write(&self->log, line, strlen(line));
    if (getenv("PROBE_LOG"))
        fputs(line, stderr);
}

void actor_debug(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(self, "debug", format, arguments);
    va_end(arguments);
}

void actor_info(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(self, "info", format, arguments);
    va_end(arguments);
}

void actor_warn(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(self, "warn", format, arguments);
    va_end(arguments);
}

void actor_warn_of(actor_t *self, uint64_t of, const char *format, ...)
{
    (void)of;
    va_list arguments;
    va_start(arguments, format);
    note(self, "warn", format, arguments);
    va_end(arguments);
}

void actor_error(actor_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(self, "error", format, arguments);
    va_end(arguments);
}

void actor_error_of(actor_t *self, uint64_t of, const char *format, ...)
{
    (void)of;
    va_list arguments;
    va_start(arguments, format);
    note(self, "error", format, arguments);
    va_end(arguments);
}

const struct suite_config *actor_suite(const actor_t *self) { return &self->suite; }
void actor_stop(actor_t *self, int exit_code) { self->stopped = exit_code; }
struct lws_context *actor_lws(actor_t *self) { return (void)self, NULL; }

int actor_path(const actor_t *self, char *to, size_t size, const char *name)
{
    return life_path(self->suite.data, to, size, name);
}

/* --- HTTP ------------------------------------------------------------------------------------------ */

static struct word *keep_words(struct word *to, const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count && pairs[i].name; i++, to++) {
        snprintf(to->name, sizeof to->name, "%s", pairs[i].name);
        snprintf(to->value, sizeof to->value, "%s", pairs[i].value);
    }
    return to;
}

int actor_fetch(actor_t *self, const struct fetch *fetch)
{
    if (self->fetched)
        return -1;
    self->fetched = fetch->done;
    snprintf(self->url, sizeof self->url, "%s", fetch->url);
    snprintf(self->posted, sizeof self->posted, "%.*s", (int)fetch->body.size, fetch->body.size ? (const char *)fetch->body.data : "");
    memset(self->words, 0, sizeof self->words);
    struct word *next = keep_words(self->words, fetch->query, sizeof fetch->query / sizeof *fetch->query);
    keep_words(next, fetch->headers, sizeof fetch->headers / sizeof *fetch->headers);
    return 0;
}
