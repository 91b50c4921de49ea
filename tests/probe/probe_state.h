/* probe_state.h - what both halves of the probe know. */
#ifndef PROBE_STATE_H
#define PROBE_STATE_H

#include "probe.h"
#include "rows.h"

enum { TOPICS = 64, NAME_BYTES = 2048, ROOM = 16384 };

struct topic {
    const struct contract *contract;
    uint64_t published, acked;
    size_t room;
    bool has_room, is_paused;
};

struct copy { const struct contract *contract; char *bytes; size_t size; void *message; };
struct timer { int64_t at_us; timer_fn *fn; int64_t tag; };
struct question {
    struct copy query;
    const struct contract *contract;
    int64_t deadline_us, tag;
    any_fn *done;
    raw_done_fn *raw_done;
};
struct reply { ticket_t ticket; int verdict; struct copy copy; struct fault fault; };
struct word { char name[64], value[NAME_BYTES]; };

struct actor {
    struct self *self;
    struct suite_config suite;
    bool owns_data;
    int64_t now_us, clock_us;
    int64_t tick_us, again_us;       /* on the clock; -1: never */

    struct topic topics[TOPICS];
    struct copy *published, *held;
    size_t published_count, held_count, released;

    struct timer *timers;
    size_t timers_count;

    struct question *questions;
    size_t questions_count;
    msgpack_sbuffer answer_rows;

    struct rows rows;
    size_t rows_room;
    struct fault fault;
    ticket_t ticket;
    struct reply *replies;
    size_t replies_count;
    struct copy query;               /* of the last call */

    fetched_fn *fetched;
    char url[NAME_BYTES], posted[1024];
    struct word words[12];

    struct { int fd; uint32_t events; ready_fn *ready; } descriptors[8];
    size_t descriptors_count;

    int stopped;
    msgpack_sbuffer log;
};

struct topic *probe_topic(const probe_t *, const struct contract *);

/* A message encoded and decoded again: what arrives at the other side. 0, or -1 with *fault. */
int copy_make(struct copy *, const struct contract *, const struct schema *, const void *message, struct fault *);
int copy_of_bytes(struct copy *, const struct contract *, const struct schema *, struct slice bytes, struct fault *);
void copy_free(struct copy *);

/* Append room for one more item of an array. */
void *array_add(void *array, size_t *count, size_t size);

#endif
