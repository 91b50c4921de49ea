/* own.h - what the broker's process says of itself: its heartbeat and its own services. */
#ifndef OWN_H
#define OWN_H

#include "broker.h"
#include "log.h"
#include "schemas.h"

#define BROKER_DOC "Joins the actors: passes on what they say and ask"

struct own {
    broker_t *broker;
    log_t *log;
    struct suite_config suite;
    struct broker_config config;
    int64_t started_us, beat_us;      /* wall clock; monotonic, when the next heartbeat is due */
};

void own_answer_services(struct own *);
void own_beat(struct own *, const char *status, int64_t clock_us);
int own_wait_ms(const struct own *, int64_t clock_us);

#endif
