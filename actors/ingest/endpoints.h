/* endpoints.h - where Home Assistant is, and when to knock at which door. No socket, no clock.
 *
 * An endpoint is read from a URL as people write it. A plan says what to dial next: endpoints
 * in the order of their priority, all of them in each round, then a pause that doubles from
 * retry_min_us to retry_max_us with jitter inside that limit; success resets it. An endpoint
 * that refused the token is left alone for auth_retry_us. While a lower one is in use, a
 * better one is tried every better_us. Times are monotonic microseconds. */
#ifndef ENDPOINTS_H
#define ENDPOINTS_H

#include "schema.h"

enum { MAX_ENDPOINTS = 4 };

struct endpoint {
    char host[256];       /* without brackets */
    int port;
    char path[512];
    bool tls;
    char url[600];        /* for people: no token */
    char token[513];
};

/* 0, or -1 with *why (static text). */
int endpoint_read(struct endpoint *, struct slice url, struct slice token, const char **why);

struct plan {
    int count;
    int64_t retry_min_us, retry_max_us, auth_retry_us, better_us;
    int next;             /* to be dialled at due_us */
    int64_t due_us;
    int failures;         /* rounds, since the last success */
    int64_t refused_until_us[MAX_ENDPOINTS]; /* 0: not refused */
    int64_t better_due_us;
    int better_next;
};

/* The n-th pause; random is in [0, 1). Never under 0.1 s nor over the limit. */
int64_t plan_delay_us(const struct plan *, int n, double random);

void plan_start(struct plan *, int64_t clock_us);     /* begin a first round at once */
int plan_dial(const struct plan *, int64_t clock_us); /* which to dial now; -1: none, wait until due_us */
void plan_failed(struct plan *, int endpoint, int64_t clock_us, double random);
void plan_refused(struct plan *, int endpoint, int64_t clock_us, double random);
void plan_live(struct plan *, int endpoint, int64_t clock_us);
void plan_lost(struct plan *, int64_t clock_us, double random);
bool plan_all_refused(const struct plan *, int64_t clock_us);

/* While `endpoint` is in use: a better one to try now, or -1. */
int plan_better(struct plan *, int endpoint, int64_t clock_us);

#endif
