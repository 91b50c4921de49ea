/* house.c - the home as a whole: what happens at each tick of its clock. */
#include "home.h"
#include "stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* No more than this is made up for after a pause, and made in one go. */
enum { LONGEST_PAUSE_US = 100000, FRUITLESS = 200, BURST = 256 };

struct home *home_new(const struct options *options, int64_t now_us)
{
    struct home *self = calloc(1, sizeof *self);

    assert(self);
    self->options = options;
    self->now_us = self->began_us = self->ticked_us = now_us;
    self->rate = options->rate;
    self->generating = true;
    self->truth = truth_new(options->truth);
    self->core_state = "RUNNING";
    self->history = history_new(&(struct history_options){.bytes = options->history_bytes,
        .excluded = options->exclude,
        .commit_us = (int64_t)(options->commit_s * 1e6),
        .as_2024_3 = options->version == HA_2024_3});
    self->script = script_new(options->script);
    self->world = world_new(options->version, options->seed, options->entities, now_us);
    self->world->owner = self;
    self->world->happen = feed_publish;
    for (size_t i = 0; i < self->world->count; i++)
        feed_record(self, self->world->entities[i], self->world->entities[i]->updated_us);
    if (options->replay)
        self->replay = replay_new(options->replay);
    if (!self->truth)
        fprintf(stderr, "home: cannot write %s\n", options->truth);
    if (!self->truth || !self->script || (options->replay && !self->replay))
        home_destroy(&self);
    return self;
}

void home_destroy(struct home **self_p)
{
    struct home *self = *self_p;

    while (self->late) {
        struct late *late = self->late;
        self->late = late->next;
        text_free(&late->message);
        free(late);
    }
    replay_destroy(&self->replay);
    world_destroy(&self->world);
    history_destroy(&self->history);
    script_destroy(&self->script);
    truth_destroy(&self->truth);
    text_free(&self->scratch);
    text_free(&self->reply);
    free(self->sessions);
    free(self->sent_to);
    free(self);
    *self_p = NULL;
}

int home_clients(const struct home *self)
{
    int clients = 0;

    for (size_t i = 0; i < self->session_count; i++)
        clients += self->sessions[i]->authenticated && !self->sessions[i]->frozen && !self->sessions[i]->ending;
    return clients;
}

bool home_busy(const struct home *self)
{
    return self->replay || self->rate > 50 || self->phase == STARTING || self->late || self->streams;
}

/* How many events the clock owes by now. */
static double owed(struct home *self)
{
    int64_t elapsed_us = self->now_us - self->ticked_us;

    if (elapsed_us > LONGEST_PAUSE_US && self->rate * LONGEST_PAUSE_US > 10 * SECOND_US)
        elapsed_us = LONGEST_PAUSE_US;
    return self->due + self->rate * (double)(elapsed_us < 0 ? 0 : elapsed_us) / 1e6;
}

/* HA writes to its clients between any two states, at the latest when MAX_PENDING_FORCE_READY wait:
 * a home that was kept from its core must not make up for that in one go. */
static void generate(struct home *self)
{
    int fruitless = 0;
    int64_t until = self->events + BURST;

    for (self->due = owed(self); self->due >= 1 && fruitless < FRUITLESS && self->events < until;) {
        int64_t before = self->events;
        if (self->options->events >= 0 && self->events >= self->options->events) {
            self->generating = false;
            return;
        }
        if (!feed_has_room(self))
            break;
        world_step(self->world, self->now_us);
        fruitless = self->events == before ? fruitless + 1 : 0;
        self->due -= (double)(self->events - before);
    }
    if (self->due > self->rate / 10 + 1)
        self->due = self->rate / 10 + 1;
}

static void deliver_late(struct home *self)
{
    while (self->late && self->late->due_us <= self->now_us) {
        struct late *late = self->late;
        for (size_t i = 0; i < self->session_count; i++)
            if (self->sessions[i]->number == late->number && !self->sessions[i]->ending)
                session_send(self->sessions[i], text_view(&late->message));
        self->late = late->next;
        text_free(&late->message);
        free(late);
    }
}

void home_tick(struct home *self, int64_t now_us)
{
    self->now_us = now_us;
    script_tick(self);
    startup_tick(self);
    if (self->replay)
        replay_tick(self);
    else if (self->generating && self->phase == RUNNING && (self->had_client || !self->options->wait_for_client))
        generate(self);
    self->ticked_us = now_us;
    deliver_late(self);
    stream_tick(self);
    if (self->options->keep_s > 0)
        history_forget(self->history, now_us - (int64_t)(self->options->keep_s * 1e6));
    for (size_t i = 0; i < self->session_count; i++) {
        struct session *session = self->sessions[i];
        session_tick(session);
        if (session->outbox.pending && !session->frozen)
            self->wake(session);
    }
}
